"""What this package makes of a server's answers and refusals: results, warnings and errors, over REST and gRPC."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanWarning,
    Query,
    SearchOptions,
    datetime_field,
    decay_exp,
    exp,
    field,
    geo_distance,
    max_,
    min_,
    now,
    score,
    sigmoid,
    sqrt,
    when,
)
from qdrant_rerank._internals import Table, score_points
from qdrant_rerank.expressions import Expression
from qdrant_rerank.stages import Stage
from tests.replayed.collections import QUERY, VALUES
from tests.replayed.connections import Connection
from tests.support import Near, ids

pytestmark = [
    pytest.mark.vcr,
    pytest.mark.block_network(allowed_hosts=["127.0.0.1"]),
    pytest.mark.engines("local", reason="plays back what a server said"),
]

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
ASKED = Query(vectors={"": QUERY}, now=NOW)
AROUND = Nearest(limit=10)
ABOVE = models.FieldCondition(key="x", range=models.Range(gt=2.0))


def executor(server: Connection, collection: str, **options: Any) -> Executor:
    return Executor(server.client(), f"recorded_{collection}", **options)


def test_the_recordings_are_of_the_version_that_the_documentation_names(server: Connection) -> None:
    assert server.client().info().version == "1.18.3"


# Formulas over values that they can't read

GUARDED: dict[str, tuple[Expression, list[int]]] = {
    "lists": (field("x", default=0.0), [6, 4, 2, 1, 5, 3, 7]),
    "texts": (field("x", default=0.0), [6, 4, 2, 1, 5, 3, 7]),
    "dates": (decay_exp(now() - datetime_field("x", default=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)), scale=86400 * 30), [2, 1]),
    "places": (-1e-6 * geo_distance((48.0, 2.0), "x", default=1e6), [2, 1]),
}


@pytest.mark.parametrize("collection", GUARDED)
@pytest.mark.filterwarnings("ignore:some points of:qdrant_rerank.PlanWarning")
def test_a_value_that_a_formula_can_t_read_costs_a_second_try_and_no_query(server: Connection, collection: str) -> None:
    expression, best = GUARDED[collection]
    found = executor(server, collection).retrieve(Formula(expression).over(AROUND), ASKED, SearchOptions(10))
    assert len(found) == len(VALUES[collection]) + 1
    assert ids(found)[: min(2, len(best))] == best[:2]


@pytest.mark.filterwarnings("ignore:some points of:qdrant_rerank.PlanWarning")
async def test_so_it_does_for_async_calls(server: Connection) -> None:
    asynchronous = AsyncExecutor(async_client=server.async_client(), collection="recorded_lists")
    found = await asynchronous.retrieve(Formula(field("x", default=0.0)).over(AROUND), ASKED, SearchOptions(2))
    assert ids(found) == [6, 4]


def test_the_second_try_is_told(server: Connection) -> None:
    with pytest.warns(PlanWarning, match=r"some points of 'recorded_lists' hold lists"):
        executor(server, "lists").retrieve(Formula(field("x", default=0.0)).over(AROUND), ASKED, SearchOptions(2))


# Formulas mean the same in numpy

FORMULAS: dict[str, Expression] = {
    "linear": 0.1 * score() + 0.5 * field("x", default=0.0) + 0.2,
    "bounded": min_(max_(field("x", default=-1.0), 0.5), 3.0) / 7.0,
    "curved": sigmoid(field("x", default=0.0)) + sqrt(abs(field("x", default=2.0))) + exp(-score()),
    "conditional": when(ABOVE, score() * 3.0, -score()) + field("x", default=1.0),
    "a date": decay_exp(now() - datetime_field("y", default=NOW - dt.timedelta(days=9)), scale=86400.0 * 7),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_means_the_same_in_numpy(server: Connection, name: str) -> None:
    client = executor(server, "numbers")
    found = {
        int(point.id): point.score for point in client.retrieve(Formula(FORMULAS[name]).over(AROUND), ASKED, SearchOptions(10))
    }
    near = {int(point.id): point.score for point in client.retrieve(AROUND, ASKED, SearchOptions(10))}
    payloads: list[dict[str, Any]] = [*({"x": value} for value in VALUES["numbers"]), {}]
    numbers = list(range(1, len(payloads) + 1))
    scores: dict[str | None, Any] = {None: np.array([near[number] for number in numbers])}
    expected = score_points(FORMULAS[name], Table(payloads, numbers, scores, {}, NOW))
    np.testing.assert_allclose([found[number] for number in numbers], expected, rtol=1e-6)


# Strategies of each kind

STRATEGIES: dict[str, Stage] = {
    "nearest": Nearest(),
    "fused": Fusion.rrf(k=61).over(Nearest(limit=5), Nearest(limit=7)),
    "diverse": Mmr(diversity=0.5, limit=4),
    "a formula": Formula(score() + field("x", default=0.0)).over(AROUND),
    "a formula over fused": Formula(score() + field("x", default=0.0)).over(Fusion.rrf(limit=5).over(AROUND, AROUND)),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_s_explanation_sums_to_its_scores(server: Connection, name: str) -> None:
    explained = executor(server, "numbers").explain(STRATEGIES[name], ASKED, SearchOptions(3))
    assert len(explained.points) == 3
    for point, reason in zip(explained.points, explained.reasons, strict=True):
        assert point.id == reason.id
        if reason.terms:
            assert Near(sum(term.value for term in reason.terms)) == point.score
