"""Cross-validation grouped by topic: which regularisation, what held-out scores, what each feature is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .solving import Array, Bounds, Problem, folds_of, losses, solve

__all__ = ["GRID", "Crossed", "bootstrapped", "crossed", "drop_one"]

GRID: Final = tuple(float(c) for c in np.logspace(-3, 3, 7))


@dataclass(frozen=True)
class Crossed:
    """What cross-validation found.

    Attributes:
        c: the chosen inverse strength of regularisation.
        loss: its mean log loss on held-out topics.
        margins: shape (m,), the score of each row of `judge` by a model that wasn't fitted to its topic.
    """

    c: float
    loss: float
    margins: Array


def crossed(fit: Problem, judge: Problem, grid: Sequence[float], bounds: Bounds | None, folds: int) -> Crossed:
    """The `c` of the grid with the least loss on held-out topics; the strongest regularisation among equals.

    Args:
        fit: rows that are fitted to: candidates, or pairs of them.
        judge: candidates, whose held-out scores are wanted; the same topics.
        grid: rising.
        bounds: of the coefficients.
        folds: how many.
    """
    best: Crossed | None = None
    splits = folds_of(judge.groups, folds)
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
            lost += float(left.w @ losses(left.margins(solution), left.y))
            mass += float(left.w.sum())
        loss = lost / mass if mass else float("inf")
        if best is None or loss < best.loss - 1e-9:
            best = Crossed(c, loss, margins)
    assert best is not None
    return best


def drop_one(fit: Problem, c: float, bounds: Bounds | None, folds: int, start: Array) -> list[float]:
    """By how much held-out loss rises without each feature; [] if there is only one."""
    width = fit.x.shape[1]
    if width < 2:
        return []
    splits = folds_of(fit.groups, folds)

    def loss(problem: Problem, limits: Bounds | None, first: Array) -> float:
        total = 0.0
        for rows, held in splits:
            left = problem.only(held)
            total += float(left.w @ losses(left.margins(solve(problem.only(rows), c, limits, first)), left.y))
        return total / float(problem.w.sum())

    whole = loss(fit, bounds, start)
    return [
        loss(fit.without(j), None if bounds is None else bounds[:j] + bounds[j + 1 :], np.delete(start, j)) - whole
        for j in range(width)
    ]


def bootstrapped(fit: Problem, c: float, bounds: Bounds | None, start: Array, count: int, seed: int) -> Array:
    """Coefficients (and intercept) fitted to topics drawn with replacement: shape (count, f + 1)."""
    generator = np.random.default_rng(seed)
    topics = int(fit.groups.max()) + 1
    present = np.unique(fit.groups)
    found: list[Array] = []
    while len(found) < count:
        factors = np.zeros(topics)
        factors[present] = generator.multinomial(len(present), np.full(len(present), 1 / len(present)))
        drawn = fit.weighed(factors)
        if len(np.unique(drawn.y)) == 2:
            found.append(solve(drawn, c, bounds, start))
    return np.array(found)
