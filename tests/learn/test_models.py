"""Boosters, early stopping, pipelines in pipelines, subclasses; splits on what no condition sees."""

from __future__ import annotations

import math
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from qdrant_rerank import field, param
from qdrant_rerank._internals import Table, score_points
from qdrant_rerank.expressions import Expression, constant
from qdrant_rerank.learn import Feature, from_model
from qdrant_rerank.learn._internals import Column, Columns, Leaf, Split, at_most, ensemble

from . import worlds
from .threads import one_thread

pytest.importorskip("sklearn", reason="needs scikit-learn")
lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
xgboost = pytest.importorskip("xgboost", reason="needs xgboost")

from sklearn import ensemble as forests  # noqa: E402
from sklearn import linear_model, svm, tree  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

X, Y = worlds.training(9, rows=200, missing=False)
X = X[:, :3]
ABC = [field("a", default=0.0), field("b", default=0.0), field("c", default=0.0)]
LGB: dict[str, Any] = {"n_estimators": 60, "num_leaves": 6, "min_child_samples": 5, "verbose": -1, "n_jobs": 1}
XGB: dict[str, Any] = {"n_estimators": 60, "max_depth": 3, "learning_rate": 0.5, "n_jobs": 1}


def computed(expression: Expression, x: Any) -> Any:
    """The expression's value for rows whose columns are the payload keys a, b, c."""
    payloads = [dict(zip("abc", row, strict=False)) for row in np.asarray(x, float).tolist()]
    return score_points(expression, Table(payloads, range(len(payloads)), params={"x": 0.5}))


def test_boosters_are_read_as_their_scikit_learn_classes_are() -> None:
    light = lightgbm.LGBMRegressor(**LGB | {"n_estimators": 5}).fit(X, Y)
    extreme = xgboost.XGBRegressor(**XGB | {"n_estimators": 5}).fit(X, Y)
    assert from_model(light.booster_, ABC) == from_model(light, ABC)
    assert from_model(extreme.get_booster(), ABC) == from_model(extreme, ABC)


@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")  # of newer LightGBM; older ones know no other
def test_early_stopping_counts() -> None:
    held_out = [(X[150:], Y[150:])]
    stop = [lightgbm.early_stopping(2, verbose=False)]
    light = lightgbm.LGBMRegressor(**LGB | {"learning_rate": 0.5}).fit(X[:150], Y[:150], eval_set=held_out, callbacks=stop)
    extreme = xgboost.XGBRegressor(early_stopping_rounds=2, **XGB).fit(X[:150], Y[:150], eval_set=held_out, verbose=False)
    assert light.best_iteration_ < 55
    assert extreme.best_iteration + 1 < extreme.get_booster().num_boosted_rounds() <= 55
    for fitted in (light, extreme):
        np.testing.assert_allclose(computed(from_model(fitted, ABC), X), fitted.predict(X), rtol=1e-5, atol=2e-6)


def test_several_trees_a_round() -> None:
    fitted = xgboost.XGBRFRegressor(n_estimators=6, max_depth=3, n_jobs=1).fit(X, Y)
    np.testing.assert_allclose(computed(from_model(fitted, ABC), X), fitted.predict(X), rtol=1e-6, atol=1e-6)


def test_pipelines_may_hold_pipelines_and_steps_that_do_nothing() -> None:
    inner = make_pipeline("passthrough", StandardScaler(with_mean=False))
    fitted = make_pipeline(inner, None, make_pipeline(StandardScaler(with_std=False), linear_model.Ridge())).fit(X, Y)
    np.testing.assert_allclose(computed(from_model(fitted, ABC), X), fitted.predict(X), rtol=1e-6, atol=1e-6)


def test_subclasses_are_read_as_what_they_derive_from() -> None:
    class Mine(linear_model.Ridge):  # type: ignore[misc]
        pass

    assert from_model(Mine().fit(X, Y), ABC) == from_model(linear_model.Ridge().fit(X, Y), ABC)


@pytest.mark.parametrize("kind", [linear_model.RidgeClassifier, svm.LinearSVC, linear_model.SGDClassifier])
def test_classifiers_without_probabilities_give_their_decision(kind: Any) -> None:
    fitted = make_pipeline(StandardScaler(), kind(random_state=0)).fit(X, Y > 0)
    np.testing.assert_allclose(computed(from_model(fitted, ABC), X), fitted.decision_function(X), rtol=1e-6, atol=1e-6)


def test_weights_of_zero_are_left_out_and_a_model_of_none_is_its_intercept() -> None:
    fitted = linear_model.Lasso(alpha=1e6).fit(X, Y)
    assert from_model(fitted, ABC) == constant(float(fitted.intercept_))


