"""Exceptions of the user's functions that Python can't carry: in generators, coroutines and futures they mean something else.

A `StopIteration` out of a model, by a bare `next(…)`, would end a flow with a `RuntimeError`, and hang whoever awaits a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from .errors import QdrantRerankError

__all__ = ["carried", "carrying"]

_STOPS: Final = (StopIteration, StopAsyncIteration)


class carrying:  # used as a function is, in `with`
    """Makes such exceptions of the code within `with` an error of ours, whose cause they are.

    Args:
        kind: the error's type.
        whose: whose code it is, for the message.
        awaits: whether the code awaits: there cancellation is no fault of the code's.
    """

    def __init__(self, kind: type[QdrantRerankError], whose: str | Callable[[], str], awaits: bool = False) -> None:
        self._kind, self._whose, self._awaits = kind, whose, awaits

    def __enter__(self) -> Self:
        if self._awaits:
            self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None or not _is_strange(error) or (self._awaits and self._is_end(error)):
            return
        whose = self._whose if isinstance(self._whose, str) else self._whose()
        raise self._kind(_says(whose, error)) from _first(error)

    def _is_end(self, error: BaseException) -> bool:
        """Whether this code was cancelled, or its coroutine is being closed, which another task does or none."""
        if isinstance(error, GeneratorExit):
            return _running_task() is not self._task
        return isinstance(error, asyncio.CancelledError)


class _Carried(QdrantRerankError):
    """What `carried` makes; whoever knows whose function it was says so."""


def carried(error: BaseException) -> BaseException:
    """What a generator or a future can carry in the place of `error`: itself, or an error of ours."""
    if isinstance(error, _Carried) or not _is_strange(error):
        return error
    ours = _Carried(_says("what was called", error))
    ours.__cause__ = _first(error)
    return ours


def _is_strange(error: BaseException) -> bool:
    if isinstance(error, _Carried):
        return True
    if isinstance(error, RuntimeError):  # what generators and coroutines make of it by themselves
        return isinstance(error.__cause__, _STOPS) and " raised Stop" in str(error)
    return isinstance(error, (*_STOPS, GeneratorExit, asyncio.CancelledError))


def _first(error: BaseException) -> Any:
    return error.__cause__ if isinstance(error, RuntimeError | _Carried) else error


def _says(whose: str, error: BaseException) -> str:
    first = _first(error)
    text = f"{type(first).__name__}: {first}" if str(first) else type(first).__name__
    hint = ", as a bare next(…) does: give it a default, next(…, None)" if isinstance(first, _STOPS) else ""
    return f"{whose} raised {text}{hint}"


def _running_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
