"""Choosing on one half and judging on the other: no false alarms, real gains are found, and cheap is preferred."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qdrant_rerank.tune import choose, cross_fit, gain_of

Values = NDArray[np.float64]


def drawn(rng: np.random.Generator, rows: int, topics: int, change: float) -> Values:
    """Values as nDCG has them: rows are the first one's, drawn anew on a share of the topics; none is better than another."""
    grades = np.array([0.0, 0.3, 0.5, 1.0])
    first = rng.choice(grades, size=topics)
    return np.where(rng.random((rows, topics)) < change, rng.choice(grades, size=(rows, topics)), first)


def alarm(values: Values, order: NDArray[np.int64], seed: int) -> bool:
    """Whether tuning would recommend something other than row 0."""
    fit = cross_fit(values, order, 0, 20, seed)
    if fit.topic_gains.mean() <= 0 or choose(values, order, 0) == 0:  # never real: saves the resampling
        return False
    return gain_of(fit.topic_gains, alpha=0.05, seed=seed, resamples=999).real


@pytest.mark.parametrize(
    ("rows", "topics", "change", "cheapest"),
    [(60, 60, 0.3, "all"), (60, 200, 0.3, "baseline"), (10, 60, 0.3, "others"), (2, 100, 1.0, "all")],
)
def test_false_alarms_are_at_most_5_percent_of_200_nulls(rows: int, topics: int, change: float, cheapest: str) -> None:
    rng = np.random.default_rng(1)
    places = {"all": (0, 0), "baseline": (0, 1), "others": (1, 0)}[cheapest]
    order = np.array([places[0]] + [places[1]] * (rows - 1))
    alarms = sum(alarm(drawn(rng, rows, topics, change), order, seed) for seed in range(200))
    assert alarms <= 10


def test_a_planted_gain_is_found_nearly_always() -> None:
    rng = np.random.default_rng(2)
    order = np.zeros(30, np.int64)
    found = 0
    for seed in range(20):
        values = drawn(rng, 30, 200, 0.3)
        values[7] = np.where(rng.random(200) < 0.25, 1.0, values[0])  # a quarter of the topics is answered perfectly
        found += alarm(values, order, seed)
    assert found >= 19


def test_what_is_said_of_a_topic_was_chosen_without_it() -> None:
    """One topic would make row 1 the choice if it took part; so it must not be credited with row 1's value."""
    values = np.zeros((2, 30))
    values[1, 1:] = -0.001
    values[1, 0] = 1.0  # with it, row 1 is best
    fit = cross_fit(values, np.array([1, 0]), 0, 20, seed=0)
    assert fit.topic_gains[0] == 0.0
    assert set(fit.picks) == {0, 1}
    assert (fit.topic_gains[1:] <= 0).all()


def test_every_topic_is_held_out_in_half_of_the_splits() -> None:
    values = np.vstack([np.zeros(31), np.full(31, 0.25)])
    fit = cross_fit(values, np.zeros(2, np.int64), 0, 8, seed=5)
    assert fit.topic_gains == pytest.approx(np.full(31, 0.25))
    assert len(fit.picks) == len(fit.gains) == 8
    assert fit.held_in == pytest.approx(np.full(8, 0.25))


def test_the_best_is_chosen_if_nothing_is_close() -> None:
    values = np.array([[0.1, 0.2] * 20, [0.5, 0.6] * 20, [0.3, 0.4] * 20])
    assert choose(values, np.array([0, 2, 1]), 0) == 1


def test_of_those_within_one_standard_error_of_the_best_the_cheapest_is_chosen() -> None:
    rng = np.random.default_rng(0)
    best = rng.random(50)
    noise = rng.normal(scale=0.2, size=50)
    close = best + noise - noise.mean() - 0.01  # 0.01 below, give or take 0.028
    values = np.vstack([np.zeros(50), best, close])
    assert choose(values, np.array([0, 2, 1]), 0) == 2
    assert choose(values, np.array([0, 1, 2]), 0) == 1


def test_of_equally_cheap_ones_the_best_is_chosen() -> None:
    rng = np.random.default_rng(0)
    best = rng.random(50)
    noise = rng.normal(scale=0.2, size=50)
    values = np.vstack([np.zeros(50), best + noise - noise.mean() - 0.01, best])
    assert choose(values, np.array([0, 1, 1]), 0) == 2


def test_what_is_worse_than_the_baseline_is_never_chosen_however_cheap() -> None:
    rng = np.random.default_rng(0)
    baseline = rng.random(50)
    noise = rng.normal(scale=0.3, size=50)
    worse = baseline + noise - noise.mean() - 0.001
    values = np.vstack([baseline, worse])
    assert choose(values, np.array([1, 0]), 0) == 0
    assert choose(np.vstack([baseline, worse + 0.002]), np.array([1, 0]), 0) == 1


def test_a_gain_is_not_real_with_fewer_than_25_topics() -> None:
    gains = np.full(24, 0.3) + np.arange(24) / 100
    assert gain_of(gains, alpha=0.05).p < 0.001
    assert not gain_of(gains, alpha=0.05).real
    assert gain_of(np.append(gains, 0.3), alpha=0.05).real


def test_a_loss_is_not_a_gain() -> None:
    losses = -np.full(40, 0.3) - np.arange(40) / 100
    assert gain_of(losses, alpha=0.05).p < 0.001
    assert not gain_of(losses, alpha=0.05).real
