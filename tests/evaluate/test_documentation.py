"""docs/evaluation.md runs as it stands, and the package loads its libraries only when they are used."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import qdrant_rerank.evaluate as package
from tests.docs.blocks import ROOT, blocks, untested
from tests.docs.worlds import core


def test_the_document_runs(capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = core()
    exec(compile(blocks("docs/evaluation.md")["evaluation"], "docs/evaluation.md", "exec"), options)
    assert untested("docs/evaluation.md") == 0
    out = capsys.readouterr().out
    assert "dense: 3 topics" in out
    assert "too few; any claim needs at least 25" in out
    assert options["now"].values["RR"]["q1"] == pytest.approx(1 / 3)


def test_every_public_name_is_there_and_every_reader_is_in_the_document() -> None:
    assert package.__all__ == sorted(package.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(package, name) for name in package.__all__)
    text = (ROOT / "docs" / "evaluation.md").read_text("utf-8")
    assert all(f"`{name}" in text for name in package.__all__ if name.startswith("read_") and name != "read_run_file")


def test_importing_it_loads_no_framework_and_no_library_of_the_extra() -> None:
    code = "import sys, qdrant_rerank.evaluate; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    unwanted = {"scipy", "ir_measures", "pandas", "typer", "jinja2", "langchain_core", "llama_index", "sklearn", "matplotlib"}
    assert unwanted.isdisjoint(loaded)
