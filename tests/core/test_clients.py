"""Which client a call uses, and what is said where there is none that fits."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient

from qdrant_rerank import AsyncExecutor, Executor, Formula, Nearest, Query, SearchOptions, field, score
from qdrant_rerank._internals import Clients, client_options, engine_of, find_delay, grpc_port_of
from qdrant_rerank.errors import ClientError, PlanWarning
from qdrant_rerank.planning import Capabilities
from tests.engines import open_async_client
from tests.stub_qdrant import StubQdrant, collection
from tests.support import COLLECTION, QUERY, SCHEMA, encoders, ids, refused, toy_config, toy_points
from tests.waiting import forked, wait_until

ROOT = Path(__file__).parents[2]
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
    for options in (SearchOptions(5), SearchOptions(3, group_by="doc")):
        found = await asynchronous.retrieve(Nearest("colbert").over(Nearest("dense")), Query(QUERY), options)
        assert ids(found) == ids(executor.retrieve(Nearest("colbert").over(Nearest("dense")), Query(QUERY), options))


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
    own = ("grpc_options", "check_compatibility", "headers", "limits")
    assert {name: value for name, value in derived.init_options.items() if name not in own} == {
        name: value for name, value in client.init_options.items() if name not in own
    }
    assert derived.init_options["check_compatibility"] is False
    assert derived.init_options["api_key"] == "secret"
    assert derived.init_options["headers"] == {"X-Tenant": "a", "accept-encoding": "identity"}
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


OPTIONS: dict[str, Any] = {
    "port": 7001,
    "grpc_port": 7002,
    "prefer_grpc": True,
    "https": True,
    "api_key": "secret",
    "prefix": "p",
    "timeout": 7,
    "auth_token_provider": lambda: "token",
    "cloud_inference": True,
    "local_inference_batch_size": 3,
    "pool_size": 2,
    "headers": {"X-Tenant": "a"},
    "limits": httpx.Limits(max_connections=3),
    "verify": False,
    "http2": False,
    "metadata": {"X-More": "b"},
}


@pytest.mark.parametrize("name", OPTIONS)
async def test_each_option_carries_over_to_the_clients_that_are_made_here(name: str) -> None:
    client = QdrantClient(url="https://qdrant.invalid", **{name: OPTIONS[name]}, check_compatibility=False)
    derived: Any = Clients(client).asynchronous()
    if name == "headers":
        assert derived.init_options[name].items() >= OPTIONS[name].items()
    else:
        assert derived.init_options[name] is OPTIONS[name]
    ours, theirs = derived._client, cast(Any, client._client)
    for attribute in (
        "_port",
        "_grpc_port",
        "_prefer_grpc",
        "_scheme",
        "_prefix",
        "_timeout",
    ):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert {**ours._rest_headers, **theirs._rest_headers} == ours._rest_headers
    assert set(theirs._grpc_headers) <= set(ours._grpc_headers)
    await derived.close()


async def test_options_of_grpc_carry_over_and_it_comes_back_soon_after_an_outage() -> None:
    client = QdrantClient(url=URL, grpc_options={"grpc.max_receive_message_length": 5}, check_compatibility=False)
    assert "grpc.primary_user_agent" in client.init_options["grpc_options"]  # which qdrant-client writes, and warns of
    derived: Any = Clients(client).asynchronous()
    agent = derived.init_options["grpc_options"].pop("grpc.primary_user_agent")
    assert agent.startswith("python-client/")
    assert derived.init_options["grpc_options"] == {
        "grpc.max_receive_message_length": 5,
        "grpc.max_reconnect_backoff_ms": 2_000,
    }
    assert client_options({"grpc_options": {"grpc.max_reconnect_backoff_ms": 5}})["grpc_options"] == {
        "grpc.max_reconnect_backoff_ms": 5
    }


async def test_clients_that_are_made_here_keep_few_connections_and_ask_for_answers_without_compression() -> None:
    with StubQdrant(points=[{"id": 1, "score": 0.5}]) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        async with AsyncExecutor(client, "docs") as executor:
            for _ in range(3):
                await executor.retrieve(Nearest(), ASKED)
        assert {request.headers["accept-encoding"] for request in stub.received} == {"identity"}
        assert len({request.connection for request in stub.received}) == 1  # qdrant-client makes a new one for each here
        client.close()


def test_what_a_user_says_of_connections_stays_and_grpc_and_engines_in_process_get_nothing() -> None:
    limits, said = httpx.Limits(max_connections=3), {"Accept-Encoding": "br"}
    made = client_options({"url": URL})
    assert (made["headers"], made["limits"].max_connections) == ({"accept-encoding": "identity"}, 16)
    assert made["limits"].keepalive_expiry < 5  # a server's own: it would close a connection that is just used
    assert client_options({"limits": limits})["limits"] is limits
    assert "limits" not in client_options({"pool_size": 3})
    assert client_options({"headers": said})["headers"] is said
    assert "headers" not in client_options({"metadata": said})
    for alone in ({"prefer_grpc": True}, {"path": "folder"}, {"location": ":memory:"}):
        assert client_options(alone).keys() == {*alone, "check_compatibility", "grpc_options"}


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({"url": "http://db:6333"}, "db"),
        ({"location": "http://db:6333"}, "db"),
        ({"host": "db"}, "db"),
        ({"url": "http://db", "headers": {"X-Tenant": "a"}, "pool_size": 3}, "db"),
        ({"url": "http://127.0.0.1", "limits": httpx.Limits()}, "127.0.0.1"),
        ({"limits": httpx.Limits()}, "localhost"),
    ],
)
async def test_a_client_whose_answers_come_late_is_told_of_once(options: dict[str, Any], host: str) -> None:
    sync = QdrantClient(**options, check_compatibility=False)
    awaited = AsyncQdrantClient(**options, check_compatibility=False)
    mine = "{**your headers, " if "headers" in options else "{"
    for client, use in (
        (sync, lambda: Clients(sync).sync()),
        (awaited, lambda: Clients(None, awaited).asynchronous()),
    ):
        line = f'{type(client).__name__}(…, headers={mine}"accept-encoding": "identity"}})'
        with pytest.warns(PlanWarning, match=f"keeps its connections to {host} .*{re.escape(line)}"):
            assert use() is client
        assert use() is client  # by another executor: a warning would be an error


async def test_a_function_s_client_is_looked_at_too() -> None:
    clients = Clients(None, lambda: AsyncQdrantClient(url="http://db:6333", check_compatibility=False))
    with pytest.warns(PlanWarning, match="some 40 ms late"):
        clients.asynchronous()


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://localhost:6333"},
        {"url": "http://127.0.0.1:6333"},
        {},
        {"url": "http://db", "limits": httpx.Limits(max_keepalive_connections=0)},
        {"url": "http://db", "headers": {"Accept-Encoding": "identity"}},
        {"url": "http://db", "prefer_grpc": True},
        {"url": "http://db", "transport": httpx.HTTPTransport()},
        {"url": "https://db"},
        {"host": "db", "https": True},
        {"host": "db", "api_key": "secret"},
        {"location": ":memory:"},
    ],
)
def test_other_clients_are_not(options: dict[str, Any]) -> None:
    assert find_delay(QdrantClient(**options, check_compatibility=False)) is None


def test_what_is_no_client_of_a_server_is_not() -> None:
    assert find_delay(lambda: None) is None


async def test_what_can_not_be_awaited_is_refused_with_what_to_pass() -> None:
    client = QdrantClient(url=URL, transport=httpx.HTTPTransport(), check_compatibility=False)
    with refused(ClientError, "its transport can't be awaited", "async_client=AsyncQdrantClient(…)"):
        Clients(client).asynchronous()


@pytest.mark.parametrize(
    ("url", "port", "said", "expected"),
    [
        ("http://db:6333", None, None, 6334),
        ("http://db", None, None, 6334),
        ("db", None, None, 6334),
        ("db:6333", None, None, 6334),
        (None, None, None, 6334),
        ("https://u:p@db:6333/path", None, None, 6334),
        ("http://[::1]:6333", None, None, 6334),
        ("http://db:7000", None, 7001, 7001),
        ("http://db", 7000, 7001, 7001),
        ("http://db:6333", 7000, None, 6334),
    ],
)
def test_the_port_of_grpc_is_beside_6333_or_said(url: str | None, port: int | None, said: int | None, expected: int) -> None:
    assert grpc_port_of(url, port, said) == expected


@pytest.mark.parametrize(("url", "port"), [("http://db:7000", None), ("db:80", None), ("http://db", 443), (None, 6334)])
def test_beside_any_other_port_it_is_not_known(url: str | None, port: int | None) -> None:
    with refused(ClientError, "which port does gRPC have?", "may be another server's", "--grpc-port PORT"):
        grpc_port_of(url, port, None, "--grpc-port PORT")


ASKED = Query(vectors={"": [1.0, 0.0, 0.0, 0.0]})
# connections are kept alive, as with every host but this one; without compression, as the user would be told of it
KEPT: Any = {"limits": httpx.Limits(), "headers": {"accept-encoding": "identity"}}
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def is_closed(client: Any) -> bool:
    closed: bool = client._client.closed
    return closed


async def test_plans_know_whether_searches_are_sent_over_grpc() -> None:
    plain = QdrantClient(url=URL, check_compatibility=False)
    over_grpc = QdrantClient(url=URL, prefer_grpc=True, check_compatibility=False)
    awaited = AsyncQdrantClient(url=URL, prefer_grpc=True, check_compatibility=False)
    deep = score()
    for _ in range(35):
        deep = 2.0 * -deep
    strategy = Formula(deep).over(Nearest("dense", limit=5))
    for executor, over in ((Executor(plain, COLLECTION), False), (Executor(over_grpc, COLLECTION), True)):
        target = executor._learn(replace(SCHEMA, points=1), Capabilities((1, 18, 3)))
        assert any("and gRPC, which" in problem for problem in strategy.problems(target)) == over
    assert Clients(None, awaited).grpc
    assert not Clients(plain, lambda: awaited).grpc  # nobody knows yet
    for client in (plain, over_grpc):
        client.close()
    await awaited.close()


@forks
def test_a_forked_child_asks_by_connections_of_its_own() -> None:
    with StubQdrant(points=[{"id": 1, "score": 0.5}]) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False, **KEPT, timeout=7)
        executor = Executor(client, "docs")
        executor.retrieve(Nearest(), ASKED)
        connections = {request.connection for request in stub.received}

        def ask() -> None:
            assert ids(executor.retrieve(Nearest(), ASKED)) == [1]
            assert executor.clients.sync() is executor.clients.sync() is not client
            assert executor.clients.sync().init_options["timeout"] == 7
            assert ids(Executor(client, "docs").retrieve(Nearest(), ASKED)) == [1]  # made here, of the parent's client
            executor.close()

        assert forked(ask) == 0
        assert connections.isdisjoint(request.connection for request in stub.received[3:])
        executor.retrieve(Nearest(), ASKED)
        assert stub.received[-1].connection in connections  # the parent's go on
        client.close()


@forks
def test_async_calls_of_a_forked_child_do_too() -> None:
    with StubQdrant(points=[{"id": 1, "score": 0.5}]) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False, **KEPT)
        given = AsyncQdrantClient(url=stub.url, check_compatibility=False, **KEPT)
        executors = [AsyncExecutor(client, "docs"), AsyncExecutor(async_client=given, collection="docs")]

        async def ask() -> None:
            for executor in executors:
                assert ids(await executor.retrieve(Nearest(), ASKED)) == [1]
                assert ids(await executor.retrieve(Nearest(), ASKED)) == [1]
                assert executor.clients.asynchronous() is not given

        async def ask_and_fork() -> None:
            for executor in executors:
                await executor.retrieve(Nearest(), ASKED)
            known = {request.connection for request in stub.received}
            count = len(stub.received)
            assert forked(lambda: asyncio.new_event_loop().run_until_complete(ask())) == 0
            assert known.isdisjoint(request.connection for request in stub.received[count:])
            await executors[0].aclose()
            await given.close()

        ask_here = asyncio.new_event_loop()
        ask_here.run_until_complete(ask_and_fork())
        ask_here.close()
        client.close()


@forks
def test_where_no_other_client_can_be_made_the_child_is_told() -> None:
    client = QdrantClient(url=URL, transport=httpx.HTTPTransport(), check_compatibility=False)
    executor = Executor(client, COLLECTION)

    def ask() -> None:
        with refused(ClientError, "this QdrantClient belongs to another process", "make one here, where it is used"):
            executor.clients.sync()

    assert forked(ask) == 0
    assert executor.clients.sync() is client


@forks
@pytest.mark.engines("local", reason="about an engine that is a process's own")
def test_an_engine_in_process_is_copied_with_the_process(executor: Executor, toy: QdrantClient) -> None:
    expected = ids(executor.retrieve(Nearest("dense"), Query(QUERY)))

    def ask() -> None:
        assert ids(executor.retrieve(Nearest("dense"), Query(QUERY))) == expected
        assert executor.clients.sync() is toy

    assert forked(ask) == 0


async def test_what_a_forked_child_has_is_closed_there_and_the_parent_s_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    client = QdrantClient(url=URL, check_compatibility=False)
    given = AsyncQdrantClient(url=URL, check_compatibility=False)
    odd = QdrantClient(url=URL, transport=httpx.HTTPTransport(), check_compatibility=False)
    clients, other, lost = Clients(client), Clients(client, given), Clients(odd)
    before: Any = clients.asynchronous()
    monkeypatch.setattr("os.getpid", lambda: -1)  # as a child that was forked here would find it
    own, own_async = clients.sync(), other.asynchronous()
    assert own is not client
    assert own_async is not given
    assert clients.asynchronous() is not before
    with refused(ClientError, "belongs to another process or event loop"):
        lost.sync()
    await clients.aclose()
    await other.aclose()
    assert is_closed(own)
    assert is_closed(own_async)
    assert not is_closed(client)
    assert not is_closed(given)
    assert not is_closed(before)
    await given.close()
    await before.close()


def test_a_closed_executor_answers_nothing_and_leaves_what_it_was_given_open() -> None:
    with StubQdrant() as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        with Executor(client, "docs") as executor:
            executor.retrieve(Nearest(), ASKED)
        executor.close()
        with refused(ClientError, "this is closed", "after close() or aclose()"):
            executor.retrieve(Nearest(), ASKED)
        with refused(ClientError, "this is closed"):
            executor.clients.sync()
        assert not is_closed(client)
        Executor(client, "docs").retrieve(Nearest(), ASKED)
        client.close()


async def test_an_async_executor_closes_the_client_that_it_made_and_its_threads() -> None:
    with StubQdrant() as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        async with AsyncExecutor(client, "docs") as executor:
            await executor.retrieve(Nearest(), ASKED)
            made: Any = executor.clients.asynchronous()
        assert is_closed(made)
        assert not is_closed(client)
        await executor.aclose()
        for ask in (executor.retrieve(Nearest(), ASKED), executor.plan(Nearest())):
            with refused(ClientError, "this is closed"):
                await ask
        with refused(ClientError, "are closed"):
            executor.workers.submit(lambda: None)
        client.close()


async def test_what_a_function_made_is_closed_and_what_was_given_is_not() -> None:
    given = AsyncQdrantClient(url=URL, check_compatibility=False)
    executor = AsyncExecutor(async_client=given, collection=COLLECTION)
    executor.clients.asynchronous()
    await executor.aclose()
    assert not is_closed(given)
    await given.close()
    made: list[Any] = []

    def make() -> AsyncQdrantClient:
        client = AsyncQdrantClient(url=URL, check_compatibility=False)
        made.append(client)
        return client

    executor = AsyncExecutor(async_client=make, collection=COLLECTION)
    executor.clients.asynchronous()
    executor.close()  # in the loop itself, which closes it when it turns
    while not is_closed(made[0]):
        await asyncio.sleep(0.001)


def test_what_was_made_for_a_loop_is_closed_when_the_loop_ends() -> None:
    with StubQdrant(points=[{"id": 1, "score": 0.5}]) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        executor = AsyncExecutor(client, "docs")

        async def ask() -> Any:
            await executor.retrieve(Nearest(), ASKED)
            return executor.clients.asynchronous()

        assert is_closed(asyncio.run(ask()))  # nobody has closed the executor
        assert is_closed(asyncio.run(ask()))
        client.close()


class Noted(dict[str, str]):
    """Headers that note which thread makes a client of them."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers)
        self.threads: list[int] = []

    def items(self) -> Any:
        self.threads.append(threading.get_ident())
        return super().items()


