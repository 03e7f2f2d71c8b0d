"""`qdrant-rerank compare`: strategies and runs beside a baseline, with what chance alone could do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from qdrant_client import QdrantClient

from .. import Executor, SearchOptions
from .._internals import VectorKind as Kind
from ..evaluate import DEFAULT_MEASURES, Evaluation, Qrels, Topics, check, read_run
from ..evaluate import compare as compared
from ..evaluate import evaluate as measured
from ..evaluate._internals import MEASURING, parsed
from ..models import Reranker
from . import measuring as e
from . import model_options as m
from . import options as o
from .connect import CommandRetries, Where, connected, the_collection
from .failures import CommandError, reported, resumable
from .measuring import print_comparison
from .models import Reranking, reranker
from .strategies import Choice, prepared

__all__ = ["compare"]

_WHAT = "What to compare"


@reported
def compare(
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
    strategy: Annotated[
        list[Path] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="FILE",
            rich_help_panel=_WHAT,
            help="A strategy in a JSON file, as explain --save writes it; called by the file's name. May be repeated.",
        ),
    ] = None,
    unchecked: o.UncheckedOption = False,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            "--run",
            metavar="FILE",
            rich_help_panel=_WHAT,
            help="A TREC run file of any system; called by the file's name. May be repeated.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            rich_help_panel=_WHAT,
            help="What the others are compared with.",
            show_default="the first strategy, or else the first run",
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            "--rerank",
            metavar="MODEL",
            rich_help_panel=_WHAT,
            help="The model that reads the candidates of strategies that rescore, as search --rerank names it.",
        ),
    ] = None,
    measure: e.MeasureOption = None,
    batch: e.BatchOption = 1,
    concurrency: e.ConcurrencyOption = 1,
    count_failures: e.CountFailuresOption = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FOLDER",
            help="Keep each strategy's answers in a file of this folder as they come, and go on from what it holds.",
        ),
    ] = None,
    changes: Annotated[
        int, typer.Option("--changes", metavar="N", help="How many of the topics with the largest changes to show.")
    ] = 3,
    explain: Annotated[
        bool, typer.Option("--explain", metavar="", help="Show why the results of these topics are where they are.")
    ] = False,
    fail_under: e.FailUnderOption = None,
    fail_worse: Annotated[
        bool,
        typer.Option(
            "--fail-worse",
            metavar="",
            help=f"End with exit code {e.NOT_GOOD_ENOUGH} if a system is worse than the baseline beyond chance.",
        ),
    ] = False,
    report: e.ReportOption = None,
    json: e.PlainJsonOption = False,
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
) -> None:
    """Compare strategies, and runs of other systems, with a baseline, on the same topics and judgments.

    The first measure decides. Each difference comes with a paired bootstrap interval and a paired randomisation test,
    corrected for all systems compared, and a verdict in plain words: better, worse, no difference that can be told from
    chance, or too few topics to say.

    $ qdrant-rerank compare ./scifact --edge ./db --strategy dense.json --strategy hybrid.json --measure nDCG@10

    $ qdrant-rerank compare judged.csv --edge ./db --strategy hybrid.json --run elsewhere.run --baseline elsewhere

    Plain search, reranking and relevance feedback (made by explain --save, explain --rerank --save, and calibrate):

    $ qdrant-rerank compare judged.csv --edge ./db -s plain.json -s rerank.json -s feedback.json --rerank
    cross-encoder:./models/reranker

    A report to look at, in a browser:

    $ qdrant-rerank compare ./scifact --edge ./db --strategy dense.json --strategy hybrid.json --report report.html

    In a build, which fails if the new strategy is worse:

    $ qdrant-rerank compare judged.csv --edge ./db --strategy old.json --strategy new.json --fail-worse
    """
    e.checked_report(report)
    strategies, runs = strategy or [], run or []
    if len(strategies) + len(runs) < 2:
        raise CommandError(f"compare needs at least two of --strategy FILE and --run FILE, got {len(strategies) + len(runs)}")
    if unchecked and not strategies:
        raise CommandError("--unchecked is for strategies, and there is none: runs are compared as they are")
    if check_documents and not strategies:
        raise CommandError("--check-documents looks into a collection, and there is none: runs are compared without Qdrant")
    measures = list(parsed(measure or DEFAULT_MEASURES))
    topics, judged = e.judged_data(data, qrels, split)
    data_of = _Asked(topics, judged, measures, batch, concurrency, rerank, unchecked, count_failures, resume)
    policy = CommandRetries.of(retries, MEASURING)
    others = [measured(read_run(file, file.stem), topics, judged, measures) for file in runs]
    if strategies:
        with connected(Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()) as client, reranker(rerank) as model:
            models: Mapping[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
            named = the_collection(client, collection, policy)
            own = [data_of.evaluated(client, named, file, models, model, policy) for file in strategies]
            if check_documents:
                e.warn_of_unknown(judged, Executor(client, named, retries=policy.rest))
            found = compared([*own, *others], baseline, measures[0], changes=changes, explain=explain)  # which asks Qdrant
    else:
        found = compared(others, baseline, measures[0], changes=changes)
    if json:
        typer.echo(found.to_json(indent=None))
    else:
        print_comparison(found)
    e.save_report(report, found)
    e.fail(check(found, fail_under=fail_under, fail_worse=fail_worse))


@dataclass(frozen=True)
class _Asked:
    """What every strategy is asked."""

    topics: Topics
    qrels: Qrels
    measures: Sequence[str]
    batch: int
    concurrency: int
    rerank: str | None
    unchecked: bool
    count_failures: bool
    resume: Path | None

    def evaluated(
        self,
        client: QdrantClient,
        collection: str,
        file: Path,
        models: Mapping[Kind, str | None],
        reader: Reranker | None,
        policy: CommandRetries,
    ) -> Evaluation:
        choice = Choice(file, unchecked=self.unchecked, lenient=True)
        later = CommandRetries(policy.rest, policy.rest)  # Qdrant has answered by now
        executor, plan = prepared(client, collection, choice, SearchOptions(limit=1), models, None, later)
        if plan.strategy.cost.model_calls > 0:
            reranking = Reranking("" if reader else None)
            executor, plan = prepared(client, collection, choice, SearchOptions(limit=1), models, reranking, later)
            executor.reranker = reader
        if self.resume is not None:
            self.resume.mkdir(parents=True, exist_ok=True)
        kept = None if self.resume is None else self.resume / f"{file.stem}.jsonl"
        hint = "--resume FOLDER keeps each answer as it comes, and goes on from there"
        with resumable(kept, "the answers", hint), e.shown_progress(file.stem) as progress:
            return measured(
                plan.strategy,
                self.topics,
                self.qrels,
                self.measures,
                executor=executor,
                name=file.stem,
                batch_size=self.batch,
                concurrency=self.concurrency,
                on_error="count" if self.count_failures else "stop",
                retries=policy.rest,
                run_file=kept,
                progress=progress,
            )
