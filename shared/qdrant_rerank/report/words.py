"""How numbers and measures are put in words: the same everywhere in a report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..evaluate import Interval

__all__ = ["amount", "count", "interval", "listed", "meaning", "p_value", "quality", "shortened", "signed"]

_MEANINGS: Final = {
    "nDCG": "how near the first {k} results are to the best possible order; 1 is perfect",
    "R": "the share of the relevant documents that is among the first {k} results",
    "RR": "one divided by the rank of the first relevant result, 0 if there is none",
    "P": "the share of the first {k} results that is relevant",
    "AP": "the mean of the precision at each relevant document",
    "Success": "whether a relevant document is among the first {k} results",
    "Judged": "the share of the first {k} results that was judged at all",
}


def meaning(measure: str) -> str:
    """What a measure is, in plain words; "" for one that isn't common."""
    found = re.fullmatch(r"(\w+)(?:\([^)]*\))?(?:@(\d+))?", measure)
    if found is None or found[1] not in _MEANINGS:
        return ""
    return _MEANINGS[found[1]].replace("first {k} results", f"first {found[2]} results" if found[2] else "results")


def quality(value: float) -> str:
    """A value of a measure, with as many digits everywhere."""
    return f"{value:.4f}"


def signed(value: float) -> str:
    """A difference of two values of a measure."""
    return f"{value:+.4f}"


def interval(found: Interval, sign: bool = False) -> str:
    """The ends of an interval, "" where they can't be told."""
    if found.low is None or found.high is None:
        return ""
    return f"{signed(found.low)} to {signed(found.high)}" if sign else f"{quality(found.low)} to {quality(found.high)}"


def p_value(p: float) -> str:
    """A p value; below 0.001 only that it is."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def amount(value: float | None) -> str:
    """A cost, with about three digits; a dash where it isn't known."""
    if value is None:
        return "–"
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def count(number: int, what: str, several: str = "") -> str:
    """A number of things: `1 topic`, `2 topics`."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def shortened(text: str, longest: int) -> str:
    """The text on one line, with an ellipsis where it was cut."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"
