"""What a collection's payload holds, as seen through a filter: keys, types, shares, ranges, values, and what isn't shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from qdrant_rerank._internals import read_payloads
from qdrant_rerank.errors import PlanError
from qdrant_rerank.planning import PayloadKeySchema, PayloadSchema, Schema, ValueCount, apayload_schema, payload_schema
from tests.engines import open_async_client, open_client

A = models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value="A"))])


def payload_of(number: int) -> dict[str, Any]:
    return {
        "tenant": "A" if number % 2 else "B",
        "page_content": "word " * 30,
        "metadata": {
            "category": ("fox", "dog", "cat")[number % 3],
            "rating": number / 2 if number % 4 else None,
            "year": 2000 + number,
            "new": number % 2 == 0,
            "day": f"2026-01-{number % 28 + 1:02}T00:00:00Z",
            "naive": "2026-01-01",
            "no day": "2026-99-01",
            "id": f"00000000-0000-0000-0000-{number:012}",
            "place": {"lat": 1.0, "lon": 2.0},
            "more": {},
        },
        "tags": ["red", "blue"][: number % 3],
        "items": [{"price": number, "colour": "red"}, {"price": 2.5}],
        "nested": [[1, 2]],
        "mixed": number if number % 5 else "five",
        "api_token": "abc",
        "pin_secret": number,
        "mail": f"user{number}@example.org" if number % 10 else "none",
        "empty": [],
        'odd"key': 1,
    }


def points(count: int) -> list[models.PointStruct]:
    return [models.PointStruct(id=number, vector=[1.0, 0.0], payload=payload_of(number)) for number in range(count)]


VECTORS = models.VectorParams(size=2, distance=models.Distance.DOT)


def make(count: int = 60, indexes: Mapping[str, Any] | None = None, engine: str | None = None) -> QdrantClient:
    client = open_client(engine)
    client.create_collection("docs", vectors_config=VECTORS)
    client.upsert("docs", points(count), wait=True)
    for key, kind in (indexes or {}).items():
        client.create_payload_index("docs", key, kind)
    return client


@pytest.fixture
def found() -> PayloadSchema:
    return payload_schema(make(), "docs")


def of(found: PayloadSchema, key: str) -> PayloadKeySchema:
    known = found.get(key)
    assert known is not None, [each.key for each in found.keys]
    return known


@pytest.mark.parametrize(
    ("key", "kind", "is_array"),
    [
        ("page_content", "text", False),
        ("metadata.category", "keyword", False),
        ("metadata.rating", "float", False),
        ("metadata.year", "integer", False),
        ("metadata.new", "bool", False),
        ("metadata.day", "datetime", False),
        ("metadata.naive", "datetime", False),
        ('metadata."no day"', "keyword", False),
        ("metadata.id", "uuid", False),
        ("metadata.place", "geo", False),
        ("metadata.more", "object", False),
        ("tags", "keyword", True),
        ("items[].colour", "keyword", True),
        ("nested", "array", True),
    ],
)
def test_types_are_told(found: PayloadSchema, key: str, kind: str, is_array: bool) -> None:
    known = of(found, key)
    assert (known.type, known.is_array) == (kind, is_array)


def test_shares_are_those_of_points_that_have_a_value(found: PayloadSchema) -> None:
    assert (found.collection, found.points) == ("docs", 60)
    assert of(found, "metadata.rating").share == 0.75
    assert of(found, "tags").share == pytest.approx(2 / 3, abs=1e-4)
    assert of(found, "mixed").types == {"integer": 0.8, "keyword": 0.2}
    assert of(found, "items[].price").types == {"integer": 1.0, "float": 1.0}
    assert found.get("empty") is None
    assert found.get("nowhere") is None
    assert not any("odd" in each.key for each in found.keys)


def test_ranges_and_values_are_told(found: PayloadSchema) -> None:
    assert (of(found, "metadata.rating").least, of(found, "metadata.rating").most) == (0.5, 29.5)
    assert (of(found, "metadata.day").least, of(found, "metadata.day").most) == ("2026-01-01T00:00:00Z", "2026-01-28T00:00:00Z")
    category = of(found, "metadata.category")
    assert category.values == (ValueCount("cat", 20), ValueCount("dog", 20), ValueCount("fox", 20))
    assert category.is_complete
    assert not category.by_index
    assert {(each.value, each.count) for each in of(found, "metadata.new").values} == {(True, 30), (False, 30)}
    assert len(of(found, "metadata.year").values) == 30
    assert not of(found, "metadata.year").is_complete
    assert {each.value for each in of(found, "mixed").values} <= set(range(60))
    assert not of(found, "mixed").is_complete


def test_nothing_secret_personal_or_long_is_shown(found: PayloadSchema) -> None:
    assert of(found, "api_token").values == ()
    assert (of(found, "pin_secret").least, of(found, "pin_secret").values) == (None, ())
    assert of(found, "mail").values == ()
    assert of(found, "page_content").values == ()
    said = f"{found}{json.dumps(found.as_dict())}"
    for hidden in ("abc", "example.org", "word word"):
        assert hidden not in said


@pytest.mark.parametrize(
    "value",
    [
        *("sk-abcdefghij", "ghp_abcdefghij", "eyJhbGciOiJIUzI1", "a1b2c3d4e5f6g7h8i9j0k", "123456789012", "me@example.org"),
        *(
            "https://user:pw@host",
            "long " * 9,
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "+41 79 123 45 67",
            "(030) 123-456-78",
        ),
        *("192.168.0.17", "from 10.0.0.1", "2001:db8:85a3:0:0:8a2e:370:7334", "fe80::1", "::1", "00:1a:2b:3c:4d:5e"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown_and_values_are_not_complete_then(value: str) -> None:
    client = open_client()
    client.create_collection("docs", vectors_config=VECTORS)
    stored = [{"note": value if number % 2 else "plain"} for number in range(30)]
    client.upsert(
        "docs",
        [models.PointStruct(id=number, vector=[1.0, 0.0], payload=each) for number, each in enumerate(stored)],
        wait=True,
    )
    note = of(payload_schema(client, "docs"), "note")
    assert note.values == (ValueCount("plain", 15),)
    assert not note.is_complete


@pytest.mark.parametrize(
    "value", ["2026-99-01", "12:30:00", "v1.18.3", "std::vector", "dc:title", "1.5 km", "a b c", "20 000 000"]
)
def test_what_only_resembles_such_a_value_is_shown(value: str) -> None:
    seen = read_payloads(Schema("docs", {}), [{"note": value}] * 20, 200)
    assert of(seen, "note").values == (ValueCount(value, 20),)


def test_long_whole_numbers_and_the_range_of_cards_are_not_shown() -> None:
    stored = [
        {
            "number": 4111111111111111 if n else 5500005555555559,
            "phone2": 41791234567,
            "at": 1700000000 + n,
            "client_ip": "a",
            "size": n,
        }
        for n in range(20)
    ]
    found = read_payloads(Schema("docs", {}), stored, 200)
    for key in ("number", "phone2", "client_ip"):
        assert (of(found, key).values, of(found, key).least) == ((), None)
    assert of(found, "at").values == ()
    assert (of(found, "at").least, of(found, "at").most) == (1700000000, 1700000019)
    assert len(of(found, "size").values) == 20


def test_a_filter_keeps_what_others_have_out() -> None:
    mine = payload_schema(make(), "docs", filter=A)
    assert mine.points == 30
    assert of(mine, "tenant").values == (ValueCount("A", 30),)
    assert of(mine, "metadata.new").values == (ValueCount(False, 30),)


def test_nothing_is_said_of_fewer_than_twenty_points() -> None:
    few = payload_schema(make(38), "docs", filter=A)
    assert few == PayloadSchema("docs")
    assert str(few) == "'docs': fewer than 20 points, too few to say anything of"
    assert payload_schema(make(40), "docs", filter=A).points == 20


def test_it_is_text_and_json(found: PayloadSchema) -> None:
    lines = {line.split()[0]: " ".join(line.split()) for line in str(found).splitlines()[1:]}
    assert lines["key"] == "key type points index values"
    assert lines["metadata.rating"] == "metadata.rating float 75% – 0.5 … 29.5"
    assert lines["metadata.category"] == "metadata.category keyword 100% – 'cat' (20), 'dog' (20), 'fox' (20)"
    assert lines["tags"].startswith("tags [keyword] 67%")
    assert lines["metadata.year"].endswith("2000 … 2059")
    assert lines['metadata."no'] == "metadata.\"no day\" keyword 100% – '2026-99-01' (60)"
    assert lines["metadata.naive"].endswith("2026-01-01 … 2026-01-01")
    again = json.loads(json.dumps(found.as_dict()))
    assert again["points"] == 60
    [rating] = [each for each in again["keys"] if each["key"] == "metadata.rating"]
    assert rating["types"] == {"float": 0.75}
    assert (rating["least"], rating["most"], rating["values"]) == (0.5, 29.5, [])


def test_values_beyond_the_first_are_said_to_be_there() -> None:
    many = PayloadKeySchema("key", {"keyword": 1.0}, 1.0, values=tuple(ValueCount(f"v{n}", 9 - n) for n in range(6)))
    assert many.describe_values() == "'v0' (9), 'v1' (8), 'v2' (7), 'v3' (6), 'v4' (5), …"
    assert PayloadKeySchema("key", {}, 0.0).describe_values() == ""
    assert PayloadKeySchema("key", {}, 0.0).type is None


def test_indexes_count_all_points_through_the_filter() -> None:
    pytest.importorskip("qdrant_edge")
    client = make(400, {"metadata.category": "keyword", "metadata.year": "integer", "tenant": "keyword"}, "edge")
    client.create_payload_index("docs", "absent", models.PayloadSchemaType.FLOAT)
    found = payload_schema(client, "docs", filter=A)
    assert found.points == 200
    category = of(found, "metadata.category")
    assert sum(each.count for each in category.values) == 200
    assert category.by_index
    assert category.is_complete
    assert category.index == "keyword"
    assert of(found, "tenant").values == (ValueCount("A", 200),)
    year = of(found, "metadata.year")
    assert (len(year.values), year.is_complete, year.by_index) == (30, False, True)
    assert (of(found, "absent").share, of(found, "absent").type, of(found, "absent").index) == (0.0, None, "float")
    assert "absent" in str(found)


class Refusing(AsyncQdrantClient):
    """Has an index that can't be asked."""

    asked: int = 0

    async def get_collection(self, collection_name: str, **options: Any) -> models.CollectionInfo:
        info = await super().get_collection(collection_name, **options)
        index = models.PayloadIndexInfo(data_type=models.PayloadSchemaType.KEYWORD, points=60)
        return info.model_copy(update={"payload_schema": {"metadata.category": index, "tenant": index}})

    async def facet(self, collection_name: str, key: str, *args: Any, **options: Any) -> models.FacetResponse:
        self.asked += 1
        if key == "tenant":
            raise ValueError("strict mode")
        return await super().facet(collection_name, key, *args, **options)


