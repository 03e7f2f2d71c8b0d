"""The three coefficients that rank points as the reranker would: pairwise logistic loss, bounded L-BFGS-B.

As in RankNet (Burges et al., "Learning to rank using gradient descent", ICML 2005), for each two points of a query with
different scores of the reranker, the loss is `log(1 + exp(f(worse) - f(better)))`, weighed by the scores' difference; each
query counts the same. `f` is the formula as it is served, over all pairs of seeds. In mode "recall" the seeds are no targets,
as the second search leaves them out.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._internals import Column, Mode, same, weights_of
from ...errors import MissingExtra
from ...feedback import Coefficients
from ..solver import one_thread
from .examples import Example, Examples

__all__ = ["FoldCoefficients", "fit_folds", "formula_scores", "train"]

_MOST_B = 4.0
_MOST = 200.0  # of a and c, in units of the similarities' spread: beyond it, rankings don't change
_EXACT: Any = {"ftol": 1e-13, "gtol": 1e-8}  # so that last digits of similarities, which engines differ in, stay last digits
# for a given b the loss is convex in a and c: starts that differ in those gain nothing
_STARTS = tuple((1.0, b, 0.3) for b in (0.0, 0.5, 1.0, 2.0))


def formula_scores(data: Examples, a: float, b: float, c: float) -> Column:
    """The formula's score of every point, shape (queries, n)."""
    weights = weights_of(data.seed_scores, b)
    found: Column = a * data.similarity + c * np.einsum("qk,qkn->qn", weights, data.to_seeds)
    return found


def train(examples: Sequence[Example], mode: Mode) -> Coefficients:
    """The best coefficients of several starts; a is 1 unless the query has no weight at all.

    Where the model gave the points of each query the same score, they are 1, 0, 0: plain search.

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
    if not len(loss.weights):
        return Coefficients(1.0, 0.0, 0.0)
    bounds = [(0.0, _MOST), (0.0, _MOST_B), (0.0, _MOST)]
    with _one_thread():
        found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=_EXACT) for start in _STARTS]
    a, b, c = (float(value) for value in min(found, key=lambda each: float(each.fun)).x)
    c /= spread**b
    return Coefficients(1.0, b, c / a) if a > 1e-6 else Coefficients(0.0, b, 1.0)


def _one_thread() -> AbstractContextManager[object]:
    """Keep BLAS from starting threads for three numbers, which takes a hundred times as long on a busy machine."""
    try:
        return one_thread()
    except MissingExtra:  # it only takes longer
        return nullcontext()


class _Loss:
    """The loss of coefficients and its gradient."""

    def __init__(self, data: Examples, mode: Mode) -> None:
        self.data = data
        weights = _pair_weights(data, mode)
        query, better, worse = np.nonzero(weights)
        longest = weights.shape[-1]
        self.better, self.worse = query * longest + better, query * longest + worse  # places in all points, one after another
        self.weights = weights[query, better, worse] / len(weights)
        self.near = data.similarity.ravel()
        difference = data.seed_scores[:, :, None] - data.seed_scores[:, None, :]
        self.confident = difference > 0
        self.confidence = np.where(self.confident, difference, 1.0)

    def __call__(self, parameters: Any) -> tuple[float, Column]:
        a, b, c = parameters
        powers = self.confidence**b * self.confident
        feedback, steeper = self._feedback(powers), self._feedback(powers * np.log(self.confidence))
        scores = a * self.near + c * feedback
        gap = scores[self.better] - scores[self.worse]
        small = np.exp(-np.abs(gap))  # at most 1, so that nothing overflows
        loss = _dot(self.weights, np.log1p(small) + np.maximum(-gap, 0.0))
        slope = -self.weights * np.where(gap > 0, small, 1.0) / (1.0 + small)  # -w·sigmoid(-gap)
        by_score = _sums(self.better, slope, len(scores)) - _sums(self.worse, slope, len(scores))
        return loss, np.array([_dot(by_score, self.near), c * _dot(by_score, steeper), _dot(by_score, feedback)])

    def _feedback(self, powers: Column) -> Column:
        """The sum over the seeds' pairs, each counting `powers`, for each point."""
        weights = powers.sum(axis=-1) - powers.sum(axis=-2)
        found: Column = np.einsum("qk,qkn->qn", weights, self.data.to_seeds).ravel()
        return found


def _dot(first: Column, second: Column) -> float:
    """Not by BLAS, whose threads get in each other's way on a busy machine: measured, 40 times slower."""
    return float((first * second).sum())


def _sums(places: NDArray[np.intp], values: Column, size: int) -> Column:
    """Shape (size,): the sum of the values at each place."""
    return np.bincount(places, values, size).astype(np.float64)


def _pair_weights(data: Examples, mode: Mode) -> Column:
    """How much it counts for each two points that the first comes before the second; shape (queries, n, n)."""
    better = np.maximum(data.scores[:, :, None] - data.scores[:, None, :], 0.0)
    there = data.there.copy()
    if mode == "recall":
        there[:, : data.to_seeds.shape[1]] = False
    better *= there[:, :, None] & there[:, None, :]
    total = better.sum(axis=(1, 2), keepdims=True)
    weights: Column = better / np.where(total == 0, 1.0, total)
    return weights


@dataclass(frozen=True)
class FoldCoefficients:
    """Coefficients fitted to all queries, and to all but those of one fold each.

    Attributes:
        coefficients: of all queries.
        folds: each without one fold.
        unseen_by: query text → the number of its fold, whose coefficients weren't fitted to it.
    """

    coefficients: Coefficients
    folds: tuple[Coefficients, ...]
    unseen_by: Mapping[str, int]

    def for_query(self, text: str) -> Coefficients:
        """The coefficients that a query is judged by."""
        return self.folds[self.unseen_by[text]]


def fit_folds(examples: Sequence[Example], mode: Mode, folds: int = 5, seed: int = 0) -> FoldCoefficients:
    """The coefficients of all examples, and for each fold those of all others.

    Args:
        examples: at least two with different queries.
        mode: as they will be used.
        folds: how many; fewer if there are fewer queries.
        seed: of dealing them.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    groups = sorted({same(example.query) for example in examples})
    random.Random(seed).shuffle(groups)
    fold_of = {group: place % folds for place, group in enumerate(groups)}
    unseen_by = {example.query: fold_of[same(example.query)] for example in examples}
    fitted = [
        train([example for example in examples if unseen_by[example.query] != fold], mode)
        for fold in range(min(folds, len(groups)))
    ]
    return FoldCoefficients(train(examples, mode), tuple(fitted), unseen_by)
