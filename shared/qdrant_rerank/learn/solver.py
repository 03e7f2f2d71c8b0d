"""Logistic regression as numbers: a log as a problem, its solution (L2-penalised, weighted, bounded), cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._internals import load_extra
from ..errors import FitError
from .features import Category
from .log import FeatureLog

Array: TypeAlias = NDArray[np.float64]
Bounds: TypeAlias = "list[tuple[float | None, float | None]]"


@dataclass(frozen=True)
class Problem:
    """Rows to fit to.

    Attributes:
        x: shape (n, f), standardised.
        y: shape (n,), 0 or 1.
        w: shape (n,), weights with a mean of about 1.
        groups: shape (n,), the number of each row's topic.
        intercept: whether there is one; it isn't penalised.
    """

    x: Array
    y: Array
    w: Array
    groups: NDArray[np.int64]
    intercept: bool = True

    def only(self, rows: NDArray[Any]) -> Problem:
        return Problem(self.x[rows], self.y[rows], self.w[rows], self.groups[rows], self.intercept)

    def without(self, column: int) -> Problem:
        return replace(self, x=np.delete(self.x, column, axis=1))

    def weigh(self, factors: Array) -> Problem:
        """The rows with each weight multiplied by its topic's factor, without those of weight 0."""
        weights = self.w * factors[self.groups]
        return replace(self, w=weights).only(weights > 0)

    def margins(self, solution: Array) -> Array:
        """`x · coefficients + intercept`."""
        return np.asarray(self.x @ solution[:-1] + solution[-1])


