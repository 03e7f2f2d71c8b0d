"""What the candidates found for each topic, kept in memory: all that strategies are recomputed from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from qdrant_client import models

from ..evaluate import Topic
from ..planning import VectorInfo
from ..stages import Nearest, Stage

__all__ = ["Hit", "Pool", "Spread", "key_of", "leaf_depths", "spreads"]


class Hit(NamedTuple):
    """A point that a stage found; the score is Qdrant's, so for Euclid and Manhattan it is a distance."""

    id: models.ExtendedPointId
    score: float


@dataclass(frozen=True)
class Pool:
    """What the candidates found for one topic.

    Attributes:
        topic: the topic.
        now: what `now()` means for it.
        candidates: by `key_of` the candidate, its points, best first.
        documents: point id → document id.
        payloads: point id → payload, as far as something reads it.
        tokens: how many token vectors the query has, by multivector.
    """

    topic: Topic
    now: dt.datetime
    candidates: Mapping[str, Sequence[Hit]]
    documents: Mapping[models.ExtendedPointId, str]
    payloads: Mapping[models.ExtendedPointId, Mapping[str, Any]] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def places(self) -> dict[models.ExtendedPointId, int]:
        """Each point's place in the order of ids, which decides ties, as wherever results are measured."""
        ordered = sorted(self.documents, key=lambda id: (isinstance(id, str), id))
        return {point: place for place, point in enumerate(ordered)}

    def ranking(self, hits: Sequence[Hit], limit: int) -> list[str]:
        """The documents of the first `limit` points, each at its first place only."""
        return list(dict.fromkeys(self.documents[hit.id] for hit in hits[:limit]))


@dataclass(frozen=True)
class Spread:
    """How a candidate's scores lie, higher is better.

    Attributes:
        low: the score that a point which the candidate did not find may have had: the median over the topics of the lowest one
            found; 0 for a sparse candidate that ran out of points.
        deviation: the median over the topics of the scores' standard deviation.
    """

    low: float
    deviation: float


def key_of(leaf: Nearest) -> str:
    """The same text for plain searches that differ in depth and name only."""
    return repr(replace(leaf, limit=None, name=None))


def leaf_depths(stage: Stage, needed: int, *, root: bool = True) -> dict[str, tuple[Nearest, int]]:
    """The plain searches at the bottom of `stage`, by key, each with the depth that it hands on.

    Args:
        stage: a stage of plain searches, fusions and formulas.
        needed: how many points the stage above ranks, or the call asks for.
        root: whether it is the outermost.
    """
    if not stage.candidates:
        assert isinstance(stage, Nearest)
        return {key_of(stage): (stage, needed if root else stage.reach(needed))}
    found: dict[str, tuple[Nearest, int]] = {}
    inner = needed if root else stage.needs_points(needed)
    for candidate in stage.candidates:
        for key, (leaf, depth) in leaf_depths(candidate, inner, root=False).items():
            found[key] = leaf, max(depth, found[key][1] if key in found else 0)
    return found


def spreads(pools: Sequence[Pool], depths: Mapping[str, int], vectors: Mapping[str, VectorInfo]) -> dict[str, Spread]:
    """How the scores of each candidate lie over all topics, by the candidate's key. Judgments play no part in it.

    Args:
        pools: what was found.
        depths: how many points were asked of each candidate.
        vectors: what each candidate compares. Distances are turned around, so that higher is better.
    """
    found: dict[str, Spread] = {}
    for key, depth in depths.items():
        info = vectors[key]
        sign = -1.0 if info.is_distance else 1.0
        columns = [sign * np.array([hit.score for hit in pool.candidates[key]]) for pool in pools if pool.candidates[key]]
        if not columns:
            found[key] = Spread(0.0, 1.0)
            continue
        lowest = [0.0 if info.kind == "sparse" and len(column) < depth else float(column.min()) for column in columns]
        deviation = float(np.median([column.std() for column in columns]))
        found[key] = Spread(float(np.median(lowest)), deviation or 1.0)
    return found
