"""`qdrant-rerank search`: one question, ranked points as a table or as JSON lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

import typer

from .. import Query, SearchOptions
from .._internals import Explained, check_picture, draw, within
from .._internals import VectorKind as Kind
from . import model_options as m
from . import options as o
from . import reason_options as r
from . import rerank_options as rr
from .connect import CommandRetries, Where, connected
from .failures import CommandError, reported, warn
from .models import Reranking, reranker
from .options import filter_of, listed, params_of
from .reasons import compared, print_comparison, print_comparison_line, print_reasons
from .results import TEXT_KEYS, absent_keys, payload_keys, print_json_lines, print_table, shown_name
from .strategies import Choice, check_params, prepared

__all__ = ["search"]


@reported
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The question, in quotes.")],
    edge: o.EdgeOption = None,
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    retries: o.RetriesOption = None,
    grpc_port: o.GrpcPortOption = None,
    timeout: o.CallTimeoutOption = None,
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
    score_threshold: o.ThresholdOption = None,
    group_by: o.GroupOption = None,
    show: o.ShowOption = None,
    text_key: o.TextKeyOption = TEXT_KEYS,
    json: o.JsonOption = False,
    rerank: rr.RerankOption = None,
    rerank_limit: rr.RerankLimitOption = None,
    blend: rr.BlendOption = None,
    on_error: rr.OnErrorOption = None,
    explain: r.ExplainOption = False,
    why: r.WhyOption = None,
    picture: r.PictureOption = None,
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
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
    choice = Choice(strategy, formula, hybrid, fusion, mmr, rescore, using, limit, dense_vector, sparse_vector, unchecked)
    keys, shown = listed(text_key), listed(show)
    reranking = Reranking(rerank, rerank_limit, blend, on_error, tuple(keys))
    wants_reasons = explain or why is not None or picture is not None
    if wants_reasons and group_by is not None:
        raise CommandError("--group-by excludes --explain, --why and --picture: results of groups can't be explained")
    if picture is not None:
        check_picture(picture)
    chosen = (shown or True) if json else payload_keys(keys, shown)
    options = SearchOptions(
        limit=k,
        filter=filter_of(filter),
        score_threshold=score_threshold,
        group_by=group_by,
        timeout=timeout,
        with_payload=wants_reasons or rerank is not None or chosen,
    )
    asked = Query(query, params=params_of(params))
    policy = CommandRetries.of(retries)
    where = Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()
    with within(timeout), connected(where) as client:
        models: Mapping[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
        executor, plan = prepared(client, collection, choice, options, models, reranking, policy)
        check_params(plan, asked.params)
        for warning in plan.warnings:
            if warning.code != "vanishing-points":  # of use to who writes a strategy: explain shows it
                warn(warning)
        with reranker(rerank) as executor.reranker:
            start = time.perf_counter()
            if wants_reasons:
                found = executor.explain(plan.strategy, asked, options)
            else:
                found = Explained(executor.retrieve(plan.strategy, asked, options), ())
            seconds = time.perf_counter() - start
    for key in absent_keys(found.points, shown):
        warn(f"--show {key}: no result has that payload key")
    comparison = None if why is None else compared(found, why)
    if picture is not None:
        draw(found, picture, names=[shown_name(point, keys) for point in found.points], title=query)
    if json:
        print_json_lines(found.points, chosen, found.reasons if explain else ())
    else:
        print_table(found.points, keys, shown, seconds, score_threshold)
        if explain:
            print_reasons(found)
    if comparison is not None:
        (print_comparison_line if json else print_comparison)(comparison)
