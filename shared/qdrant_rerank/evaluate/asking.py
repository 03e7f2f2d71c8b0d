"""Asking a system for every topic: in batches, several at a time, with retries; each answer is kept as it comes.

Costs are counted on a strategy's flow, not on a client: so they are the same for every executor, sync or async, and topics
that share a round trip have their own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any, Final, Self, TypeAlias, TypeVar

from qdrant_client import models

from .. import AsyncExecutor, Retries, SearchOptions, StrategyError
from .._internals import (
    BEYOND,
    DEADLINE,
    Calls,
    Embed,
    Flow,
    Points,
    Score,
    Scores,
    Search,
    Step,
    arun,
    arun_calls,
    check_counts,
    in_batches,
    list_few,
    notes_of,
    read_failure,
    run,
    run_calls,
    tell_error,
    together,
    watch,
    within,
)
from ..errors import ClientError, FitError, MeasurementError, MissingExtra
from ..planning import Plan
from .data import Answer, Qrels, Run, Topic, Topics, Usage
from .files import RunFile
from .statistics import check_judgments, deepest
from .systems import BlackBox, BoundStrategy, DocId, System, aliases, read_ranking


@dataclass
class _StepLog:
    """The steps of one flow, and the points that came back; sizes are taken later, outside the measured time."""

    steps: list[Step] = field(default_factory=list)
    found: list[Points] = field(default_factory=list)

    def hear(self, step: Step, answer: Any) -> None:
        """Note what a search found."""
        if isinstance(step, Search):
            self.found.extend(answer)

    def usage(self) -> Usage:
        """What the steps add up to."""
        searches = [step for step in self.steps if isinstance(step, Search)]
        embeds = [step for step in self.steps if isinstance(step, Embed)]
        scores = [score for step in self.steps for score in scorings(step)]
        requests = [request for step in searches for request in step.requests]
        return Usage(
            round_trips=sum(map(_round_trips, searches)),
            searches=len(requests),
            embeddings=sum(len(step.texts) * len(step.using) for step in embeds),
            model_calls=len(scores),
            model_texts=sum(len(step.texts) for step in scores),
            bytes_sent=sum(_size(request) for request in requests),
            bytes_received=sum(_size(point) for points in self.found for point in points),
        )


@dataclass(frozen=True)
class _Outcome:
    """What became of one flow: points and how long they took, or the exception that ended it."""

    log: _StepLog
    points: Points = field(default_factory=list)
    error: Exception | None = None
    milliseconds: float | None = None


def _attempt(plan: Plan, topic: Topic) -> Flow[_Outcome]:
    """The flow of `plan` for `topic`; it returns an outcome where others raise."""
    log, start = _StepLog(), time.perf_counter()
    try:
        points = yield from watch(plan.flow(topic.query), log.steps.append, log.hear)
    except Exception as error:
        return _Outcome(log, error=error)
    return _Outcome(log, points, milliseconds=1000 * (time.perf_counter() - start))


def is_setup_error(error: Exception) -> bool:
    """Whether the error would end every topic alike."""
    return isinstance(error, MissingExtra | ClientError | StrategyError)


def scorings(step: Step) -> Sequence[Score]:
    """What a step asks of the model."""
    return [step] if isinstance(step, Score) else step.asked if isinstance(step, Scores) else ()


def _round_trips(step: Search) -> int:
    """Plain requests of a step share one, each group request takes its own."""
    grouped = sum(isinstance(request, models.QueryGroupsRequest) for request in step.requests)
    return grouped + (grouped < len(step.requests))


def _size(value: Any) -> int:
    """Bytes as compact JSON."""
    plain = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return len(json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode())


MEASURING: Final = Retries(12, longest_pause=15.0, seconds=300.0)
"""For measurements: they wait for the end of a rate limit by the minute, and for a server that starts again."""


def ends_measuring(error: BaseException) -> bool:
    """Whether the server or the way to it failed: to go on would leave out or zero what could be found."""
    return read_failure(error).kind in ("rate limit", "timeout", "unreachable", "passing", "unauthorized", "forbidden")


@dataclass
class RetryingServices:
    """Answers steps by an executor, sync or async, and makes searches again after passing failures.

    Without, a failure would count as a topic without results: a rate limit once turned an nDCG of .171 into .022.
    `again` is how many searches were made again; times then hold pauses.
    """

    executor: Any
    retries: Retries = MEASURING
    again: int = 0

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> Any:
        return self.executor.embed(texts, using)

    def score(self, query: str, texts: Sequence[str]) -> Any:
        return self.executor.score(query, texts)

    def search(self, step: Search) -> Any:
        """The points, made again after passing failures; to be awaited if the executor is async."""
        self.again -= 1

        def once() -> Any:
            self.again += 1
            return self.executor.search(step)

        deadline = DEADLINE.get()  # no pause begins that would outlast the call
        make = self.retries.arun if isinstance(self.executor, AsyncExecutor) else self.retries.run
        return make(once, None if deadline is None else lambda: deadline.left)


T = TypeVar("T")


def ask_batch(
    topics: Sequence[Topic], ask: Callable[[Sequence[Topic]], list[T]], failed: dict[str, str], stopped: str
) -> list[T]:
    """What `ask` gives for the topics; those that it fails on alone are put into `failed`, with the error.

    Raises MeasurementError: Qdrant or the way to it failed; the message begins with `stopped`. Raises Exception: the error, if
    it would end every topic alike.
    """
    try:
        return ask(topics)
    except Exception as error:
        if is_setup_error(error):
            raise
        if ends_measuring(error):
            raise MeasurementError(f"{stopped}: {tell_error(error)}") from error
        if len(topics) == 1:
            failed[topics[0].id] = tell_error(error)
            return []
    return [found for topic in topics for found in ask_batch([topic], ask, failed, stopped)]  # one of them is to blame


def check_some(done: Collection[object], failed: Mapping[str, str]) -> None:
    """Refuse to go on where every topic failed. Raises FitError."""
    if not done:
        raise FitError(f"every topic failed, the first with: {next(iter(failed.values()))}")


Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many topics are done, and how many there are."""
Answers: TypeAlias = "list[tuple[Topic, Answer | TopicFailure]]"


