"""Scores as probabilities: maps, how far they can be trusted, thresholds."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from qdrant_rerank import Nearest, PlanWarning, StrategyError, score
from qdrant_rerank.errors import FitError
from qdrant_rerank.learn import (
    Feature,
    FeatureLog,
    OperatingPoint,
    calibrate_scores,
    fit_logistic,
    ranker_from_expression,
    write_log,
)
from qdrant_rerank.learn._internals import Array, ScoreMap, fit_map, list_operating_points, measure_reliability, threshold_for
from tests.learn.logs import big, planted
from tests.support import refused

METHODS = ["platt", "beta", "isotonic"]


def crooked(size: int = 6000) -> tuple[Array, Array]:
    """Scores whose sigmoid is far too sure of itself, with labels."""
    generator = np.random.default_rng(0)
    z = generator.normal(0, 2, size)
    return 4 * z + 2, (generator.random(size) < 1 / (1 + np.exp(-z))).astype(np.float64)


@pytest.mark.parametrize("method", METHODS)
def test_every_map_rises_strictly_and_mends_what_is_too_sure(method: str) -> None:
    z, y = crooked()
    made = fit_map(method, z, y, np.ones(len(y)))  # type: ignore[arg-type]  # one of them
    grid = np.linspace(-12, 12, 500)
    assert (np.diff(made.apply(grid)) > 0).all()
    ones = np.ones(len(y))
    before, after = measure_reliability(ScoreMap().apply(z), y, ones), measure_reliability(made.apply(z), y, ones)
    assert before.ece > 0.1
    assert after.ece < 0.02
    assert after.brier < before.brier - 0.02


def test_an_isotonic_map_rises_beyond_its_knots_too_so_that_no_ties_come_up() -> None:
    z, y = crooked()
    made = fit_map("isotonic", z / 10, y, np.ones(len(y)))
    assert max(made.parameters[: len(made.parameters) // 2]) < 5
    assert (np.diff(made.apply(np.linspace(-9, 9, 300)).astype(np.float32)) > 0).all()  # as an engine gives them


def test_platts_map_is_the_unpenalised_logistic_regression() -> None:
    z, y = crooked(500)
    model = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(z[:, None], y)
    a, b = fit_map("platt", z, y, np.ones(500)).parameters
    assert a == pytest.approx(model.coef_[0, 0], abs=1e-4)
    assert b == pytest.approx(model.intercept_[0], abs=1e-4)


def test_an_isotonic_map_has_at_most_15_knots_and_goes_through_them() -> None:
    z, y = crooked()
    made = fit_map("isotonic", z, y, np.ones(len(y)))
    half = len(made.parameters) // 2
    assert half <= 15
    knots, values = np.array(made.parameters[:half]), np.array(made.parameters[half:])
    np.testing.assert_allclose(made.apply(knots), values, atol=1e-3)
    middle = (knots[0] + knots[1]) / 2
    assert made.apply(np.array([middle]))[0] == pytest.approx((values[0] + values[1]) / 2, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_weights_count_as_repeated_rows(method: str) -> None:
    z, y = crooked(600)
    w = np.where(np.arange(600) % 3 == 0, 3.0, 1.0)
    weighed = fit_map(method, z, y, w)  # type: ignore[arg-type]  # one of them
    times = w.astype(int)
    repeated = fit_map(method, np.repeat(z, times), np.repeat(y, times), np.ones(times.sum()))  # type: ignore[arg-type]
    np.testing.assert_allclose(weighed.apply(z), repeated.apply(z), atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_scores_that_fall_with_relevance_cannot_be_calibrated(method: str) -> None:
    z, y = crooked(2000)
    with pytest.raises(FitError, match="not more often relevant"):
        fit_map(method, -z, y, np.ones(2000))  # type: ignore[arg-type]  # one of them


def test_one_class_or_one_score_cannot_be_calibrated() -> None:
    ones = np.ones(50)
    with pytest.raises(FitError, match="all 50 rows are relevant"):
        fit_map("platt", np.arange(50.0), ones, ones)
    with pytest.raises(FitError, match="all scores are the same"):
        fit_map("platt", ones, (np.arange(50) % 2).astype(float), ones)
    with pytest.raises(StrategyError, match="got 'sigmoid'"):
        fit_map("sigmoid", np.arange(50.0), ones, ones)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "parameters", "says"),
    [
        ("platt", (1.0,), "a platt calibration has 2 parameters, got 1"),
        ("beta", (1.0, 2.0), "has 3 parameters, got 2"),
        ("isotonic", (1.0, 2.0, 3.0), "two or more pairs of parameters, got 3"),
        ("plat", (), "one of none, platt, beta, isotonic; got 'plat'"),
    ],
)
def test_maps_with_wrong_parameters_are_refused(method: str, parameters: tuple[float, ...], says: str) -> None:
    with pytest.raises(StrategyError, match=says):
        ScoreMap(method, parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_a_ranker_is_calibrated_on_topics_that_it_has_not_seen(method: str) -> None:
    fit, held = planted(1, 6000, 80).split(0.5)
    ranker = fit_logistic(fit, bootstrap=0)
    made = calibrate_scores(ranker, held, method)  # type: ignore[arg-type]  # one of them
    assert made.reliability is not None
    assert made.reliability.ece <= 0.05
    assert made.calibration.method == method
    assert made.formula.calibrated
    np.testing.assert_array_equal(
        np.argsort(made.predict(held), kind="stable"), np.argsort(ranker.predict(held), kind="stable")
    )
    without = calibrate_scores(made, held, "none")
    assert without.calibration == ScoreMap()
    assert not without.formula.calibrated


def test_topics_that_the_ranker_was_fitted_to_are_refused() -> None:
    log = big()
    ranker = fit_logistic(log, bootstrap=0)
    with pytest.raises(FitError, match=r"60 of the log's 60 topics are those that the ranker was fitted to \('t000'"):
        calibrate_scores(ranker, log)


def test_another_feature_under_the_same_name_is_refused_and_other_candidates_are_warned_about() -> None:
    fit, held = planted(1, 2000, 40).split(0.5)
    ranker = fit_logistic(fit, bootstrap=0)
    name = next(iter(ranker.features))
    other = replace(held, features={**held.features, name: Feature(100 * score(name))})
    with refused(StrategyError, f"other features under the ranker's names ({name!r})", "100.0 * score("):
        calibrate_scores(ranker, other)
    with refused(StrategyError, "other features"):  # whatever the scores
        calibrate_scores(ranker, other, scores=ranker.margins(held))
    with pytest.warns(PlanWarning, match="the log's candidates are .*limit=7.*, not those of the ranker"):
        calibrate_scores(ranker, replace(held, candidates=(Nearest("dense", limit=7),)))


def test_too_few_topics_and_wrong_scores_are_refused() -> None:
    fit, held = planted(1, 2000, 40).split(0.5)
    ranker = fit_logistic(fit, bootstrap=0)
    with pytest.raises(FitError, match="rows of 9 topics; calibration needs 10"):
        calibrate_scores(ranker, held.only(held.topic_ids[:9]))
    with pytest.raises(StrategyError, match="scores must be 1000 finite numbers"):
        calibrate_scores(ranker, held, scores=np.ones(3))


def test_a_model_that_is_not_linear_is_calibrated_by_its_scores() -> None:
    fit, held = planted(1, 4000, 60).split(0.5)
    linear = fit_logistic(fit, bootstrap=0)
    imported = ranker_from_expression(linear.expression, fit, "trees")
    assert imported.margin == linear.margin
    with pytest.raises(StrategyError, match="isn't linear: pass scores="):
        calibrate_scores(imported, held)
    one = calibrate_scores(imported, held, scores=linear.margins(held))
    assert one.calibration == calibrate_scores(linear, held).calibration


def test_calibration_while_fitting_is_by_held_out_scores() -> None:
    ranker = fit_logistic(big(), calibration="isotonic", bootstrap=0)
    assert ranker.calibration.method == "isotonic"
    assert ranker.reliability is not None
    assert ranker.before is not None
    assert ranker.reliability.ece <= 0.05
    assert ranker.metrics["ece"] == ranker.reliability.ece


def test_reliability_by_hand() -> None:
    p = np.array([0.05, 0.05, 0.95, 0.95])
    y = np.array([0.0, 1.0, 1.0, 1.0])
    w = np.array([3.0, 1.0, 1.0, 1.0])
    found = measure_reliability(p, y, w)
    low, high = found.bins
    assert [low.predicted, low.observed, low.count] == pytest.approx([0.05, 0.25, 4])
    assert [high.predicted, high.observed, high.count] == pytest.approx([0.95, 1.0, 2])
    assert found.ece == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.05)
    assert found.brier == pytest.approx((3 * 0.0025 + 0.9025 + 2 * 0.0025) / 6)
    assert low.low is not None
    assert low.low < 0.25 < (low.high or 0)


def test_a_threshold_keeps_the_precision_that_was_asked_for() -> None:
    fit, held = planted(1, 8000, 80).split(0.5)
    ranker = fit_logistic(fit, bootstrap=0)
    found = ranker.threshold_for(precision=0.8)
    kept = ranker.predict(held) >= found.threshold
    assert held.relevant()[kept].mean() == pytest.approx(0.8, abs=0.06)
    assert found.precision >= 0.8
    lower = ranker.threshold_for(precision=0.6)
    assert lower.threshold < found.threshold
    assert lower.recall > found.recall
    mixed = replace(ranker, points=tuple(point for point in ranker.points if point.precision < 0.9))
    with pytest.raises(FitError, match=r"no threshold keeps a precision of 0.95: the best on held-out topics is"):
        mixed.threshold_for(precision=0.95)


@pytest.mark.parametrize("wrong", [2, 1.1, 0, -0.5, math.nan, True, "0.5"])
def test_what_is_no_precision_is_refused(wrong: Any) -> None:
    ranker = fit_logistic(big(), bootstrap=0, C=1.0)
    with pytest.raises(StrategyError, match="a precision is a share of results, above 0 and at most 1, got"):
        ranker.threshold_for(precision=wrong)


def test_operating_points_rise_keep_ties_together_and_hold_ten_rows() -> None:
    p = np.round(np.random.default_rng(0).random(500), 2)
    y = (np.random.default_rng(1).random(500) < p).astype(float)
    points = list_operating_points(p, y, np.ones(500))
    assert all(one.threshold < two.threshold for one, two in pairwise(points))
    assert points[-1].results >= 10
    for point in points[::20]:
        kept = p >= point.threshold
        assert point == OperatingPoint(point.threshold, y[kept].mean(), y[kept].sum() / y.sum(), kept.sum())
    with pytest.raises(FitError, match="fewer than ten held-out rows"):
        threshold_for((), 0.5)


def test_a_log_that_lacks_a_feature_is_refused() -> None:
    ranker = fit_logistic(big(), bootstrap=0)
    log = planted(0, 100, 10)
    lacking = FeatureLog(**{**vars(log), "features": {"dense": log.features["dense"]}, "values": log.values[:, :1]})
    with pytest.raises(StrategyError, match="the log has no feature 'year', 'popularity'; it has dense"):
        ranker.margins(lacking)


def test_rankers_and_logs_may_be_given_as_their_files(tmp_path: Path) -> None:
    fit, held = planted(2, 2000, 40).split(0.5)
    write_log(fit, tmp_path / "fit.jsonl")
    write_log(held, tmp_path / "held.csv")
    ranker = fit_logistic(str(tmp_path / "fit.jsonl"), bootstrap=0, C=1.0)
    assert ranker.training.fingerprint == fit.fingerprint
    ranker.save(tmp_path / "ranker.json")
    found = calibrate_scores(tmp_path / "ranker.json", tmp_path / "held.csv")
    assert found.calibration.parameters == pytest.approx(calibrate_scores(ranker, held).calibration.parameters)
    assert ranker_from_expression(ranker.expression, tmp_path / "fit.jsonl").training.rows == len(fit)


def test_what_is_neither_a_ranker_nor_a_log_nor_a_file_is_refused() -> None:
    log = big()
    strategy = fit_logistic(log, bootstrap=0, C=1.0).strategy
    with refused(StrategyError, "fit_logistic takes a FeatureLog, which log_features and read_log give", "got a list, [1]"):
        fit_logistic([1])  # type: ignore[arg-type]
    with refused(StrategyError, "calibrate_scores takes a LearnedRanker or the path of its file, got a Formula"):
        calibrate_scores(strategy, log)  # type: ignore[arg-type]
    with refused(StrategyError, "ranker_from_expression takes a FeatureLog"):
        ranker_from_expression(strategy.expression, strategy)  # type: ignore[arg-type]
