"""`qdrant-rerank explain`: what a strategy will ask of Qdrant, what it costs, which servers would refuse it."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from qdrant_client import QdrantClient

from .. import Query, SearchOptions, Strategy, save
from .._internals import VectorKind as Kind
from .._internals import placeholders
from ..planning import PlanDescription
from . import model_options as m
from . import options as o
from . import rerank_options as rr
from .arguments import filter_of, params_of
from .choose import Choice
from .connect import CommandRetries, Where, connected
from .explain_show import print_explanation
from .failures import reported
from .outputs import check_output
from .rerankers import Reranking
from .session import check_params, planned, prepared

__all__ = ["explain"]


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
