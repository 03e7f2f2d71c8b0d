"""`search`: one question, ranked points as a table or as JSON lines; `plan`: what a strategy will ask of Qdrant."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .. import Query, save
from .._internals import LATER, Explained, abridge, check_picture, draw, read_by_strategy, warn, with_keys, within
from ..planning import PlanDescription
from .connect import Where, WhereToSearch, connect
from .models import QueryModels, Reranking, open_reranker
from .options import (
    JSON,
    ResultOptions,
    argument,
    check_output,
    command,
    flags_of,
    option,
    parse_params,
    refuse_unused,
    split_list,
    without,
)
from .output import CommandError, results_console, say_on_command_line
from .results import (
    TEXT_KEYS,
    absent_keys,
    compare_results,
    keys_to_load,
    name_of,
    print_comparison,
    print_json_lines,
    print_reasons,
    print_table,
)
from .strategies import PARAMS, Choice, make_plan, refuse_unread_params

_OUTPUT = "What to print"
_REASONS = "Why results are where they are (still one request)"


@command
def run_search(
    *,
    query: str = argument("QUERY", "The question, in quotes."),
    where: WhereToSearch,
    choice: Choice,
    params: str | None = PARAMS,
    selection: ResultOptions,
    show: str | None = option(
        "--show KEYS", "Payload keys to show as columns, with commas between: rating,metadata.author.", panel=_OUTPUT
    ),
    text_key: str = option(
        "--text-key KEYS", "Payload keys with the text to show; the first that a result has.", TEXT_KEYS, panel=_OUTPUT
    ),
    json: bool = option("--json", "JSON for other programs, one object a line; nothing is cut short.", False, panel=_OUTPUT),
    reranking: Reranking,
    explain: bool = option(
        "--explain",
        "Show for each result where each search found it, and what each term adds to its score.",
        False,
        panel=_REASONS,
    ),
    compared: tuple[str, str] | None = option(
        "--compare ID ID",
        "Show what puts the first of two results above the second: the differences of their terms, largest first.",
        panel=_REASONS,
    ),
    picture: Path | None = option(
        "--picture FILE",
        "Draw what each term adds to each result's score, as bars, into a .svg or .png file. Needs the extra learn.",
        panel=_REASONS,
    ),
    models: QueryModels,
) -> None:
    """Search a collection, and rank what is found by a strategy that Qdrant runs, in one request, or by a model.

    Plain search by the collection's dense vector; both kinds of vectors, fused; a formula; variety:

    $ qdrant-rerank search "bike on the night train" --edge ./db

    $ qdrant-rerank search "bike on the night train" --edge ./db --hybrid

    $ qdrant-rerank search "bike on the night train" --edge ./db --formula "0.8*score() + 0.04*field('rating', 3)" --show rating

    $ qdrant-rerank search "bike on the night train" --edge ./db --hybrid --mmr 0.3 -k 10

    A strategy from a file, on a server, as JSON lines:

    $ qdrant-rerank search "bike on the night train" --url http://localhost:6333 -c docs -s strategy.json --json

    A model that reads the 50 best candidates (with Cohere's: --rerank cohere:rerank-v3.5):

    $ qdrant-rerank search "bike on the night train" --edge ./db --hybrid --rerank cross-encoder:./models/reranker

    Why the results are where they are: a table, what puts one result above another, a picture:

    $ qdrant-rerank search "bike on the night train" --edge ./db --hybrid --explain --compare train rules --picture why.svg

    Which model made a collection's vectors is remembered in the collection by index. For collections made otherwise,
    or on servers before 1.16, say it: --dense sentence-transformers/all-MiniLM-L6-v2, --sparse bm25.
    """
    keys, shown = split_list(text_key), split_list(show)
    wants_reasons = explain or compared is not None or picture is not None
    if wants_reasons and selection.group_by is not None:
        raise CommandError("--group-by excludes --explain, --compare and --picture: results of groups can't be explained")
    if picture is not None:
        check_picture(picture)
    elif json and reranking.model is None and text_key != TEXT_KEYS:
        refuse_unused(["--text-key"], "--json prints the whole payload, or what --show names")
    where.settle()  # refuses in the words of options
    chosen = (shown or True) if json else keys_to_load(keys, shown)
    payload = wants_reasons or reranking.model is not None or chosen
    options = selection.options(timeout=where.timeout, with_payload=payload)
    asked = Query(query, params=parse_params(params))
    reranking = replace(reranking, text_keys=tuple(keys))
    with within(where.timeout), connect(where) as client:
        executor, plan = make_plan(client, where, choice, options, models, reranking)
        refuse_unread_params(plan, asked.params)
        # what formulas read is loaded as well, so that the user is warned of a misspelt key
        read = [] if choice.unchecked else [each.plain for each in read_by_strategy(plan.strategy)]
        options = replace(options, with_payload=with_keys(options.with_payload, read))
        for warning in plan.warnings:
            if warning.code != "vanishing-points":  # of use to who writes a strategy: the command plan shows it
                warn(warning)
        with open_reranker(reranking.model) as executor.reranker:
            start = time.perf_counter()
            if wants_reasons:
                found = executor.explain(plan.strategy, asked, options)
            else:
                found = Explained(executor.retrieve(plan.strategy, asked, options), ())
            seconds = time.perf_counter() - start
    for key in absent_keys(found.points, shown):
        warn(f"--show {key}: no result has that payload key")
    comparison = None if compared is None else compare_results(found, compared)
    if picture is not None:
        draw(found, picture, names=[name_of(point, keys) for point in found.points], title=query)
    if json:
        print_json_lines(found.points, chosen, found.reasons if explain else ())
    else:
        print_table(found.points, keys, shown, seconds, selection.score_threshold)
        if explain:
            print_reasons(found)
    if comparison is not None:
        print_comparison(comparison, as_json=json)


@command
def run_plan(
    *,
    where: Where,
    choice: Choice,
    params: str | None = PARAMS,
    selection: Annotated[ResultOptions, without("score_threshold", "group_by")],
    query: str | None = option("--query -q TEXT", "Show the request for this question.", shows="zeros stand in"),
    reranking: Reranking,
    output: Path | None = option("--output -o FILE", "Write the strategy to a file that --strategy reads."),
    full: bool = option("--full", "Print all of a large formula and of a long request.", False),
    json: bool = JSON,
    models: QueryModels,
) -> None:
    """Show what a strategy will ask of Qdrant, without searching.

    The request as JSON, the round trips and texts read for one query, the server versions that would refuse it, and
    what will work otherwise than it seems; a sample of points tells misspelt payload keys. The options are those of search.

    $ qdrant-rerank plan --edge ./db --hybrid

    $ qdrant-rerank plan --edge ./db --formula "0.8*score() + 0.04*field('rating', 3)" --output rated.json

    $ qdrant-rerank plan --edge ./db --strategy rated.json --query "bike on the night train"

    A search whose 50 best candidates a model reads, for compare; the file doesn't hold which model, so name it there again:

    $ qdrant-rerank plan --edge ./db --rerank cross-encoder:./models/reranker --reads 50 --output rerank.json
    """
    check_output("--output", output)
    options, given = selection.options(), parse_params(params)
    if query is None and (unused := flags_of(models)):
        warn(f"{', '.join(unused)}: nothing is embedded without --query TEXT")
    reranked = reranking if flags_of(reranking) else None
    with connect(where) as client:
        executor, made = make_plan(client, where, choice, options, None if query is None else models, reranked)
        refuse_unread_params(made, given)
        if not choice.unchecked:
            made = executor.answer(made.strategy, options, lambda plan: plan.check_keys())
        if query is not None:
            [vectors] = executor.embed([query], made.strategy.needs())
        else:
            vectors, _ = made.strategy.stand_ins(made.target.schema)
        asked = Query(query or "", vectors=vectors, params=given) if query is not None or given else None
        description = made.describe(asked)
    if output is not None:
        save(made.strategy, output)
    if json:
        typer.echo(jsonlib.dumps(asdict(description), ensure_ascii=False))
    else:
        _print_description(description, full)


_LINES: Final = 60
"""Of a request, that are worth reading."""


def _print_description(description: PlanDescription, full: bool) -> None:
    """Print what a plan is and costs, and its requests, whole with `full`."""
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
        "one query", Text(f"round trips: {description.round_trips}   texts read: {description.reads}   embeds: {embeds}")
    )
    if description.computed:
        table.add_row("computed", Text(description.computed))
    for number, refusal in enumerate(description.refusals or ("any",)):
        table.add_row("" if number else "servers", Text(str(refusal), "yellow"))
    for warning in description.warnings:
        table.add_row("warning", Text(say_on_command_line(warning), "yellow"))
    console.print(table)
    left = _print_requests(console, description.requests, full)
    if description.later:
        console.print()
        console.print(Text(LATER, "bold"))
        left += _print_requests(console, description.later, full)
    if left:
        console.print()
        console.print(Text(f"{left:,} values of the request are left out; --full prints them all", "dim"))


def _print_requests(console: Console, requests: Sequence[Any], full: bool) -> int:
    """Print requests; return how many of their values are left out."""
    total = 0
    for request in requests:
        made, left = request, 0
        if not full:
            made, left = abridge(request, lambda value: fold_json(value, console.width).count("\n") < _LINES)
        total += left
        console.print()
        console.print(JSONHighlighter()(fold_json(made, console.width)), soft_wrap=True)
    return total


def fold_json(value: Any, width: int, indent: int = 0, taken: int = 0) -> str:
    """Write JSON in which an object or array stands on one line where it fits into the width.

    Lines but the first are set in by `indent`; the key before it takes `taken` of the first.
    """
    flat = jsonlib.dumps(value, ensure_ascii=False)
    if indent + taken + len(flat) < width or not isinstance(value, dict | list):  # a comma may follow
        return flat
    pad, end = "\n" + " " * (indent + 2), "\n" + " " * indent
    if isinstance(value, list):
        return "[" + pad + f",{pad}".join(fold_json(item, width, indent + 2) for item in value) + end + "]"
    keys = [(jsonlib.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
    return "{" + pad + f",{pad}".join(key + fold_json(item, width, indent + 2, len(key)) for key, item in keys) + end + "}"
