"""The demo from end to end: what it shows, and what it leaves behind."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cli.local_server import LocalServer
from tests.cli.support import fails, run, succeeds
from tests.models.tiny_models import onnx_folder


@pytest.fixture(scope="module")
def output() -> str:
    """What the whole demo prints, piped, in 80 columns."""
    return succeeds("demo", columns=80)


def rows(output: str) -> dict[str, list[str]]:
    """The rows of the summary: strategy → cells."""
    table = output.partition("all 38 questions")[2]
    return {
        match[1].strip(): match[2].split() for match in re.finditer(r"^(\S.*?) +(0\.\d{3}[ \d.]*)$", table, flags=re.MULTILINE)
    }


def test_no_line_is_wider_than_80_columns_and_none_has_colours(output: str) -> None:
    assert max(map(len, output.splitlines())) <= 80
    assert "\x1b" not in output


def test_it_says_what_the_dense_vectors_are_and_what_the_numbers_are_not(output: str) -> None:
    flat = " ".join(output.split())
    assert "they match spelling, not meaning, and need no download" in flat
    assert "--models fastembed" in flat
    assert "97 short documents and one author's judgments are an illustration, not evidence" in flat


def test_three_questions_are_shown_side_by_side_by_four_strategies(output: str) -> None:
    questions = re.findall("^“(.*)”", output, flags=re.MULTILINE)
    assert len(questions) == 3
    assert len(re.findall(r"^plain dense ─+  hybrid \(RRF\) ─+$", output, flags=re.MULTILINE)) == 3
    assert len(re.findall(r"^formula ─+  MMR ─+$", output, flags=re.MULTILINE)) == 3
    assert len(re.findall(r"nDCG@10 \d\.\d\d +\d+\.\d ms +1 request", output)) == 12


def test_moves_and_grades_are_those_of_the_rankings(output: str) -> None:
    market = output.partition("“Which day is the Orvena market?”")[2].partition("“")[0]
    assert "1 ○  Orvena market: every Tuesday" in market
    assert "2 ●● Orvena market moves to" in market
    assert "1 ▲1 ●● Orvena market moves" in market
    assert "2 ▼1 ○  Orvena market: every" in market


def test_the_summary_has_every_strategy_with_what_it_costs(output: str) -> None:
    summary = rows(output)
    assert list(summary) == ["plain dense", "plain BM25", "hybrid (RRF)", "formula, scores only", "formula", "MMR"]
    quality = {name: float(cells[0]) for name, cells in summary.items()}
    assert all(0.4 < value < 0.9 for value in quality.values())
    assert quality["formula"] > quality["plain dense"]
    assert summary["plain dense"][1:4] == ["1", "1", "0"]  # requests, embeddings, texts read
    assert summary["formula"][3:6] == ["1", "2", "0"]


def test_strategies_that_lose_are_named(output: str) -> None:
    quality = {name: float(cells[0]) for name, cells in rows(output).items()}
    behind = [name for name, value in quality.items() if value < quality["plain dense"]]
    assert behind
    assert f"Behind plain dense: {', '.join(behind)}." in output
    assert f"Best on these questions: {max(quality, key=quality.__getitem__)}." in output


def test_a_question_of_ones_own_is_shown_without_judgments() -> None:
    out = succeeds("demo", "--query", "a quiet bed", columns=120)
    assert "“a quiet bed”" in out
    assert "●" not in out
    assert "nDCG" not in out
    assert "Orvena" in out


def test_what_is_kept_is_searched_afterwards_and_not_mixed_with_another_model(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    out = succeeds("demo", "--query", "market", "--keep", kept)
    suggested = out.rpartition("search it: qdrant-rerank ")[2].strip()
    assert suggested == f"search 'market day' --edge {kept} --hybrid"
    assert "Orvena market" in succeeds("search", "market day", "--edge", kept, "--hybrid")
    folder = onnx_folder(tmp_path / "tiny")
    assert "would mix two models" in fails("demo", "--query", "x", "--keep", kept, "--models", f"tiny@{folder}")
    again = succeeds("demo", "--query", "market", "--keep", kept)
    assert "“market”" in again


def test_it_says_that_it_runs_on_the_rust_engine(output: str) -> None:
    flat = " ".join(output.split())
    assert "into qdrant-edge, Qdrant's Rust engine in this process, in a temporary folder." in flat
    assert "local mode" not in flat


def test_it_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    succeeds("demo", "--query", "market")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if qdrant-edge weren't installed."""
    for name in [name for name in sys.modules if name.startswith("qdrant_rerank.edge")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)


@pytest.mark.usefixtures("without_edge")
def test_without_the_rust_engine_it_runs_on_local_mode_and_says_so() -> None:
    flat = " ".join(succeeds("demo", "--query", "market").split())
    assert "into qdrant-client's local mode, in memory." in flat


def test_what_is_kept_stays_with_the_engine_that_wrote_it(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    edge, local = tmp_path / "edge", tmp_path / "local"
    succeeds("demo", "--query", "market", "--keep", edge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "qdrant_edge", None)
        out = succeeds("demo", "--query", "market", "--keep", local)
    assert f"search 'market day' --path {local} --hybrid" in out
    again = succeeds("demo", "--query", "market", "--keep", local)
    assert f"local mode, in {local}." in "".join(again.splitlines()).replace("local mode,in", "local mode, in")
    request.getfixturevalue("without_edge")
    assert "pip install 'qdrant-rerank[edge]'" in fails("demo", "--query", "market", "--keep", edge)


def test_other_models_make_the_dense_vectors(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "tiny")
    out = succeeds("demo", "--query", "train", "--models", f"tiny@{folder}")
    assert "Dense vectors are made by tiny, sparse ones by BM25." in out
    assert "spelling" not in out


def test_on_a_server_it_leaves_nothing_behind() -> None:
    with LocalServer() as server:
        out = succeeds("demo", "--query", "market", "--url", server.url)
        assert f"the Qdrant server at {server.url}" in " ".join(out.split())
        assert any(path.startswith("PUT /collections/qdrant-rerank-demo-") for path in server.paths)
        assert "PUT" in {request.method for request in server.received if request.path.endswith("/index")}
        assert server.qdrant.get_collections().collections == []


def test_a_demo_that_fails_leaves_nothing_on_the_server_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("qdrant_rerank.demo.run.Demo.show_one", broken)
    with LocalServer() as server:
        assert run("demo", "--query", "market", "--url", server.url).code == 1
        assert server.qdrant.get_collections().collections == []


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    assert "--keep is for a folder on disk" in fails("demo", "--keep", tmp_path / "x", "--url", "http://localhost:1")
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert f"--keep {folder}: {tmp_path / 'file'} is a file: name a folder" in fails("demo", "--keep", folder)
    assert "the demo needs dense vectors" in fails("demo", "--models", "none")
    assert "--prefer-grpc has no effect here: that is for a server: add --url" in fails("demo", "--prefer-grpc")
    assert "no answer from Qdrant" in fails("demo", "--url", "http://127.0.0.1:1")
    assert "no such model" in fails("demo", "--models", "hsah")
