"""Sums of decision trees, walked as trees instead of computed as arithmetic.

An ensemble becomes an expression of thousands of nodes, of which numpy would compute each for all points. Here its terms are
read back as trees: each question is decided once for all points, which go down all trees at the same time, level by level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .build import AtMostZero
from .nodes import Constant, Expression, Negative, Product, Sum, When
from .wire import exact_constant

__all__ = ["Forest", "find_forest"]

_SMALLEST: Final = 64  # nodes; arithmetic is as fast for fewer
_LEAF: Final = -1


@dataclass(eq=False)
class Forest:
    """The terms of a sum that are trees, as arrays over their nodes.

    Attributes:
        questions: what is asked at some node: a condition, or a step.
        rest: the terms that are no trees.
    """

    questions: list[models.Condition | AtMostZero] = field(default_factory=list["models.Condition | AtMostZero"])
    rest: list[Expression] = field(default_factory=list[Expression])
    _known: dict[int, int] = field(default_factory=dict[int, int])
    _nodes: list[tuple[int, int, int, float]] = field(default_factory=list[tuple[int, int, int, float]])
    _roots: list[int] = field(default_factory=list[int])

    @property
    def size(self) -> int:
        """How many nodes its trees have."""
        return len(self._nodes)

    @cached_property
    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        asked, yes, no, values = zip(*self._nodes, strict=True)
        return np.array(asked), np.array(yes), np.array(no), np.array(values)

    def add(self, term: Expression) -> None:
        """Add a term of the sum, as a tree if it is one."""
        before = len(self._nodes)
        try:
            self._roots.append(self._read(term, 0.0))
        except _NoTree:
            del self._nodes[before:]
            self.rest.append(term)

    def walk(self, answers: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The sum of all trees for each of n points.

        Args:
            answers: for each question, whether it holds for each point: shape (questions, n).
        """
        asked, yes, no, values = self._columns
        points = np.arange(answers.shape[1])
        at = np.repeat(np.array(self._roots)[:, None], len(points), axis=1)
        while (inner := asked[at] != _LEAF).any():
            holds = answers[asked[at], points]  # of a leaf, whatever the last question's answer is
            at = np.where(inner, np.where(holds, yes[at], no[at]), at)
        return np.asarray(values[at].sum(axis=0))

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
            self._known[id(question)] = len(self.questions)
            self.questions.append(question)  # which keeps its id
        return self._known[id(question)]


class _NoTree(Exception):
    pass


_FORESTS: Final[dict[int, tuple[ref[Sum], Forest | None]]] = {}
"""By the id of a sum, as long as there is the sum: nodes are compared by what is in them, which takes longer."""


def find_forest(expression: Sum) -> Forest | None:
    """The trees among the terms of a sum; None where they are few. Read once for each sum."""
    number = id(expression)
    if number not in _FORESTS:
        forest = Forest()
        for term in expression.terms:
            forest.add(term)
        found = forest if forest.size >= _SMALLEST else None
        _FORESTS[number] = ref(expression, lambda _: _FORESTS.pop(number, None)), found
    return _FORESTS[number][1]
