"""Collections whose shards the user names: filled and searched by key; needs a server in distributed mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import AsyncExecutor, Executor, Formula, Fusion, Nearest, Query, Scope, field, score
from tests.engines import Engine, open_client
from tests.support import COLLECTION, QUERY, encoders, ids, toy_config, toy_points

STRATEGIES = {
    "nearest": Nearest("dense"),
    "fused": Fusion.rrf().over(Nearest("dense", limit=20), Nearest("bm25", limit=20)),
    "a formula": Formula(score() + field("popularity", default=0)).over(Nearest("dense", limit=24)),
}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[QdrantClient]:
    """The toy collection over two named shards: even points are of one, odd points of the other."""
    made = open_client()
    try:
        made.create_collection(COLLECTION, **toy_config(), sharding_method="custom")  # type: ignore[arg-type]
        for key in ("even", "odd"):
            made.create_shard_key(COLLECTION, key)
    except Exception as error:
        if "istributed" in str(getattr(error, "content", error)):
            pytest.skip("shard keys need a server in distributed mode")
        raise
    for key, rest in (("even", 0), ("odd", 1)):
        made.upsert(COLLECTION, [point for point in toy_points() if int(point.id) % 2 == rest], shard_key_selector=key)
    yield made
    made.close()


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.filterwarnings("ignore::qdrant_rerank.PlanWarning")
async def test_a_search_by_key_finds_that_key_s_points_only(client: QdrantClient, name: str) -> None:
    executor = Executor(client, COLLECTION, encoders=encoders())
    asynchronous = AsyncExecutor(client, COLLECTION, encoders=encoders())
    for key, rest in (("even", 0), ("odd", 1)):
        scope = Scope(24, shard_key_selector=key)
        found = ids(executor.retrieve(STRATEGIES[name], Query(QUERY), scope))
        assert {id % 2 for id in found} == {rest}
        assert sorted(ids(await asynchronous.retrieve(STRATEGIES[name], Query(QUERY), scope))) == sorted(found)
        grouped = ids(executor.retrieve(Nearest("dense"), Query(QUERY), Scope(24, shard_key_selector=key, group_by="doc")))
        assert {id % 2 for id in grouped} == {rest}


def test_without_a_key_all_are_searched(client: QdrantClient) -> None:
    executor = Executor(client, COLLECTION, encoders=encoders())
    found: list[Any] = ids(executor.retrieve(Nearest("dense"), Query(QUERY), Scope(24)))
    assert sorted(found) == list(range(1, 25))
