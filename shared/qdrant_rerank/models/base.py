"""What reads texts and scores them against a query: the `Reranker` protocol, and plain functions as such models.

Rerankers rerank (`Rerank`) and steer relevance feedback. Higher is better, always: a model whose own scores are
distances turns them around.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import getattr_static
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard, runtime_checkable

from ..errors import StrategyError

if TYPE_CHECKING:
    from .framework_models import CompressesDocuments, PostprocessesNodes

__all__ = ["AsyncReranker", "Reranker", "RerankerLike", "as_reranker"]


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


RerankerLike: TypeAlias = (
    "Reranker | Callable[[str, Sequence[str]], Sequence[float]] | CompressesDocuments | PostprocessesNodes"
)
"""A reranker, a plain function from a query and texts to scores, or another framework's reranker (`framework_models`)."""


@dataclass(frozen=True)
class _FunctionModel:
    function: Callable[[str, Sequence[str]], Sequence[float]]

    @property
    def fingerprint(self) -> str:
        named = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        return f"function:{named.__module__}.{named.__qualname__}"

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return self.function(query, texts)


def _is_model(value: RerankerLike) -> TypeGuard[Reranker]:
    """Whether it has what a reranker has; `isinstance` would compute its fingerprint, which may read a model's folder."""
    has_fingerprint = getattr_static(value, "fingerprint", None) is not None
    return has_fingerprint and not isinstance(value, type) and callable(getattr(value, "score", None))


def as_reranker(value: RerankerLike) -> Reranker:
    """The reranker that `value` is, or that a plain function or another framework's reranker makes.

    Raises:
        StrategyError: it is none of these.
    """
    if _is_model(value):
        return value
    if hasattr(value, "compress_documents") or hasattr(value, "postprocess_nodes"):
        from .framework_models import from_framework

        return from_framework(value)
    if callable(value):
        return _FunctionModel(value)
    if callable(getattr(value, "score", None)):
        from ..feedback.official import OfficialFeedback, is_official

        if is_official(value):
            return OfficialFeedback(value)
    raise StrategyError(
        f"not a reranker: {type(value).__name__} has no score and fingerprint, and can't be called with (query, texts); "
        "an LLM is one within LlmPointwise(llm) or LlmListwise(llm)"
    )
