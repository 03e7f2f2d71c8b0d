"""The pages that show a way from start to end run as they stand, each page as one program."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import worlds
from .blocks import ROOT

DOCS = ROOT / "docs"
WORLDS: dict[str, Callable[[], dict[str, Any]]] = {
    "tutorial": dict,
    "start/langchain": worlds.guide_langchain,
    "start/llama-index": worlds.guide_llama_index,
    "start/agent": worlds.guide_langchain,
    "howto/recency": worlds.guide,
    "howto/popularity": worlds.guide,
    "howto/affinity": worlds.guide,
    "howto/hybrid": worlds.guide,
    "howto/colbert": worlds.guide,
    "howto/diversity": worlds.guide,
    "howto/tenants": worlds.guide_langchain,
    "howto/fastapi": worlds.guide_langchain,
    "howto/evaluation-in-ci": worlds.guide,
    "howto/embedded-to-cluster": worlds.guide,
    "providers/langchain": worlds.guide_langchain,
    "providers/llama-index": worlds.guide_llama_index,
}


def code(page: str) -> str:
    """All Python of a page, on the lines where the page has it."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    lines, is_code = [], False
    for line in text.splitlines():
        is_code = is_code and not line.startswith("```")
        lines.append(line if is_code else "")
        is_code = is_code or line == "```python"
    return "\n".join(lines)


@pytest.mark.parametrize("page", WORLDS)
def test_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code(page), f"docs/{page}.md", "exec"), {**WORLDS[page](), "__name__": "page"})


def test_every_page_with_python_is_run() -> None:
    folders = ("start", "howto", "coming-from", "providers")
    pages = {str(path.relative_to(DOCS).with_suffix("")) for folder in folders for path in (DOCS / folder).glob("*.md")}
    with_python = {page for page in pages if re.search(r"^```python$", (DOCS / f"{page}.md").read_text("utf-8"), re.M)}
    assert with_python <= set(WORLDS)
