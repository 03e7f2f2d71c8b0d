"""`qdrant-rerank search`: one question, ranked points as a table or as JSON lines."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from .. import Query, Scope
from . import model_options as m
from . import options as o
from .arguments import features_of, filter_of, listed
from .choose import Choice
from .connect import Where, connected
from .failures import reported, warn
from .session import check_features, prepared
from .show import TEXT_KEYS, absent_keys, payload_keys, print_json_lines, print_table

__all__ = ["search"]


@reported
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The question, in quotes.")],
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    collection: o.CollectionOption = None,
    strategy: o.StrategyOption = None,
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
    score_threshold: o.ThresholdOption = None,
    group_by: o.GroupOption = None,
    show: o.ShowOption = None,
    text_key: o.TextKeyOption = TEXT_KEYS,
    json: o.JsonOption = False,
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
) -> None:
    """Search a collection, and rank what is found by a strategy that Qdrant runs, in one request.

    Plain search by the collection's dense vector; both kinds of vectors, fused; a formula; variety:

    $ qdrant-rerank search "bike on the night train" --path ./db

    $ qdrant-rerank search "bike on the night train" --path ./db --hybrid

    $ qdrant-rerank search "bike on the night train" --path ./db --formula "0.8*score() + 0.04*field('rating', 3)" --show rating

    $ qdrant-rerank search "bike on the night train" --path ./db --hybrid --mmr 0.3 -k 10

    A strategy from a file, on a server, as JSON lines:

    $ qdrant-rerank search "bike on the night train" --url http://localhost:6333 -c docs -s strategy.json --json

    Which model made a collection's vectors is remembered in the collection by index. For collections made otherwise,
    or on servers before 1.16, say it: --dense sentence-transformers/all-MiniLM-L6-v2, --sparse bm25.
    """
    choice = Choice(strategy, formula, hybrid, fusion, mmr, rescore, using, limit, dense_vector, sparse_vector)
    keys, shown = listed(text_key), listed(show)
    scope = Scope(
        limit=k,
        filter=filter_of(filter),
        score_threshold=score_threshold,
        group_by=group_by,
        with_payload=(shown or True) if json else payload_keys(keys, shown),
    )
    asked = Query(query, features=features_of(features))
    with connected(Where(path, url, prefer_grpc).settled()) as client:
        executor, plan = prepared(client, collection, choice, scope, {"dense": dense, "sparse": sparse, "multi": late})
        check_features(plan, asked.features)
        for warning in plan.warnings:
            warn(warning)
        start = time.perf_counter()
        points = executor.retrieve(plan.strategy, asked, scope)
        seconds = time.perf_counter() - start
    for key in absent_keys(points, shown):
        warn(f"--show {key}: no result has that payload key")
    if json:
        print_json_lines(points)
    else:
        print_table(points, keys, shown, seconds)
