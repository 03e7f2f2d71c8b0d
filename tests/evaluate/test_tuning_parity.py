"""What is recomputed from the candidates is what Qdrant returns, in local mode and in the embedded engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    Rerank,
    SearchOptions,
    Strategy,
    datetime_field,
    decay_exp,
    field,
    now,
    param,
    score,
    sigmoid,
    when,
)
from qdrant_rerank._internals import Points, QueryVector
from qdrant_rerank.evaluate import Topic
from qdrant_rerank.expressions import Expression, max_sim, raw, rerank_score
from qdrant_rerank.tune import Budget, Grid, Hit, Option, TopicHits, is_local, recompute
from qdrant_rerank.tune._internals import (
    Access,
    Gathering,
    Meter,
    PlannedSearches,
    ScoreBook,
    effort_of,
    is_recomputable,
    key_of,
    leaf_depths,
    recompute_reranking,
)
from tests.engines import compared, open_client
from tests.support import COLLECTION, NOW, alike, bm25, encoders, fill_toy

A, B, LATE = Nearest("dense", limit=9), Nearest("bm25", limit=6), Nearest("colbert", limit=8)
NEWS = models.Filter(must=[models.FieldCondition(key="category", match=models.MatchValue(value="news"))])
LIKED: Expression = 0.7 * score("dense") + 0.05 * score("bm25", default=0.1) + 0.02 * field("popularity", default=0.0)
FRESH: Expression = score("dense", default=-0.2) + 0.3 * decay_exp(now() - datetime_field("published"), scale=86400.0 * 9)

LOCAL: dict[str, Strategy] = {
    "a candidate": Nearest("dense"),
    "sparse": Nearest("bm25"),
    "late interaction": Nearest("colbert"),
    "RRF": Fusion.rrf().over(A, B),
    "RRF k=61": Fusion.rrf(k=61).over(A, B, LATE),
    "RRF weights": Fusion.rrf(k=5, weights=(3.0, 1.0)).over(A, B),
    "DBSF": Fusion.dbsf().over(A, B),
    "limits left open": Fusion.dbsf().over(Nearest("dense"), Nearest("bm25")),
    "a sum": Formula(LIKED).over(A, B),
    "a decay": Formula(FRESH).over(A, B),
    "request-time values": Formula(score() + param("taste") * field("rating", default=2.0)).over(A),
    "a condition": Formula(score("dense") + when(NEWS, 0.3, 0.0)).over(A, B),
    "tokens": Formula(max_sim("colbert") + score("dense")).over(A, LATE),
    "a formula over a fusion": Formula(score("rrf") + 0.01 * field("popularity", default=0.0)).over(Fusion.rrf().over(A, B)),
    "a fusion of fusions": Fusion.rrf().over(Fusion.dbsf(limit=7).over(A, B), LATE),
    "a filtered candidate": Fusion.rrf().over(Nearest("dense", limit=9, filter=NEWS), B),
    "a candidate with a threshold": Fusion.rrf().over(Nearest("dense", limit=9, score_threshold=0.2), B),
}
NOT_LOCAL: dict[str, Strategy] = {
    "MMR": Mmr("dense").over(A),
    "rescoring by another vector": Nearest("colbert").over(A),
    "a filtered fusion": Fusion.rrf(filter=NEWS).over(A, B),
    "a fusion with a threshold": Fusion.rrf(score_threshold=0.1).over(A, B),
    "a raw expression": Formula(raw(models.SumExpression(sum=["$score", 1.0]))).over(A),
    "a condition on vectors": Formula(score() + when(models.HasVectorCondition(has_vector="bm25"))).over(A),
    "MMR below": Fusion.rrf().over(Mmr("dense", limit=5).over(A), B),
}


def distinct(text: str) -> dict[str, QueryVector]:
    """A sparse query that no two points answer alike: their own words count a little, each by another weight."""
    words = bm25(" ".join([*text.split(), *(f"n{number}" for number in range(1, 25))]))
    return {"bm25": models.SparseVector(indices=words.indices, values=[0.1 + 0.037 * row for row in range(len(words.indices))])}


TOPICS = [
    Topic("plain", "quick brown fox", {"taste": 0.1}, vectors=distinct("quick brown fox"), now=NOW),
    Topic("filtered", "night river", {"taste": -0.2}, NEWS, vectors=distinct("night river"), now=NOW),
    Topic("other", "lazy dog storm light", {"taste": 0.4}, vectors=distinct("lazy dog storm light"), now=NOW),
]


@pytest.fixture(scope="module", params=compared())
def each_engine(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """An executor over the toy collection, in each engine."""
    client = open_client(request.param)
    fill_toy(client)
    yield Executor(client, COLLECTION, encoders=encoders())
    client.close()


def hits_of(executor: Executor, strategies: Sequence[Strategy], limit: int) -> list[TopicHits]:
    """What the candidates of the strategies find."""
    leaves: dict[str, Any] = {}
    for strategy in strategies:
        for key, (leaf, depth) in leaf_depths(strategy, limit).items():  # type: ignore[arg-type]
            leaves[key] = leaf, max(depth, leaves.get(key, (leaf, 0))[1])
    gathering = Gathering(Access(executor, Meter(Budget()), "text", batch_size=2), PlannedSearches(leaves, True))
    return gathering.gather(TOPICS)


def as_points(hits: Sequence[Any]) -> Points:
    return [models.ScoredPoint(id=hit.id, version=0, score=hit.score) for hit in hits]


@pytest.mark.parametrize("limit", [3, 8])
def test_a_recomputed_ranking_is_the_one_that_qdrant_returns(each_engine: Executor, limit: int) -> None:
    all_hits, schema = hits_of(each_engine, list(LOCAL.values()), limit), each_engine.target().schema
    compared = 0
    for name, strategy in LOCAL.items():
        assert is_local(strategy), name
        if not is_recomputable(strategy, schema):
            assert schema.shards > 1  # there `tune` asks Qdrant for it
            continue
        compared += 1
        for topic_hits in all_hits:
            asked = each_engine.retrieve(strategy, topic_hits.topic.query, topic_hits.topic.within(SearchOptions(limit=limit)))
            ours = recompute(strategy, topic_hits, each_engine.target(), limit)  # type: ignore[arg-type]
            assert alike(asked, as_points(ours)), (name, topic_hits.topic.id, asked, ours)
            assert asked, name
    assert compared > len(LOCAL) // 2


@pytest.mark.parametrize("blend", [None, 0.5 * sigmoid(rerank_score()) + score() + 0.01 * field("popularity", default=0.0)])
@pytest.mark.parametrize("missing", ["last", "drop"])
def test_recomputed_rescoring_is_the_one_of_the_executor(each_engine: Executor, blend: Any, missing: Any) -> None:
    executor = Executor(
        each_engine.clients.sync(), COLLECTION, encoders=encoders(), reranker=lambda query, texts: [len(t) / 9 for t in texts]
    )
    strategy = Rerank(reads=7, blend=blend, missing_text=missing).over(Fusion.dbsf().over(A, B))  # nothing ties
    book = ScoreBook(executor, Meter(Budget(model_texts=None)))
    for topic_hits in hits_of(executor, [strategy.below], 7):
        asked = executor.retrieve(strategy, topic_hits.topic.query, topic_hits.topic.within(SearchOptions(limit=5)))
        ours = recompute_reranking(strategy, topic_hits, executor.target(), 5, book)
        assert ours is not None
        assert alike(asked, ours)


@pytest.mark.parametrize("name", NOT_LOCAL)
def test_what_only_an_engine_can_rank_is_not_recomputed(name: str) -> None:
    assert not is_local(NOT_LOCAL[name])


def test_points_that_tie_are_ordered_by_their_ids_as_wherever_results_are_measured_not_by_candidate() -> None:
    all_hits = hits_of(Executor(fill_toy(open_client()), COLLECTION, encoders=encoders()), [A, B], 9)
    tied = Fusion.rrf().over(Nearest("dense", limit=1), Nearest("bm25", limit=1))
    topic_hits = all_hits[0]
    first, second = topic_hits.candidates[key_of(A)][0].id, topic_hits.candidates[key_of(B)][0].id
    assert first != second
    found = recompute(tied, topic_hits, Executor(fill_toy(open_client()), COLLECTION).target(), 2)
    assert [hit.id for hit in found] == sorted([first, second], key=lambda id: (isinstance(id, str), id))


def test_points_of_a_plain_search_that_tie_are_ordered_by_their_ids() -> None:
    uuid = "0a000000-0000-0000-0000-000000000000"
    hits = [Hit(9, 2.0), Hit(uuid, 1.0), Hit(7, 1.0), Hit(3, 1.0), Hit(1, 0.5)]
    topic_hits = TopicHits(
        Topic("q", "text"), dt.datetime.now(dt.UTC), {key_of(A): hits}, {hit.id: str(hit.id) for hit in hits}
    )
    target = Executor(fill_toy(open_client()), COLLECTION).target()
    assert [hit.id for hit in recompute(A, topic_hits, target, 4)] == [9, 3, 7, uuid]


def test_limits_written_out_and_left_to_their_defaults_are_the_same_strategy() -> None:
    written = Fusion.rrf().over(Nearest("dense", limit=100), Nearest("bm25", limit=100))
    assert written.fill_limits(10) == Fusion.rrf().over(Nearest("dense"), Nearest("bm25")).fill_limits(10)
    assert written.fill_limits(10) != Fusion.rrf().over(A, B).fill_limits(10)
    assert Rerank(reads=50).over(written).fill_limits(10) == Rerank().over(written).fill_limits(10)
    assert Rerank(reads=20).over(written).fill_limits(10) != Rerank().over(written).fill_limits(10)


def test_the_effort_of_a_query_counts_searches_candidates_and_texts() -> None:
    schema = Executor(fill_toy(open_client()), COLLECTION).target().schema
    assert (effort := effort_of(Rerank(reads=20).over(Fusion.rrf().over(A, B)), 10, schema)).model_texts == 20
    assert (effort.round_trips, effort.searches, effort.candidates) == (1, 2, 15)
    assert effort_of(Nearest("dense"), 10, schema).candidates == 10
    assert effort_of(Nearest("dense"), 10, schema) < effort_of(Fusion.rrf().over(A, B), 10, schema)


def test_a_grid_names_every_combination_of_its_values() -> None:
    grid = Grid("fused", lambda k, depth: Fusion.rrf(k=k).over(Nearest("dense", limit=depth)), {"k": [1, 2], "depth": [5, 6]})
    options: list[Option] = list(grid.options(None))  # type: ignore[arg-type]
    assert [option.name for option in options] == [
        "fused k=1, depth=5",
        "fused k=1, depth=6",
        "fused k=2, depth=5",
        "fused k=2, depth=6",
    ]
    assert options[-1].strategy == Fusion.rrf(k=2).over(Nearest("dense", limit=6))


def test_a_stage_below_a_stage_asks_its_candidates_for_as_many_points_as_it_hands_on() -> None:
    """The rule of the request: candidates without a limit find what the stage above them needs, at least 100."""
    candidate = Nearest("dense")
    nested = Formula(1.0 * score("dbsf")).over(Fusion.dbsf(limit=150).over(candidate))
    [(_, depth)] = leaf_depths(nested, 200).values()
    assert depth == 150
    target = Executor(fill_toy(open_client()), COLLECTION).target()
    hits = [Hit(row, 1.0 / (row + 1)) for row in range(300)]
    topic_hits = TopicHits(TOPICS[0], NOW, {key_of(candidate): hits}, {hit.id: str(hit.id) for hit in hits})
    shallow = TopicHits(TOPICS[0], NOW, {key_of(candidate): hits[:150]}, topic_hits.documents)
    found = recompute(nested, topic_hits, target, 200)
    assert len(found) == 150
    assert found == recompute(nested, shallow, target, 200)  # DBSF's scores change with every candidate
