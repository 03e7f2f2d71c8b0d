"""What belongs to one event loop: connections, locks, semaphores. Used in another loop, they fail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One thing for each event loop, made when it is first needed there.

    It goes with its loop, at the latest when another loop's is asked for: a lock that was waited for and a client that was
    used refer to their loop, so that the weak reference alone would never let them go. A forked child has things of its own.
    """

    def __init__(self) -> None:
        self._parents: list[T] = []  # of processes that this one was forked from: let go of, they would be closed here
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._things: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()
        self._lock = RLock()  # loops run in several threads

    def get(self, make: Callable[[], T], loop: asyncio.AbstractEventLoop | None = None) -> T:
        """The loop's thing, made by `make` if there is none; the running loop's if none is given."""
        loop = loop or asyncio.get_running_loop()
        self._after_fork()
        if loop in self._things:  # without waiting for another loop's to be made, which may take a second
            return self._things[loop]
        with self._lock:
            for closed in [known for known in self._things if known.is_closed()]:
                del self._things[closed]
            # another thread may have made it meanwhile
            thing = self._things[loop] if loop in self._things else make()
            self._things[loop] = thing
            return thing

    def pop(self) -> T | None:
        """The running loop's thing, which is no longer kept; None if there is none."""
        self._after_fork()
        with self._lock:
            return self._things.pop(asyncio.get_running_loop(), None)

    def take_all(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Each loop's thing, none of which is kept any longer."""
        self._after_fork()
        with self._lock:
            things = list(self._things.items())
            self._things.clear()
            return things

    def _after_fork(self) -> None:
        """A forked child may have its parent's loop, but none of the connections and tasks."""
        if self._pid != os.getpid():
            self._parents += self._things.values()
            self._start()

    def __contains__(self, loop: object) -> bool:
        return loop in self._things

    def __len__(self) -> int:
        return len(self._things)