class TopicFailure(Exception):
    """The error that a topic ended with, where that ends the evaluation; it is raised once all answers are kept."""

    def __init__(self, topic: Topic, error: Exception) -> None:
        self.topic, self.error = topic, error
        super().__init__(topic.id)


@dataclass(frozen=True)
class Experiment:
    """The topics to measure, and how. Raises StrategyError: no topic has judgments, or an argument is wrong."""

    topics: Topics
    qrels: Qrels
    measures: Sequence[str]
    batch_size: int = 1
    concurrency: int = 1
    on_error: str = "stop"
    retries: int | Retries = MEASURING

    def __post_init__(self) -> None:
        if not isinstance(self.topics, Topics) or not isinstance(self.qrels, Qrels):
            raise StrategyError(
                "evaluate takes Topics and Qrels, e.g. Topics({'1': 'night train'}) and Qrels({'1': {'doc': 1}}); "
                f"got {type(self.topics).__name__} and {type(self.qrels).__name__}"
            )
        check_counts(1, batch_size=self.batch_size, concurrency=self.concurrency)
        if self.on_error not in ("stop", "count", "raise"):
            raise StrategyError(f"on_error is 'stop', 'count' or 'raise', got {self.on_error!r}")
        Retries.of(self.retries)
        if not self.judged:
            raise StrategyError(
                f"none of the {len(self.topics)} topics has judgments: the topics' ids are {list_few(self.topics.ids)}, "
                f"those of the qrels {list_few(tuple(self.qrels))}"
            )
        check_judgments(self.measures, {topic: self.qrels[topic] for topic in self.judged})

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """The ids of the topics that have judgments."""
        return self.qrels.select_judged(self.topics)

    @cached_property
    def asked(self) -> Topics:
        """The judged topics: nothing can be said of the others."""
        return self.topics.subset(self.judged)

    @cached_property
    def deepest(self) -> int:
        """How many results the measures look at."""
        return deepest(self.measures)


