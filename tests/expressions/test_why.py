"""Explained results: the candidates, the terms that sum to the score, and what put one above another."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
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
    Query,
    QueryError,
    SearchOptions,
    Strategy,
    StrategyError,
    field,
    score,
    sigmoid,
)
from qdrant_rerank._internals import Flow, Points
from qdrant_rerank.planning import Schema, Target
from qdrant_rerank.stages import Stage
from tests.engines import open_client
from tests.support import alike, near

CANDIDATES = Nearest("dense", limit=12), Nearest("sparse", limit=5)
QUERY = Query(
    vectors={"dense": [1.0, 0.5], "sparse": models.SparseVector(indices=[1, 2], values=[1.0, 0.3]), "far": [0.0, 1.0]}
)
ADDING: list[Any] = [
    CANDIDATES[0],
    Fusion.rrf().over(*CANDIDATES),
    Fusion.rrf(k=61, weights=(1.0, 2.5)).over(*CANDIDATES),
    Fusion.dbsf().over(*CANDIDATES),
    Formula(0.8 * score() + 0.2 * field("rating", 3.0) + 1.0).over(CANDIDATES[0]),
    Formula(score("dense") - 0.5 * score("sparse", default=0.1)).over(*CANDIDATES),
    Formula(score("dense") * field("rating", 0.0)).over(CANDIDATES[0]),
    Formula(score() + field("rating", 0.0)).over(Fusion.rrf().over(*CANDIDATES)),
    Formula(score() + 0.1 * field("rating", 0.0)).over(Nearest("far", limit=20)),
    Formula(sigmoid(score() + 0.3 * field("rating", 0.0) - 1.0)).over(CANDIDATES[0]),
]


@pytest.fixture(scope="module")
def client() -> QdrantClient:
    made = open_client()
    made.create_collection(
        "docs",
        vectors_config={
            "dense": models.VectorParams(size=2, distance=models.Distance.COSINE),
            "far": models.VectorParams(size=2, distance=models.Distance.EUCLID),
        },
        sparse_vectors_config={"sparse": models.SparseVectorParams()},
    )
    made.upsert(
        "docs",
        [
            models.PointStruct(
                id=number,
                vector={
                    "dense": [1.0, number / 7.3],  # of which no two score alike
                    "far": [number / 3, 1.0],
                    "sparse": models.SparseVector(indices=[number % 4], values=[1.0 + number / 10]),
                },
                payload={"rating": number % 5} if number % 6 else {},
            )
            for number in range(1, 21)
        ],
    )
    return made


@pytest.mark.parametrize("strategy", ADDING, ids=repr)
def test_the_terms_sum_to_the_score(client: QdrantClient, strategy: Any) -> None:
    explained = Executor(client, "docs").explain(strategy, QUERY, SearchOptions(limit=7, offset=2))

    plain = Executor(client, "docs").retrieve(strategy, QUERY, SearchOptions(limit=7, offset=2))
    assert alike(explained.points, plain)
    for row, reason in enumerate(explained.reasons):
        total = reason.total if reason.link == "identity" else 1 / (1 + math.exp(-reason.total))
        assert reason.rank == row + 3
        assert sum(term.value for term in reason.terms) == reason.total
        assert total == pytest.approx(reason.score, rel=1e-5, abs=1e-6)


def test_each_candidate_says_at_which_rank_it_found_the_point_or_that_it_did_not(client: QdrantClient) -> None:
    executor = Executor(client, "docs")
    explained = executor.explain(Fusion.rrf().over(*CANDIDATES), QUERY, SearchOptions(limit=12))
    alone = [executor.retrieve(candidate, QUERY, SearchOptions(limit=candidate.limit or 0)) for candidate in CANDIDATES]

    for reason in explained.reasons:
        for hit, found in zip(reason.candidates, alone, strict=True):
            ids = [point.id for point in found]
            assert hit.rank == (ids.index(reason.id) + 1 if reason.id in ids else None)
            assert near(hit.score) == (found[ids.index(reason.id)].score if reason.id in ids else None)
    assert {hit.candidate for reason in explained.reasons for hit in reason.candidates} == {"dense", "sparse"}
    assert any(hit.rank is None for reason in explained.reasons for hit in reason.candidates)


def test_why_names_the_terms_that_put_one_result_above_another(client: QdrantClient) -> None:
    explained = Executor(client, "docs").explain(ADDING[4], QUERY, SearchOptions(limit=5))
    first, last = explained.reasons[0], explained.reasons[-1]

    differences = explained.compare(first.id, last.id)

    assert sum(term.value for term in differences) == pytest.approx(first.score - last.score, abs=1e-6)
    sizes = [abs(term.value) for term in differences]
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(QueryError, match="point 999 is not among the results; they are"):
        explained.compare(first.id, 999)


def test_mmr_does_not_add_up_but_its_candidates_are_known(client: QdrantClient) -> None:
    explained = Executor(client, "docs").explain(Mmr("dense", diversity=0.7).over(*CANDIDATES), QUERY, SearchOptions(limit=4))
    assert all(reason.terms == () and len(reason.candidates) == 2 for reason in explained.reasons)


def test_candidates_of_the_same_name_are_numbered(client: QdrantClient) -> None:
    twice = Fusion.rrf().over(Nearest("dense", limit=5), Nearest("dense", limit=9))
    [reason, *_] = Executor(client, "docs").explain(twice, QUERY, SearchOptions(limit=3)).reasons
    assert [hit.candidate for hit in reason.candidates] == ["dense (1)", "dense (2)"]


def test_a_reason_is_plain_values_on_demand(client: QdrantClient) -> None:
    [reason, *_] = Executor(client, "docs").explain(ADDING[4], QUERY, SearchOptions(limit=3)).reasons
    plain = reason.as_dict()
    assert plain["candidates"]["dense"]["rank"] == reason.candidates[0].rank
    assert list(plain["terms"]) == ["0.8 * score()", "0.2 * field('rating', default=3.0)", "constant(1.0)"]


def test_explaining_is_the_same_under_async(client: QdrantClient) -> None:
    options = SearchOptions(limit=5)
    expected = Executor(client, "docs").explain(ADDING[5], QUERY, options)
    assert near(asyncio.run(AsyncExecutor(client, "docs").explain(ADDING[5], QUERY, options))) == near(expected)


def test_groups_cannot_be_explained(client: QdrantClient) -> None:
    with pytest.raises(StrategyError, match="group query can't be explained"):
        Executor(client, "docs").explain(CANDIDATES[0], QUERY, SearchOptions(group_by="rating"))


class TwoRounds(Strategy):
    """A strategy of more than one request."""

    def needs(self) -> frozenset[str]:
        return frozenset()

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        yield from ()
        return []

    def resolve(self, schema: Schema) -> TwoRounds:
        return self

    def stages(self) -> Iterator[Stage]:
        yield from ()


def test_only_what_qdrant_runs_alone_can_be_explained_result_by_result(client: QdrantClient) -> None:
    with pytest.raises(StrategyError, match="only strategies that Qdrant runs alone"):
        Executor(client, "docs").explain(TwoRounds(), QUERY)
