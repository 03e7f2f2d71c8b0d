"""`Rerank`: candidates read and ranked anew by a model, its score blended, its failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    PlanWarning,
    Query,
    QueryError,
    RankedPoint,
    Rerank,
    ScoringError,
    SearchOptions,
    Strategy,
    StrategyError,
    field,
    from_json,
    param,
    score,
    sigmoid,
    to_json,
)
from qdrant_rerank._internals import (
    BEYOND,
    Lowering,
    Points,
    Score,
    ScoreSource,
    Search,
    Table,
    annotate,
    compute,
    lower,
    notes_of,
)
from qdrant_rerank.errors import PayloadError
from qdrant_rerank.expressions import Expression, constant, max_sim, query_tokens, rerank_score
from qdrant_rerank.planning import Schema, VectorInfo, plan
from tests.support import COLLECTION, QUERY, SCHEMA, encoders, near, public_names, question, ranking, refused, script, target

DENSE = Nearest("dense")
NUMBERED = {"n23": 23.0}


class Numbers:
    """A model for which a text is worth the number at its end: the point's id."""

    fingerprint = "numbers"

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.calls.append((query, list(texts)))
        return [float(text.rsplit("n", 1)[1]) for text in texts]


class Down:
    """A model that can't be reached."""

    fingerprint = "down"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        raise TimeoutError("no answer after 10 s")


def executor(client: QdrantClient, model: Any = None, **options: Any) -> Executor:
    return Executor(client, COLLECTION, encoders=encoders(), reranker=model, **options)


def ids(points: Points) -> list[Any]:
    return [point.id for point in points]


def found(*pairs: tuple[int, float], **payload: Any) -> Points:
    return [models.ScoredPoint(id=id, version=0, score=score, payload={"text": f"n{id}", **payload}) for id, score in pairs]


def asked(
    strategy: Rerank, points: Points, answer: Any, query: Query | None = None, options: SearchOptions | None = None
) -> Any:
    """The result of a rescoring whose search finds these points and whose model answers this."""
    flow = plan(strategy, SCHEMA, target().capabilities, options).flow(query or Query(QUERY, {"dense": [0.1] * 4}))
    return script(flow, [points], answer)


def test_the_model_reads_what_the_search_finds_and_its_order_counts(toy: QdrantClient) -> None:
    reader = Numbers()
    plain = executor(toy).retrieve(DENSE, question(), SearchOptions(limit=8))
    points = executor(toy, reader).retrieve(Rerank(reads=8).over(DENSE), question(), SearchOptions(limit=3))
    assert ids(points) == sorted(ids(plain), reverse=True)[:3]
    assert [point.score for point in points] == [float(point.id) for point in points if isinstance(point.id, int)]
    assert reader.calls == [(QUERY, [point.payload["text"] for point in plain if point.payload])]
    before = {point.id: point.score for point in plain}
    assert near([notes_of(point) for point in points]) == [
        {"retrieval_score": before[point.id], "relevance_score": point.score} for point in points
    ]


async def test_sync_and_async_return_the_same(toy: QdrantClient) -> None:
    strategy = Rerank(reads=10, blend=0.5 * rerank_score() + score()).over(Fusion.rrf().over(DENSE, Nearest("bm25")))
    queries = [question(text) for text in ("quick fox", "lazy dog", "stone")]
    asynchronous = AsyncExecutor(toy, COLLECTION, encoders=encoders(), reranker=Numbers())
    expected = [executor(toy, Numbers()).retrieve(strategy, query) for query in queries]
    assert [await asynchronous.retrieve(strategy, query) for query in queries] == expected
    assert executor(toy, Numbers()).retrieve_batch(strategy, queries) == expected
    assert await asynchronous.retrieve_batch(strategy, queries) == expected


def test_a_plain_function_is_a_model(toy: QdrantClient) -> None:
    points = executor(toy, lambda query, texts: [len(text) for text in texts]).retrieve(Rerank().over(DENSE), question())
    lengths = [len(point.payload["text"]) for point in points if point.payload]
    assert lengths == sorted(lengths, reverse=True)


def test_equal_scores_keep_the_order_of_the_search() -> None:
    _, points = asked(Rerank().over(DENSE), found((1, 0.9), (2, 0.8), (3, 0.7)), [0.5, 0.9, 0.5])
    assert ids(points) == [2, 1, 3]


