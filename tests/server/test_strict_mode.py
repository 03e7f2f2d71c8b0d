"""Strict mode: the plan refuses what the server would refuse, and says which stage; nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Formula, Nearest, PlanError, Query, SearchOptions, field, score, when
from qdrant_rerank._internals import read_failure, whole_seconds
from qdrant_rerank.planning import plan, read_schema
from qdrant_rerank.stages import Stage
from tests.engines import Engine, open_client
from tests.support import COLLECTION, QUERY, create_toy, encoders, ids, query_vectors, toy_points

STRICT = models.StrictModeConfig(
    enabled=True,
    max_query_limit=20,
    max_timeout=5,
    search_allow_exact=False,
    search_max_hnsw_ef=64,
    search_max_oversampling=2.0,
    search_max_batchsize=2,
    unindexed_filtering_retrieve=False,
    filter_max_conditions=3,
    condition_max_size=4,
)
ONE: list[Any] = [models.FieldCondition(key="category", match=models.MatchValue(value="news"))]
NEWS = models.Filter(must=ONE)
LATE = models.FieldCondition(key="published", range=models.DatetimeRange(gte=dt.datetime(2025, 5, 10)))
ANY = models.FieldCondition(key="category", match=models.MatchAny(any=["news", "blog", "paper", "a", "b"]))
EMPTY = models.IsEmptyCondition(is_empty=models.PayloadField(key="popularity"))
THREE = models.Filter(must=ONE * 3)
EXACT = models.SearchParams(exact=True)
WIDE = models.SearchParams(hnsw_ef=100)
OVERSAMPLED = models.SearchParams(quantization=models.QuantizationSearchParams(oversampling=3.0))
ALLOWED = models.SearchParams(hnsw_ef=64, quantization=models.QuantizationSearchParams(oversampling=2.0))


def having(*points: int) -> models.HasIdCondition:
    return models.HasIdCondition(has_id=list(points))


REFUSED: dict[str, tuple[Stage, SearchOptions]] = {
    "a limit": (Nearest("dense"), SearchOptions(21)),
    "a limit of candidates": (Nearest("colbert").over(Nearest("dense", limit=21)), SearchOptions(5)),
    "an exact search": (Nearest("dense", search_params=EXACT), SearchOptions(5)),
    "an exact search for candidates": (
        Nearest("colbert").over(Nearest("dense", limit=9, search_params=EXACT)),
        SearchOptions(5),
    ),
    "a wide search": (Nearest("dense", search_params=WIDE), SearchOptions(5)),
    "oversampling": (Nearest("dense"), SearchOptions(5, search_params=OVERSAMPLED)),
    "a long timeout": (Nearest("dense"), SearchOptions(5, timeout=9)),
    "a filter of many conditions": (
        Nearest("dense"),
        SearchOptions(5, models.Filter(must=[*ONE, models.Filter(should=ONE * 3)])),
    ),
    "many conditions for candidates": (
        Nearest("colbert").over(Nearest("dense", limit=9, filter=models.Filter(must_not=ONE * 4))),
        SearchOptions(5),
    ),
    "a condition of many values": (Nearest("dense"), SearchOptions(5, models.Filter(must=[ANY]))),
    "a condition of many ids": (
        Nearest("dense"),
        SearchOptions(5, models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 3, 4, 5])])),
    ),
    "a filter on emptiness without an index": (Nearest("dense"), SearchOptions(5, models.Filter(must=[EMPTY]))),
    "a filter without an index": (Nearest("dense"), SearchOptions(5, models.Filter(must=[LATE]))),
    "a formula without an index": (Formula(field("popularity", default=0)).over(Nearest("dense", limit=9)), SearchOptions(5)),
}
TAKEN: dict[str, tuple[Stage, SearchOptions]] = {
    "a limit": (Nearest("dense"), SearchOptions(20)),
    "candidates": (Nearest("colbert").over(Nearest("dense", limit=20)), SearchOptions(5)),
    "search parameters": (Nearest("dense", search_params=ALLOWED), SearchOptions(5, timeout=5)),
    "a filter": (Nearest("dense"), SearchOptions(5, NEWS)),
    "many conditions": (Nearest("colbert").over(Nearest("dense", limit=9, filter=THREE)), SearchOptions(5, THREE)),
    "conditions in a formula": (
        Formula(sum((when(NEWS, 1.0) for _ in range(5)), score())).over(Nearest("dense", limit=9)),
        SearchOptions(5),
    ),
    "a condition of some values": (
        Nearest("dense"),
        SearchOptions(5, models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 3, 4])])),
    ),
    "a condition on a vector": (
        Nearest("dense"),
        SearchOptions(5, models.Filter(must=[models.HasVectorCondition(has_vector="dense")])),
    ),
    "a page": (Nearest("dense"), SearchOptions(10, offset=12)),
}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[QdrantClient]:
    """The toy collection in strict mode, with one payload index."""
    made = open_client()
    create_toy(made)
    made.create_payload_index(COLLECTION, "category", models.PayloadSchemaType.KEYWORD)
    made.upsert(COLLECTION, toy_points())
    made.update_collection(COLLECTION, strict_mode_config=STRICT)
    yield made
    made.close()


@pytest.mark.parametrize("name", REFUSED)
def test_the_plan_refuses_what_the_server_refuses(client: QdrantClient, name: str) -> None:
    strategy, options = REFUSED[name]
    executor = Executor(client, COLLECTION, encoders=encoders())
    with pytest.raises(PlanError):
        executor.plan(strategy, options)
    careless = replace(read_schema(client, COLLECTION), strict=None)
    flow = plan(strategy, careless, executor.target().capabilities, options).flow(Query(QUERY, query_vectors()))
    step: Any = next(flow)
    with pytest.raises(Exception) as caught:  # of qdrant-client or grpc
        client.query_batch_points(COLLECTION, step.requests, timeout=whole_seconds(options.timeout))
    assert read_failure(caught.value).kind == "strict mode"


@pytest.mark.filterwarnings("ignore:.* shards:qdrant_rerank.PlanWarning")
@pytest.mark.parametrize("name", TAKEN)
def test_the_plan_takes_what_the_server_takes(client: QdrantClient, name: str) -> None:
    strategy, options = TAKEN[name]
    assert ids(Executor(client, COLLECTION, encoders=encoders()).retrieve(strategy, Query(QUERY), options))


def test_a_batch_is_split_by_the_server_s_size(client: QdrantClient) -> None:
    executor = Executor(client, COLLECTION, encoders=encoders())
    one = ids(executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(5)))
    assert [ids(found) for found in executor.retrieve_batch(Nearest("dense"), [Query(QUERY)] * 7, SearchOptions(5))] == [
        one
    ] * 7


async def test_an_awaited_batch_is_split_by_the_server_s_size(client: QdrantClient) -> None:
    executor = AsyncExecutor(client, COLLECTION, encoders=encoders())
    one = ids(await executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(5)))
    found = await executor.retrieve_batch(Nearest("dense"), [Query(QUERY)] * 7, SearchOptions(5))
    assert [ids(points) for points in found] == [one] * 7
