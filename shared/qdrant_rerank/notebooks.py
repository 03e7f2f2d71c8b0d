"""How plans, results and comparisons show themselves in a notebook: as HTML tables, with text from outside escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

__all__ = ["Bar", "as_table", "as_text"]

_LONGEST: Final = 40  # characters of a heading; the whole is its title


@dataclass(frozen=True)
class Bar:
    """A number with a bar behind it, whose length is its share of `most`; a dash for one that isn't finite."""

    value: float
    most: float


def as_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], below: str = "") -> str:
    """A table with a caption, and a text below it."""
    heading = "".join(f'<th title="{escape(name)}">{escape(_cut(name))}</th>' for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    table = f"<table><caption>{escape(caption)}</caption><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"
    return table + (as_text(below) if below else "")


def as_text(text: str) -> str:
    """A text as it stands, in a fixed pitch."""
    return f"<pre>{escape(text)}</pre>"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def _cell(value: object) -> str:
    if isinstance(value, Bar) and math.isfinite(value.value):
        share = 100 * abs(value.value) / value.most if value.most else 0.0
        colour = "#7fb3d5" if value.value >= 0 else "#e6a1a1"
        style = f"background: linear-gradient(90deg, {colour} {share:.0f}%, transparent {share:.0f}%)"
        return f'<td style="{style}">{value.value:+.4f}</td>'
    text = f"{value:.4f}" if isinstance(value, float) else "–" if value is None or isinstance(value, Bar) else str(value)
    return f"<td>{escape(text)}</td>"
