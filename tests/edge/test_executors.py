"""Every strategy runs on the embedded engine through both executors, as it does on local mode, in one engine call."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanError,
    Query,
    SearchOptions,
    TimeoutError,
    affinity,
    datetime_field,
    decay_exp,
    field,
    geo_distance,
    param,
    score,
    sigmoid,
    when,
)
from qdrant_rerank._internals import Shard
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError
from qdrant_rerank.expressions import instant
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import Capabilities
from qdrant_rerank.stages import Stage
from tests.edge.support import NAME, assert_agree, pairs, patient_engine, query_vectors

pytestmark = pytest.mark.filterwarnings("ignore:some points of .* hold lists:qdrant_rerank.PlanWarning")

NEWS = models.FieldCondition(key="tag", match=models.MatchValue(value="news"))
DENSE, WORDS = Nearest("dense", limit=30), Nearest("idf", limit=30)
START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
STRATEGIES: dict[str, Stage] = {
    **{f"nearest {name}": Nearest(name) for name in ("dense", "dot", "euclid", "manhattan", "late", "words", "idf")},
    "late interaction": Nearest("late").over(DENSE),
    "rrf": Fusion.rrf().over(DENSE, WORDS),
    "rrf with k and weights": Fusion.rrf(k=61, weights=[2.0, 0.7]).over(DENSE, WORDS),
    "dbsf": Fusion.dbsf().over(DENSE, WORDS),
    "mmr": Mmr("dense", diversity=0.3),
    "mmr over a fusion": Mmr("dot", diversity=0.6).over(Fusion.dbsf(limit=20).over(DENSE, WORDS)),
    "formula": Formula(0.8 * score() + 0.2 * field("n", default=3.0) + when(NEWS, 0.5)).over(DENSE),
    "formula of awkward fields": Formula(
        sigmoid(score("dense") + 0.3 * score("idf", default=0.1))
        + decay_exp(geo_distance((52.5, 13.4), "place", default=1e7), scale=1e6)
        + 1e-9 * (datetime_field("time", default=START) - instant(START))
    ).over(DENSE, WORDS),
    "formula of request-time values": Formula(param("weight") * score() + affinity("tag", param="likes", default=0.0)).over(
        DENSE
    ),
    "formula over distances": Formula(score() + 0.01 * field("number", default=0)).over(Nearest("euclid", limit=25)),
}
FEATURES = {"weight": 1.7, "likes": {"news": 0.4, "blog": -0.2, 7: 0.1}}
SCOPES = {
    "plain": SearchOptions(limit=5),
    "filtered": SearchOptions(limit=8, filter=models.Filter(must_not=[NEWS]), offset=2, with_payload=["number"]),
    "grouped": SearchOptions(limit=4, group_by="doc"),
}


def query(seed: int = 1) -> Query:
    return Query(vectors=query_vectors(seed), params=FEATURES)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Notes each query that the engine is asked."""
    asked: list[Any] = []
    original: Callable[..., Any] = Shard.query

    def noting(self: Shard, request: Any) -> Any:
        asked.append(request)
        return original(self, request)

    monkeypatch.setattr(Shard, "query", noting)
    return asked


# local mode groups all points where an engine groups the candidates: see test_groups
BOTH = [(name, options) for name in STRATEGIES for options in SCOPES if options != "grouped" or not STRATEGIES[name].candidates]


@pytest.mark.parametrize(("name", "options"), BOTH)
async def test_a_strategy_finds_the_same_in_both_engines(
    edge: EdgeClient, local: QdrantClient, name: str, options: str
) -> None:
    strategy, asked = STRATEGIES[name], SCOPES[options]
    found = Executor(edge, NAME).retrieve(strategy, query(), asked)
    assert_agree(found, Executor(local, NAME).retrieve(strategy, query(), asked), asked.limit, asked.offset or 0)
    assert len(found) == asked.limit
    again = await AsyncExecutor(edge, NAME).retrieve(strategy, query(), asked)
    assert_agree(again, found, asked.limit, asked.offset or 0)
    assert [set(point.payload or {}) for point in found] == [set(point.payload or {}) for point in again]


