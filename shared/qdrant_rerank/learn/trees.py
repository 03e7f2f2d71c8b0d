"""Decision trees, as every library's are read, and the expression that an ensemble of them becomes.

A tree becomes nested choices of which only the one that is taken is computed. Where one side of a split is a leaf, its
value is taken out: `leaf + condition * (other side - leaf)` needs the condition once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..errors import FitError
from ..expressions import Expression
from ..expressions._internals import Constant, Sum
from .budget import MAX_CONDITIONS, ON_CLIENT, WAYS_OUT
from .columns import Column, Columns
from .features import Feature
from .gates import Gate, Side, gate
from .regions import Region

__all__ = ["Leaf", "Node", "Split", "ensemble"]

_DEEPEST: Final = 22  # gRPC refuses messages of more than 100 levels, and a split takes four
_MANY: Final = 10_000  # splits that take seconds to make a formula of; of fewer the exact size is told
_BYTES: Final = 24  # the least that a split takes as JSON
_DEEPEST_HERE: Final = 60  # what Python's own recursion reads from JSON and computes


@dataclass(frozen=True)
class Leaf:
    """The end of a path: what the tree adds to the score."""

    value: float


@dataclass(frozen=True)
class Split:
    """A question about one column.

    Attributes:
        column: its number.
        region: the numbers (or codes of categories) that go left, as the model sees them.
        missing_left: whether missing values go left.
        left: the tree for those.
        right: the tree for all others.
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
        terms = [Constant(self.constant), *self.terms] if self.constant or not self.terms else self.terms
        return Sum(tuple(terms)) if len(terms) > 1 else terms[0]


@dataclass
class _Compiler:
    columns: Sequence[Column]
    arrays: bool
    gates: dict[tuple[int, Region, bool], Gate | Side] = field(default_factory=dict[tuple[int, Region, bool], "Gate | Side"])

    def gate(self, split: Split) -> Gate | Side:
        """The split's gate, made once for all trees that ask the same."""
        asked = (split.column, split.region, split.missing_left)
        if asked not in self.gates:
            self.gates[asked] = gate(self.columns[split.column], split.region, split.missing_left, self.arrays)
        return self.gates[asked]

    def compile(self, node: Node, less: float = 0.0) -> _Sum:
        """The tree's value minus `less`."""
        if isinstance(node, Leaf):
            return _Sum(node.value - less)
        found = self.gate(node)
        if not isinstance(found, Gate):
            return self.compile(node.left if found == "left" else node.right, less)
        inside, outside = (node.left, node.right) if found.side == "left" else (node.right, node.left)
        if isinstance(outside, Leaf):
            return _Sum(outside.value - less, [found.inside(self.compile(inside, outside.value).expression)])
        if isinstance(inside, Leaf):
            return _Sum(inside.value - less, [found.outside(self.compile(outside, inside.value).expression)])
        return _Sum(0.0, [found.both(self.compile(inside, less).expression, self.compile(outside, less).expression)])


def ensemble(trees: Sequence[Node], bias: float, columns: Columns) -> Expression:
    """The sum of the trees and of `bias`.

    Raises:
        FitError: a tree is too deep for any server, or for a formula on the client; or all of them are certainly too large.
    """
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
    deepest = max(map(_depth, trees), default=0)
    if on_client and deepest > _DEEPEST_HERE:
        raise FitError(
            f"the deepest tree has {deepest} levels of splits, and even on the client at most {_DEEPEST_HERE} are possible: "
            f"fit the model with a smaller max_depth (8 is plenty)"
        )
    if deepest > _DEEPEST and not on_client:
        splits = sum(1 for tree in trees for _ in _splits(tree))
        raise FitError(
            f"the deepest tree has {deepest} levels of splits, and servers take formulas of about {_DEEPEST} ({splits:,} "
            f"splits in all {len(trees):,} trees; up to {MAX_CONDITIONS:,} conditions are a good size): "
            f"fit the model with max_depth={_DEEPEST} or less (8 is plenty), {ON_CLIENT}"
        )


def _check_size(trees: Sequence[Node], columns: Columns) -> None:
    """Refuse a forest that is far over the budget before minutes are spent on its formula."""
    if columns.max_bytes is None:
        return
    splits = sum(_asks(columns[split.column]) for tree in trees for split in _splits(tree))
    if splits >= _MANY and splits * _BYTES > columns.max_bytes:
        raise FitError(
            f"the model has {splits:,} splits in {len(trees):,} trees, which make a formula of more than {splits * _BYTES:,} "
            f"bytes where {columns.max_bytes:,} are allowed: {WAYS_OUT}"
        )


def _asks(column: Column) -> bool:
    """Whether a split on the column is in the formula: it is decided at once where the feature is a constant."""
    return not (isinstance(column.feature, Feature) and isinstance(column.feature.expression, Constant))


def _splits(node: Node) -> Iterator[Split]:
    waiting = [node]
    while waiting:
        if isinstance(tree := waiting.pop(), Split):
            yield tree
            waiting += [tree.left, tree.right]


def _depth(node: Node) -> int:
    deepest, waiting = 0, [(node, 0)]
    while waiting:
        tree, level = waiting.pop()
        deepest = max(deepest, level)
        if isinstance(tree, Split):
            waiting += [(tree.left, level + 1), (tree.right, level + 1)]
    return deepest
