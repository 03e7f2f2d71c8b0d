"""Strategies that don't fit a collection or a call are refused before any query, all reasons at once."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Formula, Fusion, Mmr, Nearest, PlanError, SearchOptions, Strategy, field, score
from qdrant_rerank.planning import Plan, Schema, VectorInfo, plan
from tests.support import SCHEMA, refused, target

DENSE, WORDS = Nearest("dense", limit=100), Nearest("bm25", limit=100)
COSINE = models.Distance.COSINE
KEYWORD = models.PayloadSchemaType.KEYWORD
UNNAMED = Schema("notes", {"": VectorInfo("dense", 3, COSINE)})


def check(strategy: Strategy, options: SearchOptions | None = None, schema: Schema = SCHEMA, version: str = "1.20.0") -> Plan:
    return plan(strategy, schema, target(version).capabilities, options)


def test_an_unknown_vector_gets_a_did_you_mean_and_the_vectors_there_are() -> None:
    parts = (
        "no vector named 'colbret'",
        "'toy' has 'dense' (dense 4-d, Cosine)",
        "'bm25' (sparse, IDF)",
        "did you mean 'colbert'?",
    )
    with refused(PlanError, *parts):
        check(Nearest("colbret").over(DENSE))


def test_an_unknown_vector_like_no_other_gets_no_guess() -> None:
    with pytest.raises(PlanError) as caught:
        check(Nearest("zzz"))
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("stage", [Nearest(), Mmr()])
def test_a_stage_without_a_name_needs_a_single_dense_vector(stage: Strategy) -> None:
    two = Schema("two", {"a": VectorInfo("dense", 3, COSINE), "b": VectorInfo("dense", 3, COSINE)})
    with refused(
        PlanError, "without a name means the only dense vector", "'a' (dense 3-d, Cosine), 'b'", f"{type(stage).__name__}(name)"
    ):
        check(stage, schema=two)
    with refused(PlanError, "'words' (sparse)"):
        check(stage, schema=Schema("words", {"words": VectorInfo("sparse")}))
    with refused(PlanError, "no vectors"):
        check(stage, schema=Schema("nothing", {}))


def test_the_unnamed_vector_is_found_and_not_named_on_the_wire() -> None:
    assert check(Nearest(), schema=UNNAMED).strategy == Nearest("")
    [request] = check(Nearest(), schema=UNNAMED).describe().requests
    assert "using" not in request


def test_a_name_is_unknown_where_the_only_vector_has_none() -> None:
    with refused(PlanError, "no vector named 'dense'", "has '' (dense 3-d, Cosine)"):
        check(Nearest("dense"), schema=UNNAMED)


def test_every_problem_is_listed_once() -> None:
    strategy = Fusion.rrf().over(Nearest("one", limit=100), Nearest("two", limit=100), Nearest("one", limit=100), Mmr("bm25"))
    with pytest.raises(PlanError) as caught:
        check(strategy)
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "no vector named 'one'",
        "no vector named 'two'",
        "Mmr compares points with each other by a dense vector",
    ]
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_a_plan_error_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(PlanError(["one", "two"])))
    assert again.problems == ("one", "two")


def test_scores_of_candidates_without_a_name_are_ambiguous() -> None:
    nameless = Formula(2 * score(), limit=100).over(DENSE)
    with refused(PlanError, "score() is ambiguous over 2 candidates"):
        check(Formula(score()).over(nameless, DENSE))
    check(Formula(score("dense")).over(nameless, DENSE))


def test_what_needs_candidates_says_how_to_give_them() -> None:
    with refused(PlanError, "Formula(score()) has no candidates to score: add .over(Nearest(limit=100))"):
        check(Formula(score()))
    with refused(PlanError, "Fusion.rrf() has nothing to fuse: add .over(Nearest(…), Nearest(…))"):
        check(Fusion.rrf())


@pytest.mark.parametrize(("strategy", "options"), [(Nearest("colbert").over(Nearest("dense", limit=5)), SearchOptions(6))])
def test_candidates_that_cannot_fill_the_answer_are_refused(strategy: Strategy, options: SearchOptions) -> None:
    with refused(
        PlanError, "the call asks for 6 points", "hand on 5", "Nearest('dense', limit=5)", "to 6 or more, or ask for fewer"
    ):
        check(strategy, options)
    check(strategy, replace(options, limit=5))


def test_the_offset_counts_as_points_asked_for() -> None:
    strategy = Nearest("colbert").over(Nearest("dense", limit=5))
    check(strategy, SearchOptions(3, offset=2))
    with refused(PlanError, "the call asks for 6 points"):
        check(strategy, SearchOptions(3, offset=3))


def test_candidates_of_candidates_are_checked_too() -> None:
    inner = Nearest("dense", limit=50).over(Nearest("bm25", limit=20))
    with refused(PlanError, "Nearest is to hand on 50 points", "hand on 20"):
        check(Nearest("colbert").over(inner), SearchOptions(5))


def test_one_candidate_that_reaches_far_enough_is_enough() -> None:
    check(Fusion.rrf().over(Nearest("dense", limit=5), WORDS), SearchOptions(50))


SCOPES: dict[str, tuple[dict[str, Any], str]] = {
    "a limit of 0": ({"limit": 0}, "limit must be a whole number of at least 1, got 0"),
    "a negative limit": ({"limit": -3}, "got -3"),
    "a limit of text": ({"limit": "5"}, "got '5'"),
    "a negative offset": ({"offset": -1}, "offset must be a whole number of at least 0, got -1"),
    "a filter that is a dict": ({"filter": {"must": []}}, "filter must be a qdrant_client.models.Filter, got dict"),
    "a filter that is text": ({"filter": "news"}, "got str 'news'"),
    "a threshold of NaN": ({"score_threshold": float("nan")}, "score_threshold must be a finite number, got nan"),
    "search parameters that are a dict": ({"search_params": {"exact": True}}, "search_params must be"),
    "groups with an offset": ({"group_by": "doc", "offset": 3}, "offset can't be combined with group_by"),
    "a page of nothing": ({"page": 0}, "page must be a whole number of at least 1, got 0"),
    "groups of nothing": ({"group_by": "doc", "group_size": 0}, "group_size must be a whole number of at least 1, got 0"),
}


@pytest.mark.parametrize("what", SCOPES)
def test_a_wrong_options_is_refused(what: str) -> None:
    arguments, message = SCOPES[what]
    with refused(PlanError, message):
        check(DENSE, SearchOptions(**arguments))
    with refused(PlanError, message):
        check(DENSE).within(SearchOptions(**arguments))


def test_several_mistakes_in_a_options_are_listed_together() -> None:
    with pytest.raises(PlanError) as caught:
        check(DENSE, SearchOptions(limit=0, score_threshold=float("inf")))
    assert len(caught.value.problems) == 2


def test_a_keyword_index_on_a_field_that_a_formula_reads_as_a_number_is_refused() -> None:
    indexed = replace(SCHEMA, indexes={"rating": KEYWORD, "other": KEYWORD})
    with refused(PlanError, "field('rating') reads a number", "keyword index", "replace it by a float index"):
        check(Formula(score() + field("rating", default=0)).over(DENSE), schema=indexed)


def test_an_integer_index_under_a_formula_is_warned_about() -> None:
    indexed = replace(SCHEMA, indexes={"rating": models.PayloadSchemaType.INTEGER, "other": KEYWORD})
    formula = score() + field("rating", default=0) + field("popularity", default=0)
    warnings = check(Formula(formula).over(DENSE), schema=indexed).warnings
    assert [text for text in warnings if text.startswith("the integer index on 'rating' hides values with decimals")]


TOO_OLD: dict[str, tuple[Strategy, str, str, str]] = {
    "stages": (DENSE, "1.9.7", "1.10.0", "queries over prefetched candidates need Qdrant 1.10; this is Qdrant 1.9.7"),
    "dbsf": (Fusion.dbsf().over(DENSE, WORDS), "1.10.1", "1.11.0", "distribution-based score fusion need Qdrant 1.11"),
    "formula": (Formula(score()).over(DENSE), "1.13.6", "1.14.0", "formula queries need Qdrant 1.14; this is Qdrant 1.13.6"),
    "mmr": (Mmr("dense"), "1.14.3", "1.15.0", "maximal marginal relevance need Qdrant 1.15"),
    "rrf k": (Fusion.rrf(k=61).over(DENSE, WORDS), "1.15.3", "1.15.4", "k in reciprocal rank fusion need Qdrant 1.15.4"),
    "rrf weights": (Fusion.rrf(weights=[1, 2]).over(DENSE, WORDS), "1.16.9", "1.17.0", "weights in reciprocal rank fusion"),
}


@pytest.mark.parametrize("what", TOO_OLD)
def test_a_server_too_old_is_refused_with_the_version_it_takes(what: str) -> None:
    strategy, old, enough, message = TOO_OLD[what]
    with refused(PlanError, message):
        check(strategy, version=old)
    check(strategy, version=enough)


def test_what_an_old_server_silently_ignores_is_warned_about() -> None:
    says = "Qdrant 1.16.0 ignores score_threshold on a formula, which 1.17 brought"
    stage = Formula(score(), score_threshold=0.5).over(DENSE)
    assert check(stage, version="1.16.0").warnings == (says,)
    assert check(Formula(score()).over(DENSE), SearchOptions(score_threshold=0.5), version="1.16.0").warnings == (says,)
    assert check(stage, version="1.17.0").warnings == ()


def test_a_limit_of_the_outermost_stage_is_warned_about() -> None:
    assert check(Nearest("dense", limit=5), SearchOptions(3)).warnings == (
        "limit=5 of the outermost stage has no effect: the call's limit (3) decides",
    )


def test_a_fusion_of_one_candidate_is_warned_about() -> None:
    [warning] = check(Fusion.rrf().over(DENSE)).warnings
    assert "fuses a single candidate" in warning
