"""What decides at a split: a condition on the payload, or arithmetic where the value is a score or an expression.

A condition tests for the side that missing values don't take, as Qdrant's ranges and matches hold for no missing value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from qdrant_client import models

from .. import StrategyError
from ..expressions import Expression, clip
from ..expressions._internals import DIGITS, Constant, Field, Product, Sum, When, digits, is_number
from .columns import Column
from .features import Category, Feature
from .regions import Region, bounds

__all__ = ["Gate", "Side", "gate"]

Side = Literal["left", "right"]
_STEEP: Final = (Constant(1e38), Constant(1e38))  # whatever two unlike floats differ by, times this, is beyond 1
_ZERO: Final = Constant(0.0)


@dataclass(frozen=True)
class Gate:
    """What opens for points that take `side` of a split: a condition, or an expression that is 1 or 0."""

    side: Side
    opens: models.Condition | Expression

    def both(self, inside: Expression, outside: Expression) -> Expression:
        """`inside` where the gate is open, else `outside`."""
        if isinstance(self.opens, Expression):
            return Sum((Product((self.opens, inside)), Product((_opposite(self.opens), outside))))
        return When(self.opens, inside, outside)

    def inside(self, value: Expression) -> Expression:
        """`value` where the gate is open, else 0."""
        return Product((self.opens, value)) if isinstance(self.opens, Expression) else When(self.opens, value)

    def outside(self, value: Expression) -> Expression:
        """`value` where the gate is shut, else 0."""
        if isinstance(self.opens, Expression):
            return Product((_opposite(self.opens), value))
        return When(self.opens, _ZERO, value)


def gate(column: Column, left: Region, missing_left: bool, arrays: bool = False) -> Gate | Side:
    """What decides whether a point goes left; the side itself where all points take the same.

    Args:
        column: what is split on.
        left: the numbers (codes, for a category) that go left, as the model sees them.
        missing_left: where the model sends missing values.
        arrays: whether the payload may hold arrays of several values, which count as missing.
    """
    if isinstance(column.feature, Category):
        return _category_gate(column.feature, left, missing_left, arrays)
    if not math.isnan(column.missing):
        missing_left = column.missing in left
    return _number_gate(column.feature, column.raw(left), missing_left, arrays)


def _number_gate(feature: Feature, left: Region, missing_left: bool, arrays: bool) -> Gate | Side:
    match feature.expression:
        case Field(key):
            return _field_gate(key, left, missing_left, arrays)
        case Constant(value):
            return "left" if value in left else "right"
        case When(condition, Constant(then), Constant(otherwise)):
            if (then in left) == (otherwise in left):
                return "left" if then in left else "right"
            return Gate("left" if then in left else "right", condition)
        case expression:
            return _step_gate(expression, left)


def _field_gate(key: str, left: Region, missing_left: bool, arrays: bool) -> Gate | Side:
    side: Side = "right" if missing_left else "left"
    tested = ~left if missing_left else left
    if not tested.intervals:
        return "left" if missing_left else "right"
    if tested.intervals == ((-math.inf, math.inf),):
        return Gate(side, is_number(key))
    ranges: list[models.Condition] = [models.FieldCondition(key=key, range=_range(*pair)) for pair in tested.intervals]
    return Gate(side, _of_key(key, ranges, arrays))


def _range(low: float, high: float) -> models.Range:
    if math.nextafter(low, math.inf) == high and digits(high) <= DIGITS:
        return models.Range(gte=high, lte=high)
    return models.Range(**bounds(low, high))


def _of_key(key: str, either: list[models.Condition], arrays: bool) -> models.Condition:
    """That one of the conditions holds for the value at a key; if there may be arrays: for its only value.

    Of an array, a condition holds if it does for any value. How many there are is in no index: to ask makes a formula of
    trees three to six times slower.
    """
    condition = either[0] if len(either) == 1 else models.Filter(should=either)
    if not arrays:
        return condition
    return models.Filter(must=[condition, models.FieldCondition(key=key, values_count=models.ValuesCount(lte=1))])


def _category_gate(category: Category, left: Region, missing_left: bool, arrays: bool) -> Gate | Side:
    if category.values is None:
        raise StrategyError(
            "the model doesn't say which categories its codes stand for: "
            f"write Category({category.key!r}, values=[…]) with the category of code 0, 1, 2, …"
        )
    tested = [value for code, value in enumerate(category.values) if (float(code) in left) != missing_left]
    if not tested:
        return "left" if missing_left else "right"
    return Gate("right" if missing_left else "left", _of_key(category.key, _any_of(category.key, tested), arrays))


def _any_of(key: str, values: list[str | int]) -> list[models.Condition]:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, str)]
    return [models.FieldCondition(key=key, match=models.MatchAny(any=some)) for some in (texts, numbers) if some]


def _step_gate(expression: Expression, left: Region) -> Gate | Side:
    if not left.intervals:
        return "right"
    if left.intervals == ((-math.inf, math.inf),):
        return "left"
    (low, high), *others = left.intervals
    if not others and math.isinf(low):
        return Gate("right", _is_above(expression, high))
    return Gate("left", _total([part for pair in left.intervals for part in _between(expression, *pair)]))


def _between(expression: Expression, low: float, high: float) -> list[Expression]:
    """Terms whose sum is 1 for values in `(low, high]`, else 0."""
    start = Constant(1.0) if math.isinf(low) else _is_above(expression, low)
    return [start] if math.isinf(high) else [start, -_is_above(expression, high)]


def _is_above(expression: Expression, bound: float) -> Expression:
    """1 where the expression is above `bound`, else 0; the bound to its last bit, as three 32-bit floats."""
    high = float(np.float32(bound))
    middle = float(np.float32(bound - high))
    parts = [part for part in (high, middle, bound - high - middle) if part]
    distance = Sum((expression, -_total([*map(Constant, parts)]))) if parts else expression
    return clip(Product((*_STEEP, distance)), 0.0, 1.0)


def _total(terms: list[Expression]) -> Expression:
    return Sum(tuple(terms)) if len(terms) > 1 else terms[0]


def _opposite(indicator: Expression) -> Expression:
    return Sum((Constant(1.0), -indicator))
