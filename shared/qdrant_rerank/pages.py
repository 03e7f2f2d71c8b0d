"""What a stage's search fetches beyond what the call returns, and how that is cut: groups, ties, pages of MMR."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .grouping import group
from .selecting import with_keys
from .ties import settled, widened

if TYPE_CHECKING:
    from .query import Scope
    from .steps import Points
    from .strategies import Stage

__all__ = ["cut", "widen"]


def widen(root: Stage, scope: Scope) -> Scope:
    """The scope of the request from whose points `cut` makes what `scope` asks of this outermost stage."""
    if scope.group_by is not None and root.grouped_here:
        payload = with_keys(scope.with_payload, [scope.group_by])
        return replace(scope, limit=root.whole(scope.hits), group_by=None, with_payload=payload, page=scope.hits)
    if scope.offset and root.cuts_pages_short:
        return replace(scope, limit=scope.reach, offset=None, page=scope.needed)
    return widened(scope)


def cut(points: Points, root: Stage, scope: Scope) -> Points:
    """What `scope` asks for, of the points that a search with the widened scope found."""
    if scope.group_by is not None and root.grouped_here:
        return group(points, scope, root.holds_all(len(points), scope.hits))
    if scope.offset and root.cuts_pages_short:
        return points[scope.offset :]
    return settled(points, scope)
