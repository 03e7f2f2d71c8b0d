"""Small trained models of every kind that can be imported, each trained once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import xgboost
from qdrant_client import models
from sklearn import ensemble, linear_model, neural_network, tree
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from qdrant_rerank._internals import When, walk
from qdrant_rerank.expressions import Expression

from .threads import one_thread
from .worlds import training

__all__ = ["FULL", "NULLABLE", "bounds", "predicted", "trained"]

_LGB: dict[str, Any] = {"n_estimators": 8, "num_leaves": 6, "min_child_samples": 5, "verbose": -1, "n_jobs": 1}
_XGB: dict[str, Any] = {"n_estimators": 8, "max_depth": 3, "n_jobs": 1}
_MLP: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 500, "tol": 0.02, "n_iter_no_change": 3, "random_state": 0}

NULLABLE: dict[str, Callable[[], Any]] = {
    "decision tree": lambda: tree.DecisionTreeRegressor(max_leaf_nodes=12, random_state=0),
    "decision tree classifier": lambda: tree.DecisionTreeClassifier(max_leaf_nodes=20, random_state=0),
    "random forest": lambda: ensemble.RandomForestRegressor(8, max_leaf_nodes=8, random_state=0),
    "random forest classifier": lambda: ensemble.RandomForestClassifier(8, max_leaf_nodes=8, random_state=0),
    "extra trees": lambda: ensemble.ExtraTreesRegressor(8, max_leaf_nodes=8, random_state=0),
    "hist gradient boosting": lambda: ensemble.HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=6),
    "hist gradient boosting classifier": lambda: ensemble.HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=6),
    "hist gradient boosting poisson": lambda: ensemble.HistGradientBoostingRegressor(
        loss="poisson", max_iter=8, max_leaf_nodes=6
    ),
    "lightgbm": lambda: lightgbm.LGBMRegressor(**_LGB),
    "lightgbm classifier": lambda: lightgbm.LGBMClassifier(**_LGB),
    "lightgbm ranker": lambda: lightgbm.LGBMRanker(**_LGB),
    "lightgbm zero as missing": lambda: lightgbm.LGBMRegressor(zero_as_missing=True, **_LGB),
    "lightgbm forest": lambda: lightgbm.LGBMRegressor(boosting_type="rf", subsample=0.7, subsample_freq=1, **_LGB),
    "lightgbm dart": lambda: lightgbm.LGBMRegressor(boosting_type="dart", drop_rate=0.5, **_LGB),
    "lightgbm tweedie": lambda: lightgbm.LGBMRegressor(objective="tweedie", **_LGB),
    "xgboost": lambda: xgboost.XGBRegressor(**_XGB),
    "xgboost classifier": lambda: xgboost.XGBClassifier(**_XGB),
    "xgboost ranker": lambda: xgboost.XGBRanker(**_XGB),
    "xgboost dart": lambda: xgboost.XGBRegressor(booster="dart", rate_drop=0.5, **_XGB),
    "xgboost poisson": lambda: xgboost.XGBRegressor(objective="count:poisson", **_XGB),
    "imputed ridge": lambda: make_pipeline(SimpleImputer(), StandardScaler(), linear_model.Ridge()),
    "scaled, imputed logistic": lambda: make_pipeline(
        StandardScaler(), SimpleImputer(strategy="median"), linear_model.LogisticRegression()
    ),
    "imputed, scaled gradient boosting": lambda: make_pipeline(
        SimpleImputer(strategy="constant", fill_value=6.0),
        StandardScaler(),
        MinMaxScaler(clip=True),
        ensemble.GradientBoostingRegressor(n_estimators=8, max_leaf_nodes=6, max_depth=4),
    ),
    "scaled lightgbm": lambda: make_pipeline(StandardScaler(), lightgbm.LGBMRegressor(**_LGB)),
}
"""Kinds that take missing values, by themselves or after an imputer."""

FULL: dict[str, Callable[[], Any]] = {
    "linear": linear_model.LinearRegression,
    "logistic": lambda: make_pipeline(StandardScaler(), linear_model.LogisticRegression()),
    "sgd": lambda: make_pipeline(MinMaxScaler(), linear_model.SGDRegressor(random_state=0)),
    "sgd classifier": lambda: make_pipeline(StandardScaler(), linear_model.SGDClassifier(loss="log_loss", random_state=0)),
    "sgd huber": lambda: make_pipeline(
        StandardScaler(), linear_model.SGDClassifier(loss="modified_huber", alpha=1.0, random_state=0)
    ),
    "clipped ridge": lambda: make_pipeline(MinMaxScaler(clip=True), StandardScaler(), linear_model.Ridge()),
    "gradient boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=8, max_leaf_nodes=6, max_depth=4),
    "gradient boosting classifier": lambda: ensemble.GradientBoostingClassifier(n_estimators=8, max_depth=3),
    "gradient boosting exponential": lambda: ensemble.GradientBoostingClassifier(
        n_estimators=8, max_depth=3, loss="exponential", init="zero"
    ),
    "relu network": lambda: make_pipeline(StandardScaler(), neural_network.MLPRegressor(**_MLP)),
    "tanh network": lambda: make_pipeline(StandardScaler(), neural_network.MLPClassifier(activation="tanh", **_MLP)),
    "logistic network": lambda: make_pipeline(StandardScaler(), neural_network.MLPRegressor(activation="logistic", **_MLP)),
}
"""Kinds that take no missing values."""


@cache
def trained(name: str) -> Any:
    """The model of that name."""
    x, y = training(1, missing=name in NULLABLE)
    model = (NULLABLE | FULL)[name]()
    with one_thread():  # tests run side by side
        return _fitted(name, model, x, y)


def _fitted(name: str, model: Any, x: Any, y: Any) -> Any:
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if "Ranker" in type(last).__name__:
        grades = np.digitize(y, np.quantile(y, [0.4, 0.8]))
        groups = {"group": [24] * 10} if "LGBM" in type(last).__name__ else {"qid": np.repeat(range(10), 24)}
        return model.fit(x, grades, **groups)
    if hasattr(last, "predict_proba") or "Classifier" in type(last).__name__:
        return model.fit(x, y > np.median(y))
    return model.fit(x, np.abs(y) if any(word in name for word in ("poisson", "tweedie")) else y)


def predicted(model: Any, x: Any) -> Any:
    """What the library itself predicts: the probability of the second class where there is one."""
    with one_thread():
        return model.predict_proba(x)[:, 1] if hasattr(model, "predict_proba") else model.predict(x)


def bounds(expression: Expression, key: str) -> list[float]:
    """The numbers that a formula compares a payload key with."""
    conditions = [node.condition for node in walk(expression) if isinstance(node, When)]
    ranges = [each.range for each in conditions if isinstance(each, models.FieldCondition) and each.key == key]
    numbers = [found for found in ranges if isinstance(found, models.Range)]
    return sorted({bound for found in numbers for bound in (found.gt, found.gte, found.lt, found.lte) if bound is not None})
