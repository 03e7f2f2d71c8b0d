"""`evaluate`: how good a system's results are by the judgments, and what they cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from statistics import fmean
from typing import Any, Literal, TypeAlias

import numpy as np

from .. import AsyncExecutor, Executor, PlanError, QdrantRerankError, Retries, SearchOptions, StrategyError
from .._internals import Calls, CandidateHit, ResultReason, arun_calls, as_table, in_worker, run_calls, share_arguments
from ..planning import Plan, Target, plan
from ..stages import Stage
from .asking import MEASURING, Collector, Experiment, Progress, acollect, collect
from .data import SYNTHETIC_NOTE, Answer, Plain, Qrels, Run, Topics, Usage, frame
from .files import RunFile
from .statistics import DEFAULT_MEASURES, Interval, bootstrap_interval, per_topic
from .systems import BoundStrategy, DocId, System, as_system, describe_doc_id, identify_doc_id, other_ids, prepare_options


@dataclass(frozen=True)
class Costs(Plain):
    """What one query cost: means over the topics that were answered, and percentiles of the time.

    The first seven are those of `Usage`; None for foreign retrievers, whose work can't be seen.

    Attributes:
        p50_ms: median time of a query in milliseconds; None if topics were asked in batches.
        p95_ms: what 95 % of the queries stayed below; None likewise.
        timed: how many queries were timed.
        note: how to read the times.
    """

    round_trips: float | None = None
    searches: float | None = None
    embeddings: float | None = None
    model_calls: float | None = None
    model_texts: float | None = None
    bytes_sent: float | None = None
    bytes_received: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    timed: int = 0
    note: str = ""


@dataclass(frozen=True)
class Coverage(Plain):
    """Which topics the means are about, and which they leave out.

    Attributes:
        topics: how many topics there were.
        measured: the ids of the topics with judgments, which the means are over.
        unjudged: topics without any judgment; in no mean.
        unasked: judged topics that aren't among the topics; in no mean.
        without_relevant: measured topics without a relevant document: every system scores 0.
        without_results: measured topics that nothing was found for; they count as 0.
        failed: topic → the error that it ended with; they count as 0.
        unread: topics with results that the model didn't score: it failed, or they have no text.
        duplicates: results left out because their document was in the ranking already.
        judged_at_10: the mean share of the first 10 results that were judged; the others count as not relevant. None if
            nothing was found.
        depth: how many results the longest ranking has.
        deepest: how many results the measures look at.
    """

    topics: int
    measured: tuple[str, ...]
    unjudged: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    without_relevant: tuple[str, ...] = ()
    without_results: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    duplicates: int = 0
    judged_at_10: float | None = None
    depth: int = 0
    deepest: int = 0


@dataclass(frozen=True)
class Evaluation(Plain):
    """What was measured of one system.

    Attributes:
        name: what tables call the system.
        run: its results.
        values: measure → topic → value, for the topics in `coverage.measured`.
        means: measure → mean with its interval.
        costs: what a query cost.
        coverage: which topics this is about.
        synthetic: whether the queries were made from documents.
        topics_fingerprint, qrels_fingerprint: of the topics and judgments, so that only like is compared with like.
        texts: topic → the query's text.
        relevant: topic → its relevant documents with their grades, best first.
        why: topic → why its results are where they are, a text each; None for systems that can't be explained.
    """

    name: str
    run: Run
    values: Mapping[str, Mapping[str, float]]
    means: Mapping[str, Interval]
    costs: Costs
    coverage: Coverage
    synthetic: bool = False
    topics_fingerprint: str = ""
    qrels_fingerprint: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    relevant: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    why: Callable[[str], tuple[str, ...]] | None = field(default=None, repr=False, compare=False)

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(self.values)

    def to_frame(self) -> Any:
        """A `pandas.DataFrame` with a row for each topic: `topic`, a column for each measure, `milliseconds`, `error`.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame(self._row(topic) for topic in self.coverage.measured)

    def _row(self, topic: str) -> dict[str, Any]:
        answer = self.run.get(topic) or Answer()
        values = {measure: values[topic] for measure, values in self.values.items()}
        return {"system": self.name, "topic": topic, **values, "milliseconds": answer.milliseconds, "error": answer.error}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the means, one sentence each."""
        return tuple(_list_notes(self))

    def __str__(self) -> str:
        means = "\n".join(f"  {measure:<12} {mean}" for measure, mean in self.means.items())
        return "\n".join([f"{self.name}: {len(self.coverage.measured)} topics", means, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = [(measure, mean.estimate, mean.low, mean.high) for measure, mean in self.means.items()]
        caption = f"{self.name}: {len(self.coverage.measured)} topics"
        return as_table(caption, ("measure", "mean", "from", "to"), rows, below="\n".join(self.notes))


def _list_notes(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.coverage

    def topics(some: Sized) -> str:
        return f"{len(some)} topic{'' if len(some) == 1 else 's'}"

    if evaluation.synthetic:
        yield f"These results are {SYNTHETIC_NOTE}."
    if found.failed:
        first, error = next(iter(found.failed.items()))
        yield f"{topics(found.failed)} failed and count as 0, e.g. {first!r}: {error}."
    if found.without_results:
        yield f"Nothing was found for {topics(found.without_results)}; they count as 0."
    if found.unjudged:
        yield f"{topics(found.unjudged)} without judgments left out of all means."
    if found.unasked:
        yield f"{topics(found.unasked)} in the judgments were not among the topics and are left out."
    if found.without_relevant:
        yield f"{topics(found.without_relevant)} without a relevant document: every system scores 0 there."
    if found.unread:
        yield f"{topics(found.unread)} with results that the model did not score: it failed, or they have no text."
    if found.duplicates:
        yield f"{found.duplicates} results left out: their document was in the ranking already."
    if found.depth < found.deepest:
        yield f"The longest ranking has {found.depth} results, and the measures look at {found.deepest}."
    if evaluation.costs.note:
        yield evaluation.costs.note


OnError: TypeAlias = Literal["stop", "count", "raise"]
"""What a topic that fails does: stop the evaluation with what there is so far, count as 0, or raise its error as it is."""


@dataclass(frozen=True)
class EvaluateArguments:
    """The arguments of `evaluate`, which explains them."""

    system: Any
    topics: Topics
    qrels: Qrels
    measures: Sequence[str] = DEFAULT_MEASURES
    _: KW_ONLY
    executor: Executor | AsyncExecutor | None = None
    name: str = ""
    limit: int | None = None
    options: SearchOptions | None = None
    doc_id: DocId = None
    batch_size: int = 1
    concurrency: int = 1
    on_error: OnError = "stop"
    retries: int | Retries = MEASURING
    run_file: str | os.PathLike[str] | None = None
    progress: Progress | None = None
    level: float = 0.95
    seed: int = 0


@share_arguments(EvaluateArguments)
def evaluate(*args: Any, **options: Any) -> Evaluation:
    """Put the judged topics to `system` and measure its results.

    Topics without judgments are left out and counted. A judged topic without results counts as 0 and is reported; one that
    ends with an error stops the evaluation, as a failure is no result.

    Args:
        system: a strategy (with `executor=`), a pair (strategy, executor) or `BoundStrategy`, a LangChain or LlamaIndex
            retriever, a function from text to results, a `TopicFunction`, or a finished `Run`.
        topics: the queries.
        qrels: the judgments.
        measures: ir-measures' names: `nDCG@10`, `R@100`, `RR`, `P(rel=2)@5`, `Judged@10`, …
        executor: what a strategy runs on; an `AsyncExecutor` in `aevaluate`.
        name: what tables call the system; for foreign systems, give each configuration a name of its own.
        limit: how many results to ask a strategy for, and to look at of any system; by default as many as the measures look
            at, or as the strategy can return.
        options: all that a strategy is asked for, instead of `limit`; its filter is AND-ed with the topics', its timeout is
            each topic's, or each batch's: embedding, searches, their retries and reranking.
        doc_id: where a result's document id is; see `DocId`.
        batch_size: how many topics share a strategy's round trips. Times are measured only with 1.
        concurrency: how many batches are asked at a time, in threads; times are then measured under this load.
        on_error: what a topic that fails does: "stop" the evaluation with a `MeasurementError`, which carries the run so far;
            "count" as 0, which is reported; or "raise" its error as it is. Errors of the set-up, e.g. a missing model, are
            always raised.
        retries: how often a search that fails in passing (a rate limit, a server that starts again) is made again before that,
            or a `Retries`; up to five minutes for each by default.
        run_file: a file that keeps each answer as it comes; the same call, with the same models, payload mapping and fixed
            filter, goes on from there. A lambda or a retriever, which nothing tells from others, needs a `name`.
        progress: called with how many topics are done, and how many there are.
        level: of the bootstrap intervals.
        seed: of their resampling.

    Raises:
        StrategyError: an argument is wrong, the results' ids match no judgment, nothing was found at all, or the run file
            is about something else.
        PlanError: the strategy doesn't fit the collection.
        MissingExtra: ir-measures or scipy isn't installed.
    """
    return run_calls(_measure(EvaluateArguments(*args, **options), False))


@share_arguments(EvaluateArguments)
async def aevaluate(*args: Any, **options: Any) -> Evaluation:
    """`evaluate` without blocking the event loop: on an `AsyncExecutor`, by async retrievers or functions.

    The arguments, the result and the errors are those of `evaluate`. What can't be awaited runs in a thread; `concurrency` is
    how many batches are asked at a time, in tasks; `progress` is called on the event loop. Cancelling it cancels the searches.
    """
    return await arun_calls(_measure(EvaluateArguments(*args, **options), True))


def _measure(given: EvaluateArguments, awaits: bool) -> Calls[Evaluation]:
    """The evaluation, which yields the calls to be made, or awaited."""
    experiment = Experiment(
        given.topics, given.qrels, given.measures, given.batch_size, given.concurrency, given.on_error, given.retries
    )
    if isinstance(given.system, Run):
        return sum_up(given.system.rename(given.name or given.system.name), experiment, given.level, given.seed)
    system, options = as_system(given.system, given.executor, given.name, awaits), given.options
    _check_options(system, given.limit, options)
    if isinstance(system, BoundStrategy):
        executor, strategy = system.executor, system.strategy
        target: Target = yield executor.target
        options = options or _fit_options(system, target, given.limit, experiment)
        options = prepare_options(strategy, options, given.doc_id)
        checked: Plan = yield partial(executor.plan, strategy, options)  # what doesn't fit is an error now, not of each topic
        identify = partial(target.identify, checked.strategy.needs(), reads=strategy.model_use != "none")
    else:
        identify = partial(dict[str, str | None], {"the system": system.identity})
    options = options or SearchOptions(limit=given.limit or experiment.deepest)
    depends_on: dict[str, str | None] = {}
    if given.run_file is not None:
        depends_on = yield partial(in_worker, identify) if awaits else identify  # it may read a model's folder
    with _start_job(system, experiment, options, given, awaits, depends_on) as job:
        yield partial(acollect if awaits else collect, job)
    why = _explain(system, experiment.asked, options) if isinstance(system, BoundStrategy) else None
    run = job.run({topic: job.done[topic] for topic in experiment.judged})
    return sum_up(run, experiment, given.level, given.seed, why)


def _check_options(system: System, limit: int | None, options: SearchOptions | None) -> None:
    if limit is not None and options is not None:
        raise StrategyError("limit= and options= exclude each other: write SearchOptions(limit=…)")
    if options is not None and not isinstance(system, BoundStrategy):
        raise StrategyError(f"options= is for strategies; {system.name} is asked by text alone")
    wanted = options or SearchOptions(limit=10 if limit is None else limit)
    if problems := list(wanted.problems()):
        raise StrategyError("; ".join(problems))


def _start_job(
    system: System,
    experiment: Experiment,
    options: SearchOptions,
    given: EvaluateArguments,
    awaits: bool,
    depends_on: dict[str, str | None],
) -> Collector:
    """What is asked, with the answers that the run file has already."""
    job = Collector(system, experiment, options, given.doc_id, progress=given.progress, awaits=awaits)
    if given.run_file is not None:
        asked = repr(options) if isinstance(system, BoundStrategy) else f"limit={options.limit}"
        asked += f", doc_id={describe_doc_id(given.doc_id)!r}"
        depends = depends_on | identify_doc_id(given.doc_id)
        job.file = RunFile(given.run_file, system.description, system.name, asked, experiment.asked.fingerprint, depends)
        job.done |= job.file.done
    return job


def _fit_options(bound: BoundStrategy, target: Target, limit: int | None, experiment: Experiment) -> SearchOptions:
    """What the strategy is asked for: `limit` results, or as many as the measures look at, or as it can return.

    Raises PlanError: the strategy doesn't fit the collection, whatever the limit; or not with the limit given.
    """

    def fits(number: int) -> PlanError | None:
        try:
            plan(bound.strategy, target.schema, target.capabilities, SearchOptions(limit=number), target.payload)
        except PlanError as error:
            return error
        return None

    wanted = limit or experiment.deepest
    error = fits(wanted)
    if error is None:
        return SearchOptions(limit=wanted)
    if limit is not None or fits(1) is not None:
        raise error
    low, high = 1, wanted  # some stage or model hands on fewer candidates than the measures would look at
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) is None else (low, middle)
    return SearchOptions(limit=low)


def _explain(bound: BoundStrategy, topics: Topics, options: SearchOptions) -> Callable[[str], tuple[str, ...]] | None:
    """Topic id → a text for each result, by a round trip or two; None for strategies that can't be explained."""
    executor = bound.executor
    if not isinstance(executor, Executor) or not isinstance(bound.strategy, Stage) or options.group_by is not None:
        return None

    def why(id: str) -> tuple[str, ...]:
        topic = topics[id]
        return tuple(map(_describe, executor.explain(bound.strategy, topic.query, topic.within(options)).reasons))

    return why


