"""`qdrant-rerank fit`: from logged features to a ranker, one file that `search --strategy` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import typer
from rich.text import Text

from ..learn import LearnedRanker, fit_logistic, read_log
from ..learn._internals import Method
from .consoles import make_table, results_console, show_table
from .failures import CommandError
from .measuring import SEED
from .options import JSON, argument, check_output, command, option


@command
def run_fit(
    *,
    log: Path = argument("LOG", "What `features` wrote."),
    output: Path = option("--output -o FILE", "The ranker, as JSON.", ...),
    loss: str = option(
        "--loss pointwise|pairwise", "Learn which candidates are relevant, or which of two is more so.", "pointwise"
    ),
    c: float | None = option("--c X", "Inverse strength of regularisation.", shows="by cross-validation"),
    sign: list[str] | None = option("--sign NAME=+|-", "The sign that a weight must have; may be given several times."),
    calibration: str = option("--calibration none|platt|beta|isotonic", "How scores become probabilities.", "none"),
    least_grade: int = option("--least-grade N", "From which grade on a document is relevant.", 1),
    precision: float | None = option("--precision X", "Say which --score-threshold keeps this precision."),
    seed: int = SEED,
    json: bool = JSON,
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
    signs = dict(map(_parse_sign, sign or []))
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
    _print_ranker(ranker)
    if point is not None:
        console = results_console()
        console.print(
            Text(
                f"--score-threshold {point.threshold:.4f} keeps a precision of {point.precision:.3f}, recall {point.recall:.3f}"
            )
        )


def _parse_sign(text: str) -> tuple[str, str]:
    name, equals, sign = text.rpartition("=")
    if not equals or sign not in ("+", "-"):
        raise CommandError(f"--sign {text}: write NAME=+ or NAME=-")
    return name, sign


def _print_ranker(ranker: LearnedRanker) -> None:
    console, training = results_console(), ranker.training
    what = f"{training.loss}, {training.rows} rows of {len(training.topics)} topics, {training.relevant} relevant"
    console.print(Text(f"{what}, C = {training.c:g}"), style="bold")
    table = make_table("feature", "weight", "95 % interval", "per s.d.")
    table.add_column("")
    for one in sorted(ranker.weights, key=lambda one: -abs(one.standardised)):
        ends = "" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"
        table.add_row(one.name, f"{one.weight:.4g}", ends, f"{one.standardised:.3f}", one.weak)
    show_table(console, table)
    for name, value in ranker.metrics.items():
        console.print(Text(f"{name}: {value:.4f}"), style="dim")
