"""The tables of a report: what each system reached, what it cost, and which queries that is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..evaluate import Comparison, Difference, Evaluation
from .labels import System
from .whiskers import Whisker, whiskers
from .words import amount, interval, p_value, quality, signed

__all__ = [
    "CostTable",
    "CoverageRow",
    "Failure",
    "Mean",
    "QualityRow",
    "costs",
    "coverage",
    "failures",
    "means",
    "measure_names",
    "qualities",
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
        difference=Mean(signed(row.difference.estimate), interval(row.difference, sign=True)),
        whisker=drawn,
        p=p_value(row.p_adjusted),
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
