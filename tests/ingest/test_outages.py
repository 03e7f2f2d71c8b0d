"""An ingest outlives an outage of the server, and what won't pass by itself ends it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from qdrant_rerank import Formula, Nearest, QdrantRerankError, Retries, field, score
from qdrant_rerank.ingest import ensure_collection, ensure_indexes, ingest
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters, documents

POPULAR = Formula(score() + field("popularity", default=0.0)).over(Nearest(limit=10))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr("qdrant_rerank.calls.time.sleep", made.append)
    return made


def test_an_ingest_outlives_a_short_outage(stub: FillableStub) -> None:
    pauses: list[float] = []
    stub.refusals = [(503, {"status": {"error": "starting"}}), (500, {"status": {"error": "timeout"}})]

    policy = Retries(3, sleep=pauses.append, spread=lambda: 1.0)
    report = ingest(client_of(stub), "docs", documents(2), {"dense": Letters()}, retries=policy)

    assert report.written == 2
    assert len(stub.stored) == 2
    assert pauses == [0.5, 1.0]


def test_an_ingest_is_patient_unless_told_otherwise(stub: FillableStub, pauses: list[float]) -> None:
    stub.refusals = [(503, {"status": {"error": "starting"}})] * 6
    assert ingest(client_of(stub), "docs", documents(2), {"dense": Letters()}).written == 2
    assert len(pauses) == 6
    stub.refusals = [(503, {"status": {"error": "starting"}})]
    with pytest.raises(UnexpectedResponse):
        ingest(client_of(stub), "docs", documents(4), {"dense": Letters()}, retries=0)


def test_what_a_server_refuses_is_its_own_error_with_the_documents_noted(stub: FillableStub, pauses: list[float]) -> None:
    stub.refusals = [(400, {"status": {"error": "Wrong input"}})]

    with pytest.raises(UnexpectedResponse, match="Wrong input") as refused:
        ingest(client_of(stub), "docs", documents(2), {"dense": Letters()})

    assert refused.value.__notes__ == [f"while storing a batch of 2 documents: 'd0', 'd1' in 'docs' at {stub.url}"]
    assert pauses == []


def test_a_server_that_is_not_there_is_an_error_without_a_pause(pauses: list[float]) -> None:
    with pytest.raises(ResponseHandlingException) as caught:
        ingest(QdrantClient(url="http://127.0.0.1:9", check_compatibility=False), "docs", documents(1), {"dense": Letters()})
    assert pauses == []
    assert caught.value.__notes__[0].startswith("while reading the schema of 'docs' at http://127.0.0.1:9\n")


def test_a_collection_and_its_indexes_are_made_through_an_outage(stub: FillableStub, pauses: list[float]) -> None:
    client = client_of(stub)
    # the first call came through, but its answer did not
    stub.refusals = [(504, {}), (409, {"status": {"error": "Wrong input: Collection `new` already exists!"}})]
    assert ensure_collection(client, "new", {"dense": Letters()})[0].startswith("made the collection 'new'")
    assert len(pauses) == 1
    stub.refusals = [(503, {})]
    assert ensure_indexes(client, "docs", POPULAR) == ["made the float index on 'popularity'"]
    assert len(pauses) == 2


def test_a_collection_that_another_made_meanwhile_is_an_error(stub: FillableStub, pauses: list[float]) -> None:
    stub.refusals = [(409, {"status": {"error": "Wrong input: Collection `new` already exists!"}})]
    with pytest.raises(UnexpectedResponse, match="already exists") as caught:
        ensure_collection(client_of(stub), "new", {"dense": Letters()})
    assert caught.value.__notes__ == [f"while making the collection 'new' at {stub.url}"]
    stub.refusals = [(503, {}), (400, {"status": {"error": "Wrong input: no such distance"}})]
    with pytest.raises(UnexpectedResponse, match="no such distance"):
        ensure_collection(client_of(stub), "new", {"dense": Letters()})
    assert len(pauses) == 1


def test_what_the_engine_in_process_refuses_says_what_was_stored(tmp_path: Path) -> None:
    from qdrant_rerank.edge import EdgeClient

    client = EdgeClient(tmp_path)
    ensure_collection(client, "docs", {"dense": Letters()})
    with pytest.raises(QdrantRerankError, match="closed") as caught:
        ingest(
            client,
            "docs",
            documents(2),
            {"dense": Letters()},
            batch_size=1,
            resume=False,
            on_progress=lambda *_: client.close(),
        )
    [note] = caught.value.__notes__
    assert note.startswith("while storing ")
    assert "'d1'" in note
