"""Where rounding puts the bounds of splits."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rerank.learn import Feature
from qdrant_rerank.learn._internals import (
    EVERYTHING,
    Column,
    MinMax,
    Region,
    Standard,
    at_most,
    below_f32,
    last,
    no_greater_f32,
    points,
    whole_numbers,
)

numbers = st.floats(-1e30, 1e30)


def beside(bound: float) -> list[float]:
    return [math.nextafter(bound, -math.inf), bound, math.nextafter(bound, math.inf)]


@given(numbers)
def test_the_last_number_that_rounds_to_no_more_than_a_threshold(threshold: float) -> None:
    bound = no_greater_f32(threshold)
    assert [float(np.float32(x)) <= threshold for x in beside(bound)] == [True, True, False]


@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_the_last_number_that_rounds_to_less_than_a_threshold(threshold: float) -> None:
    bound = below_f32(threshold)
    assert [np.float32(x) < np.float32(threshold) for x in beside(bound)] == [True, True, False]


@given(numbers, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_a_bound_is_pulled_back_through_scalers_to_the_last_bit(bound: float, scale: float, mean: float, x: float) -> None:
    column = Column("x", Feature(0.0)).add_scaling(Standard(mean, scale)).add_scaling(MinMax(0.1, 0.5, -5.0, 0.0, (0.0, 1.0)))
    seen = column.transform(x)
    ((_, pulled),) = column.raw(at_most(seen)).intervals
    assert x <= pulled
    if not math.isinf(pulled):
        assert [column.transform(each) <= seen for each in beside(pulled)] == [True, True, False]


@given(st.lists(st.floats(-1e3, 1e3), unique=True, max_size=6), st.floats(-1e3, 1e3))
def test_a_number_is_either_in_a_region_or_in_its_complement(bounds: list[float], x: float) -> None:
    bounds = sorted(bounds)[: len(bounds) // 2 * 2]
    region = Region(tuple(zip(bounds[::2], bounds[1::2], strict=True)))
    for each in (x, *bounds):
        assert (each in region) != (each in ~region)
    assert ~~region == region


def test_everything_and_nothing() -> None:
    assert Region(()) == ~EVERYTHING
    assert ~Region(()) == EVERYTHING
    assert ~at_most(1.0) == Region(((1.0, math.inf),))


def test_points_are_just_these() -> None:
    region = points([2.0, 0.0, 2.0])
    assert [x in region for x in (*beside(0.0), *beside(2.0))] == [False, True, False] * 2


def test_whole_numbers_are_cut_off_towards_zero() -> None:
    region = whole_numbers([0, 1, 3])
    inside = {-1.0: False, -0.99: True, 0.5: True, 1.99: True, 2.0: False, 2.99: False, 3.0: True, 3.99: True, 4.0: False}
    assert {x: x in region for x in inside} == inside
    assert len(region.intervals) == 2
    assert -0.5 not in whole_numbers([0], negatives=False)


def test_the_last_float_for_which_something_holds() -> None:
    assert last(lambda x: x <= 0.1, -1.0, 1.0) == 0.1
    assert last(lambda x: x < 0.0, -1.0, 1.0) == -5e-324
    assert last(lambda x: x <= -0.25, -1.0, 1.0) == -0.25
    assert last(lambda x: False, -1.0, 1.0) == -math.inf
    assert last(lambda x: True, -1.0, 1.0) == math.inf
