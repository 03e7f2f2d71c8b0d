"""Decision trees, as every library's are read, and the expression that an ensemble of them becomes.

A tree becomes nested choices of which only the one that is taken is computed. Where one side of a split is a leaf, its
value is taken out: `leaf + condition * (other side - leaf)` needs the condition once.

What decides at a split is a condition on the payload, or arithmetic where the value is a score or an expression. A
condition tests for the side that missing values don't take, as Qdrant's ranges and matches hold for no missing value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from qdrant_client import models

from .. import StrategyError
from .._internals import DIGITS, MAX_CONDITIONS, CandidateScore, Constant, Field, Product, Sum, When, digits, holds_number
from ..errors import FitError
from ..expressions import Expression, at_most_zero
from .features import Category, Feature
from .model_columns import EVERYTHING, Column, Columns, Region, add_up, bounds, last_f32

ON_CLIENT: Final = (
    "or have it computed on the client, over the fetched candidates: Formula(from_model(…, on_client=True)).over(…).on_client()"
)
"""The way out for models that are too large to be sent."""
WAYS_OUT: Final = (
    "fit fewer trees or leaves (100 trees of 8 leaves are a good size) or fewer hidden units, allow more with max_conditions=, "
    f"max_bytes= and max_milliseconds=, {ON_CLIENT}"
)
"""What to do about a formula over the budget."""
Side = Literal["left", "right"]
_ZERO: Final = Constant(0.0)


@dataclass(frozen=True)
class SplitGate:
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


def make_gate(column: Column, left: Region, missing_left: bool, arrays: bool = False) -> SplitGate | Side:
    """What decides whether a point goes left; the side itself where all points take the same.

    `left` are the numbers (codes, for a category) that go left, as the model sees them, and so do missing values if
    `missing_left`; with `arrays`, arrays of several values count as missing.
    """
    if isinstance(column.feature, Category):
        return _category_gate(column.feature, left, missing_left, arrays)
    if not math.isnan(column.missing):
        missing_left = column.missing in left
    return _number_gate(column.feature, column.raw(left), missing_left, arrays)


def _number_gate(feature: Feature, left: Region, missing_left: bool, arrays: bool) -> SplitGate | Side:
    match feature.expression:
        case Field(key):
            return _field_gate(key, left, missing_left, arrays)
        case Constant(value):
            return "left" if value in left else "right"
        case When(condition, Constant(then), Constant(otherwise)):
            if (then in left) == (otherwise in left):
                return "left" if then in left else "right"
            return SplitGate("left" if then in left else "right", condition)
        case expression:
            return _step_gate(expression, left)


def _field_gate(key: str, left: Region, missing_left: bool, arrays: bool) -> SplitGate | Side:
    side: Side = "right" if missing_left else "left"
    tested = ~left if missing_left else left
    if not tested.intervals:
        return "left" if missing_left else "right"
    if tested == EVERYTHING:
        return SplitGate(side, holds_number(key))
    ranges: list[models.Condition] = [models.FieldCondition(key=key, range=_range(*pair)) for pair in tested.intervals]
    return SplitGate(side, _of_key(key, ranges, arrays))


def _range(low: float, high: float) -> models.Range:
    if math.nextafter(low, math.inf) == high and digits(high) <= DIGITS:
        return models.Range(gte=high, lte=high)
    return models.Range(**bounds(low, high))


def _of_key(key: str, either: list[models.Condition], arrays: bool) -> models.Condition:
    """That one of the conditions holds for the value at a key; where arrays are possible, for its only value.

    A condition holds for an array if it does for any value. No index has the number of values: to ask makes a formula of trees
    three to six times slower.
    """
    condition = either[0] if len(either) == 1 else models.Filter(should=either)
    if not arrays:
        return condition
    return models.Filter(must=[condition, models.FieldCondition(key=key, values_count=models.ValuesCount(lte=1))])


def _category_gate(category: Category, left: Region, missing_left: bool, arrays: bool) -> SplitGate | Side:
    if category.values is None:
        raise StrategyError(
            "the model doesn't say which categories its codes stand for: "
            f"write Category({category.key!r}, values=[…]) with the category of code 0, 1, 2, …"
        )
    tested = [value for code, value in enumerate(category.values) if (float(code) in left) != missing_left]
    if not tested:
        return "left" if missing_left else "right"
    return SplitGate("right" if missing_left else "left", _of_key(category.key, _any_of(category.key, tested), arrays))


def _any_of(key: str, values: list[str | int]) -> list[models.Condition]:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, str)]
    return [models.FieldCondition(key=key, match=models.MatchAny(any=some)) for some in (texts, numbers) if some]


def _step_gate(expression: Expression, left: Region) -> SplitGate | Side:
    if not left.intervals:
        return "right"
    if left == EVERYTHING:
        return "left"
    (low, high), *others = left.intervals
    if not others and math.isinf(low):
        return SplitGate("left", _is_at_most(expression, high))
    return SplitGate("left", add_up([part for pair in left.intervals for part in _between(expression, *pair)]))


def _between(expression: Expression, low: float, high: float) -> list[Expression]:
    """Terms whose sum is 1 for values in `(low, high]`, else 0."""
    end = Constant(1.0) if math.isinf(high) else _is_at_most(expression, high)
    return [end] if math.isinf(low) else [end, -_is_at_most(expression, low)]


def _is_at_most(expression: Expression, bound: float) -> Expression:
    """1 where the expression is at most `bound`, else 0.

    Scores are 32-bit floats: at most the bound where they are at most the last such float up to it. Other expressions get the
    bound to its last bit, as three such floats.
    """
    if isinstance(expression, CandidateScore):
        parts = [float(last_f32(bound))]
    else:
        high = float(np.float32(bound))
        middle = float(np.float32(bound - high))
        parts = [high, middle, bound - high - middle]
    parts = [-part for part in parts if part]
    return at_most_zero(Sum((expression, *map(Constant, parts))) if parts else expression)


def _opposite(indicator: Expression) -> Expression:
    return Sum((Constant(1.0), -indicator))


_DEEPEST: Final = 22  # gRPC refuses messages of more than 100 levels, and a split takes four
_MANY: Final = 10_000  # splits that take seconds to make a formula of; with fewer, the message has the exact size
_BYTES: Final = 24  # the least that a split takes as JSON
_DEEPEST_HERE: Final = 60  # Python's own recursion reads and computes so many levels


@dataclass(frozen=True)
class Leaf:
    """The end of a path: what the tree adds to the score."""

    value: float


@dataclass(frozen=True)
class Split:
    """A question about the column of this number: a tree for values that go left, and one for all others.

    `region` are the numbers (or codes of categories) that go left, as the model sees them.
    """

    column: int
    region: Region
    missing_left: bool
    left: Node
    right: Node


Node: TypeAlias = Leaf | Split


@dataclass
class _Sum:
    """A number and the terms added to it."""

    constant: float = 0.0
    terms: list[Expression] = field(default_factory=list[Expression])

    @property
    def expression(self) -> Expression:
        return add_up([Constant(self.constant), *self.terms] if self.constant or not self.terms else self.terms)

    @property
    def part(self) -> Expression:
        """As `expression`, for a part of a tree, whose constant travels as one 32-bit float: no score shows the error."""
        return _Sum(float(np.float32(self.constant)), self.terms).expression


@dataclass
class _Compiler:
    columns: Sequence[Column]
    arrays: bool
    gates: dict[tuple[int, Region, bool], SplitGate | Side] = field(
        default_factory=dict[tuple[int, Region, bool], "SplitGate | Side"]
    )

    def gate(self, split: Split) -> SplitGate | Side:
        """The split's gate, made once for all trees that ask the same."""
        asked = (split.column, split.region, split.missing_left)
        if asked not in self.gates:
            self.gates[asked] = make_gate(self.columns[split.column], split.region, split.missing_left, self.arrays)
        return self.gates[asked]

    def compile(self, node: Node, less: float = 0.0) -> _Sum:
        """The tree's value minus `less`."""
        if isinstance(node, Leaf):
            return _Sum(node.value - less)
        found = self.gate(node)
        if not isinstance(found, SplitGate):
            return self.compile(node.left if found == "left" else node.right, less)
        inside, outside = (node.left, node.right) if found.side == "left" else (node.right, node.left)
        if isinstance(outside, Leaf):
            return _Sum(outside.value - less, [found.inside(self.compile(inside, outside.value).part)])
        if isinstance(inside, Leaf):
            return _Sum(inside.value - less, [found.outside(self.compile(outside, inside.value).part)])
        return _Sum(0.0, [found.both(self.compile(inside, less).part, self.compile(outside, less).part)])