@pytest.mark.parametrize(
    ("strategy", "limit"),
    [
        (Rerank(reads=7).over(Nearest("dense", limit=20)), 7),
        (Rerank().over(Nearest("dense", limit=20)), 20),
        (Rerank().over(DENSE), 50),
        (Rerank().over(Rerank(reads=30).over(DENSE)), 30),
        (Rerank(reads=12).over(Rerank(reads=30).over(DENSE)), 30),
    ],
)
def test_the_search_is_asked_for_as_many_as_the_model_reads(strategy: Rerank, limit: int) -> None:
    flow = plan(strategy, SCHEMA, target().capabilities, SearchOptions(3)).flow(Query(QUERY, {"dense": [0.1] * 4}))
    step = next(flow)
    assert isinstance(step, Search)
    assert [(request.limit, request.with_payload) for request in step.requests] == [(limit, True)]
    flow.close()


def test_offset_threshold_and_top_n_are_about_the_models_scores() -> None:
    points = found((1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6))
    answer = [0.1, 0.4, 0.3, 0.2]

    def best(strategy: Rerank, **options: Any) -> list[Any]:
        steps, ranked = asked(strategy.over(DENSE), points, answer, options=SearchOptions(**options))
        [request] = steps[0].requests
        assert (request.offset, request.score_threshold) == (None, None)
        return ids(ranked)

    assert best(Rerank(), limit=10) == [2, 3, 4, 1]
    assert best(Rerank(), limit=2, offset=1) == [3, 4]
    assert best(Rerank(), limit=10, score_threshold=0.2) == [2, 3, 4]
    assert best(Rerank(top_n=1), limit=10) == [2]
    assert best(Rerank(top_n=3), limit=10, offset=2) == [4]


def test_points_without_payload_are_returned_where_none_is_asked_for(toy: QdrantClient) -> None:
    points = executor(toy, Numbers()).retrieve(Rerank().over(DENSE), question(), SearchOptions(limit=2, with_payload=False))
    assert [point.payload for point in points] == [None, None]


def test_a_blend_is_computed_from_both_scores_payload_and_request_time_values() -> None:
    blend = sigmoid(rerank_score()) + 2.0 * score() + field("rating", default=1.0) * param("weight")
    query = Query(QUERY, {"dense": [0.1] * 4}, {"weight": 3.0})
    points = [*found((1, 0.5), rating=2.0), *found((2, 0.25))]
    _, ranked = asked(Rerank(blend=blend).over(DENSE), points, [0.0, 0.0], query)
    assert [(point.id, point.score) for point in ranked] == [(1, 0.5 + 1.0 + 6.0), (2, 0.5 + 0.5 + 3.0)]
    assert ranked[0].notes == {"retrieval_score": 0.5, "relevance_score": 0.0}


def test_distances_count_negatively_in_a_blend() -> None:
    schema = Schema("toy", {"dense": VectorInfo("dense", 4, models.Distance.EUCLID)}, points=9)
    made = plan(Rerank(blend=score() + 0.0 * rerank_score()).over(DENSE), schema, target().capabilities)
    _, ranked = script(made.flow(Query(QUERY, {"dense": [0.1] * 4})), [found((1, 3.0), (2, 1.0))], [0.0, 0.0])
    assert [(point.id, point.score) for point in ranked] == [(2, -1.0), (1, -3.0)]


def test_a_missing_request_time_value_of_the_blend_is_named() -> None:
    with refused(QueryError, "'weight'"):
        asked(Rerank(blend=rerank_score() * param("weight")).over(DENSE), found((1, 0.5)), [0.1])
    with refused(QueryError, "wieght", "did you mean 'weight'"):
        query = Query(QUERY, {"dense": [0.1] * 4}, {"wieght": 1.0})
        asked(Rerank(blend=rerank_score() * param("weight", default=1.0)).over(DENSE), found((1, 0.5)), [0.1], query)


@pytest.mark.parametrize(
    ("blend", "parts"),
    [
        (score() * 2.0, ["doesn't read rerank_score()"]),
        (rerank_score() + score("dense"), ["score('dense')", "only score()"]),
        ("reranker", ["not an expression"]),
    ],
)
def test_a_blend_that_makes_no_sense_is_refused(blend: Any, parts: list[str]) -> None:
    with refused(StrategyError, *parts):
        Rerank(blend=blend)


