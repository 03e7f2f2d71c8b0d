"""Arrays of several values count as missing if asked, and in each split hold any of their values if not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from qdrant_rerank import field
from qdrant_rerank.learn import Category, Feature, FeatureLike, from_model
from tests.engines import compared

from . import worlds
from .threads import one_thread

pytest.importorskip("sklearn", reason="needs scikit-learn")

from sklearn.ensemble import HistGradientBoostingRegressor

FEATURES: list[FeatureLike] = [Feature(field("price"), missing="nan"), field("rating", default=2.5), Category("code")]


def payloads() -> list[dict[str, object]]:
    found = worlds.payloads()
    for number in range(12):
        found[number] |= {
            "price": [-5.0, 5.0, 20.0] if number % 3 else found[number]["price"],
            "rating": [0.0, 3.0] if number % 2 else 1.0,
            "code": [0, 1, 2, 3] if number % 4 < 2 else number % 6,
        }
    return found


@pytest.fixture(scope="module", params=compared())
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    with worlds.opened(request.param, payloads()) as found:
        yield found


@pytest.fixture(scope="module")
def fitted() -> HistGradientBoostingRegressor:
    generator = np.random.default_rng(3)
    x = np.column_stack([generator.normal(5, 3, 300), generator.integers(0, 9, 300) / 2, generator.integers(0, 6, 300)])
    x[generator.random(300) < 0.2, 0] = np.nan
    x[generator.random(300) < 0.2, 2] = np.nan
    y = np.nan_to_num(x[:, 0], nan=-9.0) + x[:, 1] * np.nan_to_num(x[:, 2], nan=9.0)
    with one_thread():
        return HistGradientBoostingRegressor(max_iter=6, max_leaf_nodes=8, categorical_features=[2]).fit(x, y)


def test_arrays_count_as_missing_where_they_are_announced(world: worlds.World, fitted: HistGradientBoostingRegressor) -> None:
    expression = from_model(fitted, FEATURES, arrays=True)
    x = [[worlds.number(p, "price", np.nan), worlds.number(p, "rating", 2.5), worlds.whole(p, "code")] for p in world.payloads]

    expected = fitted.predict(np.array(x))

    np.testing.assert_allclose(world.computed(expression), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(world.rank(expression), expected, rtol=1e-6, atol=1e-6)


def test_numpy_and_the_engine_agree_on_arrays_that_are_not_announced(
    world: worlds.World, fitted: HistGradientBoostingRegressor
) -> None:
    expression = from_model(fitted, FEATURES)
    assert not np.allclose(world.computed(expression), world.computed(from_model(fitted, FEATURES, arrays=True)))
    np.testing.assert_allclose(world.rank(expression), world.computed(expression), rtol=1e-6, atol=1e-6)
