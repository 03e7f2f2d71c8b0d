"""What `calibrate` prints: how far it is, and what it came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from .. import Coefficients
from ..evaluate import Interval
from ..learn import FeedbackFit
from ..learn._internals import Progress, duration
from .consoles import errors_console, results_console

__all__ = ["fit_json", "print_fit", "scoring_bar"]


@contextmanager
def scoring_bar() -> Generator[Callable[[Progress], None] | None, None, None]:
    """What a fit tells its progress, shown as a bar with cost and time left; None where nobody watches."""
    console = errors_console()
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda told: bar.update(task, completed=told.done, total=told.total, description=told_line(told))


def told_line(told: Progress) -> str:
    """What was paid for, and how long the rest takes."""
    left = "" if told.seconds_left is None else f", {duration(told.seconds_left)} left"
    return f"{told.asked:,} asked of the model{left}"


def print_fit(fit: FeedbackFit) -> None:
    """Print what to use, in plain words, and the numbers that say so."""
    console = results_console()
    verdict, signal, *others = str(fit).splitlines()
    console.print(Text(verdict, "bold green" if fit.recommends == "feedback" else "bold yellow"))
    console.print(Text(signal))
    console.print(Text(others[0]))
    console.print(_table(fit))
    console.print(
        Text("agreement: with the model, of all that was found; unseen: of what it wasn't shown, which tells signal", "dim")
    )
    console.print(Text(others[-1], "dim"))


def _table(fit: FeedbackFit) -> Table:
    """For each measure three rows: each of the three ways, beside what it has to beat."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("held out")
    table.add_column("by")
    for heading in ("mean", "over plain [95 %]", "over rerank [95 %]"):
        table.add_column(heading, justify="right")
    for each in fit.judgements:
        table.add_row(each.measure, "plain", f"{each.plain:.3f}", "", "")
        table.add_row("", "rerank", f"{each.rerank:.3f}", _gain(each.rerank_over_plain), "")
        table.add_row("", "feedback", f"{each.feedback:.3f}", _gain(each.over_plain), _gain(each.over_rerank))
    return table


def _gain(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:+.3f}"
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def fit_json(fit: FeedbackFit) -> str:
    """All of it as one JSON object."""
    return json.dumps(
        {
            "recommends": fit.recommends,
            "signal": fit.signal,
            "disagreement": fit.disagreement,
            "queries": fit.queries,
            "queries_with_judgments": fit.judged_queries,
            "skipped": fit.skipped,
            "coefficients": _plain(fit.coefficients),
            "coefficients_by_fold": [_plain(each) for each in fit.folds],
            "judgements": [asdict(each) for each in fit.judgements],
        }
    )


def _plain(weights: Coefficients) -> dict[str, float]:
    return {"a": weights.a, "b": weights.b, "c": weights.c}
