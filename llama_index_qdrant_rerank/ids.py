"""LlamaIndex's node ids and Qdrant's point ids: strings on the one side, integers or UUIDs on the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from uuid import UUID

from qdrant_rerank import QueryError

__all__ = ["PointId", "point_id", "point_ids"]

PointId: TypeAlias = int | str
"""A point's id; UUIDs in the one form that Qdrant answers with, lower case with hyphens."""

_LARGEST = 2**64 - 1


def point_id(node_id: object) -> PointId | None:
    """The id of the point that a node was made from; None if no point can have it.

    A node's id is always a string. Points with integer ids become nodes with ids like `"77"`, which Qdrant would
    not find again, as it keeps `"77"` and 77 apart.
    """
    if isinstance(node_id, int) and not isinstance(node_id, bool):
        return node_id if 0 <= node_id <= _LARGEST else None
    text = str(node_id)
    if text.isascii() and text.isdigit() and int(text) <= _LARGEST and str(int(text)) == text:
        return int(text)
    try:
        return str(UUID(text))
    except ValueError:
        return None


def point_ids(node_ids: Iterable[object]) -> list[PointId]:
    """The ids of the points that nodes were made from.

    Raises:
        QueryError: no point can have one of these ids.
    """
    if isinstance(node_ids, str):
        raise QueryError(f"node_ids must be a list of node ids, got the string {node_ids!r}")
    found = {str(node_id): point_id(node_id) for node_id in node_ids}
    if strange := [node_id for node_id, point in found.items() if point is None]:
        listed = ", ".join(map(repr, strange[:5]))
        raise QueryError(f"node_ids must be UUIDs or whole numbers, as the ids of Qdrant's points are, got {listed}")
    return [point for point in found.values() if point is not None]
