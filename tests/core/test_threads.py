"""Worker threads of ours, and reads that callers share."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from qdrant_rerank import QdrantRerankError, TimeoutError, threads
from qdrant_rerank._internals import (
    DEADLINE,
    AsyncReads,
    Deadline,
    Reads,
    Workers,
    call_worker,
    in_time,
    in_worker,
    use_workers,
    within,
)
from qdrant_rerank.errors import ClientError
from tests.waiting import forked, wait_until

LONG = 30.0  # seconds that nothing here takes


class Held:
    """A job that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.free = threading.Semaphore(0), threading.Event()

    def __call__(self) -> str:
        self.begun.release()
        self.free.wait(LONG)
        return "held"


@pytest.fixture
def held() -> Any:
    job = Held()
    yield job
    job.free.set()


def named() -> str:
    return threading.current_thread().name


async def test_a_job_runs_in_a_thread_of_ours_and_in_its_caller_s_context() -> None:
    said: ContextVar[str] = ContextVar("said", default="nothing")
    said.set("hello")
    workers = Workers(2, "mine")
    assert await workers.acall(lambda: (named()[:5], said.get())) == ("mine-", "hello")
    assert await in_worker(lambda: named()[:13]) == "qdrant-rerank"
    with use_workers(workers):
        assert (await in_worker(named)).startswith("mine-")
        with use_workers(None):
            assert call_worker(named, Deadline(LONG), "naming").startswith("mine-")
    assert not named().startswith("mine-")


async def test_a_thread_is_used_again_and_there_are_never_more_than_the_size(held: Held) -> None:
    workers = Workers(2)
    for _ in range(3):
        await workers.acall(lambda: None)
        wait_until(lambda: workers._idle == 1)
    assert workers._threads == 1
    jobs = [asyncio.create_task(workers.acall(held)) for _ in range(5)]
    await asyncio.to_thread(held.begun.acquire)
    await asyncio.to_thread(held.begun.acquire)
    assert not held.begun.acquire(timeout=0.05)
    assert workers._threads == 2
    held.free.set()
    assert await asyncio.gather(*jobs) == ["held"] * 5


def test_a_thread_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_IDLE", 0.01)
    workers = Workers()
    workers.submit(lambda: None).result()
    wait_until(lambda: workers._threads == 0)
    assert workers.submit(lambda: 1).result() == 1


def test_threads_keep_no_process_alive(held: Held) -> None:
    workers = Workers()
    workers.submit(held)
    held.begun.acquire()
    [thread] = [thread for thread in threading.enumerate() if thread.name.startswith("qdrant-rerank-")][-1:]
    assert thread.daemon


def test_what_a_future_can_not_carry_is_carried_by_an_error_of_ours() -> None:
    with pytest.raises(QdrantRerankError, match="StopIteration"):
        Workers().submit(lambda: next(iter(()))).result()


