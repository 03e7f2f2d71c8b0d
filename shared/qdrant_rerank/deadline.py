"""The time that a call may take, whatever it is made of: embedding, reading the schema, searches, reranking.

A call's beginning sets its deadline for what it does (`within`); the drivers of flows hold each step to it, and whoever asks
a server reads from it how long the answer is still of use.
"""

from __future__ import annotations

import asyncio
import builtins
import math
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

from . import errors
from .values import is_finite

__all__ = ["DEADLINE", "Deadline", "check_timeout", "timeout_problem", "lift_deadline", "whole_seconds", "within"]

T = TypeVar("T")

_LONGEST: Final = 1e7  # seconds, some months: beyond it threads can't wait


class Deadline:
    """The moment at which a call ends.

    Attributes:
        seconds: how long the call may take.
        waited_for: what was waited for when a step was cancelled, where that wasn't the step itself.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start = time.monotonic()
        self.ends = self._start + min(seconds, _LONGEST)
        self.waited_for: Callable[[str], str] | None = None

    @staticmethod
    def current() -> Deadline | None:
        """The deadline of the call that this is part of; None if it may take any time."""
        return DEADLINE.get()

    @property
    def left(self) -> float:
        """Seconds until it; 0 if it is over."""
        return max(0.0, self.ends - time.monotonic())

    def check(self, doing: str) -> None:
        """Refuse to begin what there is no time for.

        Raises:
            TimeoutError: the time is over.
        """
        if not self.left:
            raise self.error(doing)

    def error(self, doing: str) -> errors.TimeoutError:
        """The error of a call whose time is over while it was `doing` something."""
        took = time.monotonic() - self._start
        return errors.TimeoutError(f"the call's timeout of {self.seconds:g} s was over after {took:.2f} s, while {doing}")

    async def hold(self, awaited: Callable[[], Awaitable[T]], doing: str) -> T:
        """What is awaited; cancelled when the time is over.

        Raises:
            TimeoutError: the time was over while `doing`.
        """
        self.check(doing)
        self.waited_for = None
        limit = asyncio.timeout(self.left)
        try:
            async with limit:
                return await awaited()
        except builtins.TimeoutError as error:
            if not limit.expired():  # the step's own
                raise
            raise self.error(self.waited_for(doing) if self.waited_for else doing) from error


DEADLINE: Final[ContextVar[Deadline | None]] = ContextVar("qdrant_rerank_deadline", default=None)
"""That of the call that this is part of; `within` sets it."""


@contextmanager
def within(seconds: float | None) -> Generator[Deadline | None]:
    """Hold what is done in this context to a time; a deadline that is set already and ends sooner stays.

    Args:
        seconds: how long it may take; None sets no deadline.

    Raises:
        PlanError: it is no finite number above 0.
    """
    outer = DEADLINE.get()
    if seconds is None:
        yield outer
        return
    check_timeout(seconds)
    inner = Deadline(seconds)
    token = DEADLINE.set(inner if outer is None or inner.ends < outer.ends else outer)
    try:
        yield DEADLINE.get()
    finally:
        DEADLINE.reset(token)


@contextmanager
def lift_deadline() -> Generator[None]:
    """Do something that isn't this call's alone: others wait for it, with deadlines of their own."""
    token = DEADLINE.set(None)
    try:
        yield
    finally:
        DEADLINE.reset(token)


def timeout_problem(seconds: object) -> str | None:
    """What is wrong with a timeout; None if nothing is."""
    if is_finite(seconds) and seconds > 0:  # type: ignore[operator]
        return None
    return f"timeout must be a finite number of seconds above 0, got {seconds!r}"


def check_timeout(seconds: object) -> None:
    """Refuse what can't be a timeout.

    Raises:
        PlanError: it is no finite number above 0.
    """
    if problem := timeout_problem(seconds):
        raise errors.PlanError([problem])


def whole_seconds(seconds: float | None) -> int | None:
    """Seconds as servers and clients take them: whole ones, at least 1, rounded up; None for their own default."""
    return None if seconds is None else max(1, math.ceil(min(seconds, _LONGEST)))
