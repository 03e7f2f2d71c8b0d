"""What `explain` prints: a table of what a strategy is and costs, and its requests as JSON that fits a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .._internals import abridged
from ..planning import PlanDescription
from .consoles import results_console
from .failures import for_command_line

__all__ = ["folded", "print_explanation"]

_LINES: Final = 60
"""Of a request, that are worth reading."""
_LATER: Final = "then, with a vector that the model's scores have shifted (here the query's own):"


def print_explanation(explanation: PlanDescription, *, full: bool = False) -> None:
    """Print an explanation; with `full` all of its formulas and requests, however long they are."""
    console = results_console()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    strategy = explanation.strategy if full else explanation.summary
    table.add_row("strategy", Syntax(strategy, "python", theme="ansi_dark", background_color="default", word_wrap=True))
    table.add_row("collection", Text(f"{explanation.collection}: {explanation.vectors}"))
    table.add_row("server", Text(explanation.server))
    embeds = ", ".join(explanation.embeds) or "nothing"
    table.add_row(
        "one query", Text(f"round trips: {explanation.round_trips}   model calls: {explanation.model_calls}   embeds: {embeds}")
    )
    for number, refusal in enumerate(explanation.refusals or ("any",)):
        table.add_row("" if number else "servers", Text(str(refusal), "yellow"))
    for warning in explanation.warnings:
        table.add_row("warning", Text(for_command_line(warning), "yellow"))
    console.print(table)
    left = _print_requests(console, explanation.requests, full)
    if explanation.later:
        console.print()
        console.print(Text(_LATER, "bold"))
        left += _print_requests(console, explanation.later, full)
    if left:
        console.print()
        console.print(Text(f"{left:,} values of the request are left out; --full prints them all", "dim"))


def _print_requests(console: Console, requests: Sequence[Any], full: bool) -> int:
    """Print requests, and how many of their values are left out."""
    total = 0
    for request in requests:
        made, left = (request, 0) if full else abridged(request, lambda value: _fits(value, console.width))
        total += left
        console.print()
        console.print(JSONHighlighter()(folded(made, console.width)), soft_wrap=True)
    return total


def _fits(value: Any, width: int) -> bool:
    return folded(value, width).count("\n") < _LINES


def folded(value: Any, width: int, indent: int = 0, taken: int = 0) -> str:
    """JSON text in which an object or array stands on one line where it fits, as nested requests are deep.

    Args:
        value: a JSON value.
        width: how long lines may be.
        indent: how far its lines are set in, but the first.
        taken: how much of the first line is taken by the key before it.
    """
    flat = json.dumps(value, ensure_ascii=False)
    if indent + taken + len(flat) < width or not isinstance(value, dict | list):  # a comma may follow
        return flat
    pad, end = "\n" + " " * (indent + 2), "\n" + " " * indent
    if isinstance(value, list):
        return "[" + pad + f",{pad}".join(folded(item, width, indent + 2) for item in value) + end + "]"
    keys = [(json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
    return "{" + pad + f",{pad}".join(key + folded(item, width, indent + 2, len(key)) for key, item in keys) + end + "}"
