"""`evaluate`: how good a system's results are by the judgments, and what they cost."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from .. import AsyncExecutor, Executor, Retries, SearchOptions, StrategyError
from ..errors import MeasurementError
from .arunning import acollect
from .doc_ids import DocId
from .measures import DEFAULT_MEASURES
from .preparing import Work, fitted, job_of
from .qrels import Qrels
from .results import Evaluation
from .running import Job, Progress, Stopped, collect
from .runs import Answer, Run
from .search_options import measured_options
from .services import MEASURING
from .summing import summed_up
from .systems import Bound, System, as_system
from .topics import Topics
from .whys import why_of

__all__ = ["OnError", "aevaluate", "evaluate"]

OnError: TypeAlias = Literal["stop", "count", "raise"]
"""What a topic that fails does: stops the evaluation with what there is so far, counts as 0, or raises its error as it is."""


def evaluate(
    system: Any,
    topics: Topics,
    qrels: Qrels,
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    executor: Executor | None = None,
    name: str = "",
    limit: int | None = None,
    options: SearchOptions | None = None,
    doc_id: DocId = None,
    batch_size: int = 1,
    concurrency: int = 1,
    on_error: OnError = "stop",
    retries: int | Retries = MEASURING,
    run_file: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Put the judged topics to `system` and measure its results.

    Topics without judgments are left out and counted. A topic with judgments that nothing is found for counts as 0 and is
    reported; one that ends with an error stops the evaluation, as a failure is no result.

    Args:
        system: a strategy (with `executor=`), a pair (strategy, executor) or `Bound`, a LangChain or LlamaIndex retriever, a
            function from text to results, a `TopicFunction`, or a finished `Run`.
        topics: the queries.
        qrels: the judgments.
        measures: ir-measures' names: `nDCG@10`, `R@100`, `RR`, `P(rel=2)@5`, `Judged@10`, …
        executor: what a strategy runs on.
        name: what tables call the system; for foreign systems, give each configuration a name of its own.
        limit: how many results to ask a strategy for, and to look at of any system; by default as many as the measures look
            at, or as the strategy can return.
        scope: all that a strategy is asked for, instead of `limit`; its filter is AND-ed with the topics', its timeout is each
            topic's, or each batch's: embedding, searches, their retries and reranking.
        doc_id: where a result's document id is; see `DocId`.
        batch_size: how many topics share a strategy's round trips. Times are measured only with 1.
        concurrency: how many batches are asked at a time, in threads; measured times are then those under this load.
        on_error: what a topic that fails does: "stop" the evaluation with a `MeasurementError`, which carries the run so far;
            "count" as 0, which is told; or "raise" its error as it is. Errors of the set-up, e.g. a missing model, are raised
            in any case.
        retries: how often a search that fails in passing (a rate limit, a server that starts again) is made again before that,
            or a `Retries`; up to five minutes for each if not told otherwise.
        run_file: a file that keeps each answer as it comes; calling again with the same goes on where it stopped.
        progress: is called with how many topics are done, and how many there are.
        level: of the bootstrap intervals.
        seed: of their resampling.

    Raises:
        StrategyError: an argument is wrong, the results' ids match no judgment, nothing was found at all, or the run file
            is about something else.
        PlanError: the strategy doesn't fit the collection.
        MissingExtra: ir-measures or scipy isn't installed.
    """
    work = Work(topics, qrels, measures, batch_size, concurrency, on_error, retries)
    if isinstance(system, Run):
        return summed_up(system.named(name or system.name), work, level, seed)
    asked = _system(system, executor, name, limit, options)
    if isinstance(asked, Bound):
        if not isinstance(asked.executor, Executor):
            raise StrategyError("an AsyncExecutor can't be used in a sync call: use `await aevaluate(…)`, or an Executor")
        options = measured_options(asked.strategy, options or fitted(asked, asked.executor.target(), limit, work), doc_id)
        asked.executor.plan(asked.strategy, options)  # what doesn't fit is an error now, not one of each topic
    options = options or SearchOptions(limit=limit or work.deepest)
    job, done = job_of(asked, work, options, doc_id, run_file, progress)
    with job, _stopping(asked, work, job, done):
        collect(asked, job, done)
    return _evaluation(asked, work, options, done, level, seed)


async def aevaluate(
    system: Any,
    topics: Topics,
    qrels: Qrels,
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    executor: AsyncExecutor | None = None,
    name: str = "",
    limit: int | None = None,
    options: SearchOptions | None = None,
    doc_id: DocId = None,
    batch_size: int = 1,
    concurrency: int = 1,
    on_error: OnError = "stop",
    retries: int | Retries = MEASURING,
    run_file: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """`evaluate` without blocking the event loop: on an `AsyncExecutor`, by async retrievers or functions."""
    work = Work(topics, qrels, measures, batch_size, concurrency, on_error, retries)
    if isinstance(system, Run):
        return summed_up(system.named(name or system.name), work, level, seed)
    asked = _system(system, executor, name, limit, options)
    if isinstance(asked, Bound):
        if not isinstance(asked.executor, AsyncExecutor):
            raise StrategyError("an Executor would block the event loop: use evaluate(…), or an AsyncExecutor")
        options = measured_options(asked.strategy, options or fitted(asked, await asked.executor.target(), limit, work), doc_id)
        await asked.executor.plan(asked.strategy, options)
    options = options or SearchOptions(limit=limit or work.deepest)
    job, done = job_of(asked, work, options, doc_id, run_file, progress)
    with job, _stopping(asked, work, job, done):
        await acollect(asked, job, done)
    return _evaluation(asked, work, options, done, level, seed)


def _system(
    system: Any, executor: Executor | AsyncExecutor | None, name: str, limit: int | None, options: SearchOptions | None
) -> System:
    asked = as_system(system, executor, name)
    if limit is not None and options is not None:
        raise StrategyError("limit= and options= exclude each other: write SearchOptions(limit=…)")
    if options is not None and not isinstance(asked, Bound):
        raise StrategyError(f"options= is for strategies; {asked.name} is asked by text alone")
    wanted = options or SearchOptions(limit=10 if limit is None else limit)
    if problems := list(wanted.problems()):
        raise StrategyError("; ".join(problems))
    return asked


@contextmanager
def _stopping(system: System, work: Work, job: Job, done: dict[str, Answer]) -> Generator[None]:
    """Turn the failure that ends an evaluation into the error that the caller wants."""
    try:
        yield
    except Stopped as stopped:
        error, topic = stopped.stop.error, stopped.stop.topic
        if work.on_error == "raise":
            raise error from None
        where = "give run_file= to keep answers" if job.file is None else f"they are in {job.file.path}"
        raise MeasurementError(
            f"stopped at topic {topic.id!r}, as a failure is no result; {len(done)} of {job.total} topics have their answers "
            f"({where}, and the same call goes on from there; on_error='count' counts failures as 0): "
            f"{type(error).__name__}: {error}",
            Run(system.name, dict(done), system.description),
        ) from error


def _evaluation(
    system: System, work: Work, options: SearchOptions, done: dict[str, Answer], level: float, seed: int
) -> Evaluation:
    answers = {topic: done[topic] for topic in work.judged}
    why = why_of(system, work.asked, options) if isinstance(system, Bound) else None
    return summed_up(Run(system.name, answers, system.description), work, level, seed, why)