def _describe(reason: ResultReason) -> str:
    terms = " + ".join(f"{term.text}: {term.value:.4g}" for term in reason.terms)
    candidates = ", ".join(f"{hit.candidate}: {_describe_hit(hit)}" for hit in reason.candidates)
    return f"score {reason.score:.4g}" + (f" = {terms}" if terms else "") + (f" ({candidates})" if candidates else "")


def _describe_hit(hit: CandidateHit) -> str:
    if hit.score is None:
        return "not found"
    return "found" if hit.rank is None else f"rank {hit.rank}"


def sum_up(
    run: Run, experiment: Experiment, level: float, seed: int, why: Callable[[str], tuple[str, ...]] | None = None
) -> Evaluation:
    """What `run` is worth.

    Raises StrategyError: the run is empty, or none of its ids was judged. Raises QdrantRerankError: every topic failed.
    """
    answers = {topic: run[topic] for topic in experiment.judged if topic in run}
    _check_found(answers, experiment)
    values = per_topic(experiment.measures, {topic: experiment.qrels[topic] for topic in experiment.judged}, run.positions())
    means = {name: bootstrap_interval(list(found.values()), level=level, seed=seed) for name, found in values.items()}
    return Evaluation(
        name=run.name,
        run=run,
        values=values,
        means=means,
        costs=_costs(list(answers.values()), experiment),
        coverage=_coverage(answers, experiment),
        synthetic=experiment.topics.synthetic,
        topics_fingerprint=experiment.asked.fingerprint,
        qrels_fingerprint=experiment.qrels.fingerprint,
        texts={topic.id: topic.text for topic in experiment.asked},
        relevant={topic: _relevant(experiment.qrels, topic) for topic in experiment.judged},
        why=why,
    )


