"""The tables of a report: what each system reached, what it cost, which queries that is about, and which changed most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from ..evaluate import Change, Comparison, Difference, Evaluation
from ..evaluate._internals import Numbers, write_verdict
from .story import foremost
from .words import System, amount, interval, quality, write_difference, write_p

__all__ = [
    "Changed",
    "CostTable",
    "CoverageRow",
    "Failure",
    "Mean",
    "Place",
    "QualityRow",
    "Topic",
    "Whisker",
    "all_changed",
    "costs",
    "coverage",
    "failures",
    "means",
    "measure_names",
    "qualities",
    "whiskers",
]

_COSTS: Final = {
    "p50_ms": "median ms",
    "p95_ms": "95 % below ms",
    "round_trips": "round trips",
    "searches": "searches",
    "embeddings": "embeddings",
    "model_calls": "model calls",
    "model_texts": "texts read by a model",
    "bytes_sent": "bytes sent",
    "bytes_received": "bytes received",
}
_FRONTS: Final = {"p50_ms": "time", "round_trips": "round trips", "model_texts": "texts read"}
_SHOWN_FAILURES: Final = 10


@dataclass(frozen=True)
class Mean:
    """A mean, and its interval as text ("" where it can't be told)."""

    value: str
    interval: str


@dataclass(frozen=True)
class QualityRow:
    """One system by the comparison's measure; the rest is empty for the baseline."""

    system: System
    mean: Mean
    difference: Mean | None = None
    whisker: Whisker | None = None
    p: str = ""
    wins: int = 0
    ties: int = 0
    losses: int = 0
    finding: str = ""


@dataclass(frozen=True)
class CostTable:
    """The costs that are known of any system; `rows` holds a text for each of `columns`, and where the system is in front."""

    columns: tuple[str, ...]
    rows: tuple[tuple[System, tuple[str, ...], str], ...]


@dataclass(frozen=True)
class CoverageRow:
    """How many queries one system's means are about."""

    system: System
    measured: int
    failed: int
    without_results: int
    judged: str


@dataclass(frozen=True)
class Failure:
    """Queries that ended with the same error: how many, one of them, and the error."""

    system: System
    count: int
    topic: str
    error: str


def means(evaluations: Sequence[Evaluation], systems: Mapping[str, System]) -> list[tuple[System, list[Mean | None]]]:
    """Each system's means by all measures that any was measured by; None where one wasn't."""
    names = measure_names(evaluations)
    return [(systems[one.name], [_mean(one, name) if name in one.means else None for name in names]) for one in evaluations]


def measure_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """All measures, in the order in which they first come."""
    return list(dict.fromkeys(name for one in evaluations for name in one.measures))


def qualities(comparison: Comparison, systems: Mapping[str, System]) -> list[QualityRow]:
    """The baseline first, then the others, best first."""
    by_name = {one.name: one for one in comparison.evaluations}
    rows = sorted(comparison.differences, key=lambda row: -row.mean)
    drawn = whiskers([(row.difference.estimate, row.difference.low, row.difference.high) for row in rows])
    base = QualityRow(systems[comparison.baseline], _mean(by_name[comparison.baseline], comparison.measure))
    return [
        base,
        *(_row(row, by_name[row.name], comparison.measure, systems, one) for row, one in zip(rows, drawn, strict=True)),
    ]


def _row(row: Difference, own: Evaluation, measure: str, systems: Mapping[str, System], drawn: Whisker) -> QualityRow:
    return QualityRow(
        system=systems[row.name],
        mean=_mean(own, measure),
        difference=Mean(write_difference(row.difference.estimate), interval(row.difference, sign=True)),
        whisker=drawn,
        p=write_p(row.p_adjusted),
        wins=row.wins,
        ties=row.ties,
        losses=row.losses,
        finding=row.finding,
    )


def _mean(evaluation: Evaluation, measure: str) -> Mean:
    found = evaluation.means[measure]
    return Mean(quality(found.estimate), interval(found))


def costs(
    evaluations: Sequence[Evaluation], systems: Mapping[str, System], frontiers: Mapping[str, Sequence[str]]
) -> CostTable:
    """What a query cost on each system."""
    known = [cost for cost in _COSTS if any(getattr(one.costs, cost) is not None for one in evaluations)]
    rows = tuple(
        (
            systems[one.name],
            tuple(amount(getattr(one.costs, cost)) for cost in known),
            ", ".join(_FRONTS[cost] for cost, front in frontiers.items() if one.name in front),
        )
        for one in evaluations
    )
    return CostTable(tuple(_COSTS[cost] for cost in known), rows)


def coverage(evaluations: Sequence[Evaluation], systems: Mapping[str, System]) -> list[CoverageRow]:
    """What each system's means are about."""
    return [
        CoverageRow(
            systems[one.name],
            len(one.coverage.measured),
            len(one.coverage.failed),
            len(one.coverage.without_results),
            "–" if one.coverage.judged_at_10 is None else f"{one.coverage.judged_at_10:.0%}",
        )
        for one in evaluations
    ]


def failures(evaluations: Sequence[Evaluation], systems: Mapping[str, System]) -> tuple[list[Failure], int]:
    """The most frequent errors, and how many other errors there are; those alike are counted together."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in evaluations:
        for topic, error in one.coverage.failed.items():
            found.setdefault((one.name, error), []).append(topic)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    shown = [Failure(systems[name], len(topics), topics[0], error) for (name, error), topics in ordered[:_SHOWN_FAILURES]]
    return shown, len(ordered) - len(shown)


_ROOM = 4.0


@dataclass(frozen=True)
class Whisker:
    """An interval on a scale from 0 to 100.

    Attributes:
        value: the estimate.
        low: lower end; the estimate itself where there is none.
        high: upper end; likewise.
        zero: where nothing is.
    """

    value: float
    low: float
    high: float
    zero: float


def whiskers(rows: Sequence[tuple[float, float | None, float | None]]) -> list[Whisker]:
    """(estimate, low, high) of each row → its whisker; the scale holds all of them, and 0."""
    ends = [end for row in rows for end in row if end is not None]
    least, most = min([0.0, *ends]), max([0.0, *ends])
    span = (most - least) or 1.0

    def at(value: float) -> float:
        return round(_ROOM + (100 - 2 * _ROOM) * (value - least) / span, 2)

    return [
        Whisker(at(value), at(value if low is None else low), at(value if high is None else high), at(0.0))
        for value, low, high in rows
    ]


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
    return write_verdict(numbers)


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
        change=write_difference(change.change),
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
