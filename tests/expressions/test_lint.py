"""What a plan warns about, and what it refuses because every server would."""

from __future__ import annotations

import datetime as dt
import pickle
import re
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    Strategy,
    datetime_field,
    field,
    geo_distance,
    now,
    param,
    score,
    sigmoid,
    when,
)
from qdrant_rerank._internals import Extent, Lint, extent, extent_problems, extent_warnings, payload_keys
from qdrant_rerank.expressions import raw
from qdrant_rerank.planning import Capabilities, Plan, Schema, Target, VectorInfo, plan

SCHEMA = Schema(
    "docs", {"dense": VectorInfo("dense", 4, models.Distance.COSINE), "bm25": VectorInfo("sparse", idf=True)}, points=9
)
SERVER = Capabilities((1, 20, 0))
CANDIDATES = Nearest("dense", limit=50), Nearest("bm25", limit=50)


def planned(strategy: Any, schema: Schema = SCHEMA, options: SearchOptions | None = None) -> Plan:
    return plan(strategy, schema, SERVER, options)


def codes(made: Plan) -> list[str]:
    return [warning.code for warning in made.warnings]


def test_an_unindexed_field_is_warned_about_on_servers_but_not_in_local_mode() -> None:
    formula = Formula(score() + field("rating", 0.0)).over(CANDIDATES[0])

    [warning] = planned(formula).warnings
    assert warning.code == "unindexed-field"
    assert "'rating' has no payload index" in warning
    assert "of type float" in warning
    assert plan(formula, SCHEMA, Capabilities((1, 20, 0), "local")).warnings == ()
    assert codes(planned(formula, replace(SCHEMA, indexes={"rating": models.PayloadSchemaType.FLOAT}))) == []


def test_strict_mode_makes_it_an_error() -> None:
    strict = models.StrictModeConfigOutput(enabled=True, unindexed_filtering_retrieve=False)
    with pytest.raises(PlanError, match="is in strict mode, which demands a payload index on 'rating'"):
        planned(Formula(score() + field("rating", 0.0)).over(CANDIDATES[0]), replace(SCHEMA, strict=strict))


def test_an_integer_index_under_a_number_is_warned_about_and_a_keyword_index_refused() -> None:
    formula = Formula(field("rating", 0.0)).over(CANDIDATES[0])
    assert codes(planned(formula, replace(SCHEMA, indexes={"rating": models.PayloadSchemaType.INTEGER}))) == ["integer-index"]
    with pytest.raises(PlanError, match="keyword index on it, which hides numbers"):
        planned(formula, replace(SCHEMA, indexes={"rating": models.PayloadSchemaType.KEYWORD}))


@pytest.mark.parametrize("index", ["keyword", "bool", "datetime", "geo", "uuid"])
def test_an_index_that_hides_numbers_is_refused_under_a_number(index: str) -> None:
    with pytest.raises(PlanError, match=f"has a {index} index on it, which hides numbers"):
        planned(
            Formula(field("x", default=0)).over(*CANDIDATES), replace(SCHEMA, indexes={"x": models.PayloadSchemaType(index)})
        )


AT = datetime_field("at", default=dt.datetime(2020, 1, 1))
INSTEAD = [
    (field("at", default=0), "datetime", "read it by datetime_field('at', default=…), or, if it holds numbers, replace it"),
    (field("at", default=0), "geo", "read it by geo_distance(…, 'at', default=…), or, if it holds numbers, replace it"),
    (AT, "integer", "read it by field('at', default=…), or, if it holds dates, replace it by a datetime index"),
    (AT, "bool", "from formulas: replace it by a datetime index"),
]


@pytest.mark.parametrize(("read", "index", "instead"), INSTEAD)
def test_an_index_tells_the_function_that_reads_what_it_keeps(read: Any, index: str, instead: str) -> None:
    indexes = {"at": models.PayloadSchemaType(index)}
    with pytest.raises(PlanError, match=re.escape(instead)):
        planned(Formula(score() + read).over(CANDIDATES[0]), replace(SCHEMA, indexes=indexes))


