"""Pages are cut from one ranking, however deep; MMR's too, and MMR below other stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as having
from hypothesis import settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, PlanError, Query, Rerank, SearchOptions, field, score
from qdrant_rerank._internals import Points
from qdrant_rerank.planning import Capabilities, plan
from qdrant_rerank.stages import Stage
from tests.engines import Engine, open_client
from tests.support import SCHEMA, ids, refused, target

SIZE = 300
QUERY = Query("q", {"a": [1.0, 0, 0, 0], "b": [0, 1.0, 0, 0]})


@pytest.fixture(scope="module")
def executor() -> Executor:
    """300 points with two vectors, of which no two score alike."""
    client = open_client()
    params = models.VectorParams(size=4, distance=models.Distance.COSINE)
    client.create_collection("c", {"a": params, "b": params})
    random = np.random.default_rng(0)
    client.upsert(
        "c",
        [
            models.PointStruct(
                id=number,
                vector={name: random.normal(size=4).tolist() for name in "ab"},
                payload={"n": float(random.random()), "text": str(number)},
            )
            for number in range(SIZE)
        ],
    )
    return Executor(client, "c", reranker=lambda query, texts: [float(text) for text in texts])


BY_DEFAULT: list[Stage] = [
    Fusion.dbsf().over(Nearest("a"), Nearest("b")),
    Fusion.rrf(k=61, weights=[1.0, 1.03]).over(Nearest("a"), Nearest("b")),
    Fusion.dbsf().over(Nearest("a").over(Nearest("b")), Nearest("b")),
    Formula(score("a") + 3 * score("b") + field("n", default=0)).over(Nearest("a"), Nearest("b")),
    Nearest("a").over(Nearest("b"), Nearest("a")),
    Mmr("a"),
    Mmr("a").over(Nearest("b")),
]


@pytest.mark.parametrize("strategy", BY_DEFAULT, ids=repr)
@pytest.mark.parametrize("stable", [False, True])
def test_deep_pages_of_candidates_without_limits_neither_repeat_nor_lose_points(
    executor: Executor, strategy: Stage, stable: bool
) -> None:
    if stable and isinstance(strategy, Mmr):
        return
    deep = 100 if isinstance(strategy, Mmr) else 200
    pages = [
        ids(executor.retrieve(strategy, QUERY, SearchOptions(20, offset=start, stable_ties=stable)))
        for start in range(0, deep, 20)
    ]
    found = [id for page in pages for id in page]
    assert len(set(found)) == len(found) >= 100
    assert all(len(page) == 20 for page in pages[: len(found) // 20])
    first = executor.retrieve(strategy, QUERY, SearchOptions(100, stable_ties=stable))
    assert found[:100] == ids(first)


@pytest.mark.parametrize(
    ("strategy", "part"),
    [
        (
            Nearest("a").over(Nearest("b")),
            "the candidates of Nearest hand on 100: raise the limit",
        ),
        (Mmr("a"), "the call asks for 110 points, but Mmr('a', diversity=0.5) chooses among 100: set candidates_limit to 110"),
    ],
)
def test_a_page_beyond_the_candidates_is_refused(executor: Executor, strategy: Stage, part: str) -> None:
    with refused(PlanError, part):
        executor.retrieve(strategy, QUERY, SearchOptions(10, offset=100))
    assert len(executor.retrieve(strategy, QUERY, SearchOptions(110))) == 110  # a larger page has candidates of its own


def test_pages_below_a_model_are_cut_from_one_ranking_too(executor: Executor) -> None:
    strategy = Rerank(reads=5, unread="last").over(Fusion.dbsf().over(Nearest("a"), Nearest("b")))
    pages = [ids(executor.retrieve(strategy, QUERY, SearchOptions(20, offset=start))) for start in range(0, 160, 20)]
    found = [id for page in pages for id in page]
    assert len(set(found)) == len(found)
    assert found[:100] == ids(executor.retrieve(strategy, QUERY, SearchOptions(100)))


def test_a_options_of_another_page_is_another_plan() -> None:
    made = plan(Fusion.rrf().over(Nearest("dense"), Nearest("colbert")), SCHEMA, target().capabilities)
    assert made.within(SearchOptions()) is made
    assert made.within(SearchOptions(page=50)).options.page == 50


# MMR


@having(st.integers(1, 12), st.integers(0, 12), st.floats(0, 1), st.sampled_from([None, 24, 150]))
@settings(max_examples=40)
def test_pages_of_mmr_are_slices_of_its_ranking(mmr: Executor, limit: int, offset: int, diversity: float, among: Any) -> None:
    strategy = Mmr("", diversity=diversity, candidates_limit=among)
    whole = mmr.retrieve(strategy, MMR_QUERY, SearchOptions(24))
    assert ids(mmr.retrieve(strategy, MMR_QUERY, SearchOptions(limit, offset=offset))) == ids(whole)[offset : offset + limit]


@pytest.fixture(scope="module")
def mmr() -> Executor:
    return Executor(filled(open_client()), "m")


MMR_QUERY = Query(vectors={"": [1.0, 0, 0, 0]})


def filled(client: QdrantClient) -> QdrantClient:
    """30 points with one vector."""
    client.create_collection("m", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    random = np.random.default_rng(0)
    points = [models.PointStruct(id=n, vector=random.normal(size=4).tolist(), payload={"n": float(n)}) for n in range(30)]
    client.upsert("m", points)
    return client


def test_mmr_that_chooses_among_few_returns_those(mmr: Executor) -> None:
    for strategy in (Mmr("", candidates_limit=5), Mmr("", candidates_limit=5).over(Nearest("", limit=20))):
        assert len(mmr.retrieve(strategy, MMR_QUERY, SearchOptions(10))) == 5


def test_an_older_local_mode_pages_mmr_too() -> None:
    old = Capabilities((1, 17, 1), "local")
    made = plan(Mmr("dense"), SCHEMA, old, SearchOptions(limit=3, offset=2))
    assert list(made.problems()) == []


@pytest.mark.parametrize("settings", [{}, {"candidates_limit": 5}, {"candidates_limit": 20, "score_threshold": 0.2}])
def test_mmr_below_a_stage_hands_on_what_it_chooses(mmr: Executor, engine: Engine, settings: dict[str, Any]) -> None:
    if engine.shards > 1:
        pytest.skip("each shard chooses by itself there, which plans tell")
    alone = Mmr("", diversity=0.5, limit=3, **settings)
    chosen = mmr.retrieve(alone, MMR_QUERY, SearchOptions(3))
    assert alike(mmr.retrieve(Formula(score()).over(alone), MMR_QUERY, SearchOptions(3)), chosen)
    assert alike(mmr.retrieve(Nearest("").over(alone), MMR_QUERY, SearchOptions(3)), chosen)
    by_rank = mmr.retrieve(Fusion.rrf().over(alone), MMR_QUERY, SearchOptions(3))
    assert ids(by_rank) == ids(chosen)


def alike(found: Points, chosen: Points) -> bool:
    return {point.id: round(point.score, 5) for point in found} == {point.id: round(point.score, 5) for point in chosen}
