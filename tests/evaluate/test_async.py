"""The async evaluation measures the same, and blocks nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from qdrant_rerank import AsyncExecutor, Formula, Nearest, QdrantRerankError, StrategyError, param
from qdrant_rerank import score as search_score
from qdrant_rerank.evaluate import Topic, TopicFunction, Topics, aevaluate, evaluate
from tests.evaluate.worlds import DENSE, FUSED, QUESTIONS, client, encoders, executor, qrels, run_of, topics
from tests.support import refused

WHO: ContextVar[str] = ContextVar("who")


async def test_a_strategy_measures_the_same_as_synchronously() -> None:
    made = client()
    asynchronous = AsyncExecutor(made, "notes", encoders=encoders())
    expected = evaluate(FUSED, topics(), qrels(), executor=executor(made))
    for options in ({}, {"batch_size": 3}, {"concurrency": 2}):
        found = await aevaluate(FUSED, topics(), qrels(), executor=asynchronous, **options)  # type: ignore[arg-type]
        assert found.values == expected.values
        assert [answer.usage for answer in found.run.values()] == [answer.usage for answer in expected.run.values()]
    assert found.costs.p50_ms is not None


async def test_a_failure_is_counted_or_raised_as_it_is() -> None:
    asynchronous = AsyncExecutor(client(), "notes", encoders=encoders())
    boosted = Formula(search_score() + param("boost")).over(Nearest("dense", limit=6))
    rich = Topics(Topic(id, text, {} if id == "q3" else {"boost": 0.0}) for id, text in QUESTIONS.items())
    for batch_size in (1, 4):
        found = await aevaluate(boosted, rich, qrels(), executor=asynchronous, batch_size=batch_size, on_error="count")
        assert list(found.coverage.failed) == ["q3"]
    with refused(QdrantRerankError, "boost"):
        await aevaluate(boosted, rich, qrels(), executor=asynchronous, on_error="raise", concurrency=4)


async def test_a_foreign_retriever_that_fails_counts_zero() -> None:
    async def search(text: str) -> list[str]:
        if "hut" in text:
            raise LookupError("no route")
        return ["train"]

    found = await aevaluate(search, topics(), qrels(), ["RR"], on_error="count")
    assert found.coverage.failed == {"q2": "LookupError: no route"}


async def test_no_more_are_asked_at_a_time_than_allowed() -> None:
    running, most = 0, 0

    async def search(topic: Topic) -> list[str]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return ["train"]

    await aevaluate(TopicFunction(search), topics(), qrels(), concurrency=3)
    assert most == 3


class Fixed(BaseRetriever):
    """A retriever without a native async method; LangChain gives it one."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document("x", id="train")]


async def test_retrievers_are_awaited_and_functions_run_in_threads() -> None:
    assert (await aevaluate(Fixed(), topics(), qrels(), ["RR"])).values["RR"]["q1"] == 1.0
    assert (await aevaluate(lambda text: ["train"], topics(), qrels(), ["RR"])).values["RR"]["q1"] == 1.0

    async def later(text: str) -> list[str]:
        return ["ferry"]

    assert (await aevaluate(later, topics(), qrels(), ["RR"])).values["RR"]["q3"] == 1.0
    with refused(StrategyError, "await aevaluate"):
        evaluate(later, topics(), qrels())


async def test_progress_is_on_the_event_loop_and_what_blocks_sees_the_callers_context_in_a_thread() -> None:
    loop, threads, told = threading.get_ident(), set[int](), list[tuple[int, int]]()

    def search(text: str) -> Iterator[str]:
        threads.add(threading.get_ident())
        yield WHO.get()  # a generator's work is done in the thread too, and timed

    token = WHO.set("train")
    found = await aevaluate(
        search, topics(), qrels(), ["RR"], progress=lambda done, _: told.append((done, threading.get_ident())), concurrency=2
    )
    WHO.reset(token)
    assert found.values["RR"]["q1"] == 1.0
    assert loop not in threads
    assert told == [(done, loop) for done in range(1, len(QUESTIONS) + 1)]


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_cancelling_it_cancels_what_is_asked_and_lets_go_of_the_file(tmp_path: Path, concurrency: int) -> None:
    asked, cancelled, waiting, hangs = list[str](), list[str](), asyncio.Event(), True

    async def search(text: str) -> list[str]:
        asked.append(text)
        if len(asked) > 1 and hangs:
            waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(text)
                raise
        return ["train"]

    file = tmp_path / "run.jsonl"
    measuring = asyncio.create_task(aevaluate(search, topics(), qrels(), run_file=file, name="x", concurrency=concurrency))
    await asyncio.wait_for(waiting.wait(), 10)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert set(cancelled) == set(asked[1:])
    hangs, before = False, len(asked)
    await aevaluate(search, topics(), qrels(), run_file=file, name="x")
    assert len(asked) - before == len(QUESTIONS) - 1


async def test_a_loop_that_closes_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    async def search(text: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError("never")

    def run_and_leave() -> None:
        async def leave() -> None:
            measuring = asyncio.create_task(
                aevaluate(search, topics(), qrels(), run_file=tmp_path / "run.jsonl", name="by hand")
            )
            await asyncio.sleep(0)
            assert not measuring.done()

        asyncio.run(leave())  # it cancels what is left

    await asyncio.to_thread(run_and_leave)
    with pytest.raises(TimeoutError):  # the file is free
        await asyncio.wait_for(aevaluate(search, topics(), qrels(), run_file=tmp_path / "run.jsonl", name="by hand"), 0.05)


async def test_an_executor_of_the_other_kind_is_refused() -> None:
    made = client()
    with refused(StrategyError, "use evaluate"):
        await aevaluate((DENSE, executor(made)), topics(), qrels())
    with refused(StrategyError, "await aevaluate"):
        evaluate((DENSE, AsyncExecutor(made, "notes", encoders=encoders())), topics(), qrels())


async def test_it_can_be_resumed_and_finished_runs_be_measured(tmp_path: Path) -> None:
    asked: list[str] = []

    async def search(text: str) -> list[str]:
        asked.append(text)
        return ["train"]

    for _ in range(2):
        await aevaluate(search, topics(), qrels(), run_file=tmp_path / "run.jsonl", name="by hand")
    assert asked == list(QUESTIONS.values())
    assert (await aevaluate(run_of({"q1": ["train"]}), topics(), qrels())).values["RR"]["q1"] == 1.0
