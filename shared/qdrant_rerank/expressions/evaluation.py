"""Expressions computed with numpy, as an engine computes them: constants of two 32-bit floats, 64-bit arithmetic.

For explaining results, logging features and testing; `lowering` is the other reading of the same nodes, and the tests
hold the two together on every engine.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..errors import PlanError, QueryError, StrategyError
from ..values import brief
from . import columns
from .conditions import Conditions
from .encodings import SIGMOID_BOUND
from .lowering import EXPONENT_BOUND, MODEL_ELSEWHERE
from .nodes import (
    Absolute,
    Affinity,
    CandidateScore,
    Constant,
    DatetimeField,
    Decay,
    Exponential,
    Expression,
    Field,
    GeoDistance,
    Instant,
    Logarithm,
    Maximum,
    Minimum,
    Negative,
    Now,
    Param,
    Power,
    Product,
    QueryTokens,
    Quotient,
    Raw,
    RerankScore,
    Sigmoid,
    SquareRoot,
    Sum,
    Tanh,
    When,
)
from .reading import param_map, param_number, param_place, token_count
from .view import View
from .wire import f32_pair

__all__ = ["Table", "evaluate", "score_points"]

Column: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """The points that an expression is computed for.

    Attributes:
        payloads: one for each of n points.
        ids: their ids.
        scores: by candidate name (None: the only candidate), n scores; NaN where that candidate didn't find the point.
        features: the query's request-time values.
        now: what `now()` means.
        vectors: for `HasVectorCondition`: the names of the vectors that each point has.
        tokens: for `query_tokens(name)`: how many token vectors the query has, by vector.
        model: for `rerank_score()`: n scores of the model that read the texts.
        view: how the engine sees the payloads; `target.view` where there is a target.
    """

    payloads: Sequence[Mapping[str, Any]]
    ids: Sequence[models.ExtendedPointId]
    scores: Mapping[str | None, Column] = field(default_factory=dict[str | None, Column])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    now: dt.datetime | None = None
    vectors: Sequence[Sequence[str]] | None = None
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    relevance: Column | None = None
    view: View = field(default_factory=View)

    def __len__(self) -> int:
        return len(self.payloads)

    @cached_property
    def conditions(self) -> Conditions:
        """What conditions say of the points, each decided once."""
        return Conditions(self.payloads, self.ids, self.vectors, self.view)

    @cached_property
    def _read(self) -> dict[tuple[Any, str], Column]:
        return {}

    @cached_property
    def _constants(self) -> dict[float, Column]:
        return {}

    def constant(self, value: float) -> Column:
        """A column of one value as an engine knows it; made once, as the same leaf is in many trees. Not to be changed."""
        if value not in self._constants:
            self._constants[value] = self.all(_constant(value))
        return self._constants[value]

    def numbers(self, key: str) -> Column:
        """The number at a payload key of each point; NaN where there is none. A network reads each key for each unit."""
        return self._once(columns.numbers, key)

    def _once(self, read: Callable[[str, Sequence[Mapping[str, Any]], View], Column], key: str) -> Column:
        if (read, key) not in self._read:
            self._read[read, key] = read(key, self.payloads, self.view)
        return self._read[read, key]

    def all(self, value: float) -> Column:
        """A column of one value."""
        return np.full(len(self), value, np.float64)


def score_points(expression: Expression, table: Table) -> NDArray[np.float32]:
    """The scores that an engine gives the points: shape (n,), 32-bit floats."""
    return evaluate(expression, table).astype(np.float32)


def evaluate(expression: Expression, table: Table) -> Column:
    """The expression's value for each point: shape (n,), 64-bit floats.

    Raises:
        PlanError: a point lacks a payload key that is read without a default, as the engine would refuse.
        QueryError: a request-time value is missing or isn't a number.
        StrategyError: a raw expression, which only an engine can compute; or a score that the table lacks.
    """
    match expression:
        case Constant(value):
            return table.constant(value)
        case Sum(terms):
            return reduce(np.add, (evaluate(term, table) for term in terms))
        case Product(factors):
            return _product([evaluate(factor, table) for factor in factors])
        case Negative(operand):
            return -evaluate(operand, table)
        case Quotient(dividend, divisor, at_zero):
            return _quotient(evaluate(dividend, table), evaluate(divisor, table), at_zero)
        case Power(base, exponent):
            return np.power(evaluate(base, table), exponent)
        case When(condition, then, otherwise):
            holds = table.conditions.holds(condition)
            return np.where(holds, evaluate(then, table), evaluate(otherwise, table))
        case Decay():
            return _decay(expression, table)
        case _ if type(expression) in _FUNCTIONS:
            operands = [evaluate(operand, table) for operand in expression.operands]
            return _FUNCTIONS[type(expression)](*operands)
        case Logarithm(operand, floor, base):
            floored = np.maximum(evaluate(operand, table), _constant(floor))
            return np.log(floored) if base == "e" else np.log10(floored)
        case _:
            return _leaf(expression, table)


def _leaf(expression: Expression, table: Table) -> Column:
    match expression:
        case CandidateScore(name, default):
            if name not in table.scores:
                raise StrategyError(f"there is no score of a candidate {name!r} to compute with")
            scores = table.scores[name]
            return np.where(np.isnan(scores), default, scores)
        case Field(key, default):
            return _filled(table.numbers(key), key, default, table)
        case Param():
            return table.all(_constant(param_number(expression, table.params)))
        case Affinity(key):
            weights, default = param_map(expression, table.params)
            return _affinity(key, weights, default, table)
        case DatetimeField(key, moment):
            seconds = None if moment is None else columns.seconds(moment)
            found = columns.datetimes(key, table.payloads, table.view, guarded=moment is not None)
            return _filled(found, key, seconds, table, exact=True)
        case GeoDistance(origin, key, metres):
            place = param_place(origin, table.params)
            return _filled(columns.distances(key, place, table.payloads, table.view), key, metres, table)
        case Now():
            if table.now is None:
                raise QueryError("the formula reads now(): say which time it is with now=…")
            return table.all(columns.seconds(table.now))
        case Instant(at):
            return table.all(columns.seconds(at))
        case QueryTokens():
            return table.all(token_count(expression, table.tokens))
        case RerankScore():
            if table.relevance is None:
                raise StrategyError(MODEL_ELSEWHERE)
            return table.relevance
        case Raw():
            raise StrategyError(f"{brief(expression)} can be computed by an engine only: it is a raw expression")
        case _:
            raise TypeError(f"no evaluation for {type(expression).__name__}")


def _filled(column: Column, key: str, default: float | None, table: Table, exact: bool = False) -> Column:
    missing = np.isnan(column)
    if not missing.any():
        return column
    if default is None:
        point = table.ids[int(missing.argmax())]
        raise PlanError([f"the formula reads {key!r} without a default, but point {point!r} has no such value"])
    return np.where(missing, default if exact else _constant(default), column)


def _affinity(key: str, weights: Mapping[str | int, float], default: float, table: Table) -> Column:
    total = table.all(0.0)
    found = np.zeros(len(table), bool)
    for category, weight in weights.items():
        condition = models.FieldCondition(key=key, match=models.MatchValue(value=category))
        holds = table.conditions.holds(condition)
        total = total + np.where(holds, _constant(weight), 0.0)
        found |= holds
    return np.where(found, total, _constant(default))


def _constant(value: float) -> float:
    high, low = f32_pair(value)
    return high + low


def _product(factors: Sequence[Column]) -> Column:
    """The product, 0 from the first factor that is 0, even where a later one isn't finite."""
    result, *rest = factors
    for factor in rest:
        with np.errstate(invalid="ignore"):
            result = np.where(result == 0, 0.0, result * factor)
    return result