@dataclass
class Collector:
    """What is asked, and how; within a `with`, the failure that ends it becomes the error that the caller wants.

    `done` are the answers so far, which `file` keeps, if there is one; `progress` is called after each batch; `awaits` says
    whether calls are awaited.

    Raises StrategyError: the topics need more than a foreign system is given.
    """

    system: System
    experiment: Experiment
    options: SearchOptions
    doc_id: DocId = None
    file: RunFile | None = None
    progress: Progress | None = None
    awaits: bool = False
    done: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = aliases(self.experiment.qrels)
        self.retries = Retries.of(self.experiment.retries)
        self.retry: Any = self.retries.arun if self.awaits else self.retries.run
        self.batch_size = self.experiment.batch_size if isinstance(self.system, BoundStrategy) else 1
        asked = self.experiment.asked
        rich = [topic for topic in asked if not topic.is_plain]
        if rich and isinstance(self.system, BlackBox) and not self.system.takes_topic:
            raise StrategyError(
                f"topic {rich[0].id!r} ({len(rich)} of {len(asked)}) has a filter, request-time values, vectors or a time, "
                f"and {self.system.name} is asked by text alone: pass TopicFunction(lambda topic: …), which is given the "
                "whole topic"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.file is not None:
            self.file.close()
        if not isinstance(error, TopicFailure):
            return
        topic, cause = error.topic, error.error
        if self.experiment.on_error == "raise":
            raise cause from None
        where = "give run_file= to keep answers" if self.file is None else f"they are in {self.file.path}"
        raise MeasurementError(
            f"stopped at topic {topic.id!r}, as a failure is no result; {len(self.done)} of {len(self.experiment.asked)} "
            f"topics have their answers ({where}, and the same call goes on from there; on_error='count' counts failures as "
            f"0): {tell_error(cause)}",
            self.run(self.done),
        ) from cause

    def run(self, answers: Mapping[str, Answer]) -> Run:
        """The answers as a run of the system."""
        return Run(self.system.name, dict(answers), self.system.description)

    def batches(self) -> Iterator[Sequence[Topic]]:
        """The topics that aren't done, in batches."""
        return in_batches([topic for topic in self.experiment.asked if topic.id not in self.done], self.batch_size)

    def keep(self, answers: Answers) -> None:
        """Keep the answers here and in the file, and report progress.

        Raises TopicFailure: one of them is the error that ends the evaluation; the others are kept.
        """
        failures = [answer for _, answer in answers if isinstance(answer, TopicFailure)]
        for topic, answer in answers:
            if not isinstance(answer, TopicFailure):
                self.done[topic.id] = answer
                if self.file is not None:
                    self.file.keep(topic.id, answer)
        if self.progress is not None and len(failures) < len(answers):
            self.progress(len(self.done), len(self.experiment.asked))
        if failures:
            raise failures[0] from failures[0].error


def _answer_batch(job: Collector, plans: Sequence[Plan], topics: Sequence[Topic], services: RetryingServices) -> Flow[Answers]:
    """The answers to one batch of topics, each with its plan, as one flow for `run` and `arun`."""
    with within(job.options.timeout):
        outcomes = yield from together([_attempt(plan, topic) for plan, topic in zip(plans, topics, strict=True)])
    answers: Answers = []
    for topic, plan, outcome in zip(topics, plans, outcomes, strict=True):
        if job.batch_size > 1 and outcome.error is not None and not ends_measuring(outcome.error):
            with within(job.options.timeout):  # perhaps another topic failed, with which it shared a step
                outcome = yield from _attempt(plan, topic)
        is_timed = job.batch_size == 1 and not services.again  # pauses are no time of the query
        answers.append((topic, _read_outcome(outcome, job, topic, is_timed)))
    return answers


def _answer(job: Collector, topics: Sequence[Topic]) -> Calls[Answers]:
    """The answers to one batch of topics."""
    answers: Answers = []
    if isinstance(job.system, BlackBox):
        for topic in topics:
            answers.append((topic, (yield from _ask_black_box(job.system, job, topic))))
        return answers
    executor, strategy = job.system.executor, job.system.strategy
    services, plans = RetryingServices(executor, job.retries), []
    for topic in topics:
        plans.append((yield partial(job.retry, partial(executor.plan, strategy, topic.within(job.options)))))
    go: Any = arun if job.awaits else run
    answers = yield partial(go, _answer_batch(job, plans, topics, services), services)
    return answers


def _ask_black_box(system: BlackBox, job: Collector, topic: Topic) -> Calls[Answer | TopicFailure]:
    start = 0.0

    def once() -> Any:
        nonlocal start
        start = time.perf_counter()  # of this call: pauses and failures are no time of the query
        return system.ask(topic if system.takes_topic else topic.text)

    try:
        results = yield partial(job.retry, once)
        elapsed = 1000 * (time.perf_counter() - start)
        ranking, duplicates = read_ranking(results, job.doc_id, job.names)
    except Exception as error:
        return _read_failure(error, job, topic)
    return Answer(ranking[: job.options.limit], None, elapsed, None, duplicates)


def _read_outcome(outcome: _Outcome, job: Collector, topic: Topic, is_timed: bool) -> Answer | TopicFailure:
    if outcome.error is not None:
        return _read_failure(outcome.error, job, topic)
    ranking, duplicates = read_ranking(outcome.points, job.doc_id, job.names)
    unread = sum(notes_of(point).get("not_reranked", BEYOND) != BEYOND for point in outcome.points)
    return Answer(ranking, outcome.log.usage(), outcome.milliseconds if is_timed else None, None, duplicates, unread)


def _read_failure(error: Exception, job: Collector, topic: Topic) -> Answer | TopicFailure:
    """The answer to a topic that ended with an error, or the end of the evaluation.

    Raises Exception: the error, if it would end every topic alike.
    """
    if job.experiment.on_error == "count" and not is_setup_error(error):
        return Answer(error=tell_error(error))
    error.add_note(f"while the topic {topic.id!r} was asked: {topic.text!r}")
    if is_setup_error(error):
        raise error
    return TopicFailure(topic, error)


def collect(job: Collector) -> None:
    """Ask all of the job's topics, `concurrency` batches at a time in threads, and keep the answers."""
    batches, concurrency = job.batches(), job.experiment.concurrency

    def answer(topics: Sequence[Topic]) -> Answers:
        return run_calls(_answer(job, topics))

    if concurrency == 1:
        for topics in batches:
            job.keep(answer(topics))
        return
    with ThreadPoolExecutor(concurrency, thread_name_prefix="evaluate") as pool:
        waiting: set[Future[Answers]] = set()
        try:
            while True:
                waiting |= {pool.submit(answer, topics) for topics in islice(batches, concurrency - len(waiting))}
                if not waiting:
                    return
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                job.keep([answer for future in finished for answer in future.result()])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


async def acollect(job: Collector) -> None:
    """`collect`, in tasks."""
    batches = job.batches()

    async def work() -> None:
        for topics in batches:  # shared: each worker takes the next batch
            job.keep(await arun_calls(_answer(job, topics)))

    workers = [asyncio.create_task(work()) for _ in range(job.experiment.concurrency)]
    try:
        await asyncio.gather(*workers)  # not a TaskGroup, which would wrap the error that a caller may want to catch
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
