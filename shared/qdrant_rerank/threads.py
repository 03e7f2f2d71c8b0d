"""Worker threads of ours, reads that callers share, what belongs to one event loop, and exceptions that can't leave a thread.

Nothing here uses asyncio's default pool: it is small (six threads on two cores) and belongs to the application.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from inspect import getattr_static
from threading import RLock
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar
from weakref import WeakKeyDictionary

from .calls import DEADLINE, Deadline, lift_deadline
from .errors import ClientError, QdrantRerankError

T = TypeVar("T")

SIZE: Final = 16
"""How many threads an executor has at most. A call that was given up keeps its thread until what it waits for ends."""

_CLOSED: Final = "the threads of this executor are closed: nothing can be asked after close() or aclose()"
_IDLE: Final = 5.0  # seconds after which a thread without work ends


class Workers:
    """At most `size` threads, started when there is work, which wait for more and end when there is none for a while.

    Unlike `ThreadPoolExecutor`'s they don't keep the process from ending: a call that was given up at its deadline may still
    wait for a server that drips its answer. A forked child starts with threads of its own. Copies and unpickled ones, too.
    """

    def __init__(self, size: int = SIZE, name: str = "qdrant-rerank") -> None:
        self.size, self.name = size, name
        self._start()
        self._closed = False

    def _start(self) -> None:
        self._pid = os.getpid()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._ready = threading.Condition()
        self._threads = self._idle = 0

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """The future result of `job`, which runs in a copy of the caller's context. Raises ClientError after `close`."""
        if self._pid != os.getpid():  # a fork copies no threads, and perhaps a lock that somebody holds
            self._start()
        future: Future[T] = Future()
        context = copy_context()
        with self._ready:
            if self._closed:
                raise ClientError(_CLOSED)
            self._jobs.append((future, lambda: context.run(job)))
            if len(self._jobs) > self._idle and self._threads < self.size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self.name}-{self._threads}", daemon=True).start()
            else:
                self._ready.notify()
        return future

    def call(self, job: Callable[[], T], deadline: Deadline, doing: str) -> T:
        """What `job` returns, run in a worker; it is given up, with a TimeoutError, when the time is over, also for waiting."""
        deadline.check(doing)
        future = self.submit(job)
        try:
            wait([future], deadline.left)
        except BaseException:  # Ctrl-C while it waited
            self._drop(future)
            raise
        if future.done():
            return future.result()
        raise deadline.error(self.say_waiting(doing) if self._drop(future) else doing)

    async def acall(self, job: Callable[[], T]) -> T:
        """What `job` returns, run in a worker. Cancelled while it waits for one, it never runs."""
        future = self.submit(job)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._drop(future) and (deadline := DEADLINE.get()) is not None:
                deadline.waited_for = self.say_waiting
            raise

    def close(self) -> None:
        """End the threads that wait for work, and the others after theirs. What waits for a thread ends in a ClientError."""
        if self._pid != os.getpid():
            self._start()
        with self._ready:
            self._closed = True
            left, self._jobs = self._jobs, deque()
            self._ready.notify_all()
        for future, _ in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(ClientError(_CLOSED))

    def say_waiting(self, doing: str) -> str:
        """What is done where all workers are busy."""
        return f"waiting for a worker for {doing} (all {self.size} are busy, maybe with calls that were given up)"

    def _drop(self, future: Future[Any]) -> bool:
        """Cancel a job if it hasn't begun, and let go of it: as long as all workers hang, nobody else would."""
        if not future.cancel():
            return False
        with self._ready:
            self._jobs = deque(job for job in self._jobs if job[0] is not future)
        return True

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """The next job; None if this thread is to end."""
        with self._ready:
            self._idle += 1
            try:
                while not self._jobs:
                    if self._closed or not (self._ready.wait(_IDLE) or self._jobs):  # one may come as the waiting ends
                        self._threads -= 1
                        return None
                return self._jobs.popleft()
            finally:
                self._idle -= 1

    def _work(self) -> None:
        while (work := self._next()) is not None:
            future, job = work
            if future.set_running_or_notify_cancel():
                try:
                    result = job()
                except BaseException as error:
                    future.set_exception(carry(error))
                else:
                    future.set_result(result)
                    del result
            del work, future, job  # nothing is held on to while it waits

    def __reduce__(self) -> tuple[type[Workers], tuple[int, str]]:
        return type(self), (self.size, self.name)


_COMMON: Final = Workers()
WORKERS: Final[ContextVar[Workers | None]] = ContextVar("qdrant_rerank_workers", default=None)
"""The threads in which what blocks runs; None for common ones. `use_workers` sets it."""


@contextmanager
def use_workers(workers: Workers | None) -> Generator[None]:
    """Have what blocks in this context run in these threads; None for those that it would run in anyway."""
    token = WORKERS.set(workers or WORKERS.get())
    try:
        yield
    finally:
        WORKERS.reset(token)


async def in_worker(job: Callable[[], T]) -> T:
    """What a job that blocks returns, run in a thread of ours."""
    return await (WORKERS.get() or _COMMON).acall(job)


def inherits(thing: object, base: type[Any], method: str) -> bool:
    """Whether a method is that of a framework's base class, whose async ones run the sync ones in asyncio's pool.

    Looked at statically, as wrapped methods are new objects at each access.
    """
    return getattr_static(type(thing), method, None) is getattr_static(base, method)


