"""A search's way to an engine and back: guarded against values and changes that aren't known, its answers read and checked.

A proxy, another server or a faulty one answers with what makes no sense, and a score that is not a number would rank anywhere.
More points than were asked for are cut, as callers count on their number.

What is known of a collection may be true no longer: an alias has moved, or an index was made. Most of what changes makes an
engine refuse, and the schema is then read again. A distance in the place of a similarity makes it refuse nothing: scores ascend
where they descended, and a formula that added them has to subtract them. So the searches whose scores a formula reads carry a
threshold that every score meets and no score of the other kind does; and answers whose order is that of the scores are looked
at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from qdrant_client import models

from .engine_errors import Kind, Place, read_failure
from .errors import EngineError, PlanError, QueryError, warn
from .query import SearchOptions, Target
from .schema import Schema
from .steps import Flow, Points, Request, Search

SEVERAL_VALUES = (
    "some points of {collection!r} hold lists of several values, or places beyond 90 and 180 degrees, under a key that a "
    "formula reads as one value{key}: they count as missing, and formulas over this collection run slower from now on, as each "
    "value is looked at; store single values"
)


def search(requests: Callable[[], list[Request]], options: SearchOptions, target: Target) -> Flow[list[Points]]:
    """The points of each request; where a formula is refused that was guarded quickly, of the same requests made anew.

    A formula reads a payload value behind a condition that it is a number. A list of several numbers meets that condition and
    then fails the whole query, as does a place beyond 90 and 180 degrees; more conditions, that there is just one value and
    that it is on Earth, make sure, but no payload index answers the first, so that formulas take 4 to 11 times as long
    (`benchmarks/formula.py --only guards`). Such values under a key that a formula takes for one value are rare. So formulas go
    out with the quick guard; when an engine refuses one, it is sent again with the thorough guard, and so are all later ones of
    that executor. Only an engine's word that a formula met a value which it can't read is reason to: a server that is
    overloaded, or that gave a search up, says nothing of values.

    Args:
        requests: makes the requests, for the guards that the target asks for at that moment.
        options: those of the search.
        target: notes that thorough guards are needed.
    """
    quick, asked = not target.thorough, requests()
    try:
        found: list[Points] = yield Search(asked, options.consistency, options.timeout, target.schema)
        return found
    except Exception as error:
        if not quick or not read_failure(error).shows_values:
            raise
        before, target.quirks.several_values = target.quirks.several_values, True
        thorough = requests()
        if thorough == asked:  # nothing in it is guarded: a plain search, or keys that are read without a default
            target.quirks.several_values = before
            raise
        try:
            found = yield from Search(thorough, options.consistency, options.timeout, target.schema)
        except Exception:
            target.quirks.several_values = before  # it was something else
            raise error from None
        key = "" if (known := read_failure(error).key) is None else f" ({known!r})"
    warn(SEVERAL_VALUES.format(collection=target.schema.collection, key=key))
    return found


# Its answers

_DEFAULT_LIMIT: Final = 10  # Qdrant's own


def read_points(reply: Any, request: models.QueryRequest, place: Place) -> Points:
    """The points that answer a request, as many as it asks for.

    Raises:
        EngineError: there are none to be read, or a score is no finite number.
    """
    points = getattr(reply, "points", None)
    if not isinstance(points, list):
        raise EngineError(f"points/query of {place} gave an answer without points")
    return _check_scores(points, _limit(request), "query", place)


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
    groups = getattr(reply, "groups", None)
    if not isinstance(groups, list):
        raise EngineError(f"points/query/groups of {place} gave an answer without groups")
    size = request.group_size or 3  # Qdrant's own
    return [point for group in groups[: _limit(request)] for point in _check_scores(group.hits, size, "query/groups", place)]


def _limit(request: models.QueryRequest | models.QueryGroupsRequest) -> int:
    return _DEFAULT_LIMIT if request.limit is None else request.limit


def _check_scores(points: Points, limit: int, endpoint: str, place: Place) -> Points:
    for point in points:
        if not math.isfinite(point.score):
            raise EngineError(
                f"points/{endpoint} of {place} gave point {point.id!r} the score {point.score!r}, which is no finite number"
            )
    return points if len(points) <= limit else points[:limit]


# What is true no longer

_BEYOND: Final = 3e38  # no similarity is below minus this, no distance above this; a 32-bit float
_CONTRADICTING: Final[frozenset[Kind]] = frozenset(
    {
        "no value",
        "not a number",
        "not a date",
        "not a place",
        "not finite",
        "strict mode",
        "not found",
        "wrong dimension",
        "wrong vector",
        "bad request",
    }
)


def contradicts(error: BaseException) -> bool:
    """Whether an error may come of a schema that is true no longer: from an engine, or from our own checks against it."""
    if isinstance(error, QueryError):
        return error.against_schema
    if isinstance(error, PlanError):
        return True
    failure = read_failure(error)
    return failure.kind in _CONTRADICTING or failure.shows_values


def is_same(one: Schema, other: Schema) -> bool:
    """Whether two readings of a schema tell a plan the same: the number of points changes all the time, and decides nothing."""
    return replace(one, points=None) == replace(other, points=None) and (one.points == 0) == (other.points == 0)


def guard(step: Search) -> Search:
    """`step`, whose searches that a formula reads find nothing if their scores are of the other kind."""
    schema = step.schema
    if schema is not None:
        for request in step.requests:
            if request.prefetch and _has_formula(request):
                return replace(step, requests=[_guarded_request(each, schema) for each in step.requests])
    return step


def check_order(step: Search, answers: Sequence[Points]) -> None:
    """Refuse points that come in the order of distances where similarities are known, or the other way round.

    Raises:
        PlanError: some do.
    """
    schema = step.schema
    if schema is None:
        return
    for request, points in zip(step.requests, answers, strict=True):
        if len(points) > 1 and isinstance(request, models.QueryRequest):
            ascends, first, last = _ascends(request, schema.vectors), points[0].score, points[-1].score
            if ascends is not None and (first > last if ascends else first < last):
                raise _outdated(schema)


def finds_nothing(step: Search, answers: Sequence[Points]) -> bool:
    """Whether a request that carries the threshold found nothing; it may just be that there is nothing."""
    return any(not points and _is_guarded(request) for request, points in zip(step.requests, answers, strict=True))


def check_vectors(step: Search, schema: Schema) -> None:
    """Refuse to go on where the collection has other vectors than the step's requests were made for.

    Raises:
        PlanError: it has.
    """
    if step.schema is not None and step.schema.vectors != schema.vectors:
        raise _outdated(schema)


def _guarded_request(request: Request, schema: Schema) -> Request:
    prefetch = request.prefetch
    if not isinstance(prefetch, list) or not _has_formula(request):
        return request
    return request.model_copy(update={"prefetch": _with_thresholds(prefetch, request.query, schema)})


def _is_guarded(request: Request) -> bool:
    return any(map(_carries, request.prefetch if isinstance(request.prefetch, list) else []))


def _carries(prefetch: models.Prefetch) -> bool:
    inner = prefetch.prefetch if isinstance(prefetch.prefetch, list) else []
    return (prefetch.score_threshold is not None and abs(prefetch.score_threshold) == _BEYOND) or any(map(_carries, inner))


def _has_formula(request: Request | models.Prefetch) -> bool:
    inner = request.prefetch if isinstance(request.prefetch, list) else []
    return bool(inner) and (isinstance(request.query, models.FormulaQuery) or any(map(_has_formula, inner)))


def _with_thresholds(prefetches: Sequence[models.Prefetch], above: Any, schema: Schema) -> list[models.Prefetch]:
    read = isinstance(above, models.FormulaQuery)
    return [_with_threshold(each, read, schema) for each in prefetches]


def _with_threshold(prefetch: models.Prefetch, read: bool, schema: Schema) -> models.Prefetch:
    update: dict[str, Any] = {}
    if isinstance(prefetch.prefetch, list):
        update["prefetch"] = _with_thresholds(prefetch.prefetch, prefetch.query, schema)
    if read and prefetch.score_threshold is None and (ascends := _ascends(prefetch, schema.vectors)) is not None:
        update["score_threshold"] = _BEYOND if ascends else -_BEYOND
    return prefetch.model_copy(update=update) if update else prefetch


def _ascends(
    search: models.QueryRequest | models.QueryGroupsRequest | models.Prefetch, vectors: Mapping[str, Any]
) -> bool | None:
    """Whether the scores of a search ascend, best first; None where they aren't those of a vector with a known distance."""
    query = search.query
    if not isinstance(query, models.NearestQuery) or query.mmr is not None:
        return None
    info = vectors.get(search.using or "")
    return None if info is None or info.distance is None else bool(info.is_distance)


def _outdated(schema: Schema) -> PlanError:
    return PlanError(
        [
            f"the collection {schema.collection!r} has changed since its schema was read (an alias moved or it was made anew), "
            "so that its scores may be distances where they were similarities: refresh() reads the schema again"
        ]
    )
