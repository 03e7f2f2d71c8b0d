"""Points with every nasty payload value that formulas meet, and random expressions over them."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from hypothesis import strategies as st
from qdrant_client import models

from qdrant_rerank import (
    affinity,
    clip,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    exp,
    field,
    geo_distance,
    log,
    max_,
    min_,
    now,
    param,
    score,
    sigmoid,
    sqrt,
    when,
)
from qdrant_rerank.expressions import Expression, constant, divide, instant, log10, relu, tanh

POINTS = 120
NOW = dt.datetime(2026, 3, 1, 12, 30, 15, 250000, dt.UTC)
FEATURES: dict[str, Any] = {
    "budget": 37.3,
    "place": (46.1, 8.7),
    "likes": {"news": 1.7, "sport": -0.4, "a b": 0.1, 3: 2.5},
}
_ABSENT = object()
_NUMBERS: list[Any] = [
    0, 1, -1, 2, 7, 0.1, -0.37, 3.14159265358979, 1e-3, 12345.678, -98765.4321, 1e6, 16777217, 0.1 + 2**-30,
    None, True, False, "4", "x", [], [5.5], [1.0, 2.0], [None], ["a", 8.0], {"a": 1}, [[3.0]], 1e300, -1e39,
    _ABSENT, _ABSENT,
]  # fmt: skip
_CATEGORIES: list[Any] = [
    "news",
    "sport",
    "a b",
    "other",
    "",
    ["news", "sport"],
    ["other"],
    3,
    [3, "news"],
    None,
    _ABSENT,
    [],
    4.5,
]
_MOMENTS: list[Any] = [
    "2026-03-01T12:30:15Z", "2025-12-24T00:00:00Z", "2019-07-01T08:15:30+02:00", "2026-02-28", "2026-03-01T12:30:15.123456Z",
    "1969-01-01T00:00:00Z", "tomorrow", None, 17, True, [],
    ["2026-01-01T00:00:00Z"], ["2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"], _ABSENT,
    "2021-1-1", " 2021-01-01 10:00", "2021-01-01T00:00:00 +01", "2021-01-01T23:59:60Z", "2021-01-01T24:00:00Z", "0000-01-01",
    "+12021-01-01T00:00:00Z", "2020-12-31T23:59:59.9999999Z", ["2026-01-01T00:00:00Z", 5], ["tomorrow"],
]  # fmt: skip
_PLACES: list[Any] = [
    {"lat": 46.0, "lon": 8.5}, {"lat": -33.9, "lon": 151.2}, {"lat": 0, "lon": 0}, {"lat": 89.9, "lon": -179.5},
    [{"lat": 1, "lon": 2}],
    [{"lat": 1, "lon": 2}, {"lat": 3, "lon": 4}], {"lat": 46.0}, "46,8", None, [], 5, _ABSENT,
    {"lat": 460, "lon": 8}, {"lat": 46, "lon": 368}, {"lat": "46", "lon": 8}, {"lat": True, "lon": 8}, {"lat": 90, "lon": 180},
    {"lat": -90, "lon": -180}, [{"lat": 1, "lon": 2}, "x"],
]  # fmt: skip


_TITLES: list[Any] = [
    "red fox", "Fox red", "Red-Fox!", "redfoxes", "the red  fox", "été", "", ["red", "fox"], ["red fox", 3], [None],
    ["a", None], 3, None, _ABSENT, [],
]  # fmt: skip


def payloads(seed: int = 7) -> list[dict[str, Any]]:
    """The payload of each point; keys that are absent are left out."""
    chosen = random.Random(seed)
    return [
        {
            key: value
            for key, value in {
                "x": chosen.choice(_NUMBERS),
                "y": chosen.choice(_NUMBERS),
                "meta": {"z": chosen.choice([0.5, 2, -3.25, None, "no"])},
                "category": chosen.choice(_CATEGORIES),
                "kind": chosen.choice(["news", "sport", "other", ["sport", "other"], ["news"], None, [], _ABSENT]),
                "published": chosen.choice(_MOMENTS),
                "location": chosen.choice(_PLACES),
                "title": chosen.choice(_TITLES),
            }.items()
            if value is not _ABSENT
        }
        for _ in range(POINTS)
    ]


def points(seed: int = 7, lists: bool = True, indexed: bool = False) -> list[models.PointStruct]:
    """The points, with a dense vector and, for two thirds of them, a sparse one.

    Without `lists`, the keys that formulas read as one value hold no lists of several, and no places that aren't on Earth; nor,
    where they are `indexed`, numbers beyond 32-bit floats.
    """
    chosen = random.Random(seed + 1)
    made = []
    for number, payload in enumerate(payloads(seed)):
        vectors: dict[str, Any] = {"dense": [chosen.gauss(0, 1) for _ in range(4)]}
        if number % 3:
            vectors["sparse"] = models.SparseVector(
                indices=[number % 5, 9], values=[chosen.random() + 0.1, chosen.random() + 0.1]
            )
        if not lists:
            payload = {key: value for key, value in payload.items() if key in MANY or not _needs_thorough(value, indexed)}
        made.append(models.PointStruct(id=number, vector=vectors, payload=payload))
    return made


MANY = ("category", "kind", "title")
"""Keys of which formulas expect lists."""


def _needs_thorough(value: Any, indexed: bool) -> bool:
    """Whether a quick guard lets it pass although no formula can read it: lists, places off Earth, an index's large numbers."""
    if isinstance(value, list):
        return len(value) > 1
    if isinstance(value, float):
        return indexed and abs(value) > 3.4e38
    return isinstance(value, dict) and (value.get("lat") == 460 or value.get("lon") == 368)


