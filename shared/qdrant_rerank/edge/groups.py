"""Group queries, which the engine doesn't have: a ranking is fetched until it holds enough groups, and dealt out.

What a group query means: the groups in the order of their best hits, `limit` of them, each with its best `group_size`
hits or as many as it has. A point with several values under the key is in several groups; one without, or with a value
that is neither text nor a whole number, is in none. As on a server, candidates' limits are for one hit of each group,
so they are multiplied by `group_size`, and points without the key are no candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from qdrant_client import models

from ..expressions.paths import reader
from .translate_query import LIMIT, prefetches_of

__all__ = ["grouped"]

_GROWTH: Final = 4

Ask = Callable[[models.QueryRequest], list[models.ScoredPoint]]
Groups = dict[Any, list[models.ScoredPoint]]


def grouped(ask: Ask, request: models.QueryRequest, group_by: str, limit: int, group_size: int) -> Groups:
    """The hits of each group, best group first; the hits' payload holds the key alone.

    Args:
        ask: runs a query.
        request: the query whose ranking is grouped; its limit and payload are ignored.
        group_by: a payload key.
        limit: how many groups.
        group_size: how many hits of each.
    """
    wide = _widened(request, group_by, limit, group_size)
    found = _Found(group_by, group_size)
    bound = _candidates(wide)
    size = limit * group_size if bound is None else bound
    points = ask(_sized(wide, size))
    found.add(points)
    while bound is None and len(points) == size and len(found.groups) < limit:
        size *= _GROWTH
        points = ask(_sized(wide, size))
        found.add(points)
    best = dict(list(found.groups.items())[:limit])
    if bound is None and len(points) == size:
        _fill(ask, wide, best, found)
    return best


class _Found:
    """Groups as they come out of rankings that start at the best point."""

    def __init__(self, group_by: str, group_size: int) -> None:
        self.group_by, self.group_size = group_by, group_size
        self.groups: Groups = {}

    def add(self, points: Sequence[models.ScoredPoint]) -> None:
        """Deal out a longer ranking of the same points, in place of what there was."""
        self.groups = {}
        for point in points:
            for key in _keys(point.payload or {}, self.group_by):
                hits = self.groups.setdefault(key, [])
                if len(hits) < self.group_size:
                    hits.append(point)


def _fill(ask: Ask, request: models.QueryRequest, best: Groups, found: _Found) -> None:
    """Complete groups that are short of hits, asking for their points alone."""
    size = len(best) * found.group_size
    while short := [key for key, hits in best.items() if len(hits) < found.group_size]:
        points = ask(_sized(_and(request, must=[_any_of(found.group_by, short)]), size))
        found.add(points)
        best |= {key: found.groups[key] for key in short if key in found.groups}
        if len(points) < size:
            return
        size *= _GROWTH


def _keys(payload: Mapping[str, Any], group_by: str) -> list[Any]:
    values = reader(group_by)(payload) or []
    if any(type(value) not in (int, str) for value in values):  # a bool is an int to isinstance
        return []
    return list(dict.fromkeys(values))


def _any_of(group_by: str, keys: Sequence[Any]) -> models.Filter:
    kinds: list[Any] = [[key for key in keys if isinstance(key, kind)] for kind in (str, int)]
    return models.Filter(
        should=[models.FieldCondition(key=group_by, match=models.MatchAny(any=some)) for some in kinds if some]
    )


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


def _limit_of(prefetch: models.Prefetch) -> int:
    return LIMIT if prefetch.limit is None else prefetch.limit


def _sized(request: models.QueryRequest, limit: int) -> models.QueryRequest:
    return request.model_copy(update={"limit": limit})


def _and(request: models.QueryRequest, **clauses: Any) -> models.QueryRequest:
    """The request with a filter beside its own."""
    own = [] if request.filter is None else [request.filter]
    merged = models.Filter.model_construct(must=[*own, *clauses.get("must", [])], must_not=clauses.get("must_not"))
    return request.model_copy(update={"filter": merged})
