"""Topics and judgments come out of files as they were put in, and bad files say where."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank.errors import FormatError
from qdrant_rerank.evaluate import Qrels, Topic, Topics, read_beir, read_judged, read_qrels, read_topics, write_qrels
from tests.support import refused


def _write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def _beir(folder: Path) -> Path:
    _write(folder / "queries.jsonl", *(json.dumps({"_id": id, "text": f"claim {id}", "metadata": {}}) for id in "1234"))
    _write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "1\tdoc a\t1", "2\tb\t2", "9\tc\t1")
    _write(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore", "3\tb\t1")
    return folder


def test_a_beir_folder_gives_the_queries_and_judgments_of_its_split(tmp_path: Path) -> None:
    topics, qrels = read_beir(_beir(tmp_path), "test")
    assert [(topic.id, topic.text) for topic in topics] == [("1", "claim 1"), ("2", "claim 2")]
    assert dict(qrels) == {"1": {"doc a": 1}, "2": {"b": 2}, "9": {"c": 1}}


def test_a_split_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with refused(FormatError, "'tset'", "did you mean 'test'?", "test, train"):
        read_beir(_beir(tmp_path), "tset")


def test_topics_are_read_from_tab_separated_lines_and_from_gzip(tmp_path: Path) -> None:
    path = _write(tmp_path / "topics.tsv", "7\tnight trains", "", "8\tferries\tand bikes")
    assert [topic.text for topic in read_topics(path)] == ["night trains", "ferries\tand bikes"]
    packed = tmp_path / "topics.tsv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_topics(packed) == read_topics(path)


def test_topics_of_json_lines_may_have_filters_and_features(tmp_path: Path) -> None:
    wanted = {"must": [{"key": "town", "match": {"value": "Orvena"}}]}
    path = _write(tmp_path / "t.jsonl", json.dumps({"id": 5, "text": "x", "filter": wanted, "params": {"budget": 20}}))
    [topic] = read_topics(path)
    assert (topic.id, topic.params) == ("5", {"budget": 20})
    assert topic.filter == models.Filter.model_validate(wanted)


def test_judgments_are_read_as_trec_writes_them_and_written_back_the_same(tmp_path: Path) -> None:
    path = _write(tmp_path / "qrels", "q1 0 a 2", "q1 0 b -1", "q2\t0\ta\t0", "q2 0 c 1.0")
    qrels = read_qrels(path)
    assert dict(qrels) == {"q1": {"a": 2, "b": -1}, "q2": {"a": 0, "c": 1}}
    write_qrels(qrels, tmp_path / "again")
    assert read_qrels(tmp_path / "again") == qrels


ROWS: list[dict[str, Any]] = [
    {"query_id": "1", "query": 'say "x", y', "doc_id": "a", "grade": 2, "filter": {"must": []}, "params": {"n": 1}},
    {"query_id": "1", "query": 'say "x", y', "doc_id": "b", "grade": 0, "filter": {"must": []}, "params": {"n": 1}},
    {"query_id": "2", "query": "z", "doc_id": "a", "grade": 1},
]


def test_a_table_of_judged_pairs_reads_the_same_as_json_lines_and_as_csv(tmp_path: Path) -> None:
    lines = _write(tmp_path / "judged.jsonl", *map(json.dumps, ROWS))
    csv = _write(
        tmp_path / "judged.csv",
        "query_id,query,doc_id,grade,filter,params",
        '1,"say ""x"", y",a,2,"{""must"": []}","{""n"": 1}"',
        '1,"say ""x"", y",b,0,"{""must"": []}","{""n"": 1}"',
        "2,z,a,1,,",
    )
    topics, qrels = read_judged(lines)
    assert dict(qrels) == {"1": {"a": 2, "b": 0}, "2": {"a": 1}}
    assert topics["1"].params == {"n": 1}
    assert read_judged(csv) == (topics, qrels)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"grade": "good"}, ("grade must be a whole number", "'good'")),
        ({"grade": 0.5}, ("grade must be a whole number", "0.5")),
        ({"grade": True}, ("grade must be a whole number", "True")),
        ({"grade": "nan"}, ("grade must be a whole number", "nan")),
        ({"query": "another text"}, ("'2'", "another text", "'z', here 'another text'")),
        ({"doc_id": ""}, ("'doc_id' must be text",)),
        ({"doc_id": "a", "grade": 2}, ("'a' has two grades for topic '2': 1 before, 2 here",)),
        ({"filter": {"most": []}}, ("isn't a filter of Qdrant's",)),
        ({"params": [1]}, ("'params' must be a JSON object", "[1]")),
        ({"params": {"n": 2}}, ("another params",)),
        ({"garde": 1}, ("unknown column 'garde'", "did you mean 'grade'?")),
    ],
)
def test_a_bad_row_is_told_with_file_and_line(tmp_path: Path, change: dict[str, Any], parts: tuple[str, ...]) -> None:
    path = _write(tmp_path / "bad.jsonl", *map(json.dumps, [*ROWS, {**ROWS[-1], "doc_id": "new", **change}]))
    with refused(FormatError, f"{path}:4: ", *parts):
        read_judged(path)


@pytest.mark.parametrize("column", ["query_id", "query", "doc_id", "grade"])
def test_a_missing_column_is_told_with_those_that_are_there(tmp_path: Path, column: str) -> None:
    row = {key: value for key, value in ROWS[2].items() if key != column}
    there = next(iter(row))
    with refused(FormatError, ":1: ", f"no '{column}'", f"'{there}'"):
        read_judged(_write(tmp_path / "bad.jsonl", json.dumps(row)))


def test_a_csv_row_with_more_or_fewer_columns_is_told_with_its_line(tmp_path: Path) -> None:
    for line in ("1,x,a", "1,x,a,1,extra"):
        with refused(FormatError, "bad.csv:2: ", "4 columns"):
            read_judged(_write(tmp_path / "bad.csv", "query_id,query,doc_id,grade", line))


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("q1 0 a", ("'a'",)),
        ("q1 0 a 1 2", ("4 columns", "5")),
        ("q1 a", ("has 2",)),
        ("q1 0 b one", ("whole number", "'one'")),
        ("q0 0 a 2", ("two grades", "1 before, 2 here")),
    ],
)
def test_a_bad_line_of_judgments_is_told_with_its_line(tmp_path: Path, line: str, parts: tuple[str, ...]) -> None:
    with refused(FormatError, "qrels:2: ", *parts):
        read_qrels(_write(tmp_path / "qrels", "q0 0 a 1", line))


@pytest.mark.parametrize(
    ("name", "lines", "parts"),
    [
        ("t.tsv", ["1\tx", "2 y"], (":2: ", "a tab")),
        ("t.tsv", ["1\tx", "1\ty"], (":2: ", "'x', here 'y'")),
        ("t.jsonl", ['{"_id": "1", "text": "x"}', '{"_id": "2"}'], (":2: ", "no 'text'", "'_id'")),
        ("t.jsonl", ['{"_id": "1", "text": "x"}', "{"], (":2: ", "not JSON")),
        ("t.jsonl", ["[]"], (":1: ", "not a JSON object")),
        ("t.tsv", [], ("there are no topics",)),
    ],
)
def test_a_bad_file_of_topics_is_told_with_its_line(
    tmp_path: Path, name: str, lines: list[str], parts: tuple[str, ...]
) -> None:
    with refused(FormatError, name, *parts):
        read_topics(_write(tmp_path / name, *lines))


def test_files_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(b"1\tx\n2\t\xff\n")
    with refused(FormatError, "t.tsv:", "not UTF-8"):
        read_topics(path)
    packed = tmp_path / "t.tsv.gz"
    packed.write_bytes(gzip.compress(b"1\tx\n" * 1000)[:30])
    with refused(FormatError, "gzip file is damaged"):
        read_topics(packed)


def test_an_empty_file_of_judgments_is_told(tmp_path: Path) -> None:
    with refused(FormatError, "no judgments in the file"):
        read_qrels(_write(tmp_path / "qrels"))


def test_a_table_of_unknown_kind_is_told(tmp_path: Path) -> None:
    with refused(FormatError, ".jsonl, .csv or .tsv"):
        read_judged(_write(tmp_path / "judged.xls", "x"))


def test_ids_with_spaces_cannot_be_written_as_trec_does(tmp_path: Path) -> None:
    with refused(FormatError, "'doc a'", "separated by spaces"):
        write_qrels(Qrels({"1": {"doc a": 1}}), tmp_path / "qrels")


def test_broken_csv_is_told(tmp_path: Path) -> None:
    with refused(FormatError, "bad.csv:2: ", "not CSV"):
        read_judged(_write(tmp_path / "bad.csv", "query_id,query,doc_id,grade", '1,"x,a,1'))


def test_values_refuse_what_files_would_refuse() -> None:
    with refused(FormatError, "no topics"):
        Topics([])
    with refused(FormatError, "'1' is there twice"):
        Topics([Topic("1", "x"), Topic("1", "y")])
    with refused(FormatError, "topic's id"):
        Topic(" ", "x")
    with refused(FormatError, "text of topic '1'", "5"):
        Topic("1", 5)  # type: ignore[arg-type]
    with refused(FormatError, "topic '1'", "must be a qdrant_client.models.Filter"):
        Topic("1", "x", filter={"must": []})  # type: ignore[arg-type]
    with refused(FormatError, "whole number", "0.5"):
        Qrels({"1": {"a": 0.5}})  # type: ignore[dict-item]
    with refused(FormatError, "no judgments"):
        Qrels({"1": {}})


def test_topics_can_be_halved_and_keep_their_order() -> None:
    topics = Topics({"a": "x", "b": "y", "c": "z"})
    assert topics.subset(["c", "a"]).ids == ("a", "c")
    assert "a" in topics
    assert "d" not in topics
    with pytest.raises(KeyError, match="d"):
        topics["d"]
    with pytest.raises(KeyError, match="d"):
        topics.subset(["d"])
    assert topics.fingerprint != topics.subset(["a", "b"]).fingerprint
