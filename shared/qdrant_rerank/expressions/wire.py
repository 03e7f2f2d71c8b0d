"""Small builders of `qdrant_client.models` expressions.

They skip pydantic's validation, which would be run again at every level: a formula of 78,000 nodes took 33 seconds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from qdrant_client import models

from ..capabilities import Capabilities
from ..steps import Shared

DIGITS = 15
"""How many digits of a number servers read exactly over REST: the last of 16 and 17 may be off by one."""
F32_MAX = 3.4e38
"""The largest number that fits 32-bit floats, rounded down."""
F32_TINY = float(np.finfo(np.float32).tiny)

CLIENT_HAS_MAX_MIN = hasattr(models, "MaxExpression")  # qdrant-client 1.20


def digits(number: float) -> int:
    """How many digits a number has where it is written as short as it can be, without zeros at its ends."""
    return len(repr(number).partition("e")[0].replace(".", "").lstrip("-0").rstrip("0"))


def f32_pair(value: float) -> tuple[float, float]:
    """Two 32-bit floats whose sum is `value` to about 48 bits: engines keep constants in 32, but add in 64.

    Numbers below the least normal 32-bit float (1.2e-38), which would lose most of their digits, count as 0.
    """
    if abs(value) < F32_TINY:
        return 0.0, 0.0
    high = float(np.float32(value))
    return high, float(np.float32(value - high))


@lru_cache(1 << 16)
def exact_constant(value: float) -> float:
    """A constant as engines compute with it."""
    high, low = f32_pair(value)
    return high + low


def total(*terms: models.Expression) -> models.SumExpression:
    """The sum of the terms."""
    return models.SumExpression.model_construct(sum=Shared(terms))


def product(*factors: models.Expression) -> models.MultExpression:
    """The product of the factors, which stops at the first 0."""
    return models.MultExpression.model_construct(mult=Shared(factors))


def negative(operand: models.Expression) -> models.Expression:
    """The operand with its sign turned."""
    return -operand if isinstance(operand, float) else models.NegExpression.model_construct(neg=operand)


def absolute(operand: models.Expression) -> models.AbsExpression:
    """The operand without its sign."""
    return models.AbsExpression.model_construct(abs=operand)


def exponential(operand: models.Expression) -> models.ExpExpression:
    """`e ** operand`."""
    return models.ExpExpression.model_construct(exp=operand)


def power(base: models.Expression, exponent: float) -> models.PowExpression:
    """`base ** exponent`."""
    params = models.PowParams.model_construct(base=base, exponent=exponent)
    return models.PowExpression.model_construct(pow=params)


def quotient(left: models.Expression, right: models.Expression, at_zero: float | None = None) -> models.DivExpression:
    """`left / right`; 0 where left is 0, else `at_zero` where right is 0."""
    params = models.DivParams.model_construct(left=left, right=right, by_zero_default=at_zero)
    return models.DivExpression.model_construct(div=params)


def _is_constant(operand: models.Expression) -> bool:
    """Whether it is a number, or the sum of two by which a constant keeps its digits."""
    match operand:
        case models.NegExpression(neg=inner):
            return _is_constant(inner)
        case models.SumExpression(sum=terms):
            return all(isinstance(term, float) for term in terms)
        case _:
            return isinstance(operand, int | float)


def either(condition: models.Condition, then: models.Expression, otherwise: models.Expression) -> models.Expression:
    """`then` where the condition holds, else `otherwise`; the one that isn't taken is not evaluated."""
    terms: list[models.Expression] = []
    if then != 0.0:
        terms.append(condition if then == 1.0 else product(condition, then))
    if otherwise != 0.0:
        opposite = models.Filter(must_not=[condition])
        terms.append(opposite if otherwise == 1.0 else product(opposite, otherwise))
    return total(*terms) if len(terms) > 1 else terms[0] if terms else 0.0


def limit_magnitude(expression: models.Expression) -> float:
    """What the expression's magnitude can't exceed; infinity where nothing says so, as for payload values and scores."""
    match expression:
        case bool() | int() | float():
            return abs(float(expression))
        case models.SumExpression(sum=terms):
            return _fold(terms, 0.0, operator.add)
        case models.MultExpression(mult=factors):
            return _fold(factors, 1.0, operator.mul)
        case models.NegExpression(neg=inner) | models.AbsExpression(abs=inner):
            return limit_magnitude(inner)
        case models.ExpDecayExpression() | models.GaussDecayExpression() | models.LinDecayExpression():
            return 1.0
        case models.FieldCondition() | models.Filter():
            return 1.0
        case _:
            return math.inf


def _fold(parts: list[models.Expression], start: float, join: Callable[[float, float], float]) -> float:
    for part in parts:
        start = join(start, limit_magnitude(part))
        if not math.isfinite(start):  # 0 times infinity, too
            return math.inf
    return start


class Dialect:
    """How one server's formulas are written: which constants and which functions it takes."""

    capabilities: Capabilities
    _constants: dict[float, models.Expression]

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
        """The greatest operand. Without native max: `b + relu(a - b)`, with `relu(d) = (d + |d|) / 2`, exactly 0 below 0.

        Constants take the place of b: then the bound is kept whatever a is, while `a + relu(b - a)` is 0 for an `a` of -1e300.
        """
        if self.max_min:
            return models.MaxExpression.model_construct(max=list(operands))
        first, *rest = sorted(operands, key=_is_constant)
        for other in rest:
            above = total(first, negative(other))
            relu = product(0.5, total(above, absolute(above)))
            first = relu if other == 0.0 else total(other, relu)
        return first

    def least(self, *operands: models.Expression) -> models.Expression:
        """The least operand: `-max(-a, -b)` where there is no native min."""
        if self.max_min:
            return models.MinExpression.model_construct(min=list(operands))
        return negative(self.greatest(*map(negative, operands)))
