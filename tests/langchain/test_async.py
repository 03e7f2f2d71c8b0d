"""Async calls over REST: native, side by side, with one client for each event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import SearchOptions
from tests.langchain.support import QUERY, WordEmbeddings
from tests.stub_qdrant import Received, StubQdrant, collection
from tests.waiting import PATIENCE

POINTS = [{"id": number, "score": 0.5, "payload": {"page_content": "text"}} for number in (1, 2)]


@pytest.fixture
def stub() -> Iterator[StubQdrant]:
    with StubQdrant(POINTS, {"docs": collection({"dense": 4})}) as server:
        yield server


def over(stub: StubQdrant, **settings: Any) -> QdrantRerankRetriever:
    """A retriever over the stub, by URL alone."""
    return QdrantRerankRetriever.from_existing_collection("docs", url=stub.url, embedding=WordEmbeddings(), **settings)


class _NoThreads(ThreadPoolExecutor):
    """What an event loop hands blocking work to; refuses any."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("work was handed to a thread")


async def test_async_calls_need_no_thread(stub: StubQdrant) -> None:
    retriever = over(stub)
    asyncio.get_running_loop().set_default_executor(_NoThreads(1))
    assert len(await retriever.ainvoke(QUERY)) == 2
    assert len(await retriever.asearch_batch([QUERY, "b"])) == 2
    assert len(await retriever.ainvoke(QUERY, options=SearchOptions(group_by="metadata.doc"))) == 2


class Patient(StubQdrant):
    """Answers no search before three of them wait."""

    def __init__(self) -> None:
        super().__init__(POINTS, {"docs": collection({"dense": 4})})
        self.all_there = threading.Barrier(3)

    def answer(self, request: Received) -> tuple[int, Any]:
        if request.path.endswith("/points/query"):
            self.all_there.wait(timeout=PATIENCE)
        return super().answer(request)


async def test_async_calls_wait_for_the_server_side_by_side() -> None:
    with Patient() as stub:
        retriever = over(stub)
        answers = await asyncio.gather(*(retriever.ainvoke(text) for text in "abc"))
    assert [len(answer) for answer in answers] == [2, 2, 2]


def _async_clients() -> int:
    return sum(type(each) is AsyncQdrantClient for each in gc.get_objects())


def test_async_calls_make_one_client_for_each_event_loop(stub: StubQdrant) -> None:
    retriever = over(stub)

    async def three_calls() -> int:
        gc.collect()
        before = _async_clients()
        for _ in range(3):
            await retriever.ainvoke(QUERY)
        return _async_clients() - before

    assert [asyncio.run(three_calls()) for _ in range(2)] == [1, 1]


def test_a_function_that_makes_async_clients_is_called_once_for_each_event_loop(stub: StubQdrant) -> None:
    made: list[AsyncQdrantClient] = []

    def factory() -> AsyncQdrantClient:
        made.append(AsyncQdrantClient(url=stub.url, check_compatibility=False))
        return made[-1]

    retriever = QdrantRerankRetriever(async_client=factory, collection_name="docs", embedding=WordEmbeddings())

    async def two_calls() -> None:
        await retriever.ainvoke(QUERY)
        await retriever.ainvoke(QUERY)

    asyncio.run(two_calls())
    asyncio.run(two_calls())
    assert len(made) == 2


async def test_an_async_client_of_the_user_is_the_one_that_is_used(stub: StubQdrant) -> None:
    client = AsyncQdrantClient(url=stub.url, check_compatibility=False, headers={"x-mine": "yes"})
    await over(stub, async_client=client).ainvoke(QUERY)
    assert {request.headers.get("x-mine") for request in stub.received} == {"yes"}
    await client.close()
