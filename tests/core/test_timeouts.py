"""A deadline, and every kind of strategy, sync and async, on servers that hang and drip and models that hang."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import AsyncExecutor, Executor, Nearest, PlanWarning, Query, Rerank, SearchOptions, TimeoutError
from qdrant_rerank.models import Encoders
from tests.slow_qdrant import (
    LIMIT,
    LONGER,
    READ_BY_A_MODEL,
    STRATEGIES,
    AwaitedModel,
    HangingModel,
    How,
    SlowQdrant,
    all_at_once,
    all_awaited,
    check_ends,
)
from tests.stub_grpc import StubGrpc
from tests.support import ids

QUERY = Query("quick brown fox", {"dense": [1.0, 0.0, 0.0, 0.0]})
SCOPE, LATER = SearchOptions(3, timeout=LIMIT), SearchOptions(3, timeout=LONGER)


def over(server: SlowQdrant) -> QdrantClient:
    return QdrantClient(url=server.url, check_compatibility=False, verify=False)  # reads no certificates: they take long


def scores(query: str, texts: Any) -> list[float]:
    return [float(number) for number, _ in enumerate(texts)]


async def outcomes(ask: Callable[[Any, str], Any], make: Callable[[type[Any]], Any], names: Any) -> list[dict[str, object]]:
    """What sync and async calls of these strategies end in, each with an executor of its own."""
    sync, awaited = ({name: make(kind) for name in names} for kind in (Executor, AsyncExecutor))
    for executor in sync.values():
        executor.target()  # nothing is measured here: what comes before the step that hangs is to take no time
    for executor in awaited.values():
        await executor.target()
    return [
        all_at_once({name: partial(ask, executor, name) for name, executor in sync.items()}),
        await all_awaited({name: partial(ask, executor, name) for name, executor in awaited.items()}),
    ]


@pytest.mark.parametrize("how", ["hangs", "drips"])
async def test_a_search_that_hangs_or_drips_is_given_up(how: How) -> None:
    with SlowQdrant(how) as server:
        client = over(server)

        def make(kind: type[Any]) -> Any:
            return kind(client, "docs", reranker=scores)

        def ask(executor: Any, name: str) -> Any:
            return executor.retrieve(STRATEGIES[name], QUERY, SCOPE)

        def ask_batch(executor: Any, name: str) -> Any:
            return executor.retrieve_batch(STRATEGIES[name], [QUERY, QUERY], SCOPE)

        def ask_groups(executor: Any, name: str) -> Any:
            return executor.retrieve(STRATEGIES[name], QUERY, SearchOptions(3, timeout=LIMIT, group_by="doc"))

        for ended in await outcomes(ask, make, STRATEGIES):
            check_ends(ended, "searching$")
        for ended in await outcomes(ask_batch, make, ["fusion"]):
            check_ends(ended, r"searching \(2 requests\)$")
        for ended in await outcomes(ask_groups, make, ["nearest"]):
            check_ends(ended, "searching$")


@pytest.mark.parametrize("how", ["hangs", "drips"])
async def test_a_second_round_is_given_up_too(how: How) -> None:
    for name in READ_BY_A_MODEL[1:]:
        servers = [SlowQdrant(how, after=1) for _ in range(2)]  # each counts its searches for itself
        with servers[0], servers[1]:
            waiting = iter(servers)

            def make(kind: type[Any], waiting: Iterator[SlowQdrant] = waiting) -> Any:
                return kind(over(next(waiting)), "docs", reranker=scores)

            for ended in await outcomes(lambda e, name: e.retrieve(STRATEGIES[name], QUERY, LATER), make, [name]):
                check_ends(ended, "searching$", LONGER)
            assert [len(server.searches) for server in servers] == [2, 2]


async def test_a_schema_that_can_not_be_read_ends_all_calls_in_time() -> None:
    with SlowQdrant("hangs at first") as server:
        executors = {kind: kind(over(server), "docs", reranker=scores) for kind in (Executor, AsyncExecutor)}
        calls = {
            kind: {name: partial(executor.retrieve, STRATEGIES[name], QUERY, SCOPE) for name in STRATEGIES}
            for kind, executor in executors.items()
        }
        for ended in (all_at_once(calls[Executor]), await all_awaited(calls[AsyncExecutor])):  # type: ignore[arg-type]
            check_ends(ended, "reading the schema of 'docs'$")
        assert len(server.received) <= 2  # one read for all sync calls, one for all async ones, as far as they came


@pytest.mark.parametrize("model", [HangingModel, AwaitedModel])
async def test_a_model_that_hangs_is_given_up(model: type[HangingModel]) -> None:
    with SlowQdrant("hangs", after=100) as server:
        hanging, client = model(), over(server)

        def make(kind: type[Any]) -> Any:
            return kind(client, "docs", reranker=hanging)

        def make_encoder(kind: type[Any]) -> Any:
            return kind(client, "docs", encoders=Encoders({"dense": hanging}), reranker=scores)

        for ended in await outcomes(lambda e, name: e.retrieve(STRATEGIES[name], QUERY, LATER), make, READ_BY_A_MODEL):
            check_ends(ended, "scoring 5 texts$", LONGER)
        asked = Query("quick brown fox")
        for ended in await outcomes(lambda e, name: e.retrieve(STRATEGIES[name], asked, SCOPE), make_encoder, STRATEGIES):
            check_ends(ended, "embedding the query for 'dense'$")
        hanging.free.set()


async def test_with_keep_order_a_model_that_hangs_leaves_the_search_s_order() -> None:
    strategy, hanging = Rerank(reads=5, on_error="keep_order").over(Nearest("dense")), HangingModel()
    with SlowQdrant("hangs", after=100) as server:

        def make(kind: type[Any]) -> Any:
            return kind(over(server), "docs", reranker=hanging)

        with pytest.warns(PlanWarning, match=r"the model failed \(TimeoutError\)"):
            ended: Any = await outcomes(lambda e, _: e.retrieve(strategy, QUERY, LATER), make, ["kept"])
        assert [ids(each["kept"]) for each in ended] == [[1, 2, 3], [1, 2, 3]]
    hanging.free.set()


async def test_a_full_pool_ends_in_waiting_for_a_worker() -> None:
    hanging = HangingModel()
    with SlowQdrant("hangs", after=100) as server:
        client = over(server)
        executors: list[Any] = [kind(client, "docs", reranker=hanging) for kind in (Executor, AsyncExecutor)]
        executors[0].target()
        await executors[1].target()
        for executor in executors:
            for _ in range(executor.workers.size):
                executor.workers.submit(lambda: hanging.free.wait(60))
        ask = {"rerank": partial(executors[0].retrieve, STRATEGIES["rerank"], QUERY, SCOPE)}
        check_ends(all_at_once(ask), r"waiting for a worker for .* \(all 16 are busy")
        ask = {"rerank": partial(executors[1].retrieve, STRATEGIES["rerank"], QUERY, LATER)}
        check_ends(await all_awaited(ask), r"waiting for a worker for scoring 5 texts \(all 16 are busy", LONGER)
    hanging.free.set()


def test_over_grpc_too() -> None:
    with StubGrpc() as stub:
        client = QdrantClient(url="http://127.0.0.1", grpc_port=stub.port, prefer_grpc=True, check_compatibility=False)
        executor, query = Executor(client, "docs"), Query(vectors={"": [1.0, 0.0, 0.0, 0.0]})
        assert ids(executor.retrieve(Nearest(), query, SearchOptions(3, timeout=30))) == [1]
        stub.held.clear()
        with pytest.raises(TimeoutError, match="while searching"):
            executor.retrieve(Nearest(), query, SCOPE)
        stub.held.set()
        assert [request.timeout for request in stub.searches] == [30, 1]
        client.close()
