"""Taking turns: models that compute on this machine's processor don't get faster by computing many things at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from ..threads import Workers

__all__ = ["Stopped", "Turns"]

T = TypeVar("T")

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
