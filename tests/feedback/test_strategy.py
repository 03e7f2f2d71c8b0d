"""`RelevanceFeedback`: what it asks for, what it returns, and what it notes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Coefficients,
    Executor,
    Formula,
    Fusion,
    Nearest,
    RelevanceFeedback,
    SearchOptions,
    Strategy,
    field,
    from_json,
    score,
    to_json,
)
from qdrant_rerank._internals import Score, Search, fold, notes_of
from qdrant_rerank.feedback import FeedbackCandidates
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import Cost, Schema, VectorInfo, plan
from tests.engines import open_client
from tests.support import (
    COLLECTION,
    QUERY,
    SCHEMA,
    CountingClient,
    dense,
    encoders,
    fill_toy,
    ids,
    near,
    public_names,
    question,
    ranking,
    refused,
    target,
)

from .support import COEFFICIENTS, PRECISION, RECALL, SEEDS, Numbers, asked, executor, found

UNTIED = Fusion.rrf(weights=(1.0, 1.3))  # with these no two points tie, which engines put in any order
HYBRID = replace(UNTIED, limit=5).over(Nearest("dense", limit=20), Nearest("bm25", limit=20))
WITHIN = replace(PRECISION, within=Fusion.rrf().over(FeedbackCandidates(limit=20), Nearest("bm25", limit=20)))
SECOND = found((3, 0.9, None), (7, 0.8, None), (1, 0.7, None))


def test_a_query_is_two_requests_and_one_scoring_in_precision_mode() -> None:
    steps, points = asked(PRECISION, [SEEDS], [1.0, 5.0, 2.0, 0.0, 1.0], [SECOND], options=SearchOptions(limit=3))
    first, scored, second = steps
    assert isinstance(first, Search)
    assert isinstance(second, Search)
    [one], [two] = first.requests, second.requests
    assert (one.limit, one.with_vector, one.with_payload) == (5, ["dense"], True)
    assert scored == Score(QUERY, ["n1", "n2", "n3", "n4", "n5"])
    stored = [point.vector["dense"] for point in SEEDS if isinstance(point.vector, dict)]
    made = fold([1.0, 0.0, 0.0, 0.0], stored, [1.0, 5.0, 2.0, 0.0, 1.0], COEFFICIENTS, cosine=True)  # type: ignore[arg-type]
    assert isinstance(two.query, models.NearestQuery)
    assert two.query.nearest == pytest.approx(made.vector)
    assert (two.using, two.limit, two.filter, two.prefetch) == ("dense", 3, None, None)
    assert ids(points) == [3, 7, 1]
    assert [point.score for point in points] == pytest.approx([0.9 * made.scale, 0.8 * made.scale, 0.7 * made.scale])


def test_results_note_what_the_first_search_would_not_have_returned() -> None:
    _, points = asked(PRECISION, [SEEDS], [1.0, 5.0, 2.0, 0.0, 1.0], [SECOND], options=SearchOptions(limit=2))
    noted = {point.id: dict(notes_of(point)) for point in points}
    assert noted[3] == {"surfaced_by_feedback": True, "documents_scored": 5, "feedback_score": 2.0}  # a seed, but third
    assert noted[7] == {"surfaced_by_feedback": True, "documents_scored": 5}
    assert noted[1] == {"surfaced_by_feedback": False, "documents_scored": 5, "feedback_score": 1.0}


def test_the_first_search_is_asked_for_all_that_the_call_would_have_got() -> None:
    more = [*SEEDS, *found((7, 0.4, None))]
    steps, points = asked(PRECISION, [more], [1.0, 5.0, 2.0, 0.0, 1.0], [SECOND], options=SearchOptions(limit=9, offset=2))
    assert [(step.requests[0].limit, step.requests[0].offset) for step in (steps[0], steps[2])] == [(11, None), (9, 2)]
    assert {point.id: notes_of(point)["surfaced_by_feedback"] for point in points} == {3: False, 7: False, 1: False}


def test_recall_mode_scores_both_rounds_and_ranks_by_the_model() -> None:
    second = found((7, 0.8, None), (8, 0.7, None), (9, 0.6, None))
    answers = [SEEDS], [1.0, 5.0, 2.0, 0.0, 1.0], [second], [9.0, 0.5, 1.0]
    steps, points = asked(replace(RECALL, limit=8), *answers, options=SearchOptions(limit=7))
    [request] = steps[2].requests
    assert (request.limit, request.offset) == (3, None)  # of 8 documents, 5 are scored already
    assert request.filter == models.Filter(must_not=[models.HasIdCondition(has_id=[1, 2, 3, 4, 5])])
    assert steps[3] == Score(QUERY, ["n7", "n8", "n9"])
    assert [(point.id, point.score) for point in points] == [
        (7, 9.0),
        (2, 5.0),
        (3, 2.0),
        (1, 1.0),
        (5, 1.0),
        (9, 1.0),
        (8, 0.5),
    ]
    assert notes_of(points[0])["surfaced_by_feedback"] is True
    assert {notes_of(point)["documents_scored"] for point in points} == {8}
    assert [notes_of(point)["feedback_score"] for point in points] == [point.score for point in points]


def test_recall_mode_keeps_the_call_s_filter_beside_its_own() -> None:
    news = models.Filter(must=[models.FieldCondition(key="category", match=models.MatchValue(value="news"))])
    steps, _ = asked(RECALL, [SEEDS], [1.0, 5.0, 2.0, 0.0, 1.0], [[]], options=SearchOptions(filter=news))
    assert steps[0].requests[0].filter == news
    assert steps[2].requests[0].filter.must == [news, models.Filter(must_not=[models.HasIdCondition(has_id=[1, 2, 3, 4, 5])])]


@pytest.mark.parametrize("strategy", [PRECISION, RECALL, replace(PRECISION, native=True)])
def test_both_rounds_go_to_the_call_s_shards_and_with_its_options(strategy: RelevanceFeedback) -> None:
    options = SearchOptions(limit=3, shard_key_selector="eu", consistency=models.ReadConsistencyType.MAJORITY, timeout=7)
    steps, _ = asked(strategy, [SEEDS], [1.0, 5.0, 2.0, 0.0, 1.0], [[]], options=options)
    for step in (steps[0], steps[2]):
        assert (step.requests[0].shard_key, step.consistency, step.timeout) == ("eu", models.ReadConsistencyType.MAJORITY, 7)


def test_thresholds_and_offsets_are_about_the_final_scores() -> None:
    scores = [1.0, 5.0, 2.0, 0.0, 1.0]
    stored: Any = [point.vector["dense"] for point in SEEDS if isinstance(point.vector, dict)]
    scale = fold([1.0, 0.0, 0.0, 0.0], stored, scores, COEFFICIENTS, cosine=True).scale
    steps, points = asked(PRECISION, [SEEDS], scores, [SECOND], options=SearchOptions(limit=3, score_threshold=0.8 * scale))
    assert [step.requests[0].score_threshold for step in (steps[0], steps[2])] == [None, None]
    assert ids(points) == [3, 7]
    _, points = asked(RECALL, [SEEDS], scores, [[]], options=SearchOptions(limit=2, offset=1, score_threshold=1.0))
    assert ids(points) == [3, 1]


def test_payload_and_vectors_are_those_that_the_call_wants(toy: QdrantClient) -> None:
    for strategy in (PRECISION, RECALL):
        points = executor(toy).retrieve(strategy, question(), SearchOptions(limit=5, with_payload=False))
        assert {(point.payload, point.vector) for point in points} == {(None, None)}
        points = executor(toy).retrieve(
            strategy, question(), SearchOptions(limit=9, with_payload=["doc"], with_vectors=["bm25"])
        )
        assert [sorted(point.payload or {}) for point in points] == [["doc"]] * 9
        assert [sorted(point.vector) for point in points if isinstance(point.vector, dict)] == [["bm25"]] * 9


def test_the_server_s_own_query_is_sent_on_request() -> None:
    steps, points = asked(
        replace(PRECISION, native=True), [SEEDS], [1.0, 5.0, 2.0, 0.0, 1.0], [SECOND], options=SearchOptions(limit=3)
    )
    query = steps[2].requests[0].query
    assert isinstance(query, models.RelevanceFeedbackQuery)
    assert [item.score for item in query.relevance_feedback.feedback] == [1.0, 5.0, 2.0, 0.0, 1.0]
    assert query.relevance_feedback.feedback[4].example == [0.6, 0.8, 0.0, 0.0]
    assert [point.score for point in points] == [0.9, 0.8, 0.7]


@pytest.mark.parametrize("distance", [models.Distance.EUCLID, models.Distance.MANHATTAN])
def test_distances_are_left_to_the_server_s_own_query(distance: models.Distance) -> None:
    schema = Schema("toy", {"dense": VectorInfo("dense", 4, distance)}, points=9)
    fitted = replace(PRECISION, coefficients=COEFFICIENTS.with_provenance(distance=distance.value))
    steps, _ = asked(fitted, [SEEDS], [1.0, 5.0, 2.0, 0.0, 1.0], [SECOND], schema=schema)
    assert isinstance(steps[2].requests[0].query, models.RelevanceFeedbackQuery)


def test_seeds_may_come_from_a_hybrid_search_or_a_formula(toy: QdrantClient) -> None:
    for seeds in (HYBRID, Formula(score() + field("rating", default=0.0), limit=5).over(Nearest("dense", limit=20))):
        reader = Numbers()
        points = executor(toy, reader).retrieve(replace(PRECISION, seeds=seeds), question(), SearchOptions(limit=4))
        plain = executor(toy).retrieve(seeds, question(), SearchOptions(limit=5))
        assert reader.calls == [[point.payload["text"] for point in plain if point.payload]]
        assert len(points) == 4
        assert not any("not_steered" in notes_of(point) for point in points)


def test_the_steered_search_may_be_one_candidate_among_others(toy: QdrantClient) -> None:
    points = executor(toy).retrieve(WITHIN, question(), SearchOptions(limit=24))
    alone = executor(toy).retrieve(PRECISION, question(), SearchOptions(limit=20))
    words = executor(toy).retrieve(Nearest("bm25"), question(), SearchOptions(limit=20))
    expected = {point.id: 0.0 for point in points}
    for candidate in (alone, words):
        for rank, point in enumerate(candidate):
            expected[point.id] += 1 / (rank + 2)
    assert {point.id: point.score for point in points} == pytest.approx(expected, rel=1e-5)
    assert all("surfaced_by_feedback" in notes_of(point) for point in points)


def test_a_formula_reads_the_candidate_s_score_by_its_name(toy: QdrantClient) -> None:
    formula = Formula(score("feedback") + 0.0 * field("popularity", default=0.0)).over(FeedbackCandidates(limit=10))
    points = executor(toy).retrieve(replace(PRECISION, within=formula), question(), SearchOptions(limit=5))
    assert ids(points) == ids(executor(toy).retrieve(PRECISION, question(), SearchOptions(limit=5)))
    assert all(-1.0 <= point.score <= 1.0 for point in points)


async def test_sync_and_async_return_the_same(toy: QdrantClient) -> None:
    asynchronous = AsyncExecutor(toy, COLLECTION, encoders=encoders(), reranker=Numbers())
    queries = [question(text) for text in ("quick fox", "lazy dog", "stone")]
    within = replace(PRECISION, within=UNTIED.over(FeedbackCandidates(limit=20), Nearest("bm25", limit=20)))
    for strategy in (PRECISION, RECALL, within, replace(PRECISION, native=True)):
        expected = near([executor(toy).retrieve(strategy, query, SearchOptions(limit=7)) for query in queries])
        assert near([await asynchronous.retrieve(strategy, query, SearchOptions(limit=7)) for query in queries]) == expected
        assert near(executor(toy).retrieve_batch(strategy, queries, SearchOptions(limit=7))) == expected
        assert near(await asynchronous.retrieve_batch(strategy, queries, SearchOptions(limit=7))) == expected


def test_each_round_is_one_request_for_one_query_and_for_many() -> None:
    client = CountingClient()
    fill_toy(client)
    runner = executor(client)
    runner.plan(PRECISION)
    for strategy in (PRECISION, RECALL, WITHIN):
        client.calls.clear()
        runner.retrieve(strategy, question(), SearchOptions(limit=5))
        assert client.calls == ["query_points"] * 2
        client.calls.clear()
        runner.retrieve_batch(strategy, [question("fox"), question("dog"), question("storm")], SearchOptions(limit=5))
        assert client.calls == ["query_batch_points"] * 2
    client.close()


def test_the_cost_counts_what_the_model_reads(toy: QdrantClient) -> None:
    for strategy, calls in ((PRECISION, 5), (RECALL, 12), (replace(RECALL, limit=None), 25), (WITHIN, 5)):
        reader = Numbers()
        executor(toy, reader).retrieve(strategy, question(), SearchOptions(limit=5))
        assert strategy.cost == Cost(2, calls)
        assert sum(map(len, reader.calls)) == min(calls, 24)
    assert "2 round trips, 5 texts read by the reranker" in str(plan(PRECISION, SCHEMA, target().capabilities).describe())


def test_one_zero_zero_is_plain_search_and_asks_no_model(toy: QdrantClient) -> None:
    reader = Numbers()
    strategy = RelevanceFeedback(seeds=Nearest("dense", limit=3), coefficients=Coefficients(1, 0, 0))
    points = executor(toy, reader).retrieve(strategy, question(), SearchOptions(limit=6, offset=1))
    plain = executor(toy).retrieve(Nearest("dense"), question(), SearchOptions(limit=6, offset=1))
    assert ranking(points) == ranking(plain)
    assert reader.calls == []
    assert strategy.cost == Cost(1, 0)
    assert notes_of(points[0]) == {
        "surfaced_by_feedback": False,
        "documents_scored": 0,
        "not_steered": "the coefficient c is 0",
    }


STRATEGIES: list[Strategy] = [
    PRECISION,
    RECALL,
    WITHIN,
    RelevanceFeedback(coefficients=Coefficients(1, 0, 0)),
    RelevanceFeedback(
        seeds=HYBRID, coefficients=Coefficients(1.5, 0.25, 2.0), using="dense", on_error="keep_order", native=True, trust=True
    ),
    replace(WITHIN, within=Formula(score("feedback") * 2.0).over(FeedbackCandidates(limit=7, name="feedback"))),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_repr_and_json_give_the_same_strategy_back(strategy: Strategy) -> None:
    assert eval(repr(strategy), public_names() | {"models": models}) == strategy
    assert from_json(to_json(strategy)) == strategy


def test_the_vector_is_that_of_the_seeds_else_the_only_dense_one() -> None:
    schema = Schema(
        "two", {"one": VectorInfo("dense", 4, models.Distance.DOT), "two": VectorInfo("dense", 8, models.Distance.DOT)}
    )
    plain = RelevanceFeedback(coefficients=Coefficients(1, 0, 0))
    assert replace(plain, seeds=Nearest("two")).resolve(schema).using == "two"
    assert replace(plain, seeds=Nearest("two"), using="one").resolve(schema).using == "one"
    assert replace(plain, seeds=Nearest("bm25")).resolve(SCHEMA).using == "dense"
    assert plain.resolve(schema).using is None


def test_a_candidate_outside_relevance_feedback_is_refused() -> None:
    with refused(ValueError, "has a place only in RelevanceFeedback(within=…)"):
        plan(Fusion.rrf().over(FeedbackCandidates(limit=10), Nearest("dense")), SCHEMA, target().capabilities)


def test_json_with_a_mistake_names_its_line() -> None:
    text = to_json(PRECISION)
    lines = text.splitlines()
    line = next(number for number, each in enumerate(lines, 1) if '"coefficients"' in each)
    with refused(ValueError, f"x.json:{line}: ", "at least 0, got -0.5"):
        from_json(text.replace('"b": 0.5', '"b": -0.5'), "x.json")


def test_notes_of_one_call_are_not_those_of_the_next(toy: QdrantClient) -> None:
    runner: Any = executor(toy)
    first = runner.retrieve(PRECISION, question(), SearchOptions(limit=3))
    second = runner.retrieve(PRECISION, question(), SearchOptions(limit=3))
    first[0].notes["own"] = 1
    assert "own" not in second[0].notes


@pytest.mark.parametrize("mode", ["precision", "recall"])
def test_an_unnamed_vector_is_steered_too(mode: Any) -> None:
    client = open_client()
    client.create_collection("plain", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT))
    client.upsert("plain", [models.PointStruct(id=n, vector=dense(str(n)), payload={"text": f"n{n}"}) for n in range(30)])
    runner = Executor(client, "plain", encoders=Encoders.of(dense=dense), reranker=Numbers())
    strategy = RelevanceFeedback(coefficients=Coefficients(1.0, 0.5, 0.3), mode=mode, trust=True)
    points = runner.retrieve(strategy, question(), SearchOptions(limit=12))
    assert len(points) == 12
    assert not any("not_steered" in notes_of(point) for point in points)
    assert {point.vector for point in points} == {None}
    client.close()
