"""Vectors compared by distance, where lower is better: nothing may rank the farthest first."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, PlanError, Query, SearchOptions, field, param, score
from qdrant_rerank.planning import Capabilities, Schema, VectorInfo, plan
from qdrant_rerank.stages import Stage
from tests.engines import Engine, open_client, skip_on_shards
from tests.support import ids, ranking, refused

ORIGIN = Query(vectors={"": [0.0, 0.0]}, params={"bonus": 1.0})
AROUND = Nearest(limit=50)


@pytest.fixture(scope="module", params=[models.Distance.EUCLID, models.Distance.MANHATTAN])
def places(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Executor]:
    client = open_client()
    client.create_collection("places", vectors_config=models.VectorParams(size=2, distance=request.param))
    client.upsert("places", [models.PointStruct(id=n, vector=[float(n), 0.0], payload={"rank": 9 - n}) for n in range(1, 8)])
    yield Executor(client, "places")
    client.close()


NEAREST_FIRST: dict[str, Stage] = {
    "nearest": Nearest(),
    "rescored": Nearest().over(AROUND),
    "mmr without diversity": Mmr(diversity=0.0),
    "fused by rank": Fusion.rrf().over(AROUND, AROUND),
    "a formula over nearest": Formula(score()).over(AROUND),
    "a formula over rescored": Formula(score()).over(AROUND.over(AROUND)),
    "a formula over mmr": Formula(score()).over(Mmr(diversity=0.0, limit=50)),
    "a formula over a formula": Formula(2 * score()).over(Formula(score() + param("bonus"), limit=50).over(AROUND)),
    "a formula over fused ranks": Formula(score()).over(Fusion.rrf(limit=50).over(AROUND, AROUND)),
    "a formula over two": Formula(score("a", default=-10.0) + score("b", default=-10.0)).over(
        Nearest(name="a", limit=7), Nearest(name="b", limit=2)
    ),
}


@pytest.mark.parametrize("name", NEAREST_FIRST)
def test_the_nearest_come_first(places: Executor, name: str) -> None:
    if name in ("a formula over fused ranks", "a formula over two"):
        skip_on_shards("each shard hands a formula its own candidates, which plans tell")
    assert ids(places.retrieve(NEAREST_FIRST[name], ORIGIN, SearchOptions(3))) == [1, 2, 3]


def test_a_score_of_a_formula_is_the_distance_with_its_sign_turned(places: Executor) -> None:
    assert ranking(places.retrieve(Formula(score()).over(AROUND), ORIGIN, SearchOptions(2))) == [(1, -1.0), (2, -2.0)]


def test_a_distance_that_was_not_found_may_not_count_as_the_nearest(places: Executor) -> None:
    candidates = Nearest(name="a", limit=50), Nearest(name="b", limit=2)
    with refused(PlanError, "score('a') is minus a distance", "0, the best there is", "score('a', default=-10.0)"):
        places.retrieve(Formula(score("a") + score("b", default=-10.0)).over(*candidates), ORIGIN)


def test_fusion_by_scores_would_put_the_farthest_first(places: Executor) -> None:
    with refused(PlanError, "takes high scores for good, but those of '' are distances", "use Fusion.rrf()"):
        places.retrieve(Fusion.dbsf().over(AROUND, AROUND), ORIGIN)


def test_fusion_by_scores_is_fine_over_what_turns_distances_around(places: Executor) -> None:
    near = Formula(score(), limit=50).over(AROUND)
    assert ids(places.retrieve(Fusion.dbsf().over(near, near), ORIGIN, SearchOptions(2))) == [1, 2]


@pytest.mark.parametrize("candidate", [AROUND, AROUND.over(AROUND), Mmr(limit=50)])
def test_the_sign_is_turned_in_the_request(candidate: Stage) -> None:
    schema = Schema("places", {"": VectorInfo("dense", 2, models.Distance.EUCLID)})
    [request] = plan(Formula(score()).over(candidate), schema, Capabilities.of("1.20.0")).describe().requests
    assert request["query"]["formula"] == {"neg": "$score"}


def test_a_copy_of_a_formula_brings_nothing_that_was_compiled_along(places: Executor) -> None:
    strategy = Formula(score() + field("rank", default=0) + param("bonus")).over(AROUND).resolve(places.target().schema)
    before = places.retrieve(strategy, ORIGIN)
    for same in (pickle.loads(pickle.dumps(strategy)), copy.deepcopy(strategy), copy.copy(strategy)):
        assert same == strategy
        assert not [name for name in vars(same) if name.startswith("_")]
        assert places.retrieve(same, ORIGIN) == before
