"""What the commands that measure have in common: their options, the data that they read, and how they end."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import typer
from rich.text import Text

from .. import Executor, Retries, Strategy
from .._internals import warn
from ..evaluate import (
    DEFAULT_MEASURES,
    Evaluation,
    Interval,
    Qrels,
    Topics,
    evaluate,
    read_beir,
    read_judged,
    read_qrels,
    read_topics,
    unknown_documents,
)
from ..evaluate._internals import MEASURING, parse_measures
from ..report import report
from ..report._internals import check_target
from .connect import RETRIES, Where
from .options import OUTPUT, argument, option, refuse_unused
from .output import CommandError, errors_console, hint_at_resuming, results_console, show_progress

NOT_GOOD_ENOUGH: Final = 3
"""The exit code where a system isn't as good as --fail-under or --fail-worse ask."""
DATA: Final = "Topics and judgments"
SEED: Final = option("--seed N", "For what is drawn at random: the same gives the same.", 0)
J = TypeVar("J")
_SPLIT: Final = "Which judgments of a BEIR folder."


@dataclass(frozen=True)
class WhereToMeasure(Where):
    """A Qdrant that is measured, perhaps for an hour."""

    own_retries: ClassVar[Retries] = MEASURING

    retries: int | None = option("--retries N", RETRIES, shows="12, within 5 minutes; 0 until the server has answered")


@dataclass(frozen=True)
class JudgedData:
    """Topics and judgments."""

    panel: ClassVar = DATA

    data: Path = argument(
        "DATA",
        "A folder as BEIR lays it out (queries.jsonl and qrels/SPLIT.tsv); or a .jsonl, .csv or .tsv file with a judged pair "
        "on each line: query_id, query, doc_id, grade, perhaps filter and params; or with --qrels a file of topics.",
    )
    qrels: Path | None = option("--qrels FILE", "Judgments as TREC or BEIR write them, for topics in DATA.")
    split: str | None = option("--split NAME", _SPLIT, shows="test")

    usual_split: ClassVar = "test"

    def read(self) -> tuple[Topics, Qrels]:
        return read_data(self.data, self.qrels, self.split, self.usual_split, read_judged)


def read_data(
    data: Path, qrels: Path | None, split: str | None, usual: str, alone: Callable[[Path], tuple[Topics, J]]
) -> tuple[Topics, J | Qrels]:
    """Read a BEIR folder, a file of topics with the judgments of `--qrels`, or a file that `alone` reads."""
    if not data.exists():
        raise CommandError(f"{data} doesn't exist: give a BEIR folder, a file of judged pairs, or one of topics with --qrels")
    if data.is_dir() and qrels is not None:
        raise CommandError("--qrels goes with a file of topics; a BEIR folder has its own judgments, see --split")
    if data.is_dir():
        return read_beir(data, split or usual)
    refuse_unused([] if split is None else ["--split"], f"it is for a BEIR folder, and {data} is a file")
    return alone(data) if qrels is None else (read_topics(data), read_qrels(qrels))


@dataclass(frozen=True)
class TrainingData(JudgedData):
    """Topics and judgments to learn from."""

    usual_split: ClassVar = "train"

    split: str | None = option("--split NAME", f"{_SPLIT} Not those that the result will be tested on.", shows="train")


@dataclass(frozen=True)
class Measuring:
    """How `evaluate` and `compare` measure."""

    panel: ClassVar = "How to measure"

    measure: list[str] | None = option(
        "--measure -m NAME",
        "A measure of ir-measures, e.g. nDCG@10, R@100, RR, P(rel=2)@5, Judged@10; may be given several times.",
        shows="nDCG@10, R@100 and RR",
    )
    batch: int = option("--batch-size N", "How many topics share a round trip; times are measured only with 1.", 1)
    concurrency: int = option("--concurrency N", "How many batches are asked at a time.", 1)
    count_failures: bool = option(
        "--count-failures", "Count topics that fail as 0, and tell which, instead of stopping at the first that does.", False
    )
    check_documents: bool = option(
        "--check-documents", "Warn of judged documents that the collection doesn't hold.", False, panel=DATA
    )

    @property
    def measures(self) -> list[str]:
        """The first decides."""
        return list(parse_measures(self.measure or DEFAULT_MEASURES))

    def evaluate(
        self,
        strategy: Strategy,
        data: tuple[Topics, Qrels],
        executor: Executor,
        name: str,
        kept: Path | None,
    ) -> Evaluation:
        """Evaluate a strategy of this name behind a progress bar, and keep each answer in a file as it comes."""
        hint = "--resume keeps each answer as it comes, and goes on from there"
        with hint_at_resuming(kept, "the answers", hint), show_progress(name or "topics") as progress:
            return evaluate(
                strategy,
                *data,
                self.measures,
                executor=executor,
                name=name,
                batch_size=self.batch,
                concurrency=self.concurrency,
                on_error="count" if self.count_failures else "stop",
                retries=executor.retries,
                run_file=kept,
                progress=progress,
            )


@dataclass(frozen=True)
class Output:
    """What a measurement prints and keeps."""

    panel: ClassVar = OUTPUT

    fail_under: float | None = option(
        "--fail-under X", f"End with exit code {NOT_GOOD_ENOUGH} if the mean of the first measure is below X; for builds."
    )
    report: Path | None = option(
        "--report FILE", "Write a report with tables, pictures and what to do next: one .html file, or .md, or .json."
    )
    json: bool = option("--json", "All of it as one JSON object, for other programs.", False)

    def check(self) -> None:
        """Refuse, before anything is measured, a report's file that can't be written."""
        if self.report is not None:
            check_target(self.report)

    def show(self, found: Any, show: Callable[[Any], None], /, **of_report: Any) -> None:
        """Print what was measured, by `show` or as JSON, and write the report."""
        if self.json:
            typer.echo(found.to_json(indent=None))
        else:
            show(found)
        if self.report is not None:
            report(**of_report, date=dt.date.today()).save(self.report)
            errors_console().print(Text(f"the report is in {self.report}", "dim"))


def warn_of_unknown(qrels: Qrels, executor: Executor) -> None:
    """Warn of judged documents that the collection doesn't hold."""
    if unknown := unknown_documents(qrels, executor):
        total, listed = len(qrels.documents), ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
        warn(f"{len(unknown)} of {total} judged documents are not in {executor.collection!r}, nothing can find them: {listed}")


def end_with(problems: Sequence[str]) -> None:
    """Print problems, and end with `NOT_GOOD_ENOUGH` if there are any."""
    for problem in problems:
        errors_console().print(problem, style="red")
    if problems:
        sys.exit(NOT_GOOD_ENOUGH)


# Figures, as tables show them


def print_notes(evaluations: Sequence[Evaluation]) -> None:
    """Print what a reader must know of evaluations."""
    console = results_console()
    for one in evaluations:
        for note in one.notes:
            console.print(Text(f"{one.name}: {note}" if len(evaluations) > 1 else note), style="yellow")


def describe_interval(mean: Interval) -> str:
    """The ends of an interval; "" if there is none."""
    return "" if mean.low is None or mean.high is None else f"{mean.low:.4f} to {mean.high:.4f}"


def describe_number(value: float | None) -> str:
    """A cost: no more digits than it takes."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.1f}"