def solve(problem: Problem, c: float, bounds: Bounds | None = None, start: Array | None = None) -> Array:
    """The coefficients and, last, the intercept that minimise `½|β|² + C·Σ w·log-loss`; shape (f + 1,).

    By scipy's L-BFGS-B, from `start` (zeros if None): a convex problem, so that where one starts changes the time alone. Raises
    MissingExtra without scipy.
    """
    optimize = load_extra("scipy.optimize", "fit_logistic", "learn")
    width = problem.x.shape[1]
    limits = [*(bounds or [(None, None)] * width), (None, None) if problem.intercept else (0.0, 0.0)]
    options = {"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-8}
    scale = 1.0 / (c * max(1.0, float(problem.w.sum())))
    found = optimize.minimize(
        lambda b: _objective(problem, c, scale, b),
        np.zeros(width + 1) if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options=options,
    )
    return np.asarray(found.x, dtype=np.float64)


def keeps_bounds(solution: Array, bounds: Bounds) -> bool:
    """Whether the coefficients keep the bounds."""
    pairs = zip(solution[:-1], bounds, strict=True)
    return all((low is None or value >= low) and (high is None or value <= high) for value, (low, high) in pairs)


def _objective(problem: Problem, c: float, scale: float, solution: Array) -> tuple[float, Array]:
    signs = 2.0 * problem.y - 1.0
    margins = problem.margins(solution) * signs
    value = 0.5 * float(solution[:-1] @ solution[:-1]) + c * float(problem.w @ np.logaddexp(0.0, -margins))
    pull = -c * problem.w * signs * expit(-margins)
    gradient = np.append(problem.x.T @ pull + solution[:-1], pull.sum())
    return value * scale, gradient * scale


def one_thread() -> AbstractContextManager[Any]:
    """Keep linear algebra to one thread: on matrices of a few columns, threads wait for each other more than they work.

    Raises MissingExtra without scikit-learn, which brings threadpoolctl.
    """
    limits: AbstractContextManager[Any] = load_extra("threadpoolctl", "fit_logistic", "learn").threadpool_limits(1)
    return limits


def expit(margins: Array) -> Array:
    """`1 / (1 + exp(-margins))` without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margins)))


def log_losses(margins: Array, y: Array) -> Array:
    """Each row's log loss."""
    return np.asarray(np.logaddexp(0.0, -margins * (2.0 * y - 1.0)))


def split_folds(groups: NDArray[np.int64], count: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and rows to judge on, no topic in both. Raises MissingExtra where scikit-learn isn't installed."""
    model_selection = load_extra("sklearn.model_selection", "cross-validation", "learn")
    splitter = model_selection.GroupKFold(min(count, len(np.unique(groups))))
    return list(splitter.split(groups, groups=groups))


GRID: Final = tuple(float(c) for c in np.logspace(-3, 3, 7))


@dataclass(frozen=True)
class CrossValidation:
    """The inverse strength of regularisation that cross-validation chose, and its mean log loss on held-out topics.

    `margins`, shape (m,), are the scores of the rows of `judge` by models that weren't fitted to their topics.
    """

    c: float
    loss: float
    margins: Array


def cross_validate(fit: Problem, judge: Problem, grid: Sequence[float], bounds: Bounds | None, folds: int) -> CrossValidation:
    """The `c` of the rising grid with the least loss on held-out topics; the strongest regularisation among equals.

    Rows to fit to are candidates, or pairs of them; those to judge by are candidates of the same topics.
    """
    best = CrossValidation(0.0, math.inf, np.empty(0))
    splits = split_folds(judge.groups, folds)
    for c in grid:
        margins = np.zeros(len(judge.y))
        lost, mass = 0.0, 0.0
        for _, held in splits:
            apart = np.isin(fit.groups, judge.groups[held])
            if len(np.unique(fit.y[~apart])) < 2:
                continue  # nothing to fit on: these topics stay at 0
            solution = solve(fit.only(~apart), c, bounds, np.zeros(fit.x.shape[1] + 1))
            margins[held] = judge.only(held).margins(solution)
            left = fit.only(apart)
            lost += float(left.w @ log_losses(left.margins(solution), left.y))
            mass += float(left.w.sum())
        loss = lost / mass if mass else math.inf
        if not len(best.margins) or loss < best.loss - 1e-9:
            best = CrossValidation(c, loss, margins)
    return best


def drop_one(fit: Problem, c: float, bounds: Bounds | None, folds: int, start: Array) -> list[float]:
    """By how much held-out loss rises without each feature; [] if there is only one."""
    width = fit.x.shape[1]
    if width < 2:
        return []
    splits = split_folds(fit.groups, folds)

    def loss(problem: Problem, limits: Bounds | None, first: Array) -> float:
        total = 0.0
        for rows, held in splits:
            left = problem.only(held)
            total += float(left.w @ log_losses(left.margins(solve(problem.only(rows), c, limits, first)), left.y))
        return total / float(problem.w.sum())

    whole = loss(fit, bounds, start)
    return [
        loss(fit.without(j), None if bounds is None else bounds[:j] + bounds[j + 1 :], np.delete(start, j)) - whole
        for j in range(width)
    ]


def draw_bootstraps(fit: Problem, c: float, bounds: Bounds | None, start: Array, count: int, seed: int) -> Array:
    """Coefficients (and intercept) fitted to topics drawn with replacement: shape (count, f + 1)."""
    generator = np.random.default_rng(seed)
    topics = int(fit.groups.max()) + 1
    present = np.unique(fit.groups)
    found: list[Array] = []
    while len(found) < count:
        factors = np.zeros(topics)
        factors[present] = generator.multinomial(len(present), np.full(len(present), 1 / len(present)))
        drawn = fit.weigh(factors)
        if len(np.unique(drawn.y)) == 2:
            found.append(solve(drawn, c, bounds, start))
    return np.array(found)


LEAST_TOPICS: Final = 10
LEAST_RELEVANT: Final = 10
_MOST_PAIRS: Final = 2000


@dataclass(frozen=True)
class Prepared:
    """Standardised features with their labels, in the order of topics and documents: the sorted log as a problem.

    `means` and standard `deviations`, shape (f,), are weighted; the problem's weights have a mean of 1.
    """

    log: FeatureLog
    problem: Problem
    means: Array
    deviations: Array


def prepare(log: FeatureLog, least_grade: int = 1) -> Prepared:
    """The log as a problem. Raises FitError where there is too little, only one class, or a feature that can't be fitted."""
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
            default = f"field({getattr(feature.expression, 'key', 'key')!r}, default=…)"
            raise FitError(f"{name!r} has no finite value in {bad} of {len(log)} rows: give it a default, {default}")


def _check_classes(log: FeatureLog, y: NDArray[np.bool_]) -> None:
    relevant, topics = int(y.sum()), len(log.topic_ids)
    if relevant in (0, len(log)):
        only = "relevant" if relevant else "not relevant"
        hint = "log unjudged candidates as negatives, unjudged='negative'"
        raise FitError(
            f"all {len(log)} rows of the log are {only}: there are no others to tell them from; "
            f"{hint if relevant else 'do the candidates find what was judged?'}"
        )
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
    constant: list[str] = []
    for name, mean, deviation in zip(log.names, means, deviations, strict=True):
        if deviation <= 1e-12 * max(1.0, abs(mean)):
            nowhere = name in log.reference and log.reference[name].missing == 1.0
            why = ": no stored point had what it reads when the log was made" if nowhere else ""
            constant.append(f"{name!r} (always {mean:g}{why})")
    if constant:
        raise FitError(f"{', '.join(constant)}: the same in all rows, so nothing can be learned of it; leave it out")


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


def make_pairs(data: Prepared, seed: int) -> Problem:
    """Differences of two rows of one topic, the more relevant minus the less; every second one turned around.

    Each topic counts alike; of more than 2 000 pairs in a topic, 2 000 are drawn. Raises FitError where fewer than ten topics
    have rows of different grades.
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
    products = [problem.w[one] * problem.w[two] for one, two in zip(above, below, strict=True)]
    weights = np.concatenate([each / each.sum() for each in products])
    x = (problem.x[better] - problem.x[worse]) * turned[:, None]
    y = (turned > 0).astype(np.float64)
    return Problem(x, y, weights / weights.mean(), problem.groups[better], intercept=False)
