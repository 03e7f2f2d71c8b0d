"""The fit of relevance feedback: the coefficients for one collection and one model, and whether to use them at all."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from os import PathLike

from qdrant_client import models

from .. import AsyncExecutor, Executor, Retries, StrategyError
from .._internals import arun, in_worker, is_whole, run
from ..errors import MeasurementError
from ..evaluate import DocId
from ..evaluate._internals import MEASURING, AsyncRetryingServices, RetryingServices, stops
from ..feedback._internals import READ, Mode
from ..stages import Stage
from .feedback_fit_checks import LEAST_QUERIES, check_executor
from .feedback_fit_cost import FeedbackEstimate, estimate
from .feedback_fit_data import scored_by
from .feedback_fit_queries import Queries
from .feedback_fit_result import FeedbackFit
from .feedback_fit_scores import Progress
from .feedback_fit_task import Task

__all__ = ["LEAST_QUERIES", "FeedbackEstimate", "FeedbackFit", "Progress", "afit_feedback", "estimate", "fit_feedback"]


def fit_feedback(
    executor: Executor,
    queries: Queries,
    *,
    mode: Mode = "precision",
    seeds: Stage | None = None,
    using: str | None = None,
    reads: int = READ,
    candidates: int = 50,
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    doc_id: DocId = None,
    filter: models.Filter | None = None,
    cache: str | PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    folds: int = 5,
    seed: int = 0,
    retries: int | Retries = MEASURING,
) -> FeedbackFit:
    """Fit the coefficients of relevance feedback, and find out whether it is worth using.

    Each query is searched once, in batches, for `candidates` points with their vectors; the executor's model scores them all.
    The coefficients are learned as they will be served: in this mode, with this many seeds, over all pairs. What is returned
    is fitted to all queries. What is told of it is by cross-fitting: each query is judged by coefficients that were fitted to
    the other folds only, in agreement with the reranker, and by `qrels` if there are any.

    Args:
        executor: on the collection, with encoders and the reranker.
        queries: real ones, 50 to 200: `Topics` as `read_topics` returns them; id → text; or texts, `Topic`s or `Query`s in a
            list, where an item without an id gets its number: "0", "1", …. Only their text is used; a `PlanWarning` says if
            there is more. (Queries made of stored documents mislead.)
        mode: as it will be used.
        seeds: the first search; the best 5 of the plain one if None. Its limit is the number of seeds.
        using: the dense vector, as for `RelevanceFeedback`.
        reads: how many documents are scored for one query in mode "recall".
        candidates: how deep the first search goes for learning.
        qrels: query id → document id → grade; at least 20 of the queries must have some, or they are not used.
        doc_id: where a point's document id is, as it is in `qrels`: a key of the payload, or a function of the point; if None
            `_id` of the payload, else the point's id. See `evaluate.DocId`.
        filter: for all searches.
        cache: a file that keeps the model's scores, so that they are asked for only once.
        progress: called after each query.
        folds: how many the queries are dealt into, at random, those that say the same together.
        seed: of dealing them.
        retries: how often a search that fails in passing is made again; as of `evaluate.evaluate`.

    Raises:
        FitError: there are fewer than 20 different queries that find enough points.
        StrategyError: an argument is wrong; or `qrels` know none of the queries, or none of the documents found, which is told
            before the model is asked. PlanError: the strategy doesn't fit the collection.
        MissingExtra: scipy or ir-measures isn't installed.
        MeasurementError: Qdrant or the model failed, also when it was asked again.
    """
    check_executor(executor, Executor)
    policy = Retries.of(retries)
    task = Task(queries, mode, seeds, using, reads, candidates, qrels, doc_id, filter, cache, progress, folds, seed)
    plan = executor.plan(task.plain, task.options)
    with closing(task.scores(executor.reranker)) as scores, _stopping(task):
        reading = RetryingServices(scored_by(executor, scores), policy)
        learned = task.learned(plan, run(task.gathering(plan, scores), reading))
        return task.result(learned, run(task.judging(plan, learned, scores), reading))


async def afit_feedback(
    executor: AsyncExecutor,
    queries: Queries,
    *,
    mode: Mode = "precision",
    seeds: Stage | None = None,
    using: str | None = None,
    reads: int = READ,
    candidates: int = 50,
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    doc_id: DocId = None,
    filter: models.Filter | None = None,
    cache: str | PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    folds: int = 5,
    seed: int = 0,
    retries: int | Retries = MEASURING,
    concurrency: int = 4,
) -> FeedbackFit:
    """As `fit_feedback`, with the same result, without blocking the event loop: the fit itself runs in a thread.

    Args:
        executor: an async one.
        queries, mode, seeds, using, reads, candidates, qrels, doc_id, filter, cache, folds, seed, retries: as there.
        progress: as there; called on the event loop.
        concurrency: how many queries' documents the model scores at a time.

    Raises:
        StrategyError: the executor isn't an async one, or `concurrency` no whole number of at least 1; and all that
            `fit_feedback` raises.
    """
    check_executor(executor, AsyncExecutor)
    policy = Retries.of(retries)
    if not is_whole(concurrency, 1):
        raise StrategyError(f"concurrency must be a whole number of at least 1, got {concurrency!r}")
    task = Task(queries, mode, seeds, using, reads, candidates, qrels, doc_id, filter, cache, progress, folds, seed)
    plan = await executor.plan(task.plain, task.options)
    scores = await in_worker(
        lambda: task.scores(executor.reranker, concurrency)
    )  # reads the file, and maybe the model's folder
    with closing(scores), _stopping(task):
        reading = AsyncRetryingServices(scored_by(executor, scores), policy)
        gathered = await arun(task.gathering(plan, scores), reading)
        learned = await in_worker(lambda: task.learned(plan, gathered))
        judged = await arun(task.judging(plan, learned, scores), reading)
        return await in_worker(lambda: task.result(learned, judged))


@contextmanager
def _stopping(task: Task) -> Generator[None]:
    """Turn a failure of Qdrant's, of a model's service, or of the way to them into the error of a measurement that stopped."""
    try:
        yield
    except Exception as error:
        if not stops(error):
            raise
        kept = "give cache= to keep scores" if task.cache is None else f"the scores are in {task.cache}"
        raise MeasurementError(
            f"stopped while the fit searched and scored, as queries that fail would be left out ({kept}, and the same call "
            f"goes on from there): {type(error).__name__}: {error}"
        ) from error
