"""What a formula costs in Qdrant and here: what decides, and what is told."""

from __future__ import annotations

from dataclasses import replace

from qdrant_client import models

from qdrant_rerank import Formula, Nearest, Strategy, field, score
from qdrant_rerank._internals import PRICES, estimate, extent
from qdrant_rerank.expressions import Expression, raw, when
from qdrant_rerank.planning import Capabilities, Plan, plan
from tests.support import SCHEMA

SERVER = Capabilities((1, 18, 3))
FEW: Expression = 0.5 * score() + 0.1 * field("x", default=0.0)


def many_tests(count: int) -> Expression:
    """As a forest has them: many conditions on one key."""
    ranges = [models.FieldCondition(key="x", range=models.Range(lte=number / 7)) for number in range(count)]
    return sum((when(each, 0.25) for each in ranges), 0.5 * score())


def planned(strategy: Strategy, capabilities: Capabilities = SERVER, indexed: bool = True) -> Plan:
    indexes = {"x": models.PayloadSchemaType.FLOAT} if indexed else {}
    return plan(strategy, replace(SCHEMA, indexes=indexes), capabilities)


def over(expression: Expression) -> Formula:
    return Formula(expression).over(Nearest("dense", limit=100))


def codes(made: Plan) -> list[str]:
    return [warning.code for warning in made.warnings]


def test_a_large_formula_is_told_to_be_faster_here_and_a_small_one_is_not() -> None:
    made = planned(over(many_tests(1_000)))
    assert "faster-here" in codes(made)
    [told] = [warning for warning in made.warnings if "times as long" in warning]
    assert "for 100 candidates" in told
    assert ".on_client() computes it here" in told
    assert "faster-here" not in codes(planned(over(FEW)))
    assert "faster-here" not in codes(planned(over(FEW), indexed=False))  # of which another warning tells


def test_engines_in_process_are_sent_nothing_and_raw_parts_can_be_computed_in_qdrant_only() -> None:
    for capabilities in (Capabilities((1, 20, 0), "local"), Capabilities((1, 19, 2), "edge")):
        made = planned(over(many_tests(1_000)), capabilities)
        assert "faster-here" not in codes(made)
        assert made.describe().computed == ""
    only = planned(over(many_tests(1_000) + raw(models.AbsExpression(abs="x"))))
    assert "faster-here" not in codes(only)
    assert only.describe().computed == ""


def test_a_description_says_where_a_formula_is_computed_and_what_it_takes() -> None:
    there, here = planned(over(FEW)).describe(), planned(over(FEW).on_client()).describe()
    assert there.computed.startswith("in Qdrant: the formula takes about ")
    assert here.computed.startswith("here: the formula takes about ")
    assert f"computed     {there.computed}" in str(there)
    assert "computed" not in str(planned(Nearest("dense")).describe())
    unread = Formula(raw(models.AbsExpression(abs="$score"))).over(Nearest("dense", limit=50))
    assert planned(unread).describe().computed == ""
    local = planned(over(FEW).on_client(), Capabilities((1, 20, 0), "local"))
    assert local.describe().computed == "here"


def test_bytes_conditions_and_missing_indexes_cost_in_qdrant_and_candidates_and_nodes_here() -> None:
    size = extent(0.5)
    large = replace(size, bytes=100_000)
    asked = replace(size, conditions=100)
    base = estimate(size, 10, 100, 2)
    assert estimate(large, 10, 100, 2).in_qdrant > 100 * base.in_qdrant
    assert estimate(large, 10, 100, 2).here == base.here
    slow, quick = estimate(asked, 10, 100, 2, unindexed=2), estimate(asked, 10, 100, 2)
    assert slow.in_qdrant > 5 * quick.in_qdrant
    assert estimate(size, 10, 1_000, 2).here > 5 * base.here
    assert estimate(size, 10_000, 100, 2).here > 5 * base.here
    assert estimate(size, 10, 100, 0).in_qdrant == base.in_qdrant
    assert str(base) == "about 0.0 ms in Qdrant and 3.1 ms here for 100 candidates"


def test_each_price_has_its_source() -> None:
    assert all(price.microseconds > 0 and len(price.source) > 15 for price in PRICES.values())