def test_a_blend_that_is_not_finite_is_an_error_of_scoring() -> None:
    with refused(ScoringError, "the blend of point 2 is inf"), pytest.warns(RuntimeWarning):
        asked(Rerank(blend=rerank_score() ** 3).over(DENSE), found((1, 0.5), (2, 0.4)), [0.1, 1e200])


def test_model_has_no_place_in_a_formula() -> None:
    with refused(StrategyError, "Rerank(blend=…)"):
        Formula(rerank_score() + score())


# Candidates that the model doesn't read

FOUR = found((1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6))


def test_candidates_that_the_model_does_not_read_may_follow_in_the_order_of_the_search() -> None:
    strategy = Rerank(reads=2, unread="last").over(DENSE)
    steps, ranked = asked(strategy, FOUR, [0.1, 0.2], options=SearchOptions(limit=4))
    assert steps[-1] == Score(QUERY, ["n1", "n2"])
    assert ids(ranked) == [2, 1, 3, 4]
    assert [notes_of(point).get("not_reranked") for point in ranked] == [None, None, BEYOND, BEYOND]
    assert [point.score for point in ranked[2:]] == [0.7, 0.6]
    assert strategy.cost.reads == 2


def test_with_unread_last_more_can_be_asked_for_than_is_read(toy: QdrantClient) -> None:
    strategy = Rerank(reads=3, unread="last", top_n=7).over(DENSE)
    ranked = executor(toy, Numbers()).retrieve(strategy, question(), SearchOptions(10, offset=1))
    below = executor(toy).retrieve(DENSE, question(), SearchOptions(11))
    assert len(ranked) == 6
    assert ids(ranked[2:]) == ids(below[3:7])
    with refused(PlanError, "the call asks for 7 points, but Rerank reads 3", "set reads=7", "unread='last'"):
        plan(Rerank(reads=3).over(DENSE), SCHEMA, target().capabilities, SearchOptions(7))


def test_what_was_not_read_reaches_no_threshold() -> None:
    options = SearchOptions(limit=4, score_threshold=0.0)
    assert ids(asked(Rerank(reads=2, unread="last").over(DENSE), FOUR, [0.1, 0.2], options=options).result) == [2, 1]


def test_when_the_model_fails_all_candidates_keep_their_order() -> None:
    strategy = Rerank(reads=2, unread="last", on_error="keep_order").over(DENSE)
    with pytest.warns(PlanWarning):
        ranked = asked(strategy, FOUR, ScoringError("the model is down"), options=SearchOptions(limit=4)).result
    assert ids(ranked) == [1, 2, 3, 4]
    assert [notes_of(point)["not_reranked"] for point in ranked] == ["ScoringError"] * 2 + [BEYOND] * 2


def test_unread_is_one_of_two() -> None:
    with refused(StrategyError, "the unread of Rerank is one of 'drop', 'last'; got 'keep'"):
        Rerank(unread="keep")  # type: ignore[arg-type]
    assert from_json(to_json(Rerank(reads=2, unread="last").over(DENSE))) == Rerank(reads=2, unread="last").over(DENSE)


# Points without text

NO_TEXT = [*found((1, 0.9)), models.ScoredPoint(id=2, version=0, score=0.8, payload={"text": None}), *found((3, 0.7))]


def test_points_without_text_come_last_and_say_so() -> None:
    steps, ranked = asked(Rerank().over(DENSE), NO_TEXT, [0.1, 0.2])
    assert steps[-1] == Score(QUERY, ["n1", "n3"])
    assert ids(ranked) == [3, 1, 2]
    assert notes_of(ranked[2]) == {"not_reranked": "no text"}
    assert ranked[2].score == 0.8


def test_points_without_text_reach_no_threshold() -> None:
    assert ids(asked(Rerank().over(DENSE), NO_TEXT, [0.1, 0.2], options=SearchOptions(score_threshold=0.0)).result) == [3, 1]


def test_points_without_text_may_be_left_out_or_be_an_error() -> None:
    assert ids(asked(Rerank(missing_text="drop").over(DENSE), NO_TEXT, [0.1, 0.2]).result) == [3, 1]
    with refused(ScoringError, "1 of 3 candidates have no text", "2", "missing_text='last'"):
        asked(Rerank(missing_text="raise").over(DENSE), NO_TEXT, [])


