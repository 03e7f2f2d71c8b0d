"""How payload values look in a table."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qdrant_rerank.cli._internals import (
    CommandError,
    ProgressLines,
    check_folder,
    check_output,
    describe_value,
    errors_console,
    first_text,
    make_table,
    results_console,
    show_progress,
    show_scoring,
    show_table,
    visible,
)
from qdrant_rerank.learn._internals import Progress
from tests.support import refused


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "–"),
        (True, "true"),
        (3, "3"),
        (4.50, "4.5"),
        ("Orvena", "Orvena"),
        ({"lat": 46.0126, "lon": 8.5}, "46.0126, 8.5"),
        (["a", "ü"], '["a", "ü"]'),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_values_of_each_kind_are_readable(value: Any, says: str) -> None:
    assert describe_value(value) == says


def test_the_first_key_with_any_text_is_shown() -> None:
    payload = {"title": " ", "text": None, "page_content": "found"}
    assert first_text(payload, ["title", "text", "page_content"]) == "found"
    assert first_text(payload, ["title"]) == ""


def test_the_text_that_llama_index_hides_in_json_is_found() -> None:
    assert first_text({"_node_content": json.dumps({"text": "inside"})}, ["title", "text"]) == "inside"


HOSTILE = "a\x1b[2J\x1b]52;c;cm0=\x07 [red]b[/red] :warning: \x9b31m \u202e \r c"


def test_foreign_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for console in (results_console(), errors_console()):
        console.width = 200
        console.print(HOSTILE)
        console.print(Text(HOSTILE, "bold"))
        table = Table(HOSTILE)
        table.add_row(HOSTILE)
        console.print(table)
    for printed in capsys.readouterr():
        assert not set(printed) & set("\x1b\x07\x9b\r\u202e")
        assert "a\\x1b[2J\\x1b]52;c;cm0=" in printed  # and can be read
        assert " [red]b[/red] :warning: \\x9b31m \\u202e" in printed


@pytest.mark.parametrize("total", [1, None])
def test_foreign_text_cannot_steer_a_progress_bar(total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    watched = Console(file=shown, force_terminal=True, width=200)
    monkeypatch.setattr("qdrant_rerank.cli.output.errors_console", lambda: watched)
    with show_progress("a\x1b]0;title\x07 [red]b", total) as tell:
        tell(1, 1)
    assert "a\\x1b]0;title\\x07 [red]b" in shown.getvalue()


def test_without_a_terminal_progress_is_told_by_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("corpus", 9000) as tell, show_scoring() as tell_scored:
        tell(10)  # at once: nobody waits yet
        tell_scored(Progress(done=5, total=70, asked=4, seconds_left=None))
    assert capsys.readouterr().err == ""
    ProgressLines(errors_console(), "cor\x1bpus", 9000, seconds=0)(1500)
    topics = ProgressLines(errors_console(), "topics", seconds=0)
    topics(3)
    topics(4, 20)
    found = capsys.readouterr()
    assert found.err.splitlines() == ["cor\\x1bpus: 1,500 of 9,000", "topics: 3", "topics: 4 of 20"]
    assert found.out == ""


def test_text_of_any_script_is_kept() -> None:
    assert visible("a\tb\nc größe 자전거 👍🏽") == "a\tb\nc größe 자전거 👍🏽"
    assert visible("\x00\x7f") == "\\x00\\x7f"


@pytest.mark.parametrize("option", ["--output", "--resume"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, says in ((tmp_path, "name a file in it"), (tmp_path / "none" / "x", "there is no folder")):
        with refused(CommandError, f"{option} {path}", says):
            check_output(option, path)
    check_output(option, None)
    check_output(option, tmp_path / "x")
    check_folder(option, tmp_path / "new" / "below")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with refused(CommandError, f"{tmp_path} may not be written to"):
        check_folder(option, tmp_path / "new")
    with refused(CommandError, "may not be written to"):
        check_output(option, tmp_path / "x")


def test_a_table_too_wide_for_the_window_is_printed_row_by_row() -> None:
    table = make_table("system", "nDCG@10", "95 % interval", "median ms")
    table.add_row("a (baseline)", "0.5526", "0.4261 to 0.6580", "11.2")
    table.add_row(Text("b"), "0.6481", "", "2.0")
    shown = {}
    for width in (80, 40):
        console = Console(file=StringIO(), width=width)
        show_table(console, table)
        shown[width] = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert shown[80][0].split() == ["system", "nDCG@10", "95", "%", "interval", "median", "ms"]
    assert shown[40] == [
        "a (baseline)",
        "  nDCG@10 0.5526, 95 % interval 0.4261",
        "  to 0.6580, median ms 11.2",
        "b",
        "  nDCG@10 0.6481, median ms 2.0",
    ]
