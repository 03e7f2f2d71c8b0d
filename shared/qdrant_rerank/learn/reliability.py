"""How far probabilities can be trusted, and which threshold keeps which precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .. import StrategyError
from .._internals import is_finite
from ..errors import FitError
from ..evaluate._internals import Plain
from ..report import Bin, Calibration
from .metrics import brier
from .solving import Array

__all__ = ["OperatingPoint", "operating_points", "reliability", "threshold_for"]

_BINS: Final = 10
_POINTS: Final = 200
_LEAST: Final = 10
_Z: Final = 1.959964


def reliability(probabilities: Array, y: Array, w: Array, name: str = "") -> Calibration:
    """Predicted probabilities beside observed shares, in ten bins of equal width, with ECE and Brier score.

    The expected calibration error is that of Naeini, Cooper and Hauskrecht (AAAI 2015). Rows count by their weights.
    Where nearly all candidates are irrelevant it is small whatever the map: look at the upper bins too.
    """
    numbers = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    bins, ece, total = [], 0.0, float(w.sum())
    for number in np.unique(numbers):
        rows = numbers == number
        mass = float(w[rows].sum())
        predicted = float(np.clip(np.average(probabilities[rows], weights=w[rows]), 0.0, 1.0))
        observed = float(np.average(y[rows], weights=w[rows]))
        ece += mass / total * abs(predicted - observed)
        low, high = _wilson(observed, mass**2 / float((w[rows] ** 2).sum()))
        bins.append(Bin(predicted, min(1.0, observed), max(1, round(mass)), low, high))
    return Calibration(tuple(bins), ece, brier(probabilities, y, w), name)


def _wilson(share: float, count: float) -> tuple[float, float]:
    """A 95 % interval of a share seen in `count` independent rows (Wilson 1927)."""
    centre, spread = share + _Z**2 / (2 * count), _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    scale = 1 + _Z**2 / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True)
class OperatingPoint(Plain):
    """What a threshold keeps, on topics that the model wasn't fitted to.

    Attributes:
        threshold: of the probability.
        precision: share of the results at or above it that are relevant.
        recall: share of the relevant candidates that are at or above it.
        results: how many rows of the log that is.
    """

    threshold: float
    precision: float
    recall: float
    results: int


def operating_points(probabilities: Array, y: Array, w: Array) -> tuple[OperatingPoint, ...]:
    """What thresholds keep, by rising threshold; those that keep fewer than ten rows are left out."""
    order = np.argsort(-probabilities, kind="stable")
    p, hits, mass = probabilities[order], np.cumsum((w * y)[order]).tolist(), np.cumsum(w[order]).tolist()
    last = np.flatnonzero(np.append(p[1:] < p[:-1], True))  # the last row of each value: thresholds keep ties together
    last = last[last + 1 >= _LEAST]
    if len(last) > _POINTS:  # dense where few results are left, which is where thresholds are chosen
        last = last[np.unique(np.geomspace(1, len(last), _POINTS).astype(np.int64) - 1)]
    found = [
        OperatingPoint(float(p[row]), _share(hits[row], mass[row]), _share(hits[row], hits[-1]), int(row) + 1) for row in last
    ]
    return tuple(reversed(found))


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole else 0.0


def threshold_for(points: Sequence[OperatingPoint], precision: float) -> OperatingPoint:
    """The lowest threshold that keeps this precision.

    Raises:
        FitError: none does; says which is the best.
        StrategyError: it is no precision.
    """
    if not is_finite(precision) or not 0 < precision <= 1:
        raise StrategyError(f"a precision is a share of results, above 0 and at most 1, got {precision!r}")
    if not points:
        raise FitError("there are fewer than ten held-out rows: no threshold can be told")
    for point in points:
        if point.precision >= precision:
            return point
    best = max(points, key=lambda point: point.precision)
    raise FitError(
        f"no threshold keeps a precision of {precision:g}: the best on held-out topics is {best.precision:.3f}, at "
        f"{best.threshold:.3f} (with at least {_LEAST} results)"
    )
