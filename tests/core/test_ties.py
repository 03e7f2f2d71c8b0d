"""Points of equal score in the order of their ids, on request."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Mmr, Nearest, PlanError, PlanWarning, Query, Rerank, SearchOptions, score
from qdrant_rerank._internals import SPARE, Points, Search, settle, widen
from qdrant_rerank.planning import plan
from tests.engines import open_client
from tests.support import SCHEMA, refused, script, target

QUERY = Query("q", {"dense": [0.1] * 4})
NAMES = [str(uuid.UUID(int=number)) for number in range(3)]


def found(*pairs: tuple[Any, float]) -> Points:
    return [models.ScoredPoint(id=id, version=0, score=score, payload={"text": "t"}) for id, score in pairs]


def ids(points: Points) -> list[Any]:
    return [point.id for point in points]


def test_equal_scores_come_in_the_order_of_ids_numbers_before_uuids() -> None:
    points = found((9, 0.9), (NAMES[1], 0.5), (7, 0.5), (NAMES[0], 0.5), (3, 0.5), (1, 0.2))
    assert ids(settle(points, SearchOptions(6, stable_ties=True))) == [9, 3, 7, NAMES[0], NAMES[1], 1]
    assert Nearest("dense").cut(points, SearchOptions(6)) == points


def test_ties_across_the_end_are_settled_by_what_was_fetched_beyond_it() -> None:
    options = SearchOptions(2, offset=1, stable_ties=True)
    assert widen(options) == SearchOptions(3 + SPARE)
    made = plan(Nearest("dense"), SCHEMA, target().capabilities, options)
    steps, points = script(made.flow(QUERY), [found((1, 0.9), (8, 0.5), (6, 0.5), (4, 0.5), (2, 0.5))])
    assert ids(points) == [2, 4]
    [step] = steps
    assert isinstance(step, Search)
    [request] = step.requests
    assert isinstance(request, models.QueryRequest)
    assert (request.limit, request.offset) == (3 + SPARE, None)


def test_too_many_ties_are_told() -> None:
    points = found(*((number, 0.5) for number in range(2 + SPARE)))
    with pytest.warns(PlanWarning, match="more than 32 points have the same score"):
        assert len(settle(points, SearchOptions(2, stable_ties=True))) == 2


def test_every_call_returns_the_same(toy_ties: QdrantClient) -> None:
    executor = Executor(toy_ties, "ties")
    strategy = Formula(score() * 0.0 + 1.0).over(Nearest(limit=20))
    options = SearchOptions(5, stable_ties=True)
    assert ids(executor.retrieve(strategy, Query(vectors={"": [1.0, 0.0]}), options)) == [0, 1, 2, 3, 4]
    explained = executor.explain(strategy, Query(vectors={"": [1.0, 0.0]}), options)
    assert [reason.id for reason in explained.reasons] == [0, 1, 2, 3, 4]


def test_under_a_rescoring_the_model_reads_the_same_points(toy_ties: QdrantClient) -> None:
    executor = Executor(toy_ties, "ties", reranker=lambda query, texts: [0.0] * len(texts))
    strategy = Rerank(reads=5).over(Formula(score() * 0.0).over(Nearest(limit=20)))
    points = executor.retrieve(strategy, Query("q", {"": [1.0, 0.0]}), SearchOptions(3, stable_ties=True))
    assert ids(points) == [0, 1, 2]


@pytest.fixture
def toy_ties() -> QdrantClient:
    """20 points in any order."""
    client = open_client()
    client.create_collection("ties", models.VectorParams(size=2, distance=models.Distance.DOT))
    numbers = random.Random(3).sample(range(20), 20)
    client.upsert("ties", [models.PointStruct(id=number, vector=[1.0, 0.0], payload={"text": "t"}) for number in numbers])
    return client


@pytest.mark.parametrize(
    ("strategy", "options", "part"),
    [
        (Mmr("dense"), SearchOptions(3, stable_ties=True), "stable_ties can't be combined with MMR"),
        (Nearest("dense"), SearchOptions(3, group_by="doc", stable_ties=True), "stable_ties can't be combined with group_by"),
    ],
)
def test_where_there_is_no_order_of_scores_it_is_refused(strategy: Any, options: SearchOptions, part: str) -> None:
    with refused(PlanError, part):
        plan(strategy, SCHEMA, target().capabilities, options)
