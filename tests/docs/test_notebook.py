"""examples/tutorial.ipynb is docs/tutorial.md: the same texts and code, and what its cells show when they are run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import notebook


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.NOTEBOOK.read_text("utf-8"))["cells"]
    return found


def test_its_cells_are_the_page_s_parts(cells: list[dict[str, Any]]) -> None:
    written = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    assert written == list(notebook.parts(notebook.PAGE.read_text("utf-8"))), "run: python scripts/notebook.py"


def test_each_cell_runs_and_shows_what_it_has(
    cells: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            shown = notebook.run("".join(cell["source"]), names)
            assert [kinds(each) for each in shown] == [kinds(each) for each in cell["outputs"]], (
                "run: python scripts/notebook.py"
            )
    assert {"schema", "plan", "results", "comparison"} == {
        name
        for name, words in {
            "schema": "random points were looked at",
            "plan": "What will be asked of Qdrant",
            "results": "What each term added",
            "comparison": "better on",
        }.items()
        if any(
            words in "".join(each.get("data", {}).get("text/html", "")) for cell in cells for each in cell.get("outputs", ())
        )
    }


def test_a_cell_shows_its_last_expression_as_a_notebook_does() -> None:
    [printed, value] = notebook.run("print('one')\n[1, 2]", {})
    assert printed["text"] == ["one\n"]
    assert "".join(value["data"]["text/plain"]) == "[1,\n 2]"
    assert notebook.run("x = 1", {}) == []


def kinds(output: dict[str, Any]) -> list[str]:
    return sorted(output.get("data", {"text": ""}))
