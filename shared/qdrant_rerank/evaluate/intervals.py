"""Bootstrap intervals of means over topics."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from .. import StrategyError
from ..errors import MissingExtra
from .results import Interval

__all__ = ["Method", "bootstrap_interval"]

Method: TypeAlias = Literal["BCa", "percentile"]
_AT_ONCE = 4_000_000  # numbers that resampling holds in memory at a time


def bootstrap_interval(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 2000, method: Method = "BCa", seed: int = 0
) -> Interval:
    """The mean of `values` with its bootstrap interval; topics are drawn with replacement.

    Bias-corrected and accelerated (Efron, "Better bootstrap confidence intervals", JASA 82, 1987), by
    `scipy.stats.bootstrap`. Where that is undefined, percentiles; where all values are equal, that value.

    Args:
        values: one number for each topic (for a paired interval, the differences).
        level: coverage.
        resamples: how many samples are drawn.
        method: `BCa` or `percentile`.
        seed: the same seed gives the same interval.

    Raises:
        StrategyError: there are no values, or an argument is wrong.
        MissingExtra: scipy isn't installed.
    """
    data = np.asarray(values, dtype=float)
    if not data.size:
        raise StrategyError("there is nothing to average: no topic has a value")
    if method not in ("BCa", "percentile") or not 0 < level < 1 or resamples < 100:
        raise StrategyError(
            f"an interval takes method 'BCa' or 'percentile', a level between 0 and 1 and at least 100 resamples, "
            f"got {method!r}, {level!r}, {resamples!r}"
        )
    mean = float(data.mean())
    if data.size < 2:
        return Interval(mean, None, None, level)
    if np.ptp(data) == 0:
        return Interval(mean, mean, mean, level)
    low, high = _ends(data, level, resamples, method, seed)
    if not (np.isfinite(low) and np.isfinite(high)):  # BCa is undefined for some small samples
        low, high = _ends(data, level, resamples, "percentile", seed)
    return Interval(mean, low, high, level)


def _ends(data: np.ndarray, level: float, resamples: int, method: Method, seed: int) -> tuple[float, float]:
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtra("bootstrap intervals", "learn") from error
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # answered by percentiles
        found = stats.bootstrap(
            (data,),
            np.mean,
            confidence_level=level,
            n_resamples=resamples,
            method=method,
            batch=max(1, _AT_ONCE // data.size),
            rng=np.random.default_rng(seed),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
