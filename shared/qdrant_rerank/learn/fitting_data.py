"""A log made ready for fitting, and everything that there may be too little of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from .feature_log import FeatureLog
from .features import Category, Feature
from .solving import Array, Problem

__all__ = ["LEAST_RELEVANT", "LEAST_TOPICS", "Prepared", "pairs", "prepared"]

LEAST_TOPICS: Final = 10
LEAST_RELEVANT: Final = 10
_MOST_PAIRS: Final = 2000


@dataclass(frozen=True)
class Prepared:
    """Standardised features with their labels, in an order that doesn't depend on the log's.

    Attributes:
        log: the log, its rows sorted.
        problem: standardised; weights have a mean of 1.
        means: shape (f,), weighted.
        deviations: shape (f,), weighted standard deviations.
    """

    log: FeatureLog
    problem: Problem
    means: Array
    deviations: Array


def prepared(log: FeatureLog, least_grade: int = 1) -> Prepared:
    """The log as a problem.

    Raises:
        FitError: there is too little, only one class, or a feature that can't be fitted; says what is there.
    """
    log = log.rows(np.lexsort((log.documents, log.topics)))
    y = log.relevant(least_grade)
    _check_features(log)
    _check_classes(log, y)
    w = log.weights / log.weights.mean()
    means = np.average(log.values, axis=0, weights=w)
    deviations = np.sqrt(np.average((log.values - means) ** 2, axis=0, weights=w))
    _check_constant(log, means, deviations)
    _check_separating(log, y)
    _, groups = np.unique(log.topics, return_inverse=True)
    x = (log.values - means) / deviations
    return Prepared(log, Problem(x, y.astype(np.float64), w, groups.astype(np.int64)), means, deviations)


def _check_features(log: FeatureLog) -> None:
    if not len(log):
        raise FitError("the log has no rows: no candidate found anything for any topic")
    for name, feature in log.features.items():
        if isinstance(feature, Category):
            raise FitError(
                f"{name!r} is a category, which only trees split on: give one feature for each category, e.g. "
                f"when(models.FieldCondition(key={feature.key!r}, match=models.MatchValue(value=…)))"
            )
        values = log.column(name)
        if bad := int((~np.isfinite(values)).sum()):
            raise FitError(f"{name!r} has no finite value in {bad} of {len(log)} rows: give it a default, {_default(feature)}")


def _default(feature: Feature) -> str:
    key = getattr(feature.expression, "key", "key")
    return f"field({key!r}, default=…)"


def _check_classes(log: FeatureLog, y: NDArray[np.bool_]) -> None:
    relevant, topics = int(y.sum()), len(log.topic_ids)
    if relevant in (0, len(log)):
        only = "relevant" if relevant else "not relevant"
        hint = (
            "log unjudged candidates as negatives, unjudged='negative'"
            if relevant
            else "do the candidates find what was judged?"
        )
        raise FitError(f"all {len(log)} rows of the log are {only}: there are no others to tell them from; {hint}")
    if topics < LEAST_TOPICS:
        raise FitError(f"the log has rows of {topics} topics; a fit that is judged on held-out topics needs {LEAST_TOPICS}")
    if relevant < LEAST_RELEVANT:
        raise FitError(f"the log has {relevant} relevant rows (of {len(log)}); a fit needs at least {LEAST_RELEVANT}")
    with_relevant = len(set(log.topics[y].tolist()))
    if with_relevant < LEAST_TOPICS // 2:
        raise FitError(
            f"only {with_relevant} of {topics} topics have a relevant row; a fit needs {LEAST_TOPICS // 2}, "
            "so that there are some both to fit on and to judge on"
        )


def _check_constant(log: FeatureLog, means: Array, deviations: Array) -> None:
    constant = [
        f"{name!r} (always {mean:g}{_why(log, name)})"
        for name, mean, deviation in zip(log.names, means, deviations, strict=True)
        if deviation <= 1e-12 * max(1.0, abs(mean))
    ]
    if constant:
        raise FitError(f"{', '.join(constant)}: the same in all rows, so nothing can be learned of it; leave it out")


def _why(log: FeatureLog, name: str) -> str:
    nowhere = name in log.reference and log.reference[name].missing == 1.0
    return ": no stored point had what it reads when the log was made" if nowhere else ""


def _check_separating(log: FeatureLog, y: NDArray[np.bool_]) -> None:
    for name in log.names:
        values = log.column(name)
        inside, outside = values[y], values[~y]
        if inside.min() > outside.max() or inside.max() < outside.min():
            raise FitError(
                f"{name!r} alone tells relevant rows from all others without an error ({inside.min():g} to {inside.max():g} "
                f"against {outside.min():g} to {outside.max():g}): its weight would have no bound, and such a feature usually "
                "holds the label; leave it out, or log more topics"
            )


def pairs(data: Prepared, seed: int) -> Problem:
    """Differences of two rows of one topic, the more relevant minus the less; every second one turned around.

    Each topic counts alike; of more than 2 000 pairs in a topic that many are drawn.

    Raises:
        FitError: fewer than ten topics have rows of different grades.
    """
    generator = np.random.default_rng(seed)
    problem, grades = data.problem, data.log.grades
    above: list[NDArray[np.int64]] = []
    below: list[NDArray[np.int64]] = []
    for group in np.unique(problem.groups):
        rows = np.flatnonzero(problem.groups == group)
        first, second = np.nonzero(grades[rows][:, None] > grades[rows][None, :])
        if len(first) > _MOST_PAIRS:
            drawn = np.sort(generator.choice(len(first), _MOST_PAIRS, replace=False))
            first, second = first[drawn], second[drawn]
        if len(first):
            above.append(rows[first])
            below.append(rows[second])
    if len(above) < LEAST_TOPICS:
        raise FitError(f"{len(above)} topics have rows of different grades; the pairwise loss needs {LEAST_TOPICS}")
    better, worse = np.concatenate(above), np.concatenate(below)
    turned = np.where(np.arange(len(better)) % 2 == 0, 1.0, -1.0)
    weights = np.concatenate([_shares(problem.w[one] * problem.w[two]) for one, two in zip(above, below, strict=True)])
    x = (problem.x[better] - problem.x[worse]) * turned[:, None]
    y = (turned > 0).astype(np.float64)
    return Problem(x, y, weights / weights.mean(), problem.groups[better], intercept=False)


def _shares(weights: Array) -> Array:
    return np.asarray(weights / weights.sum())
