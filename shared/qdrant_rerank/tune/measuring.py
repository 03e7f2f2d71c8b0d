"""The measure of plain rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..evaluate import Qrels, per_topic

__all__ = ["measured"]


def measured(measure: str, qrels: Qrels, rankings: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The measure's value for each topic that has a ranking (which may be empty)."""
    grades = {topic: qrels[topic] for topic in rankings}
    placed = {topic: {document: float(-rank) for rank, document in enumerate(found)} for topic, found in rankings.items()}
    [values] = per_topic([measure], grades, placed).values()
    return values
