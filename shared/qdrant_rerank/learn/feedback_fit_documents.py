"""Which documents a fit finds, and whether its judgments speak of them at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .. import StrategyError
from .._internals import Points
from ..evaluate import DocId, Qrels
from ..evaluate._internals import aliases, other_ids, ranking_of

__all__ = ["Documents", "Grades"]

Grades = Mapping[str, Mapping[str, int]]


@dataclass
class Documents:
    """Tells the documents of points by their ids, and remembers which were found to learn from.

    Attributes:
        grades: query text → document id → grade; empty if judgments aren't used.
        doc_id: where a point's document id is, see `evaluate.DocId`.
        found: the ids of all documents noted.
        keys: payload keys of a point that was noted, for error messages.
    """

    grades: Grades = field(default_factory=dict[str, Mapping[str, int]])
    doc_id: DocId = None
    found: set[str] = field(default_factory=set[str])
    keys: tuple[str, ...] = ()

    @cached_property
    def judged(self) -> frozenset[str]:
        """The ids of all documents that have judgments."""
        return Qrels(self.grades).documents if self.grades else frozenset()

    @cached_property
    def _names(self) -> dict[str, str]:
        return aliases(Qrels(self.grades))

    def of(self, points: Points) -> list[str]:
        """The documents that the points are, best first.

        Raises:
            StrategyError: a point has no id where `doc_id` says.
        """
        return [ranked.doc_id for ranked in ranking_of(points, self.doc_id, self._names)[0]]

    def note(self, answers: Sequence[Points]) -> None:
        """Remember what searches found, if there are judgments.

        Raises:
            StrategyError: a point has no id where `doc_id` says.
        """
        if not self.judged:
            return
        for points in answers:
            self.found.update(self.of(points))
            self.keys = self.keys or tuple(sorted((points[0].payload or {}) if points else ()))  # gRPC's have no order

    @property
    def recognised(self) -> bool:
        """Whether a document that was found has been judged; also without judgments."""
        return not self.judged or not self.judged.isdisjoint(self.found)

    def check(self) -> None:
        """Refuse to measure where not one document found was judged: the ids are others.

        Raises:
            StrategyError: so it is.
        """
        if self.recognised or not self.found:
            return
        payload = f"; a point's payload has {', '.join(map(repr, self.keys[:12]))}" if self.keys else ""
        raise StrategyError(
            f"{other_ids(sorted(self.found), self.judged)} (--doc-id) where a result's document id is{payload}; if the ids "
            "are right, the search finds nothing that was judged: candidates= (--candidates) makes it deeper"
        )
