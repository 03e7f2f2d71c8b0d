"""What reads texts and scores them against a query: the `Reranker` protocol, and the check of what it returns.

Rerankers rerank (`Rerank`) and steer relevance feedback. Higher is better, always: a model whose own scores are
distances turns them around.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np

from ..errors import ScoringError, StrategyError
from ..threads import carrying, in_worker
from ..values import is_whole

__all__ = [
    "AsyncReranker",
    "CompressesDocuments",
    "PostprocessesNodes",
    "Reranker",
    "RerankerLike",
    "ascore_texts",
    "check_scores",
    "check_whole",
    "describe_model",
    "score_texts",
]


@runtime_checkable
class Reranker(Protocol):
    """Scores (query, text) pairs; higher is better.

    A model may also have `async def ascore(query, texts)`; without it, `score` runs in a thread under async. One whose score of
    a text depends on the other texts says so by `independent = False`, so that its scores aren't kept or computed in portions.
    """

    @property
    def fingerprint(self) -> str:
        """A short text that is the same exactly for models that give the same scores: name, version, settings; no secrets."""
        ...

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One finite score for each text, in the order of the texts."""
        ...


@runtime_checkable
class AsyncReranker(Reranker, Protocol):
    """A reranker that can score without blocking."""

    async def ascore(self, query: str, texts: Sequence[str]) -> Sequence[float]: ...


@runtime_checkable
class CompressesDocuments(Protocol):
    """LangChain's `BaseDocumentCompressor`, by the methods that are used."""

    def compress_documents(self, documents: Any, query: str) -> Sequence[Any]: ...

    async def acompress_documents(self, documents: Any, query: str) -> Sequence[Any]: ...


@runtime_checkable
class PostprocessesNodes(Protocol):
    """LlamaIndex's `BaseNodePostprocessor`, by the methods that are used."""

    def postprocess_nodes(self, nodes: Any, *, query_str: str) -> Sequence[Any]: ...

    async def apostprocess_nodes(self, nodes: Any, *, query_str: str) -> Sequence[Any]: ...


RerankerLike: TypeAlias = (
    "Reranker | Callable[[str, Sequence[str]], Sequence[float]] | CompressesDocuments | PostprocessesNodes"
)
"""A reranker, a plain function from a query and texts to scores, or another framework's reranker (`framework_models`)."""


_EMBEDS: Final = " (an embedding model scores texts within EncoderSimilarity)"


def check_scores(scores: Sequence[Any], wanted: int, model: object | None) -> list[float]:
    """The scores as floats.

    Args:
        scores: what `model` returned.
        wanted: the number of texts.
        model: named in errors by its type; None for just "the model".

    Raises:
        ScoringError: there are more or fewer than `wanted`, or one is no finite number.
    """
    shape = getattr(scores, "shape", None)
    # a mapping, a set, text and bytes have a length too, but no number for each text in the texts' order
    in_order = hasattr(scores, "__len__") and len(shape) == 1 if shape is not None else isinstance(scores, Sequence)
    if not in_order or isinstance(scores, str | bytes | bytearray | memoryview):
        raise ScoringError(f"{describe_model(model)} returned {_what(scores)} instead of a number for each of {wanted} texts")
    if len(scores) != wanted:
        raise ScoringError(f"{describe_model(model)} returned {len(scores)} scores for {wanted} texts")
    for place, score in enumerate(scores):
        if getattr(score, "shape", ()) != () or isinstance(score, list | tuple | bool | np.bool_):
            what = f"{_what(score)} for text {place}"
            raise ScoringError(f"{describe_model(model)} returned scores that aren't numbers: {what}{_EMBEDS}")
    try:
        numbers = [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        raise ScoringError(f"{describe_model(model)} returned scores that aren't numbers: {error}") from error
    except OverflowError as error:
        raise ScoringError(f"{describe_model(model)} returned scores that are too large: {error}") from error
    odd = [place for place, number in enumerate(numbers) if not math.isfinite(number)]
    if odd:
        first = f"{numbers[odd[0]]!r} for text {odd[0]}"
        raise ScoringError(f"{describe_model(model)} returned scores that aren't finite: {first} ({len(odd)} of {wanted})")
    return numbers


def check_whole(owner: object, **values: object) -> None:
    """Refuse settings that are no whole numbers of at least 1; None passes.

    Raises:
        StrategyError: names the setting and whose it is.
    """
    for name, value in values.items():
        if value is not None and not is_whole(value, 1):
            kind = type(owner).__name__
            raise StrategyError(f"the {name} of {kind} must be a whole number of at least 1, got {value!r}")


def score_texts(model: Reranker, query: str, texts: Sequence[str]) -> Sequence[float]:
    """The model's scores.

    Raises:
        ScoringError: it raised what means something else to Python, such as a StopIteration.
    """
    with carrying(ScoringError, lambda: describe_model(model)):
        return model.score(query, texts)


async def ascore_texts(model: Reranker, query: str, texts: Sequence[str]) -> Sequence[float]:
    """The model's scores without blocking: by its `ascore`, or by its `score` in a thread."""
    ascore = getattr(model, "ascore", None)  # isinstance would read the fingerprint, and with it maybe a model's folder
    if ascore is None:
        return await in_worker(lambda: score_texts(model, query, texts))
    with carrying(ScoringError, lambda: describe_model(model), awaits=True):
        scores: Sequence[float] = await ascore(query, texts)
        return scores


def _what(value: object) -> str:
    """What a model returned that isn't what it should be, without its contents."""
    shape, kind = getattr(value, "shape", None), type(value).__name__
    if shape is not None:
        return f"an array of shape {tuple(shape)}"
    return f"a {kind} of {len(value)}" if isinstance(value, list | tuple) else f"a {kind}"


def describe_model(model: object | None) -> str:
    """How an error calls a model: by its type, as its settings may be long."""
    return "the model" if model is None else f"the model ({type(model).__name__.lstrip('_')})"
