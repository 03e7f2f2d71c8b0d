"""When a call of a web API is repeated, and after how long: tenacity's retrying within a time budget."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Patience", "retry_after", "without_key", "worth_repeating"]

R = TypeVar("R")

_REPEATED: Final = {408, 429, 500, 502, 503, 504, 529}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0  # seconds
_SHORTEST_KEY: Final = 8  # shorter ones are in many words
_LEAST_TIMEOUT: Final = 0.001  # what is left of an exhausted budget: enough for the request to fail by a timeout


@dataclass(frozen=True)
class Patience:
    """How long and how often one call is tried.

    Repeated are 408, 429, 500, 502, 503, 504 and 529, timeouts, and connections that fail or break off. The pause is what
    `Retry-After` asks for, or else random between 0 and 0.5, 1, 2, … up to 8 seconds. A pause that would outlast the budget
    is not begun: the error is raised at once.

    Args:
        attempts: the most attempts.
        until: the end of the budget, by `time.monotonic`.
        timeout: of one attempt, in seconds.
    """

    attempts: int
    until: float
    timeout: float

    def left(self) -> float:
        """Seconds left of the budget; less than 0 after its end."""
        return self.until - time.monotonic()

    def options(self) -> dict[str, Any]:
        """The SDK's options for the next attempt. (`timeout` instead of `timeout_in_seconds` would need a newer SDK.)"""
        return {"max_retries": 0, "timeout_in_seconds": max(_LEAST_TIMEOUT, min(self.timeout, self.left()))}

    def sync(self, request: Callable[[], R]) -> R:
        """The answer, or the error of the last attempt.

        One attempt can outlast the budget: by a server that sends its answer drop by drop.
        """
        from tenacity import Retrying

        return Retrying(**self._policy())(request)

    async def asynchronous(self, request: Callable[[], Awaitable[R]]) -> R:
        """The answer, or the error of the last attempt; it never outlasts the budget."""
        from tenacity import AsyncRetrying

        async def attempt() -> R:  # a lambda that returns a coroutine wouldn't be awaited
            return await request()

        deadline = asyncio.timeout(max(0.0, self.left()))
        try:
            async with deadline:
                return await AsyncRetrying(**self._policy())(attempt)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            import httpx

            raise httpx.ReadTimeout("no answer within the time budget (seconds=)") from error

    def _policy(self) -> dict[str, Any]:
        from tenacity import retry_if_exception

        return {
            "retry": retry_if_exception(worth_repeating),
            "wait": _pause,
            "stop": self._is_over,
            "retry_error_callback": _give_up,
        }

    def _is_over(self, state: RetryCallState) -> bool:
        return state.attempt_number >= self.attempts or state.upcoming_sleep >= self.left()


def worth_repeating(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    import httpx

    status = getattr(error, "status_code", None)
    return status in _REPEATED or (isinstance(error, httpx.TransportError) and not isinstance(error, _hopeless()))


def _hopeless() -> tuple[type[Exception], ...]:
    import httpx

    return httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.ProxyError


def _pause(state: RetryCallState) -> float:
    error = _error(state)
    asked = retry_after(getattr(error, "headers", None) or {})
    if asked is not None:
        return asked * random.uniform(1.0, 1.1)  # not all at the same moment, who were refused at the same moment
    return random.uniform(0.0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (state.attempt_number - 1)))


def retry_after(headers: dict[str, str]) -> float | None:
    """The seconds that a response asks to wait: a number or a date. None if it doesn't say."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return max(0.0, seconds) if seconds < float("inf") else None


def _give_up(state: RetryCallState) -> Any:
    """Raise the last error as it is, with a note."""
    error = _error(state)
    assert error is not None
    spent = f"{state.attempt_number} attempts in {state.seconds_since_start or 0.0:.1f} s"
    if getattr(error, "status_code", None) is not None and state.upcoming_sleep:
        spent += f"; the next would have been {state.upcoming_sleep:.1f} s later"
    error.add_note(f"gave up after {spent} (attempts= and seconds= set the limits)")
    raise error


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def without_key(error: Exception, key: str) -> None:
    """Take the key out of an error, should a server repeat it in its answer."""
    if len(key) < _SHORTEST_KEY or key not in str(error):
        return
    error.args = tuple(_replaced(value, key) for value in error.args)
    for name in ("body", "headers"):
        if hasattr(error, name):
            setattr(error, name, _replaced(getattr(error, name), key))


def _replaced(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace(key, "***")
    if isinstance(value, dict):
        return {name: _replaced(item, key) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, key) for item in value]
    return value
