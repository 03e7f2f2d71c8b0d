"""Nodes ranked by a model: what it reads of them, and how its scores become nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.schema import BaseNode, NodeWithScore

from qdrant_rerank import Expression, Rerank, StrategyError
from qdrant_rerank._internals import Candidate, MissingText, OnError, Points, notes_of
from qdrant_rerank.models._internals import RerankerLike, as_reranker, model_name

from .nodes import with_hidden
from .texts import text_read

__all__ = ["candidates", "checked_model", "rescoring_of", "shown_name", "to_nodes"]

_NO_TEXT = "no text"


def checked_model(model: RerankerLike) -> RerankerLike:
    """The model, if it is one.

    Raises:
        StrategyError: it isn't.
    """
    if isinstance(model, type):
        raise StrategyError(f"reranker must be a reranker; this is the class {model.__name__}: pass an object of it")
    as_reranker(model)
    return model


def rescoring_of(on_error: OnError, missing_text: MissingText, blend: Expression | None, top_n: int | None = None) -> Rerank:
    """How a model ranks, as a postprocessor's settings say.

    Raises:
        StrategyError: a setting can't be.
    """
    return Rerank(on_error=on_error, missing_text=missing_text, blend=blend, top_n=top_n)


def shown_name(model: Any) -> str:
    """What events call a model: its class, and its name if it has one."""
    if hasattr(model, "__qualname__"):
        return str(model.__qualname__)
    name = model_name(model)
    return type(model).__name__ + (f" {name}" if name else "")


def candidates(nodes: Sequence[NodeWithScore]) -> list[Candidate]:
    """What a model reads of nodes, and a blend."""
    return [Candidate(text_read(each.node), each.node.metadata, each.get_score()) for each in nodes]


def to_nodes(nodes: Sequence[NodeWithScore], points: Points, keep_retrieval_score: bool, blends: bool) -> list[NodeWithScore]:
    """New nodes in the order of the points, whose ids are places in `nodes`."""
    return [_renewed(nodes[int(point.id)], point.score, notes_of(point), keep_retrieval_score, blends) for point in points]


def _renewed(
    node: NodeWithScore, score: float, notes: Mapping[str, Any], keep_retrieval_score: bool, blends: bool
) -> NodeWithScore:
    added: dict[str, Any] = {"retrieval_score": node.score} if keep_retrieval_score else {}
    if (reason := notes.get("not_rescored")) is not None:
        added["not_rescored"] = reason
        return NodeWithScore(node=with_hidden(node.node, added), score=None if reason == _NO_TEXT else node.score)
    if blends:
        added["relevance_score"] = float(notes["relevance_score"])
    return NodeWithScore(node=with_hidden(_fresh(node.node), added), score=float(score))


def _fresh(node: BaseNode) -> BaseNode:
    """The node without the note that an earlier reranking failed."""
    if "not_rescored" not in node.metadata:
        return node
    return node.model_copy(update={"metadata": {key: kept for key, kept in node.metadata.items() if key != "not_rescored"}})
