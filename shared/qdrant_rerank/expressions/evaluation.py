"""Expressions computed with numpy, as an engine computes them: constants of two 32-bit floats, 64-bit arithmetic.

For explaining results, logging features and testing; `lowering` is the other reading of the same nodes, and the tests hold
the two together on every engine. Payload values are read as columns, NaN where a point has none that counts: where a payload
index keeps the type that is read, the engine reads what the index keeps, behind a guard that the same index answers. An index
of a type that hides what is read is a problem of the plan; here it isn't looked at.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local import datetime_utils
from qdrant_client.local.geo import geo_distance

from ..errors import PlanError, QueryError, StrategyError
from ..values import brief
from . import nodes
from .conditions import Conditions
from .forest import Forest, find_forest
from .lowering import FIRST_DAY, MODEL_ELSEWHERE, param_map, param_number, param_place, token_count
from .nodes import Expression
from .view import Index, View, array_reader, is_on_earth, nanoseconds, nanoseconds_of, place_of, reader
from .wire import F32_MAX, exact_constant

Payloads = Sequence[Mapping[str, Any]]
_Type = models.PayloadSchemaType


def read_numbers(key: str, payloads: Payloads, view: View) -> NDArray[np.float64]:
    """The number at `key` of each point."""
    kept = _number if view.thorough else float  # an index needs no guard, which numbers beyond 32-bit floats don't pass
    return _column(key, payloads, view, (_Type.FLOAT, _Type.INTEGER), _number, kept)


def read_codes(key: str, values: Sequence[str | int] | None, payloads: Payloads) -> NDArray[np.float64]:
    """The number of the category at `key` of each point; NaN for none, several and those that aren't among `values`.

    Raises StrategyError: without `values`, a category is text, which has no number.
    """
    return _plain(key, payloads, lambda value: _code(key, value, values))


def read_datetimes(key: str, payloads: Payloads, view: View, guarded: bool = True) -> NDArray[np.float64]:
    """The date-time at `key` of each point, in seconds since 1970; where `guarded`, none before the year 1."""
    least = nanoseconds_of(FIRST_DAY) // 1000 if guarded else -np.inf

    def kept(micros: Any) -> float:
        return micros / 1e6 if micros >= least else np.nan

    def read(value: Any) -> float:
        if view.is_local:
            local = datetime_utils.parse(value) if isinstance(value, str) else None
            return np.nan if local is None else seconds_of(local)
        moment = nanoseconds(value) if isinstance(value, str) else None
        return np.nan if moment is None else kept(moment // 1000)

    return _column(key, payloads, view, (_Type.DATETIME,), read, kept)


def read_distances(key: str, place: tuple[float, float], payloads: Payloads, view: View) -> NDArray[np.float64]:
    """Metres from `place` (lat, lon) to the geo point at `key` of each point; there is none beyond 90 and 180 degrees."""
    lat, lon = place

    def metres(found: tuple[float, float]) -> float:
        return float(geo_distance(lon, lat, found[1], found[0]))

    def read(value: Any) -> float:
        found = place_of(value)
        return metres(found) if found is not None and is_on_earth(found) else np.nan

    return _column(key, payloads, view, (_Type.GEO,), read, metres)


def seconds_of(moment: dt.datetime) -> float:
    """Seconds since 1970; UTC where the moment has no time zone."""
    return nanoseconds_of(moment) // 1000 / 1e6


def _column(
    key: str,
    payloads: Payloads,
    view: View,
    kinds: Collection[models.PayloadSchemaType],
    read: Callable[[Any], float],
    read_kept: Callable[[Any], float],
) -> NDArray[np.float64]:
    """What is read at a key: by an index of one of the kinds, or by `read` from the payload."""
    index = view.index(key)
    if index is None or index.kind not in kinds:
        return _plain(key, payloads, read)
    values = (_indexed(index, array_reader(key)(payload) or [], view.thorough, read_kept) for payload in payloads)
    return np.fromiter(values, np.float64, len(payloads))


def _indexed(index: Index, values: list[Any], thorough: bool, read: Callable[[Any], float]) -> float:
    """The one value that the index keeps; a thorough guard wants it to be the only one that is stored, too."""
    if thorough and all(isinstance(value, list) and len(value) > 1 for value in values):
        return np.nan
    kept = index.values(values)
    return read(kept[0]) if len(kept) == 1 else np.nan


def _plain(key: str, payloads: Payloads, read: Callable[[Any], float]) -> NDArray[np.float64]:
    values = reader(key)
    return np.fromiter((_single(values(payload), read) for payload in payloads), np.float64, len(payloads))


def _single(values: list[Any] | None, read: Callable[[Any], float]) -> float:
    """The one value that there is; NaN for none and for several."""
    return read(values[0]) if values is not None and len(values) == 1 else np.nan


def _code(key: str, value: Any, values: Sequence[str | int] | None) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return np.nan
    if values is not None:
        return float(values.index(value)) if value in values else np.nan
    if isinstance(value, str):
        raise StrategyError(
            f"the category {key!r} holds text ({value!r}), which a log writes as a number: "
            f"list the values, Category({key!r}, [{value!r}, …])"
        )
    return float(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= F32_MAX:
        return np.nan
    return float(value)


Column: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """The points that an expression is computed for.

    Attributes:
        payloads: one for each of n points.
        scores: by candidate name (None: the only candidate), n scores; NaN where that candidate didn't find the point.
        params: the query's request-time values.
        vectors: for `HasVectorCondition`: the names of the vectors that each point has.
        tokens: for `query_tokens(name)`: how many token vectors the query has, by vector.
        relevance: for `rerank_score()`: n scores of the model that read the texts.
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
    _numbers: dict[str, Column] = field(default_factory=dict[str, Column], init=False, repr=False, compare=False)
    _constants: dict[float, Column] = field(default_factory=dict[float, Column], init=False, repr=False, compare=False)
    _affinities: dict[int, Any] = field(default_factory=dict[int, Any], init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.payloads)

    @cached_property
    def conditions(self) -> Conditions:
        """What conditions say of the points, each decided once."""
        return Conditions(self.payloads, self.ids, self.vectors, self.view)

    def constant(self, value: float) -> Column:
        """A column of one value as an engine knows it; made once, as the same leaf is in many trees. Not to be changed."""
        if value not in self._constants:
            self._constants[value] = self.all(exact_constant(value))
        return self._constants[value]

    def numbers(self, key: str) -> Column:
        """The number at a payload key of each point; NaN where there is none. A network reads each key for each unit."""
        if key not in self._numbers:
            self._numbers[key] = read_numbers(key, self.payloads, self.view)
        return self._numbers[key]

    def weights(self, affinity: nodes.Affinity) -> Column:
        """A user's weight for each point; looked up once, as trees read the same at many splits. Not to be changed."""
        if id(affinity) not in self._affinities:  # which holds on to the node, so that its id is nobody else's
            self._affinities[id(affinity)] = affinity, _affinity(affinity, self)
        found: Column = self._affinities[id(affinity)][1]
        return found

    def all(self, value: float) -> Column:
        """A column of one value."""
        return np.full(len(self), value, np.float64)


