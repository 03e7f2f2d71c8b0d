"""Sets of 64-bit floats that a split sends to one side, where rounding puts their bounds, and bounds that survive JSON.

Servers read JSON numbers of 16 and 17 digits inexactly over REST, by one unit in the last place: a value next to a bound may
end up on its other side. So bounds are written with at most 15 digits, which are read exactly.
"""

from __future__ import annotations

import decimal
import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ...expressions._internals import DIGITS, digits

__all__ = [
    "EVERYTHING",
    "Region",
    "at_most",
    "below_f32",
    "bounds",
    "greater_than",
    "last",
    "no_greater_f32",
    "points",
    "whole_numbers",
]

_DOWN: Final = decimal.Context(prec=DIGITS, rounding=decimal.ROUND_FLOOR)
_UP: Final = decimal.Context(prec=DIGITS, rounding=decimal.ROUND_CEILING)


@dataclass(frozen=True)
class Region:
    """A union of intervals `(low, high]` in ascending order, which don't touch: low is outside, high inside."""

    intervals: tuple[tuple[float, float], ...]

    def __contains__(self, number: float) -> bool:
        return any(low < number <= high for low, high in self.intervals)

    def __invert__(self) -> Region:
        """All numbers that aren't in it."""
        bounds = [-math.inf, *(bound for interval in self.intervals for bound in interval), math.inf]
        pairs = zip(bounds[::2], bounds[1::2], strict=True)
        return Region(tuple(pair for pair in pairs if pair[0] < pair[1]))

    def map_bounds(self, to: Callable[[float], float]) -> Region:
        """The region whose bounds are `to` of these; intervals that become empty go."""
        moved = ((to(low), to(high)) for low, high in self.intervals)
        return Region(tuple(pair for pair in moved if pair[0] < pair[1]))


EVERYTHING: Final = Region(((-math.inf, math.inf),))


def at_most(bound: float) -> Region:
    """All numbers up to `bound`."""
    return Region(((-math.inf, bound),))


def greater_than(bound: float) -> Region:
    """All numbers greater than `bound`."""
    return Region(((bound, math.inf),))


def points(numbers: Iterable[float]) -> Region:
    """Exactly these numbers."""
    return Region(tuple((math.nextafter(number, -math.inf), number) for number in sorted(set(numbers))))


def whole_numbers(numbers: Iterable[int], negatives: bool = True) -> Region:
    """All numbers whose whole part is one of `numbers`, which are not negative; -0.5 counts as 0 if `negatives` do."""
    joined: list[tuple[float, float]] = []
    for number in sorted(set(numbers)):
        low = -1.0 if number == 0 and negatives else math.nextafter(number, -math.inf)
        high = math.nextafter(number + 1, -math.inf)
        if joined and joined[-1][1] >= low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return Region(tuple(joined))


def no_greater_f32(threshold: float) -> float:
    """The last 64-bit float x with `float32(x) <= threshold`: scikit-learn's trees compare so."""
    lower = np.float32(threshold)
    if float(lower) > threshold:
        lower = np.nextafter(lower, np.float32(-np.inf))
    return _last_rounded_to(lower)


def below_f32(threshold: float) -> float:
    """The last 64-bit float x with `float32(x) < float32(threshold)`: XGBoost compares so."""
    return _last_rounded_to(np.nextafter(np.float32(threshold), np.float32(-np.inf)))


def _last_rounded_to(lower: np.float32) -> float:
    """The last 64-bit float that rounds to `lower` or less: halfway to the next one, itself included if `lower` is even."""
    upper = np.nextafter(lower, np.float32(np.inf))
    middle = (float(lower) + float(upper)) / 2
    is_even = int(lower.view(np.uint32)) % 2 == 0
    return middle if is_even else math.nextafter(middle, -math.inf)


def bounds(low: float, high: float) -> dict[str, float]:
    """What a range asks for `(low, high]`, low outside and high inside, in numbers of at most 15 digits.

    Exact for all numbers of at most 15 digits and for all 32-bit floats; for others as well, where a bound or the number after
    it has so few digits. Elsewhere numbers count as inside that are as near to a bound as two of 15 digits are to each other.
    """
    found: dict[str, float] = {}
    if not math.isinf(low):
        found |= dict([_edge(low, "gt", "gte", outward=_down(low))])
    if not math.isinf(high):
        found |= dict([_edge(high, "lte", "lt", outward=_up(high))])
    return found


def _edge(last: float, at: str, after: str, outward: float) -> tuple[str, float]:
    """The comparison that parts the numbers up to `last` from those above, and its bound: `at` one below, or `after` one above.

    Args:
        last: the last number below.
        at: the comparison with that number, or one below it.
        after: the comparison with the first number above, or one above that.
        outward: which of the two bounds is taken where nothing is between them that counts.
    """
    following = math.nextafter(last, math.inf)
    if digits(last) <= DIGITS:
        return at, last
    if digits(following) <= DIGITS:
        return after, following
    below, above = _down(last), _up(last)
    with np.errstate(over="ignore"):
        between = float(np.float32(last))  # at most one 32-bit float is: they are far apart
    if not below < between < above:
        return (at, below) if outward == below else (after, above)
    return (after, above) if between <= last else (at, below)


def _down(number: float) -> float:
    """The greatest number of 15 digits that isn't above."""
    return float(_DOWN.create_decimal_from_float(number))


def _up(number: float) -> float:
    """The least number of 15 digits that isn't below."""
    return float(_UP.create_decimal_from_float(number))


def last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The last 64-bit float from `low` to `high` for which `holds`, which is true up to some number and then false.

    Returns:
        -inf if it holds for none, inf if it holds for all.
    """
    if not holds(low):
        return -math.inf
    if holds(high):
        return math.inf
    inside, outside = _rank(low), _rank(high)
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if holds(_ranked(middle)) else (inside, middle)
    return _ranked(inside)


def _rank(number: float) -> int:
    """The place of a float among all floats in ascending order, 0 being that of 0.0."""
    bits: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _ranked(place: int) -> float:
    number: float = struct.unpack("<d", struct.pack("<q", abs(place)))[0]
    return math.copysign(number, place)
