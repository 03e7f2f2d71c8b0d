"""Ranked points: notes on them, their order where scores tie, groups of them, and the part of a payload that a call wants.

Groups are made here where Qdrant's own would be wrong: it fetches those that are missing after a first search by further
searches that leave out what was found. Ranks begin at 1 in each. Where ranks make scores (fusion, and formulas over one), a
later round then scores its points as if they came first, and MMR chooses as if nothing were chosen. So the whole ranking is
fetched once, and dealt out: groups in the order of their best hits, each with its best hits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import Field
from qdrant_client import models

from .errors import Lint, warn
from .expressions.view import group_keys

if TYPE_CHECKING:
    from .query import SearchOptions
    from .steps import Points


class RankedPoint(models.ScoredPoint):
    """A point with notes on how it came to its rank.

    Attributes:
        notes: plain values by name, which retrievers put into the metadata of documents and nodes: `retrieval_score`,
            `relevance_score`, `not_reranked`, …
    """

    notes: dict[str, Any] = Field(default_factory=dict)


def notes_of(point: models.ScoredPoint) -> Mapping[str, Any]:
    """A point's notes; none for points that only Qdrant ranked."""
    return point.notes if isinstance(point, RankedPoint) else {}


def annotate(point: models.ScoredPoint, score: float | None = None, **notes: Any) -> RankedPoint:
    """The point with another score (None: its own) and with further notes; the point itself stays as it is."""
    values = {name: getattr(point, name) for name in models.ScoredPoint.model_fields}
    if score is not None:
        values["score"] = score
    return RankedPoint.model_construct(**values, notes={**notes_of(point), **notes})


def turn_around(points: Points) -> Points:
    """Copies of points that a search scored by distance, scored by minus that, so that higher is better."""
    return [annotate(point, 0.0 - point.score) for point in points]  # no -0.0


_PARTS: Final = re.compile(r'"([^"]+)"|(\[\d*\])|([^.\[\]"]+)')
_ALL: Final = "[]", "in a list"  # every element; Qdrant takes nothing by `[2]`, of which no element is called

Path: TypeAlias = "tuple[str | tuple[str, str], ...]"


def select_payload(payload: Mapping[str, Any] | None, selector: models.WithPayloadInterface) -> dict[str, Any] | None:
    """What a query with `with_payload=selector` returns of a whole payload, which isn't changed."""
    if selector is False or selector is None:
        return None
    if selector is True or payload is None:
        return None if payload is None else dict(payload)
    found: dict[str, Any]
    if isinstance(selector, models.PayloadSelectorExclude):
        found = _leave_out(payload, list(map(_path, selector.exclude)))
    else:
        keys = selector.include if isinstance(selector, models.PayloadSelectorInclude) else selector
        found = _select_parts(payload, list(map(_path, keys)))
    return found


def root_keys(keys: Sequence[str]) -> bool | list[str]:
    """What to ask of the payload to read these keys: root keys; all of it where a key is quoted."""
    if any('"' in key for key in keys):
        return True
    return list(dict.fromkeys(key.partition(".")[0].partition("[")[0] for key in keys))


def with_keys(selector: models.WithPayloadInterface, keys: Sequence[str]) -> models.WithPayloadInterface:
    """What to fetch of the payload to have what `selector` asks for and to read these keys."""
    roots = root_keys(keys)
    match selector:
        case models.PayloadSelectorInclude(include=asked) | list(asked):
            return True if isinstance(roots, bool) else [*dict.fromkeys([*asked, *roots])]
        case False:
            return roots or False
        case _:
            return True


def _path(key: str) -> Path:
    """The steps to a value: names, and what stands in brackets."""
    return tuple((bracket, _ALL[1]) if bracket else quoted or plain for quoted, bracket, plain in _PARTS.findall(key))


def _below(paths: Sequence[Path], step: str | tuple[str, str]) -> list[Path]:
    """The rest of the paths that lead through `step`."""
    return [path[1:] for path in paths if path and path[0] == step]


