"""Where output goes: results to standard output, everything about the run to standard error.

What is printed of documents, ids, payloads and servers' errors is foreign text: control characters in it (which can clear the
screen, set the title or write the clipboard) are shown as `\\x1b`, and nothing in it is taken for markup. Output as JSON is
exact.
"""

from __future__ import annotations

import re
from typing import Final

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

__all__ = ["errors_console", "results_console", "visible"]

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
