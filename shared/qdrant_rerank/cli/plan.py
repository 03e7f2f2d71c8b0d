"""`qdrant-rerank plan`: what a strategy will ask of Qdrant, what it costs, which servers would refuse it."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .. import Query, save
from .._internals import abridge
from ..planning import PlanDescription
from .connect import Where, connect
from .consoles import results_console
from .failures import say_on_command_line
from .models import QueryModels, Reranking
from .options import JSON, ResultOptions, check_output, command, option, parse_params, without
from .strategies import PARAMS, Choice, check_params, make_plan


@command
def run_plan(
    *,
    where: Where,
    choice: Choice,
    params: str | None = PARAMS,
    selection: Annotated[ResultOptions, without("score_threshold", "group_by")],
    query: str | None = option("--query -q TEXT", "Show the request for this question.", shows="zeros stand in"),
    reranking: Reranking,
    save_to: Path | None = option("--save FILE", "Write the strategy to a file that --strategy reads."),
    full: bool = option("--full", "Print all of a large formula and of a long request.", False),
    json: bool = JSON,
    models: QueryModels,
) -> None:
    """Show what a strategy will ask of Qdrant, without asking it.

    The request as JSON, the round trips and model calls for one query, the server versions that would refuse it, and
    what will work otherwise than it seems. The options are those of search.

    $ qdrant-rerank plan --edge ./db --hybrid

    $ qdrant-rerank plan --edge ./db --formula "0.8*score() + 0.04*field('rating', 3)" --save rated.json

    $ qdrant-rerank plan --edge ./db --strategy rated.json --query "bike on the night train"

    A search whose 50 best candidates a model reads, for compare; the file doesn't hold which model, so name it there again:

    $ qdrant-rerank plan --edge ./db --rerank cross-encoder:./models/reranker --rerank-limit 50 --save rerank.json
    """
    check_output("--save", save_to)
    options, given = selection.options(), parse_params(params)
    reranked = reranking if reranking.is_asked else None
    with connect(where) as client:
        executor, made = make_plan(client, where, choice, options, None if query is None else models, reranked)
        check_params(made, given)
        if query is not None:
            [vectors] = executor.embed([query], made.strategy.needs())
        else:
            vectors, _ = made.strategy.stand_ins(made.target.schema)
        asked = Query(query or "", vectors=vectors, params=given) if query is not None or given else None
        description = made.describe(asked)
    if save_to is not None:
        save(made.strategy, save_to)
    if json:
        typer.echo(jsonlib.dumps(asdict(description), ensure_ascii=False))
    else:
        _print_description(description, full)


_LINES: Final = 60
"""Of a request, that are worth reading."""
_LATER: Final = "then, with a vector that the model's scores have shifted (here the query's own):"


def _print_description(description: PlanDescription, full: bool) -> None:
    """Print a table of what a plan is and costs, and its requests; with `full` all of them, however long they are."""
    console = results_console()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    strategy = description.strategy if full else description.summary
    table.add_row("strategy", Syntax(strategy, "python", theme="ansi_dark", background_color="default", word_wrap=True))
    table.add_row("collection", Text(f"{description.collection}: {description.vectors}"))
    table.add_row("server", Text(description.server))
    embeds = ", ".join(description.embeds) or "nothing"
    table.add_row(
        "one query", Text(f"round trips: {description.round_trips}   model calls: {description.model_calls}   embeds: {embeds}")
    )
    for number, refusal in enumerate(description.refusals or ("any",)):
        table.add_row("" if number else "servers", Text(str(refusal), "yellow"))
    for warning in description.warnings:
        table.add_row("warning", Text(say_on_command_line(warning), "yellow"))
    console.print(table)
    left = _print_requests(console, description.requests, full)
    if description.later:
        console.print()
        console.print(Text(_LATER, "bold"))
        left += _print_requests(console, description.later, full)
    if left:
        console.print()
        console.print(Text(f"{left:,} values of the request are left out; --full prints them all", "dim"))


def _print_requests(console: Console, requests: Sequence[Any], full: bool) -> int:
    """Print requests, and how many of their values are left out."""
    total = 0
    for request in requests:
        made, left = (request, 0) if full else abridge(request, lambda value: _fits(value, console.width))
        total += left
        console.print()
        console.print(JSONHighlighter()(fold_json(made, console.width)), soft_wrap=True)
    return total


def _fits(value: Any, width: int) -> bool:
    return fold_json(value, width).count("\n") < _LINES


def fold_json(value: Any, width: int, indent: int = 0, taken: int = 0) -> str:
    """Write JSON in which an object or array stands on one line where it fits, as nested requests are deep.

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
        return "[" + pad + f",{pad}".join(fold_json(item, width, indent + 2) for item in value) + end + "]"
    keys = [(jsonlib.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
    return "{" + pad + f",{pad}".join(key + fold_json(item, width, indent + 2, len(key)) for key, item in keys) + end + "}"
