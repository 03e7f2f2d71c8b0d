"""The queries with the largest changes: both rankings side by side, with what moved and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from ..evaluate import Change, Comparison, Difference
from ..evaluate._internals import Numbers, verdict_of
from .advice import foremost
from .labels import System
from .words import quality, signed

__all__ = ["Changed", "Place", "Topic", "all_changed"]


@dataclass(frozen=True)
class Place:
    """One result in a ranking.

    Attributes:
        rank: from 1.
        document: its id.
        grade: how relevant it is; None where it wasn't judged relevant.
        moved: how it moved from the baseline's ranking, in a word or two.
        why: why it is there; "" where that isn't known.
    """

    rank: int
    document: str
    grade: int | None
    moved: str
    why: str


@dataclass(frozen=True)
class Topic:
    """One query that two systems answer differently, as the report shows it.

    Attributes:
        id: the topic's id.
        text: the query.
        before: the baseline's value.
        after: the other's.
        change: their difference.
        rankings: the baseline's ranking, and the other's.
        missed: relevant documents in neither of the rankings shown.
    """

    id: str
    text: str
    before: str
    after: str
    change: str
    rankings: tuple[tuple[Place, ...], tuple[Place, ...]]
    missed: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[Place | None, Place | None]]:
        """Both rankings rank by rank; None where one is shorter."""
        return list(zip_longest(*self.rankings))

    @property
    def has_whys(self) -> bool:
        """Whether it is known why any result is where it is."""
        return any(place.why for places in self.rankings for place in places)

    @property
    def is_short(self) -> bool:
        """Whether both rankings fit side by side on a phone."""
        return all(len(place.document) <= 12 for places in self.rankings for place in places)


@dataclass(frozen=True)
class Changed:
    """One system beside the baseline: what can be said of it, and its largest changes.

    Attributes:
        system: which one.
        verdict: what can be said.
        gains: the difference of each topic.
        wins: topics on which it is better. `ties` and `losses` likewise.
        topics: those with the largest changes.
    """

    system: System
    verdict: str
    gains: tuple[float, ...]
    wins: int
    ties: int
    losses: int
    topics: tuple[Topic, ...]


def all_changed(comparison: Comparison, systems: Mapping[str, System]) -> list[Changed]:
    """All systems but the baseline; the one that the report is about first."""
    best = foremost(comparison)
    rows = [best, *(row for row in comparison.differences if row is not best)]
    values = {one.name: one.values[comparison.measure] for one in comparison.evaluations}
    base = values[comparison.baseline]
    return [
        Changed(
            system=systems[row.name],
            verdict=_verdict(row, comparison, systems),
            gains=tuple(value - base[topic] for topic, value in values[row.name].items()),
            wins=row.wins,
            ties=row.ties,
            losses=row.losses,
            topics=tuple(map(_topic, row.changes)),
        )
        for row in rows
    ]


def _verdict(row: Difference, comparison: Comparison, systems: Mapping[str, System]) -> str:
    """The comparison's verdict; said anew with letters where the names are too long to be read."""
    system = systems[row.name]
    if not system.is_lettered:
        return row.verdict
    numbers = Numbers(
        name=system.label,
        baseline=systems[comparison.baseline].label,
        measure=comparison.measure,
        difference=row.difference,
        p_adjusted=row.p_adjusted,
        topics=comparison.topics,
        detectable=row.detectable,
        topics_needed=row.topics_needed,
        alpha=comparison.alpha,
        power=comparison.power,
        compared=len(comparison.differences),
        wins=row.wins,
        ties=row.ties,
        losses=row.losses,
    )
    return verdict_of(numbers)


def _topic(change: Change) -> Topic:
    before, after = change.ranking_before, change.ranking_after
    lists = (
        _places(before, change.relevant, change.why_before),
        tuple(
            replace(place, moved=_moved(place.document, place.rank, before))
            for place in _places(after, change.relevant, change.why_after)
        ),
    )
    return Topic(
        id=change.topic,
        text=change.text,
        before=quality(change.before),
        after=quality(change.after),
        change=signed(change.change),
        rankings=lists,
        missed=tuple(document for document in change.relevant if document not in (*before, *after)),
    )


def _places(ranking: Sequence[str], relevant: Mapping[str, int], why: Sequence[str]) -> tuple[Place, ...]:
    return tuple(
        Place(rank, document, relevant.get(document), "", why[rank - 1] if rank <= len(why) else "")
        for rank, document in enumerate(ranking, 1)
    )


def _moved(document: str, rank: int, before: Sequence[str]) -> str:
    if document not in before:
        return "new"
    up = before.index(document) + 1 - rank
    return f"up {up}" if up > 0 else f"down {-up}" if up < 0 else ""