DENSE_QUERY = [0.3, -1.2, 0.7, 0.05]
SPARSE_QUERY = models.SparseVector(indices=[1, 2, 9], values=[0.9, 0.4, 0.2])
INDEXES = {
    "x": models.PayloadSchemaType.FLOAT,
    "y": models.PayloadSchemaType.FLOAT,
    "meta.z": models.PayloadSchemaType.FLOAT,
    "category": models.PayloadSchemaType.KEYWORD,
    "kind": models.PayloadSchemaType.KEYWORD,
    "published": models.PayloadSchemaType.DATETIME,
    "location": models.PayloadSchemaType.GEO,
    "title": models.TextIndexParams(type=models.TextIndexType.TEXT, phrase_matching=True),
}

_numbers = st.one_of(
    st.floats(-100, 100, allow_nan=False, width=64), st.sampled_from([0.0, 1.0, -1.0, 0.1, 0.5, 3.0, 1e-7, 4096.0, 16777217.0])
)
_scales = st.sampled_from([0.5, 1.0, 0.3, 17.0, 86400.0, 1e6, 2.5e-3])
_midpoints = st.sampled_from([0.5, 0.25, 0.1, 0.9])


def _match(key: str, value: str) -> models.Condition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


_conditions: st.SearchStrategy[models.Condition] = st.sampled_from(
    [
        _match("category", "news"),
        models.FieldCondition(key="category", match=models.MatchAny(any=["sport", "a b"])),
        models.FieldCondition(key="kind", match=models.MatchExcept(**{"except": ["news", "other"]})),
        models.FieldCondition(key="category", match=models.MatchExcept(**{"except": ["news"]})),
        models.FieldCondition(key="x", range=models.Range(gt=0.1, lte=1e6)),
        models.FieldCondition(key="meta.z", range=models.Range(lt=1)),
        models.FieldCondition(key="y", values_count=models.ValuesCount(gte=1)),
        models.FieldCondition(key="published", range=models.DatetimeRange(gte=dt.datetime(2025, 6, 1, tzinfo=dt.UTC))),
        models.FieldCondition(
            key="location", geo_radius=models.GeoRadius(center=models.GeoPoint(lat=46.0, lon=8.0), radius=1e5)
        ),
        models.FieldCondition(
            key="location",
            geo_bounding_box=models.GeoBoundingBox(
                top_left=models.GeoPoint(lat=60, lon=-10), bottom_right=models.GeoPoint(lat=-40, lon=160)
            ),
        ),
        models.IsEmptyCondition(is_empty=models.PayloadField(key="x")),
        models.IsNullCondition(is_null=models.PayloadField(key="category")),
        models.IsNullCondition(is_null=models.PayloadField(key="title")),
        models.FieldCondition(key="title", match=models.MatchText(text="red fox")),
        models.FieldCondition(key="title", match=models.MatchTextAny(text_any="Fox été")),
        models.FieldCondition(key="title", match=models.MatchPhrase(phrase="red fox")),
        models.FieldCondition(key="title", values_count=models.ValuesCount(lt=1)),
        models.FieldCondition(key="published", range=models.DatetimeRange(lte=dt.datetime(2021, 1, 1, tzinfo=dt.UTC))),
        models.FieldCondition(key="x", range=models.Range(gt=2.0**53)),
        models.HasIdCondition(has_id=[1, 5, 8, 13, 21, 34, 55, 89]),
        models.Filter(must=[_match("category", "news")], must_not=[models.FieldCondition(key="x", range=models.Range(gt=0))]),
        models.Filter(should=[_match("category", "other"), models.Filter(must_not=[_match("category", "sport")])]),
        models.Filter(
            min_should=models.MinShould(
                conditions=[_match("category", "news"), models.FieldCondition(key="y", range=models.Range(gte=1))], min_count=1
            )
        ),
    ]
)

