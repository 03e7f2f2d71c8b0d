"""The client's queries and its other ways to read points; group queries, which the engine doesn't have.

What a group query means: the groups in the order of their best hits, `limit` of them, each with its best `group_size`
hits or as many as it has. A point with several values under the key is in several groups; one without, or with a value
that is neither text nor a whole number, is in none. As on a server, candidates' limits are for one hit of each group,
so they are multiplied by `group_size`, and points without the key are no candidates.

A search is asked for more of its ranking until there are enough groups and each is full. Candidates are found anew in each
round, as on a server: without the points that there are, first without the groups that are full, then in the others. That is
done where a point's score is its own: a fusion's ranks would start afresh in each round, and MMR's choice is among all that
it sees, so that these are asked once, and hold the groups of their candidates.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final

import qdrant_edge as engine
from pydantic import BaseModel
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is another, of its fastembed mixin
from qdrant_client.local.payload_value_extractor import value_by_key

from .binding import check_extras, check_unknown, describe_misfits
from .changes import to_record, to_scored_point
from .shards import Shard
from .translate_filter import filter_of
from .translate_query import LIMIT, payload_selector, prefetches_of, request_of, whole
from .translate_query import order_by as order_of
from .values import engine_id, wire_id
from .writing import Writing

__all__ = ["Reading", "group_hits"]

_GROWTH: Final = 4
_ROUNDS: Final = 5  # as on a server, which then asks for the points of groups that are short, and stops after as many again

Ask = Callable[[models.QueryRequest], list[models.ScoredPoint]]
Groups = dict[Any, list[models.ScoredPoint]]


def group_hits(
    ask: Ask, request: models.QueryRequest, group_by: str, limit: int, group_size: int, is_distance: bool = False
) -> Groups:
    """The hits of each group, best group first; the hits' payload holds the key alone.

    Args:
        ask: runs a query.
        request: the query whose ranking is grouped; its limit and payload are ignored.
        group_by: a payload key.
        limit: how many groups.
        group_size: how many hits of each.
        is_distance: whether lower scores are better.
    """
    wide = _widened(request, group_by, limit, group_size)
    found = _Found(group_by, limit, group_size, is_distance)
    bound = _candidates(wide)
    if bound is None:
        _search(ask, wide, found)
    elif _are_own(wide):
        _ask_in_rounds(ask, wide, found)
    else:
        found.replace(ask(_sized(wide, bound)))
    return found.best()


def _search(ask: Ask, request: models.QueryRequest, found: _Found) -> None:
    """Ask for more and more of a ranking until there are enough groups, then for the points of those that aren't full."""
    size = found.limit * found.group_size
    points = ask(_sized(request, size))
    found.replace(points)
    while len(points) == size and len(found.groups) < found.limit:
        size *= _GROWTH
        points = ask(_sized(request, size))
        found.replace(points)
    if len(points) == size:
        _fill(ask, request, found)


def _ask_in_rounds(ask: Ask, request: models.QueryRequest, found: _Found) -> None:
    """Ask for points that aren't there yet, of groups that aren't full; after some rounds, of the best groups alone."""
    size = found.limit * found.group_size
    for number in count():  # pragma: no branch  # it returns, and never comes to an end
        if found.is_complete():
            return
        left = _without(request, found.ids)
        if number < _ROUNDS or len(found.groups) < found.limit:
            full = found.full()
            left = _and(left, must=[_any_other(found.group_by, full)]) if full else left
        else:
            left = _and(left, must=[_any_of(found.group_by, found.short())])
        points = ask(_sized(left, size))
        if not points:
            return
        found.add(points)


