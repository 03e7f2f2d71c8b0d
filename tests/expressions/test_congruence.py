"""An expression means the same in numpy, in local mode and in the Rust engine, on every payload that there can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Nearest, PlanError, Query, SearchOptions, exp, field, max_, min_, score
from qdrant_rerank._internals import Constant, Maximum, Minimum, Quotient, Table, score_points, walk
from qdrant_rerank.expressions import Expression
from qdrant_rerank.planning import Capabilities
from tests.engines import compared

from . import engines, worlds

EVERYTHING = SearchOptions(limit=worlds.POINTS)
CANDIDATES = (
    Nearest("dense", limit=worlds.POINTS),
    Nearest("sparse", limit=worlds.POINTS),
)  # all, so that shards find the same
QUERY = Query(vectors={"dense": worlds.DENSE_QUERY, "sparse": worlds.SPARSE_QUERY}, params=worlds.FEATURES, now=worlds.NOW)
CASES = 700  # for each of three engines
EXTREME = field("x", 0.0) * exp(abs(field("x", 0.0)))  # to 3e23
ROUNDED = 4e-16  # of the operands: what is lost where they are added and taken from each other
SCORES_VARY = 3e-7  # by somewhat less, between two searches in local mode


class Engine:
    """One engine, and what its candidates find."""

    def __init__(self, client: Any, name: str, lists: bool = True) -> None:
        self.name = name
        self.executor = Executor(client, "nasty")
        candidates = [
            self.executor.retrieve(candidate, QUERY, SearchOptions(limit=candidate.limit or 0)) for candidate in CANDIDATES
        ]
        payloads = {point.id: point.payload or {} for point in worlds.points(lists=lists, indexed=name.endswith("indexed"))}
        self.table, self.moved = (
            Table(
                payloads=list(payloads.values()),
                ids=list(payloads),
                scores={
                    candidate.title: self._column(found) + more for candidate, found in zip(CANDIDATES, candidates, strict=True)
                },
                params=worlds.FEATURES,
                now=worlds.NOW,
            )
            for more in (0.0, SCORES_VARY)
        )

    def _column(self, found: list[models.ScoredPoint]) -> np.ndarray[Any, np.dtype[np.float64]]:
        scores = np.full(worlds.POINTS, np.nan)
        for point in found:
            scores[int(point.id)] = point.score
        return scores

    def scores(self, expression: Expression) -> dict[int, float]:
        found = self.executor.retrieve(Formula(expression).over(*CANDIDATES), QUERY, EVERYTHING)
        return {int(point.id): point.score for point in found}


@pytest.fixture(scope="module", params=compared())
def compared_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engines.opened(request.param) as client:
        yield Engine(client, request.param)


@pytest.fixture(scope="module", params=[name for name in compared() if name != "local"])
def quick_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine whose points hold no lists, so that formulas never need thorough guards."""
    with engines.opened(request.param, lists=False) as client:
        yield Engine(client, request.param, lists=False)


@pytest.mark.filterwarnings("ignore:some points of .* hold lists:qdrant_rerank.PlanWarning")
@pytest.mark.filterwarnings("ignore:(no|the) (sampled )?point:qdrant_rerank.PlanWarning")
@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(expression=worlds.expressions)
@example(expression=0.5 * field("x", 0.1) + score("sparse", default=0.0) * field("meta.z", -2.0))
def test_an_expression_means_the_same_in_numpy_and_in_the_engine(compared_engine: Engine, expression: Expression) -> None:
    agree(compared_engine, expression)


