"""Strategies, stages and expressions of one's own: how little they need, and what they can't be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import (
    Executor,
    Fusion,
    Nearest,
    PlanError,
    Query,
    QueryError,
    Rerank,
    SearchOptions,
    Strategy,
    StrategyError,
    field,
    from_json,
    score,
    to_json,
    when,
)
from qdrant_rerank._internals import (
    Account,
    Explained,
    Flow,
    Found,
    Inputs,
    Lowering,
    Points,
    Request,
    Scored,
    ScoreSource,
    Search,
    Table,
    lower,
)
from qdrant_rerank.expressions import Expression
from qdrant_rerank.ingest import requirements
from qdrant_rerank.planning import Capabilities, Cost, Schema, Target, plan
from qdrant_rerank.stages import Stage
from qdrant_rerank.tune import is_local
from tests.support import SCHEMA, question, refused, script, target


class Twice(Strategy):
    """A strategy of two requests, as one that asks a model in between would be."""

    cost = Cost(round_trips=2, reads=5)

    def needs(self) -> frozenset[str]:
        return frozenset({"dense"})

    def resolve(self, schema: Schema) -> Twice:
        return self

    def stages(self) -> Iterator[Stage]:
        yield Nearest("dense")

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        yield from Search([])
        [points] = yield from Search([models.QueryRequest(limit=options.limit)])
        return points


def test_a_strategy_of_several_requests_is_planned_and_explained() -> None:
    made = plan(Twice(), SCHEMA, target().capabilities, SearchOptions(3))
    assert script(made.flow(question()), [], [["p"]]).result == ["p"]
    explanation = made.describe()
    assert (explanation.round_trips, explanation.reads, explanation.requests) == (2, 5, ())
    assert "2 round trips, 5 texts read by the reranker; embeds 'dense'" in str(explanation)


def test_a_strategy_of_several_requests_is_not_explained_point_by_point() -> None:
    with refused(StrategyError, "only strategies that Qdrant runs alone"):
        script(plan(Twice(), SCHEMA, target().capabilities).explain(question()))


def test_a_strategy_without_a_json_form_says_so() -> None:
    with refused(StrategyError, "Twice", "no JSON form", "mmr, nearest"):
        to_json(Twice())


class Sampled(Stage):
    """A stage of one's own: all it needs is its query."""

    def query(self, inputs: Inputs, limit: int) -> models.Query:
        return models.SampleQuery(sample=models.Sample.RANDOM)


def test_a_stage_of_ones_own_needs_no_more_than_its_query(executor: Executor) -> None:
    strategy = Nearest("dense").over(Sampled(limit=24, name="sample"))
    assert repr(strategy) == "Nearest('dense').over(Sampled(limit=24, name='sample'))"
    assert len(executor.retrieve(strategy, question(), SearchOptions(5))) == 5


class Odd(Expression):
    """An expression that nothing knows what to make of."""


def test_an_expression_that_cannot_be_compiled_says_which() -> None:
    with pytest.raises(TypeError, match="no lowering for Odd"):
        lower(Odd(), Lowering([ScoreSource("dense")], Capabilities.of("1.20.0")))


def test_a_strategy_of_several_requests_cannot_be_a_candidate() -> None:
    with refused(StrategyError, "can't be a candidate of Fusion", "put strategies that call a model outermost"):
        Fusion.rrf().over(Twice())  # type: ignore[arg-type]


def test_a_kind_registers_its_name_in_json_where_it_is_defined() -> None:
    @dataclass(frozen=True, repr=False)
    class Popular(Stage, kind="test_popular"):
        """The points of highest value at a key."""

        key: str = "popularity"

        def query(self, inputs: Inputs, limit: int) -> models.Query:
            return models.OrderByQuery(order_by=models.OrderBy(key=self.key, direction=models.Direction.DESC))

    strategy = Fusion.rrf().over(Nearest("dense"), Popular(key="sales", limit=20))
    assert from_json(to_json(strategy)) == strategy


@dataclass(frozen=True, repr=False)
class Boosted(Stage, kind="test_boosted"):
    """Candidates with a request-time number added to their score where they have the key."""

    key: str = "rating"

    @property
    def own_params(self) -> Mapping[str, Any]:
        return {"boost": 0.0}

    def own_expressions(self) -> Iterator[Expression]:
        yield score() + when(models.HasIdCondition(has_id=[1]), 1.0, 0.0) + field(self.key, default=0.0)

    def own_abbreviations(self) -> Iterator[tuple[str, str]]:
        yield f"'{self.key}'", "…"

    def query(self, inputs: Inputs, limit: int) -> models.Query:
        return models.FormulaQuery(formula=models.SumExpression(sum=["$score", float(inputs.params["boost"])]))

    def account(self, points: Points, found: Sequence[Found], inputs: Inputs) -> Account:
        scores = {point.id: point.score for point in found[0].points}
        terms = [
            ("found", np.array([scores[point.id] for point in points])),
            ("boost", np.full(len(points), float(inputs.params["boost"]))),
        ]
        return Account(points, found, terms)

    is_computable = True

    def compute_scores(self, found: Sequence[Sequence[Scored]], table: Table, schema: Schema) -> Any:
        scores = {point.id: point.score for points in found for point in points}
        return np.array([scores[id] for id in table.ids]) + table.params["boost"]

    def _own_arguments(self) -> Iterator[str]:
        yield f"key={self.key!r}"


