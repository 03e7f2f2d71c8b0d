"""Concurrent searches that leave together: those of one event loop, and those of the threads of one process.

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
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from qdrant_client import models

from .calls import DEADLINE
from .engine_errors import Kind, read_failure

UNDER_WAY: Final = 4
"""Requests under way beside which others wait."""
IN_A_BATCH: Final = 32
LARGE: Final = 32_000
"""Bytes above which a request travels alone: neighbours would wait for its parsing."""

_OF_ALL: Final[frozenset[Kind]] = frozenset({"unreachable", "passing", "unauthorized", "forbidden", "not found"})
"""Failures that each request of a batch would meet alone, too."""

AskNow = Callable[[Sequence[models.QueryRequest], Mapping[str, Any]], Sequence[Any]]
"""Asks for some requests with the client's options, and gives an answer to each."""
Ask = Callable[[Sequence[models.QueryRequest], Mapping[str, Any]], Awaitable[Sequence[Any]]]


@dataclass(eq=False)
class _Waiting:
    """A search that waits.

    Attributes:
        company: equal for searches that may share a batch.
        alone: whether it was part of a batch that failed.
    """

    request: models.QueryRequest
    told: Mapping[str, Any]
    company: object = field(default=None, init=False)
    alone: bool = field(default=False, init=False)


W = TypeVar("W", bound=_Waiting)


@dataclass(eq=False)
class _Call(_Waiting):
    context: Context
    answer: asyncio.Future[Any]
    sent: _Sent | None = field(default=None, init=False)


@dataclass(eq=False)
class _Sent:
    """A batch under way."""

    calls: list[_Call]
    task: asyncio.Task[None]

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for it any more."""
        return all(call.answer.cancelled() for call in self.calls)


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
        call = _Call(request, told, copy_context(), asyncio.get_running_loop().create_future())
        call.company = _company(told)
        self._waiting.append(call)
        try:
            return await call.answer
        except asyncio.CancelledError:
            if call in self._waiting:  # before it left
                self._waiting.remove(call)
            elif call.sent is not None and call.sent.is_unwanted:
                call.sent.task.cancel()
            raise

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
            self._begin(_take(self._waiting, self._most))

    def _begin(self, calls: list[_Call]) -> None:
        self._under_way += 1
        task = asyncio.get_running_loop().create_task(self._ask_batch(calls), context=calls[0].context)
        sent = _Sent(calls, task)

        def end(_: object) -> None:
            self._tasks.discard(task)
            for call in calls:
                call.answer.cancel()  # unless it has its answer: the task was cancelled, as the loop ends
            self._under_way -= 1
            self._send()

        self._tasks.add(task)  # the loop itself holds no task
        task.add_done_callback(end)
        for call in calls:
            call.sent = sent

    async def _ask_batch(self, calls: list[_Call]) -> None:
        try:
            answers = await self.ask([call.request for call in calls], _longest(calls))
        except Exception as error:
            if len(calls) > 1 and read_failure(error).kind not in _OF_ALL:
                self._separate(calls)
            else:
                for call in calls:
                    if not call.answer.done():
                        call.answer.set_exception(_copy(error))
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


@dataclass(eq=False)
class _ThreadCall(_Waiting):
    """A search of a thread that waits for its turn: it has its answer, or asks for a batch whose first it is.

    Attributes:
        is_over: whether it has its answer or error, or nobody waits for it any more.
    """

    turn: Lock = field(default_factory=Lock, init=False)
    batch: list[_ThreadCall] | None = field(default=None, init=False)
    answer: Any = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    is_over: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.turn.acquire()

    def end(self, answer: Any = None, error: Exception | None = None) -> None:
        """Hand over what it waits for."""
        self.answer, self.error, self.is_over = answer, error, True
        self.turn.release()


@dataclass(eq=False)
class ThreadCoalescer:
    """What leaves together for one collection of what the threads of a process ask for.

    It has no thread of its own, which a fork or the end of the process could take away. A thread whose request is answered
    wakes the one that waits longest; that one asks for itself and those behind it, and wakes them with their answers. Where
    it is interrupted, they wait for the next.

    Args:
        ask: asks the client.
        shares: whether searches of this client may leave together.
        most_waiting: how many wait at most; more go out by themselves.
    """

    ask: AskNow
    shares: bool = True
    most_waiting: int = 1_024
    _most: int = IN_A_BATCH
    _asking: set[object] = field(default_factory=set)  # who has a turn
    _waiting: deque[_ThreadCall] = field(default_factory=deque)
    _lock: RLock = field(default_factory=RLock)  # a signal's handler may search, too

    def search(self, request: models.QueryRequest, told: Mapping[str, Any], most: int | None = None) -> Any:
        """As `Coalescer.search`, for a thread.

        Raises:
            TimeoutError: the call's time was over while it waited for its turn, or for the batch that it is part of.
        """
        self._most = min(most or IN_A_BATCH, IN_A_BATCH)
        if self.shares and (turn := self._take_turn()) is not None:  # nobody waits: the way of a lone query
            try:
                [answer] = self.ask([request], told)
                return answer
            finally:
                self._give_back(turn)
        call = _ThreadCall(request, told)
        try:
            if not self._enter(call):
                [answer] = self.ask([request], told)
                return answer
            while not call.is_over:
                _wait(call)
                if call.batch is not None:
                    self._ask_batch(call.batch)
        finally:
            self._leave(call)
        if call.error is not None:
            raise call.error
        return call.answer

    def _take_turn(self) -> object | None:
        """A turn to ask at once, if there is room and nobody waits."""
        with self._lock:
            if self._waiting or len(self._asking) >= UNDER_WAY:
                return None
            turn = object()
            self._asking.add(turn)
            return turn

    def _give_back(self, turn: object) -> None:
        with self._lock:
            self._asking.discard(turn)
            if self._waiting:
                self._send()

    def _enter(self, call: _ThreadCall) -> bool:
        """Whether a call waits for its turn, rather than going out by itself."""
        if not self.shares or len(self._waiting) >= self.most_waiting or is_large(call.request):
            return False
        call.company = _company(call.told)
        with self._lock:
            self._waiting.append(call)
            self._send()  # all that was under way may have ended meanwhile
        return True

    def _send(self) -> None:
        """Wake who asks for what waits, as long as there is room for requests under way. The lock is held."""
        while self._waiting and len(self._asking) < UNDER_WAY:
            self._give_turn(_take(self._waiting, self._most))

    def _give_turn(self, batch: list[_ThreadCall]) -> None:
        first = batch[0]
        first.batch = batch
        self._asking.add(first)
        first.turn.release()

    def _ask_batch(self, batch: list[_ThreadCall]) -> None:
        """Ask for a batch, in the thread of its first call."""
        try:
            answers = self.ask([call.request for call in batch], _longest(batch))
        except Exception as error:
            if len(batch) > 1 and read_failure(error).kind not in _OF_ALL:
                self._separate(batch)
                return
            for call in batch[1:]:
                call.end(error=_copy(error))
            raise
        for call, answer in zip(batch, answers, strict=True):
            call.end(answer)

    def _separate(self, batch: list[_ThreadCall]) -> None:
        """As `Coalescer._separate`."""
        with self._lock:
            for call in batch:
                call.alone = True
            self._end(batch[0])

    def _leave(self, call: _ThreadCall) -> None:
        """Let the next ones go; and where a call ends without its answer, see to it that nobody waits for it."""
        with self._lock:
            if not call.is_over:
                call.is_over = True
                if call in self._waiting:
                    self._waiting.remove(call)
            self._end(call)

    def _end(self, call: _ThreadCall) -> None:
        """End a call's turn; those of its batch without an answer wait again, as the first ones. The lock is held."""
        if call in self._asking:
            batch, call.batch = call.batch or [], None
            self._asking.discard(call)
            self._waiting.extendleft(each for each in reversed(batch) if not each.is_over)
        self._send()


