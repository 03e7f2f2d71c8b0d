"""How long a call may take, and how often what it asks of a server is asked again.

A call is made of embedding, reading the schema, searches, reranking. Its beginning sets its deadline for all of it (`within`);
the drivers of flows hold each step to it, and whoever asks a server reads from it how long the answer is still of use.

Asked again is what failed in passing, by one policy for reads and writes, over REST and gRPC, awaited or not:

    points = Retries(3).run(lambda: client.query_points(…))
    points = await Retries(3).arun(lambda: async_client.query_points(…))

That is a server that is away, overloaded, starting or too slow, a node of a cluster that another can't reach
(`engine_errors.Failure.passes`). The pause is what the server asks for, else random, up to 0.5, 1, 2, … seconds. A pause that
would outlast the time left is not begun: the error is raised at once. Only for calls that may be made twice, as reading and
upserting may. Within a call that is made again, no other is: a measurement's patience and its executor's don't multiply.
"""

from __future__ import annotations

import asyncio
import builtins
import math
import random
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception

from . import errors
from .engine_errors import read_failure
from .errors import StrategyError
from .values import is_finite, is_whole

T = TypeVar("T")

_LONGEST: Final = 1e7  # seconds, some months: beyond it threads can't wait


class Deadline:
    """The moment at which a call of so many `seconds` ends.

    `waited_for` says what was waited for when a step was cancelled, where that wasn't the step itself.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start = time.monotonic()
        self.ends = self._start + min(seconds, _LONGEST)
        self.waited_for: Callable[[str], str] | None = None

    @property
    def left(self) -> float:
        """Seconds until it; 0 if it is over."""
        return max(0.0, self.ends - time.monotonic())

    def check(self, doing: str) -> None:
        """Refuse to begin what there is no time for. Raises TimeoutError."""
        if not self.left:
            raise self.error(doing)

    def error(self, doing: str) -> errors.TimeoutError:
        """The error of a call whose time is over while it was `doing` something."""
        took = time.monotonic() - self._start
        return errors.TimeoutError(f"the call's timeout of {self.seconds:g} s was over after {took:.2f} s, while {doing}")

    async def hold(self, awaited: Callable[[], Awaitable[T]], doing: str) -> T:
        """What is awaited; cancelled when the time is over. Raises TimeoutError, which says what it was `doing`."""
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
"""That of the call that this is part of, None if it may take any time; `within` sets it."""


@contextmanager
def within(seconds: float | None) -> Generator[Deadline | None]:
    """Hold what is done in this context to so many seconds (None: any); a deadline that is set already and ends sooner stays.

    Raises PlanError where they are no finite number above 0.
    """
    outer = DEADLINE.get()
    if seconds is None:
        yield outer
        return
    if problem := timeout_problem(seconds):
        raise errors.PlanError([problem])
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
    """What is wrong with a timeout; None if nothing is, as where there is none."""
    if seconds is None or (is_finite(seconds) and seconds > 0):  # type: ignore[operator]
        return None
    return f"timeout must be a finite number of seconds above 0, got {seconds!r}"


def whole_seconds(seconds: float | None) -> int | None:
    """Seconds as servers and clients take them: whole ones, at least 1, rounded up; None for their own default."""
    return None if seconds is None else max(1, math.ceil(min(seconds, _LONGEST)))


R = TypeVar("R")
Left: TypeAlias = "Callable[[], float | None]"
"""Says how many seconds are left of a call's time; None for no end."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When one call is made again, and when no more: of an engine (`Retries`), or of a paid service (`models.web_calls`).

    The pause is what the error asks for and up to a tenth more, so that those who were refused at the same moment don't return
    at the same moment; else it is random, and twice as long each time.

    Args:
        calls: the most calls, the first one included.
        left: says how many seconds are left; a pause that would outlast them is not begun.
        passes: whether what failed may succeed a little later.
        wait: the seconds that an error asks to wait; None for none.
        note: what is added to the last error: of it, the number of calls, the seconds that they took, the pause that was next.
        first_pause: seconds before the second call, at most.
        longest_pause: the longest pause that isn't asked for.
        sure: which share of a pause isn't random.
        spread: a random number from 0 to 1.
    """

    calls: int
    left: Left
    passes: Callable[[BaseException], bool]
    wait: Callable[[BaseException], float | None]
    note: Callable[[BaseException, int, float, float], str]
    first_pause: float = 0.5
    longest_pause: float = 8.0
    sure: float = 0.5
    spread: Callable[[], float] = random.random

    def run(self, call: Callable[[], R], sleep: Callable[[float], None] | None = None) -> R:
        """What `call` returns; the last error is raised as it is, with the note."""
        return Retrying(**self._rules(), sleep=sleep or time.sleep)(call)

    async def arun(self, call: Callable[[], Awaitable[R]], asleep: Callable[[float], Awaitable[None]] | None = None) -> R:
        """As `run`, awaited."""

        async def once() -> R:  # a lambda that returns a coroutine wouldn't be awaited
            return await call()

        return await AsyncRetrying(**self._rules(), sleep=asleep or asyncio.sleep)(once)

    def _rules(self) -> dict[str, Any]:
        rules = {"wait": self._pause, "stop": self._is_over, "retry_error_callback": self._give_up}
        return {"retry": retry_if_exception(self.passes), **rules}

    def _is_over(self, state: RetryCallState) -> bool:
        seconds = self.left()
        return state.attempt_number >= self.calls or (seconds is not None and state.upcoming_sleep >= seconds)

    def _pause(self, state: RetryCallState) -> float:
        asked = self.wait(_error(state))
        if asked is not None:
            return asked * (1.0 + 0.1 * self.spread())
        share = self.sure + (1.0 - self.sure) * self.spread()
        return share * min(self.longest_pause, self.first_pause * 2.0 ** (state.attempt_number - 1))

    def _give_up(self, state: RetryCallState) -> Any:
        error = _error(state)
        error.add_note(self.note(error, state.attempt_number, state.seconds_since_start or 0.0, state.upcoming_sleep))
        raise error


@dataclass(frozen=True)
class Retries:
    """How often and how long a call is made again.

    Args:
        most: the most calls after the first.
        first_pause: seconds before the first of them, at most; each later pause is twice as long.
        longest_pause: the longest pause that isn't asked for by the server.
        seconds: all calls and pauses together; no further call is made after that. None for no end.
        sleep: makes the pauses of `run`; `time.sleep` if None.
        asleep: makes those of `arun`; `asyncio.sleep` if None.
        spread: a random number from 0 to 1, so that callers that failed together don't return together: pauses last from half
            of what they may to all of it.

    Raises:
        StrategyError: `most` is no whole number from 0, or a time no number above 0.
    """

    most: int = 3
    first_pause: float = 0.5
    longest_pause: float = 8.0
    seconds: float | None = None
    sleep: Callable[[float], None] | None = None
    asleep: Callable[[float], Awaitable[None]] | None = None
    spread: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if not is_whole(self.most, 0):
            raise StrategyError(f"retries must be a whole number of at least 0, got {self.most!r}")
        for name in ("first_pause", "longest_pause", "seconds"):
            value = getattr(self, name)
            if value is not None and not (is_finite(value) and value > 0):
                raise StrategyError(f"{name} must be a number of seconds above 0, got {value!r}")

    @classmethod
    def of(cls, retries: int | Retries) -> Retries:
        """The policy for a number of retries, or the policy itself."""
        return retries if isinstance(retries, Retries) else cls(retries)

    def run(self, call: Callable[[], R], left: Left | None = None) -> R:
        """What `call` returns, made again after passing failures; the last error is raised as it is, with a note.

        Args:
            call: what is made, and made again.
            left: the seconds left of the time that the caller has.
        """
        if not self.most or _IS_WITHIN.get():
            return call()

        def once() -> R:
            with _within_retries():
                return call()

        return self._policy(left).run(once, self.sleep)

    async def arun(self, call: Callable[[], Awaitable[R]], left: Left | None = None) -> R:
        """As `run`, awaited."""
        if not self.most or _IS_WITHIN.get():
            return await call()

        async def once() -> R:
            with _within_retries():
                return await call()

        return await self._policy(left).arun(once, self.asleep)

    def _policy(self, left: Left | None) -> Policy:
        ends = [time_left(self.seconds), *([] if left is None else [left])]
        return Policy(
            calls=self.most + 1,
            left=lambda: min((seconds for end in ends if (seconds := end()) is not None), default=None),
            passes=lambda error: read_failure(error).passes,
            wait=lambda error: read_failure(error).wait,
            note=_note,
            first_pause=self.first_pause,
            longest_pause=self.longest_pause,
            spread=self.spread,
        )


_IS_WITHIN: Final = ContextVar("qdrant_rerank_is_within_retries", default=False)


@contextmanager
def _within_retries() -> Generator[None, None, None]:
    """Calls in here are parts of one that is made again."""
    token = _IS_WITHIN.set(True)
    try:
        yield
    finally:
        _IS_WITHIN.reset(token)


def time_left(seconds: float | None) -> Left:
    """What is left of `seconds` that begin now; None for no end."""
    if seconds is None:
        return lambda: None
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


NO_RETRIES: Final = Retries(0)
"""The first error is the last."""

INGEST: Final = Retries(6)
"""For filling collections: up to half a minute, which a server takes to start again."""


def _note(error: BaseException, calls: int, seconds: float, pause: float) -> str:
    made = "1 call" if calls == 1 else f"{calls} calls"
    wait = read_failure(error).wait
    return f"gave up after {made} in {seconds:.1f} s" + ("" if wait is None else f"; the server asks to wait {wait:g} s")


def _error(state: RetryCallState) -> BaseException:
    error = None if state.outcome is None else state.outcome.exception()
    assert error is not None  # tenacity asks only after a call that failed
    return error