@pytest.mark.parametrize("index", ["float", "integer", "bool", "geo", "uuid"])
def test_an_index_that_hides_dates_is_refused_under_a_date(index: str) -> None:
    dated = Formula(now() - datetime_field("at", default=dt.datetime(2020, 1, 1))).over(CANDIDATES[0])
    indexes = {"at": models.PayloadSchemaType(index)}
    with pytest.raises(
        PlanError, match=rf"datetime_field\('at'\) reads a date, .* has an? {index} index on it, which hides dates"
    ):
        planned(dated, replace(SCHEMA, indexes=indexes))
    between = models.Filter(must=[models.FieldCondition(key="at", range=models.DatetimeRange(gt=dt.datetime(2020, 1, 1)))])
    for strategy in (Nearest("dense", filter=between), Formula(score() + when(between)).over(CANDIDATES[0])):
        if index in ("float", "integer"):
            with pytest.raises(
                PlanError, match=r"asks for dates at 'at', but .* which hides dates: replace it by a datetime index"
            ):
                planned(strategy, replace(SCHEMA, indexes=indexes))
        else:
            planned(strategy, replace(SCHEMA, indexes=indexes))


@pytest.mark.parametrize("index", ["float", "integer", "keyword", "datetime", "bool", "uuid"])
def test_an_index_that_hides_places_is_refused_under_a_place(index: str) -> None:
    near = Formula(geo_distance((46, 8), "place", default=0)).over(CANDIDATES[0])
    with pytest.raises(PlanError, match=rf"geo_distance\(…, 'place'\) reads a place, .* has an? {index} index on it"):
        planned(near, replace(SCHEMA, indexes={"place": models.PayloadSchemaType(index)}))


@pytest.mark.parametrize(
    ("key", "index"), [("at", "keyword"), ("at", "text"), ("at", "datetime"), ("place", "text"), ("place", "geo")]
)
def test_an_index_that_hides_nothing_is_fine(key: str, index: str) -> None:
    read = datetime_field("at", dt.datetime(2020, 1, 1)) if key == "at" else geo_distance((46, 8), "place", default=0)
    assert (
        codes(planned(Formula(read).over(CANDIDATES[0]), replace(SCHEMA, indexes={key: models.PayloadSchemaType(index)}))) == []
    )


def test_an_integer_index_for_matches_alone_is_refused_under_a_number() -> None:
    matches = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False)
    schema = replace(SCHEMA, indexes={"x": models.PayloadSchemaType.INTEGER}, index_params={"x": matches})
    with pytest.raises(PlanError, match="made without range=True, so that values with decimals fail the query"):
        planned(Formula(field("x", default=0)).over(CANDIDATES[0]), schema)
    dates = models.Filter(must=[models.FieldCondition(key="x", range=models.DatetimeRange(gt=dt.datetime(2020, 1, 1)))])
    planned(Nearest("dense", filter=dates), schema)  # which this index doesn't answer


def test_numbers_in_conditions_are_refused_over_a_datetime_index_and_fine_over_others() -> None:
    above = models.FieldCondition(key="x", range=models.Range(gt=1))
    asked = Formula(score() + raw(models.MultExpression(mult=[above, 2.0]))).over(CANDIDATES[0])
    with pytest.raises(PlanError, match=r"asks for numbers at 'x', but .* has a datetime index on it"):
        planned(asked, replace(SCHEMA, indexes={"x": models.PayloadSchemaType.DATETIME}))
    planned(asked, replace(SCHEMA, indexes={"x": models.PayloadSchemaType.KEYWORD}))


def test_a_phrase_over_an_index_that_knows_none_is_refused() -> None:
    phrase = models.Filter(must=[models.FieldCondition(key="t", match=models.MatchPhrase(phrase="a b"))])
    text = replace(SCHEMA, indexes={"t": models.PayloadSchemaType.TEXT})
    knowing = replace(text, index_params={"t": models.TextIndexParams(type=models.TextIndexType.TEXT, phrase_matching=True)})
    for strategy, options in (
        (Nearest("dense", filter=phrase), SearchOptions()),
        (Nearest("dense"), SearchOptions(filter=phrase)),
    ):
        with pytest.raises(PlanError, match=r"asks for a phrase at 't', but .* knows no phrases, so that nothing matches"):
            planned(strategy, text, options)
        planned(strategy, knowing, options)


