"""Could chance alone do this? The paired randomisation test, Holm's correction, and what so many topics can show.

Sources: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
evaluation", CIKM 2007; Holm, Scand. J. Statist. 6 (1979); Sakai, "Topic set size design", Information Retrieval Journal
19 (2016), with the sample size of the paired t-test by Guenther, The American Statistician 35 (1981).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from ..errors import MissingExtra

__all__ = ["LEAST_TOPICS", "detectable_difference", "holm", "randomisation_p", "topics_needed"]

LEAST_TOPICS = 25
"""With fewer topics no claim is made: intervals and tests rest on samples of about this size or more."""
_SAME = 1e-12  # differences this small are arithmetic, not results


def randomisation_p(differences: Sequence[float], *, resamples: int = 9999, seed: int = 0) -> float:
    """The two-sided p value of the paired randomisation test: how often random signs give a mean as far from 0.

    Exact where 2^n sign patterns are no more than `resamples` (n topics that differ), else by random patterns.

    Args:
        differences: one for each topic.
        resamples: how many patterns of signs are tried.
        seed: the same seed gives the same value.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    data = np.asarray(differences, dtype=float)
    data = data[np.abs(data) > _SAME]  # a sign changes nothing there, and the exact test can take more topics
    if not data.size:
        return 1.0
    if data.size == 1:
        return 1.0
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtra("the randomisation test", "learn") from error
    found = stats.permutation_test(
        (data,),
        lambda x, axis: np.sum(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 2_000_000 // data.size),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """The p values after Holm's step-down correction, in the order given."""
    order = sorted(range(len(ps)), key=lambda number: ps[number])
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[number]))
        adjusted[number] = largest
    return adjusted


def detectable_difference(
    differences: Sequence[float], *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> float | None:
    """The smallest true mean difference that this many topics would show as significant, with probability `power`.

    (z₁₋α⸝₂ + z_power) · s / √(n − z²₁₋α⸝₂ / 2), s the standard deviation of the differences: the sample size of the
    paired t-test (see the module), solved for the difference. With several comparisons, alpha is divided by their number.

    Returns:
        The difference, or None with too few topics for the formula (fewer than 5).
    """
    z, total = _quantiles(alpha, power, comparisons)
    left = len(differences) - z * z / 2
    if len(differences) < 5 or left <= 0:
        return None
    return total * float(np.std(np.asarray(differences), ddof=1)) / math.sqrt(left)


def topics_needed(differences: Sequence[float], *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1) -> int | None:
    """How many topics would show a true mean difference as large as the one observed, with probability `power`.

    ((z₁₋α⸝₂ + z_power) · s / d)² + z²₁₋α⸝₂ / 2, d the observed mean; the same formula as `detectable_difference`.

    Returns:
        A number, at least `LEAST_TOPICS`; None if no difference was observed.
    """
    if len(differences) < 2:
        return None
    data = np.asarray(differences, dtype=float)
    mean = abs(float(data.mean()))
    if mean <= _SAME:
        return None
    z, total = _quantiles(alpha, power, comparisons)
    return max(LEAST_TOPICS, math.ceil((total * float(data.std(ddof=1)) / mean) ** 2 + z * z / 2))


def _quantiles(alpha: float, power: float, comparisons: int) -> tuple[float, float]:
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha / max(comparisons, 1) / 2)
    return z, z + normal.inv_cdf(power)
