"""Which client a call uses, and what is said where there is none that fits."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient

from qdrant_rerank import AsyncExecutor, Capabilities, ClientError, Executor, Nearest, Query, Scope
from qdrant_rerank.clients import Clients, engine_of
from tests.engines import open_async_client
from tests.support import COLLECTION, QUERY, encoders, ids, refused, toy_config, toy_points

URL = "https://qdrant.invalid:6333"  # never connected to


def test_no_client_at_all_is_refused() -> None:
    with refused(ClientError, "a Qdrant client is needed", "client=QdrantClient(…)", "async_client=AsyncQdrantClient(…)"):
        Executor()


async def test_clients_in_each_others_place_are_refused() -> None:
    asynchronous, sync = AsyncQdrantClient(":memory:"), QdrantClient(":memory:")
    with refused(ClientError, "client= takes a QdrantClient", "pass it as async_client="):
        Executor(asynchronous, COLLECTION)  # type: ignore[arg-type]
    with refused(ClientError, "async_client= takes an AsyncQdrantClient", "pass it as client="):
        AsyncExecutor(async_client=sync, collection=COLLECTION)  # type: ignore[arg-type]


async def test_a_sync_call_with_only_an_async_client_says_what_to_do() -> None:
    executor = Executor(None, COLLECTION, async_client=open_async_client(), encoders=encoders())
    with refused(ClientError, "there is only an async client", "await the async method", "client=QdrantClient(…) as well"):
        executor.retrieve(Nearest(), Query(QUERY))


def test_engines_are_told_apart(tmp_path: Path) -> None:
    remote = QdrantClient(url=URL, check_compatibility=False)
    on_disk = QdrantClient(path=str(tmp_path / "store"))
    assert [engine_of(client) for client in (remote, QdrantClient(":memory:"), on_disk)] == ["server", "local", "local"]
    assert engine_of(lambda: None) == "server"  # a function that makes clients: nothing is made to find out
    assert str(Capabilities.of("1.20.0", "local")) == "qdrant-client 1.20.0 (local mode)"
    assert str(Capabilities.of("1.19.2", "edge")) == "qdrant-edge (Qdrant 1.19.2 in process)"
    on_disk.close()


async def filled() -> AsyncQdrantClient:
    client = open_async_client()
    await client.create_collection(COLLECTION, **toy_config())
    await client.upsert(COLLECTION, toy_points())
    return client


async def test_an_async_client_finds_what_a_sync_one_does(executor: Executor) -> None:
    asynchronous = AsyncExecutor(async_client=await filled(), collection=COLLECTION, encoders=encoders())
    for scope in (Scope(5), Scope(3, group_by="doc")):
        found = await asynchronous.retrieve(Nearest("colbert").over(Nearest("dense")), Query(QUERY), scope)
        assert ids(found) == ids(executor.retrieve(Nearest("colbert").over(Nearest("dense")), Query(QUERY), scope))


async def test_a_sync_client_answers_async_calls_too(toy: QdrantClient, executor: Executor) -> None:
    asynchronous = AsyncExecutor(toy, COLLECTION, encoders=encoders())
    assert ids(await asynchronous.retrieve(Nearest(), Query(QUERY))) == ids(executor.retrieve(Nearest(), Query(QUERY)))


def test_a_function_makes_one_async_client_for_each_event_loop(executor: Executor) -> None:
    made: list[AsyncQdrantClient] = []

    def make() -> AsyncQdrantClient:
        made.append(open_async_client())
        return made[-1]

    asynchronous = AsyncExecutor(async_client=make, collection=COLLECTION, encoders=encoders())

    async def twice() -> list[Any]:
        client: Any = asynchronous.clients.asynchronous()
        await client.create_collection(COLLECTION, **toy_config())
        await client.upsert(COLLECTION, toy_points())
        return [ids(await asynchronous.retrieve(Nearest(), Query(QUERY))) for _ in range(2)]

    expected = ids(executor.retrieve(Nearest(), Query(QUERY)))
    assert asyncio.run(twice()) == [expected, expected]
    assert len(made) == 1
    assert asyncio.run(twice()) == [expected, expected]
    assert len(made) == 2


def test_a_client_made_for_a_loop_goes_with_it() -> None:
    clients = Clients(None, open_async_client)

    async def use() -> None:
        clients.asynchronous()

    asyncio.run(use())
    gc.collect()
    assert len(clients._by_loop) == 0


async def test_the_async_client_of_a_server_is_made_from_the_sync_ones_options() -> None:
    client = QdrantClient(
        url=URL, api_key="secret", timeout=7, prefix="p", headers={"X-Tenant": "a"}, check_compatibility=False, verify=False
    )
    derived: Any = Clients(client).asynchronous()
    assert isinstance(derived, AsyncQdrantClient)
    assert derived.init_options == client.init_options
    assert derived.init_options["check_compatibility"] is False
    assert derived.init_options["api_key"] == "secret"
    assert Clients(client).asynchronous() is not derived


async def test_the_derived_client_never_checks_compatibility_by_a_request() -> None:
    options = QdrantClient(url=URL, check_compatibility=False).init_options

    class Checked(QdrantClient):
        @property
        def init_options(self) -> dict[str, Any]:
            return options | {"check_compatibility": True}

    derived: Any = Clients(Checked(":memory:")).asynchronous()
    assert derived.init_options["check_compatibility"] is False


async def test_the_same_loop_gets_the_same_client(toy: QdrantClient) -> None:
    clients = Clients(toy)
    assert clients.asynchronous() is clients.asynchronous()
    given = open_async_client()
    assert Clients(toy, given).asynchronous() is given


VERSIONS = {
    "1.17.2": (1, 17, 2),
    "v1.20.0-dev": (1, 20, 0),
    "1.16": (1, 16, 0),
    "10.2.30+build": (10, 2, 30),
    "1.20.0.1": (1, 20, 0),
}


@pytest.mark.parametrize("text", VERSIONS)
def test_a_version_is_read(text: str) -> None:
    assert Capabilities.of(text).version == VERSIONS[text]


@pytest.mark.parametrize("text", ["", "dev", "1", "latest", "x1.2", "-1.2.3", "one.two.three"])
def test_a_version_without_a_number_says_how_to_give_one(text: str) -> None:
    with refused(ClientError, f"can't tell what Qdrant {text!r} can do", "capabilities=Capabilities.of('1.20.0')"):
        Capabilities.of(text)


def test_given_capabilities_are_not_asked_for(toy: QdrantClient) -> None:
    executor = Executor(toy, COLLECTION, capabilities=Capabilities.of("1.12.0", "local"))
    assert str(executor.target().capabilities) == "qdrant-client 1.12.0 (local mode)"
