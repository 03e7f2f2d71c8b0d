"""Sums of decision trees, walked as trees instead of computed as arithmetic.

An ensemble becomes an expression of thousands of nodes, of which numpy would compute each for all points. Here its terms are
read back as trees. All bounds of a payload key are compared with its values at once, as are those of a score; then all points
go down all trees at the same time, level by level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Any, Final
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .build import AtMostZero
from .nodes import Constant, Expression, Negative, Product, Sum, When
from .wire import exact_constant

_SEVERAL: Final = 4  # terms of a sum that may be trees
_SMALLEST: Final = 64  # nodes; arithmetic is as fast for fewer
_LEAF: Final = -1


@dataclass
class Ranges:
    """Questions of trees whether a payload key has a number within bounds; `rows` are the questions' places in the forest.

    `bounds` has one for each question, as `conditions` has, by the name of a comparison ("lte").
    """

    key: str
    conditions: list[models.FieldCondition] = field(default_factory=list[models.FieldCondition])
    bounds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    rows: list[int] = field(default_factory=list[int])


@dataclass
class Steps:
    """Questions of trees whether a value is at most 0 once each question's constants are added to it; `rows` as of `Ranges`."""

    value: Expression
    added: list[list[float]] = field(default_factory=list[list[float]])
    rows: list[int] = field(default_factory=list[int])

    @cached_property
    def columns(self) -> list[NDArray[np.float64]]:
        """The first constant of each question, the second, and so on; 0 where it has fewer: shapes (questions, 1)."""
        return [np.array(each)[:, None] for each in zip_longest(*self.added, fillvalue=0.0)]


