"""Logistic regression on planted truth."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qdrant_rerank import PlanWarning, StrategyError, field, score
from qdrant_rerank._internals import Table, compute
from qdrant_rerank.errors import FitError
from qdrant_rerank.learn import Category, Feature, FeatureLog, fit_logistic
from qdrant_rerank.learn._internals import fit_map, prepare, solve
from tests.learn.logs import INTERCEPT, PLANTED, big, made, planted


def weight(ranker: Any, name: str) -> Any:
    return next(one for one in ranker.weights if one.name == name)


def test_planted_weights_lie_in_their_intervals_and_the_intercept_is_met() -> None:
    ranker = fit_logistic(big())
    for name, value in PLANTED.items():
        found = weight(ranker, name)
        assert found.low < value < found.high
        assert found.low > 0
        assert found.high - found.low < value * 1.2  # an interval that says something
    intercept = ranker.intercept - sum(one.weight * one.mean for one in ranker.weights)
    assert intercept == pytest.approx(INTERCEPT, abs=8)  # extrapolated by 1985 years


def test_intervals_hold_the_planted_weight_about_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(20):
        found = weight(fit_logistic(planted(seed, 800, 40), C=100.0, bootstrap=80, seed=seed), "popularity")
        hits += found.low < PLANTED["popularity"] < found.high
    assert hits >= 16


def test_the_order_of_rows_and_topics_changes_nothing() -> None:
    log = planted(3, 800, 20)
    shuffled = log.rows(np.random.default_rng(5).permutation(len(log)))
    one, two = fit_logistic(log, bootstrap=20), fit_logistic(shuffled, bootstrap=20)
    assert one.weights == two.weights
    assert one.intercept == two.intercept
    assert one.training.fingerprint == two.training.fingerprint


def test_the_formula_gives_scikit_learns_probabilities() -> None:
    log = big()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.7, tol=1e-10, max_iter=1000)).fit(log.values, log.grades)
    ranker = fit_logistic(log, C=0.7, bootstrap=0)
    expected = model.predict_proba(log.values)[:, 1]
    np.testing.assert_allclose(ranker.predict(log), expected, atol=1e-6)
    payloads = [{"year": row[1], "popularity": row[2]} for row in log.values.tolist()]
    table = Table(payloads, list(range(len(log))), {"dense": log.column("dense")})
    np.testing.assert_allclose(compute(ranker.expression, table), expected, atol=1e-6)


def test_all_solvers_minimise_the_same() -> None:
    problem = prepare(big()).problem
    expected = solve(problem, 0.5)
    np.testing.assert_allclose(solve(problem, 0.5, [(None, None)] * 3), expected, atol=1e-5)
    np.testing.assert_allclose(solve(problem, 0.5, start=np.zeros(4)), expected, atol=1e-5)


def test_a_sign_constraint_holds_a_weight_at_0_and_says_so() -> None:
    log = planted(4, 2000, 30, price=-0.4)
    assert weight(fit_logistic(log, bootstrap=0), "price").weight < -0.2
    with pytest.warns(PlanWarning, match="'price': its sign constraint holds it at 0"):
        ranker = fit_logistic(log, signs={"price": "+", "popularity": "+"}, bootstrap=20)
    held = weight(ranker, "price")
    assert held.weight == 0
    assert held.held == pytest.approx(-0.4, abs=0.15)
    assert "price" not in repr(ranker.expression)
    assert weight(ranker, "popularity").weight > 0.5


def test_noise_is_pointed_out_as_weak_and_what_matters_is_not() -> None:
    ranker = fit_logistic(planted(6, 3000, 50, noise=0.0), bootstrap=100)
    assert weight(ranker, "noise").weak
    assert not weight(ranker, "popularity").weak
    assert weight(ranker, "popularity").loss_without > weight(ranker, "noise").loss_without
    assert "its interval includes 0" in ranker.table() or "no higher without it" in ranker.table()


def test_sampled_negatives_leave_the_intercept_where_it_was() -> None:
    log = planted(8, 8000, 50)
    negatives = np.flatnonzero(log.grades == 0)
    kept = np.random.default_rng(1).choice(negatives, len(negatives) // 5, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(log.grades == 1), kept]))
    sampled = log.rows(rows)
    weighed = FeatureLog(**{**vars(sampled), "weights": np.where(sampled.grades == 1, 1.0, 5.0)})
    whole = fit_logistic(log, C=100.0, bootstrap=0).predict(log).mean()
    assert fit_logistic(weighed, C=100.0, bootstrap=0).predict(log).mean() == pytest.approx(whole, rel=0.05)
    assert fit_logistic(sampled, C=100.0, bootstrap=0).predict(log).mean() > 1.5 * whole  # without weights it is far off


def test_the_pairwise_loss_finds_the_same_direction_whatever_shifts_each_topic() -> None:
    log = planted(9, 3000, 60)
    shifts = np.random.default_rng(2).normal(0, 300, 60)[np.unique(log.topics, return_inverse=True)[1]]
    values = log.values.copy()
    values[:, 1] += shifts  # what differs between topics alone says nothing within one
    shifted = FeatureLog(**{**vars(log), "values": values})
    pairwise = fit_logistic(shifted, loss="pairwise", bootstrap=0)
    pointwise = fit_logistic(shifted, bootstrap=0)
    ratio = weight(pairwise, "year").weight / weight(pairwise, "popularity").weight
    assert ratio == pytest.approx(PLANTED["year"] / PLANTED["popularity"], rel=0.3)
    assert weight(pointwise, "year").weight < 0.5 * PLANTED["year"]
    slope, offset = fit_map("platt", pairwise.margins(shifted), shifted.grades.astype(float), shifted.weights).parameters
    assert slope == pytest.approx(1.0, abs=0.2)  # log odds, not just an order
    assert offset == pytest.approx(0.0, abs=0.2)
    assert pairwise.metrics["auc_within_topics"] > pointwise.metrics["auc_within_topics"]


def test_large_values_are_centred_before_they_are_weighed() -> None:
    generator = np.random.default_rng(0)
    seconds = 1.7e9 + generator.uniform(0, 1e6, 1000)
    y = generator.random(1000) < 1 / (1 + np.exp(-(seconds - 1.7005e9) / 2e5))
    ranker = fit_logistic(made({"seconds": seconds}, y, 20), bootstrap=0)
    payloads = [{"seconds": value} for value in seconds.tolist()]
    served = compute(ranker.expression, Table(payloads, list(range(1000))))
    np.testing.assert_allclose(served, ranker.predict(made({"seconds": seconds}, y, 20)), atol=1e-9)
    assert "field('seconds', default=0.0) - 170" in repr(ranker.expression)


def few(relevant: int, size: int = 300, topics: int = 20) -> FeatureLog:
    generator = np.random.default_rng(3)
    return made({"x": generator.normal(0, 1, size)}, np.arange(size) < relevant, topics)


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (few(0), "all 300 rows of the log are not relevant"),
        (few(300), "all 300 rows of the log are relevant.*unjudged='negative'"),
        (few(9), "9 relevant rows .of 300.; a fit needs at least 10"),
        (few(100, topics=9), "rows of 9 topics; .* needs 10"),
        (few(0).rows(np.arange(0)), "has no rows"),
        (made({"x": np.arange(300.0), "one": np.ones(300)}, np.arange(300) % 3 == 0, 20), r"'one' \(always 1\).*leave it out"),
        (made({"x": np.arange(300.0)}, np.arange(300) > 200, 20), "'x' alone tells relevant rows from all others"),
        (made({"x": -np.arange(300.0)}, np.arange(300) > 200, 20), "'x' alone tells relevant rows from all others"),
        (made({"x": np.where(np.arange(300) == 7, np.nan, 1.0)}, np.arange(300) % 3 == 0, 20), "no finite value in 1 of 300"),
    ],
)
def test_what_there_is_too_little_of_is_said(log: FeatureLog, says: str) -> None:
    with pytest.raises(FitError, match=says):
        fit_logistic(log)


def test_relevant_rows_in_few_topics_are_too_few() -> None:
    log = made({"x": np.random.default_rng(0).normal(0, 1, 400)}, (np.arange(400) % 20) < 3, 20)
    with pytest.raises(FitError, match="only 3 of 20 topics have a relevant row; a fit needs 5"):
        fit_logistic(log)


def test_a_category_is_refused_with_what_to_write_instead() -> None:
    log = few(100)
    with pytest.raises(FitError, match=r"'x' is a category.*MatchValue"):
        fit_logistic(FeatureLog(**{**vars(log), "features": {"x": Category("x", ["a"])}}))


def test_features_that_separate_only_together_are_warned_of() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (400, 2))
    with pytest.warns(PlanWarning, match="together separate relevant rows"):
        fit_logistic(made({"x": x[:, 0], "y": x[:, 1]}, x.sum(axis=1) > 0.5, 20), bootstrap=0)


def test_features_that_are_nearly_the_same_are_warned_of() -> None:
    x = np.random.default_rng(0).normal(0, 1, 400)
    y = np.random.default_rng(1).random(400) < 1 / (1 + np.exp(-x))
    with pytest.warns(PlanWarning, match="'x' and 'twice' are nearly the same"):
        fit_logistic(made({"x": x, "twice": 2 * x + 1}, y, 20), bootstrap=0)


def test_few_relevant_rows_for_many_features_are_warned_of() -> None:
    generator = np.random.default_rng(0)
    log = made({name: generator.normal(0, 1, 300) for name in "abc"}, np.arange(300) % 15 == 0, 40)
    with pytest.warns(PlanWarning, match="20 relevant rows for 3 features: fewer than 10 for each"):
        fit_logistic(log, bootstrap=0)


def test_pairs_need_topics_with_rows_of_different_grades() -> None:
    y = np.arange(400) % 20 < 7
    log = made({"x": np.random.default_rng(0).normal(0, 1, 400)}, y, 20)
    with pytest.raises(FitError, match="0 topics have rows of different grades; the pairwise loss needs 10"):
        fit_logistic(log, loss="pairwise")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"loss": "hinge"}, "loss is 'pointwise' or 'pairwise', got 'hinge'"),
        ({"C": 0}, "C is 'cv' or a number above 0, got 0"),
        ({"folds": 1}, "folds is at least 2"),
        ({"bootstrap": -1}, "bootstrap at least 0"),
        ({"signs": {"popularty": "+"}}, "no feature 'popularty': did you mean 'popularity'"),
        ({"signs": {"popularity": "positive"}}, r"the sign of 'popularity' is '\+' or '-', got 'positive'"),
        ({"calibration": "magic"}, "calibration is one of none, platt, beta, isotonic; got 'magic'"),
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(StrategyError, match=says):
        fit_logistic(big(), **wrong)


def test_cross_validation_never_has_a_topic_on_both_sides() -> None:
    """Features that tell topics apart, where topics differ in how much is relevant, are worth nothing on other topics."""
    generator = np.random.default_rng(0)
    topics = np.arange(1200) % 20
    y = generator.random(1200) < np.where(topics < 10, 0.8, 0.2)
    log = made({f"is {topic}": (topics == topic) * 1.0 for topic in range(19)}, y, 20)
    assert fit_logistic(log, C=100.0, bootstrap=0).metrics["auc"] < 0.6  # with a topic on both sides it is 0.8


def test_fitting_warns_of_nothing_where_all_is_well() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranker = fit_logistic(big(), bootstrap=10)
    assert ranker.notes == ()
    assert ranker.features["dense"] == Feature(score("dense"))
    assert ranker.features["year"] == Feature(field("year", default=0.0))
