"""Conditions select the same points in the Rust engine as in local mode."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from qdrant_rerank import QueryError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError
from tests.edge.support import NAME, SIZE, point_id

LINE = models.GeoLineString
UTC = dt.UTC


def place(lon: float, lat: float) -> models.GeoPoint:
    return models.GeoPoint(lon=lon, lat=lat)


def key(name: str, **clause: Any) -> models.FieldCondition:
    return models.FieldCondition(key=name, **clause)


def selected(client: QdrantClient, filter: models.Filter) -> set[Any]:
    records, following = client.scroll(NAME, scroll_filter=filter, limit=SIZE, with_payload=False)
    assert following is None
    return {record.id for record in records}


MATCHES: list[Any] = [
    models.MatchValue(value="news"),
    models.MatchValue(value=7),
    models.MatchValue(value=1),
    models.MatchValue(value=0),
    models.MatchValue(value=True),
    models.MatchValue(value=False),
    models.MatchAny(any=["news", "blog"]),
    models.MatchAny(any=[7, 1]),
    models.MatchAny(any=[]),
    models.MatchExcept(**{"except": ["news"]}),
    models.MatchExcept(**{"except": [7, 1]}),
    models.MatchExcept(**{"except": []}),
    models.MatchText(text="quick fox"),
    models.MatchText(text=""),
    models.MatchText(text="café"),
    models.MatchTextAny(text_any="fox dog"),
    models.MatchPhrase(phrase="brown fox"),
    models.MatchPhrase(phrase="fox brown"),
    models.MatchPrefix(prefix="ne"),
    models.MatchSubstring(substring="lo"),
]
RANGES: list[Any] = [
    models.Range(gt=0),
    models.Range(gte=0, lt=2.5),
    models.Range(lte=-0.5),
    models.Range(),
    models.Range(gte=-3.4e38, lte=3.4e38),
    models.DatetimeRange(gte=dt.datetime(2025, 1, 1, tzinfo=UTC)),
    models.DatetimeRange(gt=dt.datetime(2025, 1, 1), lt=dt.datetime(2025, 7, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))),
    models.DatetimeRange(lte=dt.date(2025, 1, 1)),
    models.DatetimeRange(gte=dt.datetime(1, 1, 1, tzinfo=UTC)),
]
COUNTS = [models.ValuesCount(gte=1), models.ValuesCount(lt=1), models.ValuesCount(gt=1, lte=2), models.ValuesCount(lte=1)]
SQUARE = [place(0, 45), place(0, 60), place(20, 60), place(20, 45), place(0, 45)]
HOLE = [place(13, 52), place(13, 53), place(14, 53), place(14, 52), place(13, 52)]
PLACED: list[dict[str, Any]] = [
    {"geo_radius": models.GeoRadius(center=place(13.4, 52.5), radius=1000.0)},
    {"geo_radius": models.GeoRadius(center=place(13.4, 52.5), radius=2.1e7)},
    {"geo_bounding_box": models.GeoBoundingBox(top_left=place(-1, 60), bottom_right=place(14, 50))},
    {"geo_bounding_box": models.GeoBoundingBox(top_left=place(170, 60), bottom_right=place(-170, -50))},
    {"geo_polygon": models.GeoPolygon(exterior=LINE(points=SQUARE))},
    {"geo_polygon": models.GeoPolygon(exterior=LINE(points=SQUARE), interiors=[LINE(points=HOLE)])},
]
KEYS = ["text", "tag", "n", "flag", "time", "place", "items", "absent", "price.eur", "items[].size", "items[].color", "price"]
RED = models.MatchValue(value="red")
PLAIN: dict[str, list[Any]] = {
    "match": [key(name, match=match) for name in KEYS for match in MATCHES],
    "range": [key(name, range=bounds) for name in KEYS for bounds in RANGES],
    "values_count": [key(name, values_count=count) for name in KEYS for count in COUNTS],
    "place": [key(name, **clause) for name in ("place", "n", "absent") for clause in PLACED],
    "is_empty": [key(name, is_empty=wanted) for name in KEYS for wanted in (True, False)],
    "is_null": [key(name, is_null=wanted) for name in KEYS for wanted in (True, False)],
    "IsEmptyCondition": [models.IsEmptyCondition(is_empty=models.PayloadField(key=name)) for name in KEYS],
    "IsNullCondition": [models.IsNullCondition(is_null=models.PayloadField(key=name)) for name in KEYS],
    "HasIdCondition": [
        models.HasIdCondition(has_id=[1, point_id(2), 3, 999]),
        models.HasIdCondition(has_id=[str(point_id(2)).upper(), uuid.UUID(str(point_id(4))), f"urn:uuid:{point_id(6)}"]),
        models.HasIdCondition(has_id=[]),
    ],
    "HasVectorCondition": [models.HasVectorCondition(has_vector=name) for name in ("late", "idf", "dense")],
    "SliceCondition": [models.SliceCondition(slice=models.Slice(total=3, index=index)) for index in range(3)],
    "NestedCondition": [
        models.NestedCondition(nested=models.Nested(key=name, filter=inner))
        for name in ("items", "items[]", "tag")
        for inner in (
            models.Filter(
                must=[key("size", match=models.MatchValue(value=5)), key("color", match=models.MatchValue(value="red"))]
            ),
            models.Filter(must_not=[key("color", match=RED)]),
            models.Filter(must=key("size", range=models.Range(gt=1))),
        )
    ],
}


@pytest.mark.parametrize("kind", PLAIN)
def test_every_condition_selects_the_same_points(kind: str, edge: EdgeClient, local: QdrantClient) -> None:
    differing = []
    for condition in PLAIN[kind]:
        asked = models.Filter(must=[condition])
        found, expected = selected(edge, asked), selected(local, asked)
        if found != expected:
            differing.append((condition, found - expected, expected - found))
    assert not differing


def test_no_kind_of_condition_is_left_out() -> None:
    kinds = {type(condition) for conditions in PLAIN.values() for condition in conditions} | {models.Filter}
    assert kinds == set(get_args(models.Condition))
    assert {type(match) for match in MATCHES} == set(get_args(models.Match))
    assert {type(bounds) for bounds in RANGES} == set(get_args(models.RangeInterface))


def conditions() -> st.SearchStrategy[Any]:
    return st.sampled_from([condition for some in PLAIN.values() for condition in some])


def filters(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[models.Filter]:
    several = st.none() | inner | st.lists(inner, max_size=3)
    least = st.builds(
        models.MinShould, conditions=st.lists(inner, min_size=1, max_size=4), min_count=st.integers(min_value=1, max_value=5)
    )
    return st.builds(models.Filter, must=several, should=several, must_not=several, min_should=st.none() | least)


@settings(max_examples=150)
@given(st.recursive(conditions(), filters, max_leaves=8).filter(lambda found: isinstance(found, models.Filter)))
def test_a_filter_of_filters_selects_the_same_points(edge: EdgeClient, local: QdrantClient, asked: models.Filter) -> None:
    assert selected(edge, asked) == selected(local, asked)


def test_true_is_not_the_number_one(edge: EdgeClient) -> None:
    points = edge.scroll(NAME, limit=SIZE)[0]
    for wanted in (True, False, 1, 0):
        found = selected(edge, models.Filter(must=[key("flag", match=models.MatchValue(value=wanted))]))
        there = {p.id for p in points if any(v is wanted for v in _listed((p.payload or {}).get("flag")))}
        assert found == there
        assert there


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (models.Filter(min_should=models.MinShould(conditions=[], min_count=0)), "min_count of at least 1, got 0"),
        (models.Filter(must=[models.SliceCondition(slice=models.Slice(total=3, index=3))]), "from 0 to its total - 1"),
        ({"must": []}, "filter must be a qdrant_client.models.Filter, got dict"),
    ],
)
def test_a_wrong_filter_is_an_error_that_names_what_is_wrong(edge: EdgeClient, filter: Any, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        edge.count(NAME, filter)


def test_an_unknown_condition_is_an_error_that_names_it(edge: EdgeClient) -> None:
    def asked(condition: Any) -> models.Filter:
        return models.Filter.model_construct(must=condition)

    with pytest.raises(ClientError, match="no condition PayloadField"):
        edge.count(NAME, asked([models.PayloadField(key="mood")]))
    with pytest.raises(ClientError, match="no str: 'happy'"):
        edge.count(NAME, asked(models.FieldCondition.model_construct(key="mood", match="happy")))

    class Smelling(models.FieldCondition):
        smell: int

    with pytest.raises(ClientError, match="not asked for 'smell' of a field"):
        edge.count(NAME, asked(Smelling(key="mood", smell=1)))


def test_a_filter_that_is_nested_too_deep_is_an_error(edge: EdgeClient) -> None:
    nested = models.Filter(must=[models.HasIdCondition(has_id=[1])])
    for _ in range(3000):
        nested = models.Filter.model_construct(must=[nested])
    with pytest.raises(QueryError, match="nested too deep"):
        edge.count(NAME, nested)
