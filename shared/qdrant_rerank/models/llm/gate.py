"""How many calls of an LLM are under way at once, in threads and in event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import TypeVar

from ...threads import PerLoop, Workers

__all__ = ["Gate"]

T = TypeVar("T")

_THREADS = "qdrant-rerank-llm"


class Gate:
    """Runs jobs, at most `limit` at once in all threads, and as many in each event loop.

    If one fails, those that wait are dropped, those that run are waited for (in threads) or cancelled (in tasks), and the
    error is raised as it is. Copies and unpickled gates have counts of their own.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._threads = BoundedSemaphore(limit)
        self._loops: PerLoop[asyncio.Semaphore] = PerLoop()
        self._workers = Workers(limit, _THREADS)

    def each(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """What the jobs return, in their order. Each runs in a copy of the caller's context, where tracers keep the parent."""
        if len(jobs) <= 1 or self.limit == 1:
            return [self._one(job) for job in jobs]
        with ThreadPoolExecutor(min(self.limit, len(jobs)), thread_name_prefix=_THREADS) as pool:
            futures = [pool.submit(copy_context().run, self._one, job) for job in jobs]
            try:
                done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
                if waiting:
                    next(future for future in done if future.exception()).result()  # raises
                return [future.result() for future in futures]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # leaving the block waits for what runs already

    async def aeach(self, jobs: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """What the jobs return, in their order, as tasks of the running loop; none outlives this call."""
        gate = self._loops.get(lambda: asyncio.Semaphore(self.limit))

        async def one(job: Callable[[], Awaitable[T]]) -> T:
            async with gate:
                return await job()

        tasks = [asyncio.ensure_future(one(job)) for job in jobs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def in_thread(self, job: Callable[[], T]) -> T:
        """What a job that blocks returns, run in a thread of this gate: asyncio's own few are left to others.

        Cancelling doesn't stop the thread; it ends when the job does.
        """
        return await self._workers.acall(job)

    def _one(self, job: Callable[[], T]) -> T:
        with self._threads:
            return job()

    def __reduce__(self) -> tuple[type[Gate], tuple[int]]:
        return type(self), (self.limit,)
