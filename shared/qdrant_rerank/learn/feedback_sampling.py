"""Queries made of stored documents, for a fit of relevance feedback where there are no real ones. They mislead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from qdrant_client import models

from .. import Executor, StrategyError
from .._internals import is_whole, value_at, warn
from ..errors import FitError
from .sampling import stored_points

__all__ = ["SAMPLED", "SYNTHETIC_WARNING", "is_sampled", "sampled_queries"]

SAMPLED: Final = "sampled:"
"""What the ids of such queries begin with, so that they are known wherever they are kept."""
SYNTHETIC_WARNING: Final = (
    "the queries are made of stored documents (titles, first sentences): they mislead, as each finds its own document and none "
    "is asked as people ask; take what is fitted to them as a trial, and fit again with 50 to 200 real queries before using it"
)
_TITLES: Final = ("title", "metadata.title")
_SPARE: Final = 2  # as some points have no text, or that of another


def sampled_queries(
    executor: Executor, count: int, *, filter: models.Filter | None = None, max_words: int = 12
) -> dict[str, str]:
    """Up to `count` different queries, each the title or the first sentence of a stored point; id → text.

    Qdrant draws the points at random, others each time. A `PlanWarning` says that such queries mislead.

    Args:
        executor: on the collection; its payload mapping says where the text is.
        count: how many queries.
        filter: which points they may be made of.
        max_words: longer ones are cut.

    Raises:
        StrategyError: `count` or `max_words` isn't a whole number of at least 1.
        FitError: no point that was drawn has a title or a text.
    """
    for name, value in (("count", count), ("max_words", max_words)):
        if not is_whole(value, 1):
            raise StrategyError(f"{name} must be a whole number of at least 1, got {value!r}")
    mapping = executor.target().payload
    found: dict[str, str] = {}
    points = stored_points(executor, True, _SPARE * count, filter)
    for point in points:
        payload = point.payload or {}
        text = " ".join(_opening(payload, mapping.content(payload).text).split()[:max_words])
        if text and text not in found.values() and len(found) < count:
            found[f"{SAMPLED}{point.id}"] = text
    if not found:
        raise FitError(
            f"no queries can be made of {executor.collection!r}: none of the {len(points)} points drawn from it has a title or "
            "a text where the payload mapping says"
        )
    warn(SYNTHETIC_WARNING)
    return found


def is_sampled(queries: Mapping[str, str]) -> bool:
    """Whether any of the queries was made by `sampled_queries`, as its id says."""
    return any(query.startswith(SAMPLED) for query in queries)


def _opening(payload: Mapping[str, Any], text: str) -> str:
    """The title, or the first sentence of the first line."""
    for key in _TITLES:
        title = value_at(payload, key)
        if isinstance(title, str) and title.strip():
            return title
    first_line = text.strip().partition("\n")[0]
    return re.split(r"(?<=[.!?])\s", first_line, maxsplit=1)[0]
