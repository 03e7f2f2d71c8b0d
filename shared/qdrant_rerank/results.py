"""Points that something beside Qdrant ranked as well, with notes on how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from qdrant_client import models

__all__ = ["RankedPoint", "noted", "notes_of"]


class RankedPoint(models.ScoredPoint):
    """A point with notes on how it came to its rank.

    Attributes:
        notes: plain values by name, which retrievers put into the metadata of documents and nodes: `retrieval_score`,
            `relevance_score`, `not_rescored`, …
    """

    notes: dict[str, Any] = Field(default_factory=dict)


def notes_of(point: models.ScoredPoint) -> Mapping[str, Any]:
    """A point's notes; none for points that only Qdrant ranked."""
    return point.notes if isinstance(point, RankedPoint) else {}


def noted(point: models.ScoredPoint, score: float | None = None, **notes: Any) -> RankedPoint:
    """The point with another score (None: its own) and with further notes; the point itself stays as it is."""
    values = {name: getattr(point, name) for name in models.ScoredPoint.model_fields}
    if score is not None:
        values["score"] = score
    return RankedPoint.model_construct(**values, notes={**notes_of(point), **notes})
