"""The functions that users write formulas with."""

from __future__ import annotations

import datetime as dt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from . import nodes
from .nodes import Expression, ExpressionLike, Function, as_expression
from .wire import Dialect, absolute, exponential, limit_magnitude, negative, product, quotient, total

__all__ = [
    "affinity",
    "at_most_zero",
    "clip",
    "constant",
    "datetime_field",
    "decay_exp",
    "decay_gauss",
    "decay_lin",
    "divide",
    "exp",
    "field",
    "geo_distance",
    "instant",
    "log",
    "log10",
    "max_",
    "max_sim",
    "min_",
    "now",
    "param",
    "query_tokens",
    "raw",
    "relu",
    "rerank_score",
    "score",
    "sigmoid",
    "sqrt",
    "tanh",
    "when",
]


def constant(value: float) -> Expression:
    """A plain number as an expression; numbers beside operators become one by themselves."""
    return nodes.Constant(value)


def score(name: str | None = None, default: float = 0.0) -> Expression:
    """The score that a candidate stage gave the point.

    Args:
        name: the stage's name: its vector's name unless the stage sets `name=`. None if there is only one stage.
        default: the score of a point that this stage did not find (another one did).
    """
    return nodes.CandidateScore(name, default)


def rerank_score() -> Expression:
    """The score of the model that reads the text; for `Rerank(blend=0.9 * sigmoid(rerank_score()) + 0.1 * field(…))` alone."""
    return nodes.RerankScore()


def query_tokens(using: str) -> Expression:
    """How many token vectors the query has for the multivector `using`."""
    return nodes.QueryTokens(using)


def max_sim(using: str, name: str | None = None, default: float = 0.0) -> Expression:
    """The mean over the query's tokens of each one's best similarity: a late-interaction score that compares across queries.

    That is MaxSim (Khattab and Zaharia 2020, ColBERT) divided by the number of query tokens: between -1 and 1 for Cosine.

    Args:
        using: the multivector.
        name: the name of the candidate stage that compares it; the vector's name if None.
        default: the undivided score of a point that this stage did not find.
    """
    return nodes.Quotient(nodes.CandidateScore(using if name is None else name, default), nodes.QueryTokens(using), at_zero=0.0)


def field(key: str, default: float | None = None) -> Expression:
    """A number in the payload, by its (dotted) key, e.g. `field("metadata.rating", default=3.0)`.

    Args:
        key: the payload key as Qdrant sees it; langchain-qdrant writes metadata below `metadata.`.
        default: what counts for points where the key is missing, null or not a number. Without one, a single
            such candidate makes Qdrant refuse the whole query.
    """
    return nodes.Field(key, default)


def param(name: str, default: float | None = None) -> Expression:
    """A number that comes with each query, in `params={name: number}`."""
    return nodes.Param(name, default)


def log(operand: ExpressionLike, floor: float = 1e-9) -> Expression:
    """The natural logarithm; operands below `floor` count as `floor`."""
    return nodes.Logarithm(as_expression(operand), floor)


def log10(operand: ExpressionLike, floor: float = 1e-9) -> Expression:
    """The logarithm to base 10; operands below `floor` count as `floor`."""
    return nodes.Logarithm(as_expression(operand), floor, "10")


def min_(*operands: ExpressionLike) -> Expression:
    """The least of two or more operands."""
    return nodes.Minimum(tuple(map(as_expression, operands)))


def max_(*operands: ExpressionLike) -> Expression:
    """The greatest of two or more operands."""
    return nodes.Maximum(tuple(map(as_expression, operands)))


def relu(operand: ExpressionLike) -> Expression:
    """The operand, or 0 where it is negative."""
    return max_(0.0, operand)


def clip(operand: ExpressionLike, low: ExpressionLike, high: ExpressionLike) -> Expression:
    """The operand, but at least `low` and at most `high`."""
    return min_(high, max_(low, operand))


