"""The tutorial as a notebook: `python scripts/notebook.py` runs docs/tutorial.md's code and writes examples/tutorial.ipynb.

A cell shows what it printed, and its last expression as a notebook shows it: by `_repr_html_` where there is one.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["NOTEBOOK", "PAGE", "parts", "run"]

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "tutorial.md"
NOTEBOOK: Final = ROOT / "examples" / "tutorial.ipynb"
_LONGEST: Final = 4_000  # characters of what has a table beside it
_BLOCK: Final = re.compile(r"^```python\n(.*?)^```\n", re.M | re.S)


def parts(page: str) -> Iterator[tuple[str, str]]:
    """The page as ("markdown", text) and ("code", text), in its order; empty text is left out."""
    for number, text in enumerate(_BLOCK.split(page)):
        if text.strip():
            yield ("code" if number % 2 else "markdown"), text.strip("\n")


def run(code: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """What a cell shows, as a notebook's outputs; `names` are those of the cells before, and get those of this one."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(printed.getvalue())})
    if value is not None:
        shown = {"text/plain": _lines(_brief(value)[:_LONGEST])}
        if hasattr(value, "_repr_html_"):
            shown["text/html"] = _lines(value._repr_html_())
        outputs.append({"data": shown, "execution_count": None, "metadata": {}, "output_type": "execute_result"})
    return outputs


def main() -> None:
    """Run the tutorial in a folder of its own, and write the notebook."""
    page = PAGE.read_text("utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        cells = [_cell(number, kind, text, names) for number, (kind, text) in enumerate(parts(page))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print("wrote", os.path.relpath(NOTEBOOK))


def _cell(number: int, kind: str, text: str, names: dict[str, Any]) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": _lines(text)}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": run(text, names)}
    return cell


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _brief(value: object) -> str:
    """A value as text: lists an item a line, as a notebook's own printer does."""
    if isinstance(value, list):
        return "[" + ",\n ".join(map(repr, value)) + "]"
    return str(value)


if __name__ == "__main__":
    main()
