"""What `explain` says where the steered search is one candidate of the second request: candidates and terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanWarning,
    QueryError,
    RelevanceFeedback,
    SearchOptions,
    field,
    score,
    sigmoid,
)
from qdrant_rerank._internals import notes_of
from qdrant_rerank.feedback import FeedbackCandidates
from tests.engines import compared, open_client
from tests.support import COLLECTION, CountingClient, encoders, fill_toy, ids, near, question, refused

from .support import PRECISION, RECALL, Failing, Numbers, executor

CANDIDATE, WORDS = FeedbackCandidates(limit=12), Nearest("bm25", limit=12)
FUSED = replace(PRECISION, within=Fusion.rrf(weights=(2.0, 1.3)).over(CANDIDATE, WORDS))
TERMS = 0.7 * score("feedback") + 0.1 * score("bm25") + 0.2 * field("rating", default=0.0)
FORMULA = replace(PRECISION, within=Formula(TERMS).over(CANDIDATE, WORDS))
NATIVE = replace(FORMULA, native=True)
SCOPES = [SearchOptions(limit=5), SearchOptions(limit=4, offset=2, with_payload=["doc"], with_vectors=["bm25"])]


@pytest.fixture(scope="module", params=compared())
def client(request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    made = open_client(request.param)
    yield fill_toy(made)
    made.close()


@pytest.mark.parametrize("strategy", [FUSED, FORMULA, NATIVE, replace(RECALL, within=FUSED.within)])
@pytest.mark.parametrize("options", SCOPES)
def test_the_results_are_those_of_the_query_itself(
    client: QdrantClient, strategy: RelevanceFeedback, options: SearchOptions
) -> None:
    found = executor(client).explain(strategy, question(), options)
    assert near(found.points) == near(executor(client).retrieve(strategy, question(), options))
    assert [reason.rank for reason in found.reasons] == list(range(1 + (options.offset or 0), 1 + options.reach))


def test_a_fusion_s_candidates_tell_rank_and_score_and_add_up(client: QdrantClient) -> None:
    found = executor(client).explain(FUSED, question(), SearchOptions(limit=8))
    steered = {
        point.id: rank for rank, point in enumerate(executor(client).retrieve(PRECISION, question(), SearchOptions(12)), 1)
    }
    words = {point.id: rank for rank, point in enumerate(executor(client).retrieve(WORDS, question(), SearchOptions(12)), 1)}
    for point, reason in zip(found.points, found.reasons, strict=True):
        assert [hit.candidate for hit in reason.candidates] == ["first search", "feedback", "bm25"]
        assert [hit.rank for hit in reason.candidates[1:]] == [steered.get(point.id), words.get(point.id)]
        assert (reason.candidates[0].rank is None) == notes_of(point)["surfaced_by_feedback"]
        assert [term.text for term in reason.terms] == ["feedback", "bm25"]
        assert sum(term.value for term in reason.terms) == pytest.approx(point.score, rel=1e-5)
    assert sum(term.value for term in found.compare(*ids(found.points)[:2])) >= 0


@pytest.mark.parametrize("strategy", [FORMULA, NATIVE])
def test_a_formula_s_terms_are_those_it_was_written_with_and_add_up(client: QdrantClient, strategy: Any) -> None:
    found = executor(client).explain(strategy, question(), SearchOptions(limit=8, with_payload=False))
    assert {point.payload for point in found.points} == {None}
    written = ["0.7 * score('feedback')", "0.1 * score('bm25')", "0.2 * field('rating', default=0.0)"]
    for point, reason in zip(found.points, found.reasons, strict=True):
        assert [term.text for term in reason.terms] == written
        assert reason.total == pytest.approx(point.score, abs=1e-5)
        _, steered, words = reason.candidates
        assert reason.terms[0].value == pytest.approx(0.7 * (steered.score or 0.0), abs=1e-6)
        assert reason.terms[1].value == pytest.approx(0.1 * (words.score or 0.0), abs=1e-6)
    assert any(hit.rank is not None for reason in found.reasons for hit in reason.candidates[1:2])


def test_a_link_around_the_formula_is_told(client: QdrantClient) -> None:
    linked = replace(PRECISION, within=Formula(sigmoid(TERMS)).over(CANDIDATE, WORDS))
    [reason] = executor(client).explain(linked, question(), SearchOptions(limit=1)).reasons
    assert (reason.link, len(reason.terms)) == ("sigmoid", 3)


def test_candidates_below_candidates_are_told_with_names_of_their_own(client: QdrantClient) -> None:
    inner = Fusion.rrf(limit=9, name="both").over(CANDIDATE, WORDS)
    deep = replace(PRECISION, within=Formula(1.0 * score("both")).over(inner))
    [first, *_] = executor(client).explain(deep, question(), SearchOptions(limit=3)).reasons
    assert [hit.candidate for hit in first.candidates] == ["first search", "both", "feedback", "bm25"]


def test_mmr_around_the_candidate_has_candidates_but_no_terms(client: QdrantClient) -> None:
    diverse = replace(PRECISION, within=Mmr("dense", diversity=0.4).over(CANDIDATE))
    found = executor(client).explain(diverse, question(), SearchOptions(limit=3))
    assert [hit.candidate for hit in found.reasons[0].candidates] == ["first search", "feedback"]
    with refused(QueryError, "MMR chooses each result by its likeness"):
        found.compare(*ids(found.points)[:2])


def test_in_recall_mode_candidates_are_those_of_the_second_search_and_the_score_the_model_s(client: QdrantClient) -> None:
    recall = replace(RECALL, within=FUSED.within)
    found = executor(client).explain(recall, question(), SearchOptions(limit=12))
    assert found.steering is not None
    seeds = {seed.id for seed in found.steering.seeds}
    for point, reason in zip(found.points, found.reasons, strict=True):
        first, *others = reason.candidates
        assert [hit.candidate for hit in others] == ["feedback", "bm25"]
        assert first.rank is not None or point.id not in seeds
        assert (point.id in seeds) == all(hit.rank is None for hit in others)
        assert [(term.text, term.value) for term in reason.terms] == [("reranker", point.score)]


def test_without_steering_the_other_candidates_and_the_plain_search_are_explained(client: QdrantClient) -> None:
    forgiving = replace(FORMULA, on_error="keep_order")
    with pytest.warns(PlanWarning, match="TimeoutError"):
        found = executor(client, Failing()).explain(forgiving, question(), SearchOptions(limit=5))
    assert found.steering is not None
    assert found.steering.why_not == "the model failed (TimeoutError)"
    plain = {point.id: point.score for point in executor(client).retrieve(Nearest("dense"), question(), SearchOptions(12))}
    for point, reason in zip(found.points, found.reasons, strict=True):
        assert reason.candidates[1].score == pytest.approx(plain[point.id], abs=1e-6) if point.id in plain else True
        assert reason.total == pytest.approx(point.score, abs=1e-5)


def test_candidates_are_searched_in_the_second_request() -> None:
    client = CountingClient()
    fill_toy(client)
    runner = executor(client)
    runner.target()
    client.calls.clear()
    for strategy in (FUSED, FORMULA):
        runner.explain(strategy, question(), SearchOptions(limit=5))
    assert client.calls == ["query_points", "query_batch_points"] * 2
    client.close()


async def test_async_explains_the_same(toy: QdrantClient) -> None:
    runner = AsyncExecutor(toy, COLLECTION, encoders=encoders(), reranker=Numbers())
    for strategy in (FUSED, FORMULA):
        expected = executor(toy).explain(strategy, question(), SearchOptions(limit=4))
        assert near(await runner.explain(strategy, question(), SearchOptions(limit=4))) == near(expected)


@pytest.mark.parametrize("distance", [models.Distance.EUCLID, models.Distance.MANHATTAN])
def test_without_steering_a_candidate_s_score_is_a_likeness_for_distances_too(distance: models.Distance) -> None:
    from .test_corners import spread

    runner = spread(distance)
    runner.reranker = Failing()
    plain = RelevanceFeedback(
        seeds=Nearest("dense", limit=5),
        coefficients=PRECISION.weights,
        within=Formula(2.0 * score("feedback")).over(FeedbackCandidates(limit=30)),
        on_error="keep_order",
        trust=True,
    )
    from qdrant_rerank import Query

    with pytest.warns(PlanWarning, match="TimeoutError"):
        found = runner.explain(plain, Query("who"), SearchOptions(limit=30))
    assert ids(found.points) == ids(runner.retrieve(Nearest("dense"), Query("who"), SearchOptions(limit=30)))
    assert all(point.score < 0 for point in found.points)
    assert found.reasons[0].total == pytest.approx(found.points[0].score, rel=1e-5)
