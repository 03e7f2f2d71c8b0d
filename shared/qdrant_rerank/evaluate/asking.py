"""Asking a system for every topic: in batches, several at a time, with retries, and with every answer kept as it comes.

What a strategy asks for is counted on its flow, not on a client, so that it is the same for every executor, sync or async,
and tells topics apart that share a round trip.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, Self, TypeAlias

from qdrant_client import models

from .. import AsyncExecutor, Executor, Retries, SearchOptions, StrategyError
from .._internals import (
    BEYOND,
    Deadline,
    Embed,
    Flow,
    Left,
    Points,
    Score,
    Scores,
    Search,
    Step,
    arun,
    notes_of,
    read_failure,
    run,
    tell_error,
    together,
    watched,
    within,
)
from ..errors import ClientError, MissingExtra
from ..planning import Plan
from .data import Answer, Topic, Usage
from .files import RunFile
from .systems import Bound, DocId, Foreign, read_ranking

__all__ = [
    "MEASURING",
    "AsyncRetryingServices",
    "Job",
    "Outcome",
    "Progress",
    "RetryingServices",
    "Seen",
    "Stop",
    "Stopped",
    "acollect",
    "attempt",
    "collect",
    "answer_failure",
    "is_setup_error",
    "read_outcome",
    "stops",
    "sync_answers",
]


@dataclass
class Seen:
    """The steps of one flow, and the points that came back; sizes are taken later, outside the time that is measured."""

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
        scores = [score for step in self.steps for score in _scores(step)]
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
class Outcome:
    """What became of one flow: points and how long they took, or the exception that ended it."""

    seen: Seen
    points: Points = field(default_factory=list)
    error: Exception | None = None
    milliseconds: float | None = None


def attempt(plan: Plan, topic: Topic) -> Flow[Outcome]:
    """The flow of `plan` for `topic`, which ends with an outcome instead of an exception."""
    seen, start = Seen(), time.perf_counter()
    try:
        points = yield from watched(plan.flow(topic.query), seen.steps.append, seen.hear)
    except Exception as error:
        return Outcome(seen, error=error)
    return Outcome(seen, points, milliseconds=1000 * (time.perf_counter() - start))


def is_setup_error(error: Exception) -> bool:
    """Whether the error is about what is evaluated with, not about one topic: it would end every topic alike."""
    return isinstance(error, MissingExtra | ClientError | StrategyError)


def _scores(step: Step) -> Sequence[Score]:
    return [step] if isinstance(step, Score) else step.asked if isinstance(step, Scores) else ()


def _round_trips(step: Search) -> int:
    """All plain requests of a step go in one, each group request in one of its own."""
    grouped = sum(isinstance(request, models.QueryGroupsRequest) for request in step.requests)
    return grouped + (grouped < len(step.requests))


def _size(value: Any) -> int:
    """Bytes as compact JSON."""
    plain = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return len(json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode())


MEASURING: Final = Retries(12, longest_pause=15.0, seconds=300.0)
"""For measurements: a rate limit of so many requests a minute, and a server that starts again, are waited for."""


def stops(error: BaseException) -> bool:
    """Whether the failure is the server's or the way to it, so that going on would leave out or zero what could be found."""
    return read_failure(error).kind in ("rate limit", "timeout", "unreachable", "passing", "unauthorized", "forbidden")


@dataclass
class _Retrying:
    """What answers steps by an executor, sync or async: what it embeds and scores is handed on, models have their own retries.

    Attributes:
        executor: answers.
        retries: how often a search is made again, and how long all of it may take.
        failures: how many searches failed, so that times which hold pauses can be told from others.
    """

    executor: Any
    retries: Retries = MEASURING
    failures: int = 0

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> Any:
        """As the executor does."""
        return self.executor.embed(texts, using)

    def score(self, query: str, texts: Sequence[str]) -> Any:
        """As the executor does."""
        return self.executor.score(query, texts)

    @contextmanager
    def _count_failures(self) -> Generator[None]:
        try:
            yield
        except Exception:
            self.failures += 1
            raise


class RetryingServices(_Retrying):
    """An `Executor`, whose searches are made again by `retries`.

    A failure that isn't made again would count as a topic without results: a rate limit once turned an nDCG of .171 into .022.
    """

    def search(self, step: Search) -> list[Points]:
        """As the executor does, made again after passing failures."""

        def once() -> list[Points]:
            with self._count_failures():
                found: list[Points] = self.executor.search(step)
                return found

        return self.retries.run(once, _time_left())


