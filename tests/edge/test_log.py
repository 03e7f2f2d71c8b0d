"""The log can be read again whatever was written: what couldn't be is refused before the engine sees it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import QueryError
from qdrant_rerank._internals import make_change
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import FormatError
from qdrant_rerank.ingest import Document, ingest, read_jsonl

FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)
DEEP = "nested more than 120 levels deep, which the engine's log couldn't read again"


def nested(levels: int) -> Any:
    """A value of so many levels."""
    value: Any = 1
    for _ in range(levels):
        value = {"k": value}
    return value


def filters(levels: int) -> models.Filter:
    """A filter of so many levels."""
    found = models.Filter()
    for _ in range((levels - 1) // 2):
        found = models.Filter(must=[found])
    return found


def point(payload: Any) -> models.PointStruct:
    return models.PointStruct.model_construct(id=9, vector=[1.0, 2.0], payload=payload)


KEY = ".".join(["k"] * 119)
# each with the most that may be written, and what is too much
WRITES: dict[str, Callable[[EdgeClient, int], Any]] = {
    "upsert": lambda c, more: c.upsert("c", [point({"a": nested(119 + more)})]),
    "upsert under a condition": lambda c, more: c.upsert("c", [point({"a": nested(119 + more)})], update_filter=filters(9)),
    "a condition": lambda c, more: c.upsert("c", [point({})], update_filter=filters(119 + 2 * more)),
    "upload": lambda c, more: c.upload_points("c", [point({"a": nested(119 + more)})]),
    "set": lambda c, more: c.set_payload("c", {"a": nested(119 + more)}, [1]),
    "set by filter": lambda c, more: c.set_payload("c", {"a": 1}, filters(119 + 2 * more)),
    "set at a key": lambda c, more: c.set_payload("c", {"a": nested(more)}, [1], key=KEY),
    "overwrite": lambda c, more: c.overwrite_payload("c", {"a": nested(119 + more)}, [1]),
    "delete payload": lambda c, more: c.delete_payload("c", ["a"], filters(119 + 2 * more)),
    "clear": lambda c, more: c.clear_payload("c", filters(119 + 2 * more)),
    "delete": lambda c, more: c.delete("c", filters(119 + 2 * more)),
    "delete vectors": lambda c, more: c.delete_vectors("c", [""], filters(119 + 2 * more)),
    "update vectors": lambda c, more: c.update_vectors(
        "c", [models.PointVectors(id=1, vector=[1.0, 1.0])], update_filter=filters(119 + 2 * more)
    ),
    "a batch": lambda c, more: c.batch_update_points(
        "c",
        [
            models.DeleteOperation(delete=models.PointIdsList(points=[2])),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"a": nested(119 + more)}, points=[1])),
        ],
    ),
}


def test_what_the_log_could_not_read_again_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT)
        client.upsert("c", [models.PointStruct(id=i, vector=[1.0, 1.0], payload={"n": i}) for i in (1, 2)])
        for write in WRITES.values():
            with pytest.raises(QueryError, match=DEEP):
                write(client, 1)
        assert [record.payload for record in client.scroll("c")[0]] == [{"n": 1}, {"n": 2}]


def test_all_that_is_taken_is_read_again_after_a_crash(tmp_path: Path) -> None:
    """Each kind of change at its limit, then no closing; the process that opens the collection replays the log."""
    code = """
import os, sys
from qdrant_rerank.edge import EdgeClient
from tests.edge.test_log import FLAT, WRITES, point

client = EdgeClient(sys.argv[1])
for name, write in WRITES.items():
    client.create_collection(name, FLAT)
    client.upsert(name, [point({"n": 1}).model_copy(update={"id": id}) for id in (1, 2)])
    client._folder._open["c"] = client._folder._open[name]
    write(client, 0)
os._exit(7)
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)
    assert ended.returncode == 7, ended.stderr
    with EdgeClient(tmp_path) as client:
        for name in WRITES:
            client.scroll(name, limit=10, with_vectors=True)


@pytest.mark.parametrize("levels", [121, 200, 5000])
def test_the_point_and_the_key_are_named(tmp_path: Path, levels: int) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT)
        with pytest.raises(QueryError, match=f"the payload of point 9 is {DEEP}: it is under 'second'|{DEEP}"):
            client.upsert("c", [point({"first": nested(3), "second": nested(levels)})])
        with pytest.raises(QueryError, match=f"the payload of the change is {DEEP}: it is under 'a' at 'x.y'|{DEEP}"):
            client.set_payload("c", {"a": nested(levels)}, [1], key="x.y")
        with pytest.raises(QueryError, match=f"the payload of the change is {DEEP}: it is at 'k.k"):
            client.set_payload("c", {"a": 1}, [1], key=".".join(["k"] * levels))