def _check_found(answers: Mapping[str, Answer], experiment: Experiment) -> None:
    failures = [answer.error for answer in answers.values() if answer.error is not None]
    found = [document for answer in answers.values() for document in answer.doc_ids]
    if found:
        if experiment.qrels.documents.isdisjoint(found):
            raise StrategyError(
                f"{other_ids(found, experiment.qrels.documents)} where a result's document id is: a key of its payload or "
                "metadata, or a function from result to id. If these are the right ids, nothing that was found was judged, and "
                "there is nothing to measure"
            )
        return
    if failures:
        raise QdrantRerankError(
            f"every topic that was asked failed or found nothing; {len(failures)} of {len(answers)} failed, the first with: "
            f"{failures[0]}"
        )
    raise StrategyError(
        f"the run is empty: nothing was found for any of {len(experiment.judged)} topics; is the collection empty, or the "
        "filter too narrow, or are the run's topic ids others?"
    )


def _relevant(qrels: Qrels, topic: str) -> dict[str, int]:
    grades = sorted(qrels[topic].items(), key=lambda item: -item[1])
    return {document: grade for document, grade in grades if grade > 0}


def _coverage(answers: Mapping[str, Answer], experiment: Experiment) -> Coverage:
    judged, without_relevant = set(experiment.judged), set(experiment.qrels.without_relevant)
    shares = [
        fmean(document in experiment.qrels[topic] for document in answer.doc_ids[:10])
        for topic, answer in answers.items()
        if answer.ranking
    ]
    return Coverage(
        topics=len(experiment.topics),
        measured=experiment.judged,
        unjudged=tuple(topic for topic in experiment.topics.ids if topic not in judged),
        unasked=tuple(topic for topic in experiment.qrels if topic not in judged and experiment.qrels[topic]),
        without_relevant=tuple(topic for topic in experiment.judged if topic in without_relevant),
        without_results=tuple(topic for topic in experiment.judged if answers.get(topic, Answer()).is_empty),
        failed={topic: answer.error for topic, answer in answers.items() if answer.error is not None},
        unread=tuple(topic for topic, answer in answers.items() if answer.unread),
        duplicates=sum(answer.duplicates for answer in answers.values()),
        judged_at_10=fmean(shares) if shares else None,
        depth=max((len(answer.ranking) for answer in answers.values()), default=0),
        deepest=experiment.deepest,
    )


def _costs(answers: list[Answer], experiment: Experiment) -> Costs:
    usages = [answer.usage for answer in answers if answer.usage is not None]
    times = [answer.milliseconds for answer in answers if answer.milliseconds is not None]
    p50, p95 = (float(value) for value in np.percentile(times, [50, 95])) if times else (None, None)
    counted = {name: fmean(getattr(usage, name) for usage in usages) for name in Usage.__dataclass_fields__} if usages else {}
    return Costs(**counted, p50_ms=p50, p95_ms=p95, timed=len(times), note=_note(usages, times, experiment))


def _note(usages: list[Usage], times: list[float], experiment: Experiment) -> str:
    if not times:
        shared = f": {experiment.batch_size} topics shared each round trip; ask with batch_size=1 to time queries"
        return f"Queries were not timed{shared if usages and experiment.batch_size > 1 else ''}."
    if experiment.concurrency > 1:
        return f"Times were taken with {experiment.concurrency} queries running at a time."
    return ""
