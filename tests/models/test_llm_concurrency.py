"""How many calls are under way at once, and what ends them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from qdrant_rerank.models.llm import LlmListwise, LlmPointwise
from qdrant_rerank.models.llm.gate import Gate
from tests.models.llms import Completes

TEXTS = [f"text {number}" for number in range(12)]


class InFlight:
    """An LLM that answers after a moment and knows how many calls were under way at once."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
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
            time.sleep(self.seconds)
        finally:
            self.leave()
        return "5"

    async def awaited(self, prompt: str) -> str:
        self.enter()
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.leave()
        return "5"


def test_no_more_calls_than_allowed_are_under_way_in_threads_however_many_score_at_once() -> None:
    llm = InFlight()
    model = LlmPointwise(llm.sync, concurrency=3)
    with ThreadPoolExecutor(2) as pool:
        for scores in pool.map(lambda _: model.score("q", TEXTS), range(2)):
            assert scores == [5.0] * 12
    assert llm.most == 3
    assert llm.started == 24


async def test_no_more_calls_than_allowed_are_under_way_in_an_event_loop() -> None:
    llm = InFlight()
    model = LlmPointwise(llm.awaited, concurrency=3)
    await asyncio.gather(model.ascore("q", TEXTS), model.ascore("q", TEXTS))
    assert (llm.most, llm.started) == (3, 24)


async def test_a_sync_llm_under_async_runs_in_threads_of_its_own_and_leaves_the_loop_free() -> None:
    llm = InFlight(0.05)
    model = LlmPointwise(llm.sync, concurrency=4)
    scoring = asyncio.ensure_future(model.ascore("q", TEXTS))
    ticks = 0
    while not scoring.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert scoring.result() == [5.0] * 12
    assert ticks > 5
    assert llm.most == 4


async def test_a_llama_index_llm_with_sync_methods_only_leaves_the_loop_free() -> None:
    llm = InFlight(0.05)
    scoring = asyncio.ensure_future(LlmPointwise(Completes(answer=llm.sync), concurrency=4).ascore("q", TEXTS))
    ticks = 0
    while not scoring.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert scoring.result() == [5.0] * 12
    assert ticks > 5
    assert 1 < llm.most <= 4


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
    llm = InFlight(5)
    scoring = asyncio.ensure_future(LlmPointwise(llm.awaited, concurrency=3).ascore("q", TEXTS))
    while llm.now < 3:
        await asyncio.sleep(0)
    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring
    assert (llm.now, llm.started, llm.ended) == (0, 3, 3)


async def test_cancelling_a_listwise_model_ends_its_call() -> None:
    llm = InFlight(5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(LlmListwise(llm.awaited).ascore("q", TEXTS), 0.02)
    assert (llm.now, llm.started) == (0, 1)


async def test_a_failing_call_cancels_the_others_and_its_error_comes_as_it_is() -> None:
    llm = InFlight(5)

    async def third_fails(prompt: str) -> str:
        if "text 2" in prompt:
            raise ConnectionResetError("gone")
        return await llm.awaited(prompt)

    with pytest.raises(ConnectionResetError, match="gone"):
        await LlmPointwise(third_fails, concurrency=5).ascore("q", TEXTS)
    assert llm.now == 0
    assert llm.started <= 5


def test_a_failing_call_in_a_thread_drops_those_that_wait() -> None:
    llm = InFlight(0.02)

    def first_fails(prompt: str) -> str:
        if "text 0" in prompt:
            raise ConnectionResetError("gone")
        return llm.sync(prompt)

    with pytest.raises(ConnectionResetError, match="gone"):
        LlmPointwise(first_fails, concurrency=2).score("q", TEXTS)
    assert llm.now == 0
    assert llm.started < 6


def test_a_model_serves_one_event_loop_after_the_other_and_holds_none() -> None:
    gate = Gate(1)
    model = LlmPointwise(InFlight(0.001).awaited, concurrency=1)
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