@pytest.mark.parametrize("name", STRATEGIES)
async def test_a_query_is_one_call_of_the_engine(edge: EdgeClient, name: str, calls: list[Any]) -> None:
    executor, asynchronous = Executor(edge, NAME), AsyncExecutor(edge, NAME)
    executor.retrieve(STRATEGIES[name], query())  # the first query finds out whether the formula needs thorough guards
    await asynchronous.retrieve(STRATEGIES[name], query())
    calls.clear()
    executor.retrieve(STRATEGIES[name], query())
    assert len(calls) == 1
    await asynchronous.retrieve(STRATEGIES[name], query())
    assert len(calls) == 2


async def test_a_batch_finds_what_single_queries_find(edge: EdgeClient) -> None:
    strategy = STRATEGIES["formula over distances"]
    expected = [pairs(Executor(edge, NAME).retrieve(strategy, query(seed))) for seed in range(4)]
    queries = [query(seed) for seed in range(4)]
    assert [pairs(points) for points in Executor(edge, NAME).retrieve_batch(strategy, queries)] == expected
    assert [pairs(points) for points in await AsyncExecutor(edge, NAME).retrieve_batch(strategy, queries)] == expected


async def test_a_batch_lets_the_event_loop_work_between_its_queries(edge: EdgeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    request = models.QueryRequest(query=query_vectors()["dense"], using="dense", limit=3)
    asked = patient_engine(monkeypatch)
    answers = await asyncio.to_thread(edge.query_batch_points, NAME, [request] * 12)
    assert len(asked) == len(answers) == 12
    await AsyncExecutor(edge, NAME).retrieve_batch(DENSE, [query(seed) for seed in range(12)])
    assert len(asked) == 24


def test_the_plan_knows_the_engine(edge: EdgeClient) -> None:
    executor = Executor(edge, NAME)
    assert executor.target().capabilities == Capabilities((1, 20, 0), "edge")
    assert "qdrant-edge (Qdrant 1.20.0 in process)" in str(executor.plan(STRATEGIES["formula"]).describe())


def test_a_formula_s_missing_value_is_named(edge: EdgeClient) -> None:
    with pytest.raises(PlanError, match=r"the formula reads 'tag' without a default, but e\.g\. point"):
        Executor(edge, NAME).retrieve(Formula(field("tag")).over(DENSE), query())


@pytest.mark.parametrize("options", [SearchOptions(consistency=1), SearchOptions(shard_key_selector="eu")])
async def test_a_options_that_means_nothing_in_process_is_refused(edge: EdgeClient, options: SearchOptions) -> None:
    for asked in (options, SearchOptions(**{**vars(options), "group_by": "doc"})):
        with pytest.raises((ClientError, PlanError), match=r"consistency|shard_key_selector"):
            Executor(edge, NAME).retrieve(DENSE, query(), asked)
        with pytest.raises((ClientError, PlanError), match=r"consistency|shard_key_selector"):
            await AsyncExecutor(edge, NAME).retrieve(DENSE, query(), asked)


async def test_a_timeout_holds_in_process_too_and_is_looked_at_between_steps(edge: EdgeClient) -> None:
    def hang(text: str) -> list[float]:
        free.wait(30)
        return []

    free, options = threading.Event(), SearchOptions(3, timeout=30)
    expected = Executor(edge, NAME).retrieve(DENSE, query())
    for found in (
        Executor(edge, NAME).retrieve(DENSE, query(), options),
        await AsyncExecutor(edge, NAME).retrieve(DENSE, query(), options),
    ):
        assert [point.id for point in found] == [point.id for point in expected[:3]]
    hanging, short = Encoders.of({"dense": hang}), SearchOptions(3, timeout=0.1)
    with pytest.raises(TimeoutError, match="while embedding the query for 'dense'"):
        Executor(edge, NAME, encoders=hanging).retrieve(DENSE, Query("fox"), short)
    with pytest.raises(TimeoutError, match="while embedding the query for 'dense'"):
        await AsyncExecutor(edge, NAME, encoders=hanging).retrieve(DENSE, Query("fox"), short)
    free.set()
