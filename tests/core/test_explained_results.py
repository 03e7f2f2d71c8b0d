"""Explanations of results: the terms add up to the score, whatever filters, limits and payload there are."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Fusion, Nearest, Query, SearchOptions, field, score, sigmoid
from qdrant_rerank._internals import UNKNOWN, Points
from qdrant_rerank.planning import Schema, VectorInfo, plan
from qdrant_rerank.stages import Stage
from tests.support import NOW, SCHEMA, Script, query_vectors, question, script, target


def test_candidates_that_score_alike_add_what_the_engine_adds(executor: Executor) -> None:
    strategy = Fusion.dbsf().over(Nearest("dense", limit=1), Nearest("bm25", limit=24), Nearest("colbert", limit=24))
    for reason in executor.explain(strategy, question("river stone"), SearchOptions(1)).reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)


EVERY_FOURTH = models.Filter(must=[models.HasIdCondition(has_id=[4, 8, 12, 16, 20, 24])])


@pytest.mark.parametrize(
    "strategy",
    [
        Fusion.rrf(filter=EVERY_FOURTH).over(Nearest("dense"), Nearest("colbert")),
        Fusion.dbsf().over(Nearest("dense", filter=EVERY_FOURTH).over(Nearest("colbert", limit=10)), Nearest("bm25")),
        Formula(score("dense") + score("rrf"), filter=EVERY_FOURTH).over(
            Nearest("dense", limit=50), Fusion.rrf(limit=10).over(Nearest("dense", limit=10), Nearest("colbert", limit=10))
        ),
    ],
)
def test_an_explanation_adds_up_where_stages_have_filters(executor: Executor, strategy: Stage) -> None:
    reasons = executor.explain(strategy, question(), SearchOptions(4)).reasons
    assert reasons
    for reason in reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)


@pytest.mark.parametrize("payload", [False, ["text"], True])
def test_an_explanation_adds_up_whatever_payload_the_call_asks_for(executor: Executor, payload: Any) -> None:
    strategy = Formula(score() + field("popularity", default=0)).over(Nearest("dense"))
    for reason in executor.explain(strategy, question(), SearchOptions(3, with_payload=payload)).reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)


# Where an answer and what its candidates are asked beside it don't agree


def found(*pairs: tuple[int, float], **payload: Any) -> Points:
    return [models.ScoredPoint(id=id, version=0, score=score, payload=dict(payload)) for id, score in pairs]


def explaining(
    strategy: Stage, *answers: list[Points], schema: Schema = SCHEMA, options: SearchOptions | None = None
) -> Script:
    """What an explanation asks and says, by these answers to its searches."""
    made = plan(strategy, schema, target().capabilities, options or SearchOptions(2))
    query = Query(vectors=query_vectors(), now=NOW)
    return script(made.explain(query), *answers)


def asked(said: Script, step: int) -> list[Any]:
    """The requests of a step."""
    found: Any = said.steps[step]
    return list(found.requests)


DENSE, LATE = Nearest("dense", limit=3), Nearest("colbert", limit=3)


def test_the_ranks_of_points_that_tie_are_those_that_add_up() -> None:
    tied = found((1, 0.5), (2, 0.5), (3, 0.5)), found((3, 0.9), (1, 0.4))
    answer = found((3, 1 / 2 + 1 / 1), (2, 1 / 1))  # which found 3 second and 2 first among the three
    said = explaining(Fusion.rrf(k=1).over(DENSE, LATE), [answer, *tied], [tied[0], tied[1]])
    assert [reason.total for reason in said.result.reasons] == [1.5, 1.0]
    assert [[hit.rank for hit in reason.candidates] for reason in said.result.reasons] == [[2, 1], [1, None]]
    assert len(said.steps) == 2


def test_a_point_that_was_cut_off_among_ties_may_have_been_found_and_one_that_was_found_cut_off() -> None:
    first, second = found((1, 0.5), (2, 0.4), (3, 0.4)), found((3, 0.9), (1, 0.4))
    answer = found((3, 1.0), (9, 1 / 3))  # 9 ties with 3 and was found in its place
    scores = [found((9, 0.4), (3, 0.4)), found((3, 0.9), (9, 0.1))]
    said = explaining(Fusion.rrf(k=1).over(DENSE, LATE), [answer, first, second], scores)
    assert [reason.total for reason in said.result.reasons] == pytest.approx([1.0, 1 / 3])
    assert [[hit.rank for hit in reason.candidates] for reason in said.result.reasons] == [[None, 1], [3, None]]
    request = asked(said, 1)[0]
    assert request.filter.must[-1].has_id == [3, 9]
    assert request.limit == 2


def test_a_formula_reads_the_score_of_a_candidate_that_only_the_sum_shows_to_be_found() -> None:
    formula = Formula(score("dense") + score("colbert", default=-1.0)).over(DENSE, LATE)
    candidates = found((1, 0.5), (2, 0.4)), found((1, 0.2), (2, 0.3))
    answer = found((2, -0.6), (9, 0.7))  # 2 was in the answer without its second score, 9 with one that no candidate has shown
    said = explaining(formula, [answer, *candidates], [found((9, 0.3), (2, 0.4)), found((9, 0.4), (2, 0.3))])
    assert [reason.total for reason in said.result.reasons] == pytest.approx([-0.6, 0.7])
    assert [[(hit.rank, hit.score) for hit in reason.candidates] for reason in said.result.reasons] == [
        [(2, 0.4), (None, None)],
        [(None, 0.3), (None, 0.4)],
    ]
    assert all(term.text != UNKNOWN for reason in said.result.reasons for term in reason.terms)


@pytest.mark.parametrize(("expression", "link"), [(2.0 * score(), "identity"), (sigmoid(2.0 * score()), "sigmoid")])
def test_what_cannot_be_found_out_is_a_term_that_says_so(expression: Any, link: str) -> None:
    fused = Fusion.rrf(limit=3).over(DENSE, LATE)
    answer = found((1, 0.9), (2, 1 / (1 + math.exp(-0.5)) if link == "sigmoid" else 0.5))
    said = explaining(Formula(expression).over(fused), [answer, found((1, 0.5), (2, 0.25)), [], []])
    first, second = said.result.reasons
    assert len(said.steps) == 1  # what a fusion gives some points by themselves says nothing
    assert [term.text for term in first.terms] == [term.text for term in second.terms]
    assert first.terms[-1].text == UNKNOWN
    assert first.total == pytest.approx(math.log(0.9 / 0.1) if link == "sigmoid" else 0.9)
    assert second.terms[-1].value == 0.0
    assert said.result.compare(1, 2)[0].value + said.result.compare(1, 2)[1].value == pytest.approx(first.total - second.total)


def test_as_much_is_tried_as_is_worth_it() -> None:
    candidates = [Nearest("dense", limit=30, name=str(number)) for number in range(6)]
    tied = [found(*((id, 0.5) for id in range(30))) for _ in candidates]
    rrf = explaining(Fusion.rrf().over(*candidates), [found((1, 2.0), (2, 1.9)), *tied], [each[:2] for each in tied])
    assert [reason.terms[-1].text for reason in rrf.result.reasons] == [UNKNOWN] * 2
    summed = sum((score(str(number)) for number in range(1, 6)), score("0"))
    formula = explaining(Formula(summed).over(*candidates), [found((1, 2.0), (2, 3.0)), *tied], [each[:2] for each in tied])
    assert [reason.total for reason in formula.result.reasons] == pytest.approx([2.0, 3.0])
    assert formula.result.reasons[0].terms[-1].text == UNKNOWN
    assert formula.result.reasons[1].terms[-1].value == 0.0
    far = explaining(Fusion.rrf().over(*candidates[:2]), [found((1, 5.0)), *tied[:2]], [each[:1] for each in tied[:2]])
    assert [reason.terms[-1].text for reason in far.result.reasons] == [UNKNOWN]


THREE = replace(SCHEMA, shards=3)


def test_what_each_shard_hands_a_formula_is_asked_for_through_a_formula_that_is_but_the_score() -> None:
    far = replace(THREE, vectors={**THREE.vectors, "far": VectorInfo("dense", 4, models.Distance.EUCLID)})
    formula = Formula(score("dense") + score("far", default=-9.0)).over(DENSE, Nearest("far", limit=2))
    made = plan(formula, far, target().capabilities, SearchOptions(2))
    query = Query(vectors={**query_vectors(), "far": [1.0, 0.0, 0.0, 0.0]}, now=NOW)
    answers = [found((1, -1.5), (2, -8.6)), found((1, 0.5), (2, 0.4)), found((1, -2.0), (3, -3.0))]
    said = script(made.explain(query), answers)
    _, dense, distant = asked(said, 0)
    assert (dense.query.formula, dense.limit, dense.prefetch[0].limit) == ("$score", 9, 3)
    assert (distant.limit, distant.prefetch[0].limit, distant.prefetch[0].using) == (6, 2, "far")
    assert [reason.total for reason in said.result.reasons] == pytest.approx([-1.5, -8.6])
    assert [[(hit.rank, hit.score) for hit in reason.candidates] for reason in said.result.reasons] == [
        [(1, 0.5), (1, 2.0)],
        [(2, 0.4), (None, None)],
    ]


def test_a_fusion_below_a_fusion_is_each_shards_own() -> None:
    nested = Fusion.rrf().over(Fusion.dbsf(limit=4).over(DENSE, LATE), DENSE)
    for schema, own in ((THREE, "$score"), (SCHEMA, None)):
        said = explaining(nested, [found((1, 1.0)), found((1, 0.9)), found((1, 0.5)), [], []], schema=schema)
        inner, plain = asked(said, 0)[1:3]
        assert getattr(inner.query, "formula", None) == own
        assert inner.limit == 4
        assert plain.prefetch is None
    old = plan(nested, THREE, target("1.13.0").capabilities, SearchOptions(2))
    flow = old.explain(Query(vectors=query_vectors(), now=NOW))
    said = script(flow, [found((1, 1.0)), found((1, 0.9)), found((1, 0.5)), [], []])
    assert isinstance(asked(said, 0)[1].query, models.FusionQuery)  # it has no formulas
