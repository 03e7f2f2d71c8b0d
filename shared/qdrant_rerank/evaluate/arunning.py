"""`running.py` for the event loop: the same answers, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from .. import AsyncExecutor
from .._internals import arun, together, within
from ..planning import Plan
from .asking import attempt
from .doc_ids import ranking_of
from .running import Answers, Job, Stop, failed, read_outcome
from .runs import Answer
from .services import AsyncRetryingServices, stops
from .systems import Bound, Foreign
from .topics import Topic

__all__ = ["acollect"]


async def acollect(system: Bound | Foreign, job: Job, done: dict[str, Answer]) -> None:
    """Ask all of the job's topics, `concurrency` batches at a time, and add the answers to `done`."""
    batches = job.batches()

    async def work() -> None:
        for topics in batches:  # shared: each worker takes the next batch
            job.keep(await _answers(system, job, topics), done)

    workers = [asyncio.create_task(work()) for _ in range(job.concurrency)]
    try:
        await asyncio.gather(*workers)  # not a TaskGroup, which would wrap the error that a caller may want to catch
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _answers(system: Bound | Foreign, job: Job, topics: Sequence[Topic]) -> Answers:
    if isinstance(system, Foreign):
        return [(topic, await _foreign(system, job, topic)) for topic in topics]
    executor = system.executor
    assert isinstance(executor, AsyncExecutor)
    services = AsyncRetryingServices(executor, job.retries)
    plans = [await job.retries.arun(partial(executor.plan, system.strategy, topic.within(job.options))) for topic in topics]
    if job.batch_size == 1:
        return [(topics[0], await _alone(services, job, plans[0], topics[0]))]
    with within(job.options.timeout):
        outcomes = await arun(together([attempt(plan, topic) for plan, topic in zip(plans, topics, strict=True)]), services)
    answers: Answers = []
    for topic, plan, outcome in zip(topics, plans, outcomes, strict=True):
        if outcome.error is not None and not stops(outcome.error):
            with within(job.options.timeout):
                outcome = await arun(attempt(plan, topic), services)
        answers.append((topic, read_outcome(outcome, job, topic, None)))
    return answers


async def _alone(services: AsyncRetryingServices, job: Job, plan: Plan, topic: Topic) -> Answer | Stop:
    start = time.perf_counter()
    with within(job.options.timeout):
        outcome = await arun(attempt(plan, topic), services)
    elapsed = 1000 * (time.perf_counter() - start)
    return read_outcome(outcome, job, topic, None if services.failures else elapsed)


async def _foreign(system: Foreign, job: Job, topic: Topic) -> Answer | Stop:
    start = time.perf_counter()

    async def once() -> Any:
        nonlocal start
        start = time.perf_counter()
        return await system.aask(topic)

    try:
        results = await job.retries.arun(once)
    except Exception as error:
        return failed(error, job, topic)
    elapsed = 1000 * (time.perf_counter() - start)
    ranking, duplicates = ranking_of(results, job.doc_id, job.names)
    return Answer(ranking[: job.options.limit], None, elapsed, None, duplicates)
