"""Formulas: every expression scores as in local mode; large ones are translated quickly, and once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Nearest, Query, QueryError, SearchOptions, field, param, score, when
from qdrant_rerank._internals import Formulas
from qdrant_rerank.edge import EdgeClient, EngineError
from qdrant_rerank.errors import ClientError
from tests.edge.support import NAME, SIZE, assert_agree, edge_client, query_vectors

VECTOR = query_vectors()["dense"]
LEAF = models.Prefetch(query=VECTOR, using="dense", limit=SIZE)
SMALL = models.FieldCondition(key="number", range=models.Range(lt=20))
BERLIN = models.GeoPoint(lon=13.4, lat=52.5)


def decayed(**params: Any) -> models.DecayParamsExpression:
    return models.DecayParamsExpression(x="number", **params)


def when_here(inner: Any, *, otherwise: float = 0.0) -> models.SumExpression:
    """`inner` for points that have a place, else a number."""
    here = models.FieldCondition(key="place", geo_radius=models.GeoRadius(center=BERLIN, radius=2.1e7))
    single = models.FieldCondition(key="place", values_count=models.ValuesCount(lte=1))
    placed, not_placed = models.Filter(must=[here, single]), models.Filter(must_not=[models.Filter(must=[here, single])])
    terms: list[Any] = [models.MultExpression(mult=[placed, inner]), models.MultExpression(mult=[not_placed, otherwise])]
    return models.SumExpression(sum=terms)


EXPRESSIONS: dict[str, Any] = {
    "float": 0.5,
    "str": "number",
    "dotted key": "price.eur",
    "FieldCondition": SMALL,
    "IsEmptyCondition": models.IsEmptyCondition(is_empty=models.PayloadField(key="tag")),
    "IsNullCondition": models.IsNullCondition(is_null=models.PayloadField(key="tag")),
    "HasIdCondition": models.HasIdCondition(has_id=[1, 3]),
    "HasVectorCondition": models.HasVectorCondition(has_vector="late"),
    "SliceCondition": models.SliceCondition(slice=models.Slice(total=2, index=1)),
    "NestedCondition": models.NestedCondition(
        nested=models.Nested(
            key="items", filter=models.Filter(must=[models.FieldCondition(key="size", range=models.Range(gt=1))])
        )
    ),
    "Filter": models.Filter(must_not=[SMALL]),
    "GeoDistance": when_here(models.GeoDistance(geo_distance=models.GeoDistanceParams(origin=BERLIN, to="place"))),
    "DatetimeExpression": models.SumExpression(
        sum=[
            models.DatetimeExpression(datetime="2025-01-01T00:00:00Z"),
            models.NegExpression(neg=models.DatetimeExpression(datetime="2025-01-01")),
            "number",
        ]
    ),
    "DatetimeKeyExpression": models.DatetimeKeyExpression(datetime_key="absent"),
    "MultExpression": models.MultExpression(mult=["number", "$score", -0.02]),
    "SumExpression": models.SumExpression(sum=["number", "$score", 1]),
    "MaxExpression": models.MaxExpression(max=["number", 30.0]),
    "MinExpression": models.MinExpression(min=["number", 30.0, "$score"]),
    "NegExpression": models.NegExpression(neg="number"),
    "AbsExpression": models.AbsExpression(abs="$score"),
    "DivExpression": models.DivExpression(div=models.DivParams(left="$score", right="third", by_zero_default=7.5)),
    "SqrtExpression": models.SqrtExpression(sqrt="number"),
    "PowExpression": models.PowExpression(pow=models.PowParams(base="number", exponent=1.5)),
    "ExpExpression": models.ExpExpression(exp="$score"),
    "Log10Expression": models.Log10Expression(log10="number"),
    "LnExpression": models.LnExpression(ln="number"),
    "AcoshExpression": models.AcoshExpression(acosh=models.SumExpression(sum=["number", 1.0])),
    "LinDecayExpression": models.LinDecayExpression(lin_decay=decayed(target=20.0, scale=16.0)),
    "ExpDecayExpression": models.ExpDecayExpression(exp_decay=decayed(target="third", scale=8.0, midpoint=0.25)),
    "GaussDecayExpression": models.GaussDecayExpression(gauss_decay=decayed(scale=32.0)),
}
DEFAULTS = {"absent": "2025-01-01T00:00:00Z"}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_expression_scores_the_same(name: str, edge: EdgeClient, local: QdrantClient) -> None:
    query = models.FormulaQuery(formula=EXPRESSIONS[name], defaults=DEFAULTS)
    found = edge.query_points(NAME, query=query, prefetch=LEAF, limit=SIZE).points
    expected = local.query_points(NAME, query=query, prefetch=LEAF, limit=SIZE).points
    assert_agree(found, expected)
    assert len(found) == SIZE


def test_no_expression_is_left_out() -> None:
    assert {name.replace("StrictFloat", "float") for name in EXPRESSIONS} - {"dotted key"} == {
        getattr(kind, "__origin__", kind).__name__ for kind in get_args(models.Expression)
    }


def test_an_expression_scores_the_same_on_indexed_payload(tmp_path: Path, local: QdrantClient) -> None:
    indexes = {"number": "float", "third": "integer", "price.eur": "integer", "place": "geo", "tag": "keyword"}
    with edge_client(tmp_path) as client:
        for key, kind in indexes.items():
            client.create_payload_index(NAME, key, kind)  # type: ignore[arg-type]
        for one in EXPRESSIONS.values():
            query = models.FormulaQuery(formula=one, defaults=DEFAULTS)
            found = client.query_points(NAME, query=query, prefetch=LEAF, limit=SIZE).points
            assert_agree(found, local.query_points(NAME, query=query, prefetch=LEAF, limit=SIZE).points)


def large(nodes: int) -> models.FormulaQuery:
    """A formula of so many nodes, built as the compiler builds one."""
    terms: list[Any] = [
        models.MultExpression.model_construct(mult=["number", models.SumExpression.model_construct(sum=[float(n), 0.5])])
        for n in range(nodes // 5)
    ]
    return models.FormulaQuery.model_construct(formula=models.SumExpression.model_construct(sum=terms), defaults={})


def calls_to_translate(query: models.FormulaQuery) -> int:
    """How many functions, Python's and C's, are called until the query is translated."""
    formulas, calls = Formulas(), 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        formulas.translate(query)
    finally:
        sys.setprofile(before)
    return calls


def test_ten_thousand_nodes_take_ten_times_the_work_of_a_thousand_and_little_each(edge: EdgeClient) -> None:
    query = large(10_000)
    calls = calls_to_translate(query)
    assert calls < 12 * calls_to_translate(large(1_000))
    assert calls < 20 * 10_000
    assert len(edge.query_points(NAME, query=query, prefetch=LEAF, limit=3).points) == 3


def test_one_formula_object_is_translated_once_and_the_oldest_is_forgotten() -> None:
    formulas = Formulas(queries=2)
    first, second, third = large(10), large(20), large(30)
    translated = formulas.translate(first)
    formulas.translate(second)
    assert formulas.translate(first) is translated  # used again, so the second is the oldest
    formulas.translate(third)
    assert formulas.translate(first) is translated
    assert formulas.translate(large(10)) is not translated
    assert len(formulas.queries) == 2


def test_a_formula_stage_is_translated_once_for_all_queries(edge: EdgeClient) -> None:
    strategy = Formula(score() + 0.1 * field("number", default=0) + when(SMALL)).over(Nearest("dense", limit=20))
    formulas = retrieved(Executor(edge, NAME), edge, strategy, [{}, {}, {}])
    assert len(formulas.queries) == 1


def test_parts_without_request_time_values_are_translated_once(edge: EdgeClient, local: QdrantClient) -> None:
    fixed = 0.1 * field("number", default=0) + when(SMALL, 2.0, -1.0)
    strategy = Formula(param("weight") * score() + fixed).over(Nearest("dense", limit=20))
    features = [{"weight": float(weight)} for weight in (1, 2, 3, 4)]
    executor = Executor(edge, NAME)
    formulas = retrieved(executor, edge, strategy, features[:2])
    parts = len(formulas.parts)
    assert parts > 0
    retrieved(executor, edge, strategy, features[2:], formulas)
    assert len(formulas.queries) == 4
    assert len(formulas.parts) == parts
    executors = [executor, Executor(local, NAME)]
    for given_now in features:
        found, expected = (one.retrieve(strategy, Query(vectors=query_vectors(3), params=given_now)) for one in executors)
        assert_agree(found, expected, 10)


def retrieved(
    executor: Executor, edge: EdgeClient, strategy: Formula, features: list[dict[str, float]], known: Formulas | None = None
) -> Formulas:
    """The translations that are kept after a query for each of these request-time values."""
    shard = edge._folder.shard(NAME)
    shard.formulas = Formulas() if known is None else known
    for seed, given_now in enumerate(features):
        executor.retrieve(strategy, Query(vectors=query_vectors(seed), params=given_now), SearchOptions(limit=5))
    return shard.formulas


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (models.SumExpression.model_construct(sum=[True]), "no expression bool: True"),
        (models.SumExpression.model_construct(sum=[None]), "no expression NoneType"),
        (models.MultExpression.model_construct(mult=["$foo"]), r"refused the formula.*reserved word: \$foo"),
        (models.DatetimeExpression(datetime="noon"), "refused the formula.*date-time noon"),
        (models.ExpDecayExpression(exp_decay=decayed(scale=0.0)), "refused the formula.*scale"),
    ],
)
def test_a_wrong_formula_is_an_error_that_names_what_is_wrong(edge: EdgeClient, wrong: Any, message: str) -> None:
    with pytest.raises((QueryError, ClientError), match=message):
        edge.query_points(NAME, query=models.FormulaQuery.model_construct(formula=wrong), prefetch=LEAF)


def test_a_formula_without_a_result_says_what_may_be_to_blame(edge: EdgeClient) -> None:
    with pytest.raises(EngineError, match=r"no result for some candidate.*isn't one number.*Give the fields defaults"):
        edge.query_points(NAME, query=models.FormulaQuery(formula="tag"), prefetch=LEAF)


def test_an_absurdly_deep_formula_is_an_error_rather_than_a_crash(edge: EdgeClient) -> None:
    deep: Any = "number"
    for _ in range(50_000):
        deep = models.NegExpression.model_construct(neg=deep)
    with pytest.raises(QueryError, match="nested too deep"):
        edge.query_points(NAME, query=models.FormulaQuery.model_construct(formula=deep), prefetch=LEAF)
