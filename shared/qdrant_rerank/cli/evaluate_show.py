"""Evaluations and comparisons as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from ..evaluate import Change, Comparison, Evaluation, Interval
from .consoles import results_console

__all__ = ["print_comparison", "print_evaluation"]


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the means with their intervals, what a query cost, and what a reader must know."""
    console = results_console()
    console.print(Text(f"{evaluation.name}, {len(evaluation.coverage.measured)} topics"), style="bold")
    table = _table("measure", "mean", "95 % interval")
    for measure, mean in evaluation.means.items():
        table.add_row(measure, f"{mean.estimate:.4f}", _ends(mean))
    console.print(table)
    console.print(Text(_cost_line(evaluation)), style="dim")
    _print_notes([evaluation])


def print_comparison(comparison: Comparison) -> None:
    """Print the systems beside each other, the verdicts, and the topics with the largest changes."""
    console = results_console()
    table = _table("system", comparison.measure, "95 % interval", "trips", "texts read", "median ms")
    for one in comparison.evaluations:
        mean, costs = one.means[comparison.measure], one.costs
        name = Text(one.name + (" (baseline)" if one.name == comparison.baseline else ""), overflow="fold")
        numbers = [_number(costs.round_trips), _number(costs.model_texts), _number(costs.p50_ms)]
        table.add_row(name, f"{mean.estimate:.4f}", _ends(mean), *numbers)
    console.print(table)
    for verdict in comparison.verdicts:
        console.print(Text(verdict))
    for cost, names in comparison.frontiers.items():
        console.print(Text(f"worth their cost in {_COSTS[cost]}: {', '.join(names)}"), style="dim")
    for difference in comparison.differences:
        if difference.changes:
            console.print()
            console.print(Text(f"largest changes from {comparison.baseline} to {difference.name}"), style="bold")
        for change in difference.changes:
            _print_change(change, comparison.baseline, difference.name)
    _print_notes(comparison.evaluations)


_COSTS = {"p50_ms": "time", "round_trips": "round trips", "model_texts": "texts read by a model"}


def _print_change(change: Change, baseline: str, name: str) -> None:
    console = results_console()
    console.print(Text(f"{change.before:.3f} → {change.after:.3f}  {change.topic}: {change.text}"))
    rows = (baseline, change.ranking_before, change.why_before), (name, change.ranking_after, change.why_after)
    for system, ranking, why in rows:
        line = Text(f"  {system}: ", style="dim")
        for place, document in enumerate(ranking[:5]):
            line.append(", " if place else "")
            line.append(document, style="bold green" if document in change.relevant else "")
        console.print(line)
        for document, reason in zip(ranking[:3], why, strict=False):
            console.print(Text(f"    {document}: {reason}"), style="dim")


def _cost_line(evaluation: Evaluation) -> str:
    costs = evaluation.costs
    parts = []
    if costs.round_trips is not None:
        trips = "round trip" if costs.round_trips == 1 else "round trips"
        parts.append(f"{_number(costs.round_trips)} {trips}, {_number(costs.model_texts)} texts read by a model")
        parts.append(f"{_number(costs.bytes_sent)} bytes sent, {_number(costs.bytes_received)} received")
    if costs.p50_ms is not None and costs.p95_ms is not None:
        parts.append(f"{costs.p50_ms:.1f} ms (median), {costs.p95_ms:.1f} ms (95 %)")
    return "one query: " + ("; ".join(parts) or "costs unknown")


def _print_notes(evaluations: Sequence[Evaluation]) -> None:
    console = results_console()
    for one in evaluations:
        for note in one.notes:
            console.print(Text(f"{one.name}: {note}" if len(evaluations) > 1 else note), style="yellow")


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _ends(mean: Interval) -> str:
    return "" if mean.low is None or mean.high is None else f"{mean.low:.4f} to {mean.high:.4f}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.1f}"
