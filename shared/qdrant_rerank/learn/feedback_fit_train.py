"""The three coefficients that rank points as the feedback model would: pairwise logistic loss, bounded L-BFGS-B.

As in RankNet (Burges et al., "Learning to rank using gradient descent", ICML 2005), for each two points of a query that the
feedback model told apart, the loss is `log(1 + exp(f(worse) - f(better)))`, weighed by how far apart it put them; each query
counts the same. The formula is the one that is served: over all pairs of seeds. In mode "recall" the seeds are no targets, as
the second search leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..errors import MissingExtra
from ..feedback.coefficients import Coefficients, Mode
from ..feedback.folding import Column, weights_of
from .feedback_fit_data import Example, Examples

__all__ = ["formula_scores", "trained"]

_MOST_B = 4.0
_MOST = 200.0  # of a and c, in units of the similarities' spread: beyond it, rankings don't change
_STARTS = ((1.0, 0.0, 0.3), (1.0, 0.5, 1.0), (1.0, 1.0, 0.3), (1.0, 2.0, 0.1), (3.0, 0.5, 3.0), (0.3, 1.0, 2.0))


def formula_scores(data: Examples, a: float, b: float, c: float) -> Column:
    """The formula's score of every point, shape (queries, n)."""
    weights = weights_of(data.seed_scores, b)
    found: Column = a * data.similarity + c * np.einsum("qk,qkn->qn", weights, data.to_seeds)
    return found


def trained(examples: Sequence[Example], mode: Mode) -> Coefficients:
    """The best coefficients of several starts; a is 1 unless the query has no weight at all.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingExtra("fit_feedback", "learn") from error
    data = Examples.of(examples)
    spread = float(np.std(data.scores[data.there])) or 1.0  # so that b doesn't change how large c has to be
    near = float(np.mean([np.std(example.similarity) for example in examples])) or 1.0
    scaled = Examples(data.similarity / near, data.to_seeds / near, data.scores / spread, data.there)
    loss = _Loss(scaled, mode)
    bounds = [(0.0, _MOST), (0.0, _MOST_B), (0.0, _MOST)]
    with _one_thread():
        found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in _STARTS]
    a, b, c = (float(value) for value in min(found, key=lambda each: float(each.fun)).x)
    c /= spread**b
    return Coefficients(1.0, b, c / a) if a > 1e-6 else Coefficients(0.0, b, 1.0)


def _one_thread() -> AbstractContextManager[object]:
    """Keeps BLAS from starting threads for three numbers, which takes a hundred times as long on a busy machine."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn brings it
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


class _Loss:
    """The loss of coefficients and its gradient."""

    def __init__(self, data: Examples, mode: Mode) -> None:
        self.data = data
        weights = _pair_weights(data, mode)
        self.query, self.better, self.worse = np.nonzero(weights)
        self.weights = weights[self.query, self.better, self.worse] / len(weights)
        self.near = self._gaps(data.similarity)
        difference = data.seed_scores[:, :, None] - data.seed_scores[:, None, :]
        self.confident = difference > 0
        self.confidence = np.where(self.confident, difference, 1.0)

    def __call__(self, parameters: Any) -> tuple[float, Column]:
        a, b, c = parameters
        powers = self.confidence**b * self.confident
        feedback, steeper = self._feedback(powers), self._feedback(powers * np.log(self.confidence))
        gap = a * self.near + c * feedback
        loss = _dot(self.weights, np.logaddexp(0.0, -gap))
        slope = -self.weights * np.exp(-np.logaddexp(0.0, gap))  # of the loss by the gap: -w·sigmoid(-gap)
        return loss, np.array([_dot(slope, self.near), c * _dot(slope, steeper), _dot(slope, feedback)])

    def _feedback(self, powers: Column) -> Column:
        """What the seeds' pairs, each counting `powers`, put between the points of each pair to rank."""
        weights = powers.sum(axis=-1) - powers.sum(axis=-2)
        return self._gaps(np.einsum("qk,qkn->qn", weights, self.data.to_seeds))

    def _gaps(self, values: Column) -> Column:
        gaps: Column = values[self.query, self.better] - values[self.query, self.worse]
        return gaps


def _dot(first: Column, second: Column) -> float:
    """Not by BLAS, whose threads get in each other's way on a busy machine: measured, 40 times slower."""
    return float((first * second).sum())


def _pair_weights(data: Examples, mode: Mode) -> Column:
    """For each two points how much it counts that the first comes before the second; shape (queries, n, n)."""
    better = np.maximum(data.scores[:, :, None] - data.scores[:, None, :], 0.0)
    there = data.there.copy()
    if mode == "recall":
        there[:, : data.to_seeds.shape[1]] = False
    better *= there[:, :, None] & there[:, None, :]
    total = better.sum(axis=(1, 2), keepdims=True)
    weights: Column = better / np.where(total == 0, 1.0, total)
    return weights
