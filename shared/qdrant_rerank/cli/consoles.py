"""Where output goes: results to standard output, everything about the run to standard error.

What is printed of documents, ids, payloads and servers' errors is foreign text: control characters in it (which can clear the
screen, set the title or write the clipboard) are shown as `\\x1b`, and nothing in it is taken for markup. Output as JSON is
exact.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing round."""


def results_console() -> Console:
    """A console for results; without colours where the output isn't a terminal."""
    return _escaping(Console(highlight=False, markup=False, emoji=False))


def errors_console() -> Console:
    """A console for messages, warnings and progress. Long lines are left to the terminal, so that paths stay whole."""
    return _escaping(Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True))


def visible(text: str) -> str:
    """The text with every control character written out: `\\x1b`, `\\u202e`."""
    return _UNSEEN.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\u0100" else f"\\u{ord(found[0]):04x}", text)


def _escaping(console: Console) -> Console:
    console.push_render_hook(_Escape())
    return console


class _Escape(RenderHook):
    """Makes all that is printed visible, whatever it is made of."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Escaped(renderable) for renderable in renderables]


class _Escaped:
    """What is printed, with the control characters of its text written out; styles aren't text yet."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def make_table(*headings: str, text: int = 1) -> Table:
    """A table without a frame, whose first `text` columns hold texts and the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        is_text = number < text
        table.add_column(
            heading, overflow="fold" if is_text else "ellipsis", justify="left" if is_text else "right", no_wrap=not is_text
        )
    return table


def show_table(console: Console, table: Table) -> None:
    """Print a table; where the console is too narrow for its numbers, print each row as its headings and cells, one by one."""
    columns = [[_plain(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    widest = [max(map(cell_len, column)) for column in columns]
    needed = sum(w if column.no_wrap else min(w, _FOLDED) for w, column in zip(widest, table.columns, strict=True))
    if needed + len(columns) - 1 <= console.width:
        console.print(table)
        return
    (_, *headings), *rows = zip(*columns, strict=True)
    for first, *cells in rows:
        console.print(Text(first, "bold"))
        pairs = (f"{heading} {cell}".strip() for heading, cell in zip(headings, cells, strict=True) if cell)
        console.print(Padding(Text(", ".join(pairs)), (0, 0, 0, 2)))


_FOLDED: Final = 12
"""How narrow a column of texts may become."""


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


class Tell(Protocol):
    """What is told how far the work is."""

    def __call__(self, done: int, total: int | None = ..., /) -> None: ...


class ProgressLines:
    """Tells progress by a line every 15 seconds, where a bar can't be drawn: in logs, in CI."""

    def __init__(self, console: Console, name: str, total: int | None = None, seconds: float = 15.0) -> None:
        self._console, self._name, self._total, self._seconds = console, name, total, seconds
        self._next = time.monotonic() + seconds

    def __call__(self, done: int, total: int | None = None, /) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._seconds
        of = total or self._total
        self._console.print(Text(f"{visible(self._name)}: {done:,}{'' if of is None else f' of {of:,}'}"))


@contextmanager
def show_progress(name: str, total: int | None = None) -> Generator[Tell, None, None]:
    """Show a progress bar, or lines where no terminal is, and give what sets it."""
    console = errors_console()
    if not console.is_terminal:
        yield ProgressLines(console, name, total)
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(visible(name), total=total)
        yield lambda done, total=None, /: bar.update(task, completed=done, total=total)
