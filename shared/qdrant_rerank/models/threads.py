"""Where models run: made once, in turns on this machine's processor, or many calls of a service at once.

Models that compute here don't get faster by computing many things at once; calls of an LLM do.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from threading import BoundedSemaphore, Lock
from typing import Generic, TypeVar

from ..threads import PerLoop, Workers

__all__ = ["Gate", "Once", "Stopped"]

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


class Gate:
    """Lets at most `limit` jobs run at once in all threads, and as many in each event loop; the others wait in line.

    Work that is awaited runs in threads of its own, and waits without one: asyncio's pool is small (six threads on two cores),
    and would be full of threads that wait, so that nothing else in the program gets one. Copies and unpickled gates have counts
    of their own.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = BoundedSemaphore(limit)
        self._loops: PerLoop[asyncio.Semaphore] = PerLoop()
        self._workers = Workers(limit, "qdrant-rerank-model")

    def run(self, job: Callable[[Stopped], T]) -> T:
        """The result of a job, in this thread."""
        return self._one(partial(job, Stopped()))

    async def arun(self, job: Callable[[Stopped], T]) -> T:
        """The result of a job that blocks, in a thread. Cancelled while it waits, it never runs; later, it is told to stop."""
        stopped = Stopped()
        try:
            return await self._workers.acall(partial(self._one, partial(job, stopped)))
        except asyncio.CancelledError:
            stopped.set()
            raise

    def each(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """What the jobs return, in their order. Each runs in a copy of the caller's context, where tracers keep the parent.

        If one fails, those that wait are dropped, those that run are waited for, and the error is raised as it is.
        """
        if len(jobs) <= 1 or self.limit == 1:
            return [self._one(job) for job in jobs]
        futures = [self._workers.submit(partial(self._one, job)) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for failed in (future for future in done if future.exception() is not None):
                failed.result()  # raises
            return [future.result() for future in futures]
        finally:
            wait([future for future in futures if not future.cancel()])

    async def aeach(self, jobs: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """As `each`, as tasks of the running loop; those that run are cancelled if one fails, and none outlives this call."""
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

    def _one(self, job: Callable[[], T]) -> T:
        with self._free:
            return job()

    def __reduce__(self) -> tuple[type[Gate], tuple[int]]:
        return type(self), (self.limit,)  # locks and threads stay in their process