def affinity(key: str, param: str, default: float | None = None) -> Expression:
    """A user's weight for the point's category: `params={param: {category: weight}}`, looked up at payload `key`.

    Args:
        key: the payload key of the category, or of a list of them, whose weights are added.
        param: the name of the request-time map. Categories are text or whole numbers.
        default: for points whose category has no weight, and for all points if the map isn't given; without it
            categories without a weight count 0, and a missing map is an error.
    """
    return nodes.Affinity(key, param, default)


def divide(dividend: ExpressionLike, divisor: ExpressionLike, at_zero: float | None = None) -> Expression:
    """`dividend / divisor`, and `at_zero` where the divisor is 0."""
    return nodes.Quotient(as_expression(dividend), as_expression(divisor), at_zero)


def when(condition: models.Condition, then: ExpressionLike = 1.0, otherwise: ExpressionLike = 0.0) -> Expression:
    """`then` for points that meet a condition or filter of `qdrant_client.models`, `otherwise` for the others."""
    return nodes.When(condition, as_expression(then), as_expression(otherwise))


def decay_exp(
    operand: ExpressionLike, target: ExpressionLike = 0.0, scale: float | dt.timedelta = 1.0, midpoint: float = 0.5
) -> Expression:
    """Exponential decay: `midpoint ** (|operand - target| / scale)`.

    The source of this and the other two decays is Qdrant's formula query. The scale has the operand's unit; a `timedelta` is in
    seconds, as times are.
    """
    return nodes.Decay("exp", as_expression(operand), as_expression(target), _seconds(scale), midpoint)


def decay_gauss(
    operand: ExpressionLike, target: ExpressionLike = 0.0, scale: float | dt.timedelta = 1.0, midpoint: float = 0.5
) -> Expression:
    """Gaussian decay: `midpoint ** ((operand - target) / scale) ** 2`."""
    return nodes.Decay("gauss", as_expression(operand), as_expression(target), _seconds(scale), midpoint)


def decay_lin(
    operand: ExpressionLike, target: ExpressionLike = 0.0, scale: float | dt.timedelta = 1.0, midpoint: float = 0.5
) -> Expression:
    """Linear decay: `max(0, 1 - (1 - midpoint) * |operand - target| / scale)`."""
    return nodes.Decay("lin", as_expression(operand), as_expression(target), _seconds(scale), midpoint)


def _seconds(scale: float | dt.timedelta) -> float:
    return scale.total_seconds() if isinstance(scale, dt.timedelta) else scale


def now() -> Expression:
    """The time of the query, in seconds since 1970."""
    return nodes.Now()


def instant(at: dt.datetime) -> Expression:
    """A fixed time, in seconds since 1970; UTC where it has no time zone."""
    return nodes.Instant(at)


def datetime_field(key: str, default: dt.datetime | None = None) -> Expression:
    """A date-time in the payload, in seconds since 1970: `decay_exp(now() - datetime_field("published"), scale=…)`."""
    return nodes.DatetimeField(key, default)


def geo_distance(origin: tuple[float, float] | str, key: str, default: float | None = None) -> Expression:
    """Metres from a place to the geo point in the payload.

    Args:
        origin: `(latitude, longitude)` in degrees, or the name of a request-time value that holds it.
        key: the payload key of a `{"lat": …, "lon": …}` object.
        default: metres for points without one; without it, one such candidate fails the query.
    """
    return nodes.GeoDistance(origin, key, default)


def raw(expression: models.Expression) -> Expression:
    """An expression of `qdrant_client.models` as it is, for what this package has no node for."""
    return nodes.Raw(expression)


# Functions of one operand. To add one, write its class (name, JSON kind, wire form, numpy form) and what users call here, and
# name the latter in `__all__`.
# It is defined for every number, because one undefined value makes Qdrant refuse the whole query.

Column = NDArray[np.float64]

_EXPONENT_BOUND: Final = 700.0  # exp(709.8) overflows 64-bit floats
_SIGMOID_BOUND: Final = 80.0  # exp(80) is far from overflow, sigmoid(-80) still a normal 32-bit float
_STEP_SCALE: Final = 1e-30  # what is above 5.4e-28 decays to less than the least 64-bit float


