"""What `explain` says of relevance feedback: seeds, scores, pairs, the shift, and what adds up to each score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import AsyncExecutor, Fusion, Nearest, Query, QueryError, RelevanceFeedback, SearchOptions
from qdrant_rerank._internals import notes_of
from qdrant_rerank.feedback import FeedbackCandidates
from qdrant_rerank.models import ServerInference
from qdrant_rerank.planning import plan
from tests.support import COLLECTION, QUERY, SCHEMA, encoders, ids, near, question, refused, script, target

from .support import PRECISION, RECALL, SEEDS, Numbers, executor

UNTIED = Fusion.rrf(weights=(1.0, 1.3))  # with these no two points tie, which engines put in any order
WITHIN = replace(PRECISION, within=UNTIED.over(FeedbackCandidates(limit=20), Nearest("bm25", limit=20)))


@pytest.mark.parametrize("strategy", [PRECISION, RECALL, WITHIN, replace(PRECISION, native=True)])
def test_the_results_are_those_of_the_query_itself(toy: QdrantClient, strategy: RelevanceFeedback) -> None:
    for options in (SearchOptions(limit=5), SearchOptions(limit=4, offset=2, with_payload=["doc"], with_vectors=["bm25"])):
        found = executor(toy).explain(strategy, question(), options)
        plain = executor(toy).retrieve(strategy, question(), options)
        assert near(found.points) == near(plain)
        assert [reason.rank for reason in found.reasons] == list(range(1 + (options.offset or 0), 1 + options.reach))


def test_query_and_feedback_add_up_to_the_score(toy: QdrantClient) -> None:
    plain = executor(toy).retrieve(Nearest("dense"), question(), SearchOptions(limit=24))
    similarity = {point.id: point.score for point in plain}
    found = executor(toy).explain(PRECISION, question(), SearchOptions(limit=6))
    for point, reason in zip(found.points, found.reasons, strict=True):
        own, feedback = reason.terms
        assert (own.text, feedback.text) == ("a * similarity", "feedback")
        assert own.value == pytest.approx(similarity[point.id], abs=1e-6)
        assert reason.total == pytest.approx(point.score)
    assert sum(term.value for term in found.compare(*ids(found.points)[:2])) > 0


def test_the_seeds_their_scores_the_pairs_and_the_shift_are_there(toy: QdrantClient) -> None:
    first: Any = executor(toy).retrieve(Nearest("dense"), question(), SearchOptions(limit=5))
    steering = executor(toy).explain(PRECISION, question(), SearchOptions(limit=6)).steering
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
    found = executor(toy).explain(PRECISION, question(), SearchOptions(limit=6))
    for point, reason in zip(found.points, found.reasons, strict=True):
        [hit] = reason.candidates
        assert hit.candidate == "first search"
        assert (hit.rank is None) == notes_of(point)["surfaced_by_feedback"]


def test_where_nothing_adds_up_the_reason_is_given(toy: QdrantClient) -> None:
    flat = executor(toy, lambda query, texts: [1.0] * len(texts))
    found = flat.explain(replace(PRECISION, trust=True), question(), SearchOptions(limit=2))
    with refused(QueryError, "as the first search found it: the model gave all seeds the same score"):
        found.compare(*ids(found.points))


def test_a_query_that_the_server_embeds_has_no_share_that_is_known_here() -> None:
    strategy = replace(PRECISION, native=True)
    document = ServerInference("some-model").encode_query(QUERY)
    flow = plan(strategy, SCHEMA, target().capabilities, SearchOptions(limit=2)).explain(Query(QUERY, {"dense": document}))
    _, made = script(flow, [SEEDS], [1.0, 2.0, 3.0, 4.0, 5.0], [SEEDS[:2]])
    with refused(QueryError, "the server embeds the query, so that its share of the score isn't known here"):
        made.compare(1, 2)


async def test_async_explains_the_same(toy: QdrantClient) -> None:
    runner = AsyncExecutor(toy, COLLECTION, encoders=encoders(), reranker=Numbers())
    expected = executor(toy).explain(RECALL, question(), SearchOptions(limit=4))
    assert near(await runner.explain(RECALL, question(), SearchOptions(limit=4))) == near(expected)
