"""Few results, missing texts and vectors, failing models, points deleted between the rounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Nearest, PayloadMapping, PlanWarning, RelevanceFeedback, SearchOptions
from qdrant_rerank._internals import Score, Search, notes_of
from qdrant_rerank.errors import PayloadError
from tests.engines import open_client
from tests.support import COLLECTION, fill_toy, ids, question, ranking

from .support import PRECISION, RECALL, SEEDS, Failing, asked, executor, found

FORGIVING = replace(PRECISION, on_error="keep_order")
BOTH = pytest.mark.parametrize("strategy", [PRECISION, RECALL])


def only(*numbers: int) -> models.Filter:
    return models.Filter(must=[models.HasIdCondition(has_id=list(numbers))])


@BOTH
@pytest.mark.parametrize("numbers", [(), (7,)])
def test_with_no_or_one_point_found_nothing_is_scored(
    toy: QdrantClient, strategy: RelevanceFeedback, numbers: tuple[int, ...]
) -> None:
    points = executor(toy).retrieve(strategy, question(), SearchOptions(limit=5, filter=only(*numbers)))
    assert ids(points) == list(numbers)
    for point in points:
        reason = "1 of 1 seeds found have a text and the vector 'dense'; a pair takes two"
        assert notes_of(point) == {"surfaced_by_feedback": False, "documents_scored": 0, "not_steered": reason}


@BOTH
def test_fewer_hits_than_seeds_are_scored_and_returned_once(toy: QdrantClient, strategy: RelevanceFeedback) -> None:
    points = executor(toy).retrieve(strategy, question(), SearchOptions(limit=5, filter=only(3, 9, 11)))
    assert sorted(ids(points)) == [3, 9, 11]
    assert {notes_of(point)["documents_scored"] for point in points} == {3}


def test_recall_mode_spends_what_missing_seeds_leave_on_the_second_search() -> None:
    steps, _ = asked(RECALL, [SEEDS[:3]], [1.0, 2.0, 3.0], [[]])
    assert steps[2].requests[0].limit == 9


@BOTH
def test_a_seed_without_a_vector_takes_no_part_in_pairs(strategy: RelevanceFeedback) -> None:
    points = [*SEEDS[:3], *found((6, 0.4, None)), SEEDS[3]]
    texts = ["n1", "n2", "n3", "n4"] if strategy.mode == "precision" else ["n1", "n2", "n3", "n6", "n4"]
    steps, ranked = asked(replace(strategy, native=True), [points], [float(len(texts) - n) for n in range(len(texts))], [[]])
    assert steps[1].texts == texts
    assert len(steps[2].requests[0].query.relevance_feedback.feedback) == 4
    if strategy.mode == "recall":
        assert notes_of(ranked[3])["feedback_score"] == 2.0  # the model read it all the same
        assert ranked[3].id == 6


@BOTH
def test_one_vector_among_the_seeds_is_too_few(strategy: RelevanceFeedback) -> None:
    points = [SEEDS[0], *found((6, 0.4, None), (7, 0.3, None))]
    steps, ranked = asked(strategy, [points])
    assert [type(step) for step in steps] == [Search]
    assert ids(ranked) == [1, 6, 7]
    assert "1 of 3 seeds" in notes_of(ranked[0])["not_steered"]


def test_a_seed_without_text_is_not_scored_and_comes_last_in_recall_mode() -> None:
    silent = found((6, 0.95, [0.0, 1.0, 0.0, 0.0]), text=False)
    mute = found((9, 0.6, None), text=False)
    steps, points = asked(RECALL, [[*silent, *SEEDS[:4]]], [1.0, 2.0, 3.0, 4.0], [[*found((7, 0.8, None)), *mute]], [2.5])
    assert [step.texts for step in steps if isinstance(step, Score)] == [["n1", "n2", "n3", "n4"], ["n7"]]
    assert ids(points) == [4, 3, 7, 2, 1, 6, 9]
    assert [notes_of(point).get("not_reranked") for point in points] == [None] * 5 + ["no text"] * 2
    assert {notes_of(point)["documents_scored"] for point in points} == {5}


def test_text_under_another_key_is_an_error_that_says_where_to_look(toy: QdrantClient) -> None:
    with pytest.raises(PayloadError, match="'txt'"):
        executor(toy, payload=PayloadMapping("txt")).retrieve(PRECISION, question())


def test_duplicates_are_no_pair(toy: QdrantClient) -> None:
    client = fill_toy(open_client())
    [point] = client.retrieve(COLLECTION, [12], with_vectors=True)
    same: Any = point.vector
    client.upsert(COLLECTION, [models.PointStruct(id=100 + n, vector=same, payload=point.payload) for n in range(3)])
    points = executor(client).retrieve(PRECISION, question(), SearchOptions(limit=27, filter=only(12, 100, 101, 102)))
    assert sorted(ids(points)) == [12, 100, 101, 102]
    assert notes_of(points[0])["not_steered"] == "the model gave all seeds the same score"
    client.close()


@pytest.mark.parametrize("native", [False, True])
@BOTH
def test_a_seed_deleted_between_the_rounds_breaks_nothing(strategy: RelevanceFeedback, native: bool) -> None:
    client = fill_toy(open_client())
    gone: list[Any] = []

    class Deleting(Failing):
        def score(self, query: str, texts: Any) -> list[float]:
            scores = Failing(99).score(query, texts)
            if not gone:
                gone.append(int(scores[0]))
                client.delete(COLLECTION, models.PointIdsList(points=gone))
            return scores

    points = executor(client, Deleting()).retrieve(replace(strategy, native=native), question(), SearchOptions(limit=12))
    assert len(points) == 12
    assert (gone[0] in ids(points)) == (strategy.mode == "recall")  # there it was found and scored before
    client.close()


# A model that fails


@BOTH
def test_a_failure_is_raised_as_it_is(toy: QdrantClient, strategy: RelevanceFeedback) -> None:
    with pytest.raises(TimeoutError, match="no answer after 10 s"):
        executor(toy, Failing()).retrieve(strategy, question(), SearchOptions(limit=5))


@BOTH
def test_with_keep_order_a_failure_in_round_one_leaves_the_plain_search(toy: QdrantClient, strategy: RelevanceFeedback) -> None:
    plain = executor(toy).retrieve(Nearest("dense"), question(), SearchOptions(limit=7))
    with pytest.warns(PlanWarning, match="TimeoutError"):
        points = executor(toy, Failing()).retrieve(replace(strategy, on_error="keep_order"), question(), SearchOptions(limit=7))
    assert ranking(points) == ranking(plain)
    assert {notes_of(point)["not_steered"] for point in points} == {"the model failed (TimeoutError)"}


def test_with_keep_order_a_failure_in_round_two_returns_what_there_is(toy: QdrantClient) -> None:
    expected = executor(toy).retrieve(RECALL, question(), SearchOptions(limit=12))
    seeds = [point.id for point in executor(toy).retrieve(Nearest("dense"), question(), SearchOptions(limit=5))]
    with pytest.warns(PlanWarning, match="comes last, each with the note 'not_reranked'"):
        points = executor(toy, Failing(2)).retrieve(replace(RECALL, on_error="keep_order"), question(), SearchOptions(limit=12))
    assert sorted(map(str, ids(points))) == sorted(map(str, ids(expected)))
    assert ids(points[:5]) == [point.id for point in expected if point.id in seeds]
    assert {notes_of(point).get("not_reranked") for point in points[:5]} == {None}
    assert {notes_of(point).get("not_reranked") for point in points[5:]} == {"TimeoutError"}
    assert {notes_of(point)["documents_scored"] for point in points} == {5}


def test_unusable_scores_count_as_a_failure(toy: QdrantClient) -> None:
    runner = executor(toy, lambda query, texts: [float("nan")] * len(texts))
    with pytest.warns(PlanWarning, match="ScoringError"):
        points = runner.retrieve(replace(FORGIVING, trust=True), question(), SearchOptions(limit=3))
    assert notes_of(points[0])["not_steered"] == "the model failed (ScoringError)"


def test_with_other_candidates_a_failure_leaves_the_unsteered_search_beside_them(toy: QdrantClient) -> None:
    from qdrant_rerank import Fusion
    from qdrant_rerank.feedback import FeedbackCandidates

    strategy = replace(FORGIVING, within=Fusion.rrf().over(FeedbackCandidates(limit=20), Nearest("bm25", limit=20)))
    hybrid = Fusion.rrf().over(Nearest("dense", limit=20), Nearest("bm25", limit=20))
    with pytest.warns(PlanWarning):
        points = executor(toy, Failing()).retrieve(strategy, question(), SearchOptions(limit=9))
    plain = {point.id: point.score for point in executor(toy).retrieve(hybrid, question(), SearchOptions(limit=24))}
    assert [point.score for point in points] == pytest.approx([plain[point.id] for point in points])
    assert {notes_of(point)["not_steered"] for point in points} == {"the model failed (TimeoutError)"}


def test_keep_order_keeps_what_a_threshold_would_cut(toy: QdrantClient) -> None:
    strategy = replace(RECALL, on_error="keep_order")
    with pytest.warns(PlanWarning):
        points = executor(toy, Failing(2)).retrieve(strategy, question(), SearchOptions(limit=12, score_threshold=1e9))
    assert {notes_of(point)["not_reranked"] for point in points} == {"TimeoutError"}
    assert len(points) == 7