async def test_a_job_that_is_cancelled_while_it_waits_never_runs(held: Held) -> None:
    workers, ran = Workers(1), list[int]()
    first = workers.submit(held)
    held.begun.acquire()
    waiting = asyncio.create_task(workers.acall(lambda: ran.append(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not workers._jobs
    held.free.set()
    assert first.result() == "held"
    assert await workers.acall(lambda: ran) == []


def test_a_call_is_given_up_at_its_deadline(held: Held) -> None:
    workers = Workers(1)
    with pytest.raises(TimeoutError, match=r"timeout of 0.05 s was over after 0\.\d+ s, while searching$"):
        workers.call(held, Deadline(0.05), "searching")
    with pytest.raises(TimeoutError, match=r"while waiting for a worker for searching \(all 1 are busy"):
        workers.call(held, Deadline(0.05), "searching")
    assert not workers._jobs
    deadline = Deadline(0.001)
    held.free.wait(0.01)
    with pytest.raises(TimeoutError, match="while embedding"):
        workers.call(held, deadline, "embedding")


def test_a_call_that_ends_in_time_returns_or_raises_as_it_is() -> None:
    assert Workers().call(lambda: 1, Deadline(LONG), "counting") == 1
    with pytest.raises(ZeroDivisionError):
        Workers().call(lambda: 1 / 0, Deadline(LONG), "counting")


def test_an_interrupt_lets_go_of_a_job_that_waits(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    workers = Workers(1)
    workers.submit(held)
    held.begun.acquire()
    monkeypatch.setattr(threads, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        workers.call(held, Deadline(LONG), "searching")
    assert not workers._jobs


def test_closed_workers_end_refuse_and_let_nobody_wait(held: Held) -> None:
    workers = Workers(1)
    first = workers.submit(held)
    held.begun.acquire()
    waiting, dropped = workers.submit(held), workers.submit(held)
    dropped.cancel()
    workers.close()
    workers.close()
    with pytest.raises(ClientError, match="are closed"):
        waiting.result()
    with pytest.raises(ClientError, match="are closed"):
        workers.submit(held)
    held.free.set()
    assert first.result() == "held"
    wait_until(lambda: workers._threads == 0)


def test_copies_have_threads_of_their_own() -> None:
    workers = Workers(3, "mine")
    for other in (copy.deepcopy(workers), pickle.loads(pickle.dumps(workers))):
        assert (other.size, other.name) == (3, "mine")
        assert other is not workers


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own(held: Held) -> None:
    workers = Workers(1)
    workers.submit(held)
    held.begun.acquire()
    with workers._ready:  # what somebody holds while the process forks
        assert forked(lambda: workers.submit(lambda: 1).result(LONG)) == 0
        assert forked(workers.close) == 0


def test_what_a_child_starts_anew_without_forking(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, closed, reads = Workers(), Workers(), Reads[str](Workers())
    workers.submit(lambda: None).result()
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert workers.submit(lambda: 1).result(LONG) == 1
    assert workers._threads == 1
    closed.close()
    assert reads.get(lambda: "mine", "reading") == "mine"


def test_a_job_that_its_caller_cancelled_is_left_out(held: Held) -> None:
    workers, ran = Workers(1), list[int]()
    first = workers.submit(held)
    held.begun.acquire()
    workers.submit(lambda: ran.append(1)).cancel()
    held.free.set()
    assert first.result() == "held"
    assert workers.submit(lambda: ran).result(LONG) == []


def test_in_time_is_here_or_in_a_worker() -> None:
    assert in_time(named, "naming") == named()
    with within(LONG):
        assert in_time(named, "naming").startswith("qdrant-rerank")


class Read:
    """A read that is counted, and goes on until it is let go."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes, self.count = list(outcomes), 0
        self.begun, self.free = threading.Event(), threading.Event()

    def __call__(self) -> Any:
        self.count += 1
        outcome = self.outcomes.pop(0)
        self.begun.set()
        self.free.wait(LONG)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def waiting(reads: Reads[Any]) -> int:
    return len(reads._reading._waiters) if reads._reading is not None else 0


def shared(reads: Reads[Any]) -> bool:
    return waiting(reads) == 4


def test_threads_share_a_read_and_its_failure() -> None:
    failure = ValueError("no answer")
    for outcome in ("schema", failure):
        reads, read = Reads[Any](Workers()), Read(outcome, "again")

        def ask(reads: Reads[Any] = reads, read: Read = read) -> Any:
            try:
                return reads.get(read, "reading")
            except ValueError as error:
                return error

        with ThreadPoolExecutor(5) as pool:
            answers = [pool.submit(ask) for _ in range(5)]
            wait_until(partial(shared, reads))
            read.free.set()
        assert [answer.result() for answer in answers] == [outcome] * 5
        assert read.count == 1
        assert reads.get(read, "reading") == "again"  # a failure isn't kept


def test_each_waits_no_longer_than_its_own_deadline() -> None:
    workers = Workers()
    reads, read = Reads[str](workers), Read("schema")
    with ThreadPoolExecutor(1) as pool:

        def patient() -> str:
            read.begun.wait(LONG)
            with within(LONG):
                return reads.get(read, "reading")

        later = pool.submit(patient)
        with within(0.05), pytest.raises(TimeoutError, match="while reading the schema"):
            reads.get(read, "reading the schema")
        with within(0.01), pytest.raises(TimeoutError, match="while reading the schema"):
            reads.get(read, "reading the schema")  # which somebody else does
        read.free.set()
        assert later.result() == "schema"
    assert read.count == 1


def test_a_read_that_waits_for_a_worker_says_so(held: Held) -> None:
    workers = Workers(1)
    workers.submit(held)
    held.begun.acquire()
    with within(0.02), pytest.raises(TimeoutError, match="while waiting for a worker for reading"):
        Reads[str](workers).get(lambda: "schema", "reading")


def test_closed_workers_read_nothing() -> None:
    workers = Workers()
    workers.close()
    reads = Reads[str](workers)
    with within(LONG), pytest.raises(ClientError):
        reads.get(lambda: "schema", "reading")
    assert reads.get(lambda: "schema", "reading") == "schema"


def test_where_the_reader_is_interrupted_another_reads() -> None:
    reads, read = Reads[str](Workers()), Read(KeyboardInterrupt(), "schema")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reads.get, read, "reading")
        read.begun.wait(LONG)
        second = pool.submit(reads.get, read, "reading")
        wait_until(lambda: waiting(reads) == 1)
        read.free.set()
        with pytest.raises(KeyboardInterrupt):
            first.result()
        assert second.result() == "schema"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_no_read_of_its_parent(held: Held) -> None:
    reads = Reads[str](Workers())
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(reads.get, held, "reading")
        held.begun.acquire()
        assert forked(lambda: reads.get(lambda: "mine", "reading")) == 0
        held.free.set()
        assert asked.result() == "held"


async def test_tasks_share_a_read_and_its_failure() -> None:
    count = 0

    async def read() -> str:
        nonlocal count
        count += 1
        assert DEADLINE.get() is None  # it is everybody's
        await asyncio.sleep(0.01)
        raise ValueError("no answer")

    reads = AsyncReads[str]()
    with within(LONG):
        found = await asyncio.gather(*(reads.get(read, "reading") for _ in range(5)), return_exceptions=True)
    assert [str(error) for error in found] == ["no answer"] * 5
    assert count == 1


async def test_a_task_s_deadline_ends_its_waiting_and_the_last_one_s_the_read() -> None:
    ended, free = list[str](), asyncio.Event()

    async def read() -> str:
        try:
            await free.wait()
            return "schema"
        finally:
            ended.append("ended")

    async def hurried(reads: AsyncReads[str]) -> str:
        with within(0.02):
            return await reads.get(read, "reading the schema")

    reads = AsyncReads[str]()
    patient = asyncio.create_task(reads.get(read, "reading"))
    with pytest.raises(TimeoutError, match="while reading the schema"):
        await hurried(reads)
    assert not ended
    free.set()
    assert await patient == "schema"
    free.clear()
    with pytest.raises(TimeoutError):
        await hurried(reads)
    await asyncio.sleep(0)
    assert ended == ["ended", "ended"]