class _Found:
    """Groups as they come out of rankings."""

    def __init__(self, group_by: str, limit: int, group_size: int, is_distance: bool) -> None:
        self.group_by, self.limit, self.group_size, self.is_distance = group_by, limit, group_size, is_distance
        self.groups: Groups = {}
        self.ids: dict[Any, None] = {}

    def replace(self, points: Sequence[models.ScoredPoint]) -> None:
        """Deal out a longer ranking of the same points, in place of what there was."""
        self.groups = {}
        self._deal(points)

    def add(self, points: Sequence[models.ScoredPoint]) -> None:
        """Deal out points that weren't there: hits, and with them groups, come in the order of their scores."""
        self._deal(points)
        for hits in self.groups.values():
            hits.sort(key=self._rank)  # stable: equal scores stay as they came
        self.groups = dict(sorted(self.groups.items(), key=lambda group: self._rank(group[1][0])))

    def best(self) -> Groups:
        """The groups that are asked for, with as many hits as are asked for."""
        return {key: hits[: self.group_size] for key, hits in list(self.groups.items())[: self.limit]}

    def full(self) -> list[Any]:
        """The groups with hits enough."""
        return [key for key, hits in self.groups.items() if len(hits) >= self.group_size]

    def short(self) -> list[Any]:
        """Those of the best groups that lack hits."""
        return [key for key, hits in self.best().items() if len(hits) < self.group_size]

    def is_complete(self) -> bool:
        """Whether there are enough groups, and the best are full."""
        return len(self.groups) >= self.limit and not self.short()

    def _deal(self, points: Sequence[models.ScoredPoint]) -> None:
        for point in points:
            self.ids[point.id] = None
            for key in _keys(point.payload or {}, self.group_by):
                self.groups.setdefault(key, []).append(point)

    def _rank(self, point: models.ScoredPoint) -> float:
        return point.score if self.is_distance else -point.score


def _fill(ask: Ask, request: models.QueryRequest, found: _Found) -> None:
    """Complete groups that are short of hits, asking for their points alone."""
    best = found.best()
    size = len(best) * found.group_size
    while short := [key for key, hits in best.items() if len(hits) < found.group_size]:
        points = ask(_sized(_and(request, must=[_any_of(found.group_by, short)]), size))
        found.replace(points)
        best |= {key: found.groups[key][: found.group_size] for key in short if key in found.groups}
        if len(points) < size:
            break
        size *= _GROWTH
    found.groups = best


def _keys(payload: Mapping[str, Any], group_by: str) -> list[Any]:
    values = value_by_key(dict(payload), group_by) or []
    if any(type(value) not in (int, str) for value in values):  # a bool is an int to isinstance
        return []
    return list(dict.fromkeys(values))


def _without(request: models.QueryRequest, ids: Iterable[Any]) -> models.QueryRequest:
    """The request for other points than these."""
    there: list[Any] = [models.HasIdCondition.model_construct(has_id=list(ids))]
    return _and(request, must_not=there) if there[0].has_id else request


def _any_other(group_by: str, keys: Sequence[Any]) -> models.Filter:
    """Points that are in none of these groups, or in another one, too."""
    others: list[Any] = [models.FieldCondition(key=group_by, match=_except(some)) for some in _by_kind(keys)]
    return models.Filter(should=[models.Filter(must_not=[_any_of(group_by, keys)]), models.Filter(must=others)])


def _except(keys: list[Any]) -> models.MatchExcept:
    return models.MatchExcept(**{"except": keys})


def _any_of(group_by: str, keys: Sequence[Any]) -> models.Filter:
    return models.Filter(
        should=[models.FieldCondition(key=group_by, match=models.MatchAny(any=some)) for some in _by_kind(keys)]
    )


def _by_kind(keys: Sequence[Any]) -> list[list[Any]]:
    return [some for kind in (str, int) if (some := [key for key in keys if isinstance(key, kind)])]


def _widened(request: models.QueryRequest, group_by: str, limit: int, group_size: int) -> models.QueryRequest:
    """The request over points that have the key, with candidates enough for each group."""
    absent = models.IsEmptyCondition(is_empty=models.PayloadField(key=group_by))
    query = request.query
    if isinstance(query, models.NearestQuery) and query.mmr is not None and query.mmr.candidates_limit is None:
        mmr = models.Mmr(diversity=query.mmr.diversity, candidates_limit=limit * group_size)
        query = models.NearestQuery.model_construct(nearest=query.nearest, mmr=mmr)
    prefetch = [_multiplied(one, group_size) for one in prefetches_of(request)]
    wide = request.model_copy(update={"query": query, "prefetch": prefetch, "with_payload": [group_by], "with_vector": False})
    return _and(wide, must_not=[absent])


def _multiplied(prefetch: models.Prefetch, factor: int) -> models.Prefetch:
    inner = [_multiplied(one, factor) for one in prefetches_of(prefetch)]
    return prefetch.model_copy(update={"limit": _limit_of(prefetch) * factor, "prefetch": inner})


def _candidates(request: models.QueryRequest) -> int | None:
    """How many points the query can rank at most; None if it is all of the collection."""
    if request.prefetch:
        return sum(_limit_of(one) for one in prefetches_of(request))
    if isinstance(request.query, models.NearestQuery) and request.query.mmr is not None:
        return request.query.mmr.candidates_limit
    return None


