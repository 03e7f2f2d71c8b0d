"""Judged documents that the collection doesn't hold are found out, however its points are named."""

from __future__ import annotations

import pytest
from qdrant_client import models

from qdrant_rerank import Executor
from qdrant_rerank.evaluate import Qrels, unknown_documents
from qdrant_rerank.ingest import point_id
from tests.engines import open_client
from tests.evaluate.worlds import GRADES, executor, qrels


def _executor(points: list[models.PointStruct]) -> Executor:
    client = open_client()
    client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("c", points)
    return Executor(client, "c")


def _point(id: int | str, **payload: object) -> models.PointStruct:
    return models.PointStruct(id=id, vector=[1.0, 0.0], payload=payload)


def test_documents_that_ingest_stored_are_known() -> None:
    assert unknown_documents(qrels(), executor()) == ()
    judged = Qrels({**GRADES, "q9": {"zeppelin": 1, "airship": 0, "hut": 1}})
    assert unknown_documents(judged, executor()) == ("airship", "zeppelin")


def test_documents_are_known_by_the_number_or_uuid_of_their_point() -> None:
    known = _executor([_point(7), _point(str(point_id("hut")))])
    assert unknown_documents(Qrels({"q": {"7": 1, "hut": 1, "8": 1}}), known) == ("8",)


@pytest.mark.parametrize("key", ["_id", "note.id"])
def test_documents_are_known_by_a_payload_key_whatever_their_points_are_called(key: str) -> None:
    def payload(value: object) -> dict[str, object]:
        return {"_id": value} if key == "_id" else {"note": {"id": value}}

    chunks = [_point(1000 + number, **payload("hut")) for number in range(600)]  # more than one answer holds
    known = _executor([*chunks, _point(5001, **payload(31)), _point(5002, **payload("ferry"))])
    assert unknown_documents(Qrels({"q": {"hut": 1, "31": 1, "ferry": 1, "loop": 1, "": 1}}), known, key) == ("", "loop")


def test_more_documents_than_one_request_holds_are_looked_for() -> None:
    known = _executor([_point(number) for number in range(0, 700, 2)])
    judged = Qrels({"q": {str(number): 1 for number in range(700)}})
    assert set(unknown_documents(judged, known)) == {str(number) for number in range(1, 700, 2)}


def test_nothing_is_unknown_where_every_document_is_there_under_the_key() -> None:
    known = _executor([_point(1, note="hut"), _point(2, note="ferry")])
    assert unknown_documents(Qrels({"q": {"hut": 1, "ferry": 0}}), known, "note") == ()
