"""Small pictures of intervals in table cells: where value and ends are, on a scale that the rows of a table share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Whisker", "whiskers"]

_ROOM = 4.0


@dataclass(frozen=True)
class Whisker:
    """An interval on a scale from 0 to 100.

    Attributes:
        value: the estimate.
        low: lower end; the estimate itself where there is none.
        high: upper end; likewise.
        zero: where nothing is.
    """

    value: float
    low: float
    high: float
    zero: float


def whiskers(rows: Sequence[tuple[float, float | None, float | None]]) -> list[Whisker]:
    """(estimate, low, high) of each row → its whisker; the scale holds all of them, and 0."""
    ends = [end for row in rows for end in row if end is not None]
    least, most = min([0.0, *ends]), max([0.0, *ends])
    span = (most - least) or 1.0

    def at(value: float) -> float:
        return round(_ROOM + (100 - 2 * _ROOM) * (value - least) / span, 2)

    return [
        Whisker(at(value), at(value if low is None else low), at(value if high is None else high), at(0.0))
        for value, low, high in rows
    ]