def test_numbers_that_a_server_reads_inexactly_over_rest_are_warned_about() -> None:
    both = Formula(score("dense", default=0.1 + 0.2) + score("bm25", default=0.3) + (0.1 + 0.2)).over(*CANDIDATES)
    [warning] = planned(both).warnings
    assert warning.code == "inexact-number"
    assert "the default of score('dense') is 0.30000000000000004" in warning
    assert "it may be off by 6e-17 there; over gRPC it is exact" in warning
    near = Formula(geo_distance((46.123456789012345, 8.0), "place", default=0)).over(CANDIDATES[0])
    places = replace(SCHEMA, indexes={"place": models.PayloadSchemaType.GEO})
    assert codes(planned(near, places)) == ["inexact-number"]
    assert plan(both, SCHEMA, Capabilities((1, 20, 0), "edge")).warnings == ()


def test_what_raw_expressions_and_nested_conditions_read_is_looked_at() -> None:
    size = models.FieldCondition(key="size", range=models.Range(gte=1))
    nested = models.NestedCondition(nested=models.Nested(key="items", filter=models.Filter(must=[size])))
    place = models.GeoDistanceParams(origin=models.GeoPoint(lat=1, lon=2), to="place")
    expression = raw(
        models.SumExpression(
            sum=[
                "$score",
                1.0,
                models.MultExpression(mult=[models.FieldCondition(key="tag", match=models.MatchValue(value="a")), "price"]),
                models.LinDecayExpression(
                    lin_decay=models.DecayParamsExpression(
                        x=models.DatetimeKeyExpression(datetime_key="at"),
                        target=models.DatetimeExpression(datetime="2025-01-01T00:00:00Z"),
                    )
                ),
                models.GeoDistance(geo_distance=place),
                nested,
            ]
        )
    )
    kinds = {key.key: (key.index and key.index.value, key.has_default) for key in payload_keys(expression)}
    assert kinds == {
        "tag": ("keyword", True),
        "price": (None, False),
        "at": ("datetime", False),
        "place": ("geo", False),
        "items[].size": ("float", True),
    }


def test_a_limit_of_the_outermost_stage_is_warned_about() -> None:
    assert codes(planned(Nearest("dense", limit=20))) == ["limit-ignored"]


EXACT = SearchOptions(limit=5, search_params=models.SearchParams(exact=True))


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Formula(score()).over(Nearest("dense")), True),
        (Formula(score()).over(Nearest("dense")).on_client(), True),
        (Fusion.rrf().over(Nearest("dense"), Nearest("bm25")), True),
        (Rerank(reads=5).over(Fusion.rrf().over(Nearest("dense"), Nearest("bm25"))), True),
        (Rerank(reads=5).over(Nearest("dense")), False),
        (RelevanceFeedback(seeds=Nearest("dense", limit=3), coefficients=Coefficients(1, 0, 0)), False),
        (Nearest("dense").over(Nearest("bm25")), False),
        (Nearest("dense"), False),
    ],
)
def test_a_calls_search_params_are_told_where_the_final_stage_searches_nothing(strategy: Strategy, expected: bool) -> None:
    assert ("search-params-ignored" in codes(planned(strategy, options=EXACT))) == expected
    assert "search-params-ignored" not in codes(planned(strategy, options=SearchOptions(limit=5)))


def test_formulas_deeper_than_servers_take_are_refused() -> None:
    deep = score()
    for _ in range(30):
        deep = sigmoid(deep)
    with pytest.raises(PlanError, match=r"the formula is \d+ levels deep as JSON, and servers take about 120"):
        planned(Formula(deep).over(CANDIDATES[0]).on_server())


def test_absurdly_deep_formulas_are_refused_before_they_are_compiled() -> None:
    deep = score()
    for _ in range(20_000):
        deep = sigmoid(deep)
    with pytest.raises(PlanError, match="the formula is 20001 levels deep; servers take fewer than 150"):
        planned(Formula(deep).over(CANDIDATES[0]))


def test_sigmoids_in_sigmoids_are_refused_where_an_old_server_would_get_each_operand_three_times() -> None:
    deep = score()
    for _ in range(14):
        deep = sigmoid(deep)
    old = Capabilities((1, 19, 0))
    with pytest.raises(PlanError, match=r"nodes, more than .* MB as JSON"):
        plan(Formula(deep).over(CANDIDATES[0]).on_server(), SCHEMA, old)
    assert plan(Formula(deep).over(CANDIDATES[0]), SCHEMA, old).warnings == ()  # computed here by itself


def test_formulas_too_deep_for_grpc_alone_are_warned_about() -> None:
    deep = score()
    for _ in range(35):
        deep = 2.0 * -deep
    assert extent_of(deep).json_depth <= 120
    assert codes(planned(Formula(deep).over(CANDIDATES[0]))) == ["deep-formula"]


