"""Tests, benchmarks, examples, docs, the adapters and the lab import packages: then moving a module touches none of them.

What users have is imported from the package; what they don't need and tests do, from the package's private door, `_internals`.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import langchain_qdrant_rerank
import llama_index_qdrant_rerank
import qdrant_rerank
from qdrant_rerank import _internals, models
from scripts import structure

ROOT = Path(__file__).parents[2]
OURS = {each.__name__: each.__path__ for each in (qdrant_rerank, langchain_qdrant_rerank, llama_index_qdrant_rerank)}
DOORS = {
    *OURS,
    "qdrant_rerank._lazy",  # what private doors are made of
    "qdrant_rerank.cli",
    "qdrant_rerank.demo",
    "qdrant_rerank.edge",
    "qdrant_rerank.errors",
    "qdrant_rerank.evaluate",
    "qdrant_rerank.explain",
    "qdrant_rerank.expressions",
    "qdrant_rerank.feedback",
    "qdrant_rerank.ingest",
    "qdrant_rerank.learn",
    "qdrant_rerank.models",
    "qdrant_rerank.planning",
    "qdrant_rerank.report",
    "qdrant_rerank.stages",
    "qdrant_rerank.tune",
}
NAMED_AS_MODULES = {
    # patched: a clock, a failing console, or something that is counted
    "qdrant_rerank.cli.index",
    "qdrant_rerank.cli.output.errors_console",
    "qdrant_rerank.cli.search.make_plan",
    "qdrant_rerank.cli.search.print_table",
    "qdrant_rerank.demo.run.Demo.show_one",
    "qdrant_rerank.expressions.conditions.array_reader",
    "qdrant_rerank.learn.log_files.VERSION",
    "qdrant_rerank.learn.model_trees.make_gate",
    "qdrant_rerank.models.wrappers.time",
    "qdrant_rerank.calls.time.sleep",
    "qdrant_rerank.trained.SAMPLE_SIZE",
    "qdrant_rerank.stages.formula.extent",
    # modules are what these tests are about
    "qdrant_rerank.cli.",
    "qdrant_rerank.cli.output",
    "qdrant_rerank.models.web_calls",
}
"""Texts in tests that name a module: what they name moves with its test."""

SHOWN_AT_ONCE: set[str] = {"qdrant_rerank.evaluate.frontier", "qdrant_rerank.learn.drift", "qdrant_rerank.learn.log_features"}
"""What packages show that load it at once: the name then replaces the module."""

IMPORT = re.compile(r"^\W*from ((?:qdrant_rerank|langchain_qdrant_rerank|llama_index_qdrant_rerank)\.[\w.]+) import ", re.M)
IN_QUOTES = re.compile(r"""["'](qdrant_rerank\.[a-z_]+(?:\.\w*)+)["']""")


def is_door(module: str) -> bool:
    return module.removesuffix("._internals") in DOORS


def outside() -> Iterator[Path]:
    """The files that look at our packages from outside."""
    for folder in ("tests", "benchmarks", "examples", *sorted(OURS)[:2]):
        yield from ROOT.joinpath(folder).rglob("*.py")
    yield from ROOT.joinpath("docs").rglob("*.md")
    yield ROOT / "README.md"


def imports(path: Path) -> Iterator[str]:
    """What it imports of ours; in texts too, that are code for another Python or for a reader."""
    text = path.read_text("utf-8")
    yield from IMPORT.findall(text)
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and not node.level:
                yield node.module or ""
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


def test_what_is_outside_imports_packages() -> None:
    found = {(str(path.relative_to(ROOT)), name) for path in outside() for name in imports(path)}
    modules = {(path, name) for path, name in found if name.split(".")[0] in OURS and not is_door(name)}
    assert not modules, "import these names from a package, or from its _internals"


def region(module: str) -> str:
    """The part of the lab that a module is in; "" for the product."""
    part = module.split(".")[1] if module.startswith("qdrant_rerank.") else ""
    return part if part in ("cli", "demo", "evaluate", "learn", "report", "tune") else ""


def test_the_lab_imports_packages_of_the_product() -> None:
    modules = {
        (name, target)
        for name, module in structure.modules().items()
        for target, _ in structure.imports(module)
        if region(name) and region(name) != region(target) and not is_door(target)
    }
    assert modules == set(), "import these names from a package, or from its _internals"


def test_texts_of_tests_name_no_other_modules() -> None:
    texts = {
        name
        for path in ROOT.joinpath("tests").rglob("*.py")
        if path != Path(__file__)
        for name in IN_QUOTES.findall(path.read_text("utf-8"))
    }
    assert texts - DOORS == NAMED_AS_MODULES


def private_doors() -> list[str]:
    """The `_internals` of the product, of the lab's packages and of the adapters."""
    return [
        info.name
        for name, where in OURS.items()
        for info in pkgutil.walk_packages(where, f"{name}.", onerror=lambda _: None)
        if info.name.endswith("._internals")
    ]


@pytest.mark.parametrize("name", private_doors())
def test_a_private_door_has_what_type_checkers_see_there(name: str) -> None:
    module = __import__(name, fromlist=["_"])
    text = Path(str(module.__file__)).read_text("utf-8")
    tree = ast.parse(text)
    lazy_blocks = [node for node in tree.body if isinstance(node, ast.If)]
    body = [node for block in lazy_blocks for node in block.body] or tree.body[2:]  # after its docstring and __future__
    names = [alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert names
    assert all(hasattr(module, each) for each in names)
    if lazy_blocks:
        lazily = {each.partition(" as ")[2] or each for each in ", ".join(strings_of_the_map(text)).split(", ")}
        assert lazily == set(names)


def strings_of_the_map(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Dict):
            yield from (ast.literal_eval(value) for value in node.values)


def test_a_name_that_is_nowhere_is_refused() -> None:
    with pytest.raises(AttributeError, match="'qdrant_rerank' has no attribute 'nowhere'"):
        _internals.nowhere  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"'qdrant_rerank\.models' has no attribute 'nowhere'"):
        models.nowhere  # type: ignore[attr-defined]  # noqa: B018


def test_a_private_door_loads_nothing_before_a_name_is_used() -> None:
    program = """
import sys, qdrant_rerank
before = set(sys.modules)
import qdrant_rerank._internals
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['qdrant_rerank._internals']\n"


def test_no_module_has_the_name_of_what_its_package_shows() -> None:
    # once such a module is loaded, by whatever way, the package would show the module in the place of the name
    shown = {f"{name}.{each}" for name in DOORS for each in getattr(importlib.import_module(name), "__all__", ())}
    assert shown & structure.modules().keys() <= SHOWN_AT_ONCE
