"""What a report is made of: results, and beside them how far probabilities can be trusted and what was learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .. import StrategyError
from ..evaluate import Comparison, Evaluation, Interval
from ..evaluate._internals import Plain

__all__ = ["Bin", "Calibration", "Coefficient", "Contents", "GivenCoefficients", "as_coefficients"]


@dataclass(frozen=True)
class Bin(Plain):
    """Results with about the same predicted probability.

    Attributes:
        predicted: the mean of their predicted probabilities, from 0 to 1.
        observed: the share of them that are relevant, from 0 to 1.
        count: how many there are.
        low, high: the ends of an interval for `observed`; None if there is none.

    Raises:
        StrategyError: a share isn't between 0 and 1, or the count isn't positive.
    """

    predicted: float
    observed: float
    count: int
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("predicted", "observed", "low", "high"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise StrategyError(f"{name} of a bin must be between 0 and 1, got {value!r}")
        if self.count < 1:
            raise StrategyError(f"a bin holds at least one result, got count={self.count!r}: leave empty bins out")


@dataclass(frozen=True)
class Calibration(Plain):
    """Predicted probabilities of relevance beside what was observed, on data that the calibration wasn't fitted to.

    Attributes:
        bins: the bins that hold results, by rising `predicted`.
        ece: expected calibration error: the mean distance of `predicted` and `observed`, weighed by the bins' counts.
        brier: Brier score: the mean squared distance of each probability from 0 or 1.
        name: what was calibrated, e.g. a system's name.

    Raises:
        StrategyError: there are no bins.
    """

    bins: tuple[Bin, ...]
    ece: float
    brier: float
    name: str = ""

    def __post_init__(self) -> None:
        if not self.bins:
            raise StrategyError("a calibration needs at least one bin with results in it")

    @property
    def count(self) -> int:
        """How many results all bins hold."""
        return sum(one.count for one in self.bins)


@dataclass(frozen=True)
class Coefficient(Plain):
    """One number that was learned.

    Attributes:
        name: what it weighs, e.g. `score('dense')`.
        value: the estimate.
        low, high: the ends of its interval; None if there is none.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None


GivenCoefficients: TypeAlias = Sequence[Coefficient] | Mapping[str, float | Interval]


def as_coefficients(given: GivenCoefficients | None) -> tuple[Coefficient, ...]:
    """The coefficients as one tuple. Raises StrategyError where one isn't a coefficient, or isn't finite."""
    given = given or ()
    found = tuple(_as_coefficient(str(name), value) for name, value in given.items()) if isinstance(given, Mapping) else given
    for one in found:
        if not isinstance(one, Coefficient):
            raise StrategyError(f"coefficients= takes Coefficient values, or a mapping from name to number, got {one!r}")
        if not all(math.isfinite(value) for value in (one.value, one.low, one.high) if value is not None):
            raise StrategyError(f"the coefficient {one.name!r} must be finite, got {one.value!r} ({one.low!r} to {one.high!r})")
    return tuple(found)


def _as_coefficient(name: str, value: float | Interval) -> Coefficient:
    if isinstance(value, Interval):
        return Coefficient(name, value.estimate, value.low, value.high)
    return Coefficient(name, float(value))


@dataclass(frozen=True)
class Contents(Plain):
    """What a report is made of.

    Attributes:
        title: its heading.
        evaluations: of the systems, the baseline among them; empty in a report on a tuning alone.
        comparison: of these; None where there is but one.
        tuning: what `tune` returned, or None.
        calibration: predicted probabilities beside observed ones, or None.
        coefficients: what was learned.
        made: how it was made, e.g. versions: name → text.
    """

    title: str
    evaluations: tuple[Evaluation, ...]
    comparison: Comparison | None = None
    tuning: Any = None
    calibration: Calibration | None = None
    coefficients: tuple[Coefficient, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)
