"""Laws that hold for every strategy and expression, tried on random ones."""

from __future__ import annotations

import copy
import datetime
import pickle
from typing import Any

import pytest
from hypothesis import find, settings
from hypothesis import given as having
from hypothesis import strategies as st
from qdrant_client import models

from qdrant_rerank import Formula, Fusion, Mmr, Nearest, PlanError, Query, SearchOptions, from_json, to_json
from qdrant_rerank._internals import Inputs
from qdrant_rerank.expressions import Expression, parse_expression
from qdrant_rerank.planning import Plan, plan
from qdrant_rerank.stages import Stage
from tests.core.generators import expressions, features_for, filters, stages
from tests.support import NOW, public_names, query_vectors, target

NAMES: dict[str, Any] = {"models": models, "datetime": datetime}  # what a repr may use
NAMES |= public_names()
TARGET = target()


def scopes() -> st.SearchStrategy[SearchOptions]:
    return st.builds(
        SearchOptions,
        limit=st.integers(1, 40),
        filter=st.none() | filters(),
        score_threshold=st.none() | st.floats(-1, 1),
        offset=st.none() | st.integers(0, 20),
        with_payload=st.booleans() | st.just(["text"]),
        shard_key_selector=st.none() | st.just("eu"),
    )


@having(stages())
def test_a_strategy_evaluates_from_its_repr(strategy: Stage) -> None:
    assert eval(repr(strategy), NAMES) == strategy


@having(stages())
def test_a_strategy_survives_json(strategy: Stage) -> None:
    assert from_json(to_json(strategy)) == strategy


@having(stages())
def test_a_strategy_survives_pickle_and_copy(strategy: Stage) -> None:
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert copy.deepcopy(strategy) == strategy


@having(expressions((None, "dense")))
def test_an_expression_evaluates_from_its_repr(expression: Expression) -> None:
    assert eval(repr(expression), NAMES) == expression


@having(expressions((None, "dense")))
def test_an_expression_is_parsed_from_its_repr_alike(expression: Expression) -> None:
    assert parse_expression(repr(expression)) == expression


@having(stages(), scopes())
def test_the_request_is_pure(strategy: Stage, options: SearchOptions) -> None:
    resolved = strategy.resolve(TARGET.schema)
    inputs = Inputs(TARGET, query_vectors(), features_for(strategy), NOW)
    before = repr((strategy, options, inputs.vectors, inputs.params))
    request = resolved.request(inputs, options)
    assert resolved.request(inputs, options) == request
    assert strategy.resolve(TARGET.schema).request(inputs, options) == request
    assert repr((strategy, options, inputs.vectors, inputs.params)) == before


@having(stages(), scopes(), scopes())
def test_a_plan_within_a_options_is_a_plan_for_that_options(strategy: Stage, first: SearchOptions, then: SearchOptions) -> None:
    assert attempt(lambda: planned(strategy, first).within(then)) == attempt(lambda: planned(strategy, then))


@having(stages())
def test_resolving_twice_changes_nothing_more(strategy: Stage) -> None:
    resolved = strategy.resolve(TARGET.schema)
    assert resolved.resolve(TARGET.schema) == resolved


@having(stages(), scopes())
@settings(max_examples=50)
def test_a_plan_explains_every_request_that_it_would_send(strategy: Stage, options: SearchOptions) -> None:
    made = planned(strategy, options)
    explanation = made.describe(Query(vectors=query_vectors(), params=features_for(strategy), now=NOW))
    assert len(explanation.requests) == explanation.round_trips == 1
    assert set(explanation.embeds) == strategy.needs()
    assert len(planned(strategy, options).describe().requests) == 1


def planned(strategy: Stage, options: SearchOptions) -> Plan:
    return plan(strategy, TARGET.schema, TARGET.capabilities, options)


def attempt(make: Any) -> Any:
    try:
        return make()
    except PlanError as error:
        return error.problems


@pytest.mark.parametrize("kind", [Nearest, Fusion, Formula, Mmr])
def test_random_strategies_include_every_kind(kind: type[Stage]) -> None:
    find(stages(), lambda strategy: any(isinstance(stage, kind) for stage in strategy.stages()))