async def test_async_says_the_same_and_a_refused_count_is_the_samples() -> None:
    client = Refusing(":memory:")
    await client.create_collection("docs", vectors_config=VECTORS)
    await client.upsert("docs", points(60))
    found = await apayload_schema(client, "docs", filter=A)
    assert client.asked == 2
    assert of(found, "tenant").values == (ValueCount("A", 30),)
    assert not of(found, "tenant").by_index
    assert of(found, "metadata.category").by_index
    assert sum(each.count for each in of(found, "metadata.category").values) == 30
    await client.close()


def test_a_refused_count_is_the_samples() -> None:
    class RefusingSync(QdrantClient):
        def get_collection(self, collection_name: str, **options: Any) -> models.CollectionInfo:
            info = super().get_collection(collection_name, **options)
            index = models.PayloadIndexInfo(data_type=models.PayloadSchemaType.KEYWORD, points=60)
            return info.model_copy(update={"payload_schema": {"tenant": index}})

        def facet(self, collection_name: str, key: str, *args: Any, **options: Any) -> models.FacetResponse:
            raise ValueError("strict mode")

    client = RefusingSync(":memory:")
    client.create_collection("docs", vectors_config=VECTORS)
    client.upsert("docs", points(60))
    assert not of(payload_schema(client, "docs"), "tenant").by_index
    client.close()


async def test_async_on_the_runs_engine() -> None:
    client = open_async_client()
    await client.create_collection("docs", vectors_config=VECTORS)
    await client.upsert("docs", points(60), wait=True)
    assert (await apayload_schema(client, "docs")).points == 60
    await client.close()


def test_more_keys_than_can_be_metadata_are_cut_and_so_is_depth() -> None:
    client = open_client()
    client.create_collection("docs", vectors_config=VECTORS)
    deep: dict[str, Any] = {"end": 1}
    for _ in range(9):
        deep = {"d": deep}
    payloads = [{"deep": deep, "by_id": {f"k{number}_{n}": n for n in range(30)}} for number in range(20)]
    client.upsert(
        "docs", [models.PointStruct(id=n, vector=[1.0, 0.0], payload=each) for n, each in enumerate(payloads)], wait=True
    )
    found = payload_schema(client, "docs")
    assert len(found.keys) == 300
    assert of(found, "deep.d.d.d.d.d.d").type == "object"


def test_a_collection_that_is_not_there_is_told() -> None:
    with pytest.raises(PlanError, match="there is no collection 'dcos'"):
        payload_schema(make(), "dcos")
