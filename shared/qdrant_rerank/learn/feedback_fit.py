"""The fit of relevance feedback: the coefficients for one collection and one model, and whether to use them."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property, partial
from os import PathLike
from typing import Any, Final

from qdrant_client import models

from .. import AsyncExecutor, Executor, Retries, SearchOptions, StrategyError
from .._internals import (
    RECALL_READS,
    SEEDS,
    Calls,
    Flow,
    Mode,
    arun,
    arun_calls,
    check_counts,
    hashes_of,
    in_worker,
    is_whole,
    list_few,
    normalise_text,
    run,
    run_calls,
    share_arguments,
    tell_error,
)
from ..errors import FitError, MeasurementError
from ..evaluate import DocId
from ..evaluate._internals import MEASURING, RetryingServices, ends_measuring
from ..feedback import Coefficients, Provenance, RelevanceFeedback
from ..planning import Plan, Target
from ..report._internals import count
from ..stages import Nearest, Stage
from .feedback_judgement import (
    JUDGED_AT_ONCE,
    LEAST_JUDGED,
    FeedbackFit,
    Judging,
    WayComparison,
    agreement,
    disagreement,
    judgments_of,
    unseen,
    verdict,
)
from .feedback_scores import Progress, ScoreFile, ScoringForecast
from .feedback_training import (
    BATCH,
    Documents,
    FoldCoefficients,
    Gathered,
    Queries,
    fit_folds,
    gather_examples,
    query_texts,
    replace_reranker,
)


@dataclass(frozen=True)
class FeedbackEstimate:
    """What a fit costs, before it begins.

    Attributes:
        queries: how many it learns from and is judged on.
        requests: to Qdrant; each holds many searches.
        documents: that the model scores at most; scores in the cache cost nothing.
        seconds: for the model, if its speed is given; else None.
    """

    queries: int
    requests: int
    documents: int
    seconds: float | None = None

    def __str__(self) -> str:
        time = "" if self.seconds is None else f", which takes the model about {duration(self.seconds)}"
        return (
            f"{count(self.queries, 'query')}, {count(self.requests, 'request')} to Qdrant, up to "
            f"{count(self.documents, 'document')} to score{time}"
        )


def estimate_feedback_fit(
    queries: int,
    *,
    mode: Mode = "precision",
    seeds: int = SEEDS,
    reads: int = RECALL_READS,
    candidates: int = 50,
    judged_queries: int = 0,
    seconds_per_document: float | None = None,
) -> FeedbackEstimate:
    """What `fit_feedback` will ask for, at most.

    Args:
        queries: how many there are.
        mode: as for the fit.
        seeds: how many documents the model scores before the second search.
        reads: how many it scores for one query in mode "recall".
        candidates: as for the fit.
        judged_queries: how many of them have judgments and are searched again, all three ways.
        seconds_per_document: the model's speed.
    """
    judged = judged_queries if judged_queries >= LEAST_JUDGED else 0
    work = forecast_scoring(queries, judged, mode, seeds, reads, candidates)
    documents = work.learning + work.new
    requests = math.ceil(queries / BATCH) + 2 * math.ceil(judged / JUDGED_AT_ONCE)
    return FeedbackEstimate(queries, requests, documents, seconds_per_document and documents * seconds_per_document)


def forecast_scoring(queries: int, judged: int, mode: Mode, seeds: int, reads: int, candidates: int) -> ScoringForecast:
    """How many documents to score: `candidates` for each query, and those that are served for each judged one.

    Of the latter only those of the second search in mode "recall" may be new: reranking and the first round read what was
    scored to learn from.
    """
    served = reads if mode == "recall" else seeds
    return ScoringForecast(queries * candidates, 2 * judged * served, judged * (served - seeds))


def duration(seconds: float) -> str:
    """A time to read, e.g. `40 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


LEAST_QUERIES: Final = 20


def check_fit_executor(executor: Any, awaits: bool) -> None:
    """Refuse an executor of the other kind, or none at all. Raises StrategyError."""
    this, other = ("afit_feedback", "fit_feedback") if awaits else ("fit_feedback", "afit_feedback")
    wanted: type[Any] = AsyncExecutor if awaits else Executor
    if not isinstance(executor, wanted):
        taken = f"; {other}(…) takes it" if isinstance(executor, Executor | AsyncExecutor) else ""
        raise StrategyError(f"{this} needs an {wanted.__name__}, got {type(executor).__name__}{taken}")


def check_queries(texts: Iterable[str]) -> None:
    """Refuse to learn from fewer than 20 different queries. Raises FitError."""
    different = len({normalise_text(text) for text in texts})
    if different < LEAST_QUERIES:
        raise FitError(
            f"there are {different} different queries; the fit needs at least {LEAST_QUERIES}, and 50 to 200 are better"
        )


def check_candidate_count(strategy: RelevanceFeedback, candidates: int) -> None:
    """Refuse to learn from too few points. Raises StrategyError."""
    least = max(strategy.reads, strategy.seed_count) + 10
    if not is_whole(candidates, least):
        raise StrategyError(
            f"candidates={candidates!r} leaves too few points to learn from beside those that are scored in use: at least "
            f"{least}"
        )


_PACKAGES: Final = ("qdrant-rerank", "qdrant-client", "numpy", "scipy")


@dataclass(frozen=True)
class LearnedCoefficients:
    """The examples, the coefficients, the comparisons by the reranker's scores, and the strategy with those of all queries."""

    gathered: Gathered
    crossed: FoldCoefficients
    own: tuple[WayComparison, WayComparison]
    strategy: RelevanceFeedback


@dataclass(frozen=True)
class FeedbackTask:
    """A fit, with the arguments of `fit_feedback`. Raises FitError where there are too few queries, else StrategyError."""

    executor: Executor | AsyncExecutor
    queries: Queries
    _: KW_ONLY
    mode: Mode = "precision"
    seeds: Stage | None = None
    using: str | None = None
    reads: int = RECALL_READS
    candidates: int = 50
    qrels: Mapping[str, Mapping[str, int]] | None = None
    doc_id: DocId = None
    filter: models.Filter | None = None
    cache: str | PathLike[str] | None = None
    progress: Callable[[Progress], object] | None = None
    folds: int = 5
    seed: int = 0
    retries: int | Retries = MEASURING
    concurrency: int | None = None

    def __post_init__(self) -> None:
        if self.seeds is not None and not isinstance(self.seeds, Stage):
            number = self.seeds if is_whole(self.seeds, 2) else SEEDS
            raise StrategyError(
                f"the seeds of a fit are the first search, whose limit is their number: seeds=Nearest(limit={number}); got "
                f"{self.seeds!r}"
            )
        check_queries(self.distinct)
        Retries.of(self.retries)
        check_counts(2, folds=self.folds)
        check_counts(1, concurrency=1 if self.concurrency is None else self.concurrency)
        check_candidate_count(self.plain, self.candidates)
        judged = [query for query, grades in (self.qrels or {}).items() if grades]
        if judged and not any(query in self.texts for query in judged):
            raise StrategyError(
                f"none of the {len(self.texts)} queries has judgments: the queries' ids are {list_few(list(self.texts))}, "
                f"those of the qrels {list_few(judged)}"
            )

    @cached_property
    def texts(self) -> dict[str, str]:
        """Query id → text."""
        return query_texts(self.queries)

    @cached_property
    def distinct(self) -> list[str]:
        """The different texts."""
        return list(dict.fromkeys(text for text in self.texts.values() if text.strip()))

    @cached_property
    def plain(self) -> RelevanceFeedback:
        """The strategy to fit, while it still is plain search."""
        return RelevanceFeedback(
            seeds=self.seeds or Nearest(self.using, limit=SEEDS),
            coefficients=Coefficients(1.0, 0.0, 0.0),
            mode=self.mode,
            limit=self.reads if self.mode == "recall" else None,
            using=self.using,
        )

    @property
    def options(self) -> SearchOptions:
        """The least to ask of the strategy, to see whether it fits the collection."""
        return SearchOptions(limit=1, filter=self.filter)

    @cached_property
    def grades(self) -> dict[str, dict[str, int]]:
        """Judgments by the query's text."""
        return {text: found for text, found in judgments_of(self.texts, self.qrels).items() if text.strip()}

    @cached_property
    def documents(self) -> Documents:
        """The documents found, with their judgments if there are enough."""
        return Documents(self.grades if len(self.grades) >= LEAST_JUDGED else {}, self.doc_id)

    def scores(self) -> ScoreFile:
        """The reranker with its file of scores. Raises StrategyError without one, FormatError where it is another file."""
        reranker, concurrency = self.executor.reranker, 4 if self.concurrency is None else self.concurrency
        if reranker is None:
            raise StrategyError("fit_feedback needs the reranker: make the executor with reranker=…")
        work = forecast_scoring(
            len(self.distinct), len(self.documents.grades), self.mode, self.plain.seed_count, self.reads, self.candidates
        )
        return ScoreFile(reranker, self.cache, self.progress, work, concurrency)

    def gather(self, plan: Plan, scores: ScoreFile) -> Flow[Gathered]:
        """One search for each query, and the model's scores of what it finds."""
        strategy, target = self.plain.resolve(plan.target.schema), plan.target
        return gather_examples(strategy, target, self.distinct, self.candidates, scores, self.filter, self.documents)

    def learn(self, plan: Plan, gathered: Gathered) -> LearnedCoefficients:
        """The coefficients, judged by the reranker's scores. Raises FitError where too few queries found enough."""
        strategy, examples = self.plain.resolve(plan.target.schema), gathered.examples
        if len({normalise_text(example.query) for example in examples}) < LEAST_QUERIES:
            raise FitError(
                f"only {len(examples)} of {len(self.distinct)} queries find more points with text and vector than there are "
                f"seeds ({strategy.seed_count}); the fit needs {LEAST_QUERIES}"
            )
        crossed = fit_folds(examples, self.mode, self.folds, self.seed)
        fitted = self._with_provenance(crossed.coefficients, strategy, plan.target)
        weights = [crossed.for_query(example.query) for example in examples]
        own = agreement(examples, weights, self.mode, fitted.reads or fitted.seed_count)
        return LearnedCoefficients(
            gathered,
            crossed,
            (WayComparison.of(own, measure="agreement"), WayComparison.of(unseen(examples, weights), measure="unseen")),
            fitted,
        )

    def judge_by_qrels(self, plan: Plan, learned: LearnedCoefficients, scores: ScoreFile) -> Flow[list[WayComparison]]:
        """The comparisons by qrels, if there are enough."""
        scores.reach(scores.ahead.learning)
        with_judgments = self.queries_with_judgments(learned)
        known = {text: query for text, query in learned.gathered.queries.items() if text in with_judgments}
        found: list[WayComparison] = []
        if len(known) >= LEAST_JUDGED:
            work = Judging(learned.strategy, plan.target, self.documents, self.filter)
            found = yield from work.flow(learned.crossed, known)
        scores.reach(scores.ahead.learning + scores.ahead.judging)
        return found

    def queries_with_judgments(self, learned: LearnedCoefficients) -> set[str]:
        """The queries that were learned from and have judgments."""
        return self.grades.keys() & learned.crossed.unseen_by.keys()

    def result(self, learned: LearnedCoefficients, by_qrels: Sequence[WayComparison]) -> FeedbackFit:
        examples, fitted = learned.gathered.examples, learned.strategy
        agreed, signal = learned.own
        recommends = verdict(by_qrels[0] if by_qrels else agreed, signal)
        comparisons = (agreed, signal, *by_qrels)
        metrics = {f"{each.measure}: {name}": value for each in comparisons for name, value in each.numbers().items()}
        metrics |= {"queries": float(len(examples)), "folds": float(len(learned.crossed.folds))}
        noted = fitted.weights.with_provenance(recommends=recommends, metrics=metrics)
        return FeedbackFit(
            strategy=replace(fitted, coefficients=noted),
            recommends=recommends,
            comparisons=comparisons,
            disagreement=disagreement(examples),
            queries=len(examples),
            judged_queries=len(self.queries_with_judgments(learned)),
            skipped=len(self.distinct) - len(examples),
            folds=learned.crossed.folds,
        )

    def _with_provenance(self, found: Coefficients, strategy: RelevanceFeedback, target: Target) -> RelevanceFeedback:
        info = target.schema.vectors[strategy.compared]
        provenance = Provenance(
            mode=strategy.mode,
            seeds=strategy.seed_count,
            reranker=target.fingerprints.reranker(),
            vector=strategy.compared,
            size=info.size,
            distance=info.distance_name,
            encoder=target.fingerprints.encoder(strategy.compared),
            text=target.payload.source,
            data=hashlib.sha256(json.dumps(self.distinct).encode()).hexdigest()[:16],
            queries=hashes_of(self.distinct),
            versions={"qdrant": str(target.capabilities), **{name: importlib.metadata.version(name) for name in _PACKAGES}},
            date=dt.datetime.now(dt.UTC).date().isoformat(),
        )
        return replace(strategy, coefficients=replace(found, provenance=provenance))


@share_arguments(FeedbackTask)
def fit_feedback(*args: Any, **options: Any) -> FeedbackFit:
    """Fit the coefficients of relevance feedback, and find out whether it is worth using.

    Each query is searched once, in batches, for `candidates` points with their vectors; the executor's model scores them all.
    The coefficients are learned as they will be served: in this mode, with this many seeds, over all pairs, from all queries.
    They are judged by cross-fitting: each query by coefficients of the other folds, in agreement with the reranker, and by
    `qrels` if there are any.

    Args:
        executor: on the collection, with encoders and the reranker; an `AsyncExecutor` in `afit_feedback`.
        queries: real ones, 50 to 200: `Topics` as `read_topics` returns them; id → text; or texts, `Topic`s or `Query`s in a
            list, where an item without an id gets its number: "0", "1", …. Only their text is used; a `PlanWarning` says if
            there is more. (Queries made of stored documents mislead.)
        mode: as it will be used.
        seeds: the first search; the best 5 of the plain one if None. Its limit is the number of seeds.
        using: the dense vector, as for `RelevanceFeedback`.
        reads: how many documents are scored for one query in mode "recall".
        candidates: how deep the first search goes for learning.
        qrels: query id → document id → grade; used if at least 20 of the queries have some.
        doc_id: where a point's document id is, as it is in `qrels`: a key of the payload, or a function of the point; if None
            `_id` of the payload, else the point's id. See `evaluate.DocId`.
        filter: for all searches.
        cache: a file that keeps the model's scores, so that it is asked only once.
        progress: called after each query.
        folds: into how many the queries are dealt, at random, the same queries together.
        seed: of dealing them.
        retries: how often a search that fails in passing is made again; as of `evaluate.evaluate`.
        concurrency: for `afit_feedback` alone: how many queries' documents the model scores at a time, 4 if None.

    Raises:
        FitError: fewer than 20 different queries find enough points.
        StrategyError: an argument is wrong; or `qrels` know none of the queries, or none of the documents found (before the
            model is asked). PlanError: the strategy doesn't fit the collection.
        MissingExtra: scipy or ir-measures isn't installed.
        MeasurementError: Qdrant or the model failed, also when it was asked again.
    """
    return run_calls(_fit(FeedbackTask(*args, **options), False))


@share_arguments(FeedbackTask)
async def afit_feedback(*args: Any, **options: Any) -> FeedbackFit:
    """`fit_feedback` without blocking the event loop, with the same result: the fit itself runs in a thread.

    The arguments and errors are those of `fit_feedback`; `progress` is called on the event loop.
    """
    return await arun_calls(_fit(FeedbackTask(*args, **options), True))


def _fit(task: FeedbackTask, awaits: bool) -> Calls[FeedbackFit]:
    """The fit, which yields the calls to be made, or awaited: then what blocks runs in a thread."""
    check_fit_executor(task.executor, awaits)
    if task.concurrency is not None and not awaits:
        raise StrategyError("fit_feedback scores the documents of one query after the other: concurrency= is afit_feedback's")
    go: Any = arun if awaits else run
    block: Any = in_worker if awaits else _call
    plan = yield partial(task.executor.plan, task.plain, task.options)
    scores = yield partial(block, task.scores)  # it reads the cache, and maybe the model's folder
    with closing(scores), _stopping(task):
        reading = RetryingServices(replace_reranker(task.executor, scores), Retries.of(task.retries))
        gathered = yield partial(go, task.gather(plan, scores), reading)
        learned = yield partial(block, partial(task.learn, plan, gathered))
        judged = yield partial(go, task.judge_by_qrels(plan, learned, scores), reading)
        fit: FeedbackFit = yield partial(block, partial(task.result, learned, judged))
        return fit


def _call(job: Callable[[], Any]) -> Any:
    return job()


@contextmanager
def _stopping(task: FeedbackTask) -> Generator[None]:
    """Turn a failure of Qdrant, of a model's service, or of the way to them into a `MeasurementError`."""
    try:
        yield
    except Exception as error:
        if not ends_measuring(error):
            raise
        kept = "give cache= to keep scores" if task.cache is None else f"the scores are in {task.cache}"
        raise MeasurementError(
            f"stopped while the fit searched and scored, as queries that fail would be left out ({kept}, and the same call "
            f"goes on from there): {tell_error(error)}"
        ) from error