def score_points(expression: Expression, table: Table) -> NDArray[np.float32]:
    """The scores that an engine gives the points: shape (n,), 32-bit floats."""
    return compute(expression, table).astype(np.float32)


def compute(expression: Expression, table: Table) -> Column:
    """The expression's value for each point: shape (n,), 64-bit floats.

    Raises PlanError: a point lacks a payload key that is read without a default, as the engine would refuse. Raises QueryError:
    a request-time value is missing or isn't a number. Raises StrategyError: a raw expression, which only an engine can compute;
    or a score that the table lacks.
    """
    match expression:
        case nodes.Constant(value):
            return table.constant(value)
        case nodes.Sum() if (forest := find_forest(expression)) is not None:
            return reduce(np.add, (compute(term, table) for term in forest.rest), forest.walk(_answers(forest, table)))
        case nodes.Sum(terms):
            return reduce(np.add, (compute(term, table) for term in terms))
        case nodes.Product(factors):
            return _product([compute(factor, table) for factor in factors])
        case nodes.Negative(operand):
            return -compute(operand, table)
        case nodes.Quotient(dividend, divisor, at_zero):
            return _quotient(compute(dividend, table), compute(divisor, table), at_zero)
        case nodes.Power(base, exponent):
            return np.power(compute(base, table), exponent)
        case nodes.When(condition, then, otherwise):
            holds = table.conditions.holds(condition)
            return np.where(holds, compute(then, table), compute(otherwise, table))
        case nodes.Decay():
            return _decay(expression, table)
        case nodes.Function(operand):
            return expression.compute(compute(operand, table))
        case nodes.Minimum(among):
            return reduce(np.minimum, (compute(operand, table) for operand in among))
        case nodes.Maximum(among):
            return reduce(np.maximum, (compute(operand, table) for operand in among))
        case nodes.Logarithm(operand, floor, base):
            floored = np.maximum(compute(operand, table), exact_constant(floor))
            return np.log(floored) if base == "e" else np.log10(floored)
        case nodes.CandidateScore(name, default):
            if name not in table.scores:
                raise StrategyError(f"there is no score of a candidate {name!r} to compute with")
            scores = table.scores[name]
            return np.where(np.isnan(scores), default, scores)
        case nodes.Field(key, default):
            return _filled(table.numbers(key), key, default, table)
        case nodes.Param():
            return table.all(exact_constant(param_number(expression, table.params)))
        case nodes.Affinity():
            return table.weights(expression)
        case nodes.DatetimeField(key, moment):
            seconds = None if moment is None else seconds_of(moment)
            found = read_datetimes(key, table.payloads, table.view, guarded=moment is not None)
            return _filled(found, key, seconds, table, exact=True)
        case nodes.GeoDistance(origin, key, metres):
            place = param_place(origin, table.params)
            return _filled(read_distances(key, place, table.payloads, table.view), key, metres, table)
        case nodes.Now():
            if table.now is None:
                raise QueryError("the formula reads now(): say which time it is with now=…")
            return table.all(seconds_of(table.now))
        case nodes.Instant(at):
            return table.all(seconds_of(at))
        case nodes.QueryTokens():
            return table.all(token_count(expression, table.tokens))
        case nodes.RerankScore():
            if table.relevance is None:
                raise StrategyError(MODEL_ELSEWHERE)
            return table.relevance
        case nodes.Raw():
            raise StrategyError(f"{brief(expression)} can be computed by an engine only: it is a raw expression")
        case _:
            raise TypeError(f"no evaluation for {type(expression).__name__}")


