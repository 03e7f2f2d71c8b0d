"""Every reader of files, given every kind of broken file: it reads it, or raises a FormatError that names file and line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import RelevanceFeedback, load
from qdrant_rerank.cli._internals import read_features
from qdrant_rerank.errors import FormatError
from qdrant_rerank.evaluate import read_judged, read_qrels, read_run, read_run_file, read_topics
from qdrant_rerank.feedback import Coefficients
from qdrant_rerank.ingest import read_jsonl
from qdrant_rerank.learn import LearnedRanker, read_clicks, read_log
from tests.support import refused


def read_documents(path: Path) -> Any:
    return list(read_jsonl(path))


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "strategy": ("strategy.json", load),
    "feedback": ("feedback.json", RelevanceFeedback.load),
    "coefficients": ("coefficients.json", Coefficients.load),
    "ranker": ("ranker.json", LearnedRanker.load),
    "features": ("features.json", read_features),
    "documents": ("corpus.jsonl", read_documents),
    "documents, packed": ("corpus.jsonl.gz", read_documents),
    "topics as JSON": ("topics.jsonl", read_topics),
    "topics": ("topics.tsv", read_topics),
    "judgments": ("qrels.txt", read_qrels),
    "judgments, packed": ("qrels.tsv.gz", read_qrels),
    "judged as JSON": ("judged.jsonl", read_judged),
    "judged as CSV": ("judged.csv", read_judged),
    "clicks": ("clicks.csv", read_clicks),
    "clicks as JSON": ("clicks.jsonl", read_clicks),
    "run": ("run.trec", read_run),
    "run file": ("run.jsonl", read_run_file),
    "log": ("log.jsonl", read_log),
    "log as CSV": ("log.csv", read_log),
    "log as SVMlight": ("log.svm", read_log),
    "log as Parquet": ("log.parquet", read_log),
}
VALUES: dict[str, Any] = {"null": None, "a list": [1], "an object": {"a": {}}, "true": True, "empty": "", "-1": -1}
FIELDS = ("kind", "_id", "text", "query_id", "query", "doc_id", "grade", "topic", "rows", "a", "b", "c", "position", "clicked")
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "empty lines": b"\n\n\n",
    "a mark and nothing": b"\xef\xbb\xbf",
    "prose": b"night train\n",
    "a pickle": b"\x80\x04\x95",
    "not UTF-8": b'{"kind": "nearest", "text": "gr\xf6\xdfe"}\n',
    "UTF-16": '{"kind": "nearest"}\n'.encode("utf-16"),
    "zeros": b"\x00" * 100,
    "a zero in a line": b'q1\t0\td\x001\t1\n{"a": "\x00"}\n',
    "brackets": b"[" * 100_000,
    "braces": b'{"a":' * 5_000,
    "nested and closed": b'{"_id": "a", "text": "b", "c": ' + b"[" * 900 + b"]" * 900 + b"}\n",
    "digits": b'{"kind": ' + b"9" * 5_000 + b"}\n",
    "digits in columns": b"q1 0 d1 " + b"9" * 5_000 + b"\n",
    "digits in a run": b"q1 Q0 d1 1 " + b"9" * 5_000 + b" tag\n",
    "digits in a row": b"query,doc_id,position,clicked\nq,d," + b"9" * 5_000 + b",1\n",
    "a grade beyond floats": b"q1\td1\t1e400\n",
    "infinity": b'{"_id": "a", "text": "b", "price": Infinity}\n',
    "a number beyond floats": b'{"_id": "a", "text": "b", "price": -1e400}\n',
    "a key twice": b'{"_id": "a", "_id": "b", "text": "c", "text": "d"}\n',
    "half an emoji": b'{"_id": "a\\ud83d", "text": "b"}\n',
    "half an emoji as a key": b'{"_id": "a", "text": "b", "\\ude00": 1}\n',
    "lists as lines": b"[1, 2]\n[3]\n",
    "null": b"null\n",
    "cut short": b'{"kind": "formula", "expression": {"kind": "su',
    "a quote without an end": b'query_id,query,doc_id,grade\n"q1,night train,d1,1\n',
    "a column twice": b"query_id,query,query,doc_id,grade\nq1,a,b,d1,1\n",
    "a field of a megabyte": b"query_id,query,doc_id,grade\nq1," + b"x" * 1_000_000 + b",d1,1\n",
    "too many columns": b"query_id,query,doc_id,grade\nq1,a,d1,1,2,3\n",
    "a header alone": b"query-id\tcorpus-id\tscore\n",
    "a header of other columns": b"query-id\tprice\tscore\nq1\td1\t1\n",
    "ids of spaces": b" \t \t1\n",
    "old Mac line ends": b"query_id,query,doc_id,grade\rq1,a,d1,1\r",
    **{f"every field {shown}": json.dumps(dict.fromkeys(FIELDS, value)).encode() + b"\n" for shown, value in VALUES.items()},
    "a header and a wrong line": b'{"kind": "feature_log", "features": {}, "candidates": []}\n{"topic": "q", "rows": [1]}\n',
    "a log of wrong features": b'{"kind": "feature_log", "features": {"a": {"expression": []}}, "candidates": [{}]}\n',
    "a log of wrong references": b'{"kind": "feature_log", "features": {"a": {"category": "b"}}, "reference": []}\n',
    "a log of a wrong reference": b'{"kind": "feature_log", "features": {"a": {"category": "b"}}, "reference": {"a": 1}}\n',
    "a log of a wrong coverage": b'{"kind": "feature_log", "features": {"a": {"category": "b"}}, "candidates": [], '
    b'"coverage": 1}\n',
    "rows of a log that are too short": (
        b'{"kind": "feature_log", "features": {"a": {"category": "b"}}, "candidates": []}\n'
        b'{"topic": "q", "rows": [["d"]], "missed": [], "fetched": 0}\n'
    ),
    "rows of a log that are of text": (
        b'{"kind": "feature_log", "features": {"a": {"category": "b"}}, "candidates": []}\n'
        b'{"topic": "q", "rows": [["d", "x", "y", "z", {}]], "missed": [], "fetched": 0}\n'
    ),
    "a run file without its parts": b'{"kind": "qdrant-rerank run"}\n{"topic": "q1"}\n',
    "a ranker without its parts": b'{"kind": "learned_ranker", "strategy": [], "margin": {"kind": "sum"}}\n',
    "a class of another library": b'{"kind": "formula", "expression": "models.BaseModel()"}\n',
    "calls within calls": b'{"kind": "formula", "expression": "' + b"abs(" * 5_000 + b"1" + b")" * 5_000 + b'"}\n',
}
META = json.dumps(
    {"kind": "feature_log", "features": {"a": {"expression": {"kind": "score"}}}, "candidates": [{"kind": "nearest"}]}
)


def error_of(read: Callable[[Path], Any], path: Path) -> Exception | None:
    try:
        read(path)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("reader", READERS)
def test_a_broken_file_is_read_or_refused_with_its_place(tmp_path: Path, reader: str) -> None:
    name, read = READERS[reader]
    path = tmp_path / name
    (tmp_path / f"{name}.meta.json").write_text(META)
    for what, content in BROKEN.items():
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        error = error_of(read, path)
        assert error is None or isinstance(error, FormatError), f"{what}: {type(error).__name__}: {str(error)[:500]}"
        assert error is None or str(error).startswith(str(path)), what
        assert len(str(error)) < len(str(path)) + 1000, what


@pytest.mark.parametrize("name", ["log.csv", "log.svm"])
def test_what_is_told_beside_a_log_is_read_as_carefully(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    beside = tmp_path / f"{name}.meta.json"
    for what, content in BROKEN.items():
        beside.write_bytes(content)
        error = error_of(read_log, tmp_path / name)
        assert isinstance(error, FormatError), f"{what}: {type(error).__name__}: {str(error)[:500]}"
        assert str(error).startswith(str(beside)), what


def test_a_packed_file_that_was_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "qrels.tsv.gz"
    path.write_bytes(gzip.compress(b"q1\td1\t1\n" * 10_000)[:-20])
    with refused(FormatError, f"{path}:", "the gzip file is damaged"):
        read_qrels(path)


def test_a_line_of_gigabytes_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    with path.open("wb") as file:
        file.truncate(2**36)
    with refused(FormatError, f"{path}:1: the line has more than 64 MB"):
        read_documents(path)


@pytest.mark.parametrize(
    ("text", "grades"),
    [
        ("query-id\tcorpus-id\tscore\nq1\td1\t1\n", {"q1": {"d1": 1}}),
        ("corpus-id\tquery-id\tscore\nd1\tq1\t2\n", {"q1": {"d1": 2}}),
        ("score\tdoc_id\tqid\n1\td1\tq1\n", {"q1": {"d1": 1}}),
        ("Query_ID iteration DocID relevance\nq1 0 d1 1\n", {"q1": {"d1": 1}}),
        ("q1 0 topic 1\n", {"q1": {"topic": 1}}),
        ("q1\t0\ta document\t1\n", {"q1": {"a document": 1}}),
    ],
)
def test_columns_of_judgments_are_told_by_their_names(tmp_path: Path, text: str, grades: dict[str, Any]) -> None:
    (tmp_path / "qrels.tsv").write_text(text)
    assert read_qrels(tmp_path / "qrels.tsv").grades == grades


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("query-id\ttext\nq1\tnight train\n", [("q1", "night train")]),
        ("text\tqid\nnight train\tq1\n", [("q1", "night train")]),
        ("q1\ttext\nq2\tid\n", [("q1", "text"), ("q2", "id")]),
        ("id\tbikes\n", [("id", "bikes")]),
    ],
)
def test_a_header_is_no_topic(tmp_path: Path, text: str, topics: list[tuple[str, str]]) -> None:
    (tmp_path / "topics.tsv").write_text(text)
    assert [(topic.id, topic.text) for topic in read_topics(tmp_path / "topics.tsv")] == topics


def test_a_row_of_another_width_than_the_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text("corpus-id\tquery-id\tscore\nd1\tq1\t1\nd2\t0\tq1\t1\n")
    with refused(FormatError, "qrels.tsv:3: ", "this one has 4"):
        read_qrels(tmp_path / "qrels.tsv")


def test_an_empty_line_in_quotes_is_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "judged.csv").write_text('query_id,query,doc_id,grade\n\nq1,"night\n\ntrain",d1,1\n')
    topics, _ = read_judged(tmp_path / "judged.csv")
    assert [topic.text for topic in topics] == ["night\n\ntrain"]