def call_worker(job: Callable[[], T], deadline: Deadline, doing: str) -> T:
    """What `job` returns, run in a thread of ours and given up at the deadline; see `Workers.call`."""
    return (WORKERS.get() or _COMMON).call(job, deadline, doing)


def in_time(job: Callable[[], T], doing: str) -> T:
    """What `job` returns: here, or in a worker if the call has a deadline, at which it is given up."""
    deadline = DEADLINE.get()
    return job() if deadline is None else call_worker(job, deadline, doing)


class Reads(Generic[T]):
    """A read that several threads ask for at once: the first does it, and the others wait for its result or its failure.

    Each waits no longer than its own deadline.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._start()

    def _start(self) -> None:
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._reading: Future[T] | None = None

    @property
    def busy(self) -> bool:
        """Whether a read is under way."""
        return self._reading is not None

    def get(self, read: Callable[[], T], doing: str) -> T:
        """What `read` returns, or what the read that is under way does. Raises TimeoutError where the time was over before."""
        if self._pid != os.getpid():  # whoever reads in the parent doesn't here
            self._start()
        deadline = DEADLINE.get()
        while True:
            with self._lock:
                future, mine = self._reading or Future[T](), self._reading is None
                self._reading = future
            work: Future[None] | None = None
            if mine and deadline is None:
                self._read(read, future)
            elif mine:
                work = self._begin(read, future)
            wait([future], None if deadline is None else deadline.left)
            if deadline is not None and not future.done():
                begun = work is None or work.running() or work.done()
                raise deadline.error(doing if begun else self._workers.say_waiting(doing))
            if not future.cancelled():
                return future.result()
            # who read was interrupted: the next one reads

    def _begin(self, read: Callable[[], T], future: Future[T]) -> Future[None]:
        try:
            return self._workers.submit(lambda: self._read(read, future))
        except ClientError as error:
            self._reading = None
            future.set_exception(error)
            raise

    def _read(self, read: Callable[[], T], future: Future[T]) -> None:
        try:
            with lift_deadline():  # others wait for it, with deadlines of their own
                answer = read()
        except Exception as error:
            self._reading = None
            future.set_exception(error)
        except BaseException:
            self._reading = None
            future.cancel()
            future.set_running_or_notify_cancel()  # without it, those who wait never learn of it
            raise
        else:
            self._reading = None
            future.set_result(answer)


class AsyncReads(Generic[T]):
    """As `Reads`, for the tasks of an event loop."""

    def __init__(self) -> None:
        self._by_loop: PerLoop[_LoopReads[T]] = PerLoop()

    async def get(self, read: Callable[[], Coroutine[Any, Any, T]], doing: str) -> T:
        """What `read` returns, or what the read that is under way does; it is cancelled when nobody waits for it any more."""
        return await self._by_loop.get(_LoopReads[T]).get(read, doing)

    @property
    def busy(self) -> bool:
        """Whether a read is under way in this event loop."""
        return self._by_loop.get(_LoopReads[T]).busy

    def __len__(self) -> int:
        return len(self._by_loop)


class _LoopReads(Generic[T]):
    def __init__(self) -> None:
        self._read: _Read[T] | None = None

    @property
    def busy(self) -> bool:
        return self._read is not None and not self._read.task.done()

    async def get(self, read: Callable[[], Coroutine[Any, Any, T]], doing: str) -> T:
        joined, deadline = self._read, DEADLINE.get()
        if joined is None or joined.task.done():
            with lift_deadline():  # others wait for it, with deadlines of their own
                joined = self._read = _Read(asyncio.create_task(read()))
        joined.waiting += 1
        try:
            if deadline is None:
                return await asyncio.shield(joined.task)
            return await deadline.hold(lambda: asyncio.shield(joined.task), doing)
        finally:
            joined.waiting -= 1
            if not joined.waiting:
                joined.task.cancel()  # unless it is done
                self._read = None if self._read is joined else self._read  # a task would hold on to its loop


@dataclass
class _Read(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


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


_STOPS: Final = (StopIteration, StopAsyncIteration)


class carrying:  # used as a function is, in `with`
    """Makes such exceptions of the code within `with` an error of ours, whose cause they are; `whose` says whose code it is.

    Where the code awaits, cancellation is no fault of it.
    """

    def __init__(self, kind: type[QdrantRerankError], whose: str | Callable[[], str], awaits: bool = False) -> None:
        self._kind, self._whose, self._awaits = kind, whose, awaits

    def __enter__(self) -> Self:
        if self._awaits:
            self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is not None and not (self._awaits and self._is_end(error)):
            refuse_strange(error, self._kind, self._whose)

    def _is_end(self, error: BaseException) -> bool:
        """Whether this code was cancelled, or its coroutine is being closed, which another task does or none."""
        if isinstance(error, GeneratorExit):
            return _running_task() is not self._task
        return isinstance(error, asyncio.CancelledError)


def refuse_strange(error: BaseException, kind: type[QdrantRerankError], whose: str | Callable[[], str]) -> None:
    """Raise an error of ours of such an exception, whose cause it is; nothing of others. `whose` says whose code raised it.

    What `carrying` does, for where each query passes: there `except BaseException` costs nothing until something is raised.
    """
    if _is_strange(error):
        raise kind(_says(whose if isinstance(whose, str) else whose(), error)) from _first(error)


class _Carried(QdrantRerankError):
    """What `carry` puts in the place of an error; whoever knows whose function it was says so."""


def carry(error: BaseException) -> BaseException:
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
