"""What tuning may spend, and what it has spent."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from .. import StrategyError
from .._internals import is_whole
from ..evaluate._internals import Plain

__all__ = ["Budget", "Meter", "Spent"]


@dataclass(frozen=True)
class Budget:
    """What one call of `tune` may spend; None is as much as it takes.

    Attributes:
        requests: searches put to Qdrant. Each candidate takes one for each topic; whatever can't be recomputed from the
            candidates
            takes more.
        model_texts: texts that the executor's model may read. None at all unless it is said: they take time or money, and
            a thousand topics have fifty thousand candidates.
        milliseconds: time that may pass before the last model call or search begins. The candidates are searched in any case.

    Raises:
        StrategyError: a limit is no number of at least 1 (0 for `model_texts`).
    """

    requests: int | None = None
    model_texts: int | None = 0
    milliseconds: float | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("requests", self.requests, 1), ("model_texts", self.model_texts, 0)):
            if value is not None and not is_whole(value, least):
                raise StrategyError(f"the budget's {name} must be a whole number of at least {least}, got {value!r}")
        limit = self.milliseconds
        if limit is not None and (isinstance(limit, bool) or not math.isfinite(limit) or limit <= 0):
            raise StrategyError(f"the budget's milliseconds must be a number above 0, got {limit!r}")


@dataclass(frozen=True)
class Spent(Plain):
    """What a tuning took.

    Attributes:
        requests: searches put to Qdrant.
        round_trips: requests over the network, as many topics share one.
        model_texts: texts that the model read.
        seconds: how long it took in all.
    """

    requests: int
    round_trips: int
    model_texts: int
    seconds: float


@dataclass
class Meter:
    """What has been spent of a budget so far."""

    budget: Budget
    requests: int = 0
    round_trips: int = 0
    model_texts: int = 0
    start: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.start

    def refusal(self, requests: int = 0, model_texts: int = 0) -> str:
        """Why this can't be spent any more; "" if it can."""
        limits = self.budget
        if limits.requests is not None and self.requests + requests > limits.requests:
            return f"it takes {requests:,} requests, and {max(limits.requests - self.requests, 0):,} of the budget are left"
        if limits.model_texts is not None and self.model_texts + model_texts > limits.model_texts:
            if limits.model_texts == 0:
                return f"the model would have to read {model_texts:,} texts: allow it with Budget(model_texts=…)"
            left = max(limits.model_texts - self.model_texts, 0)
            return f"the model would have to read {model_texts:,} texts, and {left:,} of the budget are left"
        return self.late()

    def late(self) -> str:
        """Says that the time is over; "" if it isn't."""
        limit = self.budget.milliseconds
        return f"the budget's {limit:,.0f} milliseconds were over" if limit is not None and 1000 * self.seconds > limit else ""

    def spent(self) -> Spent:
        """All that was spent."""
        return Spent(self.requests, self.round_trips, self.model_texts, self.seconds)
