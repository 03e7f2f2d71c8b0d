"""Small values: literals, errors, copies, and what is checked about numbers."""

from __future__ import annotations

import datetime
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import models

import qdrant_rerank
from qdrant_rerank import (
    Capabilities,
    Cost,
    Executor,
    Expression,
    Formula,
    Fusion,
    MissingExtra,
    Mmr,
    Nearest,
    QdrantRerankError,
    Query,
    Schema,
    Scope,
    Stage,
    Strategy,
    StrategyError,
    Target,
    field,
    from_json,
    plan,
    score,
    to_json,
)
from qdrant_rerank.checks import is_finite, is_number, is_whole
from qdrant_rerank.errors import IngestError, did_you_mean
from qdrant_rerank.expressions.lowering import Candidate, Lowering, lower
from qdrant_rerank.literals import call, literal
from qdrant_rerank.query import Inputs
from qdrant_rerank.steps import Flow, Points, Search
from qdrant_rerank.why import explained
from tests.support import SCHEMA, question, refused, script, target

FIELD = models.FieldCondition(key="a", match=models.MatchValue(value=1))
LITERALS: dict[str, Any] = {
    "None": None,
    "'it\\'s'": "it's",
    "[1, 2.5]": [1, 2.5],
    "()": (),
    "(1,)": (1,),
    "{'a': [True]}": {"a": [True]},
    "models.Distance('Cosine')": models.Distance.COSINE,
    "datetime.datetime.fromisoformat('2025-01-02T03:04:05+00:00')": datetime.datetime(2025, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "datetime.date.fromisoformat('2025-01-02')": datetime.date(2025, 1, 2),
    "models.Filter(must=[models.FieldCondition(key='a', match=models.MatchValue(value=1))])": models.Filter(must=[FIELD]),
    "models.MatchExcept(**{'except': ['x']})": models.MatchExcept(**{"except": ["x"]}),
    "models.SearchParams(exact=True)": models.SearchParams(exact=True),
}


@pytest.mark.parametrize("text", LITERALS)
def test_a_literal_is_short_and_evaluates_to_its_value(text: str) -> None:
    assert literal(LITERALS[text]) == text.replace("'it\\'s'", '"it\'s"')
    assert eval(literal(LITERALS[text]), {"models": models, "datetime": datetime}) == LITERALS[text]


def test_a_call_is_written_with_its_arguments() -> None:
    assert call("f", 1, "a", key=[None]) == "f(1, 'a', key=[None])"


def test_bools_and_text_are_no_numbers() -> None:
    assert [is_number(value) for value in (1, 0.5, True, "1", None)] == [True, True, False, False, False]
    assert [is_finite(value) for value in (1, float("inf"), float("nan"), True, None)] == [True, False, False, False, False]
    assert [is_whole(value, 1) for value in (1, 0, 1.0, True, "1")] == [True, False, False, False, False]


def test_every_error_is_one_of_the_packages() -> None:
    errors = [getattr(qdrant_rerank, name) for name in qdrant_rerank.__all__ if name.endswith(("Error", "Extra"))]
    assert len(errors) > 8
    assert all(issubclass(error, QdrantRerankError) for error in errors)
    assert [error.__name__ for error in errors if issubclass(error, ValueError)] == [
        name for name in sorted(error.__name__ for error in errors) if issubclass(getattr(qdrant_rerank, name), ValueError)
    ]


def test_a_missing_extra_says_what_to_install_and_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(MissingExtra("FastembedDense", "fastembed")))
    assert str(again) == "FastembedDense needs an optional dependency: pip install 'qdrant-rerank[fastembed]'"
    assert (again.what, again.extra) == ("FastembedDense", "fastembed")
    assert isinstance(again, ImportError)


def test_an_ingest_error_keeps_its_ids_through_pickling() -> None:
    again = pickle.loads(pickle.dumps(IngestError("the model is down", ["a", 2])))
    assert (str(again), again.ids) == ("the model is down", ("a", 2))


def test_a_guess_is_made_only_where_one_is_near() -> None:
    assert did_you_mean("colbret", ["dense", "colbert"]) == ": did you mean 'colbert'?"
    assert did_you_mean("xyz", ["dense", "colbert"]) == did_you_mean("x", []) == ""


REPRS = {
    "Nearest()": Nearest(),
    "Nearest('')": Nearest(""),
    "Mmr('a', diversity=0.5, candidates_limit=7)": Mmr("a", candidates_limit=7),
    "Fusion.rrf(k=61, weights=(2, 1)).over(Nearest('a'), Nearest('b', name='c'))": Fusion.rrf(61, [2, 1]).over(
        Nearest("a"), Nearest("b", name="c")
    ),
    "Fusion.dbsf(limit=5)": Fusion.dbsf(limit=5),
    "Formula(0.5 * score(), limit=3)": Formula(0.5 * score(), limit=3),
    "Formula(constant(3.0))": Formula(3),
}


@pytest.mark.parametrize("text", REPRS)
def test_a_strategys_repr_is_what_a_user_would_write(text: str) -> None:
    assert repr(REPRS[text]) == text


