"""What formulas read of payload, here as in the engine: dates in every form, and what an index keeps of a value."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank._internals import (
    Conditions,
    Index,
    View,
    nanoseconds,
    nanoseconds_of,
    read_datetimes,
    read_distances,
    read_numbers,
    uuid_of,
)
from qdrant_rerank.planning import Capabilities
from tests.engines import compared, open_client

SERVER = Capabilities.of("1.18.3")
TYPES = models.PayloadSchemaType
DATES = [
    "2021-01-01", " 2021-01-01", "2021-1-1", "21-1-1", "+12021-01-01T00:00:00Z", "0000-01-01", "-0001-01-01", "+262142-12-31",
    "+262143-01-01", "-262143-01-01", "-262144-01-01", "20210-01-01", "2021-02-29", "2021-13-01", "2021-00-01", "2021-01-32",
    "2021-001-01", "2021-01-01T10:00", "2021-01-01 10:00", "2021-01-01T10", "2021-01-01T10Z", "2021-01-01T10:00Z",
    "2021-01-01T1:2:3", "2021-01-01T1:2:3Z", "2021-01-01T24:00:00Z", "2021-01-01T00:60:00", "2021-01-01T00:00:60Z",
    "2021-01-01T00:00:61Z", "2021-01-01t00:00:00z", "2021-01-01  10:00:00", "2021-01-01T 00:00:00Z", "2021-01-01 T00:00:00Z",
    "2021 -01-01", "2021 -01-01T00:00:00Z", "2021-01-01T00 :00:00Z", "2021-01-01T00:00:00 UTC", "2021-01-01T00:00:00utc",
    "2021-01-01 00:00:00 GMT", "2021-01-01T00:00:00 +01:00", "2021-01-01T00:00:00+01", "2021-01-01T00:00:00+0130",
    "2021-01-01T00:00:00+01 30", "2021-01-01T00:00:00+1:00", "2021-01-01T00:00:00+01:60", "2021-01-01T00:00:00+24:00",
    "2021-01-01T00:00:00+23:59", "2021-01-01T00:00:00\u221201:00", "2021-01-01T00:00:00Z ", "2021-01-01 ",
    "2021-01-01T00:00:00.",
    "2021-01-01T00:00:00.5Z", "2021-01-01T00:00:00.1234567891234Z", "2021-01-01T00:00:00Z+01:00", "\uff12021-01-01", "",
    "tomorrow", "1609459200", "1969-12-31T23:59:59.9999999Z",
]  # fmt: skip
"""Texts that are dates to an engine, or nearly; whether they are is not listed here but asked."""


@pytest.mark.parametrize("name", [name for name in compared() if name != "local"])
def test_dates_are_read_as_the_engine_reads_them(name: str) -> None:
    client = open_client(name)
    client.create_collection("dates", models.VectorParams(size=1, distance=models.Distance.DOT))
    points = [models.PointStruct(id=row, vector=[1.0], payload={"at": text}) for row, text in enumerate(DATES)]
    client.upsert("dates", points, wait=True)
    known = {row: found for row, text in enumerate(DATES) if (found := nanoseconds(text)) is not None}
    middle = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    ranges = models.DatetimeRange(lt=middle), models.DatetimeRange(gte=middle)
    either = models.Filter(should=[models.FieldCondition(key="at", range=each) for each in ranges])
    assert {point.id for point in client.scroll("dates", either, limit=len(DATES))[0]} == set(known)

    candidates = models.Prefetch(query=[1.0], limit=len(DATES), filter=models.Filter(must=[either]))
    query = models.FormulaQuery(formula=models.DatetimeKeyExpression(datetime_key="at"))
    answer = client.query_points("dates", query=query, prefetch=candidates, limit=len(DATES))
    read = {point.id: np.float32(point.score) for point in answer.points}  # REST writes just the digits that 32 bits need
    assert read == {row: np.float32(moment // 1000 / 1e6) for row, moment in known.items()}


def test_a_moment_is_counted_in_nanoseconds() -> None:
    assert nanoseconds("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert nanoseconds("1970-01-01T01:00:00.123456789+01:00") == 123_456_789
    assert nanoseconds("+" + "9" * 5000 + "-01-01") is None
    assert nanoseconds_of(dt.date(1970, 1, 2)) == nanoseconds_of(dt.datetime(1970, 1, 2)) == 86_400 * 10**9


def test_dates_before_the_first_year_count_as_missing_where_a_default_stands_in() -> None:
    payloads: list[dict[str, Any]] = [{"at": "0000-01-01"}, {"at": "1970-01-02"}, {"at": 5}]
    for indexes in ({}, {"at": Index(TYPES.DATETIME)}):
        view = View(SERVER, indexes)
        assert str(read_datetimes("at", payloads, view).tolist()) == "[nan, 86400.0, nan]"
        assert read_datetimes("at", payloads, view, guarded=False)[0] == -62167219200.0


@pytest.mark.parametrize(
    ("kind", "value", "quick", "thorough"),
    [
        (TYPES.FLOAT, [7, "seven"], 7.0, np.nan),
        (TYPES.FLOAT, [7], 7.0, 7.0),
        (TYPES.FLOAT, [7, 8], np.nan, np.nan),
        (TYPES.FLOAT, 1e300, 1e300, np.nan),
        (TYPES.FLOAT, 10**400, np.nan, np.nan),
        (TYPES.FLOAT, True, np.nan, np.nan),
        (TYPES.INTEGER, 2.5, np.nan, np.nan),
        (TYPES.INTEGER, 2.0, 2.0, 2.0),
        (TYPES.INTEGER, 1e300, np.nan, np.nan),
        (TYPES.KEYWORD, 2.5, 2.5, 2.5),  # hides numbers, which the plan refuses: what is stored is read
        (TYPES.TEXT, [2.5], 2.5, 2.5),
    ],
)
def test_a_number_is_what_the_index_keeps(kind: TYPES, value: Any, quick: float, thorough: float) -> None:
    for careful, expected in ((False, quick), (True, thorough)):
        view = View(SERVER, {"x": Index(kind)}, careful)
        np.testing.assert_array_equal(read_numbers("x", [{"x": value}, {}], view), [expected, np.nan])


def test_a_place_must_be_on_earth() -> None:
    places: list[Any] = [
        {"lat": 46, "lon": 8},
        {"lat": 460, "lon": 8},
        {"lat": "46", "lon": 8},
        {"lat": 46},
        "46,8",
        {"lat": 46, "lon": 181},
    ]
    payloads = [{"p": place} for place in places]
    for view in (View(), View(SERVER), View(SERVER, {"p": Index(TYPES.GEO)})):
        assert str(read_distances("p", (46.0, 8.0), payloads, view).tolist()) == "[0.0, nan, nan, nan, nan, nan]"


def test_what_a_bool_index_keeps_and_what_is_a_uuid() -> None:
    assert Index(TYPES.BOOL).values([True, [False, 1], "true"]) == [True, False]
    number = uuid_of("550e8400-e29b-41d4-a716-446655440000")
    assert number == uuid_of("{550E8400E29B41D4A716446655440000}") == uuid_of("urn:uuid:550e8400-e29b-41d4-a716-446655440000")
    assert uuid_of("550e8400-e29b-41d4-a716-44665544000x") is uuid_of("a") is uuid_of(5) is None


def test_prefixes_are_matched_whatever_the_index() -> None:
    prefix = getattr(models, "MatchPrefix", None)
    if prefix is None:
        pytest.skip("this qdrant-client knows no prefixes")
    condition = models.FieldCondition(key="t", match=prefix(prefix="re"))
    for indexes in ({}, {"t": Index(TYPES.KEYWORD)}):
        met = Conditions([{"t": "red"}, {"t": "Red"}, {"t": 3}], [1, 2, 3], view=View(Capabilities.of("1.19.0"), indexes))
        assert met.holds(condition).tolist() == [True, False, False]