BOOSTED = Boosted(key="rating").over(Nearest("dense", limit=24))


def test_a_stage_of_ones_own_is_explained_term_by_term(executor: Executor) -> None:
    asked = replace(question(), params={"boost": 0.25})
    explained = executor.explain(BOOSTED, asked, SearchOptions(3))
    for reason in explained.reasons:
        assert [term.text for term in reason.terms] == ["found", "boost"]
        assert reason.total == pytest.approx(reason.score)
        assert reason.candidates[0].candidate == "dense"
    assert explained.points == executor.retrieve(BOOSTED, asked, SearchOptions(3))


def test_a_stage_of_ones_own_without_an_account_of_its_own_is_explained_by_its_scores(executor: Executor) -> None:
    explained = executor.explain(Nearest("dense").over(Sampled(limit=24, name="sample")), question(), SearchOptions(3))
    assert [reason.terms[0].text for reason in explained.reasons] == ["similarity"] * 3
    assert [hit.candidate for hit in explained.reasons[0].candidates] == ["sample"]


def test_the_plan_of_a_stage_of_ones_own_shows_its_request_and_short_text_and_what_it_reads() -> None:
    made = plan(BOOSTED, SCHEMA, target().capabilities)
    description = made.describe()
    assert description.requests[0]["query"] == {"formula": {"sum": ["$score", 0.0]}, "defaults": {}}
    assert description.summary == "Boosted(key=…).over(Nearest('dense', limit=24))"
    assert description.strategy == repr(BOOSTED)
    assert requirements(BOOSTED) == {"rating": models.PayloadSchemaType.FLOAT}
    with refused(QueryError, "no request-time value 'bost'", "did you mean 'boost'?"):
        next(made.flow(replace(question(), params={"bost": 1.0})))


def test_a_stage_of_ones_own_is_recomputed_if_it_says_how() -> None:
    assert is_local(BOOSTED)
    assert not is_local(Sampled().over(Nearest("dense")))
    with refused(StrategyError, "only Qdrant can compute the scores of Sampled()"):
        Sampled().compute_scores([], Table([], []), SCHEMA)


@dataclass(frozen=True)
class Retried(Strategy, kind="test_retried"):
    """A search, and where it finds nothing, another one."""

    first: Stage
    second: Stage

    cost = Cost(round_trips=2)

    def needs(self) -> frozenset[str]:
        return self.first.needs() | self.second.needs()

    def resolve(self, schema: Schema) -> Self:
        return replace(self, first=self.first.resolve(schema), second=self.second.resolve(schema))

    def stages(self) -> Iterator[Stage]:
        yield from self.first.stages()
        yield from self.second.stages()

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        found = yield from self.first.flow(query, options, target)
        return found or (yield from self.second.flow(query, options, target))

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        explained = yield from self.first.explain(query, options, target)
        return explained if explained.points else (yield from self.second.explain(query, options, target))

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self.first.first_requests(inputs, options)

    def later_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self.second.first_requests(inputs, options)


NOTHING = models.Filter(must=[models.HasIdCondition(has_id=[])])
RETRIED = Retried(Nearest("dense", filter=NOTHING), BOOSTED)


def test_a_strategy_of_ones_own_is_explained_described_saved_and_read_by_a_model(executor: Executor) -> None:
    asked = replace(question(), params={"boost": 0.5})
    explained = executor.explain(RETRIED, asked, SearchOptions(3))
    assert [term.text for term in explained.reasons[0].terms] == ["found", "boost"]
    made = plan(RETRIED, SCHEMA, target().capabilities)
    assert made.describe().later[0]["query"] == {"formula": {"sum": ["$score", 0.0]}, "defaults": {}}
    assert "key=…" in made.describe().summary
    assert from_json(to_json(RETRIED)) == RETRIED
    reranked = Rerank(reads=5).over(RETRIED)
    assert from_json(to_json(reranked)) == reranked
    assert plan(reranked, SCHEMA, target().capabilities, SearchOptions(3)).describe().later
    assert (RETRIED.uncheck(), RETRIED.first_search, RETRIED.scoring_stage) == (RETRIED, RETRIED, None)
    with refused(PlanError, "group queries need Qdrant 1.11"):
        plan(RETRIED, SCHEMA, Capabilities.of("1.10.0"), SearchOptions(group_by="doc"))


def test_what_a_strategy_s_first_search_found_is_its_result_where_no_model_ranks_it() -> None:
    options = SearchOptions(2)
    assert RETRIED.candidate_options(options) is options
    assert script(RETRIED.rank(["p"], question(), options, target())).result == ["p"]  # type: ignore[list-item]
