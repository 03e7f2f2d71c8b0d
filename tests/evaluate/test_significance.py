"""Intervals hold the truth as often as they say, tests raise false alarms no oftener than they may."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qdrant_rerank import StrategyError
from qdrant_rerank.evaluate import bootstrap_interval, detectable_difference, holm, randomisation_p, topics_needed
from tests.support import refused


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    drawn = np.random.default_rng(7)
    samples = drawn.beta(0.6, 0.9, (300, 60))  # shaped like nDCG: many at both ends
    found = [bootstrap_interval(list(sample), resamples=500) for sample in samples]
    held = sum(one.low is not None and one.high is not None and one.low <= 0.4 <= one.high for one in found) / 300
    assert 0.91 <= held <= 0.985


@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_intervals_are_scipys_and_the_same_for_the_same_seed(method: str) -> None:
    data = list(np.random.default_rng(1).random(40))
    found = bootstrap_interval(data, method=method, level=0.9)  # type: ignore[arg-type]
    scipy: Any = stats  # its overloads don't take a method that is chosen at run time
    options = {"confidence_level": 0.9, "n_resamples": 2000, "rng": np.random.default_rng(0)}
    theirs = scipy.bootstrap((np.array(data),), np.mean, method=method, **options).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert found == bootstrap_interval(data, method=method, level=0.9)  # type: ignore[arg-type]
    assert found != bootstrap_interval(data, method=method, level=0.9, seed=1)  # type: ignore[arg-type]
    assert found.estimate == pytest.approx(sum(data) / 40)


@pytest.mark.parametrize("data", [[0.0, 1.0], [0.0] * 5 + [1.0], [1.0] * 40 + [0.9999], [1 / 3] * 7 + [1 / 3 + 6e-17]])
def test_intervals_have_ends_where_acceleration_is_undefined(data: list[float]) -> None:
    found = bootstrap_interval(data, resamples=200)
    assert found.low is not None
    assert found.high is not None
    assert math.isfinite(found.low + found.high)
    ends = [min(data) - 1e-12, found.low, found.high, max(data) + 1e-12]
    assert ends == sorted(ends)


def test_intervals_of_samples_that_tell_nothing() -> None:
    assert (bootstrap_interval([0.5]).low, bootstrap_interval([0.5]).high) == (None, None)
    assert str(bootstrap_interval([0.5])) == "0.5000"
    equal = bootstrap_interval([0.25] * 9)
    assert (equal.low, equal.high) == (0.25, 0.25)
    with refused(StrategyError, "nothing to average"):
        bootstrap_interval([])
    with refused(StrategyError, "'bca'"):
        bootstrap_interval([0.1, 0.2], method="bca")  # type: ignore[arg-type]
    with refused(StrategyError, "between 0 and 1"):
        bootstrap_interval([0.1, 0.2], level=95)


def test_the_randomisation_test_raises_false_alarms_no_oftener_than_it_may() -> None:
    drawn = np.random.default_rng(3)
    samples = [list(drawn.normal(0, 0.2, 30) * (drawn.random(30) < 0.7)) for _ in range(400)]
    ps = np.array([randomisation_p(sample, resamples=499) for sample in samples])
    assert 0.025 <= (ps <= 0.05).mean() <= 0.08
    assert 0.4 <= (ps <= 0.5).mean() <= 0.6


def test_the_randomisation_test_is_exact_for_few_topics() -> None:
    differences = [0.3, -0.1, 0.25, 0.05, 0.4, 0.0, 0.0, -0.02]
    kept = [value for value in differences if value]
    sums = [
        sum(sign * value for sign, value in zip(signs, kept, strict=True)) for signs in itertools.product([1, -1], repeat=6)
    ]
    expected = sum(abs(one) >= abs(sum(kept)) - 1e-12 for one in sums) / len(sums)
    assert randomisation_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize("differences", [[], [0.0] * 30, [0.5], [1e-17] * 10])
def test_the_randomisation_test_claims_nothing_without_differences(differences: list[float]) -> None:
    assert randomisation_p(differences) == 1.0


def test_a_difference_that_is_there_is_found() -> None:
    drawn = np.random.default_rng(5)
    assert randomisation_p(list(drawn.normal(0.1, 0.2, 100))) < 0.01


def test_holms_correction_is_the_one_in_the_paper() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_correction_keeps_the_order_and_only_raises(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(0 <= before <= after <= 1 for before, after in zip(ps, adjusted, strict=True))
    for (p, a), (q, b) in itertools.combinations(zip(ps, adjusted, strict=True), 2):
        assert (p <= q and a <= b) or (p >= q and a >= b)


def test_the_detectable_difference_is_found_with_the_stated_power() -> None:
    drawn = np.random.default_rng(11)
    sample = drawn.normal(0, 1, 60)
    sample = (sample - sample.mean()) / sample.std(ddof=1) * 0.2  # so that its deviation is the true one
    smallest = detectable_difference(list(sample))
    assert smallest is not None
    found = np.mean([stats.ttest_1samp(drawn.normal(smallest, 0.2, 60), 0).pvalue <= 0.05 for _ in range(1500)])
    assert 0.76 <= found <= 0.84


def test_topics_needed_and_detectable_difference_are_each_others_inverse() -> None:
    drawn = np.random.default_rng(2)
    sample = list(drawn.normal(0.01, 0.2, 200))
    needed = topics_needed(sample)
    assert needed is not None
    assert needed > 200
    more = np.resize(np.array(sample), needed)
    smallest = detectable_difference(list((more - more.mean()) / more.std(ddof=1) * np.std(sample, ddof=1)))
    assert smallest == pytest.approx(abs(np.mean(sample)), rel=0.01)


def test_more_comparisons_take_larger_differences() -> None:
    sample = list(np.random.default_rng(2).normal(0.05, 0.2, 50))
    one, five = detectable_difference(sample), detectable_difference(sample, comparisons=5)
    assert one is not None
    assert five is not None
    assert five > one


def test_nothing_is_said_of_power_without_data() -> None:
    assert detectable_difference([0.1, 0.2, 0.3, 0.1]) is None
    assert detectable_difference([]) is None
    assert topics_needed([0.1]) is None
    assert topics_needed([0.1, -0.1]) is None
    assert topics_needed([0.5, 0.5, 0.5, 0.51]) == 25