leaves: st.SearchStrategy[Expression] = st.one_of(
    _numbers.map(constant),
    st.sampled_from(["x", "y", "meta.z", "nowhere"]).flatmap(lambda key: _numbers.map(lambda default: field(key, default))),
    st.sampled_from([score("sparse"), score("dense", default=-0.3)]),  # one default for each, as engines know one
    st.sampled_from([param("budget"), param("absent", default=2.5)]),
    st.sampled_from([affinity("category", param="likes"), affinity("category", "nobody", default=0.25)]),
    _conditions.map(when),
    st.sampled_from([
        decay_exp(now() - datetime_field("published", default=NOW), scale=30 * 86400),
        decay_gauss(datetime_field("published", default=dt.datetime(2020, 1, 1)) - instant(NOW), scale=1e7, midpoint=0.3),
        decay_lin(geo_distance((46.2, 8.1), "location", default=5e6), scale=1e6),
        (geo_distance("place", "location", default=1e7) + 1000.0) / 3000.0,
    ]),
)  # fmt: skip


def _grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda pair: pair[0] + pair[1]),
        pairs.map(lambda pair: pair[0] - pair[1]),
        pairs.map(lambda pair: pair[0] * pair[1]),
        pairs.map(lambda pair: divide(pair[0], pair[1], at_zero=0.7)),
        pairs.map(lambda pair: min_(*pair)),
        pairs.map(lambda pair: max_(*pair)),
        st.tuples(inner, _conditions, inner).map(lambda three: when(three[1], three[0], three[2])),
        inner.map(lambda one: -one),
        inner.map(abs),
        inner.map(sigmoid),
        inner.map(tanh),
        inner.map(relu),
        inner.map(sqrt),
        inner.map(log),
        inner.map(lambda one: log10(one, floor=0.01)),
        inner.map(lambda one: exp(clip(one, -30, 30))),
        inner.map(lambda one: clip(one, -2.5, 10)),
        inner.map(lambda one: clip(one, -1e3, 1e3) ** 2),
        inner.map(lambda one: one / 3.7),
        st.tuples(inner, _scales, _midpoints).map(lambda three: decay_exp(three[0], 0.5, three[1], three[2])),
        st.tuples(inner, _scales, _midpoints).map(lambda three: decay_gauss(three[0], 0.0, three[1], three[2])),
        st.tuples(inner, _scales, _midpoints).map(lambda three: decay_lin(three[0], -1.0, three[1], three[2])),
    )


expressions: st.SearchStrategy[Expression] = st.recursive(leaves, _grown, max_leaves=8)
small_expressions: st.SearchStrategy[Expression] = st.recursive(leaves, _grown, max_leaves=3)
