"""What can't become a formula is refused with a word on what to do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from qdrant_rerank import StrategyError, field, param, score
from qdrant_rerank._internals import Constant
from qdrant_rerank.errors import FitError
from qdrant_rerank.expressions import rerank_score
from qdrant_rerank.learn import Category, Feature, FeatureLike, formula_from_model, from_model
from qdrant_rerank.learn._internals import make_gate

from . import worlds

pytest.importorskip("sklearn", reason="needs scikit-learn")
lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
pd = pytest.importorskip("pandas", reason="needs pandas")

from sklearn import ensemble, linear_model, neural_network, preprocessing, svm, tree  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

X, Y = worlds.training(7, rows=60, missing=False)
X = X[:, :2]
THIRDS = np.digitize(Y, np.quantile(Y, [0.33, 0.67]))
TWO = np.column_stack([Y, -Y])
AB: dict[str, FeatureLike] = {"a": field("a", default=0.0), "b": field("b", default=0.0)}
NAN: dict[str, FeatureLike] = {"a": Feature(field("a"), missing="nan"), "b": score()}
LGB: dict[str, Any] = {"n_estimators": 2, "min_child_samples": 5, "verbose": -1, "n_jobs": 1}
XGB: dict[str, Any] = {"n_estimators": 2, "n_jobs": 1}


@pytest.mark.parametrize(
    ("fitted", "features", "says"),
    [
        (lambda: linear_model.LogisticRegression().fit(X, THIRDS), AB, "LogisticRegression tells 3 classes apart"),
        (lambda: linear_model.Ridge().fit(X, TWO), AB, "Ridge predicts 2 outputs"),
        (lambda: tree.DecisionTreeClassifier().fit(X, THIRDS), AB, "DecisionTreeClassifier tells 3 classes apart"),
        (lambda: ensemble.RandomForestRegressor(2).fit(X, TWO), AB, "RandomForestRegressor predicts 2 outputs"),
        (lambda: ensemble.GradientBoostingClassifier(n_estimators=2).fit(X, THIRDS), AB, "tells 3 classes apart"),
        (lambda: ensemble.HistGradientBoostingClassifier(max_iter=2).fit(X, THIRDS), AB, "tells 3 classes apart"),
        (lambda: lightgbm.LGBMClassifier(**LGB).fit(X, THIRDS), AB, "LightGBM model tells 3 classes apart"),
        (lambda: xgboost.XGBClassifier(**XGB).fit(X, THIRDS), AB, "XGBoost model tells 3 classes apart"),
        (lambda: xgboost.XGBRegressor(**XGB).fit(X, TWO), AB, "XGBoost model predicts 2 outputs"),
        (lambda: neural_network.MLPClassifier(max_iter=1).fit(X, THIRDS), AB, "tells 3 classes apart"),
        (
            lambda: neural_network.MLPRegressor(hidden_layer_sizes=(3, 3), max_iter=1).fit(X, Y),
            AB,
            "has 2 hidden layers, .* hidden_layer_sizes",
        ),
        (lambda: neural_network.MLPRegressor(hidden_layer_sizes=(3,), max_iter=1).fit(X, TWO), AB, "predicts 2 outputs"),
        (lambda: linear_model.Ridge().fit(X, Y), NAN, "'a' may be missing, and this model takes no missing values"),
        (lambda: ensemble.GradientBoostingRegressor(n_estimators=2).fit(X, Y), NAN, "takes no missing values, but 'a' may be"),
        (
            lambda: ensemble.GradientBoostingRegressor(n_estimators=2, init=linear_model.Ridge()).fit(X, Y),
            AB,
            r"starts from the predictions of Ridge \(init=\)",
        ),
        (lambda: lightgbm.LGBMRegressor(linear_tree=True, **LGB).fit(X, Y), AB, "linear trees"),
        (lambda: lightgbm.LGBMRegressor(reg_sqrt=True, **LGB).fit(X, Y), AB, "objective 'regression sqrt' ends in a function"),
        (lambda: xgboost.XGBRegressor(booster="gblinear", **XGB).fit(X, Y), AB, "booster 'gblinear' has no trees"),
        (lambda: xgboost.XGBRegressor(objective="reg:squaredlogerror", **XGB).fit(X, Y - Y.min()), AB, "squaredlogerror"),
        (lambda: xgboost.XGBRegressor(missing=-1.0, **XGB).fit(X, Y), AB, r"takes -1.0 for missing"),
        (lambda: svm.SVC().fit(X, Y > 0), AB, r"can't make a formula of a sklearn.svm.* known are LinearRegression"),
        (
            lambda: GridSearchCV(linear_model.Ridge(), {"alpha": [1.0]}).fit(X, Y),
            AB,
            "pass its best_estimator_, a Ridge",
        ),
        (
            lambda: make_pipeline(preprocessing.PolynomialFeatures(), linear_model.Ridge()).fit(X, Y),
            AB,
            "step 'polynomialfeatures' is a PolynomialFeatures; known steps are StandardScaler, MinMaxScaler, SimpleImputer",
        ),
        (
            lambda: make_pipeline(SimpleImputer(missing_values=0), linear_model.Ridge()).fit(X, Y),
            AB,
            r"SimpleImputer\(missing_values=0\) fills in a number",
        ),
        (
            lambda: make_pipeline(SimpleImputer(add_indicator=True), linear_model.Ridge()).fit(X, Y),
            AB,
            "adds columns",
        ),
        (
            lambda: make_pipeline(preprocessing.MinMaxScaler(clip=True), SimpleImputer(), linear_model.Ridge()).fit(X, Y),
            NAN,
            "'a': a scaler with clip=True comes before the imputer",
        ),
        (lambda: linear_model.Ridge().fit(X, Y), AB | {"b": Category("b")}, "'b' is a category, which only trees split on"),
        (
            lambda: make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()).fit(X, Y),
            AB | {"b": Category("b")},
            "'b' is a Category, but the pipeline scales it as a number",
        ),
        (
            lambda: make_pipeline(SimpleImputer(), linear_model.Ridge()).fit(X, Y),
            AB | {"b": Category("b")},
            "'b' is a Category, but the pipeline fills it as a number",
        ),
        (linear_model.Ridge, AB, r"this Ridge isn't fitted: call fit\(\) first"),
        (lightgbm.LGBMRegressor, AB, r"this LGBMRegressor isn't fitted"),
        (xgboost.XGBRegressor, AB, r"this XGBRegressor isn't fitted"),
        (lambda: make_pipeline(linear_model.Ridge()), AB, r"isn't fitted"),
        (lambda: "ranker.json", AB, "from_model takes a fitted model, not the path of a file, 'ranker.json'"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_model_that_cannot_become_a_formula_is_refused(fitted: Any, features: Any, says: str) -> None:
    with pytest.raises(StrategyError, match=says):
        from_model(fitted(), features)


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({"a": score()}, r"the model has 2 columns \('a', 'b'\), but 1 features are given: 'a'"),
        ({"a": score(), "c": score()}, "the model has 'a', 'b'; given are 'a', 'c'"),
        ([score()], r"the model has 2 columns \('a', 'b'\), but 1 features are given"),
        (score(), "features is a map of name to expression, or a list"),
        ("ab", "features is a map of name to expression, or a list"),
        (
            {"a": field("x"), "b": score()},
            r"'a': field\('x'\) has no default, .* Feature\(field\('x'\), missing='nan'\)",
        ),
        ({"a": rerank_score(), "b": score()}, r"the feature 'a': rerank_score\(\) can't be a feature"),
    ],
)
def test_features_that_are_not_the_models_columns_are_refused(features: Any, says: str) -> None:
    fitted = linear_model.Ridge().fit(pd.DataFrame(X, columns=["a", "b"]), Y)
    with pytest.raises(StrategyError, match=says):
        from_model(fitted, features)


def test_features_by_name_may_come_in_any_order() -> None:
    for fitted in (
        linear_model.Ridge().fit(pd.DataFrame(X, columns=["a", "b"]), Y),
        lightgbm.LGBMRegressor(**LGB).fit(pd.DataFrame(X, columns=["a", "b"]), Y),
        xgboost.XGBRegressor(**XGB).fit(pd.DataFrame(X, columns=["a", "b"]), Y),
    ):
        assert from_model(fitted, AB) == from_model(fitted, dict(reversed(AB.items()))) == from_model(fitted, list(AB.values()))


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Feature(score(), missing="nan"), r"missing='nan' is for field\(key\) alone, not for score\(\)"),
        (lambda: Feature(field("a", default=1.0), missing="nan"), "has a default, so that it is never missing"),
        (lambda: Feature(field("a"), missing="zero"), "missing is 'nan' or None, got 'zero'"),  # type: ignore[arg-type]
        (lambda: Feature(param("a") * field("b")), r"write field\('b', default=…\)"),
        (lambda: Category(""), "payload key"),
        (lambda: Category("a", [True]), "must be text or whole numbers, got True"),
        (lambda: Category("a", [0.5]), "must be text or whole numbers, got 0.5"),  # type: ignore[list-item]
    ],
)
def test_a_feature_that_makes_no_sense_is_refused(build: Any, says: str) -> None:
    with pytest.raises(StrategyError, match=says):
        build()


def test_trees_that_are_too_deep_for_any_server_are_refused() -> None:
    x = np.arange(64.0)[:, None]
    deep = tree.DecisionTreeRegressor(criterion="squared_error").fit(x, 4.0 ** np.arange(64))
    with pytest.raises(FitError, match=r"has 63 levels of splits, .* \(63 splits in all 1 trees; .* max_depth=22"):
        from_model(deep, [field("a", default=0.0)])


def test_a_formula_over_the_budget_is_refused_with_what_is_over_and_what_to_do() -> None:
    forest = ensemble.RandomForestRegressor(20, max_leaf_nodes=8, random_state=0).fit(X, Y)
    with pytest.raises(FitError, match=r"has \d+ conditions where 50 are allowed \(about \d+ ms .*\): fit fewer trees"):
        from_model(forest, AB, max_conditions=50)
    with pytest.raises(FitError, match=r"has [\d,]+ bytes where 1,000 are allowed"):
        from_model(forest, AB, max_bytes=1000)
    with pytest.raises(FitError, match=r"conditions where 50 are allowed and [\d,]+ bytes where 1,000 are allowed"):
        formula_from_model(forest, AB, max_conditions=50, max_bytes=1000)
    with pytest.raises(
        FitError, match=r"has about \d+\.\d ms where 0.1 are allowed \(.*max_milliseconds=, or have it computed"
    ):
        from_model(forest, AB, max_milliseconds=0.1)
    assert formula_from_model(forest, AB, max_conditions=None, max_bytes=None).expression == from_model(forest, AB)
    assert from_model(forest, AB, max_milliseconds=50.0) == from_model(forest, AB, max_conditions=1, on_client=True)


def test_a_forest_far_over_the_budget_is_refused_before_its_formula_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = ensemble.RandomForestRegressor(400, random_state=0).fit(X, Y)
    made: list[object] = []

    def noted(*arguments: Any) -> Any:
        made.append(arguments)
        return make_gate(*arguments)

    monkeypatch.setattr("qdrant_rerank.learn.model_trees.make_gate", noted)
    says = r"has [\d,]+ splits in 400 trees, which make a formula of more than [\d,]+ bytes where 300,000 are allowed: fit"
    with pytest.raises(FitError, match=says):
        from_model(forest, AB)
    assert not made
    decided = from_model(forest, [1.0, 2.0])  # nothing is left to ask
    assert isinstance(decided, Constant)
    assert decided.value == pytest.approx(float(forest.predict([[1.0, 2.0]])[0]))


def test_learning_imports_none_of_the_libraries_it_reads() -> None:
    code = (
        "import sys, qdrant_rerank.learn\n"
        "print([name for name in ('sklearn', 'lightgbm', 'xgboost', 'scipy', 'pandas') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
