"""From scores to probabilities of relevance: monotone maps, fitted on held-out topics and compiled into the formula.

| method | map | source |
|---|---|---|
| `platt` | `sigmoid(a·z + b)` | Platt, "Probabilistic outputs for support vector machines", 1999 |
| `beta` | `sigmoid(a·ln p − b·ln(1 − p) + c)` with `p = sigmoid(z)` | Kull, Silva Filho and Flach, AISTATS 2017 |
| `isotonic` | rising, piecewise linear in z, at most 15 knots | Zadrozny and Elkan, KDD 2002 |

`z` is the score before its sigmoid. All rise strictly, so that ranks don't change and no ties come up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias, assert_never, get_args

import numpy as np

from .. import StrategyError
from ..errors import FitError, MissingExtra
from ..expressions import Expression, clip, log
from ..expressions._internals import CandidateScore, Constant, Product, Sigmoid, Sum, Table, evaluate
from .solving import Array, Bounds, Problem, solve

__all__ = ["METHODS", "Method", "ScoreMap", "affine", "fit_map"]

Method: TypeAlias = Literal["none", "platt", "beta", "isotonic"]
METHODS: Final = get_args(Method)
KNOTS: Final = 15
_TAIL: Final = 0.001  # of an isotonic map: how much of a sigmoid is in it, which rises where the map is flat
_GENTLE: Final = 0.25  # that sigmoid's slope: small, so that 32-bit scores differ even where the score is far from 0
_FREE: Final = 1e6  # C so large that nothing is regularised


@dataclass(frozen=True)
class ScoreMap:
    """A monotone map from scores before the sigmoid to probabilities.

    Attributes:
        method: which kind; `none` is the sigmoid itself.
        parameters: (a, b) for platt, (a, b, c) for beta; for isotonic the knots' scores, then their probabilities.

    Raises:
        StrategyError: an unknown method, or another number of parameters.
    """

    method: Method = "none"
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise StrategyError(f"calibration is one of {', '.join(METHODS)}; got {self.method!r}")
        count, expected = len(self.parameters), {"none": 0, "platt": 2, "beta": 3}.get(self.method)
        if (expected is not None and count != expected) or (expected is None and (count % 2 or count < 4)):
            raise StrategyError(f"a {self.method} calibration has {expected or 'two or more pairs of'} parameters, got {count}")

    def expression(self, score: Expression) -> Expression:
        """The map of `score`, as a formula."""
        match self.method:
            case "none":
                return Sigmoid(score)
            case "platt":
                return Sigmoid(affine(score, *self.parameters))
            case "beta":
                a, b, c = self.parameters
                p = Sigmoid(score)
                return Sigmoid(Constant(a) * log(p) - Constant(b) * log(Constant(1.0) - p) + Constant(c))
            case "isotonic":
                return self._steps(score)
        assert_never(self.method)

    def _steps(self, score: Expression) -> Expression:
        half = len(self.parameters) // 2
        knots, values = self.parameters[:half], self.parameters[half:]
        keep = 1.0 - _TAIL
        terms: list[Expression] = [Constant(keep * values[0]), Product((Constant(_TAIL), Sigmoid(affine(score, _GENTLE, 0.0))))]
        for number in range(half - 1):
            width = knots[number + 1] - knots[number]
            slope = keep * (values[number + 1] - values[number]) / width
            if slope:
                terms.append(Product((Constant(slope), clip(affine(score, 1.0, -knots[number]), 0.0, width))))
        return Sum(tuple(terms))

    def apply(self, scores: Array) -> Array:
        """The probabilities of scores, shape (n,): what the compiled formula gives."""
        return evaluate(self.expression(CandidateScore(None)), Table([{}] * len(scores), [0] * len(scores), {None: scores}))


def affine(score: Expression, factor: float, offset: float) -> Expression:
    """`factor · score + offset`, with the factor taken into the terms of a sum, so that each still is one summand."""
    terms = score.terms if isinstance(score, Sum) else (score,)
    scaled = [_scaled(term, factor) for term in terms]
    if isinstance(scaled[-1], Constant):
        offset += scaled.pop().value  # type: ignore[attr-defined]  # isinstance() has just looked
    return Sum((*scaled, Constant(offset))) if scaled else Constant(offset)


def _scaled(term: Expression, factor: float) -> Expression:
    if factor == 1.0:
        return term
    match term:
        case Constant(value):
            return Constant(factor * value)
        case Product((Constant(value), *rest)):
            return Product((Constant(factor * value), *rest))
        case _:
            return Product((Constant(factor), term))


def fit_map(method: Method, scores: Array, y: Array, w: Array) -> ScoreMap:
    """The map of this kind that fits best.

    Args:
        method: which kind.
        scores: shape (n,), scores before the sigmoid, of rows that they weren't fitted to.
        y: shape (n,), 0 or 1.
        w: shape (n,), weights.

    Raises:
        FitError: one class only, or scores that don't rise with relevance.
        MissingExtra: scikit-learn isn't installed.
    """
    if method not in METHODS:
        raise StrategyError(f"calibration is one of {', '.join(METHODS)}; got {method!r}")
    if not 0 < y.sum() < len(y):
        raise FitError(f"all {len(y)} rows are {'relevant' if y.any() else 'not relevant'}: there is nothing to calibrate to")
    match method:
        case "none":
            return ScoreMap()
        case "platt":
            return ScoreMap("platt", _logistic([scores], y, w, rising=False))
        case "beta":
            p = ScoreMap().apply(scores)
            columns = [np.log(np.maximum(p, 1e-9)), -np.log(np.maximum(1.0 - p, 1e-9))]
            return ScoreMap("beta", _logistic(columns, y, w, rising=True))
        case "isotonic":
            return ScoreMap("isotonic", _isotonic(scores, y, w))
    assert_never(method)


def _logistic(columns: Sequence[Array], y: Array, w: Array, rising: bool) -> tuple[float, ...]:
    """Coefficients and intercept of a logistic regression that nothing restrains, but for signs."""
    raw = np.column_stack(columns)
    means, deviations = raw.mean(axis=0), raw.std(axis=0)
    if not deviations.all():
        raise FitError("all scores are the same: there is nothing to calibrate")
    problem = Problem((raw - means) / deviations, y, w / w.mean(), np.zeros(len(y), dtype=np.int64))
    limits: Bounds = [(0.0, None) for _ in columns]
    found = solve(problem, _FREE, limits if rising else None)
    slopes = found[:-1] / deviations
    if slopes.max() <= 0:
        raise FitError("higher scores are not more often relevant here: these scores can't be calibrated")
    return (*slopes.tolist(), float(found[-1] - slopes @ means))


def _isotonic(scores: Array, y: Array, w: Array) -> tuple[float, ...]:
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError as error:
        raise MissingExtra("isotonic calibration", "learn") from error
    model: Any = IsotonicRegression(y_min=0.0, y_max=1.0)
    fitted = np.asarray(model.fit_transform(scores, y, sample_weight=w))
    levels, of = np.unique(fitted, return_inverse=True)
    mass = np.bincount(of, w)
    blocks = [(float(m), float(x), float(v)) for m, x, v in zip(mass, np.bincount(of, w * scores) / mass, levels, strict=True)]
    while len(blocks) > KNOTS:
        costs = [_merge_cost(one, two) for one, two in pairwise(blocks)]
        at = int(np.argmin(costs))
        blocks[at : at + 2] = [_merged(blocks[at], blocks[at + 1])]
    if len(blocks) < 2:
        raise FitError("higher scores are not more often relevant here: these scores can't be calibrated")
    return (*(block[1] for block in blocks), *(block[2] for block in blocks))


_Block: TypeAlias = tuple[float, float, float]  # weight, mean score, probability


def _merged(one: _Block, two: _Block) -> _Block:
    mass = one[0] + two[0]
    return mass, (one[0] * one[1] + two[0] * two[1]) / mass, (one[0] * one[2] + two[0] * two[2]) / mass


def _merge_cost(one: _Block, two: _Block) -> float:
    """By how much merging raises the squared error."""
    return one[0] * two[0] / (one[0] + two[0]) * (one[2] - two[2]) ** 2
