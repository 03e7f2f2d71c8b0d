"""Where labels go beside their points, without covering each other. All lengths are points (1/72 inch)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import hypot
from typing import Final, TypeAlias

__all__ = ["Box", "Point", "gap", "placed", "width_of"]

Box: TypeAlias = tuple[float, float, float, float]
Point: TypeAlias = tuple[float, float]
_LETTER: Final = 6.1  # mean width; a little more than most, as the reader's font isn't known
_HEIGHT: Final = 12.0
_MARKER: Final = 6.5  # half of it
_ORDERS: Final = 12
_AMBIGUOUS: Final = 150.0  # as bad as covering so many square points: the label seems to be of another system


def placed(
    where: Mapping[str, Point], labels: Mapping[str, str], frame: Box, lines: Sequence[Box] = ()
) -> dict[str, tuple[float, float]]:
    """Name → how far from its point the label's left middle is.

    Label after label goes where it covers least of what is there already; as the first ones take the best places, this is
    tried in several orders, and the best outcome counts. The same input gives the same places.

    Args:
        where: name → (x, y) of the point.
        labels: name → text.
        frame: left, lower, right and upper end of where labels may be.
        lines: left, lower, right and upper end of lines that labels should not cross.
    """
    taken = [_thick(line) for line in lines]
    taken += [(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in where.values()]
    order, drawn = sorted(where, key=lambda name: (-where[name][1], where[name][0], name)), random.Random(0)
    tries = []
    for _ in range(_ORDERS):
        tries.append(_in_order(order, where, labels, frame, taken))
        order = drawn.sample(order, len(order))
    return min(tries, key=lambda found: found[0])[1]


def _in_order(
    order: Sequence[str], where: Mapping[str, Point], labels: Mapping[str, str], frame: Box, taken: Sequence[Box]
) -> tuple[float, dict[str, tuple[float, float]]]:
    """What all labels cost, and where they are."""
    taken, total, found = list(taken), 0.0, dict[str, tuple[float, float]]()
    for name in order:
        x, y = where[name]
        width = width_of(labels[name])
        others = [point for other, point in where.items() if other != name]
        costs = []
        for rank, (dx, dy) in enumerate(_places(width)):
            box = _box(x + dx, y + dy, width)
            costs.append((_cost(box, taken, frame, rank) + _AMBIGUOUS * _is_nearer(box, others, (x, y)), (dx, dy)))
        cost, found[name] = min(costs)
        total += cost
        taken.append(_box(x + found[name][0], y + found[name][1], width))
    return total, found


def width_of(label: str) -> float:
    """About how wide a label is."""
    return _LETTER * len(label)


def _places(width: float) -> Iterator[tuple[float, float]]:
    """Right, left, askew, above, below, then askew further away."""
    yield from ((9, 0), (-9 - width, 0))
    for far in (11.0, 15.0, 26.0, 40.0):
        for sideways in (6 + far / 4, -6 - far / 4 - width, -width / 2):
            yield sideways, far
            yield sideways, -far


def _box(x: float, y: float, width: float) -> Box:
    return x, y - _HEIGHT / 2, x + width, y + _HEIGHT / 2


def _thick(line: Box) -> Box:
    return line[0] - 2.5, line[1] - 2.5, line[2] + 2.5, line[3] + 2.5


def _cost(box: Box, taken: Sequence[Box], frame: Box, rank: int) -> float:
    covered = sum(_shared(box, other) for other in taken)
    inside = _shared(box, frame)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
    return covered + 2 * outside + 0.5 * rank


def _is_nearer(box: Box, others: Iterable[tuple[float, float]], own: tuple[float, float]) -> bool:
    """Whether the label is as near to another point as to its own."""
    return any(gap(box, other) < gap(box, own) + 2 for other in others if other != own)


def gap(box: Box, point: Point) -> float:
    """How far a point is from a box; 0 within."""
    x, y = point
    return hypot(max(box[0] - x, 0.0, x - box[2]), max(box[1] - y, 0.0, y - box[3]))


def _shared(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
