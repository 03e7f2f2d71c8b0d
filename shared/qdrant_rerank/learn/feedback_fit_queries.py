"""The queries that a fit of relevance feedback is given, in any of their forms, as texts by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from .. import Query, StrategyError
from .._internals import warn
from ..evaluate import Topic, Topics

__all__ = ["Queries", "query_texts"]

Queries: TypeAlias = Topics | Mapping[str, str] | Sequence[str | Topic | Query]
"""`Topics`, e.g. of `read_topics`; or id → text; or texts, topics or queries in a list.

A topic's id is its own; that of a text or a `Query` in a list is its number from 0 on: "0", "1", ….
"""


def query_texts(queries: Queries) -> dict[str, str]:
    """Query id → text. A `PlanWarning` says if some come with more than text, which isn't used.

    Raises:
        StrategyError: they are something else, or two have the same id.
    """
    given: Any = queries  # what isn't typed may hold anything
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise StrategyError(
            f"the queries of a fit are Topics, a mapping of ids to texts, or a list of texts or topics; got {given!r:.200}"
        )
    rows = list(given.items()) if isinstance(given, Mapping) else list(map(_row, enumerate(given)))
    found: dict[str, str] = {}
    for id, query in rows:
        if id in found:
            raise StrategyError(f"the query id {id!r} is there twice: give each query an id of its own")
        found[id] = _text(id, query)
    if more := sum(_says_more(query) for _, query in rows):
        warn(
            f"{more} of the {len(rows)} queries come with filters, params, vectors or a time; the fit uses nothing but "
            "their text"
        )
    return found


def _row(numbered: tuple[int, Any]) -> tuple[str, Any]:
    number, query = numbered
    return (query.id if isinstance(query, Topic) else str(number)), query


def _text(id: Any, query: Any) -> str:
    text = query.text if isinstance(query, Topic | Query) else query
    if not isinstance(text, str):
        raise StrategyError(f"query {id!r} must be a text, a Topic or a Query; got {type(query).__name__} {query!r:.200}")
    return text


def _says_more(query: Any) -> bool:
    if isinstance(query, Query):
        return bool(query.vectors or query.params or query.now)
    return isinstance(query, Topic) and not query.is_plain
