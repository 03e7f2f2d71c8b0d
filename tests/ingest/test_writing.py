from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Nearest, PlanError, Query, ServerInference, StrategyError
from qdrant_rerank.errors import FormatError
from qdrant_rerank.ingest import BadLine, Document, ingest, point_id, read_jsonl
from qdrant_rerank.models import Encoders
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters, Watched, documents, stored
from tests.stub_qdrant import collection


def test_documents_become_points_that_are_found_with_their_payload(client: QdrantClient) -> None:
    report = ingest(client, "docs", [Document("a", "aaa", {"year": 2020}), Document("b", "bbb")], {"dense": Letters()})

    assert (report.written, report.skipped, report.bad) == (2, 0, ())
    executor = Executor(client, "docs", encoders=Encoders.of({"dense": Letters()}))
    [best, other] = executor.retrieve(Nearest(), Query("aa"))
    assert (best.id, best.payload) == (point_id("a"), {"_id": "a", "text": "aaa", "year": 2020})
    assert other.payload == {"_id": "b", "text": "bbb"}


def test_ids_may_be_numbers_uuids_and_texts_all_together(client: QdrantClient) -> None:
    uuid = "4c1f0b0e-93a5-4d9b-8d2e-0a6c1b7f5e11"
    given = [Document(id, f"text of {id}") for id in (77, "77", uuid, "doc/5", 0)]

    first = ingest(client, "docs", given, {"dense": Letters()}, batch_size=2)
    again = ingest(client, "docs", [*given, Document(uuid.upper(), "the same")], {"dense": Letters()}, batch_size=2)

    assert stored(client) == {point_id(doc.id): {"_id": doc.id, "text": doc.text} for doc in given}
    assert (first.written, first.skipped) == (5, 0)
    assert (again.written, again.skipped) == (0, 6)


def test_the_text_is_kept_under_the_key_asked_for_unless_the_payload_has_it(client: QdrantClient) -> None:
    mine = Document(1, "title and body", {"text": "body"})
    ingest(client, "docs", [mine, Document(2, "two")], {"dense": Letters()})
    ingest(client, "docs", [Document(3, "three")], {"dense": Letters()}, text_key="page_content")
    ingest(client, "docs", [Document(4, "four")], {"dense": Letters()}, text_key=None)

    assert stored(client) == {
        1: {"_id": 1, "text": "body"},
        2: {"_id": 2, "text": "two"},
        3: {"_id": 3, "page_content": "three"},
        4: {"_id": 4},
    }
    assert mine.payload == {"text": "body"}


def test_documents_are_taken_a_batch_at_a_time_never_ahead(client: QdrantClient) -> None:
    source = Watched(documents(23))
    taken: list[int] = []

    ingest(client, "docs", source, {"dense": Letters()}, batch_size=5, on_progress=lambda *_: taken.append(source.taken))

    assert taken == [5, 10, 15, 20, 23]


def test_encoders_see_whole_batches(client: QdrantClient) -> None:
    class Sizes(Letters):
        def encode_documents(self, texts: Any) -> list[Any]:
            sizes.append(len(texts))
            return super().encode_documents(texts)

    sizes: list[int] = []
    ingest(client, "docs", documents(7), {"dense": Sizes()}, batch_size=3)

    assert sizes == [3, 3, 1]


def test_progress_counts_what_was_written_and_what_was_there(client: QdrantClient) -> None:
    ingest(client, "docs", documents(4), {"dense": Letters()})
    told: list[tuple[int, int]] = []

    ingest(client, "docs", documents(7), {"dense": Letters()}, batch_size=3, on_progress=lambda *counts: told.append(counts))

    assert told == [(0, 3), (2, 4), (3, 4)]


def test_a_collection_that_is_not_there_is_an_error(client: QdrantClient) -> None:
    with pytest.raises(PlanError, match=r"there is no collection 'dosc'.*did you mean 'docs'"):
        ingest(client, "dosc", documents(1), {"dense": Letters()})


def test_a_batch_size_below_1_is_refused(client: QdrantClient) -> None:
    with pytest.raises(StrategyError, match="batch_size must be a whole number of at least 1, got 0"):
        ingest(client, "docs", documents(1), {"dense": Letters()}, batch_size=0)


def test_no_documents_are_no_trouble(client: QdrantClient) -> None:
    report = ingest(client, "docs", [], {"dense": Letters()})

    assert (report.written, report.skipped) == (0, 0)