async def test_the_first_async_call_makes_its_client_in_a_thread() -> None:
    with StubQdrant(points=[{"id": 1, "score": 0.5}]) as stub:
        headers = Noted({"accept-encoding": "identity"})
        client = QdrantClient(url=stub.url, check_compatibility=False, headers=headers)
        headers.threads.clear()
        async with AsyncExecutor(client, "docs") as executor:
            await executor.retrieve(Nearest(), ASKED)
            await executor.retrieve(Nearest(), ASKED)
        assert len(headers.threads) == 1
        assert headers.threads[0] != threading.get_ident()
        client.close()


FIRST_CALL = """
import asyncio, sys, threading
from qdrant_client import QdrantClient
from qdrant_rerank import AsyncExecutor, Nearest, Query
from tests.stub_grpc import StubGrpc
from tests.stub_qdrant import StubQdrant

grpc = sys.argv[1] == "gRPC"
blocked = []

def look(event, args):
    if looks and event in ("import", "open", "socket.getaddrinfo", "subprocess.Popen") and threading.get_ident() == loop:
        blocked.append((event, str(args[0])))

async def ask(url, port):
    global looks
    client = QdrantClient(url=url, grpc_port=port, prefer_grpc=grpc, check_compatibility=False)
    await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 1)  # which starts asyncio's own threads
    looks = True
    async with AsyncExecutor(client, "docs") as executor:
        await executor.retrieve(Nearest(), Query(vectors={"": [1.0, 0.0, 0.0, 0.0]}))
    looks = False
    client.close()

looks, loop = False, threading.get_ident()
sys.addaudithook(look)
with StubQdrant(points=[{"id": 1, "score": 0.5}]) as rest, StubGrpc() as stub:
    asyncio.run(ask(rest.url, stub.port))
print(*blocked, sep="\\n")
"""