def _select_parts(value: Any, paths: Sequence[Path]) -> Any:
    """What the paths lead to; where one leads on through a value that has no parts, that value."""
    if isinstance(value, list):
        rest = _below(paths, _ALL)
        return [_take(item, rest) for item in value] if rest else []
    if isinstance(value, Mapping):
        below = {key: _below(paths, key) for key in value}
        return {key: _take(value[key], rest) for key, rest in below.items() if rest}
    return value


def _take(value: Any, rest: Sequence[Path]) -> Any:
    return value if () in rest else _select_parts(value, rest)


def _leave_out(value: Any, paths: Sequence[Path]) -> Any:
    if isinstance(value, list):
        rest = _below(paths, _ALL)
        return [] if () in rest else [_leave_out(item, rest) for item in value]
    if isinstance(value, Mapping):
        below = {key: _below(paths, key) for key in value}
        return {key: _leave_out(value[key], rest) for key, rest in below.items() if () not in rest}
    return value


SPARE: Final = 32
"""How many more points are fetched, so that those that tie with the last one are among them."""


def widen(options: SearchOptions) -> SearchOptions:
    """The options of the search whose points `settle` cuts, for a call that wants stable ties."""
    return replace(options, limit=options.reach + _spare(options), offset=None, stable_ties=False, page=options.needed)


def _spare(options: SearchOptions) -> int:
    """How many more points are fetched: fewer where strict mode allows no more."""
    return SPARE if options.most is None else max(0, min(SPARE, options.most - options.reach))


def settle(points: Points, options: SearchOptions) -> Points:
    """The points of a widened search, equal scores by id (numbers before UUIDs), cut to what the options ask for.

    Warns if more points tie with the last than were fetched, as it is then open which of them are returned.
    """
    cut, spare = options.reach, _spare(options)
    if len(points) == cut + spare and points[cut - 1].score == points[-1].score:
        message = f"more than {spare} points have the same score as the last result: it is open which of them are returned"
        if not spare:
            message = "strict mode allows no points beyond the call's: of those that tie with the last, it is open which come"
        warn(message)
    ordered = [point for _, ties in groupby(points, key=attrgetter("score")) for point in sorted(ties, key=by_id)]
    return ordered[options.offset or 0 : cut]


def by_id(point: Any) -> tuple[bool, Any]:
    """What points of equal score are ordered by: numbers before UUIDs."""
    return isinstance(point.id, str), point.id


def group(points: Points, options: SearchOptions, complete: bool) -> Points:
    """The hits of each group, best group first, with what the call wants of the payload; warns where groups may lack some.

    The ranking has the key's payload; `complete` says whether it holds all points that there are.
    """
    assert options.group_by is not None
    groups: dict[Any, Points] = {}
    for point in points:
        for key in group_keys(point.payload or {}, options.group_by):
            hits = groups.setdefault(key, [])
            if len(hits) < options.group_size:
                hits.append(point)
    best = list(groups.values())[: options.limit]
    if not complete:
        _warn_of_gaps(best, options, len(points))
    return trim([hit for hits in best for hit in hits], options)


def _warn_of_gaps(groups: Sequence[Points], options: SearchOptions, ranked: int) -> None:
    short = sum(len(hits) < options.group_size for hits in groups)
    if len(groups) < options.limit:
        gap = f"there are only {len(groups)} of {options.limit} groups by {options.group_by!r}"
    elif short:
        gap = f"{short} of {len(groups)} groups by {options.group_by!r} have fewer than {options.group_size} hits"
    else:
        return
    warn(Lint("groups-short", f"{gap} among the {ranked} points ranked: if there may be more, raise the candidates' limits"))


def trim(points: Points, options: SearchOptions) -> Points:
    """The points with what the call wants of the payload, of which all came along."""
    if options.with_payload is True:
        return points
    return [point.model_copy(update={"payload": select_payload(point.payload, options.with_payload)}) for point in points]
