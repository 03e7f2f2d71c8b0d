"""Each statement of docs/servers.md names the tests that prove it, and these exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from .blocks import ROOT

TEXT = (ROOT / "docs/servers.md").read_text("utf-8")
STATEMENTS = re.findall(r"^- (.*?)(?=^- |^#|\Z)", TEXT, re.M | re.S)


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse((ROOT / "tests" / path).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("statement", STATEMENTS, ids=[statement[:40] for statement in STATEMENTS])
def test_each_statement_has_its_tests(statement: str) -> None:
    named = re.search(r"<!-- test: (.+?) -->\s*\Z", statement, re.S)
    assert named is not None, statement
    for test in named[1].split(","):
        path, name = test.strip().split("::")
        assert name in names_in(path), test


def test_there_are_sections_with_statements_and_the_readme_links_them() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.M)[1:]
    assert len(sections) >= 10
    assert all("\n- " in section for section in sections)
    assert "docs/servers.md" in (ROOT / "README.md").read_text("utf-8")
