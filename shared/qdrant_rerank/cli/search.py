"""`qdrant-rerank search`: one question, ranked points as a table or as JSON lines."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from .. import Query
from .._internals import Explained, check_picture, draw, warn, within
from .connect import Where, connect
from .failures import CommandError
from .models import QueryModels, Reranking, open_reranker
from .options import ResultOptions, argument, command, option, parse_params, split_list
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
from .strategies import PARAMS, Choice, check_params, make_plan

_OUTPUT = "What to print"
_REASONS = "Why results are where they are (still one request)"


@dataclass(frozen=True)
class WhereToSearch(Where):
    """A Qdrant that is searched once."""

    timeout: float | None = option(
        "--timeout SECONDS",
        "Seconds that the whole search may take, with all its requests and what a model reads, e.g. 0.5.",
        shows="5 for each request",
    )


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
    why: tuple[str, str] | None = option(
        "--why ID ID",
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

    $ qdrant-rerank search "bike on the night train" --edge ./db --hybrid --explain --why train rules --picture why.svg

    Which model made a collection's vectors is remembered in the collection by index. For collections made otherwise,
    or on servers before 1.16, say it: --dense sentence-transformers/all-MiniLM-L6-v2, --sparse bm25.
    """
    keys, shown = split_list(text_key), split_list(show)
    wants_reasons = explain or why is not None or picture is not None
    if wants_reasons and selection.group_by is not None:
        raise CommandError("--group-by excludes --explain, --why and --picture: results of groups can't be explained")
    if picture is not None:
        check_picture(picture)
    where.settle()  # what can't be is told in the words of options
    chosen = (shown or True) if json else keys_to_load(keys, shown)
    payload = wants_reasons or reranking.model is not None or chosen
    options = selection.options(timeout=where.timeout, with_payload=payload)
    asked = Query(query, params=parse_params(params))
    reranking = replace(reranking, text_keys=tuple(keys))
    with within(where.timeout), connect(where) as client:
        executor, plan = make_plan(client, where, choice, options, models, reranking)
        check_params(plan, asked.params)
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
    comparison = None if why is None else compare_results(found, why)
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
