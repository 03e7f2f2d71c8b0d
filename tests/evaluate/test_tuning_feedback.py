"""Relevance feedback in `tune`: found where it helps, beside plain search and reranking of as many documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import (
    Coefficients,
    Executor,
    Fusion,
    Mmr,
    Nearest,
    PlanError,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    StrategyError,
    load,
)
from qdrant_rerank.feedback import Provenance
from qdrant_rerank.tune import Budget, Feedback, Reranked, Space, tune
from tests.evaluate.tasting_worlds import PRECISION, RECALL, SIZE, Taster, tasting
from tests.evaluate.tuning_worlds import mmr_searches
from tests.support import refused

READ = Budget(model_texts=None)
A, B = Nearest("a"), Nearest("b")


def space(*given: Any, **options: Any) -> Space:
    return Space((Feedback(given, **options),), depths=(30,))


def model_of(executor: Executor) -> Taster:
    assert isinstance(executor.reranker, Taster)
    return executor.reranker


# What comes out


def test_feedback_that_helps_is_recommended_and_its_file_can_be_searched_with(tmp_path: Path) -> None:
    executor, topics, qrels = tasting()
    tuning = tune(executor, topics, qrels, [A], space=space(PRECISION), budget=READ)
    assert tuning.recommended
    assert tuning.chosen == "feedback from a, 5 scored"
    [compared] = tuning.at_budget
    assert (compared.scored, compared.best) == (5, "feedback")
    assert compared.feedback == tuning[tuning.chosen].mean > compared.rerank + 0.2
    assert compared.over_rerank.low is not None
    assert compared.over_rerank.low > 0
    assert "With 5 documents scored for a query, on topics held out: plain search 0." in tuning.recommendation
    assert "Feedback wins: it is worth +0." in tuning.recommendation
    tuning.save(tmp_path / "strategy.json")
    loaded = load(tmp_path / "strategy.json")
    assert isinstance(loaded, RelevanceFeedback)
    assert loaded.weights == PRECISION
    topic = topics.items[0]
    documents = [(point.payload or {})["_id"] for point in executor.retrieve(loaded, topic.query, SearchOptions(limit=10))]
    assert sum(document in qrels[topic.id] for document in documents) >= 5


def test_feedback_of_a_model_that_knows_nothing_is_not_recommended() -> None:
    executor, topics, qrels = tasting("even")
    tuning = tune(executor, topics, qrels, [A], space=space(PRECISION, RECALL), budget=READ)
    assert not tuning.recommended
    assert tuning.strategy == A
    assert [each.best for each in tuning.at_budget] == ["plain", "plain"]
    assert "None of them wins for certain: reranking is worth -" in tuning.recommendation
    assert "plain search is the cheapest" in tuning.recommendation


def test_where_reranking_of_as_many_does_as_well_it_is_recommended_instead() -> None:
    executor, topics, qrels = tasting()
    tuning = tune(executor, topics, qrels, [A], space=space(RECALL), budget=READ)
    assert isinstance(tuning.strategy, Rerank)
    [compared] = tuning.at_budget
    assert (compared.scored, compared.best) == (25, "rerank")
    assert compared.configurations == {
        "plain": "default",
        "rerank": "reranking 25 of a",
        "feedback": "feedback from a, 25 scored",
    }
    assert "Reranking wins: it is worth +0." in tuning.recommendation
    assert "returns only those" not in tuning.recommendation


def test_reranking_fewer_than_the_measure_looks_at_is_tried_with_the_rest_behind() -> None:
    executor, topics, qrels = tasting()
    plain = Coefficients(1.0, 0.0, 1e-6, PRECISION.provenance)  # feedback that changes nothing
    tuning = tune(executor, topics, qrels, [A], space=space(plain), budget=READ)
    [compared] = tuning.at_budget
    assert compared.best == "rerank"
    assert compared.plain < compared.rerank == pytest.approx(sum(tuning.values["reranking 5 of a"].values()) / len(topics))
    [reranked] = [row for row in tuning.configurations if row.name == "reranking 5 of a"]
    assert tuning.strategy == reranked.strategy
    served = executor.retrieve(reranked.strategy, topics.items[0].query, SearchOptions(limit=10))
    ids = [(point.payload or {})["_id"] for point in served]
    assert measured_by_hand(ids, qrels[topics.items[0].id]) == pytest.approx(tuning.values["reranking 5 of a"]["t0"])


def measured_by_hand(ids: list[str], relevant: Any) -> float:
    """nDCG@10."""
    from math import log2

    best = sum(1 / log2(rank + 2) for rank in range(min(10, len(relevant))))
    return sum(1 / log2(rank + 2) for rank, id in enumerate(ids) if id in relevant) / best


def test_with_several_candidates_the_default_and_a_fusion_supply_seeds_too() -> None:
    executor, topics, qrels = tasting(count=25)
    given = Space((Reranked((25,)), Feedback((PRECISION, RECALL))), depths=(30,))
    tuning = tune(executor, topics, qrels, [A, B], space=given, budget=READ)
    feedback = [row.name for row in tuning.configurations if row.name.startswith("feedback")]
    assert sorted(feedback) == [
        f"feedback {number} from {title}, {scored} scored"
        for number, scored in ((1, 5), (2, 25))
        for title in ("DBSF", "a", "the default")
    ]
    few, many = tuning.at_budget
    assert few.configurations["rerank"].startswith("reranking 5 of ")
    assert many.configurations["rerank"].startswith("reranker reads 25 of ")  # the other family's, the same strategy
    reranking = [row.name for row in tuning.configurations if row.name.startswith("reranking")]
    assert sorted(reranking) == [f"reranking 5 of {title}" for title in ("DBSF", "a", "the default")]


def test_searches_and_numbers_of_documents_of_ones_own_are_tried() -> None:
    executor, topics, qrels = tasting(count=25)
    bases = (("both", Fusion.rrf().over(A, B)), ("b", B))
    tuning = tune(executor, topics, qrels, [A, B], space=space(RECALL, reads=(10, 15), bases=bases), budget=READ)
    assert [each.scored for each in tuning.at_budget] == [10, 15]
    assert {family: [point.parameters.get("scored") for point in points] for family, points in tuning.curves.items()} == {
        "default": [None],
        "plain search": [None],  # that of both is the default
        "reranking": [10, 10, 15, 15],
        "feedback": [10, 10, 15, 15],
    }
    assert {row.name for row in tuning.configurations if row.name.startswith("feedback")} == {
        f"feedback from {title}, {scored} scored" for title in ("both", "b") for scored in (10, 15)
    }


def test_a_measure_that_looks_deeper_has_as_many_scored() -> None:
    executor, topics, qrels = tasting(count=25)
    tuning = tune(executor, topics, qrels, [A], space=space(RECALL), budget=READ, measure="nDCG@30")
    assert [each.scored for each in tuning.at_budget] == [30]


def test_a_baseline_with_feedback_is_asked_and_nothing_is_compared_with_it_at_its_budget() -> None:
    executor, topics, qrels = tasting(count=25)
    baseline = RelevanceFeedback(seeds=Nearest("a", limit=5), coefficients=PRECISION)
    tuning = tune(executor, topics, qrels, [A], baseline=baseline, space=Space((Reranked((10,)),), depths=(30,)), budget=READ)
    assert tuning["default"].effort.model_texts == 5
    assert tuning.at_budget == ()
    again = tune(executor, topics, qrels, [A], baseline=baseline, space=space(RECALL), budget=READ)
    assert [each.scored for each in again.at_budget] == [5, 25][1:]  # reranking 5 wasn't tried
    assert "feedback from the default, 25 scored" not in again.values


def test_coefficients_that_say_plain_search_have_nothing_scored_and_are_not_compared() -> None:
    executor, topics, qrels = tasting(count=25)
    idle = Coefficients(1.0, 0.0, 0.0, PRECISION.provenance)
    tuning = tune(executor, topics, qrels, [A], space=space(idle), budget=READ)
    assert tuning["feedback from a, 0 scored"].mean == pytest.approx(tuning["default"].mean)
    assert tuning.at_budget == ()


def test_first_searches_of_the_same_name_are_told_apart() -> None:
    executor, topics, qrels = tasting(count=25)
    seeds = Fusion.rrf(limit=5).over(A, B)
    given = [RelevanceFeedback(seeds=each, coefficients=PRECISION, using="a") for each in (seeds, replace(seeds, k=61))]
    tuning = tune(executor, topics, qrels, [A], space=space(*given), budget=READ)
    assert {"plain search by its own search", "plain search by its own search 2"} <= set(tuning.values)


# What it takes


def test_each_text_is_read_once_and_searches_are_counted_as_they_are_asked() -> None:
    executor, topics, qrels = tasting()
    given = Space((Feedback((PRECISION, RECALL)), Reranked((10, 20))), depths=(30,))
    tuning = tune(executor, topics, qrels, [A, B], space=given, budget=READ, batch_size=8)
    read = model_of(executor).read
    assert len(read) == len(set(read)) == tuning.spent.model_texts
    assert tuning.spent.requests == searches(executor) == (2 + 2 * 6) * len(topics)
    assert tuning.spent.round_trips == round_trips(executor) == (1 + 2 * 6) * 4
    assert tuning.left_out == ()


def searches(executor: Executor) -> int:
    client: Any = executor.clients.sync()
    return int(client.searches)


def round_trips(executor: Executor) -> int:
    client: Any = executor.clients.sync()
    return int(client.round_trips)


def test_without_a_budget_for_the_model_nothing_is_read_or_searched_for_it() -> None:
    executor, topics, qrels = tasting()
    tuning = tune(executor, topics, qrels, [A], space=space(PRECISION, RECALL))
    assert model_of(executor).read == []
    assert searches(executor) == len(topics)
    left = {each.name: each.reason for each in tuning.left_out}
    assert "would have to read 150 texts: allow it with Budget(model_texts=…)" in left["feedback 1 from a, 5 scored"]
    assert "would have to read 750 texts" in left["feedback 2 from a, 25 scored"]
    assert tuning.at_budget == ()


def test_a_budget_of_just_what_it_takes_is_enough_and_one_text_less_is_not_spent_in_vain() -> None:
    executor, topics, qrels = tasting()
    needed = tune(executor, topics, qrels, [A], space=space(RECALL), budget=READ).spent.model_texts
    assert needed > 25 * len(topics)  # what feedback finds beside what is reranked
    model_of(executor).read.clear()
    enough = tune(executor, topics, qrels, [A], space=space(RECALL), budget=Budget(model_texts=needed))
    assert enough.left_out == ()
    model_of(executor).read.clear()
    short = tune(executor, topics, qrels, [A], space=space(RECALL), budget=Budget(model_texts=needed - 1))
    [left] = short.left_out
    assert left.name == "feedback from a, 25 scored"
    assert left.reason == (f"the model would have to read {needed - 750} texts, and {needed - 751} of the budget are left")
    assert len(model_of(executor).read) == short.spent.model_texts == 750


def test_seeds_that_another_option_has_read_cost_nothing() -> None:
    executor, topics, qrels = tasting()
    tuning = tune(executor, topics, qrels, [A], space=space(PRECISION), budget=Budget(model_texts=5 * len(topics)))
    assert tuning.spent.model_texts == 150  # reranking read them, feedback reads the same
    assert tuning.at_budget != ()


def test_seeds_that_the_budget_does_not_cover_are_not_read_for_some_topics_alone() -> None:
    executor, topics, qrels = tasting()
    bases = (("a", A), ("b", B))
    tuning = tune(executor, topics, qrels, [A, B], space=space(PRECISION, bases=bases), budget=Budget(model_texts=151))
    assert [each.name for each in tuning.left_out] == ["reranking 5 of b", "feedback from b, 5 scored"]
    assert len(model_of(executor).read) == 150


def test_searches_that_the_budget_does_not_cover_are_left_out() -> None:
    executor, topics, qrels = tasting()
    budget = Budget(requests=3 * len(topics) - 1, model_texts=None)
    tuning = tune(executor, topics, qrels, [A], space=space(PRECISION), budget=budget)
    [left] = tuning.left_out
    assert left.reason == "it can't be recomputed from the candidates: it takes 60 requests, and 59 of the budget are left"
    assert searches(executor) == len(topics)


def test_a_model_whose_scores_depend_on_the_list_reads_for_each_option_anew() -> None:
    executor, topics, qrels = tasting(count=25)
    executor.reranker = Taster("good", independent=False)
    tuning = tune(executor, topics, qrels, [A], space=space(PRECISION), budget=READ)
    assert tuning.spent.model_texts == 2 * 5 * len(topics) == len(executor.reranker.read)
    assert tuning.spent.requests == (1 + 1 + 2) * len(topics)  # the candidate, reranking, feedback
    [compared] = tuning.at_budget
    once, _, _ = tasting(count=25)
    [same] = tune(once, topics, qrels, [A], space=space(PRECISION), budget=READ).at_budget
    assert compared == same
    short = tune(executor, topics, qrels, [A], space=space(PRECISION), budget=Budget(model_texts=125))
    assert [each.name for each in short.left_out] == ["feedback from a, 5 scored"]


# What is refused


def test_coefficients_of_another_model_are_an_error_before_anything_is_searched() -> None:
    executor, topics, qrels = tasting()
    other = PRECISION.with_provenance(reranker="another")
    with refused(PlanError, "fitted to something else", "the reranker is 'taste', was 'another'"):
        tune(executor, topics, qrels, [A], space=space(PRECISION, other), budget=READ)
    assert searches(executor) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vector": "c"}, "no vector named 'c'"),
        ({"size": 3}, f"the vector's size is {SIZE}, was 3"),
        ({"distance": "Dot"}, "the distance is 'Cosine', was 'Dot'"),
    ],
)
def test_coefficients_of_another_collection_are_an_error(changes: dict[str, Any], message: str) -> None:
    executor, topics, qrels = tasting()
    with refused(PlanError, message):
        tune(executor, topics, qrels, [A], space=space(PRECISION.with_provenance(**changes)), budget=READ)


def test_a_search_of_the_tunings_own_that_can_not_supply_seeds_is_left_out() -> None:
    executor, topics, qrels = tasting(count=25)
    narrow = Fusion.rrf().over(replace(A, limit=6), replace(B, limit=4))
    many = PRECISION.with_provenance(seeds=12)
    tuning = tune(executor, topics, qrels, [A], baseline=narrow, space=space(many), budget=READ)
    assert "feedback from a, 12 scored" in tuning.values
    left = {each.name: each.reason for each in tuning.left_out}
    assert "RelevanceFeedback scores 12 points, but the candidates" in left["feedback from the default, 12 scored"]


def test_without_a_model_feedback_is_refused() -> None:
    executor, topics, qrels = tasting()
    with refused(StrategyError, "relevance feedback has documents scored by a model: make the executor with reranker="):
        tune(Executor(executor.clients.sync(), "world"), topics, qrels, [A], space=space(PRECISION), budget=READ)


@pytest.mark.parametrize(
    ("given", "reads", "message"),
    [
        ([], None, "Feedback needs coefficients"),
        (["feedback.json"], None, "takes Coefficients or RelevanceFeedback, got 'feedback.json'"),
        ([Coefficients(1.0, 0.5, 0.3)], None, "don't say what they were fitted to"),
        ([RECALL], (), "the reads of Feedback are whole numbers of at least 1, got ()"),
        ([RECALL], 0, "the reads of Feedback are whole numbers of at least 1, got (0,)"),
        ([PRECISION], 25, "the reads of Feedback are for mode 'recall'"),
    ],
)
def test_what_is_no_feedback_is_refused(given: Any, reads: Any, message: str) -> None:
    with refused(StrategyError, message):
        Feedback(given, reads)


def test_numbers_of_unknown_origin_are_tried_where_they_are_trusted() -> None:
    executor, topics, qrels = tasting(count=25)
    trusted = RelevanceFeedback(seeds=Nearest("a", limit=5), coefficients=Coefficients(1.0, 0.0, 0.3), trust=True)
    tuning = tune(executor, topics, qrels, [A], space=Space((Feedback(trusted),), depths=(30,)), budget=READ)
    assert tuning.at_budget[0].best == "feedback"


def test_provenance_without_a_vector_means_the_only_dense_one() -> None:
    [strategy] = Feedback(Coefficients(1.0, 0.0, 0.3, Provenance(mode="recall", seeds=3))).strategies
    assert (strategy.seeds, strategy.mode, strategy.using) == (Nearest(limit=3), "recall", None)


def test_a_search_that_qdrant_has_to_be_asked_for_supplies_seeds_too() -> None:
    executor, topics, qrels = tasting(count=25)
    bases = (("MMR", Mmr("a", diversity=0.1).over(replace(A, limit=30))),)
    tuning = tune(executor, topics, qrels, [A], space=space(PRECISION, bases=bases), budget=READ)
    mmr = mmr_searches()
    assert tuning.spent.requests == (1 + mmr + mmr + mmr + 1) * len(topics)  # the candidate, MMR, reranking, feedback
    assert [each.configurations["plain"] for each in tuning.at_budget] == ["plain search by MMR"]
