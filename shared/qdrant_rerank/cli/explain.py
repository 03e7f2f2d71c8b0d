"""`qdrant-rerank explain`: what a strategy will ask of Qdrant, what it costs, which servers would refuse it."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from qdrant_client import QdrantClient
from rich.highlighter import JSONHighlighter
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .. import Explanation, Query, Scope, Strategy, save
from ..explanation import placeholders
from ..schema import Kind
from . import model_options as m
from . import options as o
from .arguments import features_of, filter_of
from .choose import Choice
from .connect import Where, connected
from .consoles import results_console
from .failures import reported
from .session import check_features, planned, prepared

__all__ = ["explain", "folded"]


@reported
def explain(
    edge: o.EdgeOption = None,
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    collection: o.CollectionOption = None,
    strategy: o.StrategyOption = None,
    unchecked: o.UncheckedOption = False,
    hybrid: o.HybridOption = False,
    fusion: o.FusionOption = None,
    formula: o.FormulaOption = None,
    features: o.FeaturesOption = None,
    mmr: o.MmrOption = None,
    rescore: o.RescoreOption = None,
    using: o.UsingOption = None,
    dense_vector: o.DenseVectorOption = None,
    sparse_vector: o.SparseVectorOption = None,
    limit: o.LimitOption = None,
    k: o.KOption = 5,
    filter: o.FilterOption = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query", "-q", metavar="TEXT", help="Show the request for this question.", show_default="zeros stand in"
        ),
    ] = None,
    save_to: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the strategy to a file that --strategy reads.")
    ] = None,
    json: o.JsonOption = False,
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
) -> None:
    """Show what a strategy will ask of Qdrant, without asking it.

    The request as JSON, the round trips and model calls for one query, the server versions that would refuse it, and
    what will work otherwise than it seems. The options are those of search.

    $ qdrant-rerank explain --edge ./db --hybrid

    $ qdrant-rerank explain --edge ./db --formula "0.8*score() + 0.04*field('rating', 3)" --save rated.json

    $ qdrant-rerank explain --edge ./db --strategy rated.json --query "bike on the night train"
    """
    choice = Choice(strategy, formula, hybrid, fusion, mmr, rescore, using, limit, dense_vector, sparse_vector, unchecked)
    scope = Scope(limit=k, filter=filter_of(filter))
    with connected(Where(path, url, prefer_grpc, edge).settled()) as client:
        models: Mapping[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
        chosen, explanation = _explained(client, collection, choice, scope, query, features, models)
    if save_to is not None:
        save(chosen, save_to)
    if json:
        typer.echo(jsonlib.dumps(asdict(explanation), ensure_ascii=False))
    else:
        _print(explanation)


def _explained(
    client: QdrantClient,
    collection: str | None,
    choice: Choice,
    scope: Scope,
    query: str | None,
    features: str | None,
    models: Mapping[Kind, str | None],
) -> tuple[Strategy, Explanation]:
    given = features_of(features)
    if query is not None:
        executor, plan = prepared(client, collection, choice, scope, models)
        check_features(plan, given)
        [vectors] = executor.embed([query], plan.strategy.needs())
        return plan.strategy, plan.explain(Query(query, vectors=vectors, features=given))
    _, plan = planned(client, collection, choice, scope)
    check_features(plan, given)
    if not given:
        return plan.strategy, plan.explain()
    vectors, _ = placeholders(plan.strategy, plan.target.schema)
    return plan.strategy, plan.explain(Query(vectors=vectors, features=given))


def _print(explanation: Explanation) -> None:
    console = results_console()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(
        "strategy", Syntax(explanation.strategy, "python", theme="ansi_dark", background_color="default", word_wrap=True)
    )
    table.add_row("collection", Text(f"{explanation.collection}: {explanation.vectors}"))
    table.add_row("server", Text(explanation.server))
    embeds = ", ".join(explanation.embeds) or "nothing"
    table.add_row(
        "one query", Text(f"round trips: {explanation.round_trips}   model calls: {explanation.model_calls}   embeds: {embeds}")
    )
    for number, refusal in enumerate(explanation.refusals or ("any",)):
        table.add_row("" if number else "servers", Text(str(refusal), "yellow"))
    for warning in explanation.warnings:
        table.add_row("warning", Text(warning, "yellow"))
    console.print(table)
    for request in explanation.requests:
        console.print()
        console.print(JSONHighlighter()(folded(request, console.width)), soft_wrap=True)


def folded(value: Any, width: int, indent: int = 0, taken: int = 0) -> str:
    """JSON text in which an object or array stands on one line where it fits, as nested requests are deep.

    Args:
        value: a JSON value.
        width: how long lines may be.
        indent: how far its lines are set in, but the first.
        taken: how much of the first line is taken by the key before it.
    """
    flat = jsonlib.dumps(value, ensure_ascii=False)
    if indent + taken + len(flat) < width or not isinstance(value, dict | list):  # a comma may follow
        return flat
    pad, end = "\n" + " " * (indent + 2), "\n" + " " * indent
    if isinstance(value, list):
        return "[" + pad + f",{pad}".join(folded(item, width, indent + 2) for item in value) + end + "]"
    keys = [(jsonlib.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
    return "{" + pad + f",{pad}".join(key + folded(item, width, indent + 2, len(key)) for key, item in keys) + end + "}"