class AsyncRetryingServices(_Retrying):
    """`RetryingServices` for an `AsyncExecutor`."""

    async def search(self, step: Search) -> list[Points]:
        """As the executor does, made again after passing failures."""

        async def once() -> list[Points]:
            with self._count_failures():
                found: list[Points] = await self.executor.search(step)
                return found

        return await self.retries.arun(once, _time_left())


def _time_left() -> Left | None:
    """What is left of the call's time, so that no pause is begun which would outlast it."""
    deadline = Deadline.current()
    return None if deadline is None else deadline.left


Progress: TypeAlias = Callable[[int, int], None]
"""Is called with how many topics are done, and how many there are."""
Answers: TypeAlias = "list[tuple[Topic, Answer | Stop]]"


@dataclass(frozen=True)
class Stop:
    """The error that a topic ended with, where that ends the evaluation."""

    topic: Topic
    error: Exception


class Stopped(Exception):
    """An evaluation that ended before its end; everything that was answered is kept."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        super().__init__(stop.topic.id)


@dataclass(frozen=True)
class Job:
    """What is to be asked, and how.

    Attributes:
        topics: the topics that aren't done yet.
        options: what is asked for, beside each topic's own filter.
        doc_id: how documents are told in the results.
        names: other ids of documents → their ids in the qrels.
        batch_size: how many topics share round trips.
        concurrency: how many such batches run at a time.
        on_error: whether the first error ends it all (as it is, or as what there is so far), or counts as no results.
        retries: how often what fails in passing is asked again.
        total: how many topics there are with those that are done.
        file: where answers are kept, if anywhere.
        progress: is told after each batch.
    """

    topics: Sequence[Topic]
    options: SearchOptions
    doc_id: DocId = None
    names: dict[str, str] = field(default_factory=dict)
    batch_size: int = 1
    concurrency: int = 1
    on_error: str = "stop"
    retries: Retries = MEASURING
    total: int = 0
    file: RunFile | None = None
    progress: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def batches(self) -> Iterator[Sequence[Topic]]:
        """The topics in shares of `batch_size`."""
        for start in range(0, len(self.topics), self.batch_size):
            yield self.topics[start : start + self.batch_size]

    def keep(self, answers: Answers, done: dict[str, Answer]) -> None:
        """Add the answers to those that are done, to the file, and tell how far it is.

        Raises:
            Stopped: one of them is the error that ends the evaluation; the others are kept.
        """
        stops: list[Stop] = []
        for topic, answer in answers:
            if isinstance(answer, Stop):
                stops.append(answer)
                continue
            done[topic.id] = answer
            if self.file is not None:
                self.file.keep(topic.id, answer)
        if self.progress is not None and len(stops) < len(answers):
            self.progress(len(done), self.total)
        if stops:
            raise Stopped(stops[0]) from stops[0].error


def _answer_batch(plans: Sequence[Plan], job: Job, topics: Sequence[Topic], services: _Retrying) -> Flow[Answers]:
    """The answers to one batch of topics, each with its plan, as one flow for `run` and `arun`.

    Args:
        plans: what is asked for each topic.
        job: how.
        topics: the topics.
        services: what the flow is driven with.
    """
    with within(job.options.timeout):
        outcomes = yield from together([attempt(plan, topic) for plan, topic in zip(plans, topics, strict=True)])
    answers: Answers = []
    for topic, plan, outcome in zip(topics, plans, outcomes, strict=True):
        if job.batch_size > 1 and outcome.error is not None and not stops(outcome.error):
            with within(job.options.timeout):  # perhaps it was another topic's fault, with which it shared a step
                outcome = yield from attempt(plan, topic)
        is_timed = job.batch_size == 1 and not services.failures  # pauses are no time of the query
        answers.append((topic, read_outcome(outcome, job, topic, outcome.milliseconds if is_timed else None)))
    return answers


def sync_answers(system: Bound | Foreign, job: Job, topics: Sequence[Topic]) -> Answers:
    """The answers to one batch of topics."""
    if isinstance(system, Foreign):
        return [(topic, _ask_foreign(system, job, topic)) for topic in topics]
    executor = system.executor
    assert isinstance(executor, Executor)
    services = RetryingServices(executor, job.retries)
    plans = [job.retries.run(partial(executor.plan, system.strategy, topic.within(job.options))) for topic in topics]
    return run(_answer_batch(plans, job, topics, services), services)


async def _async_answers(system: Bound | Foreign, job: Job, topics: Sequence[Topic]) -> Answers:
    """`sync_answers`, awaited."""
    if isinstance(system, Foreign):
        return [(topic, await _ask_foreign_async(system, job, topic)) for topic in topics]
    executor = system.executor
    assert isinstance(executor, AsyncExecutor)
    services = AsyncRetryingServices(executor, job.retries)
    plans = [await job.retries.arun(partial(executor.plan, system.strategy, topic.within(job.options))) for topic in topics]
    return await arun(_answer_batch(plans, job, topics, services), services)


def _ask_foreign(system: Foreign, job: Job, topic: Topic) -> Answer | Stop:
    def once() -> tuple[Any, float]:
        start = time.perf_counter()  # of this call: pauses and failures are no time of the query
        found = system.ask(topic)
        return list(found) if isinstance(found, Iterator) else found, start  # a generator's work belongs to its time

    try:
        results, start = job.retries.run(once)
    except Exception as error:
        return answer_failure(error, job, topic)
    return _foreign_answer(results, start, job)


async def _ask_foreign_async(system: Foreign, job: Job, topic: Topic) -> Answer | Stop:
    async def once() -> tuple[Any, float]:
        start = time.perf_counter()
        return await system.aask(topic), start

    try:
        results, start = await job.retries.arun(once)
    except Exception as error:
        return answer_failure(error, job, topic)
    return _foreign_answer(results, start, job)


def _foreign_answer(results: Any, start: float, job: Job) -> Answer:
    elapsed = 1000 * (time.perf_counter() - start)
    ranking, duplicates = read_ranking(results, job.doc_id, job.names)
    return Answer(ranking[: job.options.limit], None, elapsed, None, duplicates)


def read_outcome(outcome: Outcome, job: Job, topic: Topic, milliseconds: float | None) -> Answer | Stop:
    """The answer that an outcome is."""
    if outcome.error is not None:
        return answer_failure(outcome.error, job, topic)
    ranking, duplicates = read_ranking(outcome.points, job.doc_id, job.names)
    unread = sum(notes_of(point).get("not_rescored", BEYOND) != BEYOND for point in outcome.points)
    return Answer(ranking, outcome.seen.usage(), milliseconds, None, duplicates, unread)


def answer_failure(error: Exception, job: Job, topic: Topic) -> Answer | Stop:
    """The answer to a topic that ended with an error, or that it ends the evaluation; or the error, if it is the set-up's."""
    if job.on_error != "count" or is_setup_error(error):
        error.add_note(f"while the topic {topic.id!r} was asked: {topic.text!r}")
        if is_setup_error(error):
            raise error
        return Stop(topic, error)
    return Answer(error=tell_error(error))


