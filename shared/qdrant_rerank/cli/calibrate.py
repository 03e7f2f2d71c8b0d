"""`qdrant-rerank calibrate`: the coefficients of relevance feedback, and whether to use it at all."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, cast, get_args

import typer
from qdrant_client import models
from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from .. import Coefficients, Executor, Query, RelevanceFeedback, SearchOptions, Strategy
from .._internals import VectorKind as Kind
from ..evaluate import Interval, Topic, Topics, read_beir, read_qrels, read_topics
from ..evaluate._internals import MEASURING
from ..feedback._internals import READ, Mode
from ..learn import FeedbackEstimate, FeedbackFit, estimate, fit_feedback
from ..learn._internals import (
    LEAST_JUDGED,
    LEAST_QUERIES,
    SYNTHETIC_WARNING,
    Progress,
    ScoreFile,
    check_candidates,
    check_queries,
    duration,
    first_search,
    is_sampled,
    sampled_queries,
)
from ..models import Encoders, Reranker
from ..stages import Stage
from . import calibrate_options as c
from . import measuring as e
from . import model_options as m
from . import options as o
from . import tune_options as t
from .connect import CommandRetries, Where, connected, the_collection
from .failures import CommandError, errors_console, reported, results_console, resumable, warn
from .models import ShownText, check_embedder, query_encoders, read_notes, reranker
from .options import filter_of, listed
from .results import TEXT_KEYS
from .strategies import Choice

__all__ = [
    "Queries",
    "Source",
    "calibrate",
    "check_fit",
    "cost_line",
    "fit_json",
    "kept_scores",
    "print_cost",
    "print_fit",
    "scoring_bar",
    "speed_of",
]


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


@dataclass(frozen=True)
class Queries:
    """What is learned from.

    Attributes:
        texts: query id → text.
        judged: query id → document id → grade, of those that have judgments.
    """

    texts: Mapping[str, str]
    judged: Mapping[str, Mapping[str, int]]

    @property
    def distinct(self) -> int:
        """How many texts there are; the same one asked twice counts once."""
        return len(set(self.texts.values()))

    @property
    def distinct_judged(self) -> int:
        """How many of them have judgments."""
        return len({self.texts[id] for id in self.judged})


@dataclass(frozen=True)
class Source:
    """Where the queries come from, as the options say; see their help.

    Raises:
        CommandError: options exclude each other, or a number can't be.
    """

    queries: Path | None
    sample: int | None
    qrels: Path | None
    split: str
    most: int
    seed: int

    def __post_init__(self) -> None:
        for option, value in (("--most", self.most), ("--sample", self.sample)):
            if value is not None and value < 1:
                raise CommandError(f"{option} must be at least 1, got {value}")
        if self.sample is None and self.queries is None:
            raise CommandError(
                "which queries? give a file of real ones (id, tab, text), or --sample N to make some for a trial"
            )
        if self.sample is None:
            return
        if self.qrels is not None:
            raise CommandError("--sample and --qrels exclude each other: nobody has judged documents for queries made here")
        if self.queries is not None and self.queries.exists():
            raise CommandError(
                f"--sample would write its queries over {self.queries}: leave it out to use those that are there"
            )

    def read(self) -> Queries | None:
        """What the files hold; None with `--sample`, for which a collection is needed.

        Raises:
            CommandError: there is no such file, or the judgments are those of other queries.
            FormatError: a file is malformed.
        """
        if self.sample is not None or self.queries is None:
            return None
        if not self.queries.exists():
            raise CommandError(
                f"{self.queries} doesn't exist: give a file with id, tab and text on each line, or a BEIR folder"
            )
        topics, qrels = self._files(self.queries)
        taken = self._taken(topics)
        judged = {topic.id: qrels[topic.id] for topic in taken if topic.id in qrels}
        if qrels and not judged:
            raise CommandError(f"{self.qrels} has no judgments for the queries of {self.queries}: their ids differ")
        if is_sampled(found := {topic.id: topic.text for topic in taken}):
            warn(SYNTHETIC_WARNING)
        return Queries(found, judged)

    def _files(self, queries: Path) -> tuple[Topics, Mapping[str, Mapping[str, int]]]:
        if not queries.is_dir():
            return read_topics(queries), {} if self.qrels is None else read_qrels(self.qrels)
        if self.qrels is not None:
            raise CommandError("--qrels goes with a file of queries; a BEIR folder has its own judgments, see --split")
        return read_beir(queries, self.split)

    def _taken(self, topics: Topics) -> Sequence[Topic]:
        if others := sum(not topic.is_plain for topic in topics):
            warn(f"{others} of the queries come with filters, params or vectors; the fit uses nothing but their text")
        if len(topics) <= self.most:
            return topics.items
        warn(f"{self.most} of the {len(topics)} queries are taken, at random; --most N takes more")
        return random.Random(self.seed).sample(topics.items, self.most)

    def made(self, executor: Executor, filter: models.Filter | None, *, keep: bool) -> Queries:
        """Queries made of the collection; `keep` writes them to the file that is named.

        Raises:
            FitError: nothing can be made of the collection.
        """
        assert self.sample is not None
        texts = sampled_queries(executor, self.sample, filter=filter)
        if len(texts) < self.sample:
            warn(f"--sample {self.sample}: only {len(texts)} different queries could be made of the points drawn")
        if self.queries is not None and keep:
            self.queries.write_text("".join(f"{id}\t{text}\n" for id, text in texts.items()), "utf-8")
        return Queries(texts, {})


_HANDFUL: Final = 8  # texts, to tell how long the model takes


def check_fit(
    executor: Executor,
    strategy: RelevanceFeedback,
    queries: Queries,
    candidates: int,
    filter: models.Filter | None,
    *,
    dry_run: bool,
) -> None:
    """Refuse what the fit would refuse, before its cost is told; a dry run only warns of too few queries.

    Raises:
        FitError: there are too few queries. StrategyError, PlanError: the candidates are too few, or can't be had.
    """
    check_candidates(strategy, candidates)
    target = executor.target()
    first_search(strategy.resolved(target.schema), target, candidates, filter)
    if not dry_run:
        check_queries(queries.texts.values())


def speed_of(
    executor: Executor, strategy: RelevanceFeedback, queries: Queries, filter: models.Filter | None, cache: Path | None
) -> float | None:
    """Seconds that the model takes for a text, by a handful; None if it was asked for none. Their scores are kept, too."""
    query = next(iter(queries.texts.values()))
    seeds = replace(strategy.seeds, limit=None)
    points = executor.retrieve(seeds, Query(query), SearchOptions(limit=_HANDFUL, filter=filter, with_payload=True))
    texts = [text for point in points if (text := executor.payload.content(point.payload or {}).text).strip()]
    assert executor.reranker is not None
    with closing(ScoreFile(executor.reranker, cache)) as scores:
        scores.score(query, texts)
    return scores.seconds / scores.asked if scores.asked else None


def kept_scores(executor: Executor, cache: Path | None) -> int:
    """How many scores a file already holds.

    Raises:
        FormatError: it is a file of something else.
    """
    assert executor.reranker is not None
    return 0 if cache is None else len(ScoreFile(executor.reranker, cache).known)


def cost_line(cost: FeedbackEstimate, judged: int, kept: int = 0, cache: Path | None = None) -> str:
    """What a fit takes, in one sentence.

    Args:
        cost: how much of what.
        judged: how many queries have judgments.
        kept: how many scores there are already; which of them this fit needs is known only when it has searched.
        cache: the file that holds them.
    """
    requests = f"{cost.requests} request{'' if cost.requests == 1 else 's'}"
    how_long = "" if cost.seconds is None else f", which takes it about {duration(cost.seconds)}"
    with_judgments = f" ({judged} with judgments)" if judged else ""
    more = ", three more for each that is judged" if judged >= LEAST_JUDGED else ""
    scores = "1 score" if kept == 1 else f"{kept:,} scores"
    less = f"; {cache} holds {scores}, and none of those that this fit needs is asked for again" if kept else ""
    return (
        f"{cost.queries} queries{with_judgments}: one search each{more}, in {requests} to Qdrant; the model scores up to "
        f"{cost.documents:,} texts{how_long}{less}"
    )


def print_cost(line: str, queries: Queries, *, dry_run: bool) -> None:
    """Print the line, as the result of a dry run, else beside the results; and what is too little."""
    if 0 < queries.distinct_judged < LEAST_JUDGED:
        warn(f"the judgments of {queries.distinct_judged} queries are too few and aren't used: it takes {LEAST_JUDGED}")
    if not dry_run:
        errors_console().print(Text(line, "dim"))
        return
    results_console().print(Text(line), soft_wrap=True)
    if queries.distinct < LEAST_QUERIES:
        warn(f"{queries.distinct} queries are too few: the fit needs at least {LEAST_QUERIES}, and 50 to 200 are better")


@contextmanager
def scoring_bar() -> Generator[Callable[[Progress], None] | None, None, None]:
    """What a fit tells its progress, shown as a bar with cost and time left; None where nobody watches."""
    console = errors_console()
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda told: bar.update(task, completed=told.done, total=told.total, description=told_line(told))


def told_line(told: Progress) -> str:
    """What was paid for, and how long the rest takes."""
    left = "" if told.seconds_left is None else f", {duration(told.seconds_left)} left"
    return f"{told.asked:,} asked of the model{left}"


def print_fit(fit: FeedbackFit) -> None:
    """Print what to use, in plain words, and the numbers that say so."""
    console = results_console()
    verdict, signal, *others = str(fit).splitlines()
    console.print(Text(verdict, "bold green" if fit.recommends == "feedback" else "bold yellow"))
    console.print(Text(signal))
    console.print(Text(others[0]))
    console.print(_table(fit))
    console.print(
        Text("agreement: with the model, of all that was found; unseen: of what it wasn't shown, which tells signal", "dim")
    )
    console.print(Text(others[-1], "dim"))


def _table(fit: FeedbackFit) -> Table:
    """For each measure three rows: each of the three ways, beside what it has to beat."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("held out")
    table.add_column("by")
    for heading in ("mean", "over plain [95 %]", "over rerank [95 %]"):
        table.add_column(heading, justify="right")
    for each in fit.judgements:
        table.add_row(each.measure, "plain", f"{each.plain:.3f}", "", "")
        table.add_row("", "rerank", f"{each.rerank:.3f}", _gain(each.rerank_over_plain), "")
        table.add_row("", "feedback", f"{each.feedback:.3f}", _gain(each.over_plain), _gain(each.over_rerank))
    return table


def _gain(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:+.3f}"
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def fit_json(fit: FeedbackFit) -> str:
    """All of it as one JSON object."""
    return json.dumps(
        {
            "recommends": fit.recommends,
            "signal": fit.signal,
            "disagreement": fit.disagreement,
            "queries": fit.queries,
            "queries_with_judgments": fit.judged_queries,
            "skipped": fit.skipped,
            "coefficients": _plain(fit.coefficients),
            "coefficients_by_fold": [_plain(each) for each in fit.folds],
            "judgements": [asdict(each) for each in fit.judgements],
        }
    )


def _plain(weights: Coefficients) -> dict[str, float]:
    return {"a": weights.a, "b": weights.b, "c": weights.c}
