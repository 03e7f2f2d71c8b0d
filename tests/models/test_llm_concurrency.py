"""How many calls are under way at once, and what ends them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from qdrant_rerank._internals import Gate
from qdrant_rerank.models import LlmListwise, LlmPointwise
from tests.models.llms import Completes
from tests.waiting import PATIENCE, let_turn

TEXTS = [f"text {number}" for number in range(12)]


class InFlight:
    """An LLM that answers after something else, by default a moment, and knows how many calls were under way at once.

    Calls that are awaited take some seconds, or wait for one another by a barrier.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        after: Callable[[], object] = lambda: time.sleep(0.01),
        barrier: asyncio.Barrier | None = None,
    ) -> None:
        self.seconds, self.after, self.barrier = seconds, after, barrier
        self.now = self.most = self.started = self.ended = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.now += 1
            self.started += 1
            self.most = max(self.most, self.now)

    def leave(self) -> None:
        with self._lock:
            self.now -= 1
            self.ended += 1

    def sync(self, prompt: str) -> str:
        self.enter()
        try:
            self.after()
        finally:
            self.leave()
        return "5"

    async def awaited(self, prompt: str) -> str:
        self.enter()
        try:
            await (asyncio.sleep(self.seconds) if self.barrier is None else asyncio.wait_for(self.barrier.wait(), PATIENCE))
        finally:
            self.leave()
        return "5"


def in_turn_with(loop: asyncio.AbstractEventLoop, number: int) -> InFlight:
    """An LLM that answers when so many calls are under way, and the event loop goes on."""
    together = threading.Barrier(number)

    def wait() -> None:
        let_turn(loop)
        together.wait(PATIENCE)

    return InFlight(after=wait)


def test_no_more_calls_than_allowed_are_under_way_in_threads_however_many_score_at_once() -> None:
    three = threading.Barrier(3)
    llm = InFlight(after=lambda: three.wait(PATIENCE))
    model = LlmPointwise(llm.sync, concurrency=3)
    with ThreadPoolExecutor(2) as pool:
        for scores in pool.map(lambda _: model.score("q", TEXTS), range(2)):
            assert scores == [5.0] * 12
    assert llm.most == 3
    assert llm.started == 24


async def test_no_more_calls_than_allowed_are_under_way_in_an_event_loop() -> None:
    llm = InFlight(barrier=asyncio.Barrier(3))
    model = LlmPointwise(llm.awaited, concurrency=3)
    await asyncio.gather(model.ascore("q", TEXTS), model.ascore("q", TEXTS))
    assert (llm.most, llm.started) == (3, 24)


async def test_a_sync_llm_under_async_runs_in_threads_of_its_own_and_leaves_the_loop_free() -> None:
    llm = in_turn_with(asyncio.get_running_loop(), 4)
    assert await LlmPointwise(llm.sync, concurrency=4).ascore("q", TEXTS) == [5.0] * 12
    assert llm.most == 4


async def test_a_llama_index_llm_with_sync_methods_only_leaves_the_loop_free() -> None:
    llm = in_turn_with(asyncio.get_running_loop(), 4)
    assert await LlmPointwise(Completes(answer=llm.sync), concurrency=4).ascore("q", TEXTS) == [5.0] * 12
    assert llm.most == 4


async def test_threads_see_the_context_of_the_caller() -> None:
    caller = ContextVar("caller", default="nobody")
    seen: list[str] = []

    def llm(prompt: str) -> str:
        seen.append(caller.get())
        return "1"

    caller.set("me")
    model = LlmPointwise(llm, concurrency=2)
    model.score("q", TEXTS[:2])
    await model.ascore("q", TEXTS[:2])
    await LlmPointwise(Completes(answer=llm)).ascore("q", TEXTS[:2])
    assert seen == ["me"] * 6


async def test_cancelling_ends_the_calls_under_way_and_starts_no_more() -> None:
    llm = InFlight(60)
    scoring = asyncio.ensure_future(LlmPointwise(llm.awaited, concurrency=3).ascore("q", TEXTS))
    await under_way(llm, 3)
    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring
    assert (llm.now, llm.started, llm.ended) == (0, 3, 3)


async def test_cancelling_a_listwise_model_ends_its_call() -> None:
    llm = InFlight(60)
    scoring = asyncio.ensure_future(LlmListwise(llm.awaited).ascore("q", TEXTS))
    await under_way(llm, 1)
    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring
    assert (llm.now, llm.started) == (0, 1)


async def under_way(llm: InFlight, calls: int) -> None:
    """Waits until so many calls are under way."""
    async with asyncio.timeout(PATIENCE):
        while llm.now < calls:
            await asyncio.sleep(0.001)


async def test_a_failing_call_cancels_the_others_and_its_error_comes_as_it_is() -> None:
    llm = InFlight(60)

    async def third_fails(prompt: str) -> str:
        if "text 2" in prompt:
            raise ConnectionResetError("gone")
        return await llm.awaited(prompt)

    with pytest.raises(ConnectionResetError, match="gone"):
        await LlmPointwise(third_fails, concurrency=5).ascore("q", TEXTS)
    assert llm.now == 0
    assert llm.started <= 5


def test_a_failing_call_in_a_thread_drops_those_that_wait() -> None:
    llm, texts = InFlight(), [f"text {number}" for number in range(4000)]  # 20 seconds of work for two threads

    def first_fails(prompt: str) -> str:
        if "text 0" in prompt:
            raise ConnectionResetError("gone")
        return llm.sync(prompt)

    with pytest.raises(ConnectionResetError, match="gone"):
        LlmPointwise(first_fails, concurrency=2).score("q", texts)
    assert llm.now == 0
    assert llm.started < 3999


def test_a_model_serves_one_event_loop_after_the_other_and_holds_none() -> None:
    gate = Gate(1)
    model = LlmPointwise(InFlight().awaited, concurrency=1)
    for _ in range(3):
        assert asyncio.run(model.ascore("q", TEXTS[:3])) == [5.0] * 3
        asyncio.run(gate.aeach([_nothing, _nothing]))
    assert len(gate._loops) == 1  # the last; it goes when another comes


async def _nothing() -> None:
    await asyncio.sleep(0)


def test_stats_lose_nothing_between_threads() -> None:
    model = LlmPointwise(lambda prompt: "prose", concurrency=8, retries=0)
    model.score("q", ["a"] * 200)
    assert model.stats.calls == model.stats.bad["prose"] == model.stats.unusable == 200
