"""The reference's pages, one for each public package: what autodoc says of every name in its `__all__`.

Docstrings are plain text with Markdown's backticks; `read_markdown` has Sphinx read them so.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.docs.api import PACKAGES, assigned, imported_names, names_for_users

__all__ = ["escape_types", "read_markdown", "write"]

_MODULES: Final = ("qdrant_rerank.planning", "qdrant_rerank.errors", "qdrant_rerank.stages")
_CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)(\w?)")
_MARKS: Final = re.compile(r"(\*\*|[*|]|(?<=\w)_(?!\w))")


def write(folder: Path) -> None:
    """Write a page for each package, and the index of them."""
    folder.mkdir(exist_ok=True)
    packages = sorted({*PACKAGES, *_MODULES}, key=lambda name: (name.split(".")[0] != "qdrant_rerank", name))
    seen: dict[int, str] = {}
    for package in sorted(packages, key=lambda name: name.count(".")):
        _keep(folder / f"{package}.rst", "\n".join(_page(package, seen)))
    rows = "\n".join(f"| [](/reference/{name}.rst) | {_first_paragraph(import_module(name).__doc__)} |" for name in packages)
    listed = "\n".join(packages)
    _keep(folder / "index.md", _INDEX.format(rows=rows, listed=listed))


_INDEX: Final = """\
# Reference

Every public name, from its docstring. [Public names](../api.md) has them all on one page.

| package | |
|---|---|
{rows}

```{{toctree}}
:hidden:

{listed}
```
"""


def _keep(path: Path, text: str) -> None:
    """Write a file unless it says so already: then Sphinx doesn't read it anew."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _page(package: str, seen: dict[int, str]) -> Iterator[str]:
    module = import_module(package)
    yield f"{package}\n{'=' * len(package)}\n"
    yield _as_rst(_first_paragraph(module.__doc__)) + "\n"
    yield f".. py:module:: {package}\n   :no-typesetting:\n"
    names = names_for_users(module)
    if package == "qdrant_rerank":
        names.append("TimeoutError")  # not in __all__, which would take Python's own from `import *`
    again = []
    where = dict(imported_names(module))
    for name in sorted(names, key=str.lower):
        value = getattr(module, name)
        if seen.setdefault(id(value), package) != package and not _is_plain(value):
            again.append(f":py:obj:`{name} <{seen[id(value)]}.{name}>`")
        elif _is_plain(value):
            yield from _constant(name, value, where.get(name, package))
        else:
            yield from _described(f"{package}.{name}", value)
    if again:
        yield f"Also here: {', '.join(again)}.\n"


def _described(name: str, value: Any) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f".. autofunction:: {name}\n"
    elif issubclass(value, BaseException):
        yield f".. autoexception:: {name}\n   :show-inheritance:\n"
    else:
        yield f".. autoclass:: {name}\n   :members:\n"


def _constant(name: str, value: Any, module: str) -> Iterator[str]:
    kind, says = assigned(module, name)
    shown = "" if kind == "TypeAlias" or len(repr(value)) > 60 else f"\n   :value: {value!r}"
    yield f".. py:data:: {name}{shown}\n\n   {_as_rst(says)}\n"


def _is_plain(value: Any) -> bool:
    return not (inspect.isclass(value) or inspect.isroutine(value))


def _first_paragraph(docstring: str | None) -> str:
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())


def read_markdown(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring's backticks, marks and indented code into reStructuredText's, in place."""
    found: list[str] = []
    for paragraph in re.split(r"\n\n(?=\S|    )", "\n".join(lines)):
        is_code = all(line.startswith("    ") for line in paragraph.splitlines() if line)
        found.append(
            f".. code-block:: python\n   :force:\n\n{paragraph}" if is_code and paragraph.strip() else _as_rst(paragraph)
        )
    lines[:] = "\n\n".join(found).split("\n")


def escape_types(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Of types such as `np.str_`, which would be a link's name."""
    lines[:] = [re.sub(r"(?<=\w)_(?!\w)", r"\\_", line) if line.lstrip().startswith(":type:") else line for line in lines]


def _as_rst(text: str) -> str:
    parts = _CODE.split(text)  # text, code, the letter after it, text, …
    found = []
    for place, part in enumerate(parts):
        if place % 3 == 0:
            found.append(_MARKS.sub(r"\\\1", part))
        elif place % 3 == 1:
            found.append(f"``{part}``")
        elif part:
            found.append(f"\\ {part}")
    return "".join(found)
