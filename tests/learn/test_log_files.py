"""Logs in files, and click logs."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_svmlight_file

from qdrant_rerank import StrategyError, field
from qdrant_rerank._internals import Reference
from qdrant_rerank.errors import FitError, FormatError, MissingExtra
from qdrant_rerank.learn import Feature, FeatureLog, Negatives, log_features, read_clicks, read_log, write_log
from qdrant_rerank.learn._internals import LogStream, TopicRows
from qdrant_rerank.learn._internals import read_stream as read_log_stream
from tests.learn.logs import CANDIDATES, FEATURES, local, planted


@pytest.fixture(scope="module")
def log() -> FeatureLog:
    executor, topics, qrels = local()
    features = FEATURES | {"rare": Feature(field("popularity"), missing="nan")}
    return log_features(executor, CANDIDATES, topics, qrels, features, negatives=Negatives(3, 5))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet", "svm"])
def test_what_is_written_is_read_back_to_the_last_bit(log: FeatureLog, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"log.{ending}"
    write_log(log, path)
    again = read_log(path)
    assert again.fingerprint == log.fingerprint
    assert np.isnan(log.values).any()
    np.testing.assert_array_equal(again.values, log.values)
    np.testing.assert_array_equal(again.judged, log.judged)
    assert again.features == log.features
    assert again.candidates == log.candidates
    assert again.reference == log.reference
    assert again.coverage == log.coverage


def test_a_log_that_was_streamed_is_read_like_any_other(tmp_path: Path) -> None:
    executor, topics, qrels = local()
    streamed = log_features(executor, CANDIDATES, topics, qrels, FEATURES, path=tmp_path / "log.jsonl")
    again = read_log(tmp_path / "log.jsonl")
    assert again.fingerprint == streamed.fingerprint
    assert again.candidates == streamed.candidates
    assert again.reference == streamed.reference
    assert again.coverage.missed == streamed.coverage.missed


def test_other_programs_read_the_svmlight_file(log: FeatureLog, tmp_path: Path) -> None:
    path = tmp_path / "log.svm"
    write_log(log, path)
    x, y, qid = load_svmlight_file(str(path), query_id=True)
    np.testing.assert_array_equal(y, log.grades)
    assert (np.diff(qid) >= 0).all()
    assert len(set(qid.tolist())) == 30
    np.testing.assert_array_equal(x.toarray()[:, :5], np.nan_to_num(log.values)[:, :5])


def changed(path: Path, line: int, text: str) -> None:
    lines = path.read_text("utf-8").splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.parametrize(
    ("name", "line", "text", "says"),
    [
        ("log.jsonl", 1, "{}", r"log.jsonl:1: the first line must be the log's header"),
        ("log.jsonl", 3, "{", r"log.jsonl:3: not JSON"),
        ("log.jsonl", 3, '{"topic": 5}', r"log.jsonl:3: a line must be an object with topic"),
        ("log.csv", 1, "topic,document", r"log.csv:\d: "),
        ("log.csv", 5, "q0,film-1,1,1,1.0,a,1,1,1,1,1", r"log.csv:5: not a number: .*'a'"),
        ("log.svm", 4, "1 qid:1 1:x # []", r"log.svm:4: expected GRADE qid:N"),
    ],
)
def test_malformed_files_are_refused_with_the_line(
    log: FeatureLog, tmp_path: Path, name: str, line: int, text: str, says: str
) -> None:
    path = tmp_path / name
    write_log(log, path)
    changed(path, line, text)
    with pytest.raises(FormatError, match=says):
        read_log(path)


def test_what_a_file_needs_beside_it_is_said(log: FeatureLog, tmp_path: Path) -> None:
    write_log(log, tmp_path / "log.csv")
    (tmp_path / "log.csv.meta.json").unlink()
    with pytest.raises(FormatError, match=r"there is no log.csv.meta.json beside it"):
        read_log(tmp_path / "log.csv")
    with pytest.raises(FormatError, match=r"must end in .jsonl, .csv, .parquet or .svm, got '.txt'"):
        write_log(log, tmp_path / "log.txt")
    with pytest.raises(FormatError, match=r"got '.txt'"):
        read_log(tmp_path / "log.txt")
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    with pytest.raises(FormatError, match="a log begins with a header"):
        read_log(tmp_path / "empty.jsonl")
    (tmp_path / "log.parquet").write_text("no", "utf-8")
    with pytest.raises(FormatError, match="not a Parquet file"):
        read_log(tmp_path / "log.parquet")


def test_a_feature_that_is_none_is_refused(log: FeatureLog, tmp_path: Path) -> None:
    write_log(log, tmp_path / "log.csv")
    beside = tmp_path / "log.csv.meta.json"
    meta = json.loads(beside.read_text("utf-8"))
    meta["features"]["dense"] = {"expression": {"kind": "scoer"}}
    beside.write_text(json.dumps(meta), "utf-8")
    with pytest.raises(FormatError, match=r"the feature 'dense': .*unknown kind of expression 'scoer'"):
        read_log(tmp_path / "log.csv")


def test_without_pyarrow_the_message_says_so(log: FeatureLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="pyarrow"):
        write_log(log, tmp_path / "log.parquet")


def test_a_log_splits_by_topic(log: FeatureLog) -> None:
    one, two = log.split(0.3)
    assert len(one.topic_ids) == 9
    assert not set(one.topic_ids) & set(two.topic_ids)
    assert len(one) + len(two) == len(log)
    with pytest.raises(FitError, match="no rows of these 1 topics"):
        log.only(["nobody"])
    with pytest.raises(FitError, match="no rows of these 0 topics"):
        log.split(0.0)


def test_columns_of_different_lengths_are_refused() -> None:
    log = planted(0, 100, 10)
    with pytest.raises(StrategyError, match="'documents': 99"):
        FeatureLog(**{**vars(log), "documents": log.documents[1:]})


def test_a_reference_has_about_a_tenth_in_each_bin_and_fewer_bins_where_values_repeat() -> None:
    even = Reference.of(np.arange(1000.0))
    assert len(even.shares) == 10
    np.testing.assert_allclose(even.shares, 0.1, atol=0.002)
    assert even.shares_of(np.arange(1000.0)) == even.shares
    assert Reference.of(np.ones(50)).shares == (1.0,)
    two = Reference.of(np.array([0.0] * 90 + [1.0] * 10))
    assert two.edges == (0.0,)
    np.testing.assert_allclose(two.shares, [0.9, 0.1])
    assert Reference.of(np.array([np.nan])).edges == ()


CLICKS = """query,doc_id,position,clicked
soup,a,1,1
soup,a,1,0
soup,b,4,1
soup,c,2,0
bread,c,3,true
"""


def test_clicks_become_grades_and_inverse_propensities(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(CLICKS, "utf-8")
    clicks = read_clicks(path)
    assert clicks.rows == 5
    assert clicks.topics.ids == ("soup", "bread")
    assert clicks.qrels["soup"] == {
        "a": 2,
        "b": 3,
        "c": 0,
    }  # b was clicked at its only quarter of a look
    assert clicks.weights["soup"] == {"a": 1.0, "b": 4.0, "c": 1.0}
    plain = read_clicks(path, eta=0)
    assert plain.qrels["soup"] == {"a": 2, "b": 3, "c": 0}
    assert plain.weights["soup"]["b"] == 1.0
    assert read_clicks(path, largest_weight=2).weights["bread"]["c"] == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("query,doc_id,position,clicked\n", "there are no clicks"),
        ("query,doc_id,position,clicked\nsoup,a,0,1\n", r":2: a position is a whole number from 1, got '0'"),
        ("query,doc_id,position,clicked\nsoup,a,1,yes\n", r":2: clicked is 0 or 1, got 'yes'"),
        ("query,doc_id,clicked\nsoup,a,1\n", r":2: no 'position'"),
    ],
)
def test_malformed_clicks_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(FormatError, match=says):
        read_clicks(path)


def test_wrong_bounds_for_clicks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="bounds rise"):
        read_clicks(tmp_path / "clicks.csv", bounds=(0.5, 0.2))


@pytest.mark.parametrize("between", ["\u2028", "\x85", "\x0c"])
def test_ids_may_hold_what_ends_a_line_elsewhere(tmp_path: Path, between: str) -> None:
    path, header = tmp_path / "log.jsonl", {"kind": "feature_log", "fingerprint": "f", "features": {"a": {"category": "b"}}}
    rows = TopicRows(f"q{between}1", ((f"d{between}1", 1, 1, 1.0, None),))
    with closing(LogStream(path, header)) as stream:
        stream.add(rows)
    with closing(LogStream(path, header)) as stream:
        assert stream.done == {rows.topic: rows}
    assert read_log_stream(path)[1] == {rows.topic: rows}


def test_a_log_as_parquet_whose_grades_are_text_is_refused(log: FeatureLog, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    path = tmp_path / "log.parquet"
    write_log(log, path)
    table = parquet.read_table(path)
    place = table.column_names.index("grade")
    parquet.write_table(table.set_column(place, "grade", [["good"] * len(table)]), path)
    with pytest.raises(FormatError, match=r"log\.parquet: a grade, a weight or a feature is no number"):
        read_log(path)


def test_a_log_file_without_features_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"kind": "feature_log", "fingerprint": "f"}\n')
    with pytest.raises(FormatError, match=r"log\.jsonl:1: features must be an object of name to feature, got None"):
        LogStream(path, {"fingerprint": "f"})
    path.unlink()  # and it is not open any more


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_log_of_another_format_is_refused(
    log: FeatureLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = tmp_path / f"log.{ending}"
    monkeypatch.setattr("qdrant_rerank.learn.log_files.VERSION", 2)
    write_log(log, path)
    with pytest.raises(
        FormatError, match=r"version: this qdrant-rerank reads files of format version 1, got 2: make the file again"
    ):
        read_log(path)
