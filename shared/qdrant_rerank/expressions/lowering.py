"""From expression nodes to `qdrant_client.models` expressions, for one server and one query's request-time values.

What each encoding is for, as measured on qdrant-client's local mode and on the Rust engine:

* Engines keep constants as 32-bit floats but compute in 64: a constant travels as the sum of two 32-bit floats.
* A payload value that is missing, null, a bool, text, an object or an array of several numbers fails a whole query,
  whatever `defaults` says. Products stop at their first 0, so `present * x + absent * default` never reads a value
  that isn't one number (see `reading.py`).
* `exp` overflows above 709, so the sigmoid's argument is clamped; before 1.20 there is no max and min, and
  `exp((z - |z|) / 2) / (1 + exp(-|z|))` is used, which is the same number.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from qdrant_client import models

from ..capabilities import Capabilities
from ..errors import StrategyError
from . import reading
from .encodings import decayed, sigmoid
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
from .reading import iso, param_map, param_number, param_place
from .wire import (
    CLIENT_HAS_MAX_MIN,
    absolute,
    either,
    exponential,
    f32_pair,
    greatest,
    least,
    negative,
    power,
    product,
    quotient,
    total,
)

__all__ = ["EXPONENT_BOUND", "MODEL_ELSEWHERE", "Candidate", "Lowering", "lower", "score_index"]

EXPONENT_BOUND: Final = 700.0
"""Exponents are at most 700: exp(709.8) overflows 64-bit floats."""
MODEL_ELSEWHERE: Final = (
    "rerank_score() is the score of a model that reads the text, which Qdrant can't know: "
    "use it in Rerank(blend=…), not in a Formula"
)


@dataclass(frozen=True)
class Candidate:
    """A candidate stage as a formula sees it: its name, and whether its scores are distances (lower is better)."""

    name: str | None
    is_distance: bool = False


@dataclass
class Lowering:
    """What lowering needs to know, and what it collects.

    Attributes:
        candidates: the stages whose scores the formula may read.
        capabilities: what the server can do.
        features: the query's request-time values.
        now: the time of the query.
        defaults: the defaults of candidate scores; filled by lowering.
        fixed: by identity, the nodes that no query changes, so that their lowering can be used again.
        compiled: by identity, the lowering of fixed nodes; filled by lowering.
        tokens: by multivector, how many token vectors the query has.
        thorough: whether to make sure that a payload key holds just one value.
    """

    candidates: Sequence[Candidate]
    capabilities: Capabilities
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    now: dt.datetime | None = None
    defaults: dict[str, float] = field(default_factory=dict[str, float])
    fixed: Mapping[int, Expression] = field(default_factory=dict[int, Expression])
    compiled: dict[int, models.Expression] = field(default_factory=dict[int, models.Expression])
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    thorough: bool = True
    _constants: dict[float, models.Expression] = field(default_factory=dict[float, models.Expression])

    @property
    def max_min(self) -> bool:
        """Whether max and min can be sent: both the server and the client at hand must know them."""
        return CLIENT_HAS_MAX_MIN and self.capabilities.supports("max_min")

    def constant(self, value: float) -> models.Expression:
        """A number that keeps its 64 bits (48 of them) on engines that store 32."""
        known = self._constants.get(value)
        if known is None:
            known = self._constants[value] = self._constant(value)
        return known

    def _constant(self, value: float) -> models.Expression:
        high, low = f32_pair(value)
        if not self.capabilities.f32_constants:
            return float(value) if high else 0.0  # every engine counts the tiniest numbers as 0
        return total(high, low) if low else high

    def greatest(self, *operands: models.Expression) -> models.Expression:
        return greatest(list(operands), self.max_min)

    def least(self, *operands: models.Expression) -> models.Expression:
        return least(list(operands), self.max_min)


def lower(expression: Expression, to: Lowering) -> models.Expression:
    """The Qdrant expression that means `expression`.

    Raises:
        StrategyError: it reads the score of a candidate that there isn't.
        QueryError: a request-time value is missing, or isn't a finite number.
    """
    known = to.compiled.get(id(expression))
    if known is not None:
        return known
    lowered = _lower(expression, to)
    if id(expression) in to.fixed:
        to.compiled[id(expression)] = lowered
    return lowered


def _lower(expression: Expression, to: Lowering) -> models.Expression:
    match expression:
        case Constant(value):
            return to.constant(value)
        case Sum(terms):
            return total(*(lower(term, to) for term in terms))
        case Product(factors):
            return product(*(lower(factor, to) for factor in factors))
        case Negative(operand):
            return negative(lower(operand, to))
        case Quotient(dividend, divisor, at_zero):
            default = None if at_zero is None else float(np.float32(at_zero))  # it travels as 32 bits
            return quotient(lower(dividend, to), lower(divisor, to), default)
        case Power(base, exponent):
            return power(lower(base, to), float(exponent))
        case When(condition, then, otherwise):
            return either(condition, lower(then, to), lower(otherwise, to))
        case Decay():
            target = None if expression.target == Constant(0.0) else lower(expression.target, to)
            return decayed(expression, lower(expression.operand, to), target, to)
        case Raw(inner):
            return inner
        case CandidateScore() | Field() | Param() | Affinity() | DatetimeField() | GeoDistance() | Now() | Instant():
            return _leaf(expression, to)
        case QueryTokens():
            return to.constant(reading.token_count(expression, to.tokens))
        case RerankScore():
            raise StrategyError(MODEL_ELSEWHERE)
        case _:
            return _function(expression, to)


def _leaf(expression: Expression, to: Lowering) -> models.Expression:
    match expression:
        case CandidateScore():
            return _score(expression, to)
        case Field(key, default):
            return reading.number(key, None if default is None else to.constant(default), to.thorough)
        case Param():
            return to.constant(param_number(expression, to.params))
        case Affinity(key):
            weights, default = param_map(expression, to.params)
            constants = {category: to.constant(weight) for category, weight in weights.items()}
            return reading.affinity(key, constants, to.constant(default))
        case DatetimeField(key, moment):
            return reading.datetime(key, moment, to.thorough)
        case GeoDistance(origin, key, metres):
            place = param_place(origin, to.params)
            default_metres = None if metres is None else to.constant(metres)
            return reading.distance(key, place, default_metres, to.capabilities.counts_members, to.thorough)
        case Now():
            return models.DatetimeExpression(datetime=iso(to.now or dt.datetime.now(dt.UTC)))
        case Instant(at):
            return models.DatetimeExpression(datetime=iso(at))
        case _:  # pragma: no cover  # _lower sends only these here
            raise TypeError(f"no lowering for {type(expression).__name__}")


def _function(expression: Expression, to: Lowering) -> models.Expression:
    operands = [lower(operand, to) for operand in expression.operands]
    match expression:
        case Absolute():
            return absolute(*operands)
        case Exponential():
            return exponential(to.least(*operands, EXPONENT_BOUND))
        case Logarithm(_, floor, base):
            floored = to.greatest(*operands, to.constant(floor))
            if base == "e":
                return models.LnExpression.model_construct(ln=floored)
            return models.Log10Expression.model_construct(log10=floored)
        case SquareRoot():
            return models.SqrtExpression.model_construct(sqrt=to.greatest(*operands, 0.0))
        case Sigmoid():
            return sigmoid(operands[0], to)
        case Tanh():
            return total(product(2.0, sigmoid(product(2.0, *operands), to)), -1.0)
        case Minimum():
            return to.least(*operands)
        case Maximum():
            return to.greatest(*operands)
        case _:
            raise TypeError(f"no lowering for {type(expression).__name__}")


def score_index(score: CandidateScore, candidates: Sequence[Candidate]) -> int:
    """The position of the candidate stage whose score is meant.

    Raises:
        StrategyError: no stage has that name, several have it, or no name was given where there are several.
    """
    names = [candidate.name for candidate in candidates]
    listed = ", ".join(repr(name) for name in names)
    if score.name is None:
        if len(candidates) == 1:
            return 0
        raise StrategyError(f"score() is ambiguous over {len(candidates)} candidates: write score(name) with one of {listed}")
    match names.count(score.name):
        case 1:
            return names.index(score.name)
        case 0:
            raise StrategyError(f"no candidate is named {score.name!r}; there are {listed}")
        case _:
            raise StrategyError(f"several candidates are named {score.name!r}: tell them apart with name=…")


def _score(score: CandidateScore, to: Lowering) -> models.Expression:
    index = score_index(score, to.candidates)
    variable = f"$score[{index}]" if len(to.candidates) > 1 else "$score"
    is_distance = to.candidates[index].is_distance
    if len(to.candidates) > 1 and score.default:
        default = -score.default if is_distance else score.default
        if to.defaults.setdefault(variable, default) != default:
            raise StrategyError(f"score({score.name!r}) has two different defaults in one formula")
    return negative(variable) if is_distance else variable
