"""What a model's formula compares with comes through JSON: a server reads numbers of 16 and 17 digits inexactly over REST."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import models
from qdrant_client.hybrid.formula import evaluate_expression

from qdrant_rerank._internals import DIGITS, Lowering, ScoreSource, digits, lower
from qdrant_rerank.expressions import Expression
from qdrant_rerank.learn import from_model
from qdrant_rerank.learn._internals import bounds
from qdrant_rerank.planning import Capabilities

from . import worlds

numbers = st.floats(1e-6, 1e15) | st.floats(-1e15, -1e-6) | st.integers(-999, 999).map(lambda cents: cents / 100)


def short(number: float) -> float:
    """The number to 15 digits."""
    return float(f"{number:.14e}")


def near(number: float) -> list[float]:
    """Numbers of at most 15 digits and 32-bit floats, as near to a number as there are."""
    single = np.float32(number)
    step = 10.0 ** (math.floor(math.log10(abs(number) or 1.0)) - DIGITS + 1)
    singles = [np.nextafter(single, np.float32(-np.inf)), single, np.nextafter(single, np.float32(np.inf))]
    return [*map(float, singles), *(short(short(number) + times * step) for times in (-2, -1, 0, 1, 2))]


def meets(value: float, within: dict[str, float]) -> bool:
    compared = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
    return all(compared[name](bound) for name, bound in within.items())


@given(numbers)
def test_a_bound_has_15_digits_and_parts_the_numbers_that_have_no_more_and_32_bit_floats(bound: float) -> None:
    below, above = bounds(-math.inf, bound), bounds(bound, math.inf)
    assert all(digits(number) <= DIGITS for number in (*below.values(), *above.values()))
    for value in [*near(bound), *([bound] if digits(bound) <= DIGITS else [])]:
        assert meets(value, below) == (value <= bound)
        assert meets(value, above) == (value > bound)


@given(numbers)
def test_a_single_number_is_within_its_bounds(number: float) -> None:
    alone = bounds(math.nextafter(number, -math.inf), number)
    assert meets(number, alone)
    assert [value for value in near(number) if meets(value, alone)] == [value for value in near(number) if value == number]


def test_bounds_that_are_short_already_are_kept() -> None:
    assert bounds(2.5, 7.25) == {"gt": 2.5, "lte": 7.25}
    assert bounds(math.nextafter(3, 0), math.nextafter(4, 0)) == {"gte": 3.0, "lt": 4.0}
    assert bounds(-math.inf, math.inf) == {}
    assert bounds(1.7e308, 1.7976931348623157e308)["gt"] == 1.7e308


class Inexact:
    """A server's reading of JSON: numbers of 16 digits and more come out one unit in the last place off, either way."""

    def __init__(self, seed: int) -> None:
        self._chosen = random.Random(seed)

    def read(self, text: str) -> Any:
        return json.loads(text, parse_float=self._float)

    def _float(self, text: str) -> float:
        number = float(text)
        if digits(number) <= DIGITS:
            return number
        return math.nextafter(number, self._chosen.choice([-math.inf, math.inf]))


def single(value: Any) -> Any:
    """A formula with its constants as 32-bit floats, as engines keep them; bounds of ranges stay as they are."""
    if isinstance(value, list):
        return [single(each) for each in value]
    if isinstance(value, dict):
        return {key: each if key in ("range", "match", "origin") else single(each) for key, each in value.items()}
    return float(np.float32(value)) if isinstance(value, float) else value


def scored(formula: Any, payloads: list[dict[str, Any]]) -> list[float]:
    query = models.FormulaQuery.model_validate({"formula": single(formula)})
    return [evaluate_expression(query.formula, row, [{row: 0.25}], payload, {}, {}) for row, payload in enumerate(payloads)]


def sent(expression: Expression) -> str:
    """The formula as JSON, as a server before 1.20 gets it."""
    to = Lowering([ScoreSource("dense")], Capabilities((1, 18, 3)), worlds.QUERY.params)
    query = models.FormulaQuery.model_construct(formula=lower(expression, to), defaults=to.defaults)
    return json.dumps(json.loads(query.model_dump_json(exclude_none=True))["formula"])


@pytest.mark.parametrize(
    "name",
    [
        "gradient boosting", "hist gradient boosting", "lightgbm zero as missing", "scaled lightgbm", "xgboost", "logistic",
    ],
)  # fmt: skip
def test_a_model_means_the_same_to_a_server_that_reads_numbers_inexactly(name: str) -> None:
    for library in ("sklearn", "lightgbm", "xgboost"):
        pytest.importorskip(library, reason=f"needs {library}")
    from . import kinds

    features = worlds.NUMBERS if name in kinds.NULLABLE else worlds.FILLED
    expression = from_model(kinds.trained(name), features)
    hit = [value for bound in kinds.bounds(expression, "price")[:2] for value in near(bound)]
    payloads = [{"price": price, "rating": row % 6 / 2, "size": row % 9 - 4.0} for row, price in enumerate([*hit, 0.1, 4.25])]
    text = sent(expression)
    exact = scored(json.loads(text), payloads)
    assert len(set(exact)) > 1
    for seed in range(2):
        assert scored(Inexact(seed).read(text), payloads) == exact
    assert all(digits(bound) <= DIGITS for bound in _ranges(json.loads(text)))


def _ranges(value: Any) -> list[float]:
    """All bounds of ranges within a formula."""
    if isinstance(value, list):
        return [found for each in value for found in _ranges(each)]
    if isinstance(value, dict):
        own = [bound for bound in value.get("range", {}).values() if isinstance(bound, float)]
        return [*own, *(found for each in value.values() for found in _ranges(each))]
    return []
