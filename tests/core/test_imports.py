"""What importing the core brings along, and what its modules say that they offer."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import qdrant_rerank
from qdrant_rerank.expressions import Function

FRAMEWORKS = {"langchain", "langchain_core", "langchain_qdrant", "llama_index", "pandas", "typer", "click", "rich", "jinja2"}
MODELS = {"fastembed", "onnxruntime", "tokenizers", "cohere", "sklearn", "scipy", "torch", "transformers", "qdrant_edge"}
APART = ("cli", "demo", "edge", "ingest", "models.fastembed")
"""Parts that need more than the core's dependencies, or belong to programs."""


def modules() -> list[str]:
    found = pkgutil.walk_packages(qdrant_rerank.__path__, "qdrant_rerank.", onerror=lambda name: None)
    return ["qdrant_rerank", *(info.name for info in found if not is_apart(info.name))]


def is_apart(name: str) -> bool:
    return any(f"{name}.".startswith(f"qdrant_rerank.{part}.") for part in APART)


def loaded_after(statement: str) -> set[str]:
    program = f"import sys, json\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_core_imports_no_framework_and_no_model() -> None:
    loaded = loaded_after("\n".join(f"import {name}" for name in modules()))
    by_the_client_itself = loaded_after("import qdrant_client")  # fastembed, if it is installed
    assert "qdrant_rerank" in loaded - by_the_client_itself
    assert not (loaded - by_the_client_itself) & (FRAMEWORKS | MODELS)


def test_the_programs_are_not_imported_with_the_core() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, qdrant_rerank; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not [name for name in loaded if is_apart(name)]


def test_the_public_names_are_sorted_and_there() -> None:
    assert qdrant_rerank.__all__ == sorted(set(qdrant_rerank.__all__))
    assert not [name for name in qdrant_rerank.__all__ if not hasattr(qdrant_rerank, name)]


@pytest.mark.parametrize("name", modules())
def test_a_module_offers_what_it_says_and_says_what_it_is(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    if not hasattr(module, "__all__"):  # inside a package, a name without an underscore is offered to the others
        assert not hasattr(module, "__path__") or not defined_in(module)
        return
    offered = set(module.__all__)
    assert len(offered) == len(module.__all__)
    assert not {thing for thing in offered if not hasattr(module, thing)}
    assert not defined_in(module) - offered


def defined_in(module: ModuleType) -> set[str]:
    """The public functions and classes that a module defines itself; without the classes of formulas' functions.

    Users call the function that makes one, and JSON and text find the class in `Function.all`.
    """
    return {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__ and callable(thing)
    } - {cls.__name__ for cls in Function.all.values()}


def test_no_module_of_the_core_prints_or_reads_the_environment() -> None:
    root = Path(qdrant_rerank.__path__[0])
    for name in modules():
        if name == "qdrant_rerank.models.web_calls":  # looks for a key when one is first needed
            continue
        path = root.joinpath(*name.split(".")[1:])
        source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text("utf-8")
        assert not re.findall(r"os\.environ|getenv|logging\.", source), name
        calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"], name