def _answers(forest: Forest, table: Table) -> NDArray[np.bool_]:
    """Whether each question of a forest holds for each point: shape (questions, n)."""
    ranges, steps, others = forest.questions
    answers = np.empty((forest.width, len(table)), bool)
    for asked in ranges:
        met = table.conditions.within(asked.key, asked.bounds)
        answers[asked.rows] = [table.conditions.holds(each) for each in asked.conditions] if met is None else met
    for step in steps:
        answers[step.rows] = reduce(np.add, step.columns, compute(step.value, table)) <= 0.0
    for row, condition in others:
        answers[row] = table.conditions.holds(condition)
    return answers


def _filled(column: Column, key: str, default: float | None, table: Table, exact: bool = False) -> Column:
    missing = np.isnan(column)
    if not missing.any():
        return column
    if default is None:
        point = table.ids[int(missing.argmax())]
        raise PlanError([f"the formula reads {key!r} without a default, but point {point!r} has no such value"])
    return np.where(missing, default if exact else exact_constant(default), column)


def _affinity(affinity: nodes.Affinity, table: Table) -> Column:
    weights, default = param_map(affinity, table.params)
    total = table.all(0.0)
    found = np.zeros(len(table), bool)
    for category, weight in weights.items():
        rows = table.conditions.find_rows(affinity.key, [category])
        total[rows] += exact_constant(weight)
        found[rows] = True
    return np.where(found, total, exact_constant(default))


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


def _decay(decay: nodes.Decay, table: Table) -> Column:
    distance = np.abs(compute(decay.operand, table) - compute(decay.target, table))
    match decay.shape:
        case "exp":
            return np.asarray(np.exp(math.log(decay.midpoint) / decay.scale * distance))
        case "gauss":
            return np.asarray(np.exp(math.log(decay.midpoint) / (decay.scale * decay.scale) * distance * distance))
        case "lin":
            return np.maximum(0.0, 1.0 - (1.0 - decay.midpoint) / decay.scale * distance)
    assert_never(decay.shape)
