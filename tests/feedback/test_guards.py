"""What `RelevanceFeedback` refuses, what it warns about, and what each message says."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    Coefficients,
    Executor,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    PlanWarning,
    Query,
    QueryError,
    RelevanceFeedback,
    Rerank,
    ScoringError,
    SearchOptions,
    StrategyError,
    score,
)
from qdrant_rerank._internals import notes_of
from qdrant_rerank.feedback import FeedbackCandidates
from qdrant_rerank.models import Encoders, ServerInference
from qdrant_rerank.planning import Capabilities, Schema, VectorInfo, plan
from tests.support import COLLECTION, QUERY, SCHEMA, dense, encoders, question, ranking, refused, script, target

from .support import COEFFICIENTS, PRECISION, RECALL, SEEDS, Numbers, asked, executor

TRUSTED = Coefficients(1.0, 0.5, 0.3)
CANDIDATE = Fusion.rrf().over(FeedbackCandidates(limit=9), Nearest("bm25", limit=9))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"coefficients": None}, ["needs coefficients", "fit_feedback", "Coefficients(1, 0, 0) is plain search"]),
        ({"coefficients": (1, 0, 0)}, ["needs coefficients", "got (1, 0, 0)"]),
        ({"coefficients": TRUSTED}, ["don't say what they were fitted to", "trust=True"]),
        ({"seeds": Nearest("dense", limit=1)}, ["needs at least 2", "limit=1"]),
        ({"seeds": Rerank().over(Nearest("dense"))}, ["come from a stage", "Rerank()"]),
        ({"seeds": "dense"}, ["come from a stage", "'dense'"]),
        ({"seeds": CANDIDATE}, ["can't come from a FeedbackCandidates"]),
        ({"mode": "precison"}, ["'precision' or 'recall'", "did you mean 'precision'"]),
        ({"on_error": "ignore"}, ["'raise' or 'keep_order'", "got 'ignore'"]),
        ({"limit": 0}, ["limit of RelevanceFeedback", "got 0"]),
        ({"limit": 2.5}, ["got 2.5"]),
        (
            {"mode": "recall", "limit": 5},
            ["reads as many documents as RelevanceFeedback returns, 5 in all", "5 seeds leave none"],
        ),
        ({"using": 7}, ["name of a vector must be text"]),
        ({"native": 1}, ["native of RelevanceFeedback is True or False", "got 1"]),
        ({"trust": "yes"}, ["trust of RelevanceFeedback", "got 'yes'"]),
        ({"within": Nearest("dense")}, ["one FeedbackCandidates in it", "got Nearest('dense')"]),
        ({"within": Fusion.rrf().over(FeedbackCandidates(), FeedbackCandidates())}, ["one FeedbackCandidates in it"]),
        ({"within": Rerank().over(CANDIDATE)}, ["is a stage with one FeedbackCandidates"]),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], parts: list[str]) -> None:
    with refused(StrategyError, *parts):
        replace(PRECISION, **arguments)


def test_coefficients_of_unknown_origin_need_trust() -> None:
    assert RelevanceFeedback(coefficients=TRUSTED, trust=True).weights == TRUSTED
    assert RelevanceFeedback(coefficients=Coefficients(1, 0, 0)).weights.plain


@pytest.mark.parametrize(
    ("using", "parts"),
    [
        ("bm25", ["can't compare 'bm25' (sparse, IDF)", "only dense vectors", "'dense' (dense 4-d, Cosine)"]),
        ("colbert", ["can't compare 'colbert' (multivector of 3-d, Cosine)"]),
        ("dens", ["no vector named 'dens'", "did you mean 'dense'"]),
    ],
)
def test_only_a_dense_vector_of_the_collection_can_be_shifted(using: str, parts: list[str]) -> None:
    with refused(PlanError, *parts):
        plan(RelevanceFeedback(coefficients=TRUSTED, using=using, trust=True), SCHEMA, target().capabilities)


def test_a_collection_without_a_dense_vector_or_with_several_is_refused() -> None:
    sparse = Schema("toy", {"bm25": VectorInfo("sparse")})
    with refused(PlanError, "compares one dense vector", "'bm25' (sparse)", "using="):
        plan(RelevanceFeedback(seeds=Nearest("bm25", limit=3), coefficients=TRUSTED, trust=True), sparse, target().capabilities)


def test_a_candidate_must_compare_what_the_feedback_is_about() -> None:
    within = Fusion.rrf().over(FeedbackCandidates(using="colbert"), Nearest("bm25"))
    with refused(PlanError, "compares another vector than the feedback is about, 'dense'"):
        plan(replace(PRECISION, within=within), SCHEMA, target().capabilities)


# What the coefficients were fitted to


def numbers(query: str, texts: Sequence[str]) -> list[float]:
    return Numbers().score(query, texts)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"mode": "recall"}, "the mode is 'precision', was 'recall'"),
        ({"seeds": 4}, "the number of seeds is 5, was 4"),
        ({"vector": "other"}, "the vector is 'dense', was 'other'"),
        ({"size": 8}, "the vector's size is 4, was 8"),
        ({"distance": "Dot"}, "the distance is 'Cosine', was 'Dot'"),
        ({"reranker": "other-model"}, "the reranker is 'numbers', was 'other-model'"),
        (
            {"encoder": "other-encoder"},
            "the embedding model is 'FunctionEncoder(function=tests.support.dense)', was 'other-encoder'",
        ),
    ],
)
def test_what_differs_from_the_provenance_is_said(toy: QdrantClient, changes: dict[str, Any], differs: str) -> None:
    strategy = replace(PRECISION, coefficients=COEFFICIENTS.with_provenance(**changes))
    with refused(PlanError, "were fitted to something else", differs, "trust=True"):
        executor(toy).plan(strategy)
    executor(toy).plan(replace(strategy, trust=True))


def test_all_differences_are_said_at_once_and_only_those(toy: QdrantClient) -> None:
    strategy = replace(PRECISION, coefficients=COEFFICIENTS.with_provenance(seeds=3, reranker="x"))
    with pytest.raises(PlanError) as caught:
        executor(toy).plan(strategy)
    [problem] = caught.value.problems
    assert "seeds is 5, was 3; the reranker is 'numbers', was 'x'" in problem
    assert "the mode is" not in problem


def test_the_same_embedding_model_passes(toy: QdrantClient) -> None:
    known = COEFFICIENTS.with_provenance(encoder="FunctionEncoder(function=tests.support.dense)")
    executor(toy).plan(replace(PRECISION, coefficients=known))


def test_a_model_that_nothing_tells_from_others_is_warned_about(toy: QdrantClient) -> None:
    def run(coefficients: Coefficients, model: Any = None, **arguments: Any) -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PlanWarning)
            made = executor(toy, model).plan(replace(PRECISION, coefficients=coefficients, **arguments))
        return [str(lint) for lint in made.warnings if getattr(lint, "code", "") == "nameless-model"]

    [told] = run(COEFFICIENTS, lambda query, texts: Numbers().score(query, texts))
    assert "nothing tells the reranker here from others" in told
    assert "that of the fit was 'numbers'" in told
    [told] = run(COEFFICIENTS.with_provenance(data="of a fit"))
    assert "nothing told the embedding model of the fit from others" in told
    assert run(COEFFICIENTS.with_provenance(data="of a fit"), trust=True) == []
    assert run(COEFFICIENTS) == []  # written by hand, and silent about the encoder


def test_fingerprints_are_read_only_for_strategies_that_go_by_them(toy: QdrantClient) -> None:
    class Large(Numbers):
        @property
        def fingerprint(self) -> str:  # type: ignore[override]
            raise AssertionError("a gigabyte was read")

    executor(toy, Large()).retrieve(Rerank(reads=3).over(Nearest("dense")), question(), SearchOptions(2))
    with pytest.raises(AssertionError, match="gigabyte"):
        executor(toy, Large()).plan(PRECISION)


def test_a_missing_model_is_named_whatever_happens_on_errors(toy: QdrantClient) -> None:
    runner = Executor(toy, COLLECTION, encoders=encoders())
    with pytest.raises(Exception, match="pass reranker="):
        runner.retrieve(replace(PRECISION, on_error="keep_order"), question(), SearchOptions(3))


# Calls and servers


@pytest.mark.parametrize(
    ("strategy", "options", "part"),
    [
        (RECALL, SearchOptions(13), "the call asks for 13 points, but RelevanceFeedback returns 12"),
        (RECALL, SearchOptions(8, offset=5), "the call asks for 13 points"),
        (replace(PRECISION, limit=4), SearchOptions(5), "RelevanceFeedback returns 4"),
        (PRECISION, SearchOptions(3, group_by="doc"), "group_by can't be combined with RelevanceFeedback"),
        (
            replace(PRECISION, seeds=Formula(score(), limit=5).over(Nearest("dense", limit=3))),
            SearchOptions(3),
            "RelevanceFeedback scores 5 points, but the candidates of Formula hand on 3",
        ),
        (
            replace(PRECISION, within=CANDIDATE),
            SearchOptions(30),
            "the call asks for 30 points, but the candidates of Fusion hand on 18",
        ),
    ],
)
def test_calls_that_it_can_t_answer_are_refused(strategy: RelevanceFeedback, options: SearchOptions, part: str) -> None:
    with refused(PlanError, part):
        plan(strategy, SCHEMA, target().capabilities, options)


def test_the_server_s_own_query_needs_1_17_and_the_folded_one_doesn_t() -> None:
    old = Capabilities.of("1.16.3")
    with refused(PlanError, "relevance feedback queries (native=True) need Qdrant 1.17; this is Qdrant 1.16.3"):
        plan(replace(PRECISION, native=True), SCHEMA, old)
    euclid = Schema("toy", {"dense": VectorInfo("dense", 4, models.Distance.EUCLID)})
    with refused(PlanError, "need Qdrant 1.17"):
        plan(replace(PRECISION, coefficients=TRUSTED, trust=True), euclid, old)
    plan(PRECISION, SCHEMA, old)


def test_many_seeds_are_warned_about_with_their_cost() -> None:
    many = replace(PRECISION, seeds=Nearest("dense", limit=9), trust=True)
    [warning] = plan(many, SCHEMA, target().capabilities).warnings
    assert (warning.code, "9 seeds" in warning) == ("many-seeds", True)
    [native] = plan(replace(many, native=True), SCHEMA, target().capabilities).warnings
    assert "81 comparisons a point" in native
    assert plan(replace(many, seeds=Nearest("dense", limit=8)), SCHEMA, target().capabilities).warnings == ()


@pytest.mark.parametrize("text", ["", "  "])
def test_a_query_without_text_is_refused(text: str) -> None:
    with refused(QueryError, "a model has to read it"):
        next(plan(PRECISION, SCHEMA, target().capabilities).flow(Query(text, {"dense": [0.1] * 4})))


def test_a_query_that_the_server_embeds_can_only_be_steered_there() -> None:
    made = plan(PRECISION, SCHEMA, target().capabilities)
    document = ServerInference("some-model").encode_query(QUERY)
    flow = made.flow(Query(QUERY, {"dense": document}))
    next(flow)
    with refused(QueryError, "the server embeds the query (models.Document)", "native=True"):
        flow.send([[]])
    native = plan(replace(PRECISION, native=True), SCHEMA, target().capabilities).flow(Query(QUERY, {"dense": document}))
    steps, _ = script(native, [SEEDS], [1.0, 2.0, 3.0, 4.0, 5.0], [[]])
    assert steps[2].requests[0].query.relevance_feedback.target == document  # type: ignore[union-attr]


# Scores


@pytest.mark.parametrize("strategy", [PRECISION, RECALL])
def test_equal_scores_leave_the_plain_search_flagged(toy: QdrantClient, strategy: RelevanceFeedback) -> None:
    runner = Executor(toy, COLLECTION, encoders=Encoders.of({"dense": dense}), reranker=lambda query, texts: [0.5] * len(texts))
    points = runner.retrieve(replace(strategy, trust=True), question(), SearchOptions(limit=7))
    plain = executor(toy).retrieve(Nearest("dense"), question(), SearchOptions(limit=7))
    assert ranking(points) == ranking(plain)
    notes = {"surfaced_by_feedback": False, "documents_scored": 5, "not_steered": "the model gave all seeds the same score"}
    assert {tuple(notes_of(point).items()) for point in points} == {tuple(notes.items())}


@pytest.mark.parametrize(
    "answer", [[1.0, float("nan"), 2.0, 3.0, 4.0], [float("inf"), 1.0, 2.0, 3.0, 4.0], [1.0, 2.0], [1.0] * 6]
)
def test_scores_must_be_finite_and_as_many_as_asked_for(toy: QdrantClient, answer: list[float]) -> None:
    runner = executor(toy, lambda query, texts: answer)
    with pytest.raises(ScoringError):
        runner.retrieve(replace(PRECISION, trust=True), question(), SearchOptions(limit=3))


def test_scores_too_far_apart_for_b_are_an_error_of_scoring() -> None:
    steep = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 30.0, 1.0), trust=True)
    with refused(ScoringError, "too much for b=30.0"):
        asked(steep, [SEEDS], [1e30, 0.0, 1.0, 2.0, 3.0])


def test_nothing_left_of_the_query_is_plain_search_flagged() -> None:
    nothing = RelevanceFeedback(
        seeds=Nearest("dense", limit=5), coefficients=Coefficients(0.0, 1.0, 0.0), trust=True, mode="recall"
    )
    _, points = asked(nothing, [SEEDS], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert notes_of(points[0])["not_steered"] == "nothing is left of the query's vector"