@pytest.mark.filterwarnings("ignore:(no|the) (sampled )?point:qdrant_rerank.PlanWarning")
@settings(
    max_examples=CASES // 2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(expression=worlds.expressions)
@example(expression=0.5 * field("x", 0.1) + score("sparse", default=0.0) * field("meta.z", -2.0))
def test_quick_guards_mean_the_same_where_there_are_no_lists(quick_engine: Engine, expression: Expression) -> None:
    agree(quick_engine, expression)
    assert not quick_engine.executor.target().quirks.several_values


def agree(engine: Engine, expression: Expression) -> None:
    expected, doubt = computed(engine, expression)
    assume(bool(np.isfinite(expected).all()))
    assume(not rounds_to_zero(engine, expression))
    if engine.name.startswith("grpc"):  # which plans refuse formulas too deep for
        try:
            engine.executor.plan(Formula(expression).over(*CANDIDATES), EVERYTHING)
        except PlanError as error:
            assume("and gRPC, which" not in str(error))
            raise

    seen = engine.executor.target().view
    found = engine.scores(expression)
    if engine.executor.target().view != seen:  # lists of several values turned up
        expected, doubt = computed(engine, expression)

    assert len(found) == worlds.POINTS
    got = np.array([found[number] for number in range(worlds.POINTS)])
    np.testing.assert_array_less(np.abs(got - expected), 1e-6 + 1e-6 * np.abs(expected) + doubt)


def rounds_to_zero(engine: Engine, expression: Expression) -> bool:
    """Whether a dividend is so near 0 that it may be 0, which is a case of its own, where max and min are made of sums.

    Before 1.20 max(-2.5, x) is half of -2.5 + x + |-2.5 - x|: 0 for an x of 1e-25.
    """
    target = engine.executor.target()
    if target.capabilities.supports("max_min"):
        return False
    table, nodes = replace(engine.table, view=target.view), walk(expression)
    dividends = [score_points(node.dividend, table) for node in nodes if isinstance(node, Quotient)]
    return any(bool(((each != 0) & (np.abs(each) < 1e-9)).any()) for each in dividends)


def computed(engine: Engine, expression: Expression) -> tuple[Any, Any]:
    """What numpy makes of it, and by how much that may differ, which is much only where an expression is steep."""
    target = engine.executor.target()
    here, moved = (replace(table, view=target.view) for table in (engine.table, engine.moved))
    with np.errstate(all="ignore"):
        expected = score_points(expression, here)
        doubt = np.nan_to_num(np.abs(score_points(expression, moved) - expected), posinf=0.0)
        if not target.capabilities.supports("max_min"):
            lost = [np.abs(score_points(rounded(expression, by), here) - expected) for by in (-ROUNDED, ROUNDED)]
            doubt += np.nan_to_num(np.max(lost, axis=0), posinf=np.inf)  # nothing is left beside 1e209
        return expected, doubt


def rounded(node: Any, by: float) -> Any:
    """The expression with each max and min off by so much of what it is made of, as they are sums before 1.20."""
    if isinstance(node, tuple):
        return tuple(rounded(each, by) for each in node)
    if not isinstance(node, Expression):
        return node
    value: Any = node  # each kind is a dataclass
    made = replace(value, **{each.name: rounded(getattr(value, each.name), by) for each in fields(value)})
    return made + by * sum(map(abs, made.operands)) if isinstance(made, Minimum | Maximum) else made


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(expression=worlds.small_expressions)
@pytest.mark.parametrize("version", ["1.14.0", "1.19.0"])
def test_the_lowering_for_older_servers_means_the_same(version: str, expression: Expression) -> None:
    """Checked where it can run: what an older server would be sent, evaluated by local mode's interpreter."""
    from .interpreter import interpret

    some = 24
    table = Table(
        payloads=worlds.payloads()[:some],
        ids=list(range(some)),
        scores={"dense": np.linspace(-1, 1, some), "sparse": np.linspace(0, 3, some)},
        params=worlds.FEATURES,
        now=worlds.NOW,
    )
    with np.errstate(all="ignore"):
        expected = score_points(expression, table)
        assume(bool(np.isfinite(expected).all()))
        assume(not any(apart(node, table) for node in walk(expression)))

    got = interpret(expression, table, Capabilities.of(version))

    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-5)


def apart(node: Expression, table: Table) -> bool:
    """Whether it is the least or greatest of variable operands too large for sums of them to keep all digits."""
    if not isinstance(node, Minimum | Maximum):
        return False
    values = [score_points(operand, table) for operand in node.operands if not isinstance(operand, Constant)]
    return len(values) > 1 and bool(np.abs(values).max() > 1e8)


@pytest.mark.parametrize("bounded", [min_(1000, EXTREME), max_(-1000, EXTREME), min_(EXTREME, 0.1), max_(-EXTREME, -0.1)])
def test_bounds_hold_for_extremes_on_servers_without_max_and_min(bounded: Expression) -> None:
    from .interpreter import interpret

    table = Table(payloads=[{"x": 50.0}, {"x": -50.0}, {"x": 0.0}], ids=[0, 1, 2], scores={}, params={}, now=worlds.NOW)
    np.testing.assert_allclose(interpret(bounded, table, Capabilities.of("1.14.0")), score_points(bounded, table), rtol=1e-7)
