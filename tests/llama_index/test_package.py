"""The package as a whole: what it exports, what importing it does, and the example."""

from __future__ import annotations

import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import llama_index_qdrant_rerank as package

ROOT = Path(package.__file__).parents[1]


def test_exports_are_sorted_and_there() -> None:
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_importing_it_needs_llama_index_and_loads_no_store_no_model_and_no_other_framework() -> None:
    code = """
        import sys

        sys.modules["llama_index"] = None  # as if it weren't installed
        try:
            import llama_index_qdrant_rerank
        except ImportError as error:
            print(f"{type(error).__name__}: {error}")
        del sys.modules["llama_index"]
        import llama_index_qdrant_rerank

        unwanted = ("llama_index.vector_stores", "langchain_core", "torch", "transformers", "sklearn", "typer")
        print([name for name in unwanted if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    refused, loaded = done.stdout.splitlines() or [done.stderr, ""]
    message = "llama_index_qdrant_rerank needs an optional dependency: pip install 'qdrant-rerank[llama-index]'"
    assert refused == f"MissingExtra: {message}"
    assert loaded == "[]"


def test_the_example_runs_and_prints_the_reranked_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    example = ROOT / "examples" / "llama_index_quickstart.py"
    assert example.read_text("utf-8").count("\n") <= 45
    runpy.run_path(str(example))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [
        "cheap flights to Rome",
        "trains to Rome",
        "cheap hotels in Rome",
        "most popular: trains to Rome",
    ]


def test_the_example_of_reranking_ranks_by_the_model_and_by_the_blend(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "rerank_llama_index.py"))
    first, second, third, rated = capsys.readouterr().out.splitlines()
    assert [first, second] == ["1.00  the night train to Rome", "0.75  a bus to Rome by night"]
    assert third.startswith("0.25")  # two trips share one word with the question, and are found in any order
    assert rated == "well rated: ['the night train to Rome', 'a day in Rome']"
