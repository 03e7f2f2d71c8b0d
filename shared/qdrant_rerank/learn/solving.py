"""Logistic regression as numbers: L2-penalised, weighted, with bounds if need be."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingExtra

__all__ = ["Bounds", "Problem", "folds_of", "losses", "one_thread", "sigmoid", "solve", "within"]

Array: TypeAlias = NDArray[np.float64]
Bounds: TypeAlias = "list[tuple[float | None, float | None]]"


@dataclass(frozen=True)
class Problem:
    """What is fitted.

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
        """Some of the rows."""
        return Problem(self.x[rows], self.y[rows], self.w[rows], self.groups[rows], self.intercept)

    def without(self, column: int) -> Problem:
        """All columns but one."""
        return Problem(np.delete(self.x, column, axis=1), self.y, self.w, self.groups, self.intercept)

    def weighed(self, factors: Array) -> Problem:
        """The rows with a weight above 0, once each weight is multiplied by its topic's factor."""
        weights = self.w * factors[self.groups]
        kept = weights > 0
        return Problem(self.x[kept], self.y[kept], weights[kept], self.groups[kept], self.intercept)

    def margins(self, solution: Array) -> Array:
        """`x · coefficients + intercept`."""
        return np.asarray(self.x @ solution[:-1] + solution[-1])


def solve(problem: Problem, c: float, bounds: Bounds | None = None, start: Array | None = None) -> Array:
    """The coefficients and, last, the intercept that minimise `½|β|² + C·Σ w·log-loss`; shape (f + 1,).

    By scikit-learn's LogisticRegression; from a start, which is what is done hundreds of times, by Newton's method; with
    bounds, or where that doesn't arrive, by scipy's L-BFGS-B. All minimise the same.

    Raises:
        MissingExtra: scikit-learn or scipy isn't installed.
    """
    if bounds is None and start is None:
        return _by_sklearn(problem, c)
    if start is not None:
        arrived = _by_newton(problem, c, start)
        if arrived is not None and within(arrived, bounds):  # a convex problem: nothing else within the bounds is better
            return arrived
    try:
        from scipy import optimize
    except ImportError as error:
        raise MissingExtra("fit_logistic", "learn") from error
    width = problem.x.shape[1]
    first = np.zeros(width + 1) if start is None else start
    limits = [*(bounds or [(None, None)] * width), (None, None) if problem.intercept else (0.0, 0.0)]
    options: Any = {"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-8}
    scale = 1.0 / (c * max(1.0, float(problem.w.sum())))
    found: Any = optimize.minimize(
        lambda b: _objective(problem, c, scale, b), first, jac=True, method="L-BFGS-B", bounds=limits, options=options
    )
    return np.asarray(found.x, dtype=np.float64)


def within(solution: Array, bounds: Bounds | None) -> bool:
    """Whether the coefficients keep the bounds."""
    pairs = zip(solution, bounds or [], strict=False)
    return all((low is None or value >= low) and (high is None or value <= high) for value, (low, high) in pairs)


def _by_newton(problem: Problem, c: float, start: Array) -> Array | None:
    """Newton's method with halved steps; None if it doesn't arrive."""
    columns = np.column_stack([problem.x, np.full(len(problem.y), 1.0 if problem.intercept else 0.0)])
    ridge = np.append(np.ones(problem.x.shape[1]), 0.0 if problem.intercept else 1.0)
    scale = 1.0 / (c * max(1.0, float(problem.w.sum())))
    solution = start.copy()
    value, gradient = _objective(problem, c, scale, solution)
    for _ in range(50):
        if not problem.intercept:
            gradient[-1] = 0.0
        if np.abs(gradient).max() < 1e-9:
            return solution
        p = sigmoid(problem.margins(solution))
        hessian = (columns.T * (c * problem.w * p * (1.0 - p))) @ columns + np.diag(ridge)
        try:
            step = np.linalg.solve(hessian * scale, gradient)
        except np.linalg.LinAlgError:
            return None
        for _ in range(30):
            tried, slope = _objective(problem, c, scale, solution - step)
            if tried <= value + 1e-15:
                break
            step = step / 2
        else:
            return solution if np.abs(gradient).max() < 1e-7 else None
        solution, value, gradient = solution - step, tried, slope
    return None


def _by_sklearn(problem: Problem, c: float) -> Array:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra("fit_logistic", "learn") from error
    model: Any = LogisticRegression(C=c, fit_intercept=problem.intercept, tol=1e-8, max_iter=5000)
    model.fit(problem.x, problem.y, sample_weight=problem.w)
    return np.append(model.coef_[0], float(np.ravel(model.intercept_)[0]) if problem.intercept else 0.0)


def _objective(problem: Problem, c: float, scale: float, solution: Array) -> tuple[float, Array]:
    signs = 2.0 * problem.y - 1.0
    margins = problem.margins(solution) * signs
    value = 0.5 * float(solution[:-1] @ solution[:-1]) + c * float(problem.w @ np.logaddexp(0.0, -margins))
    pull = -c * problem.w * signs * sigmoid(-margins)
    gradient = np.append(problem.x.T @ pull + solution[:-1], pull.sum())
    return value * scale, gradient * scale


def one_thread() -> AbstractContextManager[Any]:
    """Keeps linear algebra to one thread: on matrices of a few columns, threads wait for each other more than they work.

    Raises:
        MissingExtra: scikit-learn, which brings threadpoolctl, isn't installed.
    """
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("fit_logistic", "learn") from error
    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def sigmoid(margins: Array) -> Array:
    """`1 / (1 + exp(-margins))` without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margins)))


def losses(margins: Array, y: Array) -> Array:
    """Each row's log loss."""
    return np.asarray(np.logaddexp(0.0, -margins * (2.0 * y - 1.0)))


def folds_of(groups: NDArray[np.int64], count: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and rows to judge on, no topic in both.

    Raises:
        MissingExtra: scikit-learn isn't installed.
    """
    try:
        from sklearn.model_selection import GroupKFold
    except ImportError as error:
        raise MissingExtra("cross-validation", "learn") from error
    splitter: Any = GroupKFold(min(count, len(np.unique(groups))))
    return [(fit, judge) for fit, judge in splitter.split(groups, groups=groups)]
