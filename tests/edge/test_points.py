"""What is stored comes back as it was; what can't be stored is refused, and nothing of its batch is stored."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from qdrant_rerank import QueryError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError
from tests.edge.support import NAME, SIZE, awkward_points, config, point_id

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.integers(min_value=-(10**9), max_value=10**9).map(lambda number: number / 100)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeClient]:
    with EdgeClient(tmp_path_factory.mktemp("points")) as client:
        client.create_collection(NAME, **config())
        client.create_collection("plain", models.VectorParams(size=2, distance=models.Distance.DOT))
        yield client


def stored(client: QdrantClient, point: Any, **options: Any) -> models.Record:
    [found] = client.retrieve("plain", [point], **options)
    return found


@settings(max_examples=100)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4))
def test_payloads_come_back_as_they_were(empty: EdgeClient, payload: dict[str, Any]) -> None:
    empty.upsert("plain", [models.PointStruct(id=1, vector=[1.0, 2.0], payload=payload)])
    assert repr(stored(empty, 1).payload) == repr(payload)  # types too: 1, 1.0 and True differ


@settings(max_examples=50)
@given(st.lists(st.floats(min_value=-1e300, max_value=1e300), max_size=20))
def test_floats_of_many_digits_come_back_off_by_two_bits_at_most(empty: EdgeClient, numbers: list[float]) -> None:
    empty.upsert("plain", [models.PointStruct(id=1, vector=[1.0, 2.0], payload={"v": numbers})])
    found = (stored(empty, 1).payload or {})["v"]
    assert all(abs(one - number) <= 2 * math.ulp(number) for one, number in zip(found, numbers, strict=True))


def test_values_of_python_become_json(empty: EdgeClient) -> None:
    payload = {
        "time": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        "id": uuid.UUID(int=1),
        "tuple": (1, 2),
        "number": np.float32(0.5),
        "array": np.array([1, 2]),
        "keys": {1: "one"},
    }
    empty.upsert("plain", [models.PointStruct(id=1, vector=[1.0, 2.0], payload=payload)])
    assert stored(empty, 1).payload == {
        "time": "2025-01-01T00:00:00Z",
        "id": "00000000-0000-0000-0000-000000000001",
        "tuple": [1, 2],
        "number": 0.5,
        "array": [1, 2],
        "keys": {"1": "one"},
    }


def test_points_come_back_as_from_local_mode(edge: EdgeClient, local: QdrantClient) -> None:
    ids = [point_id(number) for number in range(SIZE)]
    for with_vectors in (True, False, ["late", "idf"], ["dense"], []):
        for with_payload in (True, False, ["n", "price.eur", "items[].size"], []):
            asked: dict[str, Any] = {"with_payload": with_payload, "with_vectors": with_vectors}
            found = {record.id: record for record in edge.retrieve(NAME, ids, **asked)}
            expected = {record.id: record for record in local.retrieve(NAME, ids, **asked)}
            assert found.keys() == expected.keys()
            for one, record in found.items():
                assert repr(record.payload) == repr(expected[one].payload)
                assert plain(record.vector) == approximately(plain(expected[one].vector))


@pytest.mark.parametrize(
    "selector",
    [
        models.PayloadSelectorInclude(include=["n", "price.eur"]),
        models.PayloadSelectorExclude(exclude=["n", "price.eur", "text"]),
    ],
)
def test_payload_is_selected_as_in_local_mode(edge: EdgeClient, local: QdrantClient, selector: Any) -> None:
    for one in range(1, SIZE, 2):
        [found], [expected] = (client.retrieve(NAME, [one], with_payload=selector) for client in (edge, local))
        assert repr(found.payload) == repr(expected.payload)


def plain(vector: Any) -> dict[str, Any]:
    """Vectors as lists of numbers."""
    return {
        name: [*one.indices, *one.values] if isinstance(one, models.SparseVector) else np.ravel(one).tolist()
        for name, one in (vector or {}).items()
    }


def approximately(vectors: dict[str, Any]) -> dict[str, Any]:
    return {name: pytest.approx(numbers, rel=1e-6, abs=1e-6) for name, numbers in vectors.items()}


def test_the_unnamed_vector_is_a_plain_list(empty: EdgeClient) -> None:
    empty.upsert("plain", [models.PointStruct(id=5, vector=[3.0, 4.0])])
    found = stored(empty, 5, with_vectors=True)
    assert (found.vector, found.payload) == ([3.0, 4.0], {})
    assert empty.query_points("plain", query=[1.0, 1.0], query_filter=models.Filter(must=[has(5)])).points[0].score == 7.0
    empty.upsert("plain", [models.PointStruct(id=6, vector=[1.0, 0.0])])
    assert empty.query_points("plain", query=5, query_filter=models.Filter(must=[has(5, 6)])).points[0].score == 3.0


def has(*ids: Any) -> models.HasIdCondition:
    return models.HasIdCondition(has_id=list(ids))


def test_ids_are_whole_numbers_and_uuids_in_any_spelling(empty: EdgeClient) -> None:
    text = "550e8400-e29b-41d4-a716-446655440000"
    for spelling in (text, text.upper(), text.replace("-", ""), f"urn:uuid:{text}", f"{{{text}}}", uuid.UUID(text)):
        empty.upsert("plain", [models.PointStruct(id=spelling, vector=[1.0, 1.0])])
        assert stored(empty, spelling).id == text
    empty.upsert("plain", [models.PointStruct(id=2**64 - 1, vector=[1.0, 1.0])])
    assert stored(empty, 2**64 - 1).id == 2**64 - 1
    assert empty.retrieve("plain", [12345]) == []


def test_a_batch_is_stored_like_its_points(empty: EdgeClient) -> None:
    batch = models.Batch(ids=[21, 22], vectors=[[1.0, 2.0], [3.0, 4.0]], payloads=[{"a": 1}, {"a": 2}])
    empty.upsert("plain", models.PointsBatch(batch=batch))  # type: ignore[arg-type]
    empty.upsert("plain", models.PointsList(points=[models.PointStruct(id=1, vector=[1.0, 1.0])]))  # type: ignore[arg-type]
    empty.upsert("plain", batch)
    assert [(stored(empty, one, with_vectors=True).vector, stored(empty, one).payload) for one in (21, 22)] == [
        ([1.0, 2.0], {"a": 1}),
        ([3.0, 4.0], {"a": 2}),
    ]
    named = models.Batch(ids=[31], vectors={"dense": [[1.0] * 8], "idf": [models.SparseVector(indices=[1], values=[2.0])]})
    empty.upsert(NAME, named)
    vector: Any = empty.retrieve(NAME, [31], with_vectors=True)[0].vector
    assert set(vector) == {"dense", "idf"}
    with pytest.raises(QueryError, match="2 ids, and another number of vectors or payloads"):
        empty.upsert("plain", models.Batch(ids=[1, 2], vectors=[[1.0, 2.0]]))


def test_points_are_uploaded_in_batches(empty: EdgeClient) -> None:
    many = (models.PointStruct(id=one, vector=[1.0, 1.0]) for one in range(200, 250))
    empty.upload_points("plain", many, batch_size=20)
    assert empty.count("plain", models.Filter(must=[has(*range(200, 250))])).count == 50
    empty.upsert("plain", [])  # nothing to do


def test_an_upsert_may_be_conditional(empty: EdgeClient) -> None:
    points = [models.PointStruct(id=one, vector=[1.0, 1.0], payload={"n": 1}) for one in (301, 302)]
    empty.upsert("plain", points)
    changed = [point.model_copy(update={"payload": {"n": 2}}) for point in points]
    empty.upsert("plain", changed, update_filter=models.Filter(must=[has(302)]))
    assert [stored(empty, one).payload for one in (301, 302)] == [{"n": 1}, {"n": 2}]


def test_points_are_changed_and_deleted(empty: EdgeClient) -> None:
    ids = [101, 102, 103, 104]
    points = [models.PointStruct(id=one, vector=[1.0, 1.0], payload={"n": one}) for one in ids]
    empty.upsert("plain", points)
    empty.set_payload("plain", {"seen": True}, [101])
    empty.set_payload("plain", {"deep": 1}, models.Filter(must=[has(102)]), key="a.b")
    empty.delete("plain", models.PointIdsList(points=[103]))
    empty.delete("plain", models.FilterSelector(filter=models.Filter(must=[has(104)])))
    found = {record.id: record.payload for record in empty.retrieve("plain", ids)}
    assert found == {101: {"n": 101, "seen": True}, 102: {"n": 102, "a": {"b": {"deep": 1}}}}
    with pytest.raises(QueryError, match=r"a list of ids or a models\.Filter, got 'all'"):
        empty.delete("plain", "all")  # type: ignore[arg-type]


def test_scrolling_visits_every_point_once(edge: EdgeClient, local: QdrantClient) -> None:
    seen: list[Any] = []
    following: Any = None
    while True:
        found, following = edge.scroll(NAME, limit=7, offset=following, with_payload=False)
        assert all(record.payload is None for record in found)
        seen.extend(record.id for record in found)
        if following is None:
            break
    assert seen == [record.id for record in local.scroll(NAME, limit=SIZE)[0]]
    assert edge.count(NAME).count == SIZE


BAD: list[tuple[dict[str, Any], str]] = [
    ({"id": "abc"}, "whole number from 0 to 2.*64 - 1 or a UUID, got 'abc'"),
    ({"id": -1}, "got -1"),
    ({"id": True}, "got True"),
    ({"vector": {"densse": [1.0] * 8}}, "brings a vector 'densse'; the collection has .*did you mean 'dense'"),
    ({"vector": [1.0] * 8}, "brings a vector ''; the collection has"),
    ({"vector": {"dense": [1.0] * 7}}, "the vector 'dense' of point 7 is dense 7-d, but the collection's is dense 8-d, Cosine"),
    ({"vector": {"dense": [[1.0] * 8]}}, "is multi 8-d, but the collection's is dense 8-d"),
    ({"vector": {"late": [1.0] * 4}}, "is dense 4-d, but the collection's is multivector of 4-d"),
    ({"vector": {"late": [[1.0] * 4, [1.0] * 3]}}, "is multi 4 and 3-d, but"),
    ({"vector": {"idf": [1.0] * 4}}, "is dense 4-d, but the collection's is sparse"),
    ({"vector": {"dense": models.SparseVector(indices=[1], values=[1.0])}}, "is sparse, but the collection's is dense"),
    ({"vector": {"dense": [math.nan] * 8}}, "the vector 'dense' of point 7 holds numbers that aren't finite"),
    (
        {"vector": {"idf": models.SparseVector(indices=[1, 1], values=[1.0, 2.0])}},
        "'idf' of point 7 has an index twice",
    ),
    ({"vector": {"idf": models.SparseVector(indices=[1], values=[math.inf])}}, "aren't finite"),
    ({"vector": {"idf": models.SparseVector.model_construct(indices=[1], values=[])}}, "1 indices but 0 values"),
    ({"vector": {"dense": "text"}}, "must be a list of numbers, a list of such lists, or a SparseVector, got 'text'"),
    ({"payload": {"a": math.nan}}, "point 7 can't be stored: failed to convert NaN"),
    ({"payload": {"a": object()}}, "the payload of point 7 can't be stored as JSON: .*object"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_point_is_named_and_its_batch_is_not_stored(empty: EdgeClient, wrong: dict[str, Any], message: str) -> None:
    before = empty.count(NAME).count
    good = awkward_points()[0].model_copy(update={"id": 6})
    fields: dict[str, Any] = {"id": 7, "vector": {"dense": [1.0] * 8}, "payload": {}}
    bad = models.PointStruct.model_construct(**fields | wrong)
    with pytest.raises(QueryError, match=message):
        empty.upsert(NAME, [good, bad])
    assert empty.count(NAME).count == before
    assert empty.retrieve(NAME, [6, 7]) == []


def test_a_document_is_refused_as_there_is_no_model_to_embed_it(empty: EdgeClient) -> None:
    document = models.Document(text="a", model="b")
    with pytest.raises(ClientError, match=r"the vector 'dense' of point 1 is a models\.Document, which a server embeds"):
        empty.upsert(NAME, [models.PointStruct(id=1, vector={"dense": document})])
    with pytest.raises(ClientError, match=r"the query's vector for 'dense' is a models\.Document.*embed it first"):
        empty.query_points(NAME, query=document, using="dense")
