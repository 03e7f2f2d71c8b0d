from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank.errors import IngestError
from qdrant_rerank.ingest import Document, ensure_collection, ingest, point_id
from tests.ingest.tiny import Letters, documents, stored


def test_a_second_run_embeds_and_writes_nothing(client: QdrantClient) -> None:
    ingest(client, "docs", documents(5), {"dense": Letters()})
    encoder = Letters()

    report = ingest(client, "docs", [Document("d0", "changed"), *documents(4, start=1)], {"dense": encoder})

    assert (report.written, report.skipped, encoder.texts) == (0, 5, [])
    assert stored(client)[point_id("d0")]["text"] == "text 0"


def test_without_resume_everything_is_written_anew(client: QdrantClient) -> None:
    ingest(client, "docs", documents(3), {"dense": Letters()})

    report = ingest(client, "docs", [Document("d0", "changed")], {"dense": Letters()}, resume=False)

    assert (report.written, report.skipped) == (1, 0)
    assert stored(client)[point_id("d0")] == {"_id": "d0", "text": "changed"}
    assert len(stored(client)) == 3


@pytest.mark.parametrize("batch_size", [1, 10])
def test_the_first_document_with_an_id_counts_in_one_batch_as_in_several(client: QdrantClient, batch_size: int) -> None:
    given = [Document("a", "first"), Document("a", "second"), Document("b", "third")]

    report = ingest(client, "docs", given, {"dense": Letters()}, batch_size=batch_size)

    assert (report.written, report.skipped) == (2, 1)
    assert stored(client)[point_id("a")]["text"] == "first"


def test_after_an_encoder_failed_a_second_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path))
    ensure_collection(client, "docs", {"dense": Letters()})
    poisoned = [*documents(7), Document("bad", "poison"), *documents(12, start=7)]
    with pytest.raises(IngestError):
        ingest(client, "docs", poisoned, {"dense": Letters()}, batch_size=5)
    client.close()

    again = QdrantClient(path=str(tmp_path))
    encoder = Letters()
    report = ingest(again, "docs", documents(19), {"dense": encoder}, batch_size=5)

    assert (report.written, report.skipped) == (14, 5)
    assert encoder.texts == [f"text {number}" for number in range(5, 19)]
    assert {payload["_id"] for payload in stored(again).values()} == {f"d{number}" for number in range(19)}
    again.close()


def test_a_killed_process_leaves_whole_batches_and_the_next_run_finishes(tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        from qdrant_client import QdrantClient
        from qdrant_rerank.ingest import ensure_collection, ingest
        from tests.ingest.tiny import Letters, documents

        client = QdrantClient(path=sys.argv[1])
        ensure_collection(client, "docs", {"dense": Letters()})
        ingest(client, "docs", documents(50), {"dense": Letters()}, batch_size=8,
               on_progress=lambda written, skipped: os._exit(9) if written == 24 else None)
    """
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == 9

    client = QdrantClient(path=str(tmp_path))
    report = ingest(client, "docs", documents(50), {"dense": Letters()}, batch_size=8)

    assert (report.written, report.skipped) == (26, 24)
    assert client.count("docs").count == 50
    client.close()
