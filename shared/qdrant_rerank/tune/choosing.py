"""Choosing on one half of the topics and judging on the other: numbers in, numbers out.

Nothing here knows what a configuration is; it is a row of values, one for each topic, and a place in the order of costs.

Sources: the one-standard-error rule of Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees" (1984),
here with the standard error of the paired difference to the best; Smucker, Allan and Carterette (CIKM 2007) for the test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluate import LEAST_TOPICS, Interval, bootstrap_interval, randomisation_p

__all__ = ["CrossFit", "Gain", "choose", "cross_fit", "gain_of"]

Matrix = NDArray[np.float64]
_SAME = 1e-12


@dataclass(frozen=True)
class CrossFit:
    """What choosing on one half was worth on the other, over many splits of the topics.

    Attributes:
        picks: the row chosen in each of S splits.
        held_in: the mean of that row on the half it was chosen on; shape (S,).
        held_out: its mean on the other half; shape (S,).
        gains: its mean gain over the baseline on the other half; shape (S,).
        topic_gains: for each of T topics, the mean gain over the splits in which it was held out; shape (T,).
    """

    picks: NDArray[np.int64]
    held_in: Matrix
    held_out: Matrix
    gains: Matrix
    topic_gains: Matrix


@dataclass(frozen=True)
class Gain:
    """Whether a gain is real.

    Attributes:
        mean: with its interval.
        p: of the paired randomisation test.
        real: whether it is above 0 beyond chance.
    """

    mean: Interval
    p: float
    real: bool


def choose(values: Matrix, order: NDArray[np.int64], baseline: int) -> int:
    """The row to use: the cheapest of those that can't be told from the best; of equally cheap ones the best.

    A row can't be told from the best if its mean lies within one standard error of the paired difference below it. Rows
    that are worse than the baseline are out of the question, however cheap. Of rows with the same mean the first is taken.

    Args:
        values: one row for each configuration, one column for each topic.
        order: the place of each row in the order of costs, cheapest first; rows that cost the same share a place.
        baseline: the baseline's row.
    """
    means = values.mean(axis=1)
    gaps = values[int(means.argmax())] - values
    errors = gaps.std(axis=1, ddof=1) / np.sqrt(values.shape[1]) if values.shape[1] > 1 else np.zeros(len(values))
    close = (gaps.mean(axis=1) <= errors + _SAME) & (means >= means[baseline] - _SAME)
    rows = np.flatnonzero(close)
    return int(rows[np.lexsort((-means[rows], order[rows]))[0]])


def cross_fit(values: Matrix, order: NDArray[np.int64], baseline: int, splits: int, seed: int) -> CrossFit:
    """Choose on random halves and judge on the others.

    Each random halving is used both ways, so every topic is held out in exactly half of the splits. What is said of a
    topic was always chosen without it.

    Args:
        values: as of `choose`, at least two topics.
        order: as of `choose`.
        baseline: as of `choose`.
        splits: an even number.
        seed: of the halvings.
    """
    topics = values.shape[1]
    drawn = np.random.default_rng(seed)
    picks, inside, outside, gains = [], [], [], []
    total = np.zeros(topics)
    for _ in range(splits // 2):
        shuffled = drawn.permutation(topics)
        halves = shuffled[: topics // 2], shuffled[topics // 2 :]
        for one, other in (halves, halves[::-1]):
            pick = choose(values[:, one], order, baseline)
            gain = values[pick, other] - values[baseline, other]
            total[other] += gain
            picks.append(pick)
            inside.append(values[pick, one].mean())
            outside.append(values[pick, other].mean())
            gains.append(gain.mean())
    return CrossFit(
        np.array(picks, np.int64), np.array(inside), np.array(outside), np.array(gains), total / max(splits // 2, 1)
    )


def gain_of(topic_gains: Matrix, *, alpha: float, seed: int = 0, resamples: int = 9999) -> Gain:
    """What held-out gains say: real only if the test says so, the interval is above 0, and there are `LEAST_TOPICS` topics.

    Args:
        topic_gains: one for each topic.
        alpha: how often a gain may be claimed where there is none.
        seed: of the resampling.
        resamples: patterns of signs that the test tries.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    gains = [float(gain) for gain in topic_gains]
    p = randomisation_p(gains, resamples=resamples, seed=seed)
    mean = bootstrap_interval(gains, level=1 - alpha, seed=seed)
    real = p < alpha and mean.low is not None and mean.low > 0 and len(gains) >= LEAST_TOPICS
    return Gain(mean, p, real)
