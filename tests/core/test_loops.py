"""Things that belong to one event loop each."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

from qdrant_client import QdrantClient

from qdrant_rerank import AsyncExecutor
from qdrant_rerank._internals import PerLoop
from tests.support import COLLECTION


async def contended(locks: PerLoop[asyncio.Lock]) -> asyncio.Lock:
    """The loop's lock, after a task had to wait for it: from then on it refers to its loop."""
    lock = locks.get(asyncio.Lock)

    async def hold() -> None:
        async with lock:
            await asyncio.sleep(0)

    await asyncio.gather(hold(), hold())
    return lock


def test_each_loop_has_one_and_keeps_it() -> None:
    locks: PerLoop[asyncio.Lock] = PerLoop()

    async def twice() -> bool:
        return locks.get(asyncio.Lock) is locks.get(asyncio.Lock)

    async def alone() -> asyncio.Lock:
        assert asyncio.get_running_loop() not in locks
        return locks.get(asyncio.Lock)

    assert asyncio.run(twice())
    assert asyncio.run(alone()) is not asyncio.run(alone())


def test_what_refers_to_a_closed_loop_goes_when_another_loop_asks() -> None:
    locks: PerLoop[asyncio.Lock] = PerLoop()
    for _ in range(3):
        asyncio.run(contended(locks))
        gc.collect()
        assert len(locks) == 1


async def test_what_was_taken_out_is_made_anew() -> None:
    made: PerLoop[object] = PerLoop()
    first = made.get(object)
    assert made.pop() is first
    assert made.pop() is None
    assert made.get(object) is not first


def test_two_threads_make_one_for_a_loop() -> None:
    things: PerLoop[Any] = PerLoop()
    loop, ready, made = asyncio.new_event_loop(), threading.Barrier(8), list[int]()

    def make() -> object:
        made.append(1)
        return object()

    def ask() -> None:
        ready.wait()
        things.get(make, loop)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loop.close()
    assert made == [1]


def test_an_executor_holds_on_to_no_loop_that_has_closed(toy: QdrantClient) -> None:
    executor = AsyncExecutor(toy, COLLECTION)

    async def ask() -> None:
        executor.refresh()
        await asyncio.gather(executor.target(), executor.target())

    for _ in range(3):
        asyncio.run(ask())
        gc.collect()
    assert len(executor._reads) <= 1
