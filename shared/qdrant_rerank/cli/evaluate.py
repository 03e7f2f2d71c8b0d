"""`qdrant-rerank evaluate`: how good a strategy's results are by judgments, and what a query costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from .. import SearchOptions
from .._internals import VectorKind as Kind
from ..evaluate import DEFAULT_MEASURES, check, write_run
from ..evaluate import evaluate as measured
from ..evaluate._internals import MEASURING, parsed
from . import measuring as e
from . import model_options as m
from . import options as o
from . import rerank_options as rr
from .connect import CommandRetries, Where, connected
from .failures import reported, resumable
from .measuring import print_evaluation
from .models import Reranking, reranker
from .options import check_output
from .strategies import Choice, prepared

__all__ = ["evaluate"]


@reported
def evaluate(
    data: e.DataArgument,
    edge: o.EdgeOption = None,
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    grpc_port: o.GrpcPortOption = None,
    timeout: o.TimeoutOption = None,
    retries: o.MeasuringRetriesOption = None,
    collection: o.CollectionOption = None,
    qrels: e.QrelsOption = None,
    split: e.SplitOption = "test",
    check_documents: e.CheckOption = False,
    strategy: o.StrategyOption = None,
    hybrid: o.HybridOption = False,
    fusion: o.FusionOption = None,
    formula: o.FormulaOption = None,
    mmr: o.MmrOption = None,
    rescore: o.RescoreOption = None,
    using: o.UsingOption = None,
    dense_vector: o.DenseVectorOption = None,
    sparse_vector: o.SparseVectorOption = None,
    limit: o.LimitOption = None,
    rerank: rr.RerankOption = None,
    rerank_limit: rr.RerankLimitOption = None,
    blend: rr.BlendOption = None,
    on_error: rr.OnErrorOption = None,
    measure: e.MeasureOption = None,
    batch: e.BatchOption = 1,
    concurrency: e.ConcurrencyOption = 1,
    count_failures: e.CountFailuresOption = False,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="What to call the strategy.", show_default="what it is")
    ] = "",
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="FILE", help="Keep each answer in this file as it comes, and go on from what it holds."
        ),
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", metavar="FILE", help="Write the rankings as a TREC run file.")] = None,
    fail_under: e.FailUnderOption = None,
    report: e.ReportOption = None,
    json: e.PlainJsonOption = False,
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
) -> None:
    """Measure how good a strategy's results are, by judgments of documents, and what a query costs.

    Means over the topics come with 95 % bootstrap intervals; topics without judgments are left out and counted, topics
    that find nothing count as 0 and are told. A rate limit and a server that is briefly away are waited for; a topic that
    fails all the same ends the command, and --resume goes on from there.

    $ qdrant-rerank evaluate ./scifact --split test --edge ./db --hybrid

    $ qdrant-rerank evaluate judged.csv --edge ./db --strategy strategy.json --measure nDCG@10 --measure "P(rel=2)@5"

    Topics and judgments in TREC's files, and a run file out:

    $ qdrant-rerank evaluate topics.tsv --qrels qrels.txt --edge ./db --run dense.run

    With a model that reads the candidates, which takes its time:

    $ qdrant-rerank evaluate ./scifact --edge ./db --hybrid --rerank cross-encoder:./models/reranker --rerank-limit 20

    A report to look at, in a browser:

    $ qdrant-rerank evaluate ./scifact --edge ./db --hybrid --report report.html

    In a build, which fails if the search got worse than it should be:

    $ qdrant-rerank evaluate judged.csv --edge ./db --hybrid --fail-under 0.7
    """
    e.checked_report(report)
    check_output("--run", run)
    check_output("--resume", resume)
    choice = Choice(strategy, formula, hybrid, fusion, mmr, rescore, using, limit, dense_vector, sparse_vector)
    measures = list(parsed(measure or DEFAULT_MEASURES))
    topics, judged = e.judged_data(data, qrels, split)
    reranking = Reranking(rerank, rerank_limit, blend, on_error)
    policy = CommandRetries.of(retries, MEASURING)
    with connected(Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()) as client, reranker(rerank) as model:
        models: Mapping[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
        executor, plan = prepared(client, collection, choice, SearchOptions(limit=1), models, reranking, policy)
        executor.reranker = model
        if check_documents:
            e.warn_of_unknown(judged, executor)
        hint = "--resume FILE keeps each answer as it comes, and goes on from there"
        with resumable(resume, "the answers", hint), e.shown_progress(str(data)) as progress:
            evaluation = measured(
                plan.strategy,
                topics,
                judged,
                measures,
                executor=executor,
                name=name or ("" if strategy is None else strategy.stem),
                batch_size=batch,
                concurrency=concurrency,
                on_error="count" if count_failures else "stop",
                retries=policy.rest,
                run_file=resume,
                progress=progress,
            )
    if run is not None:
        write_run(evaluation.run, run)
    if json:
        typer.echo(evaluation.to_json(indent=None))
    else:
        print_evaluation(evaluation)
    e.save_report(report, evaluation)
    e.fail(check(evaluation, fail_under=fail_under))
