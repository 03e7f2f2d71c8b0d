"""Categories: text and numbers in the payload, known to the model or listed by the user."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import StrategyError, field, score, when
from qdrant_rerank._internals import Table, score_points
from qdrant_rerank.learn import Category, Feature, FeatureLike, from_model
from tests.engines import compared

from . import worlds

pytest.importorskip("sklearn", reason="needs scikit-learn")
lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
pd = pytest.importorskip("pandas", reason="needs pandas")

from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor  # noqa: E402

from .threads import one_thread  # noqa: E402

ROWS = 300
_LGB: dict[str, Any] = {
    "n_estimators": 8,
    "num_leaves": 6,
    "min_child_samples": 5,
    "min_data_per_group": 5,
    "cat_smooth": 1.0,
    "verbose": -1,
    "n_jobs": 1,
}
_XGB: dict[str, Any] = {"n_estimators": 8, "max_depth": 3, "enable_categorical": True, "n_jobs": 1}
MAKERS: dict[str, Any] = {
    "hist gradient boosting": lambda: HistGradientBoostingRegressor(
        max_iter=8, max_leaf_nodes=6, categorical_features="from_dtype"
    ),
    "lightgbm": lambda: lightgbm.LGBMRegressor(**_LGB),
    "xgboost": lambda: xgboost.XGBRegressor(max_cat_to_onehot=1, **_XGB),
    "xgboost, one category a split": lambda: xgboost.XGBRegressor(max_cat_to_onehot=99, **_XGB),
}


@pytest.fixture(scope="module", params=compared())
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    with worlds.opened(request.param, worlds.payloads()) as found:
        yield found


@cache
def texts(missing: bool) -> tuple[Any, Any]:
    """A frame with a number, a text category, another number; and what is to be predicted."""
    generator = np.random.default_rng(2)
    shop = generator.choice(worlds.SHOPS, ROWS)
    price = np.round(generator.normal(5, 3, ROWS), 2)
    worth = dict(zip(worlds.SHOPS, [3.0, -2.0, 0.5, 6.0, -5.0], strict=True))
    y = price * np.array([worth[each] for each in shop]) + generator.normal(size=ROWS)
    known = [None if missing and generator.random() < 0.15 else each for each in shop]
    categories = pd.CategoricalDtype(sorted(worlds.SHOPS, reverse=True))
    frame = {"price": price, "shop": pd.Series(known).astype(categories), "score": generator.uniform(-1, 1, ROWS)}
    return pd.DataFrame(frame), y


def frame_of(world: worlds.World) -> Any:
    """What a model sees of the points; other shops than those it knows are missing to it."""
    shops = [worlds.category(payload, "shop") for payload in world.payloads]
    seen = pd.Series([shop if shop in worlds.SHOPS else None for shop in shops])
    dtype = texts(missing=False)[0]["shop"].dtype
    price = [worlds.number(payload, "price", 1.0) for payload in world.payloads]
    return pd.DataFrame({"price": price, "shop": seen.astype(dtype), "score": world.scores})


@cache
def trained(name: str, missing: bool) -> Any:
    with one_thread():
        return MAKERS[name]().fit(*texts(missing))


def features_with(shop: FeatureLike) -> dict[str, FeatureLike]:
    return {"price": field("price", default=1.0), "shop": shop, "score": score()}


@pytest.mark.parametrize("missing", [True, False], ids=["some missing", "none missing"])
@pytest.mark.parametrize("name", MAKERS)
def test_text_categories_take_the_models_side(world: worlds.World, name: str, missing: bool) -> None:
    model = trained(name, missing)
    shop = Category("shop", list(texts(missing)[0]["shop"].dtype.categories) if "xgboost" in name else None)
    expression = from_model(model, {"score": score(), "shop": shop, "price": field("price", default=1.0)})

    expected = model.predict(frame_of(world))

    assert len(kinds_of_match(expression)) > 1
    np.testing.assert_allclose(world.computed(expression), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(world.rank(expression), expected, rtol=1e-6, atol=1e-6)


def test_xgboost_knows_plain_categories_by_itself() -> None:
    x, y = texts(missing=False)
    for categories in (list("zebra"), [30, 10, 20, 50, 40]):
        frame = x.assign(shop=pd.Categorical.from_codes(x["shop"].cat.codes, categories=categories))
        model = xgboost.XGBRegressor(max_cat_to_onehot=1, **_XGB).fit(frame, y)
        features: dict[str, FeatureLike] = {"price": field("price", default=1.0), "shop": Category("shop"), "score": 0.5}
        payloads = [{"price": price, "shop": shop} for price in (-1.0, 4.0, 9.0) for shop in categories]
        seen = pd.DataFrame(payloads).assign(score=0.5)
        seen["shop"] = seen["shop"].astype(frame["shop"].dtype)

        found = score_points(from_model(model, features), Table(payloads, range(len(payloads))))

        np.testing.assert_allclose(found, model.predict(seen), rtol=1e-6, atol=1e-6)


def test_xgboosts_garbled_categories_must_be_listed() -> None:
    features = features_with(Category("shop"))
    with pytest.raises(StrategyError, match=r"write Category\('shop', values=\[…\]\)"):
        from_model(trained("xgboost", missing=False), features)


def kinds_of_match(expression: Any) -> set[tuple[Any, ...]]:
    """The different lists of categories that a formula asks for."""
    from qdrant_rerank._internals import When, walk

    matches = [node.condition.match for node in walk(expression) if isinstance(node, When) and hasattr(node.condition, "match")]
    return {tuple(match.any) for match in matches if isinstance(match, models.MatchAny)}


def codes() -> tuple[Any, Any]:
    generator = np.random.default_rng(4)
    code = generator.integers(0, 6, ROWS).astype(float)
    price = np.round(generator.normal(5, 3, ROWS), 2)
    y = price * np.array([3.0, -2.0, 0.5, 6.0, -5.0, 1.0])[code.astype(int)]
    code[generator.random(ROWS) < 0.1] = np.nan
    return np.column_stack([code, price]), y


def fitted_on_codes(name: str) -> Any:
    x, y = codes()
    with one_thread():
        match name:
            case "lightgbm":
                return lightgbm.LGBMRegressor(**_LGB).fit(x, y, categorical_feature=[0])
            case "xgboost":
                return xgboost.XGBRegressor(feature_types=["c", "q"], max_cat_to_onehot=1, **_XGB).fit(x, y)
            case _:
                return HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=6, categorical_features=[0]).fit(x, y)


@pytest.mark.parametrize("listed", [True, False], ids=["as categories", "as a number"])
@pytest.mark.parametrize("name", ["hist gradient boosting", "lightgbm", "xgboost"])
def test_codes_in_the_payload_take_the_models_side(world: worlds.World, name: str, listed: bool) -> None:
    model = fitted_on_codes(name)
    values = None if name == "hist gradient boosting" else range(6)
    code: Any = Category("code", values) if listed else Feature(field("level"), missing="nan")
    expression = from_model(model, [code, field("price", default=1.0)])
    read = worlds.whole if listed else partial(worlds.number, missing=np.nan)
    seen = np.array([read(payload, "code" if listed else "level") for payload in world.payloads])
    known = np.isin(seen, range(6))
    if listed:
        seen[~known] = np.nan
    x = np.column_stack([seen, [worlds.number(payload, "price", 1.0) for payload in world.payloads]])
    mine = known | np.isnan(seen) if name == "xgboost" else np.full(len(x), True)  # XGBoost refuses codes that are new to it

    expected = model.predict(x[mine])

    np.testing.assert_allclose(world.computed(expression)[mine], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(world.rank(expression)[mine], expected, rtol=1e-6, atol=1e-6)


def test_one_hot_features_are_split_on_by_their_own_conditions(world: worlds.World) -> None:
    x, y = texts(missing=False)
    hot = np.column_stack([x["price"], x["shop"] == "ghent", x["shop"] != "namur"]).astype(float)
    model = GradientBoostingRegressor(n_estimators=8, max_depth=3, random_state=0).fit(hot, y)
    ghent, namur = (models.FieldCondition(key="shop", match=models.MatchValue(value=shop)) for shop in ("ghent", "namur"))
    expression = from_model(model, [field("price", default=1.0), when(ghent), when(namur, 0.0, 1.0)])
    shops = [worlds.category(payload, "shop") for payload in world.payloads]
    price = [worlds.number(payload, "price", 1.0) for payload in world.payloads]

    expected = model.predict(
        np.column_stack([price, [s == "ghent" for s in shops], [s != "namur" for s in shops]]).astype(float)
    )

    np.testing.assert_allclose(world.rank(expression), expected, rtol=1e-6, atol=1e-6)
    assert "clip" not in repr(expression)


def test_categories_that_contradict_the_models_are_refused() -> None:
    model = trained("lightgbm", missing=False)
    features: dict[str, FeatureLike] = {
        "price": field("price", default=1.0),
        "shop": Category("shop", worlds.SHOPS),
        "score": score(),
    }
    with pytest.raises(StrategyError, match=r"'shop': the model knows the categories \['namur', .* but the feature says"):
        from_model(model, features)


@pytest.mark.parametrize("name", ["hist gradient boosting", "xgboost"])
def test_a_number_where_the_model_knows_texts_is_refused(name: str) -> None:
    features: dict[str, FeatureLike] = {
        "price": field("price", default=1.0),
        "shop": field("shop", default=0),
        "score": score(),
    }
    with pytest.raises(StrategyError, match=r"'shop' as categories .* write Category\(key\)"):
        from_model(trained(name, missing=False), features)


def test_as_many_categories_as_the_data_frame_had_are_needed() -> None:
    features: dict[str, FeatureLike] = {
        "price": field("price", default=1.0),
        "shop": field("shop", default=0),
        "score": score(),
    }
    with pytest.raises(StrategyError, match=r"trained on 1 pandas categoricals .* the features have 0 Category: none"):
        from_model(trained("lightgbm", missing=False), features)


@pytest.mark.parametrize("name", [*MAKERS])
def test_a_category_where_the_model_knows_a_number_is_refused(name: str) -> None:
    features: dict[str, FeatureLike] = {"price": Category("price", ["a"]), "shop": Category("shop"), "score": score()}
    with pytest.raises(StrategyError, match=r"'price' is a Category, but the model was trained on it as a number|2 Category"):
        from_model(trained(name, missing=False), features)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_codes_without_their_categories_are_refused(name: str) -> None:
    with pytest.raises(StrategyError, match=r"write Category\('code', values=\[…\]\)"):
        from_model(fitted_on_codes(name), [Category("code"), field("price", default=1.0)])
