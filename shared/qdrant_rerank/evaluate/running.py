"""Putting topics to a system, one after another or several at a time, and keeping what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Self, TypeAlias

from .. import Executor, Retries, SearchOptions
from .._internals import BEYOND, notes_of, run, together, within
from ..planning import Plan
from .asking import Outcome, attempt, is_setup_error
from .doc_ids import DocId, ranking_of
from .runs import Answer
from .services import MEASURING, RetryingServices, stops
from .store import RunFile
from .systems import Bound, Foreign
from .topics import Topic

__all__ = ["Job", "Progress", "Stop", "Stopped", "collect", "failed", "read_outcome", "sync_answers"]

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
        scope: what is asked for, beside each topic's own filter.
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


def sync_answers(system: Bound | Foreign, job: Job, topics: Sequence[Topic]) -> Answers:
    """The answers to one batch of topics."""
    if isinstance(system, Foreign):
        return [(topic, _foreign(system, job, topic)) for topic in topics]
    executor = system.executor
    assert isinstance(executor, Executor)
    services = RetryingServices(executor, job.retries)
    plans = [job.retries.run(partial(executor.plan, system.strategy, topic.within(job.options))) for topic in topics]
    if job.batch_size == 1:
        return [(topics[0], _alone(services, job, plans[0], topics[0]))]
    with within(job.options.timeout):
        outcomes = run(together([attempt(plan, topic) for plan, topic in zip(plans, topics, strict=True)]), services)
    answers: Answers = []
    for topic, plan, outcome in zip(topics, plans, outcomes, strict=True):
        if outcome.error is not None and not stops(outcome.error):  # perhaps another topic's fault, with which it shared a step
            with within(job.options.timeout):
                outcome = run(attempt(plan, topic), services)
        answers.append((topic, read_outcome(outcome, job, topic, None)))
    return answers


def _alone(services: RetryingServices, job: Job, plan: Plan, topic: Topic) -> Answer | Stop:
    start = time.perf_counter()
    with within(job.options.timeout):
        outcome = run(attempt(plan, topic), services)
    elapsed = 1000 * (time.perf_counter() - start)
    return read_outcome(outcome, job, topic, None if services.failures else elapsed)  # pauses are no time of the query


def _foreign(system: Foreign, job: Job, topic: Topic) -> Answer | Stop:
    start = time.perf_counter()

    def once() -> Any:
        nonlocal start
        start = time.perf_counter()  # of the last call: pauses and failures are no time of the query
        found = system.ask(topic)
        return list(found) if isinstance(found, Iterator) else found  # a generator's work belongs to its time

    try:
        results = job.retries.run(once)
    except Exception as error:
        return failed(error, job, topic)
    elapsed = 1000 * (time.perf_counter() - start)
    ranking, duplicates = ranking_of(results, job.doc_id, job.names)
    return Answer(ranking[: job.options.limit], None, elapsed, None, duplicates)


def read_outcome(outcome: Outcome, job: Job, topic: Topic, milliseconds: float | None) -> Answer | Stop:
    """The answer that an outcome is."""
    if outcome.error is not None:
        return failed(outcome.error, job, topic)
    ranking, duplicates = ranking_of(outcome.points, job.doc_id, job.names)
    unread = sum(notes_of(point).get("not_rescored", BEYOND) != BEYOND for point in outcome.points)
    return Answer(ranking, outcome.seen.usage(), milliseconds, None, duplicates, unread)


def failed(error: Exception, job: Job, topic: Topic) -> Answer | Stop:
    """The answer to a topic that ended with an error, or that it ends the evaluation; or the error, if it is the set-up's."""
    if job.on_error != "count" or is_setup_error(error):
        error.add_note(f"while the topic {topic.id!r} was asked: {topic.text!r}")
        if is_setup_error(error):
            raise error
        return Stop(topic, error)
    return Answer(error=f"{type(error).__name__}: {error}")


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