def collect(system: Bound | Foreign, job: Job, done: dict[str, Answer]) -> None:
    """Ask all of the job's topics, and add the answers to `done`."""
    if job.concurrency == 1:
        for topics in job.batches():
            job.keep(sync_answers(system, job, topics), done)
        return
    with ThreadPoolExecutor(job.concurrency, thread_name_prefix="evaluate") as pool:
        waiting: set[Future[Answers]] = set()
        batches = job.batches()
        try:
            while True:
                for topics in islice(batches, job.concurrency - len(waiting)):
                    waiting.add(pool.submit(sync_answers, system, job, topics))
                if not waiting:
                    return
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                results = [future.result() for future in finished]
                job.keep([answer for answers in results for answer in answers], done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


async def acollect(system: Bound | Foreign, job: Job, done: dict[str, Answer]) -> None:
    """Ask all of the job's topics, `concurrency` batches at a time, and add the answers to `done`."""
    batches = job.batches()

    async def work() -> None:
        for topics in batches:  # shared: each worker takes the next batch
            job.keep(await _async_answers(system, job, topics), done)

    workers = [asyncio.create_task(work()) for _ in range(job.concurrency)]
    try:
        await asyncio.gather(*workers)  # not a TaskGroup, which would wrap the error that a caller may want to catch
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
