"""What a retrieval asks for beside the query; a retriever holds one, and `with_options` makes another of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Final, Self, TypedDict

from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.vector_stores.types import MetadataFilters
from qdrant_client import models

from qdrant_rerank import QueryError, SearchOptions, Strategy
from qdrant_rerank._internals import (
    check_count,
    check_filter,
    check_flag,
    check_options,
    check_strategy,
    find_unknown,
    timeout_problem,
)

from .filters import to_qdrant_filter
from .nodes import NodeReader, point_ids

__all__ = ["Options", "RetrievalOptions"]

_DEFAULT: Final = SearchOptions()
_DOC_ID: Final = "doc_id"
_OWN: Final = {
    "limit": "similarity_top_k=…",
    "filter": "filter=…",
    "score_threshold": "score_threshold=…",
    "timeout": "timeout=…",
}
"""The fields of `SearchOptions` for which there are arguments, and which."""


class RetrievalOptions(TypedDict, total=False):
    """What `with_options` and `retrieve_batch` take; the constructor takes the same.

    Restrictions (`filters`, `filter`, `node_ids`, `doc_ids`) are AND-ed with those that there are, `params` are
    added to them, anything else replaces what there is.

    Attributes:
        strategy: how nodes are found and ranked.
        similarity_top_k: how many nodes to return (groups, with `group_by`).
        filters: LlamaIndex's metadata filters.
        filter: a `qdrant_client.models.Filter`.
        node_ids: only these nodes; an empty list lets none through.
        doc_ids: only nodes of these documents; an empty list lets none through.
        score_threshold: the score to reach (for Euclid and Manhattan: the distance not to exceed).
        timeout: seconds for the whole call; see `QdrantRerankRetriever`.
        options: what few need; see `QdrantRerankRetriever`.
        params: request-time values by name, for `param(name)` in formulas.
        explanations: whether each node says why it is where it is; see `QdrantRerankRetriever`.
    """

    strategy: Strategy | None
    similarity_top_k: int
    filters: MetadataFilters | None
    filter: models.Filter | None
    node_ids: Sequence[str] | None
    doc_ids: Sequence[str] | None
    score_threshold: float | None
    timeout: float | None
    options: SearchOptions | None
    params: Mapping[str, Any] | None
    explanations: bool


@dataclass(frozen=True)
class Options:
    """The options of a retriever, checked, with all restrictions as Qdrant filters.

    Raises:
        QueryError: a value can't be.
        StrategyError: the strategy isn't one.
    """

    strategy: Strategy | None = None
    similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K
    restrictions: tuple[models.Filter, ...] = ()
    score_threshold: float | None = None
    timeout: float | None = None
    options: SearchOptions = _DEFAULT
    params: Mapping[str, Any] = field(default_factory=dict)
    explanations: bool = False

    def __post_init__(self) -> None:
        check_count("similarity_top_k", self.similarity_top_k)
        check_flag("explanations", self.explanations)
        if problem := timeout_problem(self.timeout):
            raise QueryError(problem)
        if self.strategy is not None:
            check_strategy(self.strategy)
        if check_options(self.options, _OWN).with_payload is False:
            raise QueryError("with_payload=False leaves nothing to make nodes of")

    def change(self, changes: RetrievalOptions, reader: NodeReader) -> Self:
        """These options with changes; see `RetrievalOptions`.

        Raises:
            TypeError: there is no such option.
            QueryError: a value can't be.
        """
        given: dict[str, Any] = dict(changes)
        if unknown := find_unknown(given, known := sorted(RetrievalOptions.__annotations__)):
            raise TypeError(f"there is no option {unknown[0]!r}; there are {', '.join(known)}{unknown[1]}")
        if "options" in given:
            given["options"] = given["options"] or _DEFAULT
        narrowed = _restrictions(changes, reader)
        kept = {each.name for each in fields(self)}
        replaced = {name: value for name, value in given.items() if name in kept}
        params = {**self.params, **(given.get("params") or {})}
        return replace(self, **{**replaced, "params": params, "restrictions": (*self.restrictions, *narrowed)})

    @cached_property
    def search_options(self) -> SearchOptions:
        """What Qdrant is asked for."""
        filters: list[models.Condition] = list(self.restrictions)
        return replace(
            self.options,
            limit=self.similarity_top_k,
            filter=models.Filter(must=filters) if len(filters) > 1 else next(iter(self.restrictions), None),
            score_threshold=self.score_threshold,
            timeout=self.timeout,
        )


def _restrictions(given: RetrievalOptions, reader: NodeReader) -> list[models.Filter]:
    """The restrictions among the options as filters."""
    found: list[models.Filter] = []
    if (metadata := given.get("filters")) is not None:
        translated = to_qdrant_filter(metadata, reader.prefix)
        if translated != models.Filter():
            found.append(translated)
    if (native := given.get("filter")) is not None:
        check_filter(native)
        found.append(native)
    if (node_ids := given.get("node_ids")) is not None:
        found.append(models.Filter(must=[models.HasIdCondition(has_id=list(point_ids(node_ids)))]))
    if (doc_ids := given.get("doc_ids")) is not None:
        found.append(_of_documents(doc_ids, reader))
    return found


def _of_documents(doc_ids: Sequence[str], reader: NodeReader) -> models.Filter:
    if not reader.is_llama_index:
        raise QueryError("doc_ids are kept by collections that LlamaIndex wrote; with another payload= use filters")
    if isinstance(doc_ids, str) or not all(isinstance(each, str) for each in doc_ids):
        raise QueryError(f"doc_ids must be a list of document ids, got {doc_ids!r}")
    return models.Filter(must=[models.FieldCondition(key=_DOC_ID, match=models.MatchAny(any=list(doc_ids)))])
