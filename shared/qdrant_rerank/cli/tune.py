"""`qdrant-rerank tune`: which strategy to use, and whether it is worth leaving the default for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import typer
from qdrant_client import QdrantClient
from rich import box
from rich.table import Table
from rich.text import Text

from .. import Executor, Nearest, RelevanceFeedback, load
from .._internals import VectorKind as Kind
from .._internals import did_you_mean
from ..evaluate._internals import MEASURING
from ..learn._internals import LEAST_TOPICS
from ..models import Encoders, Reranker
from ..tune import Budget, Configuration, Feedback, Learned, Space, Tuning
from ..tune import tune as tuned
from . import measuring as e
from . import model_options as m
from . import options as o
from . import tune_options as t
from .connect import CommandRetries, Where, connected, the_collection
from .failures import CommandError, errors_console, reported, results_console, resumable, warn
from .features import read_features
from .models import ShownText, check_embedder, query_encoders, read_notes, reranker
from .options import check_output, listed

__all__ = ["tune"]


@reported
def tune(
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
    split: t.TrainSplitOption = "train",
    candidate: t.CandidateOption = None,
    depth: t.DepthOption = None,
    baseline: t.BaselineOption = None,
    rerank: t.ReaderOption = None,
    feedback: t.FeedbackOption = None,
    reads: t.ReadsOption = None,
    learn: t.LearnOption = None,
    features: t.FeaturesOption = None,
    measure: t.OneMeasureOption = "nDCG@10",
    splits: t.SplitsOption = 20,
    seed: t.SeedOption = 0,
    max_requests: t.RequestsOption = None,
    max_texts: t.TextsOption = None,
    max_seconds: t.SecondsOption = None,
    out: t.OutOption = None,
    keep: t.KeepOption = None,
    rows: t.RowsOption = 10,
    report: e.ReportOption = None,
    json: e.PlainJsonOption = False,
    text_key: t.ReadKeyOption = "title,text",
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
) -> None:
    """Find out which strategy to use on a collection, by judgments of documents; or that the default is as good.

    Each vector is searched once for each topic; fusions, weights, depths and formulas are recomputed from that. What is
    chosen on one half of the topics is judged on the other, many times over: only a gain that shows there is recommended.

    $ qdrant-rerank tune ./scifact --split train --edge ./db --out strategy.json

    $ qdrant-rerank tune judged.csv --edge ./db --baseline today.json --measure RR --max-requests 2000

    With a formula learned from the judgments, over the scores and what the payload knows:

    $ qdrant-rerank tune judged.csv --edge ./db --learn --features features.json --out strategy.json

    With a cross-encoder, which may read 5 000 texts to find out whether it helps:

    $ qdrant-rerank tune judged.csv --edge ./db --rerank cross-encoder:./models/reranker --max-texts 5000

    And with relevance feedback, as calibrate fitted it: does it beat plain search, and reranking of as many documents?

    $ qdrant-rerank tune judged.csv --edge ./db --rerank cross-encoder:./models/reranker --feedback feedback.json
    """
    e.checked_report(report)
    check_output("--out", out)
    check_output("--keep", keep)
    topics, judged = e.judged_data(data, qrels, split)
    texts = 0 if rerank is None else max_texts
    budget = Budget(max_requests, texts, None if max_seconds is None else 1000 * max_seconds)
    space = _space(depth, learn, features)
    first = None if baseline is None else load(baseline)
    steered = _feedback(feedback, reads, rerank)
    space = space if steered is None else space.plus(steered)
    policy = CommandRetries.of(retries, MEASURING)
    with connected(Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()) as client, reranker(rerank) as model:
        models: Mapping[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
        tried = [*([] if first is None else [first]), *([] if steered is None else steered.strategies)]
        needed = frozenset(name for strategy in tried for name in strategy.needs())
        executor, candidates = _prepared(client, the_collection(client, collection, policy), candidate, needed, models, policy)
        if model is not None:
            executor = _reading(executor, model, listed(text_key))
        hint = "--keep FILE keeps what the candidates found, and goes on from there"
        with resumable(keep, "the candidates' results", hint), e.shown_progress(str(data)) as progress:
            found = tuned(
                executor,
                topics,
                judged,
                candidates,
                baseline=first,
                space=space,
                budget=budget,
                measure=measure,
                splits=splits,
                seed=seed,
                retries=policy.rest,
                cache=keep,
                progress=progress,
            )
    if out is not None:
        found.save(out)
    if json:
        typer.echo(found.to_json(indent=None))
    else:
        _print(found, rows)
    e.save_report(report, tuning=found, seed=seed)
    if out is not None:
        what = "the strategy recommended" if found.recommended else "the default, which is to be kept,"
        errors_console().print(Text(f"{what} is in {out}", "dim"))


def _space(depths: Sequence[int] | None, learn: bool | None, features: Path | None) -> Space:
    """What is tried, with a learned formula unless it is declined.

    Raises:
        CommandError: features are given to a formula that isn't to be learned.
        FormatError: the file holds no features.
    """
    if learn is False and features is not None:
        raise CommandError("--features is for the formula that --no-learn declines: leave one of them out")
    space = Space() if depths is None else Space(depths=tuple(depths))
    others = tuple(family for family in space.families if not isinstance(family, Learned))
    if learn is False:
        return replace(space, families=others)
    formula = Learned({} if features is None else read_features(features))
    return replace(space, families=(*others, replace(formula, least_topics=LEAST_TOPICS) if learn else formula))


def _feedback(files: Sequence[Path] | None, reads: Sequence[int] | None, rerank: str | None) -> Feedback | None:
    """Relevance feedback as the files have it; None without any.

    Raises:
        CommandError: there is no model to score documents, or no feedback that the reads are for.
        FormatError: a file holds none.
    """
    if not files:
        if reads:
            raise CommandError("--reads is for --feedback FILE: name what calibrate wrote")
        return None
    if rerank is None:
        raise CommandError("--feedback needs --rerank MODEL: the model that the coefficients were fitted to")
    return Feedback([RelevanceFeedback.load(file) for file in files], reads)


def _prepared(
    client: QdrantClient,
    collection: str,
    names: Sequence[str] | None,
    needed: frozenset[str],
    models: Mapping[Kind, str | None],
    policy: CommandRetries,
) -> tuple[Executor, list[Nearest]]:
    """An executor with the encoders of the candidates and of the baseline, and the candidates.

    Raises:
        CommandError: a candidate isn't there, or nothing says what embeds queries for it.
    """
    executor = Executor(client, collection, retries=policy.rest)
    schema, notes = executor.target().schema, read_notes(client, collection, policy)
    check_embedder(client, models)
    there = [*schema.names("dense"), *schema.names("sparse")]
    if names is None:
        candidates = [name for name in there if name in notes or models[schema.vectors[name].kind] is not None]
        for name in there:
            if name not in candidates and candidates:
                warn(f"the vector {name!r} is left out: the collection doesn't say what made it; see --dense and --sparse")
        candidates = candidates or there  # of which the encoders will say what is missing
    else:
        candidates = list(dict.fromkeys(names))
        for name in candidates:
            if name not in schema.vectors:
                hint = did_you_mean(name, schema.vectors)
                raise CommandError(f"--candidate {name}: the collection {collection!r} has {schema.describe_vectors()}{hint}")
    wanted = [*candidates, *(name for name in sorted(needed) if name in schema.vectors)]
    executor.encoders = Encoders(query_encoders(wanted, schema, notes, models))
    return executor, [Nearest(name) for name in candidates]


def _reading(executor: Executor, model: Reranker, text_keys: Sequence[str]) -> Executor:
    """The executor with a model, which reads the texts under these payload keys."""
    return Executor(
        executor.clients.sync(),
        executor.collection,
        encoders=executor.encoders,
        reranker=model,
        payload=ShownText.of(text_keys),
        retries=executor.retries,
    )


def _print(tuning: Tuning, rows: int) -> None:
    """Print the best configurations, the default among them, and what to do."""
    console = results_console()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("configuration", overflow="fold")
    for heading in (tuning.measure, "to default", "held out", "chosen", "texts read"):
        table.add_column(heading, justify="right")
    shown = [*tuning.configurations[:rows]]
    shown += [row for row in tuning.configurations[rows:] if row.name in ("default", tuning.chosen)]
    for row in shown:
        table.add_row(*_cells(row, tuning.splits), style="bold" if row.name == tuning.chosen else "")
    console.print(table)
    spent = tuning.spent
    trips = f"{spent.round_trips:,} round trip{'' if spent.round_trips == 1 else 's'}"
    read = f"{spent.model_texts:,} texts read by a model"
    took = f"{spent.requests:,} searches in {trips}, {read}, {spent.seconds:.1f} s"
    tried = f"{len(tuning.configurations)} configurations, {len(tuning.topics)} topics"
    console.print(Text(f"{tried}, {took}"), style="dim")
    for reason in tuning.reasons:
        console.print(Text(reason))


def _cells(row: Configuration, splits: int) -> tuple[str, ...]:
    held_out = "–" if row.held_out is None else f"{row.held_out:.4f}"
    return (
        row.name,
        f"{row.mean:.4f}",
        f"{row.difference:+.4f}",
        held_out,
        f"{row.chosen}/{splits}",
        str(row.effort.model_texts),
    )
