"""Splits at which all points take the same side, and models at the edge of what is taken."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import StrategyError, field, score, sigmoid, when
from qdrant_rerank.learn import Category, Feature, from_model
from qdrant_rerank.learn._internals import EVERYTHING, Column, Region, at_most, make_gate, points

from . import worlds
from .threads import one_thread

NOTHING = Region(())
GHENT = models.FieldCondition(key="shop", match=models.MatchValue(value="ghent"))
NULLABLE = Feature(field("a"), missing="nan")


@pytest.mark.parametrize(
    ("feature", "region", "missing_left", "side"),
    [
        (NULLABLE, NOTHING, False, "right"),
        (NULLABLE, EVERYTHING, True, "left"),
        (Feature(score()), NOTHING, True, "right"),
        (Feature(score()), EVERYTHING, False, "left"),
        (Feature(when(GHENT)), at_most(2.0), False, "left"),
        (Feature(when(GHENT)), at_most(-1.0), True, "right"),
        (Feature(3.0), at_most(3.0), False, "left"),
        (Category("shop", ["ghent"]), points([1.0]), False, "right"),
        (Category("shop", ["ghent"]), points([0.0]), True, "left"),
    ],
)
def test_a_split_that_sends_all_points_one_way_needs_no_condition(
    feature: Any, region: Region, missing_left: bool, side: str
) -> None:
    assert make_gate(Column("a", feature), region, missing_left) == side


X, Y = worlds.training(11, rows=80, missing=False)
X = X[:, :2]
AB = [field("a", default=0.0), field("b", default=0.0)]


def test_categories_that_qdrant_cannot_match_are_refused() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble", reason="needs scikit-learn")
    with one_thread():
        fitted = ensemble.HistGradientBoostingRegressor(max_iter=2, categorical_features=[1]).fit(X, Y)
    with pytest.raises(StrategyError, match=r"'column 1': the model's category .*0\.5.* is neither text nor a whole number"):
        from_model(fitted, [AB[0], Category("b")])


def test_models_without_an_intercept_have_none() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    fitted = linear_model.Ridge(fit_intercept=False).fit(X, Y)
    weights = fitted.coef_.tolist()
    assert from_model(fitted, AB) == weights[0] * AB[0] + weights[1] * AB[1]


def test_cross_entropy_gives_a_probability() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
    fitted = lightgbm.LGBMRegressor(objective="cross_entropy", n_estimators=2, verbose=-1, n_jobs=1).fit(X, Y > 0)
    assert isinstance(from_model(fitted, AB), type(sigmoid(score())))


def test_a_category_that_lightgbm_knows_as_a_number_is_refused() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
    fitted = lightgbm.LGBMRegressor(n_estimators=2, min_child_samples=5, verbose=-1, n_jobs=1).fit(X, Y)
    with pytest.raises(StrategyError, match="'column 0' is a Category, but the model was trained on it as a number"):
        from_model(fitted, [Category("a", [1, 2]), AB[1]])


def test_pipelines_that_are_no_model_are_refused() -> None:
    pipeline = pytest.importorskip("sklearn.pipeline", reason="needs scikit-learn")
    with pytest.raises(StrategyError, match=r"can't make a formula of a sklearn.pipeline.Pipeline"):
        from_model(pipeline.make_pipeline("passthrough"), AB)


def test_columns_that_an_imputer_drops_are_refused() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make_pipeline(SimpleImputer(), Ridge()).fit(np.column_stack([X[:, 0], np.full(80, np.nan)]), Y)
    with pytest.raises(StrategyError, match="SimpleImputer found no values in 'column 1'"):
        from_model(fitted, AB)
