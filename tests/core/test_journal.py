"""Files that are appended to: what was written is read again, whatever is in it and wherever the writing ended."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import StrategyError
from qdrant_rerank._internals import Journal, JournalKind, decode_records, read_journal, read_records
from qdrant_rerank.errors import FormatError
from tests.support import refused

KIND = JournalKind(
    "notes", wrong_header="not a file of notes", wrong_line="not a note", empty="no notes at all", bare='{"note": '
)
STRICT = JournalKind("notes", wrong_header="not a file of notes", wrong_line="not a note", empty="no notes at all")
HEADER = '{"kind": "notes", "version": 1, "about": "trains"}\n'


def opened(path: Path, kind: JournalKind = STRICT) -> Journal:
    return Journal(path, kind, {"about": "trains"}, lambda there: None)


def notes(path: Path, kind: JournalKind = STRICT) -> list[dict[str, Any]]:
    return [record.value for record in read_journal(path, kind)[1]]


@pytest.mark.parametrize("between", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\n", "\r\n", "\ufeff", "\x00", "\ud83d"])
def test_what_python_takes_for_the_end_of_a_line_is_none(tmp_path: Path, between: str) -> None:
    path = tmp_path / "notes.jsonl"
    with opened(path) as journal:
        journal.add({"note": f"a{between}b"}, {"note": between})
    with opened(path) as journal:
        journal.add({"note": "c"})
        assert [record.line for record in journal.records] == [2, 3]
    assert [note["note"] for note in notes(path)] == [f"a{between}b", between, "c"]


def test_a_line_that_was_cut_anywhere_is_written_again_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    with opened(path) as journal:
        journal.add({"note": "eins"}, {"note": "zwölf"})
    whole = path.read_bytes()
    ends = [place for place, byte in enumerate(whole, 1) if byte == ord("\n")]
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut + (whole[cut : cut + 1] == b"\n") for end in ends)  # a line that lacks only its end is whole
        if kept:
            assert len(notes(path)) == kept - 1  # what is read while it is written to
        with opened(path) as journal:
            assert len(journal.records) == max(0, kept - 1)
            journal.add({"note": "drei"})
        assert [note["note"] for note in notes(path)] == [*["eins", "zwölf"][: max(0, kept - 1)], "drei"]
        assert path.read_text("utf-8").startswith(HEADER)


@pytest.mark.parametrize("text", ["night train", '{"kind": "other"', '{"note": "without an end'])
def test_half_a_line_of_something_else_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(text)
    with refused(FormatError, f"{path}:1: not a file of notes"):
        opened(path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("night train\n", "notes.jsonl:1: not JSON: Expecting value (column 1): not a file of notes"),
        ('{"kind": "other"}\n', "notes.jsonl:1: not a file of notes"),
        ("[1]\n", "notes.jsonl:1: not a file of notes"),
        (
            '{"kind": "notes", "version": 2}\n',
            "notes.jsonl:1: version: this qdrant-rerank reads files of format version 1, got 2",
        ),
        ('{"kind": "notes", "version": true}\n', "notes.jsonl:1: version: this qdrant-rerank reads files of format version 1"),
        (f"{HEADER}[1]\n", "notes.jsonl:2: not a note"),
        (f"{HEADER}\n", "notes.jsonl:2: not JSON"),
        (f"{HEADER}\x00\x00\n", "notes.jsonl:2: not JSON"),
        (f'{HEADER}{{"note": 1, "note": 2}}\n', "notes.jsonl:2: the key 'note' is there twice: not a note"),
        (f'{HEADER}{{"other": 1}}\n', "notes.jsonl:2: not a note (KeyError: 'note')"),
        (f'{HEADER}{{"note": [1]}}\n', "notes.jsonl:2: not a note (TypeError"),
        ("", "notes.jsonl: no notes at all"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_its_number(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(text)
    with refused(FormatError, says):
        decode_records(read_journal(path, STRICT)[1], lambda value: float(value["note"]), path, STRICT)


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(HEADER.encode() + b'{"note": "\xff"}\n')
    with refused(FormatError, "notes.jsonl:2: not UTF-8 text", "not a note"):
        opened(path)


def test_older_files_without_a_header_are_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text('{"note": 1}\n{"note": 2}\n{"no')
    assert [record.value for record in read_records(path, KIND)] == [{"note": 1}, {"note": 2}]
    with opened(path, KIND) as journal:
        assert journal.header == {"about": "trains"}
        journal.add({"note": 3})
    assert path.read_text() == '{"note": 1}\n{"note": 2}\n{"note": 3}\n'
    path.write_text('{"no')
    with opened(path, KIND):
        assert path.read_text() == HEADER
    (tmp_path / "empty.jsonl").touch()
    assert read_records(tmp_path / "empty.jsonl", KIND) == []


def test_a_file_about_something_else_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(HEADER + '{"note": "ha')

    def check(there: dict[str, Any]) -> None:
        raise StrategyError(f"it is about {there['about']}")

    with refused(StrategyError, "about trains"):
        Journal(path, STRICT, {"about": "ferries"}, check)
    assert path.read_text() == HEADER + '{"note": "ha'
    with opened(path):  # and it is not locked
        pass


def test_two_writers_of_one_file_are_one_too_many(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    with opened(path) as journal:
        with refused(StrategyError, f"{path} is being written to by another process"):
            opened(path)
        assert notes(path) == []  # reading it is no harm
        journal.add({"note": "mine"})
    code = "import sys, pathlib, tests.core.test_journal as t; t.opened(pathlib.Path(sys.argv[1])).add({'note': 'theirs'})"
    child = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert [note["note"] for note in notes(path)] == ["mine", "theirs"]


def test_a_journal_that_is_forgotten_is_closed(tmp_path: Path) -> None:
    opened(tmp_path / "notes.jsonl").add({"note": 1})
    with opened(tmp_path / "notes.jsonl") as journal:
        assert len(journal.records) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, "deep"])
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, value: Any) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with opened(tmp_path / "notes.jsonl") as journal:
        with refused(FormatError, "notes.jsonl"):
            journal.add({"note": 1}, {"note": deep if value == "deep" else value})
        journal.add({"note": 2})
    assert notes(tmp_path / "notes.jsonl") == [{"note": 2}]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "notes.jsonl", os.write

    def full(file: int, data: Any) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, bytes(data)[:10])

    with opened(path) as journal:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match=r"notes\.jsonl"):
            journal.add({"note": "a note that doesn't fit"})
        monkeypatch.undo()
        journal.add({"note": "short"})
    assert notes(path) == [{"note": "short"}]


def test_where_there_are_no_locks_it_is_written_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def none(error: int) -> Any:
        def flock(*_: object) -> None:
            raise OSError(error, os.strerror(error))

        return flock

    monkeypatch.setattr(fcntl, "flock", none(errno.ENOLCK))
    with opened(tmp_path / "notes.jsonl") as journal:
        journal.add({"note": 1})
    monkeypatch.setattr(fcntl, "flock", none(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        opened(tmp_path / "notes.jsonl")


def test_a_last_line_of_a_thousand_brackets_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(HEADER + '{"note": ' + "[" * 100_000 + "}")
    with opened(path) as journal:
        assert journal.records == []
    assert path.read_text() == HEADER


def test_the_records_of_a_file_are_json_that_others_can_read(tmp_path: Path) -> None:
    with opened(tmp_path / "notes.jsonl") as journal:
        journal.add({"note": "größe \u2028"})
    lines = (tmp_path / "notes.jsonl").read_text("utf-8").split("\n")
    assert [json.loads(line) for line in lines[:2]] == [json.loads(HEADER), {"note": "größe \u2028"}]
