"""The public names as Markdown, made from the packages: `python -m tests.docs.api > docs/api.md`.

It lies here, and not in the library beside the command line's reference, as it imports both frameworks' adapters. What it
writes depends on this project's source alone: no annotation is evaluated, and of what a framework's class brings along
nothing is shown.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any, Final

__all__ = ["PACKAGES", "assigned", "imported_names", "names_for_users", "reference"]

PACKAGES: Final = (
    "qdrant_rerank",
    "qdrant_rerank.planning",
    "qdrant_rerank.errors",
    "qdrant_rerank.expressions",
    "qdrant_rerank.models",
    "qdrant_rerank.feedback",
    "qdrant_rerank.ingest",
    "qdrant_rerank.edge",
    "qdrant_rerank.evaluate",
    "qdrant_rerank.tune",
    "qdrant_rerank.report",
    "qdrant_rerank.learn",
    "langchain_qdrant_rerank",
    "llama_index_qdrant_rerank",
)
_OURS: Final = ("qdrant_rerank", "langchain_qdrant_rerank", "llama_index_qdrant_rerank")
_LONGEST: Final = 48  # characters of a default value that are shown
_HEAD: Final = """\
<!-- Written by `python -m tests.docs.api > docs/api.md`; change the docstrings in the code instead. -->

# Public names

Every name that may be imported, with what its docstring says first; `help(name)` shows the rest, with types, units and
errors. Names of a module are together, under what the module says of itself. A name that is in two packages is described
in the first.
"""


@dataclass(frozen=True)
class Name:
    """One public name: where its source is, how it is called, and what it is."""

    name: str
    module: str
    call: str
    says: str


def reference() -> str:
    """The whole page."""
    parts, seen = [_HEAD], dict[str, Any]()
    for package in PACKAGES:
        parts += _section(package, seen)
    return "\n".join(parts)


def _section(package: str, seen: dict[str, Any]) -> Iterator[str]:
    """A package's heading and tables; `seen` holds what the names so far mean, and gets those of this one."""
    module = import_module(package)
    yield f"## {package}\n"
    yield f"{_sentence(module.__doc__)}\n"
    values = {name: getattr(module, name) for name in names_for_users(module)}
    again = sorted(name for name, value in values.items() if seen.get(name) is value)
    names = [each for each in _names(module, values) if each.name not in again]
    yield from _tables(names)
    if again:
        yield f"Also here: {', '.join(f'`{name}`' for name in again)}.\n"
    seen.update(values)


def names_for_users(module: ModuleType) -> list[str]:
    """The names of a list that users need: of `errors` not the functions, by which the package words its own."""
    is_for_us = module.__name__ == "qdrant_rerank.errors"
    names = [name for name in module.__all__ if not name.startswith("__")]
    return [name for name in names if not (is_for_us and inspect.isroutine(getattr(module, name)))]


def _tables(names: list[Name]) -> Iterator[str]:
    """Modules with several names first, each below its own docstring; then the names that are alone in theirs."""
    by_module: dict[str, list[Name]] = {}
    for each in names:
        by_module.setdefault(each.module, []).append(each)
    several = {module: found for module, found in by_module.items() if len(found) > 1}
    alone = [each for found in by_module.values() if len(found) == 1 for each in found]
    for module, found in several.items():
        yield _table(_sentence(import_module(module).__doc__) if len(by_module) > 1 else "", found)
    if alone:
        yield _table("Others." if several else "", alone)


def _table(above: str, names: list[Name]) -> str:
    rows = [f"| `{each.name}` | {_cell(each.call)} | {_cell(each.says)} |" for each in names]
    title = [f"**{above}**", ""] if above else []
    return "\n".join([*title, "| name | how it is called, or what it is | |", "|---|---|---|", *rows]) + "\n"


def _names(package: ModuleType, values: dict[str, Any]) -> Iterator[Name]:
    """A package's names, in the order in which it imports them; those of a module in the order of its list."""
    imported = dict(imported_names(package))
    where = {name: imported.get(name, package.__name__) for name in sorted(values, key=lambda name: name not in imported)}
    for name in sorted(values, key=[*imported, *where].index):
        if _is_plain(value := values[name]):
            kind, says = assigned(where[name], name)
            yield Name(name, where[name], "type" if kind == "TypeAlias" else f"`{value!r}`", says)
        else:
            yield Name(name, where[name], _call(name, value), _sentence(value.__doc__))


def imported_names(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Name → the module of this project that `module` imports it from."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and node.level:
            source = resolve_name("." * node.level + (node.module or ""), module.__package__)
            for alias in node.names:
                yield from ((name, source) for name in (import_module(source).__all__ if alias.name == "*" else [alias.name]))


def _tree(module: ModuleType) -> ast.Module:
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text("utf-8"))


def _is_plain(value: Any) -> bool:
    """Whether it is a constant or an alias of types, whose docstring is a text below it."""
    return not (inspect.isclass(value) or inspect.isroutine(value))


def assigned(module: str, name: str) -> tuple[str, str]:
    """A constant's annotation, and the first sentence of the text below its assignment; "" for what there isn't."""
    source = import_module(module)
    body = _tree(source).body
    for node, below in zip(body, [*body[1:], ast.Pass()], strict=True):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name:
            kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            text = below.value if isinstance(below, ast.Expr) else None
            return kind, _sentence(str(text.value)) if isinstance(text, ast.Constant) else ""
    return assigned(dict(imported_names(source))[name], name)


def _call(name: str, value: Any) -> str:
    """How a class or a function is called, without types; what other classes are."""
    if inspect.isclass(value) and issubclass(value, BaseException):
        kinds = " and ".join(f"`{base.__name__}`" for base in value.__bases__)
        return f"{'warning' if issubclass(value, Warning) else 'error'}, a kind of {kinds}"
    if inspect.isclass(value) and getattr(value, "_is_protocol", False):
        return "protocol"
    if inspect.isclass(value) and typing.is_typeddict(value):
        return f"dict with {', '.join(f'`{key}`' for key in value.__annotations__)}"
    parameters = list(inspect.signature(value).parameters.values())
    if inspect.isclass(value) and not parameters:
        return "class"
    if hasattr(value, "model_fields"):
        parameters = [each for each in parameters if each.name in _own_fields(value)]
    return f"`{name}({', '.join(_parameters(parameters))})`"


def _own_fields(model: Any) -> set[str]:
    """The fields of a pydantic model that this project declares, without those of its framework."""
    ours = [base for base in model.__mro__ if base.__module__.split(".")[0] in _OURS]
    return {name for base in ours for name in vars(base).get("__annotations__", {})}


def _parameters(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """The parameters with their defaults, without types; the star where positions end."""
    starred = False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        yield f"{stars}{each.name}" + ("" if each.default is each.empty else f"={_default(each.default)}")


def _default(value: Any) -> str:
    """A default as text, an ellipsis where that is long, or differs between runs."""
    text = repr(value)
    return "…" if text.startswith("<") or " at 0x" in text or len(text) > _LONGEST else text


def _sentence(docstring: str | None) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())
    found = re.match(r".*?(?<!e\.g)(?<!i\.e)\.(?=\s|$)", paragraph)
    return found[0] if found else paragraph


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the terminal's is
    print(reference(), end="")