def test_they_are_refused_where_the_client_speaks_grpc() -> None:
    deep = score()
    for _ in range(35):
        deep = 2.0 * -deep
    strategy = Formula(deep).over(CANDIDATES[0])
    size = extent_of(deep)
    assert list(extent_problems(size)) == list(extent_warnings(size, grpc=True)) == []
    target = Target(SCHEMA, SERVER, grpc=True)
    [problem] = strategy.resolve(SCHEMA).problems(target)
    assert problem.startswith(f"the formula is {size.grpc_depth} levels deep, and gRPC, which this client sends searches over")


def extent_of(expression: Any) -> Extent:
    from qdrant_rerank._internals import Lowering, ScoreSource, lower

    return extent(lower(expression, Lowering([ScoreSource("dense")], SERVER)))


def test_a_request_over_32_megabytes_is_refused() -> None:
    [problem] = extent_problems(Extent(3, 3, 2_000_000))
    assert problem == (
        "the formula has 2,000,000 nodes, more than 45 MB as JSON; a request may have 32 MB: "
        "Formula(…).over(…).on_client() computes it here, whatever its size"
    )


def large(conditions: int, key: str = "k") -> Any:
    """An expression of so many conditions."""
    return sum(
        (when(models.FieldCondition(key=key, match=models.MatchValue(value=n))) for n in range(conditions)), start=score()
    )


def test_a_formula_over_the_budget_is_warned_about_with_the_way_out() -> None:
    local = Capabilities((1, 20, 0), "local")

    def warned(expression: Any) -> list[Lint]:
        return list(plan(Formula(expression).over(CANDIDATES[0]), SCHEMA, local).warnings)

    assert warned(large(1500)) == []
    [warning] = warned(large(1501))
    assert warning.code == "large-formula"
    assert "1,501 conditions" in warning
    assert ".on_client() computes it here" in warning
    assert "servers refuse" not in warning
    assert warned(large(1000)) == []
    [warning] = warned(large(1000, "k" * 300))
    assert warning.startswith("the formula has 1,000 conditions and about 3")
    assert plan(Formula(large(1501)).over(CANDIDATES[0]).on_client(), SCHEMA, local).warnings == ()


def test_a_large_formula_is_told_when_a_server_would_refuse_its_bytes() -> None:
    [warning] = extent_warnings(Extent(3, 3, 1000, 10, 0, 33 * 2**20))
    assert "and servers refuse requests of more than 32 MB" in warning


def test_a_formula_is_compiled_and_measured_once_for_both_problems_and_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[object] = []

    def counted(formula: Any) -> Extent:
        measured.append(formula)
        return extent(formula)

    monkeypatch.setattr("qdrant_rerank.stages.formula.extent", counted)
    strategy = Formula(sigmoid(score()) + param("x")).over(CANDIDATES[0]).resolve(SCHEMA)
    target = Target(SCHEMA, SERVER)
    for _ in range(3):
        assert list(strategy.own_problems(target)) == []
        assert list(strategy.own_warnings(target)) == []
    assert len(measured) == 1


def test_a_lint_is_text_that_survives_pickling_with_its_code() -> None:
    lint = pickle.loads(pickle.dumps(Lint("a-code", "the text")))
    assert (lint, lint.code) == ("the text", "a-code")


def test_filters_deeper_than_servers_take_are_refused() -> None:
    deep = models.Filter(must=[models.HasIdCondition(has_id=[1])])
    for _ in range(60):
        deep = models.Filter(must=[deep])
    for strategy, options in ((Nearest("dense", filter=deep), SearchOptions()), (Nearest("dense"), SearchOptions(filter=deep))):
        with pytest.raises(PlanError, match=r"a filter is \d+ levels deep as JSON, and servers take about 120: nest less"):
            planned(strategy, options=options)


def test_a_raw_decay_that_breaks_between_the_nodes_of_a_cluster_is_warned_about() -> None:
    def decay(**params: float) -> Formula:
        linear = models.LinDecayExpression(lin_decay=models.DecayParamsExpression(x="$score", **params))
        return Formula(raw(models.SumExpression(sum=[linear, 1.0]))).over(CANDIDATES[0])

    assert codes(planned(decay(scale=0.1))) == codes(planned(decay(scale=0.2, midpoint=0.5))) == ["steep-decay"]
    assert codes(planned(decay(scale=10.0))) == codes(planned(decay())) == []