def test_bad_lines_are_in_the_report(client: QdrantClient, tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": 1, "text": "one"}\nnonsense\n{"_id": 2}\n{"_id": 3, "text": "three"}\n')
    told: list[BadLine] = []

    report = ingest(client, "docs", read_jsonl(path, on_bad=told.append), {"dense": Letters()})

    assert (report.written, len(stored(client))) == (2, 2)
    assert [(bad.path, bad.line) for bad in report.bad] == [(str(path), 2), (str(path), 3)]
    assert list(report.bad) == told


def test_a_server_is_asked_once_a_batch_for_ids_alone_and_told_once() -> None:
    with FillableStub(collections={"docs": collection(dense={"dense": 4})}) as stub:
        stub.stored = [point_id("d1")]
        ingest(client_of(stub), "docs", documents(3), {"dense": Letters()}, batch_size=2)

        assert stub.paths == [
            "GET /collections/docs",
            "POST /collections/docs/points",
            "PUT /collections/docs/points",
            "POST /collections/docs/points",
            "PUT /collections/docs/points",
        ]
        asked, told = stub.received[1], stub.received[2]
        assert asked.body == {"ids": [point_id("d0"), point_id("d1")], "with_payload": False, "with_vector": False}
        assert told.parameters == {"wait": "true"}
        assert told.body["points"] == [
            {
                "id": point_id("d0"),
                "vector": {"dense": [1.0, 1.0, 1.0, 1.0]},
                "payload": {"number": 0, "_id": "d0", "text": "text 0"},
            }
        ]


def test_inference_by_the_server_sends_texts() -> None:
    with FillableStub(collections={"docs": collection(dense={}, sparse=["bm25"])}) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False, cloud_inference=True)
        ingest(client, "docs", documents(1), {"bm25": ServerInference("qdrant/bm25")})

        [(_, body)] = stub.written
        assert body["points"][0]["vector"] == {"bm25": {"text": "text 0", "model": "qdrant/bm25"}}


def test_encoders_may_be_given_as_executors_take_them(client: QdrantClient) -> None:
    for encoders in (Encoders.of({"dense": Letters()}), Encoders.of(dense=Letters())):
        assert ingest(client, "docs", [Document("a", "aaa")], encoders, resume=False).written == 1
    executor = Executor(client, "docs", encoders={"dense": Letters()})
    assert [point.id for point in executor.retrieve(Nearest(), Query("aa"))] == [point_id("a")]
    with pytest.raises(PlanError, match="no vector named 'dens'"):
        ingest(client, "docs", [], Encoders.of({"dens": Letters()}))


class Remembering:
    """Notes what is upserted into a client, and how."""

    def __init__(self, client: QdrantClient) -> None:
        self.client = client
        self.upserts: list[tuple[int, Any]] = []
        self.retrieved: list[Any] = []

    def upsert(self, collection: str, points: list[Any], wait: bool, **more: Any) -> None:
        self.upserts.append((len(points), more.get("shard_key_selector")))

    def retrieve(self, collection: str, ids: list[Any], shard_key_selector: Any = None, **more: Any) -> list[Any]:
        self.retrieved.append(shard_key_selector)
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


def test_batches_that_rest_would_not_take_are_sent_in_parts(client: QdrantClient) -> None:
    sent: Any = Remembering(client)
    large = [Document(number, "x", {"note": "ä" * (4 * 2**20)}) for number in range(8)]  # 8 MB each
    assert ingest(sent, "docs", large, {"dense": Letters()}).written == 8
    assert sent.upserts == [(2, None)] * 4
    sent.upserts.clear()
    ingest(sent, "docs", [Document(9, "x", {"note": "x" * (40 * 2**20)})], {"dense": Letters()})  # the server's to refuse
    assert sent.upserts == [(1, None)]


def test_documents_go_to_the_shard_that_is_named(client: QdrantClient) -> None:
    sent: Any = Remembering(client)
    ingest(sent, "docs", [Document("a", "aaa")], {"dense": Letters()}, shard_key="berlin")
    assert sent.upserts == [(1, "berlin")]
    assert sent.retrieved == ["berlin"]


def test_sizes_of_vectors_of_every_kind_are_counted() -> None:
    from qdrant_rerank._internals import count_sent_numbers

    assert count_sent_numbers([1.0, 2.0]) == 2
    assert count_sent_numbers([[1.0, 2.0], [3.0, 4.0]]) == 4
    assert count_sent_numbers(models.SparseVector(indices=[1], values=[1.0])) == 2
    assert count_sent_numbers(models.Document(text="x", model="m")) == 0


def test_half_a_character_is_no_text_of_a_document() -> None:
    with pytest.raises(FormatError, match="document 'a' has half a character in it"):
        Document("a", "one \ud83d")
