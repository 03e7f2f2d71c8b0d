"""Points of equal score in the order of their ids, where a call asks for that: engines return them in random order."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from .errors import warn

if TYPE_CHECKING:
    from .query import SearchOptions
    from .steps import Points

__all__ = ["SPARE", "by_id", "settled", "widened"]

SPARE: Final = 32
"""How many more points are fetched, so that those that tie with the last one are among them."""


def widened(options: SearchOptions) -> SearchOptions:
    """The options that fetches what `settled` cuts."""
    if not options.stable_ties:
        return options
    return replace(options, limit=options.reach + _spare(options), offset=None, stable_ties=False, page=options.needed)


def _spare(options: SearchOptions) -> int:
    """How many more points are fetched: fewer where strict mode allows no more."""
    return SPARE if options.most is None else max(0, min(SPARE, options.most - options.reach))


def settled(points: Points, options: SearchOptions) -> Points:
    """The points of a widened search, equal scores by id (numbers before UUIDs), cut to what the options asks for.

    Warns if more points tie with the last than were fetched, as it is then open which of them are returned.
    """
    if not options.stable_ties:
        return points
    cut, spare = options.reach, _spare(options)
    if len(points) == cut + spare and points[cut - 1].score == points[-1].score:
        message = f"more than {spare} points have the same score as the last result: it is open which of them are returned"
        if not spare:
            message = "strict mode allows no points beyond the call's: of those that tie with the last, it is open which come"
        warn(message)
    ordered = [point for _, ties in groupby(points, key=_score) for point in sorted(ties, key=by_id)]
    return ordered[options.offset or 0 : cut]


def _score(point: Any) -> float:
    score: float = point.score
    return score


def by_id(point: Any) -> tuple[bool, Any]:
    """What points of equal score are ordered by: numbers before UUIDs."""
    return isinstance(point.id, str), point.id
