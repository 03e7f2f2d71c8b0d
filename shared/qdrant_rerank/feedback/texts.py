"""Whether the reranker reads the same of a point as when the coefficients were fitted.

Its scores of other texts, such as titles left out or metadata added, are other scores, for which the coefficients mean nothing.
Sources that are written differently may read the same of a collection, so that a few of its points decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..payload import TextSource
from ..query import SearchOptions, Target
from ..rerank import Rerank
from ..sampling import random_points
from ..steps import Flow, Search

if TYPE_CHECKING:
    from ..strategies import Strategy

__all__ = ["LOOKED_AT", "looked", "text_doubt", "text_problem"]

LOOKED_AT: Final = 20
"""How many random points are looked at."""


def looked(strategy: Strategy, target: Target, options: SearchOptions) -> Flow[Target]:
    """`target`, with some points' payloads where only these can tell; no step where they are known, or nothing is in doubt."""
    from .strategy import RelevanceFeedback  # which asks this module for problems

    while isinstance(strategy, Rerank) and strategy.candidate is not None:
        strategy = strategy.candidate
    if not isinstance(strategy, RelevanceFeedback) or strategy.trust or target.quirks.payloads or target.schema.points == 0:
        return target
    fitted = strategy.weights.provenance
    if fitted is None or fitted.text is None or not fitted.text.is_known or _is_same(fitted.text, target) is not None:
        return target
    request = random_points(LOOKED_AT, True, options.filter, target.schema)
    [points] = yield from Search([request.model_copy(update={"shard_key": options.shard_key_selector})])
    target.quirks.payloads = tuple(point.payload or {} for point in points)
    return target


def text_problem(fitted: TextSource | None, target: Target) -> str:
    """What to say if the model certainly reads other texts than when the coefficients were fitted; "" if it doesn't.

    Args:
        fitted: what it read then; None if that isn't known.
        target: what it is to read now.
    """
    if fitted is None or _is_same(fitted, target) is not False:
        return ""
    here, payloads = target.payload.source, target.quirks.payloads
    other = sum(_differs(fitted, target, payload) for payload in payloads)
    return (
        f"the reranker reads other texts than these coefficients were fitted to: {here}, was {fitted} ({other} of "
        f"{len(payloads)} random points differ): have it read the same, with {fitted.remedy(here, payloads)}, or fit again, or "
        "use the coefficients nevertheless with trust=True"
    )


def text_doubt(fitted: TextSource | None, target: Target) -> str:
    """What to say if the model may read other texts than then, and nothing can tell; "" if something does."""
    if fitted is None or _is_same(fitted, target) is not None:
        return ""
    return (
        "the reranker may read other texts than these coefficients were fitted to: "
        f"{target.payload.source}, was {fitted}; whether that is the same can't be found out here: fit again to be sure"
    )


def _is_same(fitted: TextSource | None, target: Target) -> bool | None:
    """Whether the same is read; None if nothing tells. Without a model nothing is read."""
    if fitted is None or fitted == target.payload.source or target.fingerprints.reranker() is None:
        return True
    if not fitted.is_known or not target.quirks.payloads:
        return None
    return not any(_differs(fitted, target, payload) for payload in target.quirks.payloads)


def _differs(fitted: TextSource, target: Target, payload: Mapping[str, Any]) -> bool:
    return fitted.read(payload).strip() != target.payload.content(payload).text.strip()
