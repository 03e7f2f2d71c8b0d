"""Where models run: made once, in turns on this machine's processor, or many calls of a service at once.

Models that compute here don't get faster by computing many things at once; calls of an LLM do.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import BoundedSemaphore, Lock
from typing import Generic, TypeVar

from ..threads import PerLoop, Workers

__all__ = ["Gate", "Once", "Stopped", "Turns"]

T = TypeVar("T")


class Once(Generic[T]):
    """Makes a value at first use, in one thread while others wait. Copies and unpickled ones start anew."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: list[T] = []

    def get(self, make: Callable[[], T]) -> T:
        """The value; `make` is called unless it was made before."""
        if not self._made:
            with self._lock:
                if not self._made:  # another thread may have been faster
                    self._made.append(make())
        return self._made[0]

    def __reduce__(self) -> tuple[type[Once[T]], tuple[()]]:
        return type(self), ()  # a loaded model doesn't travel between processes


Stopped = threading.Event
"""Set when nobody waits for the result any more, so that long work may end early."""


class Turns:
    """Lets at most `parallel` pieces of work run at a time; the others wait, in the order of their arrival.

    Work that is awaited waits without a thread of its own: asyncio's thread pool is small (six threads on two cores),
    and would otherwise be full of waiting threads, so that nothing else in the program gets one.
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._free = threading.Semaphore(parallel)
        self._workers = Workers(parallel, "qdrant-rerank-model")

    def run(self, work: Callable[[Stopped], T]) -> T:
        """The result of `work`, in this thread."""
        with self._free:
            return work(Stopped())

    async def arun(self, work: Callable[[Stopped], T]) -> T:
        """The result of `work`, in a thread. Cancelled while it waits, it never runs; later, it is told to stop."""
        stopped = Stopped()

        def in_turn() -> T:
            with self._free:
                return work(stopped)

        try:
            return await self._workers.acall(in_turn)
        except asyncio.CancelledError:
            stopped.set()
            raise

    def __reduce__(self) -> tuple[type[Turns], tuple[int]]:
        return type(self), (self._parallel,)  # locks and threads stay in their process


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
