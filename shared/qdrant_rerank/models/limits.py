"""A budget for each call of a reranker: how many texts, and how many seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from ..errors import BudgetError, StrategyError
from ..values import is_finite, is_whole
from .base import RerankerLike, as_reranker
from .scores import ascored, checked, named, scored

__all__ = ["Limited"]

_TEXTS_AT_A_TIME = 32


@dataclass(frozen=True)
class Limited:
    """A reranker that fails rather than cost more than it may.

    More texts than `documents` are refused before the first is scored. Under async, the call is cancelled when the time is
    up. A sync call can't be interrupted: with `seconds`, texts are passed on in portions and the time is looked at between
    them, so the call may last one portion longer. Models that rank texts against each other (`independent` is False) get them
    all at once.

    Around a cache, as in `Limited(Cached(model, cache), …)`, known scores count too; `Cached(Limited(model, …), cache)`
    limits only what the model is asked.

    Args:
        model: the model.
        documents: the most texts in one call; any number if None.
        seconds: the longest that one call may take; any time if None.
        portion: how many texts a sync call passes on at a time, if `seconds` is set; the model's own `batch_size` (or 32)
            if None.

    Raises:
        StrategyError: a limit is out of range, or there is none.
    """

    reranker: RerankerLike
    _: KW_ONLY
    documents: int | None = None
    seconds: float | None = None
    portion: int | None = None

    def __post_init__(self) -> None:
        as_reranker(self.reranker)
        if self.documents is None and self.seconds is None:
            raise StrategyError("Limited without a limit: pass documents=…, seconds=…, or both")
        for name in ("documents", "portion"):
            value = getattr(self, name)
            if value is not None and not is_whole(value, 1):
                raise StrategyError(f"the {name} of Limited must be a whole number of at least 1, got {value!r}")
        if self.seconds is not None and not (is_finite(self.seconds) and self.seconds > 0):
            raise StrategyError(f"the seconds of Limited must be a number above 0, got {self.seconds!r}")

    @property
    def fingerprint(self) -> str:
        """The model's: limits don't change scores."""
        return as_reranker(self.reranker).fingerprint

    @property
    def independent(self) -> bool:
        """Whether a text's score doesn't depend on the other texts, as of the model."""
        return bool(getattr(as_reranker(self.reranker), "independent", True))

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in the order of the texts.

        Raises:
            BudgetError: the budget doesn't suffice.
            ScoringError: the model's scores are unusable.
        """
        self._check(texts)
        model, scores, start = as_reranker(self.reranker), list[float](), time.monotonic()
        portion = self._portion(len(texts))
        while len(scores) < len(texts):
            if self.seconds is not None and time.monotonic() - start >= self.seconds:
                raise self._too_slow(f"after {len(scores)} of {len(texts)} texts")
            batch = texts[len(scores) : len(scores) + portion]
            scores += checked(scored(model, query, batch), len(batch), self.reranker)
        return scores

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, without blocking; cancelled on time."""
        self._check(texts)
        deadline = asyncio.timeout(self.seconds)
        try:
            async with deadline:
                return checked(await ascored(as_reranker(self.reranker), query, texts), len(texts), self.reranker)
        except TimeoutError as error:
            if not deadline.expired():
                raise  # the model's own
            raise self._too_slow(f"while {len(texts)} texts were scored") from error

    def _check(self, texts: Sequence[str]) -> None:
        if self.documents is not None and len(texts) > self.documents:
            raise BudgetError(
                f"{len(texts)} texts are more than the budget of {self.documents} for {named(self.reranker)}: "
                "take fewer candidates, or raise documents="
            )

    def _too_slow(self, when: str) -> BudgetError:
        return BudgetError(
            f"the budget of {self.seconds} s for {named(self.reranker)} ran out {when}: take fewer, or raise seconds="
        )

    def _portion(self, whole: int) -> int:
        if self.seconds is None or not self.independent:
            return whole
        own = getattr(self.reranker, "batch_size", None)
        return self.portion or (own if isinstance(own, int) and is_whole(own, 1) else _TEXTS_AT_A_TIME)
