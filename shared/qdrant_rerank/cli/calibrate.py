"""`qdrant-rerank calibrate`: the coefficients of relevance feedback, and whether to use it at all."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import typer
from qdrant_client import models
from rich.text import Text

from .. import Coefficients, Executor, RelevanceFeedback, SearchOptions, Strategy
from .._internals import VectorKind as Kind
from ..evaluate._internals import MEASURING
from ..feedback._internals import READ, Mode
from ..learn import FeedbackFit, estimate, fit_feedback
from ..models import Encoders, Reranker
from ..stages import Stage
from . import calibrate_options as c
from . import evaluate_options as e
from . import model_options as m
from . import options as o
from . import tune_options as t
from .arguments import filter_of, listed
from .calibrate_cost import check_fit, cost_line, kept_scores, print_cost, speed_of
from .calibrate_data import Source
from .calibrate_show import fit_json, print_fit, scoring_bar
from .choose import Choice
from .connect import CommandRetries, Where, connected, the_collection
from .consoles import errors_console
from .encoders import check_embedder, query_encoders
from .failures import CommandError, reported, resumable
from .notes import read_notes
from .rerankers import ShownText, reranker
from .show import TEXT_KEYS

__all__ = ["calibrate"]


@reported
def calibrate(
    queries: c.QueriesArgument = None,
    edge: o.EdgeOption = None,
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    grpc_port: o.GrpcPortOption = None,
    timeout: o.TimeoutOption = None,
    retries: o.MeasuringRetriesOption = None,
    collection: o.CollectionOption = None,
    sample: c.SampleOption = None,
    qrels: c.FitQrelsOption = None,
    split: t.TrainSplitOption = "train",
    doc_id: c.DocIdOption = None,
    most: c.MostOption = 200,
    rerank: c.FeedbackModelOption = None,
    mode: c.ModeOption = "precision",
    seeds: c.SeedsOption = 5,
    reads: c.ReadsOption = None,
    candidates: c.CandidatesOption = None,
    text_key: c.TextOption = TEXT_KEYS,
    seed: t.SeedOption = 0,
    strategy: o.StrategyOption = None,
    hybrid: o.HybridOption = False,
    fusion: o.FusionOption = None,
    using: o.UsingOption = None,
    limit: o.LimitOption = None,
    filter: o.FilterOption = None,
    cache: c.ScoresOption = None,
    dry_run: c.DryRunOption = False,
    out: c.FitOutOption = None,
    anyway: c.AnywayOption = False,
    json: e.PlainJsonOption = False,
    dense: m.DenseOption = None,
    sparse: m.SparseOption = None,
    late: m.LateOption = None,
    debug: o.DebugOption = False,
) -> None:
    """Fit relevance feedback to a collection and a model, and find out whether it is worth using.

    A model scores what a first search finds; from that the coefficients are learned. Plain search, plain reranking of as many
    documents, and feedback are compared on each query by coefficients that were learned without it. Take 50 to 200 real
    queries, with judgments if there are any. What it costs is known before:

    $ qdrant-rerank calibrate topics.tsv --edge ./db --rerank cross-encoder:./models/reranker --dry-run

    $ qdrant-rerank calibrate topics.tsv --qrels qrels.txt --edge ./db --rerank cross-encoder:./models/reranker
    --cache scores.jsonl --out feedback.json

    The file is a strategy: search QUERY --strategy feedback.json --rerank MODEL. The exit code is 3 if feedback isn't what
    to use.

    Without real queries, for a trial, with queries made of 50 stored documents:

    $ qdrant-rerank calibrate made.tsv --sample 50 --edge ./db --rerank cross-encoder:./models/reranker --dry-run
    """
    _check_files(cache, out, anyway)
    source = Source(queries, sample, qrels, split, most, seed)
    given = source.read()
    choice = Choice(strategy, None, hybrid, fusion, None, None, using, limit)
    only = filter_of(filter)
    where = Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()
    policy = CommandRetries.of(retries, MEASURING)
    with connected(where) as client, _feedback_model(rerank) as model:
        named = the_collection(client, collection, policy)
        shown = ShownText.of(listed(text_key))
        executor = Executor(client, named, payload=shown, reranker=model, retries=policy.rest)
        wanted = _feedback(choice.strategy(executor.target().schema), mode, seeds, reads)
        _give_encoders(executor, wanted, only, {"dense": dense, "sparse": sparse, "multi": late}, policy)
        learned_from = given or source.made(executor, only, keep=not dry_run)
        count = max(50, 2 * (wanted.most or 0)) if candidates is None else candidates
        check_fit(executor, wanted, learned_from, count, only, dry_run=dry_run)
        kept = kept_scores(executor, cache)
        speed = speed_of(executor, wanted, learned_from, only, cache) if dry_run else None
        cost = estimate(
            learned_from.distinct,
            mode=wanted.mode,
            seeds=seeds,
            reads=wanted.most or READ,
            candidates=count,
            judged_queries=learned_from.distinct_judged,
            seconds_per_document=speed,
        )
        print_cost(cost_line(cost, learned_from.distinct_judged, kept, cache), learned_from, dry_run=dry_run)
        if dry_run:
            return
        with resumable(cache, "the scores"), scoring_bar() as progress:
            fit = fit_feedback(
                executor,
                learned_from.texts,
                mode=wanted.mode,
                seeds=wanted.seeds,
                reads=wanted.most or READ,
                candidates=count,
                qrels=learned_from.judged,
                doc_id=doc_id,
                filter=only,
                cache=cache,
                progress=progress,
                seed=seed,
                retries=policy.rest,
            )
    if json:
        typer.echo(fit_json(fit))
    else:
        print_fit(fit)
    _end(fit, out, anyway)


def _check_files(cache: Path | None, out: Path | None, anyway: bool) -> None:
    """Refuse at once what would fail after the model has been paid."""
    for option, file in (("--cache", cache), ("--out", out)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise CommandError(f"{option} {file} can't be written: " + ("a folder" if file.is_dir() else "no such folder"))
    if anyway and out is None:
        raise CommandError("--anyway says to write --out whatever comes out: add --out FILE")


@contextmanager
def _feedback_model(text: str | None) -> Generator[Reranker, None, None]:
    """The model that `--rerank` names.

    Raises:
        CommandError: it names none, or none that can be had.
    """
    with reranker(text) as model:
        if model is None:
            raise CommandError(
                "which reranker? --rerank MODEL, e.g. cohere:rerank-v3.5, fastembed:Xenova/ms-marco-MiniLM-L-6-v2, or "
                "cross-encoder:DIR for one in a folder"
            )
        yield model


def _feedback(chosen: Strategy, mode: str, seeds: int, reads: int | None) -> RelevanceFeedback:
    """Relevance feedback that is still plain search, over the chosen first search.

    Raises:
        CommandError: it can't be used like that.
        StrategyError: a number can't be.
    """
    if mode not in get_args(Mode):
        raise CommandError(f"--mode is {' or '.join(get_args(Mode))}, got {mode!r}")
    if reads is not None and mode != "recall":
        raise CommandError("--reads is for --mode recall: in mode precision as many documents are scored as there are --seeds")
    if not isinstance(chosen, Stage):
        raise CommandError(f"the seeds are found by a search that Qdrant runs alone, which {type(chosen).__name__} isn't")
    return RelevanceFeedback(
        seeds=replace(chosen, limit=seeds), coefficients=Coefficients(1.0, 0.0, 0.0), mode=cast(Mode, mode), limit=reads
    )


def _give_encoders(
    executor: Executor,
    strategy: RelevanceFeedback,
    filter: models.Filter | None,
    options: Mapping[Kind, str | None],
    policy: CommandRetries,
) -> None:
    """Have the executor embed queries for the strategy, once it is sure that it fits the collection."""
    client = executor.clients.sync()
    check_embedder(client, options)
    plan = executor.plan(strategy, SearchOptions(limit=1, filter=filter))
    notes = read_notes(client, executor.collection, policy)
    executor.encoders = Encoders(query_encoders(plan.strategy.needs(), plan.target.schema, notes, options))


def _end(fit: FeedbackFit, out: Path | None, anyway: bool) -> None:
    """Write the strategy if it is to be used, and end with an exit code that says whether it is."""
    good = fit.recommends == "feedback"
    if out is not None and (good or anyway):
        fit.save(out, anyway=anyway)
        errors_console().print(Text(f"the strategy is in {out}", "dim"))
    elif out is not None:
        errors_console().print(Text(f"{out} is not written, as feedback isn't what to use; --anyway writes it", "yellow"))
    if not good:
        sys.exit(e.NOT_GOOD_ENOUGH)
