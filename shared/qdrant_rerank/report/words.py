"""How a report writes numbers, measures and systems: the same everywhere, and short enough for tables and figures."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["System", "amount", "count", "explain_measure", "join_words", "shorten", "systems_of"]

_MEANINGS: Final = {
    "nDCG": "how near the first {k} results are to the best possible order; 1 is perfect",
    "R": "the share of the relevant documents that is among the first {k} results",
    "RR": "one divided by the rank of the first relevant result, 0 if there is none",
    "P": "the share of the first {k} results that is relevant",
    "AP": "the mean of the precision at each relevant document",
    "Success": "whether a relevant document is among the first {k} results",
    "Judged": "the share of the first {k} results that was judged at all",
}


def explain_measure(measure: str) -> str:
    """A measure in plain words; "" for one that isn't common."""
    found = re.fullmatch(r"(\w+)(?:\([^)]*\))?(?:@(\d+))?", measure)
    if found is None or found[1] not in _MEANINGS:
        return ""
    return _MEANINGS[found[1]].replace("first {k} results", f"first {found[2]} results" if found[2] else "results")


def amount(value: float | None) -> str:
    """A cost, with about three digits; a dash where it isn't known."""
    if value is None:
        return "–"
    digits = 0 if value == round(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def count(number: int, what: str = "query") -> str:
    """A number of things: `1 query`, `2 queries`, `3 searches`."""
    several = f"{what[:-1]}ies" if what.endswith("y") else f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{number:,} {what if number == 1 else several}"


def join_words(words: Sequence[str]) -> str:
    """One or more words as a sentence lists them: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def shorten(text: str, longest: int = 70) -> str:
    """The text on one line, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


_LONGEST: Final = 24
"""Longer names don't fit into tables and figures; letters stand for them."""
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The palette of Okabe and Ito (jfly.uni-koeln.de/color, 2008) but for yellow, which is too faint on white."""
_SHAPES: Final = {
    "o": "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12z",
    "s": "M3 3h10v10H3z",
    "^": "M8 2l6.5 11.5h-13z",
    "D": "M8 1l7 7-7 7-7-7z",
    "v": "M8 14L1.5 2.5h13z",
    "P": "M5.5 1.5h5v4h4v5h-4v4h-5v-4h-4v-5h4z",
    "X": "M4.5 1L8 4.5 11.5 1 15 4.5 11.5 8l3.5 3.5-3.5 3.5L8 11.5 4.5 15 1 11.5 4.5 8 1 4.5z",
}
"""matplotlib's name of each marker, and the same shape as a path in a square of 16."""


@dataclass(frozen=True)
class System:
    """How one system appears.

    Attributes:
        name: its own name.
        label: its name in tables, figures and sentences: the name, or a letter if names are too long.
        colour: of its marker, which tells systems apart without it.
        marker: matplotlib's name of its marker.
        shape: the marker as an SVG path in a square of 16.
        is_baseline: whether the others are compared with it.
    """

    name: str
    label: str
    colour: str
    marker: str
    shape: str
    is_baseline: bool


def systems_of(names: Sequence[str], baseline: str | None) -> dict[str, System]:
    """Name → how the system appears; letters for all if one name is too long, so that all are alike."""
    is_lettered = any(len(name) > _LONGEST for name in names)
    looks = zip(names, itertools.cycle(_COLOURS), itertools.cycle(_SHAPES.items()), strict=False)  # 42 pairs before one repeats
    return {
        name: System(name, _letters(number) if is_lettered else name, colour, marker, shape, name == baseline)
        for number, (name, colour, (marker, shape)) in enumerate(looks)
    }


def _letters(number: int) -> str:
    """A, B, …, Z, AA, AB, … as in spreadsheets."""
    before, rest = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + rest)