def _quotient(dividend: Column, divisor: Column, at_zero: float | None) -> Column:
    default = np.nan if at_zero is None else float(np.float32(at_zero))
    zero = divisor == 0
    quotient = np.where(zero, default, dividend / np.where(zero, 1.0, divisor))
    return np.where(dividend == 0, 0.0, quotient)


def _sigmoid(operand: Column) -> Column:
    clamped = np.minimum(SIGMOID_BOUND, np.maximum(-SIGMOID_BOUND, operand))
    return np.asarray(1.0 / (1.0 + np.exp(-clamped)))


def _decay(decay: Decay, table: Table) -> Column:
    distance = np.abs(evaluate(decay.operand, table) - evaluate(decay.target, table))
    match decay.shape:
        case "exp":
            return np.asarray(np.exp(math.log(decay.midpoint) / decay.scale * distance))
        case "gauss":
            return np.asarray(np.exp(math.log(decay.midpoint) / (decay.scale * decay.scale) * distance * distance))
        case "lin":
            return np.maximum(0.0, 1.0 - (1.0 - decay.midpoint) / decay.scale * distance)
    assert_never(decay.shape)


_FUNCTIONS: dict[type[Expression], Callable[..., Column]] = {
    Absolute: np.abs,
    Exponential: lambda operand: np.exp(np.minimum(operand, EXPONENT_BOUND)),
    SquareRoot: lambda operand: np.sqrt(np.maximum(operand, 0.0)),
    Sigmoid: _sigmoid,
    Tanh: lambda operand: 2.0 * _sigmoid(2.0 * operand) - 1.0,
    Minimum: lambda *operands: reduce(np.minimum, operands),
    Maximum: lambda *operands: reduce(np.maximum, operands),
}
