"""From the seeds' scores to the second search's query, and an account of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from qdrant_client import models

from ..errors import ScoringError
from ..steps import QueryVector
from .coefficients import Coefficients
from .folding import Pair, folded, native_query, pairs_of, unit

if TYPE_CHECKING:
    from .strategy import RelevanceFeedback

__all__ = ["Seed", "Steering", "steering", "stored_vector", "unsteered_query"]


@dataclass(frozen=True)
class Seed:
    """One of the first search's best.

    Attributes:
        id: the point's.
        rank: in the first search, from 1.
        text: what the model reads; "" if it reads nothing.
        vector: as stored; None if the point has none.
        score: what the model gave; None if it wasn't asked.
    """

    id: models.ExtendedPointId
    rank: int
    text: str
    vector: list[float] | None
    score: float | None = None

    @property
    def counts(self) -> bool:
        """Whether it takes part in pairs."""
        return self.score is not None and self.vector is not None


@dataclass(frozen=True)
class Steering:
    """What the seeds' scores made of the query.

    Attributes:
        seeds: in the order of the first search.
        why_not: why the second search isn't steered; "" if it is.
        pairs: of the seeds in `used`, most confident first.
        query: what the second search asks; None if it isn't steered.
        scale: what its scores are to be multiplied by.
        cosine: how much the steered vector is like the query's, from -1 to 1 (1: no shift); None if it isn't known here.
    """

    seeds: tuple[Seed, ...]
    why_not: str = ""
    pairs: tuple[Pair, ...] = ()
    query: models.QueryInterface | None = None
    scale: float = 1.0
    cosine: float | None = None

    @property
    def to_score(self) -> list[Seed]:
        """The seeds that the model reads."""
        return [seed for seed in self.seeds if seed.text.strip()]

    @property
    def used(self) -> list[Seed]:
        """The seeds that pairs are made of; a pair's numbers are places in this list."""
        return [seed for seed in self.seeds if seed.counts]

    @cached_property
    def scores(self) -> Mapping[Any, float]:
        """Feedback scores by point id."""
        return {seed.id: seed.score for seed in self.seeds if seed.score is not None}


def stored_vector(point: models.ScoredPoint, name: str) -> list[float] | None:
    """A found point's dense vector of this name; None if it has none."""
    found: Any = point.vector
    if isinstance(found, dict):
        found = found.get(name)
    return found if isinstance(found, list) and found else None


def steering(
    strategy: RelevanceFeedback,
    seeds: Sequence[Seed],
    scores: Sequence[float],
    vector: QueryVector,
    distance: models.Distance | None,
) -> Steering:
    """What these scores, one for each seed with a text, make of the query's `vector`.

    Raises:
        ScoringError: the scores differ so much that the sum overflows.
    """
    given = iter(scores)
    scored = tuple(replace(seed, score=next(given)) if seed.text.strip() else seed for seed in seeds)
    made = Steering(scored)
    used = [seed for seed in made.used if seed.vector is not None and seed.score is not None]
    vectors = [seed.vector or [] for seed in used]
    with np.errstate(over="ignore", invalid="ignore"):
        # as Qdrant keeps them: what is equal there must be equal here, or with b = 0 a pair more would count
        numbers = [float(np.float32(seed.score or 0.0)) for seed in used]
        if len(set(numbers)) < 2:
            return replace(made, why_not="the model gave all seeds the same score")
        pairs = tuple(pairs_of(numbers, strategy.weights))
        if not np.isfinite([pair.weight for pair in pairs]).all():
            raise ScoringError(f"the seeds' scores differ by {pairs[0].confidence!r}, too much for b={strategy.weights.b!r}")
        made = replace(made, pairs=pairs)
        if not isinstance(vector, list):  # the server knows it
            return replace(made, query=native_query(vector, vectors, numbers, strategy.weights))
        query: Any = vector
        cosine = distance == models.Distance.COSINE
        summed = folded(query, vectors, numbers, strategy.weights, cosine)
    if not np.isfinite(summed.vector).all():
        raise ScoringError(f"the seeds' scores differ by {pairs[0].confidence!r}, too much for {strategy.weights!r}")
    if not any(summed.vector) and not strategy.native:
        return replace(made, why_not="nothing is left of the query's vector")
    like = float(unit(np.asarray(query)) @ unit(np.asarray(summed.vector)))
    if strategy.native:
        return replace(made, query=native_query(query, vectors, numbers, strategy.weights), cosine=like)
    plain = models.NearestQuery.model_construct(nearest=summed.vector, mmr=None)
    return replace(made, query=plain, scale=summed.scale, cosine=like)


def unsteered_query(strategy: RelevanceFeedback, vector: models.VectorInput) -> models.QueryInterface:
    """What the feedback candidate searches for where there is nothing to go by, with scores of the same kind as otherwise.

    Qdrant's own query scores by minus the distance, a nearest search by the distance itself, which a formula above the
    candidate
    would take for a likeness. One example makes no pair, so that only the query counts.
    """
    if not strategy.native:
        return models.NearestQuery.model_construct(nearest=vector, mmr=None)
    return native_query(vector, [vector], [0.0], Coefficients(strategy.weights.a or 1.0, 0.0, 0.0))