def ensemble(trees: Sequence[Node], bias: float, columns: Columns) -> Expression:
    """The sum of the trees and of `bias`. Raises FitError where a tree is too deep, or all of them are certainly too large."""
    _check_depth(trees, columns.on_client)
    _check_size(trees, columns)
    compiler = _Compiler(columns, columns.arrays)
    total = _Sum(bias)
    for tree in trees:
        part = compiler.compile(tree)
        total.constant += part.constant
        total.terms += part.terms
    return total.expression


def _check_depth(trees: Sequence[Node], on_client: bool) -> None:
    levels = [level for tree in trees for _, level in _splits(tree)]
    deepest = max(levels, default=0)
    if on_client and deepest > _DEEPEST_HERE:
        raise FitError(
            f"the deepest tree has {deepest} levels of splits, and even on the client at most {_DEEPEST_HERE} are possible: "
            "fit the model with a smaller max_depth (8 is plenty)"
        )
    if deepest > _DEEPEST and not on_client:
        raise FitError(
            f"the deepest tree has {deepest} levels of splits, and servers take formulas of about {_DEEPEST} ({len(levels):,} "
            f"splits in all {len(trees):,} trees; up to {MAX_CONDITIONS:,} conditions are a good size): "
            f"fit the model with max_depth={_DEEPEST} or less (8 is plenty), {ON_CLIENT}"
        )


def _check_size(trees: Sequence[Node], columns: Columns) -> None:
    """Refuse a forest that is far over the budget, before its formula takes minutes."""
    if columns.max_bytes is None:
        return
    constant = [isinstance(each.feature, Feature) and isinstance(each.feature.expression, Constant) for each in columns]
    splits = sum(not constant[split.column] for tree in trees for split, _ in _splits(tree))  # the others aren't in the formula
    if splits >= _MANY and splits * _BYTES > columns.max_bytes:
        raise FitError(
            f"the model has {splits:,} splits in {len(trees):,} trees, which make a formula of more than {splits * _BYTES:,} "
            f"bytes where {columns.max_bytes:,} are allowed: {WAYS_OUT}"
        )


def _splits(node: Node) -> Iterator[tuple[Split, int]]:
    """Each split of a tree, with its level from 1 on."""
    waiting = [(node, 1)]
    while waiting:
        tree, level = waiting.pop()
        if isinstance(tree, Split):
            yield tree, level
            waiting += [(tree.left, level + 1), (tree.right, level + 1)]
