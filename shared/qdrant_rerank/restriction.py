"""A filter that no call can leave out, such as a tenant's: AND-ed with every request of an executor, whatever asks for it."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

from .query import both, sealed
from .steps import Request

__all__ = ["restrict"]


def restrict(request: Request, only: models.Filter | None, everywhere: bool) -> Request:
    """`request`, of which no search finds points that don't meet `only`; a copy, unless it is None.

    Args:
        request: of any kind.
        only: what every point has to meet.
        everywhere: whether to say so at every search of the request; an engine that hands the root's filter on needs it there.
    """
    if only is None:
        return request
    update: dict[str, Any] = {"filter": sealed(both(request.filter, only))}
    if everywhere and request.prefetch:
        update["prefetch"] = [_restrict_prefetch(each, only) for each in _listed(request.prefetch)]
    return request.model_copy(update=update)


def _restrict_prefetch(prefetch: models.Prefetch, only: models.Filter) -> models.Prefetch:
    inner = [_restrict_prefetch(each, only) for each in _listed(prefetch.prefetch)] or None
    return prefetch.model_copy(update={"filter": sealed(both(prefetch.filter, only)), "prefetch": inner})


def _listed(prefetch: Any) -> list[models.Prefetch]:
    return prefetch if isinstance(prefetch, list) else [] if prefetch is None else [prefetch]
