"""Answers of an engine, checked: as many as were asked for, with points, whose scores are numbers.

A proxy, another server or a faulty one answers with what makes no sense, and a score that is not a number would rank anywhere.
More points than were asked for are cut, as callers count on their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from qdrant_client import models

from .errors import EngineError
from .failure_notes import Place
from .steps import Points

__all__ = ["read_batch", "read_groups", "read_points"]

T = TypeVar("T")
_DEFAULT_LIMIT = 10  # Qdrant's own


def read_points(reply: Any, request: models.QueryRequest, place: Place) -> Points:
    """The points that answer a request, as many as it asks for.

    Raises:
        EngineError: there are none to be read, or a score is no finite number.
    """
    return _checked(_part(reply, "points", "query", place), _limit(request), "query", place)


def read_batch(replies: Any, requests: Sequence[models.QueryRequest], place: Place) -> list[Points]:
    """The points that answer each request of a batch.

    Raises:
        EngineError: there aren't as many answers as requests, or one can't be read.
    """
    if not isinstance(replies, list) or len(replies) != len(requests):
        number = len(replies) if isinstance(replies, list) else "no"
        raise EngineError(f"points/query/batch of {place} gave {number} answers to {len(requests)} requests")
    return [read_points(reply, request, place) for reply, request in zip(replies, requests, strict=True)]


def read_groups(reply: Any, request: models.QueryGroupsRequest, place: Place) -> Points:
    """The points of all groups, best group first.

    Raises:
        EngineError: there are no groups to be read, or a score is no finite number.
    """
    groups = _part(reply, "groups", "query/groups", place)[: _limit(request)]
    size = request.group_size or 3  # Qdrant's own
    return [point for group in groups for point in _checked(group.hits, size, "query/groups", place)]


def _limit(request: models.QueryRequest | models.QueryGroupsRequest) -> int:
    return _DEFAULT_LIMIT if request.limit is None else request.limit


def _part(reply: Any, name: str, endpoint: str, place: Place) -> list[Any]:
    part = getattr(reply, name, None)
    if not isinstance(part, list):
        raise EngineError(f"points/{endpoint} of {place} gave an answer without {name}")
    return part


def _checked(points: Points, limit: int, endpoint: str, place: Place) -> Points:
    for point in points:
        if not math.isfinite(point.score):
            raise EngineError(
                f"points/{endpoint} of {place} gave point {point.id!r} the score {point.score!r}, which is no finite number"
            )
    return points if len(points) <= limit else points[:limit]
