"""How often Qdrant is called: once for each question, however deep the strategy."""

from __future__ import annotations

import pytest

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    Query,
    SearchOptions,
    Strategy,
    field,
    score,
)
from qdrant_rerank.models import Encoders
from tests.engines import skip_on_shards
from tests.support import COLLECTION, QUERY, CountingClient, colbert, dense, encoders, fill_toy

STRATEGIES: dict[str, Strategy] = {
    "nearest": Nearest(),
    "sparse": Nearest("bm25"),
    "rescoring": Nearest("colbert").over(Nearest("dense")),
    "fusion": Fusion.rrf(k=3, weights=[2, 1]).over(Nearest("dense"), Nearest("bm25")),
    "formula": Formula(score() + 0.1 * field("rating", default=1)).over(Nearest("dense")),
    "formula without defaults": Formula(score() + field("popularity")).over(Nearest("dense")),
    "mmr": Mmr().over(Fusion.dbsf().over(Nearest("dense"), Nearest("colbert").over(Nearest("bm25")))),
}


@pytest.fixture
def client() -> CountingClient:
    client = CountingClient()
    fill_toy(client)
    client.calls.clear()
    return client


def one_more_for_mmr_on_shards(name: str) -> None:
    if name == "mmr":
        skip_on_shards("on several shards MMR asks for its candidates first, which plans tell")


all_strategies = pytest.mark.parametrize("name", STRATEGIES)


@all_strategies
def test_a_query_is_one_round_trip(client: CountingClient, name: str) -> None:
    one_more_for_mmr_on_shards(name)
    executor = Executor(client, COLLECTION, encoders=encoders())
    executor.plan(STRATEGIES[name])
    assert client.calls == ["info", "get_collection"]
    for _ in range(3):
        client.calls.clear()
        assert executor.retrieve(STRATEGIES[name], Query(QUERY))
        assert len(client.calls) == 1 == STRATEGIES[name].cost.round_trips


@all_strategies
async def test_an_async_query_is_one_round_trip(client: CountingClient, name: str) -> None:
    one_more_for_mmr_on_shards(name)
    executor = AsyncExecutor(client, COLLECTION, encoders=encoders())
    await executor.plan(STRATEGIES[name])
    client.calls.clear()
    assert await executor.retrieve(STRATEGIES[name], Query(QUERY))
    assert len(client.calls) == 1


@all_strategies
async def test_twenty_queries_are_one_round_trip(client: CountingClient, name: str) -> None:
    one_more_for_mmr_on_shards(name)
    queries = [Query(f"{QUERY} {number}") for number in range(20)]
    executor = Executor(client, COLLECTION, encoders=encoders())
    executor.plan(STRATEGIES[name])
    client.calls.clear()
    assert len(executor.retrieve_batch(STRATEGIES[name], queries)) == 20
    assert client.calls == ["query_batch_points"]
    asynchronous = AsyncExecutor(client, COLLECTION, encoders=encoders())
    await asynchronous.plan(STRATEGIES[name])
    client.calls.clear()
    assert len(await asynchronous.retrieve_batch(STRATEGIES[name], queries)) == 20
    assert client.calls == ["query_batch_points"]


async def test_an_empty_batch_asks_nothing(client: CountingClient) -> None:
    executor = Executor(client, COLLECTION)
    assert executor.retrieve_batch(Nearest(), []) == []
    assert await AsyncExecutor(client, COLLECTION).retrieve_batch(Nearest(), []) == []
    assert set(client.calls) == {"info", "get_collection"}


def test_each_query_for_groups_is_a_round_trip(client: CountingClient) -> None:
    executor = Executor(client, COLLECTION, encoders=encoders())
    executor.plan(Nearest())
    client.calls.clear()
    executor.retrieve_batch(Nearest(), [Query(QUERY)] * 3, SearchOptions(2, group_by="doc"))
    assert client.calls == ["query_points_groups"] * 3


def test_the_schema_is_read_once_for_all_strategies_and_scopes(client: CountingClient) -> None:
    executor = Executor(client, COLLECTION, encoders=encoders())
    for strategy in STRATEGIES.values():
        for options in (SearchOptions(1), SearchOptions(2)):
            executor.retrieve(strategy, Query(QUERY), options)
    assert client.calls.count("get_collection") == client.calls.count("info") == 1
    executor.refresh()
    executor.retrieve(Nearest(), Query(QUERY))
    assert client.calls.count("get_collection") == 2


def test_vectors_that_the_query_brings_need_no_encoder_and_others_are_embedded_once(client: CountingClient) -> None:
    asked: list[str] = []

    def noted(text: str) -> list[list[float]]:
        asked.append(text)
        return colbert(text)

    executor = Executor(client, COLLECTION, encoders=Encoders.of({"colbert": noted}))
    strategy = Nearest("colbert").over(Nearest("colbert", limit=30).over(Nearest("dense")))
    executor.retrieve(strategy, Query(QUERY, {"dense": dense(QUERY)}))
    assert asked == [QUERY]
