"""What formulas are compiled to, where the encoding matters."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import (
    QueryError,
    StrategyError,
    affinity,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    field,
    geo_distance,
    max_,
    now,
    param,
    score,
    sigmoid,
)
from qdrant_rerank._internals import CLIENT_HAS_MAX_MIN, Lowering, ScoreSource, Table, compute, lower
from qdrant_rerank.expressions import Expression, at_most_zero, constant, when
from qdrant_rerank.planning import Capabilities

SERVER = Capabilities((1, 20, 0))
OLD = Capabilities((1, 19, 0))
LOCAL = Capabilities((1, 20, 0), "local")


def lowered(expression: Expression, capabilities: Capabilities = SERVER, **more: Any) -> Any:
    candidates = more.pop("candidates", [ScoreSource("dense")])
    return lower(expression, Lowering(candidates, capabilities, **more))


def test_a_constant_travels_as_two_32_bit_floats_that_add_up_to_it() -> None:
    pair = lowered(constant(0.8)).sum

    assert pair == [float(np.float32(0.8)), float(np.float32(0.8 - float(np.float32(0.8))))]
    assert abs(sum(pair) - 0.8) < 1e-14
    assert lowered(constant(0.5)) == 0.5
    assert lowered(constant(0.8), LOCAL) == 0.8


@pytest.mark.parametrize("capabilities", [SERVER, LOCAL])
def test_constants_too_small_for_32_bits_are_0_on_every_engine(capabilities: Capabilities) -> None:
    assert lowered(constant(1e-40), capabilities) == 0.0


def test_a_field_with_a_default_is_read_only_where_it_is_one_number() -> None:
    read, default = lowered(field("x", 2.0)).sum

    number, single = read.mult[0].must
    assert number.range == models.Range(gte=-3.4e38, lte=3.4e38)
    assert single.values_count == models.ValuesCount(lte=1)
    assert read.mult[1] == "x"
    assert default.mult == [models.Filter(must_not=[read.mult[0]]), 2.0]


def test_a_field_without_a_default_is_the_bare_variable() -> None:
    assert lowered(field("x")) == "x"
    assert lowered(datetime_field("at")) == models.DatetimeKeyExpression(datetime_key="at")
    assert isinstance(lowered(geo_distance((1, 2), "place")), models.GeoDistance)


def test_distances_are_negated_so_that_higher_is_better() -> None:
    euclid = [ScoreSource("dense", is_distance=True), ScoreSource("sparse")]
    lowering = Lowering(euclid, SERVER)

    assert lower(score("dense", default=3.0), lowering) == models.NegExpression(neg="$score[0]")
    assert lower(score("sparse", default=0.25), lowering) == "$score[1]"
    assert lowering.defaults == {"$score[0]": -3.0, "$score[1]": 0.25}


def test_two_defaults_for_one_score_are_refused() -> None:
    two = [ScoreSource("dense"), ScoreSource("sparse")]
    with pytest.raises(StrategyError, match=r"score\('dense'\) has two different defaults"):
        lowered(score("dense", default=1.0) + score("dense", default=2.0), candidates=two)
    with pytest.raises(StrategyError, match=r"score\('dense'\) has two different defaults"):
        lowered(score("dense") + score("dense", default=2.0), candidates=two)


@pytest.mark.skipif(not CLIENT_HAS_MAX_MIN, reason="this qdrant-client can't send max and min")
def test_max_is_native_from_1_20_on_and_arithmetic_before() -> None:
    assert isinstance(lowered(max_(score(), 1.0)), models.MaxExpression)
    assert isinstance(lowered(max_(score(), 1.0), OLD), models.SumExpression)


def test_a_steep_linear_decay_is_arithmetic_because_clusters_refuse_it() -> None:
    assert isinstance(lowered(decay_lin(score(), scale=1.0)), models.LinDecayExpression)
    assert not isinstance(lowered(decay_lin(score(), scale=0.25)), models.LinDecayExpression)


def test_a_decay_whose_scale_32_bits_would_round_is_arithmetic() -> None:
    assert isinstance(lowered(decay_exp(score(), scale=0.5)), models.ExpDecayExpression)
    assert isinstance(lowered(decay_exp(score(), scale=0.3)), models.ExpExpression)


def test_now_is_the_time_of_the_query() -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert lowered(now(), now=moment) == models.DatetimeExpression(datetime="2026-01-02T03:04:05+00:00")
    assert lowered(now()).datetime[:2] == "20"


@pytest.mark.parametrize("capabilities", [SERVER, OLD])
@pytest.mark.parametrize("z", [-1e6, -800.0, -1.5, 0.0, 2.0, 800.0, 1e30])
def test_a_sigmoid_never_overflows(capabilities: Capabilities, z: float) -> None:
    from qdrant_client.hybrid.formula import evaluate_expression

    formula = lowered(sigmoid(param("z")), capabilities, params={"z": z})
    value = evaluate_expression(formula, 1, [{}], {}, {}, {})

    assert value == pytest.approx(1 / (1 + math.exp(-max(-80.0, min(80.0, z)))), rel=1e-9, abs=1e-34)


def test_only_the_categories_that_are_given_are_sent() -> None:
    formula = lowered(affinity("category", param="likes", default=0.5), params={"likes": {"a": 2.0, "b": 0.0, 7: -1.0}})

    weights = {term.mult[0].match.value: term.mult[1] for term in formula.sum[:-1]}
    assert weights == {"a": 2.0, 7: -1.0}
    others = formula.sum[-1].mult[0].must_not
    assert [condition.match.any for condition in others] == [["a", "b"], [7]]


def test_an_affinity_with_nothing_to_add_is_0() -> None:
    assert lowered(affinity("category", param="likes"), params={"likes": {}}) == 0.0
    assert lowered(affinity("category", param="likes", default=0.0)) == 0.0


def test_a_step_is_a_decay_that_is_exactly_1_or_0() -> None:
    from qdrant_client.hybrid.formula import evaluate_expression

    formula = lowered(at_most_zero(score() - 0.5))
    assert formula.model_dump(mode="json", exclude_none=True) == {
        "exp_decay": {"x": {"sum": [{"abs": {"sum": ["$score", -0.5]}}, {"sum": ["$score", -0.5]}]}, "scale": 1e-30}
    }
    assert lowered(at_most_zero(field("x"))).model_dump(mode="json", exclude_none=True) == {
        "exp_decay": {"x": {"sum": [{"abs": "x"}, "x"]}, "scale": 1e-30}
    }
    low = -0.29645977616310126  # whose difference to 0.85 rounds: added term by term, what cancels would leave 1e-16
    step = lowered(at_most_zero(score() - 0.8501582741737366))
    assert evaluate_expression(step, 1, [{1: low}], {}, {}, {}) == 1.0
    near = float(np.nextafter(np.float32(0.5), np.float32(1.0)))
    z = np.array([-1e38, -1.0, -1e-300, 0.0, 5.5e-28, near - 0.5, 1e38])
    expected = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert [math.exp(math.log(0.5) / 1e-30 * (abs(one) + one)) for one in z] == expected  # as engines compute it
    assert compute(at_most_zero(param("z")), Table([{}], [1], params={"z": 0.0})).tolist() == [1.0]
    assert compute(at_most_zero(param("z")), Table([{}], [1], params={"z": 1e-9})).tolist() == [0.0]


def test_a_sigmoid_of_what_is_bounded_holds_it_once_on_any_server() -> None:
    old = Capabilities((1, 18, 3))
    shop = models.FieldCondition(key="shop", match=models.MatchValue(value="ghent"))
    decays = decay_exp(field("x")) + decay_gauss(field("x")) + decay_lin(field("x"))
    nested = when(shop, -abs(constant(0.5)) * at_most_zero(score()), 2.0) + when(models.Filter(must=[shop]))
    wire = lowered(sigmoid(nested + decays + 600.0), old).model_dump_json()
    assert wire.count("$score") == 2
    for unbounded in (score(), nested + score(), nested * field("x"), nested + 800.0, nested * 0.0 * score() * 1e38 * 1e38):
        assert "abs" in lowered(sigmoid(unbounded), old).model_dump_json().partition("exp")[2]


@pytest.mark.parametrize(
    ("expression", "features", "message"),
    [
        (
            param("budget"),
            {"price": 1},
            r"needs the request-time value 'budget': pass params=\{'budget': …\}; given: 'price'",
        ),
        (param("budget"), {"budget": "ten"}, "'budget' must be a finite number, got 'ten'"),
        (param("budget"), {"budget": True}, "must be a finite number, got True"),
        (param("budget"), {"budget": math.inf}, "must be a finite number, got inf"),
        (param("budget"), {"budget": 1e39}, "must fit 32-bit floats, which end at 3.4e\\+38, got 1e\\+39"),
        (affinity("c", param="likes"), {}, "needs the request-time map 'likes'"),
        (affinity("c", param="likes"), {"likes": [1]}, r"must be a map of category to weight, got \[1\]"),
        (
            affinity("c", param="likes"),
            {"likes": {"a": "much"}},
            "the weight of 'a' in 'likes' must be a finite number, got 'much'",
        ),
        (affinity("c", param="likes"), {"likes": {1.5: 2}}, "must be text or whole numbers, got 1.5"),
        (geo_distance("here", "place"), {}, "needs the request-time place 'here'"),
        (geo_distance("here", "place"), {"here": (91, 0)}, r"'here' must be \(latitude, longitude\) in degrees, got \(91, 0\)"),
        (geo_distance("here", "place"), {"here": "Rome"}, "in degrees, got 'Rome'"),
    ],
)
def test_request_time_values_are_checked(expression: Expression, features: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        lowered(expression, params=features)
    with pytest.raises(QueryError, match=message):
        compute(expression, Table(payloads=[{}], ids=[1], params=features))


def test_numpy_numbers_are_request_time_values_too() -> None:
    assert lowered(param("budget"), params={"budget": np.float32(0.5)}) == 0.5
    assert lowered(param("budget"), params={"budget": np.int64(3)}) == 3.0


def test_an_older_local_mode_counts_the_members_of_a_place_so_the_second_place_is_asked_for_instead() -> None:
    old = Capabilities((1, 19, 0), "local")
    on_earth, second = lowered(geo_distance((1, 2), "spot", default=0.0), old).mult[0].must

    assert on_earth.should[0].geo_bounding_box.top_left == models.GeoPoint(lat=90, lon=-180)
    assert second.is_empty.key == "spot[1]"
    assert lowered(geo_distance((1, 2), "spot", default=0.0), LOCAL).mult[0].must[1].values_count.lte == 1
