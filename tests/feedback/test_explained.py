"""What `explain` says of relevance feedback: seeds, scores, pairs, the shift, and what adds up to each score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import AsyncExecutor, FeedbackLeg, Fusion, Nearest, QueryError, RelevanceFeedback, Scope
from qdrant_rerank.results import notes_of
from tests.support import COLLECTION, alike, encoders, ids, question, refused

from .support import PRECISION, RECALL, Numbers, executor

WITHIN = replace(PRECISION, within=Fusion.rrf().over(FeedbackLeg(limit=20), Nearest("bm25", limit=20)))


@pytest.mark.parametrize("strategy", [PRECISION, RECALL, WITHIN, replace(PRECISION, native=True)])
def test_the_results_are_those_of_the_query_itself(toy: QdrantClient, strategy: RelevanceFeedback) -> None:
    for scope in (Scope(limit=5), Scope(limit=4, offset=2, with_payload=["doc"], with_vectors=["bm25"])):
        explained = executor(toy).explain(strategy, question(), scope)
        plain = executor(toy).retrieve(strategy, question(), scope)
        assert alike(explained.points, plain)
        assert [point.model_dump(exclude={"score"}) for point in explained.points] == [
            p.model_dump(exclude={"score"}) for p in plain
        ]
        assert [reason.rank for reason in explained.reasons] == list(range(1 + (scope.offset or 0), 1 + scope.reach))


def test_query_and_feedback_add_up_to_the_score(toy: QdrantClient) -> None:
    plain = executor(toy).retrieve(Nearest("dense"), question(), Scope(limit=24))
    similarity = {point.id: point.score for point in plain}
    explained = executor(toy).explain(PRECISION, question(), Scope(limit=6))
    for point, reason in zip(explained.points, explained.reasons, strict=True):
        own, feedback = reason.terms
        assert (own.text, feedback.text) == ("a * similarity", "feedback")
        assert own.value == pytest.approx(similarity[point.id], abs=1e-6)
        assert reason.total == pytest.approx(point.score)
    assert sum(term.value for term in explained.why(*ids(explained.points)[:2])) > 0


def test_the_seeds_their_scores_the_pairs_and_the_shift_are_there(toy: QdrantClient) -> None:
    first: Any = executor(toy).retrieve(Nearest("dense"), question(), Scope(limit=5))
    steering = executor(toy).explain(PRECISION, question(), Scope(limit=6)).steering
    assert steering is not None
    assert [(seed.id, seed.rank, seed.score) for seed in steering.seeds] == [
        (point.id, rank, float(point.id)) for rank, point in enumerate(first, 1)
    ]
    assert len(steering.pairs) == 10
    best = steering.pairs[0]
    assert steering.used[best.better].score == max(point.id for point in first)
    assert steering.cosine is not None
    assert -1.0 < steering.cosine < 0.999


def test_reasons_say_where_the_first_search_had_each_point(toy: QdrantClient) -> None:
    explained = executor(toy).explain(PRECISION, question(), Scope(limit=6))
    for point, reason in zip(explained.points, explained.reasons, strict=True):
        [hit] = reason.legs
        assert hit.leg == "first search"
        assert (hit.rank is None) == notes_of(point)["surfaced_by_feedback"]


def test_where_nothing_adds_up_the_reason_is_given(toy: QdrantClient) -> None:
    flat = executor(toy, lambda query, texts: [1.0] * len(texts))
    explained = flat.explain(replace(PRECISION, trust=True), question(), Scope(limit=2))
    with refused(QueryError, "as the first search found it: the model gave all seeds the same score"):
        explained.why(*ids(explained.points))
    explained = executor(toy).explain(WITHIN, question(), Scope(limit=2))
    with refused(QueryError, "isn't made of the query's and the feedback's share alone"):
        explained.why(*ids(explained.points))


async def test_async_explains_the_same(toy: QdrantClient) -> None:
    runner = AsyncExecutor(toy, COLLECTION, encoders=encoders(), model=Numbers())
    assert await runner.explain(RECALL, question(), Scope(limit=4)) == executor(toy).explain(RECALL, question(), Scope(limit=4))
