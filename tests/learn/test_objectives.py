"""Every objective of XGBoost, LightGBM and scikit-learn: what is imported predicts what `predict` gives, or is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from qdrant_rerank import StrategyError, field
from qdrant_rerank._internals import Table, score_points
from qdrant_rerank.errors import FitError
from qdrant_rerank.learn import from_model
from tests.support import refused

lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
xgboost = pytest.importorskip("xgboost", reason="needs xgboost")

from sklearn import ensemble, linear_model, svm, tree  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2)).astype(np.float32).astype(float)
BINARY = (X[:, 0] + 0.3 * X[:, 1] > 0.4).astype(int)
NUMBERS = np.abs(X[:, 0]) + 0.1
GROUPS = [30, 30, 30, 30]
FEATURES = [field("a", default=0.0), field("b", default=0.0)]
TABLE = Table([{"a": a, "b": b} for a, b in X.tolist()], range(len(X)))

XGBOOST = (
    *("reg:squarederror", "reg:squaredlogerror", "reg:logistic", "reg:pseudohubererror", "reg:absoluteerror", "reg:gamma"),
    *("reg:quantileerror", "reg:tweedie", "binary:logistic", "binary:logitraw", "binary:hinge", "count:poisson"),
    *("survival:cox", "rank:ndcg", "rank:map", "rank:pairwise", "multi:softmax", "multi:softprob"),
)
LIGHTGBM = (
    *("regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "binary"),
    *("cross_entropy", "cross_entropy_lambda", "lambdarank", "rank_xendcg", "multiclass", "multiclassova"),
)
SKLEARN: dict[str, Any] = {
    **{f"sgd {loss}": linear_model.SGDClassifier(loss=loss, random_state=0) for loss in ("hinge", "log_loss", "perceptron")},
    **{
        f"boosting {loss}": ensemble.GradientBoostingClassifier(loss=loss, n_estimators=4)
        for loss in ("log_loss", "exponential")
    },
    **{
        f"boosting {loss}": ensemble.GradientBoostingRegressor(loss=loss, n_estimators=4)
        for loss in ("squared_error", "absolute_error", "huber", "quantile")
    },
    **{
        f"histogram {loss}": ensemble.HistGradientBoostingRegressor(loss=loss, max_iter=4)
        for loss in ("squared_error", "absolute_error", "gamma", "poisson")
    },
    "modified huber": linear_model.SGDClassifier(loss="modified_huber", random_state=0),
    "svm": svm.LinearSVC(),
    "logistic": linear_model.LogisticRegression(),
    "ridge": linear_model.Ridge(),
    "tree": tree.DecisionTreeRegressor(max_depth=3, criterion="poisson"),
}


def same(model: Any, expected: Any) -> None:
    np.testing.assert_allclose(score_points(from_model(model, FEATURES), TABLE), expected, rtol=2e-6, atol=2e-6)


def labels(objective: str) -> Any:
    of_classes = ("binary", "rank", "multi", "logistic", "cross", "map", "lambda")
    return BINARY if any(word in objective for word in of_classes) else NUMBERS


@pytest.mark.parametrize("objective", XGBOOST)
@pytest.mark.parametrize("base", [None, 0.3])
def test_xgboost(objective: str, base: float | None) -> None:
    data = xgboost.DMatrix(X, labels(objective), group=GROUPS if "rank" in objective else None)
    more = {"num_class": 2} if "multi" in objective else {"quantile_alpha": 0.5} if "quantile" in objective else {}
    settings = {"objective": objective, "max_depth": 2, "nthread": 1, **more}
    booster = xgboost.train(settings if base is None else settings | {"base_score": base}, data, 4)
    try:
        from_model(booster, FEATURES)
    except (StrategyError, FitError):
        assert objective in ("reg:squaredlogerror", "binary:hinge", "survival:cox", "multi:softmax", "multi:softprob")
        return
    same(booster, booster.predict(xgboost.DMatrix(X)))


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:logistic", "binary:logitraw"])
@pytest.mark.parametrize("base", [0.0, 1.0, 0.5, 1e-7])
def test_base_scores_of_nothing_and_of_all(objective: str, base: float) -> None:
    settings = {"objective": objective, "max_depth": 2, "base_score": base, "nthread": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(X, BINARY), 4)
    same(booster, booster.predict(xgboost.DMatrix(X)))


def test_a_model_that_predicts_nothing_but_0_is_refused() -> None:
    booster = xgboost.train({"objective": "count:poisson", "nthread": 1}, xgboost.DMatrix(X, np.zeros(len(X))), 2)
    with refused(StrategyError, "predicts 0 for everything"):
        from_model(booster, FEATURES)


def test_raw_logits_of_a_version_that_kept_them_otherwise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    booster = xgboost.train({"objective": "binary:logitraw", "max_depth": 2, "nthread": 1}, xgboost.DMatrix(X, BINARY), 2)
    saved = json.loads(booster.save_raw("json")) | {"version": [2, 1, 4]}
    monkeypatch.setattr(xgboost.Booster, "save_raw", lambda *_: bytearray(json.dumps(saved).encode()))
    with refused(StrategyError, "XGBoost 2.1.4 made this model"):
        from_model(booster, FEATURES)


@pytest.mark.parametrize("objective", LIGHTGBM)
def test_lightgbm(objective: str) -> None:
    data = lightgbm.Dataset(X, labels(objective), group=GROUPS if "rank" in objective else None, params={"verbose": -1})
    more = {"num_class": 2} if "multi" in objective else {}
    settings = {"objective": objective, "num_leaves": 4, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1, **more}
    booster = lightgbm.train(settings, data, 4)
    try:
        from_model(booster, FEATURES)
    except (StrategyError, FitError):
        assert objective in ("cross_entropy_lambda", "multiclass", "multiclassova")
        return
    same(booster, booster.predict(X, num_threads=1))


@pytest.mark.parametrize("name", SKLEARN)
def test_scikit_learn(name: str) -> None:
    model = SKLEARN[name]
    classifies = hasattr(model, "decision_function")
    model.fit(X, BINARY if classifies else NUMBERS)
    if hasattr(model, "predict_proba"):
        same(model, model.predict_proba(X)[:, 1])
    else:
        same(model, model.decision_function(X) if classifies else model.predict(X))


@pytest.mark.parametrize(
    "model",
    [
        linear_model.LogisticRegression(),
        linear_model.SGDClassifier(loss="log_loss", random_state=0),
        linear_model.SGDRegressor(random_state=0),
        svm.LinearSVC(),
    ],
)
def test_sparse_coefficients_are_the_dense_ones(model: Any) -> None:
    model.fit(X, BINARY)
    dense = from_model(model, FEATURES)
    model.sparsify()
    assert not isinstance(model.coef_, np.ndarray)
    assert from_model(model, FEATURES) == dense
