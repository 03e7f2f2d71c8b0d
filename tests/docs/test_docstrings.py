"""Docstrings name the parameters that there are: what the site shows of each name is what can be passed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from .api import PACKAGES

_OURS = ("qdrant_rerank", "langchain_qdrant_rerank", "llama_index_qdrant_rerank")
_ARGS = re.compile(r"^Args:\n((?:    .*\n|\n)+)", re.M)
_NAMES = re.compile(r"^    (\*{0,2}\w[^\n:]*):", re.M)


def documented(docstring: Any) -> list[str]:
    """The parameters that a docstring's `Args:` describes; several may share a line."""
    section = _ARGS.search(inspect.cleandoc(docstring or "") + "\n")
    lines = _NAMES.findall(section[1]) if section else []
    return [name.strip().lstrip("*") for line in lines for name in line.split(",")]


def callables(package: str) -> Iterator[tuple[str, Any]]:
    """What can be called of a package: its public functions and classes, and their methods that are this project's."""
    module = import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isroutine(value) or inspect.isclass(value):
            yield name, value
        for method in dir(value) if inspect.isclass(value) else ():
            found = getattr(value, method)
            is_ours = (getattr(found, "__module__", None) or "").split(".")[0] in _OURS
            if is_ours and inspect.isroutine(found) and (method == "__init__" or not method.startswith("_")):
                yield f"{name}.{method}", found


def unknown(value: Any) -> set[str]:
    """What a docstring describes and isn't a parameter."""
    names = set(documented(value.__doc__))
    return names - set(inspect.signature(value).parameters) if names else names


@pytest.mark.parametrize("package", [*PACKAGES, "qdrant_rerank.planning", "qdrant_rerank.stages", "qdrant_rerank.errors"])
def test_each_documented_parameter_is_one(package: str) -> None:
    assert {name: found for name, value in callables(package) if (found := unknown(value))} == {}
