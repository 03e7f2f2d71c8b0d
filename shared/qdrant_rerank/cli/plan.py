"""`qdrant-rerank explain`: what a strategy will ask of Qdrant, what it costs, which servers would refuse it."""

from __future__ import annotations

import json
import json as jsonlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from qdrant_client import QdrantClient
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .. import Query, SearchOptions, Strategy, save
from .._internals import VectorKind as Kind
from .._internals import abridged, placeholders
from ..planning import PlanDescription
from . import model_options as m
from . import options as o
from . import rerank_options as rr
from .connect import CommandRetries, Where, connected
from .failures import for_command_line, reported, results_console
from .models import Reranking
from .options import check_output, filter_of, params_of
from .strategies import Choice, check_params, planned, prepared

__all__ = ["explain", "folded", "print_explanation"]


@reported
def explain(
    edge: o.EdgeOption = None,
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    grpc_port: o.GrpcPortOption = None,
    timeout: o.TimeoutOption = None,
    retries: o.RetriesOption = None,
    collection: o.CollectionOption = None,
    strategy: o.StrategyOption = None,
    unchecked: o.UncheckedOption = False,
    hybrid: o.HybridOption = False,
    fusion: o.FusionOption = None,
    formula: o.FormulaOption = None,
    params: o.ParamsOption = None,
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
    rerank: rr.RerankOption = None,
    rerank_limit: rr.RerankLimitOption = None,
    blend: rr.BlendOption = None,
    on_error: rr.OnErrorOption = None,
    save_to: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the strategy to a file that --strategy reads.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", metavar="", help="Print all of a large formula and of a long request.")
    ] = False,
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

    A search whose 50 best candidates a model reads, for compare; the file doesn't hold which model, so name it there again:

    $ qdrant-rerank explain --edge ./db --rerank cross-encoder:./models/reranker --rerank-limit 50 --save rerank.json
    """
    choice = Choice(strategy, formula, hybrid, fusion, mmr, rescore, using, limit, dense_vector, sparse_vector, unchecked)
    check_output("--save", save_to)
    options = SearchOptions(limit=k, filter=filter_of(filter))
    reranking = Reranking(rerank, rerank_limit, blend, on_error)
    policy = CommandRetries.of(retries)
    with connected(Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()) as client:
        models: Mapping[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
        chosen, explanation = _explained(
            client, collection, choice, options, query, params, models, reranking if reranking.is_asked else None, policy
        )
    if save_to is not None:
        save(chosen, save_to)
    if json:
        typer.echo(jsonlib.dumps(asdict(explanation), ensure_ascii=False))
    else:
        print_explanation(explanation, full=full)


def _explained(
    client: QdrantClient,
    collection: str | None,
    choice: Choice,
    options: SearchOptions,
    query: str | None,
    params: str | None,
    models: Mapping[Kind, str | None],
    reranking: Reranking | None,
    policy: CommandRetries,
) -> tuple[Strategy, PlanDescription]:
    given = params_of(params)
    if query is not None:
        executor, plan = prepared(client, collection, choice, options, models, reranking, policy)
        check_params(plan, given)
        [vectors] = executor.embed([query], plan.strategy.needs())
        return plan.strategy, plan.describe(Query(query, vectors=vectors, params=given))
    _, plan = planned(client, collection, choice, options, reranking, policy)
    check_params(plan, given)
    if not given:
        return plan.strategy, plan.describe()
    vectors, _ = placeholders(plan.strategy, plan.target.schema)
    return plan.strategy, plan.describe(Query(vectors=vectors, params=given))


_LINES: Final = 60
"""Of a request, that are worth reading."""
_LATER: Final = "then, with a vector that the model's scores have shifted (here the query's own):"


def print_explanation(explanation: PlanDescription, *, full: bool = False) -> None:
    """Print an explanation; with `full` all of its formulas and requests, however long they are."""
    console = results_console()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    strategy = explanation.strategy if full else explanation.summary
    table.add_row("strategy", Syntax(strategy, "python", theme="ansi_dark", background_color="default", word_wrap=True))
    table.add_row("collection", Text(f"{explanation.collection}: {explanation.vectors}"))
    table.add_row("server", Text(explanation.server))
    embeds = ", ".join(explanation.embeds) or "nothing"
    table.add_row(
        "one query", Text(f"round trips: {explanation.round_trips}   model calls: {explanation.model_calls}   embeds: {embeds}")
    )
    for number, refusal in enumerate(explanation.refusals or ("any",)):
        table.add_row("" if number else "servers", Text(str(refusal), "yellow"))
    for warning in explanation.warnings:
        table.add_row("warning", Text(for_command_line(warning), "yellow"))
    console.print(table)
    left = _print_requests(console, explanation.requests, full)
    if explanation.later:
        console.print()
        console.print(Text(_LATER, "bold"))
        left += _print_requests(console, explanation.later, full)
    if left:
        console.print()
        console.print(Text(f"{left:,} values of the request are left out; --full prints them all", "dim"))


def _print_requests(console: Console, requests: Sequence[Any], full: bool) -> int:
    """Print requests, and how many of their values are left out."""
    total = 0
    for request in requests:
        made, left = (request, 0) if full else abridged(request, lambda value: _fits(value, console.width))
        total += left
        console.print()
        console.print(JSONHighlighter()(folded(made, console.width)), soft_wrap=True)
    return total


def _fits(value: Any, width: int) -> bool:
    return folded(value, width).count("\n") < _LINES


def folded(value: Any, width: int, indent: int = 0, taken: int = 0) -> str:
    """JSON text in which an object or array stands on one line where it fits, as nested requests are deep.

    Args:
        value: a JSON value.
        width: how long lines may be.
        indent: how far its lines are set in, but the first.
        taken: how much of the first line is taken by the key before it.
    """
    flat = json.dumps(value, ensure_ascii=False)
    if indent + taken + len(flat) < width or not isinstance(value, dict | list):  # a comma may follow
        return flat
    pad, end = "\n" + " " * (indent + 2), "\n" + " " * indent
    if isinstance(value, list):
        return "[" + pad + f",{pad}".join(folded(item, width, indent + 2) for item in value) + end + "]"
    keys = [(json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
    return "{" + pad + f",{pad}".join(key + folded(item, width, indent + 2, len(key)) for key, item in keys) + end + "}"