def test_no_text_at_all_under_the_key_is_an_error_that_says_where_to_look(toy: QdrantClient) -> None:
    with refused(PayloadError, "'txt'", "'text'"):
        from qdrant_rerank import PayloadMapping

        executor(toy, Numbers(), payload=PayloadMapping("txt")).retrieve(Rerank().over(DENSE), question())


def test_where_every_point_is_without_text_nothing_is_scored() -> None:
    made = plan(Rerank().over(DENSE), SCHEMA, target().capabilities)
    with pytest.warns(PlanWarning, match="without text"):
        steps, ranked = script(made.flow(Query(QUERY, {"dense": [0.1] * 4})), [[NO_TEXT[1]]])
    assert [type(step) for step in steps] == [Search]
    assert ids(ranked) == [2]


def test_where_nothing_is_found_nothing_is_scored() -> None:
    made = plan(Rerank().over(DENSE), SCHEMA, target().capabilities)
    assert script(made.flow(Query(QUERY, {"dense": [0.1] * 4})), [[]]).result == []


@pytest.mark.parametrize("text", ["", "  "])
def test_a_query_without_text_is_refused(text: str) -> None:
    with refused(QueryError, "a model has to read it"):
        asked(Rerank().over(DENSE), found((1, 0.5)), [1.0], Query(text, {"dense": [0.1] * 4}))


# Failures


def test_a_failure_is_raised_as_it_is(toy: QdrantClient) -> None:
    with pytest.raises(TimeoutError, match="no answer after 10 s"):
        executor(toy, Down()).retrieve(Rerank().over(DENSE), question())


def test_with_keep_order_a_failure_leaves_the_search_s_order_flagged_and_warned_about(toy: QdrantClient) -> None:
    plain = executor(toy).retrieve(DENSE, question(), SearchOptions(limit=3))
    with pytest.warns(PlanWarning, match="the model failed"):
        points = executor(toy, Down()).retrieve(Rerank(on_error="keep_order").over(DENSE), question(), SearchOptions(limit=3))
    assert ranking(points) == ranking(plain)
    assert [notes_of(point)["not_reranked"] for point in points] == ["TimeoutError"] * 3


def test_keep_order_keeps_what_a_threshold_would_cut() -> None:
    strategy = Rerank(on_error="keep_order", top_n=1).over(DENSE)
    with pytest.warns(PlanWarning):
        _, ranked = asked(strategy, found((1, 0.5), (2, 0.4)), TimeoutError(), options=SearchOptions(score_threshold=9.0))
    assert ids(ranked) == [1]


def test_wrong_scores_count_as_a_failure(toy: QdrantClient) -> None:
    strategy = Rerank(on_error="keep_order").over(DENSE)
    with pytest.warns(PlanWarning, match="ScoringError"):
        executor(toy, lambda query, texts: [float("nan")] * len(texts)).retrieve(strategy, question())


def test_a_missing_model_is_never_papered_over(toy: QdrantClient) -> None:
    with pytest.raises(Exception, match="pass reranker="):
        executor(toy).retrieve(Rerank(on_error="keep_order").over(DENSE), question())


def test_one_query_s_failure_leaves_the_batch_s_others_alone(toy: QdrantClient) -> None:
    def moody(query: str, texts: Sequence[str]) -> list[float]:
        if query == "lazy dog":
            raise TimeoutError
        return Numbers().score(query, texts)

    strategy = Rerank(on_error="keep_order").over(DENSE)
    with pytest.warns(PlanWarning):
        good, bad = executor(toy, moody).retrieve_batch(strategy, [question("quick fox"), question("lazy dog")])
    assert "relevance_score" in notes_of(good[0])
    assert notes_of(bad[0])["not_reranked"] == "TimeoutError"


# Arguments, plans


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"reads": 0}, ["reads of Rerank", "got 0"]),
        ({"reads": 2.5}, ["got 2.5"]),
        ({"top_n": -1}, ["top_n of Rerank", "got -1"]),
        ({"reads": 5, "top_n": 6}, ["Rerank reads 5", "top_n=6"]),
        ({"on_error": "ignore"}, ["on_error", "'keep_order'", "'ignore'"]),
        ({"missing_text": "skip"}, ["missing_text", "'drop'", "'skip'"]),
        ({"candidate": "dense"}, ["runs over a strategy", "'dense'"]),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], parts: list[str]) -> None:
    with refused(StrategyError, *parts):
        Rerank(**arguments)


