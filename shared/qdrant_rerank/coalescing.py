"""Concurrent searches of one event loop that leave together.

A request has a price of its own: JSON, HTTP and a turn of the event loop, on both sides. So while some requests are under way,
what else is asked for waits, and leaves in one `query_batch_points` as soon as one of them is answered. A lone search waits for
nothing, as nothing is under way, and goes out as it would without this.

Each call keeps what is its own: its filter, which is part of its request; its time, as a call that is over is cancelled where
it waits; its error, as a batch that fails is asked for again one by one, unless the server doesn't answer or refuses the
client; its headers (`qdrant_client.context_headers`) and consistency, since only searches that have the same share a batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from qdrant_client import models

from .engine_errors import Kind, read_failure

__all__ = ["Coalescer", "can_share", "is_large"]

UNDER_WAY: Final = 4
"""Requests under way beside which others wait."""
IN_A_BATCH: Final = 32
LARGE: Final = 32_000
"""Bytes above which a request travels alone: neighbours would wait for its parsing."""

_OF_ALL: Final[frozenset[Kind]] = frozenset({"unreachable", "passing", "unauthorized", "forbidden", "not found"})
"""Failures that each request of a batch would meet alone, too."""

Ask = Callable[[Sequence[models.QueryRequest], Mapping[str, Any]], Awaitable[Sequence[Any]]]
"""Asks for some requests with the client's options, and gives an answer to each."""


@dataclass(eq=False)
class _Call:
    """A search that waits.

    Attributes:
        alone: whether it was part of a batch that failed.
    """

    request: models.QueryRequest
    told: Mapping[str, Any]
    company: object
    context: Context
    answer: asyncio.Future[Any]
    alone: bool = False


@dataclass(eq=False)
class Coalescer:
    """What leaves together for one collection in one event loop.

    Args:
        ask: asks the client.
        shares: whether searches of this client may leave together.
        most_waiting: how many wait at most; more go out by themselves.
    """

    ask: Ask
    shares: bool = True
    most_waiting: int = 1_024
    _most: int = IN_A_BATCH
    _under_way: int = 0
    _waiting: deque[_Call] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def search(self, request: models.QueryRequest, told: Mapping[str, Any], most: int | None = None) -> Any:
        """The client's answer to a request, asked for now or with others.

        Args:
            request: what is asked for.
            told: the client's options, such as `timeout`.
            most: how many requests the server allows in a batch; None for any number.
        """
        self._most = min(most or IN_A_BATCH, IN_A_BATCH)
        if not self.shares:
            [answer] = await self.ask([request], told)
            return answer
        if self._under_way < UNDER_WAY and not self._waiting:
            return await self._ask_now(request, told)
        if len(self._waiting) >= self.most_waiting or is_large(request):
            [answer] = await self.ask([request], told)
            return answer
        call = _Call(request, told, _company(told), copy_context(), asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        try:
            return await call.answer
        finally:
            if call in self._waiting:  # cancelled before it left
                self._waiting.remove(call)

    async def _ask_now(self, request: models.QueryRequest, told: Mapping[str, Any]) -> Any:
        self._under_way += 1
        try:
            [answer] = await self.ask([request], told)
            return answer
        finally:
            self._under_way -= 1
            self._send()

    def _send(self) -> None:
        """Send what waits, as long as there is room for requests under way."""
        while self._waiting and self._under_way < UNDER_WAY:
            self._begin(self._take())

    def _begin(self, calls: list[_Call]) -> None:
        self._under_way += 1
        task = asyncio.get_running_loop().create_task(self._ask_batch(calls), context=calls[0].context)

        def end_unwanted(_: object) -> None:
            if all(call.answer.cancelled() for call in calls):
                task.cancel()

        def end(_: object) -> None:
            self._tasks.discard(task)
            for call in calls:
                call.answer.cancel()  # unless it has its answer: the task was cancelled, as the loop ends
            self._under_way -= 1
            self._send()

        self._tasks.add(task)  # the loop itself holds no task
        task.add_done_callback(end)
        for call in calls:
            call.answer.add_done_callback(end_unwanted)

    def _take(self) -> list[_Call]:
        """The next batch: the longest waiting, and others that may share it, in their order."""
        first = self._waiting.popleft()
        calls, left = [first], deque[_Call]()
        while self._waiting and len(calls) < self._most and not first.alone:
            call = self._waiting.popleft()
            (calls if call.company == first.company and not call.alone else left).append(call)
        self._waiting.extendleft(reversed(left))
        return calls

    async def _ask_batch(self, calls: list[_Call]) -> None:
        try:
            answers = await self.ask([call.request for call in calls], _longest(calls))
        except Exception as error:
            if len(calls) > 1 and read_failure(error).kind not in _OF_ALL:
                self._separate(calls)
            else:
                for call in calls:
                    _fail(call, error)
        else:
            for call, answer in zip(calls, answers, strict=True):
                if not call.answer.done():
                    call.answer.set_result(answer)

    def _separate(self, calls: list[_Call]) -> None:
        """Have each of a batch ask alone, next: whose request is at fault isn't known."""
        for call in reversed(calls):
            if not call.answer.done():
                call.alone = True
                self._waiting.appendleft(call)
        calls.clear()


def can_share(client: object) -> bool:
    """Whether a client's requests may leave together: not where something looks at who asks, such as a token's provider."""
    options = getattr(client, "init_options", None) or {}
    return not any(options.get(name) is not None for name in ("auth_token_provider", "auth", "event_hooks"))


def is_large(request: models.QueryRequest) -> bool:
    """Whether a request has more than 32 kB, by an estimate that doesn't write it."""
    return _size(request, LARGE) > LARGE


def _size(value: Any, enough: int) -> int:
    """About how many bytes of JSON a value has; counted no further than to `enough`."""
    if isinstance(value, str):
        return len(value) + 3
    if isinstance(value, list) and value and type(value[0]) is float:
        return 20 * len(value)  # numbers of 16 or 17 digits
    if isinstance(value, BaseModel):
        value = [each for each in vars(value).items() if each[1] is not None]
    elif isinstance(value, dict):
        value = list(value.items())
    elif not isinstance(value, list | tuple):
        return 20
    size = 0
    for each in value:
        size += _size(each, enough - size)
        if size > enough:
            break
    return size


def _company(told: Mapping[str, Any]) -> object:
    """Equal for searches that may share a batch: of one consistency and with the same headers, all with a time or none."""
    return repr(told.get("consistency")), told.get("timeout") is None, _headers()


def _longest(calls: Sequence[_Call]) -> Mapping[str, Any]:
    """The options of a batch, whose time is the longest that is left of its calls'; each of them ends by its own."""
    told = calls[0].told
    return told if told.get("timeout") is None else {**told, "timeout": max(call.told["timeout"] for call in calls)}


def _headers() -> tuple[tuple[str, str], ...]:
    """Headers that a user sets for what is asked in a context."""
    try:
        from qdrant_client.context_headers import get_context_headers
    except ImportError:  # a client before them
        return ()
    return tuple(get_context_headers().items())


def _fail(call: _Call, error: Exception) -> None:
    """End a call by an error of its own: notes and tracebacks are added to it where it is caught."""
    if not call.answer.done():
        own = type(error).__new__(type(error), *error.args)  # by no constructor, which may want other arguments
        vars(own).update(vars(error))
        own.__cause__ = error.__cause__
        call.answer.set_exception(own)
