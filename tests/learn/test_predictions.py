"""A formula predicts what the model predicts, in numpy and on every engine, on every payload."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator

import numpy as np
import pytest

from qdrant_rerank import Nearest, from_json, to_json
from qdrant_rerank._internals import Table, score_points
from qdrant_rerank.expressions import parse_expression
from qdrant_rerank.learn import formula_from_model, from_model
from tests.engines import compared

from . import worlds

pytest.importorskip("sklearn", reason="needs scikit-learn")
pytest.importorskip("lightgbm", reason="needs lightgbm")
pytest.importorskip("xgboost", reason="needs xgboost")

from . import kinds  # the libraries that it imports may be absent

FIFTEEN = decimal.Context(prec=15)
TREES = ["decision tree", "hist gradient boosting", "lightgbm", "lightgbm zero as missing", "scaled lightgbm", "xgboost"]


def around(name: str) -> list[float]:
    """What a model's splits on the price compare with, and the numbers of 15 digits and the 32-bit floats next to it."""
    found = kinds.bounds(from_model(kinds.trained(name), worlds.NUMBERS), "price")
    near = [float(decimal.Decimal(bound).next_toward(side, FIFTEEN)) for bound in found for side in (-decimal.Decimal(99), 99)]
    rounded = [np.float32(bound) for bound in found]
    beside = [
        float(each) for one in rounded for each in (np.nextafter(one, np.float32(-99)), one, np.nextafter(one, np.float32(99)))
    ]
    return [*found, *near, *beside]


@pytest.fixture(scope="module", params=compared())
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    hit = [bound for name in TREES for bound in around(name)[::7]]
    with worlds.opened(request.param, worlds.payloads(hit)) as found:
        yield found


@pytest.mark.parametrize("name", kinds.NULLABLE)
def test_a_formula_predicts_what_the_model_predicts_where_values_are_missing(world: worlds.World, name: str) -> None:
    model = kinds.trained(name)
    expression = from_model(model, worlds.NUMBERS)

    expected = kinds.predicted(model, worlds.rows(world.payloads, world.scores))

    assert len(set(expected.round(9))) > 4
    np.testing.assert_allclose(world.computed(expression), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(world.rank(expression), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", kinds.FULL)
def test_a_formula_predicts_what_the_model_predicts_where_missing_values_have_a_default(world: worlds.World, name: str) -> None:
    model = kinds.trained(name)
    expression = from_model(model, worlds.FILLED)

    expected = kinds.predicted(model, worlds.rows(world.payloads, world.scores, price=1.25))

    assert len(set(expected.round(9))) > 4
    np.testing.assert_allclose(world.computed(expression), expected, rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(world.rank(expression), expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", [*TREES, "random forest classifier", "imputed, scaled gradient boosting", "xgboost dart"])
def test_every_threshold_is_exact_for_numbers_of_15_digits_and_32_bit_floats(name: str) -> None:
    model = kinds.trained(name)
    prices = [*around(name), math.nan]
    payloads = [{"price": None if math.isnan(price) else price, "rating": 1.5, "size": 2} for price in prices]
    x = worlds.rows(payloads, [0.25] * len(prices))
    table = Table(payloads, range(len(prices)), {None: x[:, 3]}, worlds.QUERY.params)

    found = score_points(from_model(model, worlds.NUMBERS), table)

    assert len(prices) > 6
    np.testing.assert_allclose(found, kinds.predicted(model, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["hist gradient boosting", "lightgbm", "xgboost", "imputed ridge", "clipped ridge"])
def test_a_formula_can_be_saved_and_read_anew(name: str) -> None:
    features = worlds.NUMBERS if name in kinds.NULLABLE else worlds.FILLED
    strategy = formula_from_model(kinds.trained(name), features).over(Nearest("dense", limit=100))

    assert from_json(to_json(strategy)) == strategy
    assert parse_expression(repr(strategy.expression)) == strategy.expression
