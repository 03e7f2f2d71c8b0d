"""Rerankers of the package qdrant-relevance-feedback, for use here; the package itself isn't needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import StrategyError
from ..models.base import Reranker
from ..models.scores import checked

__all__ = ["OfficialFeedback", "is_official"]


@dataclass(frozen=True)
class OfficialFeedback:
    """A `Feedback` object of qdrant-relevance-feedback as a reranker.

    Args:
        feedback: anything with `score(query, responses)`, one number for each response, higher is better.
        name: what tells it from other models; its type and the name of its model if None and it says that.

    Raises:
        StrategyError: it has no such method, or it doesn't say which model it is and no name is given.
    """

    feedback: Any
    name: str | None = None

    def __post_init__(self) -> None:
        if not callable(getattr(self.feedback, "score", None)):
            raise StrategyError(f"not a Feedback: {type(self.feedback).__name__} has no score(query, responses)")
        if not self._known_as:
            raise StrategyError(
                f"{type(self.feedback).__name__} doesn't say which model it is, by which fitted coefficients go: give "
                "OfficialFeedback(…, name='…'), another one for every model that scores otherwise"
            )

    @property
    def _known_as(self) -> str:
        return self.name or str(getattr(self.feedback, "_model_name", "") or getattr(self.feedback, "model_name", "") or "")

    @property
    def fingerprint(self) -> str:
        """The type of the object and the name of its model."""
        return f"official:{type(self.feedback).__qualname__}:{self._known_as}"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in the order of the texts.

        Raises:
            ScoringError: it returned the wrong number of scores, or some that aren't finite.
        """
        return checked(list(self.feedback.score(query, list(texts))), len(texts), self.feedback) if texts else []


def is_official(value: object) -> bool:
    """Whether `value` is a `Feedback` of that package."""
    foreign = any(base.__module__.partition(".")[0] == "qdrant_relevance_feedback" for base in type(value).__mro__)
    return foreign and not isinstance(value, Reranker)
