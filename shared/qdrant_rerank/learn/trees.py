"""Decision trees, as every library's are read, and the expression that an ensemble of them becomes.

A tree becomes nested choices of which only the one that is taken is computed. Where one side of a split is a leaf, its
value is taken out: `leaf + condition * (other side - leaf)` needs the condition once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..errors import FitError
from ..expressions.nodes import Constant, Expression, Sum
from .columns import Column, Columns
from .gates import Gate, Side, gate
from .regions import Region

__all__ = ["Leaf", "Node", "Split", "ensemble"]

_DEEPEST: Final = 22  # gRPC refuses messages of more than 100 levels, and a split takes four


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
        FitError: a tree is too deep for any server.
    """
    deepest = max(map(_depth, trees), default=0)
    if deepest > _DEEPEST:
        raise FitError(
            f"the deepest tree has {deepest} levels of splits, and servers take formulas of about {_DEEPEST}: "
            f"fit the model with max_depth={_DEEPEST} or less (8 is plenty), or let it score fetched candidates on the client"
        )
    compiler = _Compiler(columns, columns.arrays)
    total = _Sum(bias)
    for tree in trees:
        part = compiler.compile(tree)
        total.constant += part.constant
        total.terms += part.terms
    return total.expression


def _depth(node: Node) -> int:
    deepest, waiting = 0, [(node, 0)]
    while waiting:
        tree, level = waiting.pop()
        deepest = max(deepest, level)
        if isinstance(tree, Split):
            waiting += [(tree.left, level + 1), (tree.right, level + 1)]
    return deepest
