"""A search's way to an engine and back: guarded against values and changes that aren't known, sent, its answers checked.

A client's own methods look through each request for texts to embed, and build and check it again from its parts; a request that
is there already goes to what the client has beneath them, where nobody has put something in their place.

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
from dataclasses import dataclass, replace
from functools import lru_cache
from types import FunctionType
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.async_qdrant_remote import AsyncQdrantRemote
from qdrant_client.http import models as rest
from qdrant_client.qdrant_remote import QdrantRemote

from .clients import AsyncCalls
from .engine_errors import Kind, Place, read_failure
from .errors import EngineError, PlanError, QueryError, warn
from .query import SearchOptions, Target
from .schema import Schema
from .steps import Flow, Points, Request, Search

S = TypeVar("S", models.QueryRequest, models.Prefetch)

SEVERAL_VALUES = (
    "some points of {collection!r} hold lists of several values, or places beyond 90 and 180 degrees, or numbers beyond 3.4e38 "
    "under a key that a formula reads as one value{key}: they count as missing, and formulas over this collection run slower "
    "from now on, as each value is looked at; store single values"
)


def search(requests: Callable[[], list[Request]], options: SearchOptions, target: Target) -> Flow[list[Points]]:
    """The points of each request; where a formula is refused that was guarded quickly, of the same requests made thoroughly.

    A formula reads a payload value behind a condition that it is a number. A list of several numbers meets that condition and
    then fails the whole query, as does a place beyond 90 and 180 degrees; more conditions, that there is just one value and
    that it is on Earth, make sure, but no payload index answers the first, so that formulas take 4 to 11 times as long
    (`benchmarks/formula.py --only guards`). Such values under a key that a formula takes for one value are rare. So formulas go
    out with the quick guard; when an engine refuses one, it is sent again with the thorough guard, and so are all later ones of
    that executor. A number with a payload index goes out without a guard; if that is refused, the quick one is tried first, as
    the index may be gone or still be built, and stays until the schema is read again. Only an engine's word that a formula met
    a value which it can't read is reason to: a server that is overloaded, or that gave a search up, says nothing of values.

    Args:
        requests: makes the requests, for the guards that the target asks for at that moment.
        options: those of the search.
        target: notes that thorough guards are needed.
    """
    quick, quirks, asked = not target.thorough, target.quirks, requests()
    try:
        found: list[Points] = yield Search(asked, options.consistency, options.timeout, target.schema)
        return found
    except Exception as error:
        if not quick or not read_failure(error).is_formula_s:
            raise
        before, quirks.distrusts_indexes = quirks.distrusts_indexes, True
        guarded = requests()
        if guarded != asked:  # an index may be gone, or still be built
            try:
                found = yield from Search(guarded, options.consistency, options.timeout, target.schema)
                return found
            except Exception as another:
                if not read_failure(another).is_formula_s:
                    quirks.distrusts_indexes = before
                    raise error from None
        quirks.distrusts_indexes, quirks.several_values = before, True
        thorough = requests()
        if thorough == asked:  # nothing in it is guarded: a plain search, or keys that are read without a default
            quirks.several_values = False
            raise
        try:
            found = yield from Search(thorough, options.consistency, options.timeout, target.schema)
        except Exception:
            quirks.several_values = False  # it was something else
            raise error from None
        key = "" if (known := read_failure(error).key) is None else f" ({known!r})"
    warn(SEVERAL_VALUES.format(collection=target.schema.collection, key=key))
    return found


# Its sending


def send(client: QdrantClient, collection: str, requests: Sequence[models.QueryRequest], told: Mapping[str, Any]) -> Any:
    """A client's answer to each request: to a lone one as a query, to several as a batch.

    Args:
        client: what is asked.
        collection: the collection's name.
        requests: what it is asked for.
        told: the client's options, such as `timeout`.
    """
    way = _find_way(client, collection, requests)
    if len(requests) > 1:
        if isinstance(way, _Rest):
            return way.api.send(way.write(collection, "query/batch", _batch(requests), told), _Answers).result
        return way.query_batch_points(collection, _lend(requests) if way is client else requests, **told)
    if isinstance(way, _Rest):
        return [way.api.send(way.write(collection, "query", _unwrap(requests[0]), told), _Answer).result]
    return [way.query_points(collection, **_arguments(requests[0]), **told)]


async def asend(client: AsyncCalls, collection: str, requests: Sequence[models.QueryRequest], told: Mapping[str, Any]) -> Any:
    """As `send`, awaited."""
    way = _find_way(client, collection, requests)
    if len(requests) > 1:
        if isinstance(way, _Rest):
            return (await way.api.send(way.write(collection, "query/batch", _batch(requests), told), _Answers)).result
        return await way.query_batch_points(collection, _lend(requests) if way is client else requests, **told)
    if isinstance(way, _Rest):
        return [(await way.api.send(way.write(collection, "query", _unwrap(requests[0]), told), _Answer)).result]
    return [await way.query_points(collection, **_arguments(requests[0]), **told)]


def group_arguments(request: models.QueryGroupsRequest) -> dict[str, Any]:
    """A request for groups as the client's method takes it."""
    return _arguments(request) | {"group_by": request.group_by, "group_size": request.group_size}


