"""`qdrant-rerank fit`: from logged features to a ranker, one file that `search --strategy` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from ..learn import LearnedRanker, fit_logistic, read_log
from ..learn._internals import Method
from . import options as o
from .failures import CommandError, reported, results_console
from .options import check_output

__all__ = ["fit"]


@reported
def fit(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="What `features` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The ranker, as JSON.")],
    loss: Annotated[
        str,
        typer.Option(
            "--loss", metavar="pointwise|pairwise", help="Learn which candidates are relevant, or which of two is more so."
        ),
    ] = "pointwise",
    c: Annotated[
        float | None,
        typer.Option("--c", metavar="X", help="Inverse strength of regularisation.", show_default="by cross-validation"),
    ] = None,
    sign: Annotated[
        list[str] | None,
        typer.Option("--sign", metavar="NAME=+|-", help="The sign that a weight must have; may be given several times."),
    ] = None,
    calibration: Annotated[
        str, typer.Option("--calibration", metavar="none|platt|beta|isotonic", help="How scores become probabilities.")
    ] = "none",
    least_grade: Annotated[
        int, typer.Option("--least-grade", metavar="N", help="From which grade on a document is relevant.")
    ] = 1,
    precision: Annotated[
        float | None, typer.Option("--precision", metavar="X", help="Say which --score-threshold keeps this precision.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="For resampling.")] = 0,
    json: o.JsonOption = False,
    debug: o.DebugOption = False,
) -> None:
    """Learn weights from logged features: a formula that gives the probability of relevance.

    All figures are of topics that the weights weren't fitted to.

    $ qdrant-rerank fit log.csv -o ranker.json

    $ qdrant-rerank fit log.csv -o ranker.json --sign dense=+ --calibration platt --precision 0.5

    Then search with it:

    $ qdrant-rerank search "how do I ...?" --edge ./db --strategy ranker.json
    """
    if precision is not None and not 0 < precision <= 1:
        raise CommandError(f"--precision is a share of results, above 0 and at most 1, got {precision:g}")
    check_output("--output", output)
    signs = dict(map(_sign, sign or []))
    ranker = fit_logistic(
        read_log(log),
        loss=cast(Any, loss),
        C="cv" if c is None else c,
        signs=signs,
        calibration=cast(Method, calibration),
        least_grade=least_grade,
        seed=seed,
    )
    point = None if precision is None else ranker.threshold_for(precision=precision)
    ranker.save(output)
    if json:
        typer.echo(ranker.to_json(indent=None))
        return
    _show(ranker)
    if point is not None:
        console = results_console()
        console.print(
            Text(
                f"--score-threshold {point.threshold:.4f} keeps a precision of {point.precision:.3f}, recall {point.recall:.3f}"
            )
        )


def _sign(text: str) -> tuple[str, str]:
    name, equals, sign = text.rpartition("=")
    if not equals or sign not in ("+", "-"):
        raise CommandError(f"--sign {text}: write NAME=+ or NAME=-")
    return name, sign


def _show(ranker: LearnedRanker) -> None:
    console, training = results_console(), ranker.training
    what = f"{training.loss}, {training.rows} rows of {len(training.topics)} topics, {training.relevant} relevant"
    console.print(Text(f"{what}, C = {training.c:g}"), style="bold")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("feature", overflow="fold")
    for heading in ("weight", "95 % interval", "per s.d."):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in sorted(ranker.weights, key=lambda one: -abs(one.standardised)):
        ends = "" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"
        table.add_row(one.name, f"{one.weight:.4g}", ends, f"{one.standardised:.3f}", one.weak)
    console.print(table)
    for name, value in ranker.metrics.items():
        console.print(Text(f"{name}: {value:.4f}"), style="dim")
