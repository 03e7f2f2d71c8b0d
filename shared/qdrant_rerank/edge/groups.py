"""Group queries, which the engine doesn't have.

A group query finds `limit` groups in the order of their best hits, each with its best `group_size` hits or as many as it
has. A point with several values under the key is in several groups; one without, or with a value that is neither text nor a
whole number, is in none. As on a server, candidates' limits are for one hit of each group, so that they are multiplied by
`group_size`, and points without the key are no candidates.

A search is asked for more of its ranking until there are enough groups and each is full. Candidates are searched again in each
round, as on a server: without the points found, first without the groups that are full, then in the others alone. That
needs scores that are a point's own: a fusion's ranks would start afresh in each round, and MMR chooses among all that it
sees, so that these are asked once, and hold the groups of their candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final

from qdrant_client import models
from qdrant_client.local.payload_value_extractor import value_by_key

from .translate_query import LIMIT, prefetches_of

_GROWTH: Final = 4
_ROUNDS: Final = 5  # as on a server, which then asks for the points of groups that are short, and stops after as many again

Ask = Callable[[models.QueryRequest], list[models.ScoredPoint]]
Groups = dict[Any, list[models.ScoredPoint]]


def group_hits(
    ask: Ask, request: models.QueryRequest, group_by: str, limit: int, group_size: int, is_distance: bool = False
) -> Groups:
    """The hits of each group, best group first; the hits' payload holds the key alone.

    `ask` runs a query. The limit and payload of `request`, whose ranking is grouped, are ignored.
    """
    wide = _widen(request, group_by, limit, group_size)
    found = _Found(group_by, limit, group_size, is_distance)
    bound = _candidates(wide)
    if bound is None:
        _search(ask, wide, found)
    elif _are_own(wide):
        _ask_in_rounds(ask, wide, found)
    else:
        found.replace(ask(_with_limit(wide, bound)))
    return found.best()


def _search(ask: Ask, request: models.QueryRequest, found: _Found) -> None:
    """Ask for more and more of a ranking until there are enough groups, then for the points of those that aren't full."""
    size = found.limit * found.group_size
    while True:
        points = ask(_with_limit(request, size))
        found.replace(points)
        if len(points) < size:
            return
        if len(found.groups) >= found.limit:
            break
        size *= _GROWTH
    _fill(ask, request, found)


def _ask_in_rounds(ask: Ask, request: models.QueryRequest, found: _Found) -> None:
    """Ask for points that aren't there yet, of groups that aren't full; after some rounds, of the best groups alone."""
    size = found.limit * found.group_size
    for number in count():  # pragma: no branch  # it returns, and never comes to an end
        if found.is_complete():
            return
        there = [models.HasIdCondition.model_construct(has_id=list(found.ids))] if found.ids else None
        left = _and(request, must_not=there)
        if number < _ROUNDS or len(found.groups) < found.limit:
            full = found.full()
            left = _and(left, must=[_any_other(found.group_by, full)]) if full else left
        else:
            left = _and(left, must=[_any_of(found.group_by, found.short())])
        points = ask(_with_limit(left, size))
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
        points = ask(_with_limit(_and(request, must=[_any_of(found.group_by, short)]), size))
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


def _any_other(group_by: str, keys: Sequence[Any]) -> models.Filter:
    """Points that are in none of these groups, or in another one, too."""
    others: list[Any] = [
        models.FieldCondition(key=group_by, match=models.MatchExcept(**{"except": some})) for some in _by_kind(keys)
    ]
    return models.Filter(should=[models.Filter(must_not=[_any_of(group_by, keys)]), models.Filter(must=others)])


def _any_of(group_by: str, keys: Sequence[Any]) -> models.Filter:
    return models.Filter(
        should=[models.FieldCondition(key=group_by, match=models.MatchAny(any=some)) for some in _by_kind(keys)]
    )


def _by_kind(keys: Sequence[Any]) -> list[list[Any]]:
    return [some for kind in (str, int) if (some := [key for key in keys if isinstance(key, kind)])]


def _widen(request: models.QueryRequest, group_by: str, limit: int, group_size: int) -> models.QueryRequest:
    """The request over points that have the key, with candidates enough for each group."""
    absent = models.IsEmptyCondition(is_empty=models.PayloadField(key=group_by))
    query = request.query
    if isinstance(query, models.NearestQuery) and query.mmr is not None and query.mmr.candidates_limit is None:
        mmr = models.Mmr(diversity=query.mmr.diversity, candidates_limit=limit * group_size)
        query = models.NearestQuery.model_construct(nearest=query.nearest, mmr=mmr)
    prefetch = [_multiply_limits(one, group_size) for one in prefetches_of(request)]
    wide = request.model_copy(update={"query": query, "prefetch": prefetch, "with_payload": [group_by], "with_vector": False})
    return _and(wide, must_not=[absent])


def _multiply_limits(prefetch: models.Prefetch, factor: int) -> models.Prefetch:
    inner = [_multiply_limits(one, factor) for one in prefetches_of(prefetch)]
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


def _with_limit(request: models.QueryRequest, limit: int) -> models.QueryRequest:
    return request.model_copy(update={"limit": limit})


def _and(request: models.QueryRequest, **clauses: Any) -> models.QueryRequest:
    """The request with a filter beside its own."""
    own = [] if request.filter is None else [request.filter]
    merged = models.Filter.model_construct(must=[*own, *clauses.get("must", [])], must_not=clauses.get("must_not"))
    return request.model_copy(update={"filter": merged})
