"""`qdrant-rerank drift`: whether a collection's values have moved away from those that a ranker was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from qdrant_client import QdrantClient
from rich import box
from rich.table import Table
from rich.text import Text

from .. import Executor
from .._internals import VectorKind as Kind
from ..evaluate import Topics, read_topics
from ..evaluate._internals import MEASURING
from ..learn import Drift, FeatureDrift, LearnedRanker
from ..learn import drift as drifted
from ..models import Encoders
from . import measuring as e
from . import model_options as m
from . import options as o
from .connect import CommandRetries, Where, connected, the_collection
from .failures import CommandError, reported, results_console
from .models import check_embedder, query_encoders, read_notes

__all__ = ["drift"]

_STYLES: Final = {"stable": "", "moved": "yellow", "far": "red", "gone": "red"}


@reported
def drift(
    ranker: Annotated[Path, typer.Argument(metavar="RANKER", help="What `fit` wrote.")],
    edge: o.EdgeOption = None,
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    grpc_port: o.GrpcPortOption = None,
    timeout: o.TimeoutOption = None,
    retries: o.MeasuringRetriesOption = None,
    collection: o.CollectionOption = None,
    sample: Annotated[int, typer.Option("--sample", metavar="N", help="How many stored points to look at.")] = 1000,
    topics: Annotated[
        Path | None,
        typer.Option(
            "--topics",
            metavar="FILE",
            help="Recent queries; they need no judgments. Their candidates are looked at instead of stored points, which tells "
            "of scores and request-time values, too.",
        ),
    ] = None,
    fail_over: Annotated[
        float | None,
        typer.Option(
            "--fail-over",
            metavar="X",
            help=f"End with exit code {e.NOT_GOOD_ENOUGH} if a feature's PSI is above X, or no point has it.",
        ),
    ] = None,
    json: e.PlainJsonOption = False,
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
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
    asked = None if topics is None else read_topics(topics)
    policy = CommandRetries.of(retries, MEASURING)
    with connected(Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()) as client:
        models: Mapping[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
        executor = _executor(client, the_collection(client, collection, policy), learned, asked, models, policy)
        found = drifted(executor, learned, sample=sample, topics=asked, retries=policy.rest)
    if json:
        typer.echo(found.to_json(indent=None))
    else:
        _show(found)
    if fail_over is not None:
        e.fail([str(one) for one in found.features if one.psi > fail_over or one.verdict == "gone"])


def _executor(
    client: QdrantClient,
    collection: str,
    ranker: LearnedRanker,
    topics: Topics | None,
    models: Mapping[Kind, str | None],
    policy: CommandRetries,
) -> Executor:
    """An executor with the encoders that the topics need; none for stored points, as loading a model takes seconds."""
    executor = Executor(client, collection, retries=policy.rest)
    if topics is None:
        return executor
    # unchecked: what has moved, or is gone, is to be reported, not refused
    plan = executor.plan(ranker.strategy.unchecked())
    check_embedder(client, models)
    notes = read_notes(client, collection, policy)
    executor.encoders = Encoders(query_encoders(plan.strategy.needs(), plan.target.schema, notes, models))
    return executor


def _show(found: Drift) -> None:
    console = results_console()
    console.print(Text(f"{found.points} {found.compared}"), style="bold")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("feature", overflow="fold")
    for heading in ("PSI", "by chance", "missing", "then"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for one in found.features:
        table.add_row(*_cells(one), style=_STYLES[one.verdict])
    console.print(table)
    if found.left_out:
        hint = "they read scores or request-time values: give --topics" if found.compared == "stored points" else "unknown then"
        console.print(Text(f"not compared: {', '.join(found.left_out)} ({hint})"), style="dim")


def _cells(one: FeatureDrift) -> list[str]:
    return [one.name, f"{one.psi:.3f}", f"{one.by_chance:.3f}", f"{one.missing:.0%}", f"{one.missing_then:.0%}", one.said]