def test_a_path_that_is_none_is_refused(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT)
        for wrong in ("a[", "", "a..b"):
            with pytest.raises(QueryError, match=r"is no path of a payload|qdrant-edge refused a change"):
                client.set_payload("c", {"a": 1}, [1], key=wrong)
            with pytest.raises(QueryError, match=r"is no path of a payload|qdrant-edge refused a change"):
                client.create_payload_index("c", wrong, models.PayloadSchemaType.KEYWORD)


def test_a_part_without_a_check_makes_no_change() -> None:
    with pytest.raises(KeyError, match="snapshot"):
        make_change("set_payload", snapshot="a")


BEYOND: list[tuple[Any, str]] = [
    ([1e39, 1.0], "numbers beyond those of 32 bits, the engine's own: at most 3.403e"),
    ([10**400, 1], "holds what isn't a number"),
    (["1.5", 1.0], "isn't a list of numbers"),
    ([1.0, "1.5"], "holds what isn't a number"),
    ([True, 1.0], "holds what isn't a number"),
    ([None, 1.0], "aren't finite|isn't a number"),
    ([[1.0, 2.0], "ab"], "isn't a list of numbers"),
    ([[1.0, 2.0], np.array([1.0, math.nan])], "aren't finite"),
]


@pytest.mark.parametrize(("vector", "message"), BEYOND)
def test_numbers_that_the_engine_can_t_hold_are_refused(tmp_path: Path, vector: Any, message: str) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT)
        with pytest.raises(QueryError, match=message):
            client.upsert("c", [point({}).model_copy(update={"vector": vector})])
        with pytest.raises(QueryError, match=message):
            client.update_vectors("c", [models.PointVectors.model_construct(id=1, vector=vector)])
        with pytest.raises(QueryError, match=message):
            client.query_points("c", query=vector)
        client.upsert("c", [point({}).model_copy(update={"vector": np.array([3e38, 1.0], dtype=np.float32)})])
        client.upsert("c", [point({}).model_copy(update={"vector": [np.float32(3e38), np.int64(1)]})])


def test_sparse_numbers_and_indices_are_the_engine_s(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", sparse_vectors_config={"s": models.SparseVectorParams()})
        for indices, values, message in (
            ([1], [1e39], "beyond those of 32 bits"),
            ([2**32], [1.0], r"an index that isn't a whole number from 0 to 2\*\*32 - 1"),
            ([-1], [1.0], "an index that isn't a whole number"),
        ):
            wrong = models.SparseVector.model_construct(indices=indices, values=values)
            with pytest.raises(QueryError, match=message):
                client.upsert("c", [models.PointStruct.model_construct(id=1, vector={"s": wrong}, payload=None)])


def test_a_document_that_could_not_be_read_again_is_a_bad_one(tmp_path: Path) -> None:
    documents = [Document("good", "a", {"deep": nested(119)}), Document("bad", "b", {"deep": nested(120)}), Document(3, "c")]
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT)
        report = ingest(client, "c", documents, {"": lambda text: [1.0, 2.0]})
        assert (report.written, client.count("c").count) == (2, 2)
    assert [str(bad) for bad in report.bad] == [
        "documents:2: document 'bad': the payload is nested more than 120 levels deep under 'deep', which couldn't be "
        "read again"
    ]


def test_a_line_that_could_not_be_read_again_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    lines = ['{"_id": "1", "text": "a"}', '{"_id": "2", "text": "b", "deep": ' + "[" * 120 + "]" * 120 + "}"]
    path.write_text("\n".join(lines))
    bad: list[Any] = []
    assert [document.id for document in read_jsonl(path, on_bad=bad.append)] == ["1"]
    assert [(one.line, one.reason[:34]) for one in bad] == [(2, "the payload is nested more than 12")]
    with pytest.raises(FormatError, match=r"corpus.jsonl:2: the payload is nested more than 120 levels deep under 'deep'"):
        list(read_jsonl(path))


def test_numbers_of_numpy_are_ids_of_documents() -> None:
    assert Document(np.int64(3), "a").id == 3  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="must be text or a whole number, got float64"):
        Document(np.float64(3), "a")  # type: ignore[arg-type]
