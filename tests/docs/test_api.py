"""docs/api.md lists every public name, and says what the code says."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from .api import PACKAGES, names_for_users, reference
from .blocks import ROOT

_INSIDE = {
    "qdrant_rerank.cli": "the command, documented in docs/cli.md",
    "qdrant_rerank.demo": "what the command demo runs",
    "qdrant_rerank.explain": "what Executor.explain returns, and what kinds of one's own are explained by",
    "qdrant_rerank.stages": "its names are qdrant_rerank's",
}


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "api.md").read_text("utf-8")


def test_the_page_is_up_to_date(page: str) -> None:
    assert page == reference(), "run: python -m tests.docs.api > docs/api.md"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_its_package_s_section(package: str, page: str) -> None:
    section = page.split(f"## {package}\n")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", section, re.M)) | set(re.findall(r"`(\w+)`", section.split("Also here:")[-1]))
    wanted = set(names_for_users(import_module(package)))
    assert wanted <= listed
    assert not {"did_you_mean", "tolerate", "warn"} & listed  # by which the package words its own errors


def test_every_name_is_said_something_of(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| ([^|]*(?:\\\|[^|]*)*) \|$", page, re.M)
    assert len(rows) > 200
    assert [name for name, _, says in rows if not says.strip().endswith((".", ":"))] == []
    assert "0x" not in page
    assert "<factory>" not in page


def test_every_package_is_public_or_said_not_to_be() -> None:
    roots = [ROOT / "shared" / "qdrant_rerank", ROOT / "langchain_qdrant_rerank", ROOT / "llama_index_qdrant_rerank"]
    found = {_name(path) for root in roots for path in root.rglob("__init__.py")}
    assert found == {*PACKAGES, *_INSIDE} - {"qdrant_rerank.planning", "qdrant_rerank.errors"}  # which are modules


def test_names_of_frameworks_are_left_out_and_equal_names_of_different_things_are_not(page: str) -> None:
    sections = dict(re.findall(r"^## (\w[\w.]*)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    assert "callbacks" not in sections["langchain_qdrant_rerank"]
    assert "`QdrantRerankRetriever(" in sections["langchain_qdrant_rerank"]
    assert "`QdrantRerankRetriever(" in sections["llama_index_qdrant_rerank"]
    assert "`Budget(" in sections["qdrant_rerank.tune"]
    assert "`FormulaCost(" in sections["qdrant_rerank.learn"]


def _name(init: Path) -> str:
    return ".".join(init.parent.relative_to(ROOT).parts).removeprefix("shared.")
