"""The engine behind the methods of `AsyncQdrantClient`: the same answers, in a thread of its own."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from qdrant_rerank import AsyncExecutor, Nearest, Query
from qdrant_rerank.edge import AsyncEdgeClient, EdgeClient
from qdrant_rerank.errors import ClientError, EngineError
from tests.edge.support import NAME, query_vectors

FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)
POINTS = [models.PointStruct(id=i, vector=[1.0, i], payload={"n": i}) for i in (1, 2, 3)]


async def test_it_answers_as_the_client_does(edge: EdgeClient) -> None:
    client = AsyncEdgeClient(edge)
    v = query_vectors()
    request: dict[str, Any] = {"query": v["dense"], "using": "dense", "limit": 7}
    assert (await client.query_points(NAME, **request)) == edge.query_points(NAME, **request)
    assert (await client.scroll(NAME, limit=5)) == edge.scroll(NAME, limit=5)
    assert (await client.query_points_groups(NAME, "doc", **request)) == edge.query_points_groups(NAME, "doc", **request)
    assert await client.get_collection(NAME) == edge.get_collection(NAME)
    assert await client.info() == edge.info()
    assert isinstance(client, AsyncQdrantClient)
    assert repr(client) == f"AsyncEdgeClient({edge!r})"
    await client.close()
    await client.close()
    assert edge.collection_exists(NAME)  # the client stays its owner's


async def test_it_makes_a_client_of_a_folder_and_closes_it(tmp_path: Path) -> None:
    async with AsyncEdgeClient(tmp_path / "one", collection="c") as client:
        await client.create_collection("c", FLAT)
        await client.upsert("c", POINTS)
        client.upload_points("c", [POINTS[0].model_copy(update={"id": 7})])
        client.upload_collection("c", [[1.0, 1.0]], ids=[8])
        assert (await client.count("c")).count == 5
        assert not await client.optimize("c")  # type: ignore[attr-defined]
        with pytest.raises(EngineError, match="Collection d not found"):
            await client.count("d")
        with pytest.raises(ClientError, match="EdgeClient has no list_snapshots"):
            await client.list_snapshots("c")
    with pytest.raises(ClientError, match=r"AsyncEdgeClient\(.*\) is closed: make a new one"):
        await client.count("c")
    with EdgeClient(tmp_path / "one", collection="c") as again:
        assert again.count("c").count == 5
        with pytest.raises(ClientError, match="collection= goes with a folder"):
            AsyncEdgeClient(again, collection="c")


async def test_an_executor_takes_it(edge: EdgeClient) -> None:
    query = Query(vectors={"dense": query_vectors()["dense"]})
    found = await AsyncExecutor(async_client=AsyncEdgeClient(edge), collection=NAME).retrieve(Nearest("dense"), query)
    assert [point.id for point in found] == [
        point.id for point in edge.query_points(NAME, query=query.vectors["dense"], using="dense").points
    ]


def test_calls_of_every_loop_run_in_one_thread_of_its_own(edge: EdgeClient) -> None:
    client = AsyncEdgeClient(edge)
    threads: set[str] = set()
    original = edge.count

    def count(*args: Any) -> Any:
        threads.add(threading.current_thread().name)
        return original(*args)

    async def several() -> None:
        await asyncio.gather(*(client._call("count", (NAME,), {}) for _ in range(5)))

    vars(edge)["count"] = count
    try:
        asyncio.run(several())
        asyncio.run(several())
    finally:
        del vars(edge)["count"]
    assert len(threads) == 1
    assert threads.pop().startswith("qdrant-edge")
    asyncio.run(client.close())


def test_every_method_is_there_and_awaited_where_it_is_in_qdrant_client(edge: EdgeClient) -> None:
    for name in dir(AsyncQdrantClient):
        theirs = getattr(AsyncQdrantClient, name)
        if name.startswith("_") or not callable(theirs) or isinstance(theirs, type):
            continue
        mine = getattr(AsyncEdgeClient, name)
        assert mine is not theirs, name
        assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(theirs), name
    client = AsyncEdgeClient(edge)
    with pytest.raises(ClientError, match="EdgeClient has no get_embedding_size"):
        client.get_embedding_size("a")
    assert copy.copy(client) is copy.deepcopy(client) is client
    with pytest.raises(ClientError, match="can't be pickled"):
        pickle.dumps(client)
