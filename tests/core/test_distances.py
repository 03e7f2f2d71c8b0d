"""Vectors compared by distance, where lower is better: nothing may rank the farthest first."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanError,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    Strategy,
    field,
    param,
    score,
)
from qdrant_rerank._internals import notes_of
from qdrant_rerank.expressions import rerank_score
from qdrant_rerank.feedback import FeedbackCandidates
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
    payloads = {n: {"rank": 9 - n, "text": f"d{n}"} for n in range(1, 8)}
    client.upsert("places", [models.PointStruct(id=n, vector=[float(n), 0.0], payload=payloads[n]) for n in payloads])
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


# Where a model has a part in it: higher is better in all that it hands on

WORDS = replace(ORIGIN, text="near", params={})
FEEDBACK = RelevanceFeedback(seeds=Nearest(limit=3), coefficients=Coefficients(1.0, 0.5, 0.2), trust=True)
UNREAD: dict[str, tuple[Strategy, list[float | None]]] = {
    "feedback whose seeds scored alike": (FEEDBACK, [1.0]),
    "feedback without weight": (replace(FEEDBACK, coefficients=Coefficients(1.0, 0.0, 0.0)), []),
    "feedback whose model failed": (replace(FEEDBACK, on_error="keep_order"), [None]),
    "a reranking whose model failed": (Rerank(on_error="keep_order").over(AROUND), [None]),
    "what a reranking didn't read": (Rerank(reads=1, unread="last").over(AROUND), [-1.0]),
}
"""Strategies whose model says nothing of most results, and the score of each call's texts; None where it fails."""


def reader(places: Executor, scores: Sequence[float | None]) -> Executor:
    left = list(scores)

    def read(query: str, texts: Sequence[str]) -> list[float]:
        value = left.pop(0)
        if value is None:
            raise RuntimeError("down")
        return [value] * len(texts)

    return Executor(places.clients.sync(), "places", reranker=read)


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.filterwarnings("ignore:.*RuntimeError")
def test_the_nearest_come_first_in_a_blend_over_what_no_model_scored(places: Executor, name: str) -> None:
    below, scores = UNREAD[name]
    found = reader(places, scores).retrieve(below, WORDS, SearchOptions(3))
    assert ranking(found) == [(1, -1.0), (2, -2.0), (3, -3.0)]
    blended = Rerank(reads=3, blend=rerank_score() + score(), missing_text="last").over(below)
    found = reader(places, [*scores, 0.0]).retrieve(blended, WORDS, SearchOptions(3))
    assert [(point.id, point.score, notes_of(point).get("retrieval_score", point.score)) for point in found] == [
        (1, -1.0, -1.0),
        (2, -2.0, -2.0),
        (3, -3.0, -3.0),
    ]


def test_a_search_around_the_steered_one_is_scored_and_cut_as_the_steered_one_is(places: Executor) -> None:
    within = replace(FEEDBACK, within=Nearest().over(FeedbackCandidates(limit=7)))
    executor = reader(places, [1.0] * 9)
    assert ranking(executor.retrieve(within, WORDS, SearchOptions(3))) == [(1, -1.0), (2, -2.0), (3, -3.0)]
    above = SearchOptions(7, score_threshold=-2.5)
    assert ids(executor.retrieve(within, WORDS, above)) == [1, 2]
    assert executor.plan(within, above).describe().later[-1]["score_threshold"] == 2.5
    reason = executor.explain(within, WORDS, SearchOptions(2)).reasons[1]
    assert (reason.id, reason.score, reason.total, reason.candidates[0].score) == (2, -2.0, -2.0, 2.0)
    plain = replace(within, within=Formula(score("feedback")).over(FeedbackCandidates(limit=7)))
    assert executor.plan(plain, above).describe().later[-1]["score_threshold"] == -2.5


def test_what_recall_leaves_unread_is_scored_as_the_second_search_is(places: Executor) -> None:
    def read(query: str, texts: Sequence[str]) -> list[float]:
        return [float(text == "d2") for text in texts]

    client = places.clients.sync()
    client.set_payload("places", {"text": ""}, points=[3])
    try:
        recall = replace(FEEDBACK, mode="recall", limit=5)
        found = Executor(client, "places", reranker=read).retrieve(recall, WORDS, SearchOptions(5))
    finally:
        client.set_payload("places", {"text": "d3"}, points=[3])
    assert found[0].id == 2
    assert notes_of(found[0])["retrieval_score"] == -2.0
    assert (found[-1].id, found[-1].score) == (3, -3.0)


@pytest.mark.parametrize("explanations", [False, True])
def test_what_becomes_documents_is_scored_by_minus_the_distance(places: Executor, explanations: bool) -> None:
    found = places.answer(AROUND, SearchOptions(2), lambda plan: plan.answer(ORIGIN, explanations))
    assert ranking(found.points) == [(1, -1.0), (2, -2.0)]
    assert [(reason.score, reason.total) for reason in found.reasons] == [(-1.0, -1.0), (-2.0, -2.0)] * explanations
    assert ranking(places.retrieve(AROUND, ORIGIN, SearchOptions(2))) == [(1, 1.0), (2, 2.0)]  # as Qdrant says
