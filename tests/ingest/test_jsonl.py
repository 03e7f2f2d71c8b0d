from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import StrategyError
from qdrant_rerank.errors import FormatError
from qdrant_rerank.ingest import BadLine, Document, read_jsonl

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes lines (objects as JSON, texts and bytes as they are) to `corpus.jsonl`."""

    def write(*lines: Any, name: str = "corpus.jsonl") -> Path:
        parts = [
            line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
            for line in lines
        ]
        content = b"".join(part + b"\n" for part in parts)
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


def test_beirs_lines_become_documents_whose_further_keys_are_payload(write: Write) -> None:
    path = write(
        {"_id": "4983", "title": "Ferries", "text": "They leave at nine.", "year": 2020, "place": {"lat": 1, "lon": 2}},
        {"_id": 7, "title": "", "text": "No title.", "tags": ["a"]},
        {"_id": "t", "title": "Title alone", "text": None},
    )

    assert list(read_jsonl(path)) == [
        Document(
            "4983",
            "Ferries They leave at nine.",
            {"title": "Ferries", "text": "They leave at nine.", "year": 2020, "place": {"lat": 1, "lon": 2}},
        ),
        Document(7, "No title.", {"title": "", "text": "No title.", "tags": ["a"]}),
        Document("t", "Title alone", {"title": "Title alone", "text": None}),
    ]


def test_other_keys_and_joiners_are_read_as_told(write: Write) -> None:
    path = write({"sku": "x1", "name": "Lamp", "body": "Bright."})

    [document] = read_jsonl(path, id_key="sku", text_keys=("name", "body"), joiner=": ")

    assert document == Document("x1", "Lamp: Bright.", {"sku": "x1", "name": "Lamp", "body": "Bright."})
    assert [found.text for found in read_jsonl(path, id_key="sku", text_keys="body")] == ["Bright."]


def test_gzip_is_unpacked(write: Write) -> None:
    path = write({"_id": "a", "text": "übermorgen"}, name="corpus.jsonl.gz")

    assert [document.text for document in read_jsonl(path)] == ["übermorgen"]


def test_a_damaged_gzip_file_is_an_error_with_its_line(write: Write) -> None:
    whole = write(*({"_id": number, "text": f"text {number * 7919}"} for number in range(2000)), name="a.jsonl.gz")
    whole.write_bytes(whole.read_bytes()[:-2000])
    plain = whole.with_name("b.jsonl.gz")
    plain.write_bytes(b'{"_id": 1, "text": "not gzip"}\n')
    bad: list[BadLine] = []

    with pytest.raises(FormatError, match="the gzip file is damaged") as cut:
        list(read_jsonl(whole, on_bad=bad.append))
    with pytest.raises(FormatError, match=r"b\.jsonl\.gz:1: the gzip file is damaged: Not a gzipped file"):
        list(read_jsonl(plain, on_bad=bad.append))
    assert (cut.value.line or 0) > 1
    assert bad == []


def test_a_byte_order_mark_and_empty_lines_are_no_trouble(write: Write) -> None:
    path = write(b'\xef\xbb\xbf{"_id": 1, "text": "a"}\r', "", "  ", {"_id": 2, "text": "b"})

    assert [document.id for document in read_jsonl(path)] == [1, 2]


BAD = [
    ("{oops", "not JSON: Expecting property name enclosed in double quotes"),
    ('{"_id": 1, "text": "a", "x": NaN}', "not JSON: NaN is no number of JSON's"),
    ("[" * 100_000, "more than 200 brackets within each other"),
    (b'{"_id": 1, "text": "\xff"}', "not UTF-8 text"),
    ('{"_id": 1, "text": "\\uD800"}', "not UTF-8 text"),
    ("[1, 2]", "not a JSON object: list"),
    ('{"text": "a"}', "no id under '_id'; the line has 'text'"),
    ('{"id": 3, "text": "a"}', "no id under '_id'; the line has 'id', 'text'; pass id_key='id'?"),
    ('{"_id": null, "text": "a"}', "no id under '_id'"),
    ('{"_id": "", "text": "a"}', "an id must not be empty"),
    ('{"_id": 1.5, "text": "a"}', "an id must be text or a whole number, got float 1.5"),
    ('{"_id": -4, "text": "a"}', "must be from 0 to 2**64 - 1, got -4"),
    ('{"_id": 1}', "no text under 'title' or 'text'; the line has '_id'"),
    ('{"_id": 1, "title": " ", "text": ""}', "no text under 'title' or 'text'"),
    ('{"_id": 1, "text": ["a"]}', "the text under 'text' must be a string, got list ['a']"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_line_is_reported_with_file_and_line_and_skipped(write: Write, line: str | bytes, reason: str) -> None:
    path = write({"_id": "a", "text": "fine"}, "", line, {"_id": "b", "text": "fine"})
    bad: list[BadLine] = []

    documents = read_jsonl(path, on_bad=bad.append)

    assert [document.id for document in documents] == ["a", "b"]
    assert [(found.path, found.line) for found in bad] == [(str(path), 3)]
    assert reason in bad[0].reason
    assert documents.bad == bad


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_line_raises_where_no_one_takes_it(write: Write, line: str | bytes, reason: str) -> None:
    path = write({"_id": "a", "text": "fine"}, line)
    documents = read_jsonl(path)

    assert next(documents).id == "a"
    with pytest.raises(FormatError) as refused:
        next(documents)
    assert (refused.value.path, refused.value.line) == (str(path), 2)
    assert reason in str(refused.value)


def test_an_id_that_comes_again_is_a_bad_line_in_any_spelling(write: Write) -> None:
    one = "4c1f0b0e-93a5-4d9b-8d2e-0a6c1b7f5e11"
    ids = ["a", 1, one, "1", one.upper(), "a", 1]
    path = write(*({"_id": id, "text": f"text {number}"} for number, id in enumerate(ids)))
    bad: list[BadLine] = []

    assert [document.id for document in read_jsonl(path, on_bad=bad.append)] == ["a", 1, one, "1"]
    assert [found.line for found in bad] == [5, 6, 7]
    assert bad[1].reason == "the id 'a' was in the file before; the first line with it counts"


def test_an_id_on_a_bad_line_may_be_used_by_a_good_one(write: Write) -> None:
    path = write({"_id": "a"}, {"_id": "a", "text": "fine"})

    assert [document.text for document in read_jsonl(path, on_bad=lambda _: None)] == ["fine"]


def test_another_id_under__id_is_a_bad_line_rather_than_overwritten(write: Write) -> None:
    path = write({"_id": {"$oid": "5"}, "sku": "x", "text": "a"})

    with pytest.raises(FormatError, match="has an '_id' of its own"):
        list(read_jsonl(path, id_key="sku"))


def test_a_bad_line_reads_like_a_compilers_message() -> None:
    assert str(BadLine("corpus.jsonl", 17, "not JSON")) == "corpus.jsonl:17: not JSON"


def test_limit_counts_documents_and_stops_reading(write: Write) -> None:
    path = write({"_id": 1, "text": "a"}, "bad", {"_id": 2, "text": "b"}, "worse", {"_id": 3, "text": "c"})
    bad: list[BadLine] = []

    assert [document.id for document in read_jsonl(path, on_bad=bad.append, limit=2)] == [1, 2]
    assert [found.line for found in bad] == [2]


def test_lines_are_read_only_as_documents_are_asked_for(write: Write) -> None:
    path = write({"_id": 1, "text": "a"}, "broken")
    documents = read_jsonl(path)

    assert next(documents).id == 1  # the second line would raise


def test_a_missing_file_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_jsonl(tmp_path / "gone.jsonl")


def test_wrong_arguments_are_refused_at_once(write: Write) -> None:
    path = write({"_id": 1, "text": "a"})

    with pytest.raises(StrategyError, match=r"text_keys must name at least one key, got \(\)"):
        read_jsonl(path, text_keys=())
    with pytest.raises(StrategyError, match="limit must be a whole number of at least 1, got 0"):
        read_jsonl(path, limit=0)