def _arguments(request: models.QueryRequest | models.QueryGroupsRequest) -> dict[str, Any]:
    """A request as the client's methods for one query take it; they have no parameter for the request itself."""
    arguments = {
        "limit": request.limit,
        "query": request.query,
        "using": request.using,
        "prefetch": request.prefetch,
        "query_filter": request.filter,
        "search_params": request.params,
        "score_threshold": request.score_threshold,
        "with_payload": request.with_payload,
        "with_vectors": request.with_vector or False,
        "shard_key_selector": request.shard_key,
    }
    if isinstance(request, models.QueryRequest):
        arguments["offset"] = request.offset
    return arguments


class _Lent(models.QueryRequest):
    """A request whose first deep copy is a shallow one, and plain: the next copies all of it."""

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        return models.QueryRequest.model_construct(self.model_fields_set, **vars(self))


def _lend(requests: Sequence[models.QueryRequest]) -> list[models.QueryRequest]:
    """Requests for `query_batch_points`, whose client copies every number of each to write the query's type into the copy."""
    return [_Lent.model_construct(request.model_fields_set, **vars(request)) for request in requests]


def _batch(requests: Sequence[models.QueryRequest]) -> models.QueryRequestBatch:
    return models.QueryRequestBatch.model_construct(searches=list(map(_unwrap, requests)))


def _unwrap(sent: S) -> S:
    """A search with its vectors as they are, which a server reads sooner than in a query around them.

    With 384 numbers it answers 0.07 ms sooner, with the 32 times 128 of a multivector 0.75 ms (`benchmarks/bodies.py`).
    """
    query, inner = sent.query, sent.prefetch
    update: dict[str, Any] = {}
    if isinstance(query, models.NearestQuery) and query.mmr is None:
        update["query"] = query.nearest
    if isinstance(inner, list):
        update["prefetch"] = list(map(_unwrap, inner))
    return sent.model_copy(update=update)


class _Answer(BaseModel):
    result: rest.QueryResponse | None


class _Answers(BaseModel):
    result: list[rest.QueryResponse] | None


@dataclass(frozen=True)
class _Rest:
    """How a client's requests go over REST, written with what the client says of each: headers, cookies, times."""

    api: Any
    http: Any

    def write(self, collection: str, endpoint: str, asked: BaseModel, told: Mapping[str, Any]) -> httpx.Request:
        """A request for an endpoint of a collection's points."""
        url, seconds = _url(self.api.host, collection, endpoint), told.get("timeout")
        if told:
            url = url.copy_merge_params({name: str(value) for name, value in told.items() if value is not None})
        headers = httpx.Headers(self.http.headers)
        headers["content-type"] = "application/json"
        return httpx.Request(
            "POST",
            url,
            headers=headers,
            cookies=self.http.cookies,
            content=asked.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True),
            extensions={"timeout": (self.http.timeout if seconds is None else httpx.Timeout(seconds)).as_dict()},
        )


@lru_cache(maxsize=256)
def _url(host: str, collection: str, endpoint: str) -> httpx.URL:
    return httpx.URL(f"{host.rstrip('/')}/collections/{quote(collection, safe='')}/points/{endpoint}")


_METHODS: Final = "query_points", "query_batch_points"
_WITHOUT_TEXT: Final = (models.FormulaQuery, models.FusionQuery, models.RrfQuery, models.OrderByQuery, models.SampleQuery)


def _find_way(client: Any, collection: str, requests: Sequence[models.QueryRequest]) -> Any:
    """What sends these requests: over REST its connection, over gRPC the part of a client that speaks to a server.

    It is the client itself where that may differ: it is no server's, it may have to embed texts, or its methods aren't
    qdrant-client's, but those of a subclass, of a tracer, of a test's double; or a later qdrant-client has its parts elsewhere,
    by which only time is lost.
    """
    if type(client) not in (QdrantClient, AsyncQdrantClient):
        return client
    remote: Any = getattr(client, "_client", None)
    if type(remote) not in (QdrantRemote, AsyncQdrantRemote) or not (_is_as_made(client) and _is_as_made(remote)):
        return client
    if not collection.strip(".") or not all(map(_has_no_text, requests)):  # a name of dots would lead out of its path
        return client
    if client.init_options.get("prefer_grpc"):
        return remote
    api = remote.http.client
    http = getattr(api, "_client", None) or getattr(api, "_async_client", None)
    if http is None or http.params or vars(remote.http.search_api).keys() & set(_METHODS):
        return client
    return _Rest(api, http)


def _is_as_made(object: Any) -> bool:
    """Whether a client's methods are those that qdrant-client gave it."""
    kind, own = type(object), vars(object)
    for name in _METHODS:
        method = vars(kind)[name]
        is_function = type(method) is FunctionType and method.__module__.startswith("qdrant_client.")
        if name in own or not is_function or hasattr(method, "__wrapped__"):
            return False
    return True


def _has_no_text(request: models.QueryRequest | models.Prefetch) -> bool:
    """Whether nothing in a request is embedded by the client or the server: it compares numbers."""
    query, inner = request.query, request.prefetch
    if isinstance(query, models.NearestQuery):
        if not isinstance(query.nearest, list | models.SparseVector):
            return False
    elif query is not None and not isinstance(query, _WITHOUT_TEXT):
        return False
    return inner is None or (isinstance(inner, list) and all(map(_has_no_text, inner)))


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
    schema: Schema | None = step.schema
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
    schema: Schema | None = step.schema
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
            f"the collection {schema.collection!r} has changed since its schema was read (an alias moved, or it is a new one), "
            "so that its scores may be distances where they were similarities: refresh() reads the schema again"
        ]
    )