def _are_own(request: models.QueryRequest | models.Prefetch) -> bool:
    """Whether a point's score is its own, at every level of a request, whatever else is found."""
    query = request.query
    if isinstance(query, models.FusionQuery | models.RrfQuery | models.SampleQuery | models.OrderByQuery):
        return False
    if isinstance(query, models.NearestQuery) and query.mmr is not None:
        return False
    return all(map(_are_own, prefetches_of(request)))


def _limit_of(prefetch: models.Prefetch) -> int:
    return LIMIT if prefetch.limit is None else prefetch.limit


def _sized(request: models.QueryRequest, limit: int) -> models.QueryRequest:
    return request.model_copy(update={"limit": limit})


def _and(request: models.QueryRequest, **clauses: Any) -> models.QueryRequest:
    """The request with a filter beside its own."""
    own = [] if request.filter is None else [request.filter]
    merged = models.Filter.model_construct(must=[*own, *clauses.get("must", [])], must_not=clauses.get("must_not"))
    return request.model_copy(update={"filter": merged})


class Reading(Writing):
    """Queries one at a time, so that other threads, such as an event loop's, get their turn after each."""

    def query_points(
        self,
        collection_name: str,
        query: Any = None,
        using: str | None = None,
        prefetch: Any = None,
        query_filter: Any = None,
        search_params: Any = None,
        limit: int = 10,
        offset: int | None = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        score_threshold: float | None = None,
        lookup_from: Any = None,
        consistency: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> QueryResponse:
        """As `QdrantClient.query_points`.

        Raises:
            ClientError: it asks for what the engine can't do; names it.
            QueryError: the query is wrong in itself.
            EngineError: the engine refuses it, e.g. as a formula has no result for some candidate.
        """
        check_unknown("query_points", kwargs)
        check_extras(lookup_from=lookup_from, consistency=consistency, timeout=timeout)
        request = models.QueryRequest.model_construct(
            shard_key=shard_key_selector,
            query=query,
            using=using,
            prefetch=prefetch,
            filter=query_filter,
            params=search_params,
            limit=limit,
            offset=offset,
            with_payload=with_payload,
            with_vector=with_vectors,
            score_threshold=score_threshold,
        )
        return QueryResponse.model_construct(points=_found(self._shard(collection_name), request))

    def query_batch_points(
        self,
        collection_name: str,
        requests: Sequence[Any],
        consistency: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> list[QueryResponse]:
        """As `QdrantClient.query_batch_points`: no payload unless a request asks for it. As `query_points`."""
        check_unknown("query_batch_points", kwargs)
        check_extras(consistency=consistency, timeout=timeout)
        shard = self._shard(collection_name)
        return [QueryResponse.model_construct(points=_found(shard, request)) for request in requests]

    def query_points_groups(
        self,
        collection_name: str,
        group_by: str,
        query: Any = None,
        using: str | None = None,
        prefetch: Any = None,
        query_filter: Any = None,
        search_params: Any = None,
        limit: int = 10,
        group_size: int = 3,
        with_payload: Any = True,
        with_vectors: Any = False,
        score_threshold: float | None = None,
        with_lookup: Any = None,
        lookup_from: Any = None,
        consistency: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.GroupsResult:
        """As `QdrantClient.query_points_groups`, by several queries where one can't tell; see `groups`. As `query_points`."""
        check_unknown("query_points_groups", kwargs)
        check_extras(with_lookup=with_lookup, lookup_from=lookup_from, consistency=consistency, timeout=timeout)
        limit, group_size = whole(limit, "limit", 1), whole(group_size, "group_size", 1)
        request = models.QueryRequest.model_construct(
            shard_key=shard_key_selector,
            query=query,
            using=using,
            prefetch=prefetch,
            filter=query_filter,
            params=search_params,
            score_threshold=score_threshold,
        )
        shard = self._shard(collection_name)
        lower = _is_distance(shard, request)
        with shard.hold("groups of"):  # the points may not change between the queries
            groups = group_hits(lambda sized: _found(shard, sized), request, group_by, limit, group_size, lower)
            _complete(shard, [hit for hits in groups.values() for hit in hits], with_payload, with_vectors)
        return models.GroupsResult(
            groups=[models.PointGroup.model_construct(id=key, hits=hits) for key, hits in groups.items()]
        )

    def retrieve(
        self,
        collection_name: str,
        ids: Sequence[Any],
        with_payload: Any = True,
        with_vectors: Any = False,
        consistency: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> list[models.Record]:
        """As `QdrantClient.retrieve`: those points that there are, each once."""
        check_unknown("retrieve", kwargs)
        check_extras(consistency=consistency, shard_key_selector=shard_key_selector, timeout=timeout)
        asked = [engine_id(one) for one in ids]
        with describe_misfits("qdrant-edge refused what to retrieve"):
            found = self._shard(collection_name).retrieve(asked, payload_selector(with_payload), with_vectors or False)
        return [to_record(one) for one in found]

    def scroll(
        self,
        collection_name: str,
        scroll_filter: Any = None,
        limit: int = 10,
        order_by: Any = None,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        consistency: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> tuple[list[models.Record], Any]:
        """As `QdrantClient.scroll`; `order_by` needs a payload index on its key."""
        check_unknown("scroll", kwargs)
        check_extras(consistency=consistency, shard_key_selector=shard_key_selector, timeout=timeout)
        with describe_misfits("qdrant-edge refused what to scroll through"):
            asked = engine.ScrollRequest(
                offset=None if offset is None else engine_id(offset),
                limit=whole(limit, "limit", 1),
                filter=filter_of(scroll_filter),
                with_payload=payload_selector(with_payload),
                with_vector=with_vectors or False,
                order_by=None if order_by is None else order_of(order_by),
            )
        with self._shard(collection_name).hold("scrolling") as shard:
            found, following = shard.scroll(asked)
        return [to_record(one) for one in found], None if following is None else wire_id(following)

    def count(
        self,
        collection_name: str,
        count_filter: Any = None,
        exact: bool = True,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.CountResult:
        """As `QdrantClient.count`."""
        check_unknown("count", kwargs)
        check_extras(shard_key_selector=shard_key_selector, timeout=timeout)
        with self._shard(collection_name).hold("counting") as shard:
            return models.CountResult(count=shard.count(engine.CountRequest(exact, filter_of(count_filter))))

    def facet(
        self,
        collection_name: str,
        key: str,
        facet_filter: Any = None,
        limit: int = 10,
        exact: bool = False,
        consistency: Any = None,
        timeout: int | None = None,
        shard_key_selector: Any = None,
        **kwargs: Any,
    ) -> models.FacetResponse:
        """As `QdrantClient.facet`; needs a payload index on the key, of a type that is matched by values.

        Raises:
            EngineError: there is no such index; a ValueError, too.
        """
        check_unknown("facet", kwargs)
        check_extras(consistency=consistency, shard_key_selector=shard_key_selector, timeout=timeout)
        with describe_misfits(f"qdrant-edge refused a facet of {key!r}"):
            asked = engine.FacetRequest(key, whole(limit, "limit", 1), exact, filter_of(facet_filter))
        with self._shard(collection_name).hold("a facet of") as shard:
            hits: Any = shard.facet(asked)
        return models.FacetResponse(hits=[models.FacetValueHit(value=_value(hit.value), count=hit.count) for hit in hits])


def _found(shard: Shard, request: models.QueryRequest) -> list[models.ScoredPoint]:
    with shard.hold("a query of"):
        return [to_scored_point(point, request.with_vector) for point in shard.query(request_of(request, shard))]


def _value(value: Any) -> Any:
    return str(value) if isinstance(value, uuid.UUID) else value


def _is_distance(shard: Shard, request: models.QueryRequest) -> bool:
    """Whether lower scores are better: of a search by a vector that is compared by distance."""
    query = request.query
    if isinstance(query, models.RecommendQuery):
        by_vector = query.recommend.strategy in (None, models.RecommendStrategy.AVERAGE_VECTOR)
    else:
        by_vector = isinstance(query, models.NearestQuery) or (not isinstance(query, BaseModel) and query is not None)
    info = shard.vectors.get(request.using or "")
    return by_vector and info is not None and info.distance in (models.Distance.EUCLID, models.Distance.MANHATTAN)


def _complete(shard: Shard, hits: list[models.ScoredPoint], with_payload: Any, with_vectors: Any) -> None:
    """Give the hits the payload and vectors that were asked for."""
    ids = list({hit.id: engine_id(hit.id) for hit in hits}.values())
    found = {one.id: to_record(one) for one in shard.retrieve(ids, payload_selector(with_payload), with_vectors or False)}
    by_id = {one.id: one for one in found.values()}
    for hit in hits:
        hit.payload, hit.vector = by_id[hit.id].payload, by_id[hit.id].vector