class Exponential(Function):
    """`e ** operand`; operands above 700 count as 700, which is still finite."""

    name, kind = "exp", "exponential"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        return exponential(to.least(operand, _EXPONENT_BOUND))

    def compute(self, operand: Column) -> Column:
        return np.exp(np.minimum(operand, _EXPONENT_BOUND))


def exp(operand: ExpressionLike) -> Expression:
    """`e ** operand`; operands above 700 count as 700, which is still finite."""
    return Exponential(as_expression(operand))


class SquareRoot(Function):
    """The square root of the operand; 0 where the operand is negative."""

    name, kind = "sqrt", "square_root"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        return models.SqrtExpression.model_construct(sqrt=to.greatest(operand, 0.0))

    def compute(self, operand: Column) -> Column:
        return np.sqrt(np.maximum(operand, 0.0))


def sqrt(operand: ExpressionLike) -> Expression:
    """The square root; 0 for negative operands."""
    return SquareRoot(as_expression(operand))


class Sigmoid(Function):
    """`1 / (1 + exp(-operand))`, computed without overflow: a logistic model's probability."""

    name, kind = "sigmoid", "sigmoid"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        if to.max_min:
            clamped = to.least(_SIGMOID_BOUND, to.greatest(-_SIGMOID_BOUND, operand))
            return quotient(1.0, total(1.0, exponential(negative(clamped))))
        if limit_magnitude(operand) <= _EXPONENT_BOUND:  # as a sum of trees is: it would be sent three times below
            return quotient(1.0, total(1.0, exponential(negative(operand))))
        magnitude = absolute(operand)  # exp((z - |z|) / 2) / (1 + exp(-|z|)) is the same number, without max and min
        numerator = exponential(product(0.5, total(operand, negative(magnitude))))
        return quotient(numerator, total(1.0, exponential(negative(magnitude))))

    def compute(self, operand: Column) -> Column:
        clamped = np.minimum(_SIGMOID_BOUND, np.maximum(-_SIGMOID_BOUND, operand))
        return np.asarray(1.0 / (1.0 + np.exp(-clamped)))


def sigmoid(operand: ExpressionLike) -> Expression:
    """`1 / (1 + exp(-operand))`, without overflow: turns a logistic model's score into a probability."""
    return Sigmoid(as_expression(operand))


class Tanh(Function):
    """The hyperbolic tangent of the operand: `2 * sigmoid(2 * operand) - 1`."""

    name, kind = "tanh", "tanh"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        return total(product(2.0, Sigmoid(self.operand).lower(product(2.0, operand), to)), -1.0)

    def compute(self, operand: Column) -> Column:
        return 2.0 * Sigmoid(self.operand).compute(2.0 * operand) - 1.0


def tanh(operand: ExpressionLike) -> Expression:
    """The hyperbolic tangent."""
    return Tanh(as_expression(operand))


class AtMostZero(Function):
    """1 where the operand is at most 0, else 0: a decision, as trees make it.

    Sent as a decay of `|z| + z`, which is exactly 0 up to 0, over a scale so small that all that is above decays to exactly 0:
    differences of 32-bit scores do, and of larger numbers. It needs the operand twice, and neither `max` nor `min`.
    """

    name, kind = "at_most_zero", "at_most_zero"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        # The operand stays one term: its parts, added one by one, would round otherwise than within |z|, and not cancel it.
        twice = models.SumExpression.model_construct(sum=[absolute(operand), operand])
        params = models.DecayParamsExpression.model_construct(x=twice, scale=_STEP_SCALE)
        return models.ExpDecayExpression.model_construct(exp_decay=params)

    def compute(self, operand: Column) -> Column:
        return np.asarray(operand <= 0.0, dtype=np.float64)


def at_most_zero(operand: ExpressionLike) -> Expression:
    """1 where the operand is at most 0, else 0.

    In Qdrant it is a decay over a scale of 1e-30, exactly 1 up to 0 and exactly 0 from 5.4e-28 on; in between it is neither.
    The operand is sent twice.
    """
    return AtMostZero(as_expression(operand))