def test_nothing_to_read_is_refused() -> None:
    with refused(StrategyError, "has nothing to read", ".over(Nearest"):
        plan(Rerank(), SCHEMA, target().capabilities)


@pytest.mark.parametrize(
    ("strategy", "options", "part"),
    [
        (Rerank(reads=5).over(DENSE), SearchOptions(6), "the call asks for 6 points, but Rerank reads 5"),
        (Rerank(reads=5).over(DENSE), SearchOptions(3, offset=3), "the call asks for 6 points"),
        (
            Rerank(reads=30).over(Formula(score()).over(Nearest("dense", limit=9))),
            SearchOptions(3),
            "Rerank takes 30 points, but",
        ),
        (Rerank(reads=8).over(Rerank(reads=3).over(DENSE)), SearchOptions(3), "asks for 8 points, but Rerank reads 3"),
        (Rerank().over(DENSE), SearchOptions(3, group_by="doc"), "group_by can't be combined with Rerank"),
    ],
)
def test_calls_that_it_can_t_answer_are_refused(strategy: Rerank, options: SearchOptions, part: str) -> None:
    with refused(PlanError, part):
        plan(strategy, SCHEMA, target().capabilities, options)


def test_top_n_may_be_less_than_the_call_asks_for() -> None:
    plan(Rerank(reads=5, top_n=3).over(DENSE), SCHEMA, target().capabilities, SearchOptions(20))


def test_a_stage_can_t_run_over_what_asks_a_model() -> None:
    with refused(StrategyError, "only what Qdrant runs by itself"):
        Formula(score()).over(Rerank().over(DENSE))  # type: ignore[arg-type]


def test_the_plan_shows_the_request_and_counts_what_the_model_reads() -> None:
    made = plan(Rerank(reads=20).over(Formula(score()).over(DENSE)), SCHEMA, target().capabilities, SearchOptions(3))
    explanation = made.describe()
    assert "1 round trip, 20 texts read by the reranker" in str(explanation)
    [request] = explanation.requests
    assert (request["limit"], request["query"]) == (20, {"formula": "$score", "defaults": {}})
    assert made.describe(Query("", {"dense": [0.5] * 4})).requests[0]["prefetch"][0]["query"] == {"nearest": [0.5] * 4}