def _wait(call: _ThreadCall) -> None:
    deadline = DEADLINE.get()
    if deadline is None:
        call.turn.acquire()
    elif not call.turn.acquire(timeout=deadline.left):
        raise deadline.error("searching, waiting for its turn")


def _take(waiting: deque[W], most: int) -> list[W]:
    """The next batch: the longest waiting, and others that may share it, in their order."""
    first = waiting.popleft()
    calls, left = [first], deque[W]()
    while waiting and len(calls) < most and not first.alone:
        call = waiting.popleft()
        (calls if call.company == first.company and not call.alone else left).append(call)
    waiting.extendleft(reversed(left))
    return calls


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
    if isinstance(value, BaseModel):
        value = vars(value)
    if isinstance(value, dict):
        parts: Iterable[tuple[int, Any]] = ((len(name) + 3, each) for name, each in value.items() if each is not None)
    elif not isinstance(value, list | tuple):
        return 20
    elif value and type(value[0]) is float:
        return 20 * len(value)  # numbers of 16 or 17 digits
    else:
        parts = ((0, each) for each in value)
    size = 0
    for name, each in parts:
        size += name + _size(each, enough - size)
        if size > enough:
            break
    return size


def _company(told: Mapping[str, Any]) -> object:
    """Equal for searches that may share a batch: of one consistency and with the same headers, all with a time or none."""
    return repr(told.get("consistency")), told.get("timeout") is None, _headers()


def _longest(calls: Sequence[_Waiting]) -> Mapping[str, Any]:
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


def _copy(error: Exception) -> Exception:
    """An error of a call's own: notes and tracebacks are added to it where it is caught."""
    own = type(error).__new__(type(error), *error.args)  # by no constructor, which may want other arguments
    vars(own).update(vars(error))
    own.__cause__ = error.__cause__
    return own