@pytest.mark.parametrize("over", ["REST", "gRPC"])
def test_the_first_async_call_imports_and_reads_nothing_on_the_loop(over: str) -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_CALL, over], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("", "", 0)


async def test_of_two_that_are_made_at_once_one_is_kept_and_the_other_closed() -> None:
    client = QdrantClient(url=URL, check_compatibility=False)
    clients = Clients(client)
    await asyncio.gather(clients.prepare(), clients.prepare())
    kept: Any = clients.asynchronous()
    await clients.prepare()
    assert clients.asynchronous() is kept
    assert not is_closed(kept)
    await clients.aclose()
    assert is_closed(kept)
    client.close()


async def test_what_an_executor_that_is_let_go_of_has_made_is_closed() -> None:
    client = QdrantClient(url=URL, check_compatibility=False)
    executor = AsyncExecutor(client, COLLECTION)
    made: Any = executor.clients.asynchronous()
    del executor
    gc.collect()
    while not is_closed(made):
        await asyncio.sleep(0.001)
    client.close()


def test_clients_of_other_loops_are_closed_by_these_or_gone_with_them(toy: QdrantClient) -> None:
    client = QdrantClient(url=URL, check_compatibility=False)
    executor, local = AsyncExecutor(client, COLLECTION), AsyncExecutor(toy, COLLECTION, encoders=encoders())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def use() -> Any:
        await local.retrieve(Nearest("dense"), Query(QUERY))
        return executor.clients.asynchronous()

    made = asyncio.run_coroutine_threadsafe(use(), loop).result(30)
    ended = asyncio.new_event_loop()
    ended.run_until_complete(use())
    ended.close()
    executor.close()
    local.close()
    asyncio.run(local.aclose())
    wait_until(lambda: is_closed(made))
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(30)  # its task ends a turn later
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert toy.get_collections().collections


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


@pytest.mark.parametrize(("points", "tells"), [(999, False), (1000, True)])
def test_a_missing_payload_index_is_told_once_of_what_is_no_trial(points: int, tells: bool) -> None:
    strategy = Formula(score() + field("rating", default=0)).over(Nearest())
    found = [{"id": number, "score": 1.0, "payload": {"rating": 1}} for number in range(3)]
    with StubQdrant(found, {"docs": collection(points=points)}) as stub:
        executor = Executor(QdrantClient(url=stub.url, check_compatibility=False), "docs")
        query = Query(vectors={"": [1.0, 0.0, 0.0, 0.0]})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for limit in (3, 2):
                executor.retrieve(strategy, query, SearchOptions(limit))
            executor.refresh()
            executor.retrieve(strategy, query)
    told = [str(each.message) for each in caught]
    assert len(told) == tells
    assert all(
        re.search(r"'rating' has no payload index, .*ensure_indexes\(client, collection, strategy\)", each) for each in told
    )
