"""The client's queries, and its other ways to read points."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import qdrant_edge as engine
from pydantic import BaseModel
from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is another, of its fastembed mixin

from .arguments import check_extras, check_unknown
from .binding import made
from .groups import grouped
from .ids import stored_id, wire_id
from .points import record, scored
from .shards import Shard
from .translate_filter import filter_of
from .translate_query import order_by as order_of
from .translate_query import request_of, selected, whole
from .writing import Writing

__all__ = ["Reading"]


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
        with shard.held("groups of"):  # the points may not change between the queries
            groups = grouped(lambda sized: _found(shard, sized), request, group_by, limit, group_size, lower)
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
        asked = [stored_id(one) for one in ids]
        with made("qdrant-edge refused what to retrieve"):
            found = self._shard(collection_name).retrieve(asked, selected(with_payload), with_vectors or False)
        return [record(one) for one in found]

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
        with made("qdrant-edge refused what to scroll through"):
            asked = engine.ScrollRequest(
                offset=None if offset is None else stored_id(offset),
                limit=whole(limit, "limit", 1),
                filter=filter_of(scroll_filter),
                with_payload=selected(with_payload),
                with_vector=with_vectors or False,
                order_by=None if order_by is None else order_of(order_by),
            )
        with self._shard(collection_name).held("scrolling") as shard:
            found, following = shard.scroll(asked)
        return [record(one) for one in found], None if following is None else wire_id(following)

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
        with self._shard(collection_name).held("counting") as shard:
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
        with made(f"qdrant-edge refused a facet of {key!r}"):
            asked = engine.FacetRequest(key, whole(limit, "limit", 1), exact, filter_of(facet_filter))
        with self._shard(collection_name).held("a facet of") as shard:
            hits: Any = shard.facet(asked)
        return models.FacetResponse(hits=[models.FacetValueHit(value=_value(hit.value), count=hit.count) for hit in hits])


def _found(shard: Shard, request: models.QueryRequest) -> list[models.ScoredPoint]:
    with shard.held("a query of"):
        return [scored(point, request.with_vector) for point in shard.query(request_of(request, shard))]


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
    ids = list({hit.id: stored_id(hit.id) for hit in hits}.values())
    found = {one.id: record(one) for one in shard.retrieve(ids, selected(with_payload), with_vectors or False)}
    by_id = {one.id: one for one in found.values()}
    for hit in hits:
        hit.payload, hit.vector = by_id[hit.id].payload, by_id[hit.id].vector
