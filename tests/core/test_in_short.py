"""Long things told in short: terms, strategies, requests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Formula,
    Fusion,
    Nearest,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    field,
    max_,
    min_,
    score,
    sigmoid,
    when,
)
from qdrant_rerank._internals import Sum, abridge, brief_term, values_in
from qdrant_rerank.expressions import Expression, constant
from qdrant_rerank.feedback import FeedbackCandidates, Provenance
from qdrant_rerank.planning import plan
from tests.support import SCHEMA, query_vectors, target

CANDIDATES = Nearest("dense", limit=100), Nearest("bm25", limit=100)
FITTED = Provenance(mode="precision", seeds=5, metrics={"nDCG@10": 0.5})
FEEDBACK = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 0.25, 1 / 3, FITTED))


def gate(name: str, at: float) -> Expression:
    """1 above the threshold, else 0, as trees are compiled."""
    return min_(1.0, max_(0.0, constant(1e38) * 1e38 * (score(name) - at)))


def tree(number: int) -> Expression:
    """A tree of three splits: two terms of a sum, one for each side of the first split."""
    first, second = gate("dense", number / 7), gate("bm25", float(number))
    rated = when(models.FieldCondition(key="rating", range=models.Range(lte=number / 3)), 0.25, 0.125)
    return first * (0.5 + second * 0.75) + (1.0 - first) * (0.25 + second * rated)


def trees(count: int) -> Expression:
    return Sum((constant(0.123456789), *map(tree, range(1, count + 1))))


def test_a_formula_of_trees_says_how_many_and_what_they_read() -> None:
    assert Formula(sigmoid(trees(20))).over(*CANDIDATES).summary == (
        "Formula(sigmoid(0.1235 + {20 trees over dense, bm25, rating})).over(Nearest('dense', limit=100), "
        "Nearest('bm25', limit=100))"
    )
    assert "Formula(0.1235 + {1 tree over dense, bm25, rating})" in Formula(trees(1)).over(*CANDIDATES).on_client().summary
    one = gate("dense", 0.5) * (gate("bm25", 1.5) * 0.25 + gate("bm25", 2.5) * 0.125)
    assert "Formula({branch of a tree over dense, bm25})" in Formula(one).over(*CANDIDATES).summary


def test_two_trees_are_two_whether_one_or_both_sides_of_their_first_split_go_on() -> None:
    second = when(models.FieldCondition(key="rating", range=models.Range(lte=3.5)), tree(7), 0.5)
    assert "{2 trees over dense, bm25, rating}" in Formula(tree(1) + second).over(*CANDIDATES).summary


def test_a_long_sum_shows_its_first_terms_and_counts_the_others() -> None:
    terms = [number * field(f"key{number}", default=3.25) for number in range(1, 9)]
    text = Formula(Sum((score("dense"), *terms[:7]))).over(*CANDIDATES).summary
    assert "score('dense') + 1.0 * field('key1', default=3.25)" in text
    assert "key5" in text
    assert text.count("field(") == 5
    assert "+ {2 other terms})" in text
    assert "+ {1 other term})" in Formula(Sum((score("dense"), *terms[:6]))).over(*CANDIDATES).summary


def test_what_is_short_stays_as_it_is() -> None:
    short = Formula(0.5 * score("dense") + field("rating", default=3)).over(*CANDIDATES)
    for strategy in (short, Fusion.rrf().over(*CANDIDATES), Rerank(reads=5).over(short)):
        assert strategy.summary == repr(strategy)


@pytest.mark.parametrize("strategy", [FEEDBACK, Rerank(reads=5).over(FEEDBACK)])
def test_coefficients_are_told_without_what_they_were_fitted_to(strategy: Any) -> None:
    text = strategy.summary
    assert "coefficients=Coefficients(a=1, b=0.25, c=0.3333)" in text
    assert "Provenance" in repr(strategy)
    assert "Provenance" not in text


def test_a_term_is_one_line_of_sixty_characters_and_a_tree_what_it_reads() -> None:
    assert brief_term("0.5 *\n  score('dense')") == "0.5 * score('dense')"
    assert brief_term("constant(0.123456789)") == "0.1235"
    long = brief_term("field('a_key_with_a_name', default=3.0) * field('another_one', default=1.5)")
    assert len(long) == 60
    assert long.endswith("…")
    assert brief_term(repr(tree(1))) == "branch of a tree over dense, bm25, rating"
    assert brief_term("a" * 80, 80) == "a" * 80
    assert brief_term("when(1, " + "1" * 200 + ")") == "branch of a tree"
    many = " + ".join(f"when(score('s{number}'), 1, 0)" for number in range(9))
    assert brief_term(many) == "branch of a tree over s0, s1, s2, s3, s4, s5 and 3 more"
    assert brief_term(many.replace("'s", "'a_long_name_")).endswith("…")


def test_a_json_value_is_cut_until_it_fits_and_what_is_left_out_is_counted() -> None:
    value = {"limit": 5, "list": list(range(20)), "deep": {"a": {"b": {"c": {"d": [[1, 2, 3, 4], "x"]}}}}}
    assert values_in(value) == 26
    assert abridge(value, lambda made: True) == (value, 0)
    made, left = abridge(value, lambda made: len(json.dumps(made)) < 130)
    assert made["limit"] == 5
    assert made["list"] == [0, 1, 2, 3, "… 16 more (16 values)"]
    assert left == 16
    made, left = abridge(value, lambda made: "1, 2, 3" not in json.dumps(made["deep"]))
    assert made["deep"] == {"a": {"b": {"c": {"d": ["… 4 values", "x"]}}}}
    assert left == 20
    smallest, left = abridge(value, lambda made: False)
    assert (smallest["limit"], left) == (5, 21)


def test_an_explanation_of_a_large_formula_is_read_at_one_go_and_keeps_all_of_it() -> None:
    made = plan(Formula(trees(20)).over(*CANDIDATES), SCHEMA, target().capabilities).describe()
    text = str(made)
    assert len(text.splitlines()) < 140
    assert "strategy     Formula(0.1235 + {20 trees over dense, bm25, rating})" in text
    assert "values are left out here; .requests has them all)" in text
    assert made.strategy == repr(Formula(trees(20)).over(*CANDIDATES))
    assert "…" not in json.dumps(made.requests[0]["query"], ensure_ascii=False)


def later(strategy: Any, **options: Any) -> tuple[Any, ...]:
    """What is asked in the second round."""
    trusted = plan(strategy, SCHEMA, target().capabilities, **options)
    return trusted.describe(Query("text", vectors=query_vectors())).later


TRUSTED = replace(FEEDBACK, coefficients=Coefficients(1.0, 0.5, 0.25), trust=True)


def test_a_search_in_one_round_has_no_later_request() -> None:
    assert later(Nearest("dense")) == ()
    assert later(Rerank(reads=20).over(Nearest("dense"))) == ()
    assert later(replace(TRUSTED, coefficients=Coefficients(1.0, 0.0, 0.0))) == ()


def test_the_second_request_of_feedback_is_shown_with_the_querys_own_vector() -> None:
    [request] = later(TRUSTED, options=SearchOptions(limit=4, score_threshold=0.5))
    assert request == {"query": {"nearest": query_vectors()["dense"]}, "using": "dense", "limit": 4, "with_payload": True}
    [below] = later(Rerank(reads=20).over(TRUSTED))
    assert below["limit"] == 20


def test_in_mode_recall_it_leaves_out_the_seeds_and_asks_for_the_rest_of_the_budget() -> None:
    only = models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 3])])
    [request] = later(replace(TRUSTED, mode="recall", limit=12), options=SearchOptions(limit=4, offset=2, filter=only))
    assert (request["limit"], "offset" in request) == (7, False)
    assert "… the 5 seeds" in json.dumps(request["filter"], ensure_ascii=False)
    assert "[1, 2, 3]" in json.dumps(request["filter"])


def test_what_runs_around_the_feedback_candidate_is_part_of_the_second_request() -> None:
    around = replace(TRUSTED, within=Fusion.rrf().over(FeedbackCandidates(limit=30), Nearest("bm25", limit=20)))
    [request] = later(around, options=SearchOptions(limit=4, score_threshold=0.5))
    assert request["query"] == {"fusion": "rrf"}
    assert request["score_threshold"] == 0.5
    assert [candidate["limit"] for candidate in request["prefetch"]] == [30, 20]


def test_both_requests_stand_in_the_text() -> None:
    text = str(plan(TRUSTED, SCHEMA, target().capabilities).describe())
    first, second = text.split("then, with a vector that the model's scores have shifted (here the query's own):\n")
    assert json.loads(first[first.index("\n{") :])["with_vector"] == ["dense"]
    assert "with_vector" not in json.loads(second)