STRATEGIES: list[Strategy] = [
    Rerank(),
    Rerank(reads=20, top_n=5, on_error="keep_order", missing_text="drop").over(DENSE),
    Rerank(blend=0.9 * sigmoid(rerank_score()) + 0.1 * field("a.b", default=0.0)).over(
        Fusion.rrf().over(DENSE, Nearest("bm25"))
    ),
    Rerank(reads=5).over(Rerank(reads=50, blend=rerank_score() * constant(2.0)).over(Nearest(limit=3))),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_repr_and_json_give_the_same_strategy_back(strategy: Strategy) -> None:

    assert eval(repr(strategy), public_names() | {"models": models}) == strategy
    assert from_json(to_json(strategy)) == strategy


def test_json_may_hold_the_blend_as_text_and_errors_name_the_line() -> None:
    text = '{"kind": "rerank", "blend": "rerank_score() * 2",\n "candidate": {"kind": "nearest", "using": "dense"}}'
    assert from_json(text) == Rerank(blend=rerank_score() * 2.0).over(DENSE)
    with refused(ValueError, "2: ", "unknown kind"):
        from_json(text.replace("nearest", "neerest"), "a.json")


# Explained


def test_each_result_is_explained_by_both_scores_and_the_blend_s_terms(toy: QdrantClient) -> None:
    blend = 0.5 * rerank_score() + 2.0 * score() + field("popularity", default=0.0)
    strategy = Rerank(reads=6, blend=blend).over(Formula(score("dense") + 0.5).over(DENSE))
    runner = executor(toy, Numbers())
    points = runner.retrieve(strategy, question(), SearchOptions(limit=4))
    explained = runner.explain(strategy, question(), SearchOptions(limit=4))
    assert ids(explained.points) == ids(points)
    for rank, (reason, point) in enumerate(zip(explained.reasons, points, strict=True), 1):
        assert near((reason.id, reason.rank, reason.score)) == [point.id, rank, point.score]
        assert [hit.candidate for hit in reason.candidates] == ["dense", "retrieval"]
        assert near(reason.candidates[1].score) == notes_of(point)["retrieval_score"]
        assert [term.text for term in reason.terms] == [
            "0.5 * rerank_score()",
            "2.0 * score()",
            "field('popularity', default=0.0)",
        ]
        assert reason.total == pytest.approx(point.score)
    lead = explained.compare(points[0].id, points[3].id)
    assert sum(term.value for term in lead) == pytest.approx(points[0].score - points[3].score)


def test_without_a_blend_the_model_s_score_is_the_only_term(toy: QdrantClient) -> None:
    explained = executor(toy, Numbers()).explain(Rerank(reads=3).over(DENSE), question(), SearchOptions(limit=2, offset=1))
    assert [(reason.rank, [term.text for term in reason.terms]) for reason in explained.reasons] == [
        (2, ["rerank_score()"]),
        (3, ["rerank_score()"]),
    ]


def test_what_the_model_did_not_read_has_no_terms_and_says_why(toy: QdrantClient) -> None:
    with pytest.warns(PlanWarning):
        explained = executor(toy, Down()).explain(
            Rerank(reads=3, on_error="keep_order").over(DENSE), question(), SearchOptions(2)
        )
    first, second = explained.reasons
    assert (first.terms, first.without_terms) == ((), "the model didn't read it (TimeoutError)")
    with refused(QueryError, "has no terms to compare", "TimeoutError"):
        explained.compare(first.id, second.id)


# Points with notes, normalised MaxSim


def test_notes_are_added_to_a_copy() -> None:
    [point] = found((1, 0.5))
    first = annotate(point, 0.9, relevance_score=0.9)
    second = annotate(first, surfaced=True)
    assert isinstance(first, RankedPoint)
    assert (point.score, first.score, second.score) == (0.5, 0.9, 0.9)
    assert (notes_of(point), first.notes, second.notes) == (
        {},
        {"relevance_score": 0.9},
        {"relevance_score": 0.9, "surfaced": True},
    )


def test_a_normalised_max_sim_divides_by_the_query_s_tokens(toy: QdrantClient) -> None:
    late = Nearest("colbert", limit=24).over(Nearest("dense", limit=24))
    expression: Expression = max_sim("colbert")
    for text in ("quick", "quick brown fox", "lazy dog river stone night"):
        plain = executor(toy).retrieve(late, question(text), SearchOptions(24))
        normal = executor(toy).retrieve(Formula(expression).over(late), question(text), SearchOptions(24))
        tokens = len(text.split())
        assert [point.score for point in normal] == pytest.approx([point.score / tokens for point in plain], rel=1e-6)
        explained = executor(toy).explain(Formula(expression).over(late), question(text), SearchOptions(5))
        assert [reason.total for reason in explained.reasons] == pytest.approx([p.score for p in normal[:5]], rel=1e-6)


def test_tokens_of_a_vector_that_no_candidate_compares_are_refused() -> None:
    with refused(PlanError, "query_tokens('dense')", "there are: none"):
        plan(Formula(score() + max_sim("dense")).over(DENSE), SCHEMA, target().capabilities)


def test_tokens_that_only_the_server_knows_are_refused() -> None:
    made = plan(Formula(max_sim("colbert")).over(Nearest("colbert")), SCHEMA, target().capabilities)
    with refused(StrategyError, "query_tokens('colbert')", "token vectors that are known here"):
        script(made.flow(Query(QUERY, {"colbert": models.Document(text=QUERY, model="server/colbert")})))


def test_the_name_of_a_multivector_is_text() -> None:
    with refused(StrategyError, "query_tokens() takes the name of a multivector, got 3"):
        query_tokens(3)  # type: ignore[arg-type]  # wrong on purpose


def test_a_model_s_score_is_known_to_no_engine_and_to_no_table_without_one() -> None:
    with refused(StrategyError, "which Qdrant can't know"):
        lower(rerank_score(), Lowering([ScoreSource("dense")], target().capabilities))
    with refused(StrategyError, "which Qdrant can't know"):
        compute(rerank_score(), Table([{}], [1]))
