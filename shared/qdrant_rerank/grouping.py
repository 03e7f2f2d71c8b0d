"""Groups of a whole ranking, made here where Qdrant's own would be wrong.

Qdrant fetches the groups that are missing after a first search by further searches that leave out what was found. Ranks start
afresh in each, so that points of a later round get the scores of a first place where ranks make scores (fusion, and formulas
over one), or are chosen anew (MMR). So the whole ranking is fetched once, and dealt out: groups in the order of their best
hits, each with its best hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qdrant_client import models

from .brief import brief
from .errors import warn
from .expressions.paths import group_keys
from .lint import Lint
from .selecting import selected

if TYPE_CHECKING:
    from .query import SearchOptions
    from .steps import Points
    from .strategies import Stage

__all__ = ["group", "grouping_lint"]


def group(points: Points, options: SearchOptions, complete: bool) -> Points:
    """The hits of each group, best group first, with what the call wants of the payload; warns where groups may lack some.

    Args:
        points: the ranking, best first, with the key's payload.
        scope: says the key, how many groups, and how many hits of each.
        complete: whether the ranking holds all points that there are.
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
        _tell_of_gaps(best, options, len(points))
    return [_trimmed(hit, options) for hits in best for hit in hits]


def grouping_lint(root: Stage, options: SearchOptions) -> Lint:
    """That groups are made here, and of what."""
    return Lint(
        "grouped-here",
        f"groups by {options.group_by!r} are made here of the ranking of {brief(root)}, up to {root.whole(options.hits)} "
        "points: Qdrant's own group query would rank anew for each round of groups; candidates decide how many there can be",
    )


def _tell_of_gaps(groups: Sequence[Points], options: SearchOptions, ranked: int) -> None:
    short = sum(len(hits) < options.group_size for hits in groups)
    if len(groups) < options.limit:
        gap = f"there are only {len(groups)} of {options.limit} groups by {options.group_by!r}"
    elif short:
        gap = f"{short} of {len(groups)} groups by {options.group_by!r} have fewer than {options.group_size} hits"
    else:
        return
    warn(Lint("groups-short", f"{gap} among the {ranked} points ranked: if there may be more, raise the candidates' limits"))


def _trimmed(point: models.ScoredPoint, options: SearchOptions) -> models.ScoredPoint:
    if options.with_payload is True:
        return point
    return point.model_copy(update={"payload": selected(point.payload, options.with_payload)})
