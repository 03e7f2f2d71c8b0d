"""Condition kinds × payload values × payload indexes: what engines are compared on; nothing here knows an engine."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from qdrant_client import models

COLLECTION: Final = "conditions"
KEY: Final = "n"
ABSENT: Final = object()

_UUID: Final = "550e8400-e29b-41d4-a716-446655440000"
VALUES: Final[list[Any]] = [
    ABSENT, None, [], [None], ["a", None], [[1]], {}, {"a": 1}, [{"a": 1}, {"a": 2}],
    0, 1, 3, -1, 3.0, 3.5, -0.0, [3, 4], [7, "x"], [3, 3.5], [1, True], 2**53 + 1, 2**62, 2.0**63, 1e20, 1e300, -1e39,
    True, False, [True, False], "true", "3", "", "a", "A", ["a", "b"], ["b", "c"], ["c", 1], "b",
    "red fox", "fox red", "Red Fox", "redfoxes", "the red  fox!", "red-fox", ["red", "fox"], ["red fox", "dog"],
    "Füchse rot", "ΣΑΣ",
    "straße", "fox_tail", "a1b2", "e\u0301te\u0301", "été", "\u0130stanbul", "x²", "  ", "ox",
    "2021-01-01", "2021-01-01T00:00:00Z", "2021-01-01T02:00:00+02:00", "2021-01-01 10:00:00",
    "2020-12-31T23:59:59.9999999Z",
    "2021-01-01T00:00:00.0000009Z", ["2019-01-01", "2022-01-01"], "2021-1-1",
    "+12021-01-01T00:00:00Z", "0000-01-01", 1609459200,
    _UUID, _UUID.upper(), "{" + _UUID + "}", [_UUID, "a"],
    {"lat": 46, "lon": 8}, [{"lat": 46.01, "lon": 8.01}, {"lat": 0, "lon": 0}], {"lat": 460, "lon": 8}, {"lat": 46},
    [{"lat": 46, "lon": 8}],
    {"lat": "46", "lon": 8}, {"lat": 46, "lon": 368}, {"lat": True, "lon": 8},
]  # fmt: skip
"""Every shape of value that conditions decide differently; ABSENT for none."""


def field(**clauses: Any) -> models.FieldCondition:
    """A condition on the key."""
    return models.FieldCondition(key=KEY, **clauses)


def _except(*values: Any) -> models.MatchExcept:
    return models.MatchExcept(**{"except": list(values)})


def _count(**bounds: int) -> models.FieldCondition:
    return field(values_count=models.ValuesCount(**bounds))


def _nested(*inner: models.Condition) -> models.NestedCondition:
    return models.NestedCondition(nested=models.Nested(key=KEY, filter=models.Filter(must=list(inner))))


_PLACE: Final = models.GeoPoint(lat=46, lon=8)
CONDITIONS: Final[dict[str, models.Condition]] = {
    "range gt 1": field(range=models.Range(gt=1)),
    "range 2.5 to 3.5": field(range=models.Range(gte=2.5, lt=3.5)),
    "range lte 3": field(range=models.Range(lte=3)),
    "range of all floats": field(range=models.Range(gte=-3.4e38, lte=3.4e38)),
    "range gt 2**53": field(range=models.Range(gt=2.0**53)),
    "dates from 2021": field(range=models.DatetimeRange(gte=dt.datetime(2021, 1, 1, tzinfo=dt.UTC))),
    "dates to 2021": field(range=models.DatetimeRange(lte=dt.datetime(2021, 1, 1, tzinfo=dt.UTC))),
    "value 3": field(match=models.MatchValue(value=3)),
    "value 0": field(match=models.MatchValue(value=0)),
    "value 1": field(match=models.MatchValue(value=1)),
    "value True": field(match=models.MatchValue(value=True)),
    "value False": field(match=models.MatchValue(value=False)),
    "value a": field(match=models.MatchValue(value="a")),
    "value uuid": field(match=models.MatchValue(value=_UUID)),
    "any of a, b": field(match=models.MatchAny(any=["a", "b"])),
    "any of 1, 3": field(match=models.MatchAny(any=[1, 3])),
    "any of none": field(match=models.MatchAny(any=[])),
    "except a": field(match=_except("a")),
    "except 1, 3": field(match=_except(1, 3)),
    "except uuid": field(match=_except(_UUID)),
    "text fox": field(match=models.MatchText(text="fox")),
    "text red fox": field(match=models.MatchText(text="red fox")),
    "text Fox": field(match=models.MatchText(text="Fox")),
    "text fo": field(match=models.MatchText(text="fo")),
    "text empty": field(match=models.MatchText(text="")),
    "text été": field(match=models.MatchText(text="été")),
    "text strasse": field(match=models.MatchText(text="STRASSE straße")),
    "text any": field(match=models.MatchTextAny(text_any="fox dog")),
    "text any of none": field(match=models.MatchTextAny(text_any=" ")),
    "phrase red fox": field(match=models.MatchPhrase(phrase="red fox")),
    "phrase Fox red": field(match=models.MatchPhrase(phrase="Fox  red")),
    "phrase empty": field(match=models.MatchPhrase(phrase="")),
    "count lte 1": _count(lte=1),
    "count lt 1": _count(lt=1),
    "count gte 2": _count(gte=2),
    "is empty": models.IsEmptyCondition(is_empty=models.PayloadField(key=KEY)),
    "is null": models.IsNullCondition(is_null=models.PayloadField(key=KEY)),
    "field is empty": field(is_empty=True),
    "field is not empty": field(is_empty=False),
    "field is null": field(is_null=True),
    "field is not null": field(is_null=False),
    "radius": field(geo_radius=models.GeoRadius(center=_PLACE, radius=3000)),
    "world": field(geo_radius=models.GeoRadius(center=_PLACE, radius=2.1e7)),
    "box": field(
        geo_bounding_box=models.GeoBoundingBox(
            top_left=models.GeoPoint(lat=47, lon=7), bottom_right=models.GeoPoint(lat=45, lon=9)
        )
    ),
    "polygon": field(
        geo_polygon=models.GeoPolygon(
            exterior=models.GeoLineString(
                points=[models.GeoPoint(lat=lat, lon=lon) for lat, lon in ((45, 7), (47, 7), (47, 9), (45, 9), (45, 7))]
            )
        )
    ),
    "nested": _nested(models.FieldCondition(key="a", match=models.MatchValue(value=1))),
    "nested count": _nested(models.FieldCondition(key="b", values_count=models.ValuesCount(lte=1))),
    "not except a": models.Filter(must_not=[field(match=_except("a"))]),
    "either": models.Filter(should=[field(match=models.MatchValue(value="a")), field(range=models.Range(gt=3))]),
    "two of three": models.Filter(
        min_should=models.MinShould(
            conditions=[
                field(match=models.MatchValue(value=3)),
                field(range=models.Range(gt=0)),
                field(match=models.MatchValue(value="a")),
            ],
            min_count=2,
        )
    ),
}

INDEXES: Final[dict[str, Any]] = {
    "none": None,
    "float": models.PayloadSchemaType.FLOAT,
    "integer": models.PayloadSchemaType.INTEGER,
    "integer, lookup only": models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False),
    "integer, range only": models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True),
    "keyword": models.PayloadSchemaType.KEYWORD,
    "bool": models.PayloadSchemaType.BOOL,
    "datetime": models.PayloadSchemaType.DATETIME,
    "geo": models.PayloadSchemaType.GEO,
    "uuid": models.PayloadSchemaType.UUID,
    "text": models.PayloadSchemaType.TEXT,
    "text with phrases": models.TextIndexParams(
        type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WORD, phrase_matching=True
    ),
    "text, whitespace": models.TextIndexParams(
        type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WHITESPACE, lowercase=False, phrase_matching=True
    ),
    "text, prefix": models.TextIndexParams(
        type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.PREFIX, min_token_len=2, max_token_len=4
    ),
    "text, lengths and stopwords": models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WORD,
        min_token_len=2,
        max_token_len=4,
        phrase_matching=True,
        stopwords=models.StopwordsSet(custom=["The", "dog"]),
    ),
}


def payloads() -> list[dict[str, Any]]:
    """The payload of each point."""
    return [{} if value is ABSENT else {KEY: value} for value in VALUES]


def points() -> list[models.PointStruct]:
    """A point for each value; all vectors alike."""
    return [models.PointStruct(id=row, vector=[1.0], payload=payload) for row, payload in enumerate(payloads())]


def fill(client: Any, index: Any, collection: str = COLLECTION, **config: Any) -> None:
    """Make the collection of all values, with the index on the key."""
    vectors = models.VectorParams(size=1, distance=models.Distance.DOT)
    client.create_collection(collection, vectors_config=vectors, **config)
    if index is not None:
        client.create_payload_index(collection, KEY, index, wait=True)
    client.upsert(collection, points(), wait=True)
