"""`qdrant-rerank drift`: whether a collection's values have moved away from those that a ranker was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer
from rich.text import Text

from .. import Executor
from ..evaluate import read_topics
from ..learn import Drift, FeatureDrift, LearnedRanker, drift
from .connect import connect, find_collection
from .consoles import make_table, results_console, show_table
from .failures import CommandError
from .measuring import NOT_GOOD_ENOUGH, WhereToMeasure, end_with
from .models import QueryModels, give_encoders
from .options import JSON, argument, command, option

_STYLES: Final = {"stable": "", "moved": "yellow", "far": "red", "gone": "red"}


@command
def run_drift(
    *,
    ranker: Path = argument("RANKER", "What `fit` wrote."),
    where: WhereToMeasure,
    sample: int = option("--sample N", "How many stored points to look at.", 1000),
    topics: Path | None = option(
        "--topics FILE",
        "Recent queries; they need no judgments. Their candidates are looked at instead of stored points, which tells of "
        "scores and request-time values, too.",
    ),
    fail_over: float | None = option(
        "--fail-over X", f"End with exit code {NOT_GOOD_ENOUGH} if a feature's PSI is above X, or no point has it."
    ),
    json: bool = JSON,
    models: QueryModels,
) -> None:
    """Tell whether a collection's values have moved away from those that a ranker was trained on.

    The population stability index (PSI) of each feature: below 0.1 nothing has happened, from 0.25 on fit again. What stands
    beside it is what chance alone exceeds once in a hundred times.

    $ qdrant-rerank drift ranker.json --edge ./db

    In a nightly job, as JSON; exit code 3 says that a feature has moved:

    $ qdrant-rerank drift ranker.json --edge ./db --json --fail-over 0.2
    """
    if fail_over is not None and not fail_over >= 0:
        raise CommandError(f"--fail-over is a PSI, a number of at least 0, got {fail_over}")
    learned = LearnedRanker.load(ranker)
    asked, policy = None if topics is None else read_topics(topics), where.policy
    with connect(where) as client:
        executor = Executor(client, find_collection(client, where.collection, policy), retries=policy.rest)
        if asked is not None:  # stored points need no encoders
            # unchecked: what has moved, or is gone, is to be reported, not refused
            plan = executor.plan(learned.strategy.uncheck())
            give_encoders(executor, plan.strategy.needs(), models.by_kind, policy)
        found = drift(executor, learned, sample=sample, topics=asked, retries=policy.rest)
    if json:
        typer.echo(found.to_json(indent=None))
    else:
        _print_drift(found)
    if fail_over is not None:
        end_with([str(one) for one in found.features if one.psi > fail_over or one.verdict == "gone"])


def _print_drift(found: Drift) -> None:
    console = results_console()
    console.print(Text(f"{found.points} {found.compared}"), style="bold")
    table = make_table("feature", "PSI", "by chance", "missing", "then")
    table.add_column("")
    for one in found.features:
        table.add_row(*_cells(one), style=_STYLES[one.verdict])
    show_table(console, table)
    if found.left_out:
        hint = "they read scores or request-time values: give --topics" if found.compared == "stored points" else "unknown then"
        console.print(Text(f"not compared: {', '.join(found.left_out)} ({hint})"), style="dim")


def _cells(one: FeatureDrift) -> list[str]:
    return [one.name, f"{one.psi:.3f}", f"{one.by_chance:.3f}", f"{one.missing:.0%}", f"{one.missing_then:.0%}", one.said]