def test_a_fusion_has_no_search_that_parameters_could_be_for() -> None:
    with refused(StrategyError, "a fusion searches nothing that params could be for", "candidates"):
        Fusion(params=models.SearchParams(exact=True))
    with refused(StrategyError, "a formula searches nothing that params could be for"):
        Formula(score(), params=models.SearchParams(exact=True))


@pytest.mark.parametrize("wrong", [5, ["dense"], b"dense"])
def test_a_vectors_name_is_text(wrong: Any) -> None:
    for kind in (Nearest, Mmr):
        with refused(StrategyError, "the name of a vector must be text", repr(wrong)):
            kind(wrong)
    with refused(StrategyError, "the name of Nearest must be text", repr(wrong)):
        Nearest("dense", name=wrong)


def test_a_list_of_candidates_is_to_be_spread() -> None:
    with refused(StrategyError, "can't be a candidate of Fusion", ".over(*"):
        Fusion.rrf().over([Nearest("a"), Nearest("b")])  # type: ignore[arg-type]


class Twice(Strategy):
    """A strategy of two requests, as one that asks a model in between would be."""

    cost = Cost(round_trips=2, model_calls=5)

    def needs(self) -> frozenset[str]:
        return frozenset({"dense"})

    def resolved(self, schema: Schema) -> Twice:
        return self

    def stages(self) -> Iterator[Stage]:
        yield Nearest("dense")

    def flow(self, query: Query, scope: Scope, target: Target) -> Flow[Points]:
        yield from Search([])
        [points] = yield from Search([models.QueryRequest(limit=scope.limit)])
        return points


def test_a_strategy_of_several_requests_is_planned_and_explained() -> None:
    made = plan(Twice(), SCHEMA, target().capabilities, Scope(3))
    assert script(made.flow(question()), [], [["p"]]).result == ["p"]
    explanation = made.explain()
    assert (explanation.round_trips, explanation.model_calls, explanation.requests) == (2, 5, ())
    assert "2 round trips, 5 model calls; embeds 'dense'" in str(explanation)


def test_a_strategy_of_several_requests_is_not_explained_point_by_point() -> None:
    with refused(StrategyError, "only strategies that Qdrant runs alone"):
        script(explained(plan(Twice(), SCHEMA, target().capabilities), question()))


def test_a_strategy_without_a_json_form_says_so() -> None:
    with refused(StrategyError, "Twice", "no JSON form", "nearest, fusion"):
        to_json(Twice())


class Sampled(Stage):
    """A stage of one's own: all it needs is its query."""

    def query(self, inputs: Inputs, limit: int) -> models.Query:
        return models.SampleQuery(sample=models.Sample.RANDOM)


def test_a_stage_of_ones_own_needs_no_more_than_its_query(executor: Executor) -> None:
    strategy = Nearest("dense").over(Sampled(limit=24, name="sample"))
    assert repr(strategy) == "Nearest('dense').over(Sampled(limit=24, name='sample'))"
    assert len(executor.retrieve(strategy, question(), Scope(5))) == 5


class Odd(Expression):
    """An expression that nothing knows what to make of."""


def test_an_expression_that_cannot_be_compiled_says_which() -> None:
    with pytest.raises(TypeError, match="no lowering for Odd"):
        lower(Odd(), Lowering([Candidate("dense")], Capabilities.of("1.20.0")))


def test_legs_that_score_alike_add_what_the_engine_adds(executor: Executor) -> None:
    strategy = Fusion.dbsf().over(Nearest("dense", limit=1), Nearest("bm25", limit=24), Nearest("colbert", limit=24))
    for reason in executor.explain(strategy, question("river stone"), Scope(1)).reasons:
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
    reasons = executor.explain(strategy, question(), Scope(4)).reasons
    assert reasons
    for reason in reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)


@pytest.mark.parametrize("payload", [False, ["text"], True])
def test_an_explanation_adds_up_whatever_payload_the_call_asks_for(executor: Executor, payload: Any) -> None:
    strategy = Formula(score() + field("popularity", default=0)).over(Nearest("dense"))
    for reason in executor.explain(strategy, question(), Scope(3, with_payload=payload)).reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)


def test_a_strategy_of_several_requests_cannot_be_a_candidate() -> None:
    with refused(StrategyError, "can't be a candidate of Fusion", "put strategies that call a model outermost"):
        Fusion.rrf().over(Twice())  # type: ignore[arg-type]


def test_json_keeps_conditions_of_every_kind_apart() -> None:
    conditions: list[models.Condition] = [
        FIELD,
        models.FieldCondition(key="a", match=models.MatchValue(value="1")),
        models.FieldCondition(key="a", match=models.MatchValue(value=True)),
        models.FieldCondition(key="d", range=models.DatetimeRange(gte=datetime.date(2025, 1, 1))),
        models.FieldCondition(key="d", range=models.Range(gte=float("-inf"))),
        models.FieldCondition(key="p", geo_radius=models.GeoRadius(center=models.GeoPoint(lat=1, lon=2), radius=5)),
        models.NestedCondition(nested=models.Nested(key="a", filter=models.Filter(must=[FIELD]))),
        models.HasVectorCondition(has_vector="dense"),
        models.Filter(min_should=models.MinShould(conditions=[FIELD], min_count=1)),
    ]
    for condition in conditions:
        strategy = Nearest("a", filter=models.Filter(must_not=[condition]))
        assert from_json(to_json(strategy)) == strategy
