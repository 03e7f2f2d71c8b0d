"""What a stage's search fetches beyond what the call returns, and how that is cut: groups, ties, pages of MMR."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .grouping import group
from .selecting import with_keys
from .ties import settled, widened

if TYPE_CHECKING:
    from .query import SearchOptions
    from .steps import Points
    from .strategies import Stage

__all__ = ["cut", "widen"]


def widen(root: Stage, options: SearchOptions) -> SearchOptions:
    """The options of the request from whose points `cut` makes what `options` asks of this outermost stage."""
    if options.group_by is not None and root.grouped_here:
        payload = with_keys(options.with_payload, [options.group_by])
        return replace(options, limit=root.whole(options.hits), group_by=None, with_payload=payload, page=options.hits)
    if options.offset and root.cuts_pages_short:
        return replace(options, limit=options.reach, offset=None, page=options.needed)
    return widened(options)


def cut(points: Points, root: Stage, options: SearchOptions) -> Points:
    """What `options` asks for, of the points that a search with the widened scope found."""
    if options.group_by is not None and root.grouped_here:
        return group(points, options, root.holds_all(len(points), options.hits))
    if options.offset and root.cuts_pages_short:
        return points[options.offset :]
    return settled(points, options)