def test_computed_expressions_are_split_to_the_last_bit() -> None:
    with one_thread():
        fitted = forests.HistGradientBoostingRegressor(max_iter=6, max_leaf_nodes=8).fit(X, Y)
    thresholds = [float(n["num_threshold"]) for stage in fitted._predictors for n in stage[0].nodes if not n["is_leaf"]]
    near = [x for t in thresholds for x in (math.nextafter(t, -math.inf), t, math.nextafter(t, math.inf))]
    rows = np.column_stack([near, near, near])
    computing = [1.0 * field(key, default=0.0) for key in "abc"]  # not a plain field, so no condition can see it

    found = computed(from_model(fitted, computing), rows)

    assert len(set(thresholds)) > 10
    np.testing.assert_allclose(found, fitted.predict(rows), rtol=1e-6, atol=1e-6)


@hypothesis.given(st.floats(-1e9, 1e9).filter(lambda bound: abs(bound) > 1e-9))
def test_a_step_is_where_the_threshold_is_to_the_last_bit(bound: float) -> None:
    column = Column("a", Feature(1.0 * field("a", default=0.0)))
    expression = ensemble([Split(0, at_most(bound), False, Leaf(1.0), Leaf(2.0))], 0.0, Columns((column,)))
    rows = [[math.nextafter(bound, -math.inf)], [bound], [math.nextafter(bound, math.inf)]]
    assert computed(expression, rows).tolist() == [1.0, 1.0, 2.0]


def test_zeros_as_missing_in_computed_expressions() -> None:
    x = X.copy()
    x[::3] = 0.0
    fitted = lightgbm.LGBMRegressor(zero_as_missing=True, **LGB | {"n_estimators": 6}).fit(x, Y)
    rows = np.column_stack([np.tile([0.0, 1e-36, -1e-36, 1e-30, -1e-30, 0.5, -0.5], 3).reshape(3, 7).ravel()] * 3)
    rows = np.vstack([rows, x])

    found = computed(from_model(fitted, [1.0 * field(key, default=0.0) for key in "abc"]), rows)

    np.testing.assert_allclose(found, fitted.predict(rows), rtol=1e-6, atol=1e-6)


def test_a_split_between_values_and_no_value() -> None:
    x = np.where(np.arange(200) % 3 == 0, np.nan, 5.0)[:, None]
    with one_thread():
        fitted = forests.HistGradientBoostingRegressor(max_iter=2).fit(x, np.isnan(x[:, 0]).astype(float))
    expression = from_model(fitted, [Feature(field("a"), missing="nan")])
    payloads: list[dict[str, Any]] = [{"a": 5.0}, {"a": -1e30}, {"a": None}, {}, {"a": "5"}]

    found = score_points(expression, Table(payloads, range(5)))

    np.testing.assert_allclose(found, fitted.predict([[5.0], [-1e30], [np.nan], [np.nan], [np.nan]]), rtol=1e-6)


def test_constant_features_are_decided_at_once() -> None:
    fitted = tree.DecisionTreeRegressor(max_leaf_nodes=8).fit(X, Y)
    expression = from_model(fitted, [5.0, 1.0, field("c", default=0.0)])
    rows = np.column_stack([np.full(200, 5.0), np.full(200, 1.0), X[:, 2]])
    np.testing.assert_allclose(computed(expression, rows), fitted.predict(rows), rtol=1e-6)
    assert from_model(fitted, [5.0, 1.0, 0.0]) == constant(float(fitted.predict([[5.0, 1.0, 0.0]])[0]))


def test_request_time_values_are_split_on() -> None:
    fitted = tree.DecisionTreeRegressor(max_leaf_nodes=8).fit(X[:, :2], Y)
    rows = np.column_stack([np.full(200, 0.5), X[:, 1]])
    np.testing.assert_allclose(computed(from_model(fitted, [param("x"), ABC[1]]), X), fitted.predict(rows), rtol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        lambda: lightgbm.LGBMRegressor(**LGB | {"n_estimators": 6}),
        lambda: xgboost.XGBRegressor(**XGB | {"n_estimators": 6}),
        lambda: forests.HistGradientBoostingRegressor(max_iter=6, max_leaf_nodes=8),
        lambda: forests.RandomForestRegressor(6, max_leaf_nodes=8, random_state=0),
    ],
)
def test_missing_values_that_the_model_never_saw_go_where_it_sends_them(kind: Any) -> None:
    with one_thread():
        fitted = kind().fit(X - 2.0, Y)  # thresholds on both sides of zero
    expression = from_model(fitted, [Feature(field(key), missing="nan") for key in "abc"])
    rows = np.where(np.random.default_rng(0).random(X.shape) < 0.5, np.nan, X - 2.0)
    payloads = [{key: x for key, x in zip("abc", row, strict=True) if not math.isnan(x)} for row in rows.tolist()]

    found = score_points(expression, Table(payloads, range(len(payloads))))

    np.testing.assert_allclose(found, fitted.predict(rows), rtol=1e-6, atol=1e-6)
