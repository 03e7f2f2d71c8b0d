"""Numbers that formulas can't hold are refused where they are written or given, alike on every engine; numpy's are taken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import (
    Executor,
    Formula,
    Nearest,
    Query,
    QueryError,
    StrategyError,
    affinity,
    datetime_field,
    decay_exp,
    decay_gauss,
    field,
    geo_distance,
    log,
    now,
    param,
    score,
)
from qdrant_rerank.expressions import Expression, constant, divide, instant
from tests.engines import open_client

single: Any = np.float32  # the types of arguments are Python's, and numpy's are taken all the same
double: Any = np.float64
half: Any = np.float16
whole: Any = np.int64
int32: Any = np.int32
small: Any = np.int8
boolean: Any = np.bool_
X = field("x", default=1.0)
HUGE = 10**400
OUTSIDE = dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-5)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (lambda: single(0.5) * X, "0.5 * field('x', default=1.0)"),
        (lambda: X * double(0.5), "field('x', default=1.0) * 0.5"),
        (lambda: X + whole(3), "field('x', default=1.0) + 3.0"),
        (lambda: X ** small(2), "field('x', default=1.0) ** 2"),
        (lambda: field("x", default=single(0.25)), "field('x', default=0.25)"),
        (lambda: score(default=double(0.5)), "score(default=0.5)"),
        (lambda: decay_exp(X, scale=whole(3)), "decay_exp(field('x', default=1.0), 0.0, scale=3, midpoint=0.5)"),
        (lambda: divide(1, X, at_zero=half(2)), "divide(1.0, field('x', default=1.0), at_zero=2.0)"),
        (lambda: log(X, floor=single(0.5)), "log(field('x', default=1.0), floor=0.5)"),
        (lambda: geo_distance((single(46), whole(8)), "p"), "geo_distance((46.0, 8.0), 'p')"),
    ],
)
def test_numbers_of_numpy_are_numbers(written: Callable[[], Expression], meant: str) -> None:
    assert repr(written()) == meant


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (lambda: X + HUGE, "must be finite and fit 32-bit floats, got 1000"),
        (lambda: X * float("nan"), "must be finite and fit 32-bit floats, got nan"),
        (lambda: constant(-1e39), "must be finite and fit 32-bit floats, got -1e"),
        (lambda: X + True, "not an expression: True"),
        (lambda: constant(boolean(True)), "must be a number, got"),
        (lambda: field("x", default=10**5000), r"the default of field\('x'\) must be a finite number, got a huge int"),
        (lambda: field("x", default=True), "must be a finite number, got True"),
        (lambda: field("x", default=1e39), "must fit 32-bit floats, which end at"),
        (lambda: param("b", default=-1e39), "must fit 32-bit floats"),
        (lambda: affinity("c", "likes", default=HUGE), "must be a finite number"),
        (lambda: geo_distance((46, 8), "p", default=1e300), "must fit 32-bit floats"),
        (lambda: geo_distance((91, 8), "p"), "in degrees, got"),
        (lambda: divide(1, X, at_zero=1e300), "at_zero must fit 32-bit floats"),
        (lambda: X / 1e-40, "division by zero: .* count as 0 in formulas"),
        (
            lambda: log(X, floor=1e-320),
            r"the floor of a logarithm must be above 0, got 1e-320 \(numbers less than 1.18e-38 count",
        ),
        (lambda: decay_gauss(X, scale=1e-45), "the scale of a decay must be at least 1e-30, got"),
        (lambda: decay_gauss(X, scale=1e39), "the scale of a decay must fit 32-bit floats"),
        (lambda: X**HUGE, "an exponent must be a whole number, got"),
        (lambda: X ** (2**24 + 1), "an exponent must be at most 16,777,216, got 16777217"),
        (lambda: instant(OUTSIDE), "between the years 1 and 9999 in UTC"),
    ],
)
def test_numbers_that_formulas_cannot_hold_are_refused_where_they_are_written(
    written: Callable[[], Expression], why: str
) -> None:
    with pytest.raises(StrategyError, match=why):
        written()


@pytest.fixture
def executor() -> Executor:
    client = open_client()
    client.create_collection("numbers", models.VectorParams(size=1, distance=models.Distance.DOT))
    payload = {"at": "2025-06-01T00:00:00Z", "place": {"lat": 46.0, "lon": 8.0}, "category": 2}
    client.upsert("numbers", [models.PointStruct(id=1, vector=[1.0], payload=payload)])
    return Executor(client, "numbers")


def scored(executor: Executor, expression: Expression, **query: Any) -> float:
    [point] = executor.retrieve(Formula(expression).over(Nearest()), Query(vectors={"": [1.0]}, **query))
    return point.score


AGE = now() - datetime_field("at", default=dt.datetime(2020, 1, 1))


@pytest.mark.parametrize(
    ("expression", "query", "why"),
    [
        (AGE, {"now": dt.date(2025, 6, 2)}, r"now= is a datetime.datetime, .* got datetime.date\(2025, 6, 2\)"),
        (AGE, {"now": "2025-06-02T00:00:00Z"}, "now= is a datetime.datetime"),
        (AGE, {"now": 1748822400}, "now= is a datetime.datetime"),
        (score(), {"now": 0}, "now= is a datetime.datetime"),
        (AGE, {"now": OUTSIDE}, "now= must be between the years 1 and 9999 in UTC"),
        (score(), {"params": [("b", 1)]}, "params= is a map of name to value"),
        (param("b"), {"params": {"b": HUGE}}, "the request-time value 'b' must be a finite number, got 1000"),
        (param("b"), {"params": {"b": 1e39}}, "the request-time value 'b' must fit 32-bit floats"),
        (param("b"), {"params": {"b": "3"}}, "must be a finite number, got '3'"),
        (param("b"), {"params": {"b": True}}, "must be a finite number, got True"),
        (param("b"), {"params": {"b": np.array([1.0])}}, "must be a finite number"),
        (affinity("category", "likes"), {"params": {"likes": {2**70: 1.0}}}, "must be whole numbers of 64 bits"),
        (affinity("category", "likes"), {"params": {"likes": {1.5: 1.0}}}, "must be text or whole numbers, got 1.5"),
        (
            affinity("category", "likes"),
            {"params": {"likes": {2: HUGE}}},
            "the weight of 2 in 'likes' must be a finite number",
        ),
        (affinity("category", "likes"), {"params": {"likes": [1]}}, "must be a map of category to weight"),
        (geo_distance("here", "place", default=0), {"params": {"here": (HUGE, 8)}}, "in degrees, got"),
    ],
)
def test_what_a_query_brings_is_refused_in_plain_words(
    executor: Executor, expression: Expression, query: dict[str, Any], why: str
) -> None:
    for strategy in (Formula(expression).over(Nearest()), Formula(expression).over(Nearest()).on_client()):
        with pytest.raises(QueryError, match=why):
            executor.retrieve(strategy, Query(vectors={"": [1.0]}, **query))


def test_what_a_query_brings_may_be_numpy_s_and_in_any_time_zone(executor: Executor) -> None:
    assert scored(executor, param("b"), params={"b": single(2.5)}) == 2.5
    assert scored(executor, affinity("category", "likes"), params={"likes": {whole(2): small(3)}}) == 3.0
    assert scored(executor, geo_distance("here", "place"), params={"here": (double(46), int32(8))}) == 0.0
    odd = dt.timezone(dt.timedelta(hours=1, seconds=30))  # as the local mean times of zoneinfo are; engines read no such offset
    assert scored(executor, AGE, now=dt.datetime(2025, 6, 1, 1, 0, 30, tzinfo=odd)) == 0.0
    assert scored(executor, instant(dt.datetime(1970, 1, 1, 1, 0, 31, tzinfo=odd))) == 1.0
