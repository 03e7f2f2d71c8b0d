"""Strategies, stages and expressions of one's own: how little they need, and what they can't be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Fusion, Nearest, Query, SearchOptions, Strategy, StrategyError, from_json, to_json
from qdrant_rerank._internals import Flow, Inputs, Points, Search
from qdrant_rerank.expressions import Expression
from qdrant_rerank.expressions._internals import Lowering, ScoreSource, lower
from qdrant_rerank.planning import Capabilities, Cost, Schema, Target, plan
from qdrant_rerank.stages import Stage
from tests.support import SCHEMA, question, refused, script, target


class Twice(Strategy):
    """A strategy of two requests, as one that asks a model in between would be."""

    cost = Cost(round_trips=2, model_calls=5)

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
    assert (explanation.round_trips, explanation.model_calls, explanation.requests) == (2, 5, ())
    assert "2 round trips, 5 model calls; embeds 'dense'" in str(explanation)


def test_a_strategy_of_several_requests_is_not_explained_point_by_point() -> None:
    with refused(StrategyError, "only strategies that Qdrant runs alone"):
        script(plan(Twice(), SCHEMA, target().capabilities).explain(question()))


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
    class Popular(Stage, kind="popular"):
        """The points of highest value at a key."""

        key: str = "popularity"

        def query(self, inputs: Inputs, limit: int) -> models.Query:
            return models.OrderByQuery(order_by=models.OrderBy(key=self.key, direction=models.Direction.DESC))

    strategy = Fusion.rrf().over(Nearest("dense"), Popular(key="sales", limit=20))
    assert from_json(to_json(strategy)) == strategy