@dataclass(eq=False)
class Forest:
    """The terms of a sum that are trees, as arrays over their nodes; `rest` are the terms that are none."""

    _questions: list[models.Condition | AtMostZero] = field(default_factory=list["models.Condition | AtMostZero"])
    rest: list[Expression] = field(default_factory=list[Expression])
    _known: dict[int, int] = field(default_factory=dict[int, int])
    _nodes: list[tuple[int, int, int, float]] = field(default_factory=list[tuple[int, int, int, float]])
    _roots: list[int] = field(default_factory=list[int])

    @property
    def size(self) -> int:
        """How many nodes its trees have."""
        return len(self._nodes)

    @cached_property
    def questions(self) -> tuple[list[Ranges], list[Steps], list[tuple[int, models.Condition]]]:
        """What is asked: in ranges, in steps, and what else, with its place; together what is answered at once."""
        ranges: dict[Any, Ranges] = {}
        steps: dict[Any, Steps] = {}
        others: list[tuple[int, models.Condition]] = []
        for row, question in enumerate(self._questions):
            if isinstance(question, AtMostZero):
                value, added = _without_constants(question.operand)
                # equal leaves are the same value; larger values are compared as they are, as it takes long to look inside
                same = steps.setdefault(id(value) if value.operands else value, Steps(value))
                same.added.append(added)
                same.rows.append(row)
            elif isinstance(question, models.FieldCondition) and (bounds := _bounds(question)):
                alike = ranges.setdefault((question.key, *bounds), Ranges(question.key))
                for name, bound in bounds.items():
                    alike.bounds.setdefault(name, []).append(bound)
                alike.conditions.append(question)
                alike.rows.append(row)
            else:
                others.append((row, question))
        return list(ranges.values()), list(steps.values()), others

    @property
    def width(self) -> int:
        """How many questions there are."""
        return len(self._questions)

    @cached_property
    def _columns(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], int]:
        """What each node asks, where it leads to (if not, if so), the values of leaves, and how many levels there are.

        Leaves ask something, too, and lead to themselves, whatever the answer is.
        """
        asked, yes, no, values = zip(*self._nodes, strict=True)
        leaves = np.array(asked) == _LEAF
        ways = np.stack([np.array(no), np.array(yes)], axis=1)
        ways[leaves] = np.flatnonzero(leaves)[:, None]
        at, levels = np.array(self._roots), 0
        while not leaves[at].all():
            at, levels = np.unique(ways[at]), levels + 1
        return np.where(leaves, 0, asked).astype(np.intp), ways.astype(np.intp).ravel(), np.array(values), levels

    def add(self, term: Expression) -> None:
        """Add a term of the sum, as a tree if it is one."""
        before = len(self._nodes)
        try:
            self._roots.append(self._read(term, 0.0))
        except _NoTree:
            del self._nodes[before:]
            self.rest.append(term)

    def walk(self, answers: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The sum of all trees for each of n points; `answers` are whether each question holds: shape (questions, n)."""
        asked, ways, values, levels = self._columns
        count = answers.shape[1]
        points, flat = np.arange(count), answers.ravel()
        at = np.repeat(np.array(self._roots, np.intp)[:, None], count, axis=1)
        for _ in range(levels):  # of flat arrays, in which numpy finds elements several times as fast
            at = ways.take(2 * at + flat.take(asked.take(at) * count + points))
        return np.asarray(values.take(at).sum(axis=0))

    def _read(self, node: Expression, more: float) -> int:
        match node:
            case Constant(value):
                return self._leaf(more + exact_constant(value))
            case When(condition, then, otherwise):
                return self._split(condition, then, otherwise, more)
            case Product((AtMostZero() as step, then)):
                return self._split(step, then, None, more)
            case Product((Sum((Constant(1.0), Negative(AtMostZero() as step))), otherwise)):
                return self._split(step, None, otherwise, more)
            case Sum((Product((AtMostZero() as step, then)), Product((Sum((Constant(1.0), Negative(same))), otherwise)))) if (
                step is same
            ):
                return self._split(step, then, otherwise, more)
            case Sum((Constant(value), term)):
                return self._read(term, more + exact_constant(value))
            case _:
                raise _NoTree

    def _split(
        self, question: models.Condition | AtMostZero, then: Expression | None, otherwise: Expression | None, more: float
    ) -> int:
        place = len(self._nodes)
        self._nodes.append((self._ask(question), 0, 0, 0.0))
        yes, no = (self._leaf(more) if side is None else self._read(side, more) for side in (then, otherwise))
        self._nodes[place] = (self._nodes[place][0], yes, no, 0.0)
        return place

    def _leaf(self, value: float) -> int:
        self._nodes.append((_LEAF, 0, 0, value))
        return len(self._nodes) - 1

    def _ask(self, question: models.Condition | AtMostZero) -> int:
        if id(question) not in self._known:
            self._known[id(question)] = len(self._questions)
            self._questions.append(question)  # which keeps its id
        return self._known[id(question)]


class _NoTree(Exception):
    pass


def _without_constants(value: Expression) -> tuple[Expression, list[float]]:
    match value:
        case Sum((first, *parts)) if all(isinstance(part, Constant) for part in parts):
            return first, [exact_constant(part.value) for part in parts if isinstance(part, Constant)]
        case _:
            return value, [0.0]


def _bounds(condition: models.FieldCondition) -> dict[str, float]:
    """The bounds of a condition that asks for numbers in a range, and for nothing else."""
    asked = {name for name, value in condition if value is not None}
    if asked != {"key", "range"} or not isinstance(condition.range, models.Range):
        return {}
    return {name: bound for name, bound in condition.range if bound is not None}


_FORESTS: Final[dict[int, tuple[ref[Sum], Forest | None]]] = {}
"""By the id of a sum, as long as there is the sum: nodes are compared by what is in them, which takes longer."""


def find_forest(expression: Sum) -> Forest | None:
    """The trees among the terms of a sum; None where they are few. Read once for each sum."""
    if len(expression.terms) < _SEVERAL:
        return None
    number = id(expression)
    if number not in _FORESTS:
        forest = Forest()
        for term in expression.terms:
            forest.add(term)
        found = forest if forest.size >= _SMALLEST else None
        _FORESTS[number] = ref(expression, lambda _: _FORESTS.pop(number, None)), found
    return _FORESTS[number][1]


def count_nodes(expression: Expression) -> tuple[int, int]:
    """How many nodes numpy computes one by one, and how many are those of trees that are walked."""
    computed = walked = 0
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Sum) and (forest := find_forest(node)) is not None:
            walked += forest.size
            waiting += forest.rest
        else:
            computed += 1
            waiting += node.operands
    return computed, walked
