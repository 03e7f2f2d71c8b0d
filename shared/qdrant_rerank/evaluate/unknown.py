"""Judged documents that aren't in the collection: no strategy can find them, and measures blame it for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qdrant_client import models

from .. import Executor, StrategyError
from .._internals import Points, Search, value_at
from ..expressions._internals import path_problem
from ..ingest._internals import point_ids
from .qrels import Qrels

__all__ = ["unknown_documents"]

_AT_ONCE = 256


def unknown_documents(qrels: Qrels, executor: Executor, doc_id: str = "_id") -> tuple[str, ...]:
    """The judged documents that the collection doesn't hold, in the order of their ids.

    Looked for by the id of their point (as it stands, or as `ingest` makes it), then by the payload key `doc_id`, 256 at a
    time. Server collections in strict mode need an index on that key.

    Args:
        qrels: the judgments.
        executor: the collection.
        doc_id: the payload key that holds a document's id.

    Raises:
        StrategyError: the key is no payload path.
    """
    if problem := path_problem(doc_id):
        raise StrategyError(problem)
    missing = set(qrels.documents)
    at_once = _at_once(executor)
    for share in _shares(sorted(missing), at_once):
        ids: dict[object, str] = {id: document for document in share for id in point_ids(document)}
        condition = models.HasIdCondition(has_id=[id for document in share for id in point_ids(document)])
        points = _found(executor, models.Filter(must=[condition]), len(ids), False)
        missing.difference_update(ids[point.id] for point in points if point.id in ids)
    for share in _shares(sorted(missing), at_once):
        left = set(share)
        while left:  # many points may belong to one document, so one answer need not show all documents
            points = _found(executor, models.Filter(should=list(_any_of(doc_id, sorted(left)))), at_once, [doc_id])
            found = left.intersection(str(value_at(point.payload or {}, doc_id)) for point in points)
            if not found:
                break
            left -= found
            missing -= found
    return tuple(sorted(missing))


def _any_of(key: str, documents: list[str]) -> Iterator[models.Condition]:
    """Conditions for payload values that are these ids, as texts or numbers."""
    yield models.FieldCondition(key=key, match=models.MatchAny(any=documents))
    numbers = [int(document) for document in documents if document.isdecimal() and int(document) < 2**63]
    if numbers:
        yield models.FieldCondition(key=key, match=models.MatchAny(any=numbers))


def _found(executor: Executor, filter: models.Filter, limit: int, payload: bool | list[str]) -> Points:
    """Points that meet the filter, in no order."""
    [points] = executor.search(Search([models.QueryRequest(filter=filter, limit=limit, with_payload=payload)]))
    return points


def _at_once(executor: Executor) -> int:
    """How many documents are looked for at once: no more than strict mode allows points and values of a condition."""
    strict = executor.target().schema.strict
    limits = [strict.max_query_limit, strict.condition_max_size] if strict is not None and strict.enabled else []
    return max(1, min([_AT_ONCE, *(limit // 2 for limit in limits if limit is not None)]))  # a document may have two ids


def _shares(items: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
