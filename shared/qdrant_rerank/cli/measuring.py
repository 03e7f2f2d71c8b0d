"""What `evaluate` and `compare` have in common: options, the data that they name, and progress."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .. import Executor
from ..evaluate import (
    Change,
    Comparison,
    Evaluation,
    Interval,
    Qrels,
    Topics,
    read_beir,
    read_judged,
    read_qrels,
    read_topics,
    unknown_documents,
)
from ..evaluate._internals import Progress as Told
from ..report import report
from ..report._internals import check_target
from .failures import CommandError, errors_console, results_console, visible, warn

__all__ = [
    "NOT_GOOD_ENOUGH",
    "BatchOption",
    "CheckOption",
    "ConcurrencyOption",
    "CountFailuresOption",
    "DataArgument",
    "FailUnderOption",
    "MeasureOption",
    "PlainJsonOption",
    "QrelsOption",
    "ReportOption",
    "SplitOption",
    "checked_report",
    "fail",
    "judged_data",
    "print_comparison",
    "print_evaluation",
    "save_report",
    "shown_progress",
    "warn_of_unknown",
]

NOT_GOOD_ENOUGH = 3
"""The exit code where a system isn't as good as --fail-under or --fail-worse ask."""
_DATA, _HOW, _OUTPUT = "Topics and judgments", "How to measure", "What to print and keep"

DataArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder as BEIR lays it out (queries.jsonl and qrels/SPLIT.tsv); or a .jsonl, .csv or .tsv file with a judged "
        "pair on each line: query_id, query, doc_id, grade, perhaps filter and params; or with --qrels a file of topics.",
    ),
]
QrelsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--qrels", metavar="FILE", rich_help_panel=_DATA, help="Judgments as TREC or BEIR write them, for topics in DATA."
    ),
]
SplitOption: TypeAlias = Annotated[
    str, typer.Option("--split", metavar="NAME", rich_help_panel=_DATA, help="Which judgments of a BEIR folder.")
]
CheckOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--check-documents",
        metavar="",
        rich_help_panel=_DATA,
        help="Warn of judged documents that the collection doesn't hold.",
    ),
]
MeasureOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        "-m",
        metavar="NAME",
        rich_help_panel=_HOW,
        help="A measure of ir-measures, e.g. nDCG@10, R@100, RR, P(rel=2)@5, Judged@10; may be given several times.",
        show_default="nDCG@10, R@100 and RR",
    ),
]
BatchOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--batch", metavar="N", rich_help_panel=_HOW, help="How many topics share a round trip; times are measured only with 1."
    ),
]
ConcurrencyOption: TypeAlias = Annotated[
    int, typer.Option("--concurrency", metavar="N", rich_help_panel=_HOW, help="How many batches are asked at a time.")
]
CountFailuresOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--count-failures",
        metavar="",
        rich_help_panel=_HOW,
        help="Count topics that fail as 0, and tell which, instead of stopping at the first that does.",
    ),
]
FailUnderOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--fail-under",
        metavar="X",
        rich_help_panel=_OUTPUT,
        help=f"End with exit code {NOT_GOOD_ENOUGH} if the mean of the first measure is below X; for builds.",
    ),
]
ReportOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        rich_help_panel=_OUTPUT,
        help="Write a report with tables, pictures and what to do next: one .html file, or .md, or .json.",
    ),
]
PlainJsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", metavar="", rich_help_panel=_OUTPUT, help="All of it as one JSON object, for other programs.")
]


def judged_data(data: Path, qrels: Path | None, split: str) -> tuple[Topics, Qrels]:
    """The topics and judgments that the options name.

    Raises:
        CommandError: there is no such file, or --qrels comes with a folder.
        FormatError: a file is malformed.
    """
    if not data.exists():
        raise CommandError(
            f"{data} doesn't exist: give a BEIR folder, a file of judged pairs, or a file of topics with --qrels"
        )
    if data.is_dir():
        if qrels is not None:
            raise CommandError("--qrels goes with a file of topics; a BEIR folder has its own judgments, see --split")
        return read_beir(data, split)
    if qrels is not None:
        return read_topics(data), read_qrels(qrels)
    return read_judged(data)


def warn_of_unknown(qrels: Qrels, executor: Executor) -> None:
    """Warn of judged documents that the collection doesn't hold."""
    unknown = unknown_documents(qrels, executor)
    if unknown:
        total = len(qrels.documents)
        listed = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
        warn(f"{len(unknown)} of {total} judged documents are not in {executor.collection!r}, nothing can find them: {listed}")


@contextmanager
def shown_progress(name: str) -> Generator[Told | None, None, None]:
    """What a progress bar is told; None where nobody watches."""
    console = errors_console()
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(visible(name), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def fail(problems: Sequence[str]) -> None:
    """End with an exit code of its own if there are problems, each on a line."""
    if problems:
        for problem in problems:
            errors_console().print(problem, style="red")
        sys.exit(NOT_GOOD_ENOUGH)


def checked_report(file: Path | None) -> None:
    """Refuse a report's file that can't be written, before anything is measured.

    Raises:
        FormatError: see `report.document.check_target`.
    """
    if file is not None:
        check_target(file)


def save_report(file: Path | None, result: Any = None, tuning: Any = None, seed: int | None = None) -> None:
    """Write the report on what was measured, if one is wanted, and say where it is."""
    if file is not None:
        report(result, tuning, date=dt.date.today(), seed=seed).save(file)
        errors_console().print(Text(f"the report is in {file}", "dim"))


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
