"""Threads that wait for the event loop, and the loop for threads: what runs side by side is proved without a clock."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence

PATIENCE = 30.0
"""Seconds after which something hangs for certain, however busy the machine is."""


def let_turn(loop: asyncio.AbstractEventLoop) -> None:
    """Blocks this thread until the loop has turned; an `AssertionError` if that doesn't happen, as in the loop's own thread."""
    turned = threading.Event()
    loop.call_soon_threadsafe(turned.set)
    assert turned.wait(PATIENCE), "the event loop was blocked"


class Patient:
    """A model that scores only while the event loop goes on; the longer a text, the better. Made within the loop."""

    fingerprint = "patient"

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.scorings = 0

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        let_turn(self.loop)
        self.scorings += 1
        return [float(len(text)) for text in texts]


class Gate:
    """Holds threads until it is opened, and tells the event loop when the first of them stands before it."""

    def __init__(self) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        """Blocks this thread while the gate is closed."""
        self._reached.set()
        assert self._opened.wait(PATIENCE), "nobody opened the gate"

    async def reached(self) -> None:
        """Waits until a thread stands before the gate."""
        async with asyncio.timeout(PATIENCE):
            while not self._reached.is_set():
                await asyncio.sleep(0.001)

    def open(self) -> None:
        """Lets all threads pass from now on."""
        self._opened.set()


def wait_until(true: Callable[[], bool]) -> None:
    """Blocks this thread until a condition of other threads is met; an `AssertionError` if it never is."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "what was waited for didn't happen"
        time.sleep(0.002)


def forked(check: Callable[[], object]) -> int:
    """The exit code of a forked child that makes this check: 0 if it raises nothing."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
