"""What a report calls each system, and which sign it has: labels short enough for tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["System", "systems_of"]

LONGEST: Final = 24
"""Names that are longer don't fit into tables and figures; letters stand for them then."""
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
        label: what stands for it in tables, figures and sentences.
        colour: of its marker; never the only thing that tells systems apart.
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

    @property
    def is_lettered(self) -> bool:
        """Whether the label stands for a name that is too long."""
        return self.label != self.name


def systems_of(names: Sequence[str], baseline: str | None) -> dict[str, System]:
    """Name → how the system appears; letters for all if one name is too long, so that all are alike."""
    lettered = any(len(name) > LONGEST for name in names)
    markers = list(_SHAPES)
    found: dict[str, System] = {}
    for number, name in enumerate(names):
        marker = markers[number % len(markers)]
        label = _letters(number) if lettered else name
        colour = _COLOURS[number % len(_COLOURS)]  # 6 colours and 7 markers: 42 pairs before one comes again
        found[name] = System(name, label, colour, marker, _SHAPES[marker], name == baseline)
    return found


def _letters(number: int) -> str:
    """A, B, …, Z, AA, AB, … as in spreadsheets."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
