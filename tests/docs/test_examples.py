"""The examples that need no server and no data run, and docs/examples.md tells of each there is."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from typing import Any

import pytest

from .blocks import ROOT

EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "examples.md").read_text("utf-8")
PRINTS = {
    "agent_langchain": ["arguments: query, k, kind, min_price, max_price", "offer 4 of acme", "Offer 4 is quiet"],
    "agent_langgraph": ["acme sees: 3 documents", "globex sees: 3 documents"],
    "agent_llama_index": ["sources: ['a quiet bed", "offer 14 of acme", "agent: Offer 4 is quiet."],
    "embedded_to_cluster": ["round trip", "the same first result: True"],
    "fastapi_service": ["200 [{", "of acme"],
    "migrate_langchain": ["['pea soup'"],
}
PROCESSES = {"mcp_client": ["search: query, k, category, min_price, max_price", "2 documents were found", "-> an error"]}
RUN_ELSEWHERE = {
    "langchain_quickstart": "tests/langchain",
    "learned_clicks": "tests/learn",
    "learned_hybrid": "tests/learn",
    "learned_movies": "tests/learn",
    "llama_index_quickstart": "tests/llama_index",
    "make_report": "tests/evaluate",
    "rerank_langchain": "tests/langchain",
    "rerank_llama_index": "tests/llama_index",
}


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # of LlamaIndex's workflows
@pytest.mark.parametrize("name", PRINTS)
def test_the_example_runs(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QDRANT_URL", raising=False)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert [text for text in PRINTS[name] if text not in printed] == []
    if name in ("agent_langchain", "agent_llama_index"):
        assert "of globex" not in printed


@pytest.mark.parametrize("name", PROCESSES)
def test_the_example_that_starts_a_command_runs(name: str) -> None:
    ran = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [text for text in PROCESSES[name] if text not in ran.stdout] == []


def test_the_service_keeps_tenants_apart_and_refuses_strangers() -> None:
    from fastapi.testclient import TestClient

    app: Any = runpy.run_path(str(EXAMPLES / "fastapi_service.py"))["app"]
    with TestClient(app) as browser:
        for key, tenant in {"key-of-acme": "acme", "key-of-globex": "globex"}.items():
            found = browser.get("/search", params={"q": "a bed", "k": 20}, headers={"api-key": key}).json()
            assert len(found) == 20
            assert all(each["text"].endswith(f"of {tenant}") for each in found)
        mine = {"api-key": "key-of-acme"}
        assert browser.get("/search", params={"q": "a bed"}, headers={"api-key": "stolen"}).status_code == 401
        assert browser.get("/search", params={"q": "a bed", "k": 1000}, headers=mine).status_code == 422
        assert browser.get("/search", params={"q": ""}, headers=mine).status_code == 422


def test_every_example_is_run_and_told_of_by_its_first_sentence() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {*PRINTS, *PROCESSES, *RUN_ELSEWHERE}
    for name in names:
        docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text("utf-8"))) or ""
        first = re.match(r".+?[.?](?=\s|$)", docstring, re.S)
        assert first
        assert f"](../examples/{name}.py) | {' '.join(first[0].split())} |" in PAGE
