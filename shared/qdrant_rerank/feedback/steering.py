"""From the seeds' scores to the second search's query: pairs, and one vector that searches as all of them together.

For Cosine and Dot, `a·sim(q, x) + Σ c·conf^b·(sim(x⁺, x) - sim(x⁻, x))` is `sim(w, x)` with
`w = a·q + Σ c·conf^b·(x⁺ - x⁻)`, as both are linear in their first vector: one nearest search stands for the comparison of
each point with each seed of each pair. For Cosine all vectors are of length 1, and the score is `|w|·cos(w, x)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qdrant_client import models

from ..errors import ScoringError
from ..explain.results import Column, Pair, Seed, Steering
from ..steps import QueryVector
from .coefficients import Coefficients

__all__ = [
    "Folded",
    "fold",
    "native_query",
    "pairs_of",
    "similarities",
    "steer",
    "read_vector",
    "unit",
    "plain_query",
    "weights_of",
]


def read_vector(point: models.ScoredPoint, name: str) -> list[float] | None:
    """A found point's dense vector of this name; None if it has none."""
    found: Any = point.vector
    if isinstance(found, dict):
        found = found.get(name)
    return found if isinstance(found, list) and found else None


def steer(
    weights: Coefficients,
    native: bool,
    seeds: Sequence[Seed],
    scores: Sequence[float],
    vector: QueryVector,
    distance: models.Distance | None,
) -> Steering:
    """The query's `vector`, steered by these scores, one for each seed with a text.

    Raises:
        ScoringError: the scores differ so much that the sum overflows.
    """
    given = iter(scores)
    scored = tuple(replace(seed, score=next(given)) if seed.text.strip() else seed for seed in seeds)
    made = Steering(scored)
    used = [seed for seed in made.used if seed.vector is not None and seed.score is not None]
    vectors = [seed.vector or [] for seed in used]
    with np.errstate(over="ignore", invalid="ignore"):
        # 32-bit, as Qdrant keeps them: scores equal there must be equal here, or with b = 0 a pair more would count
        numbers = [float(np.float32(seed.score or 0.0)) for seed in used]
        if len(set(numbers)) < 2:
            return replace(made, why_not="the model gave all seeds the same score")
        pairs = tuple(pairs_of(numbers, weights))
        if not np.isfinite([pair.weight for pair in pairs]).all():
            raise ScoringError(f"the seeds' scores differ by {pairs[0].confidence!r}, too much for b={weights.b!r}")
        made = replace(made, pairs=pairs)
        if not isinstance(vector, list):  # the server knows it
            return replace(made, query=native_query(vector, vectors, numbers, weights))
        query: Any = vector
        cosine = distance == models.Distance.COSINE
        summed = fold(query, vectors, numbers, weights, cosine)
    if not np.isfinite(summed.vector).all():
        raise ScoringError(f"the seeds' scores differ by {pairs[0].confidence!r}, too much for {weights!r}")
    if not any(summed.vector) and not native:
        return replace(made, why_not="nothing is left of the query's vector")
    like = float(unit(np.asarray(query)) @ unit(np.asarray(summed.vector)))
    if native:
        return replace(made, query=native_query(query, vectors, numbers, weights), cosine=like)
    plain = models.NearestQuery.model_construct(nearest=summed.vector, mmr=None)
    return replace(made, query=plain, scale=summed.scale, cosine=like)


def plain_query(weights: Coefficients, native: bool, vector: models.VectorInput) -> models.QueryInterface:
    """The unsteered query of the feedback candidate, with scores of the same kind as the steered one's.

    Qdrant's own query scores by minus the distance, a nearest search by the distance itself, which a formula above the
    candidate would take for a likeness. One example makes no pair, so that only the query counts.
    """
    if not native:
        return models.NearestQuery.model_construct(nearest=vector, mmr=None)
    return native_query(vector, [vector], [0.0], Coefficients(weights.a or 1.0, 0.0, 0.0))


@dataclass(frozen=True)
class Folded:
    """The vector to search by, and the factor from its similarities to the formula's scores."""

    vector: list[float]
    scale: float


def pairs_of(scores: Sequence[float], coefficients: Coefficients) -> list[Pair]:
    """All pairs of seeds whose scores differ, most confident first."""
    found = [
        Pair(better, worse, high - low, float(coefficients.c * np.float64(high - low) ** coefficients.b))
        for better, high in enumerate(scores)
        for worse, low in enumerate(scores)
        if high > low
    ]
    return sorted(found, key=lambda pair: -pair.confidence)


def weights_of(scores: Column, b: float) -> Column:
    """How often the pairs add each seed's vector, for c = 1: `Σ_j conf_ij^b - Σ_j conf_ji^b` for seed i.

    Args:
        scores: shape (..., n).
        b: the exponent.

    Returns:
        Shape (..., n); each row sums to 0.
    """
    difference = scores[..., :, None] - scores[..., None, :]
    confidence = np.where(difference > 0, np.abs(difference), 1.0) ** b * (difference > 0)
    weights: Column = confidence.sum(axis=-1) - confidence.sum(axis=-2)
    return weights


def fold(
    query: Sequence[float], seeds: Sequence[Sequence[float]], scores: Sequence[float], coefficients: Coefficients, cosine: bool
) -> Folded:
    """The query's vector, shifted towards seeds with high scores and away from those with low ones.

    Args:
        query: of d numbers.
        seeds: n stored vectors of d numbers, at least one.
        scores: the n feedback scores.
        coefficients: a, b, c.
        cosine: whether vectors are compared by their cosine; else by their dot product.

    Returns:
        For Cosine a vector of length 1 (all zeros if nothing is left), else the vector itself with scale 1.
    """
    target, examples = np.asarray(query, np.float64), np.asarray(seeds, np.float64).reshape(len(scores), -1)
    if cosine:
        target, examples = unit(target), unit(examples)
    weights = weights_of(np.asarray(scores, np.float64), coefficients.b)
    shifted = coefficients.a * target + coefficients.c * (weights @ examples)
    if not cosine:
        return Folded(shifted.tolist(), 1.0)
    return Folded(unit(shifted).tolist(), float(np.linalg.norm(shifted)))


def similarities(first: Column, second: Column, distance: models.Distance | None) -> Column:
    """How alike each row of `first` is to each of `second`, in the formula's terms, shapes (m, d) and (n, d) → (m, n).

    For Manhattan that is minus the distance, for Euclid minus its square: the engine takes the root only of what it returns.
    """
    found: Column
    match distance:
        case models.Distance.EUCLID:
            found = -np.square(first[:, None] - second[None]).sum(axis=-1)
        case models.Distance.MANHATTAN:
            found = -np.abs(first[:, None] - second[None]).sum(axis=-1)
        case models.Distance.COSINE:
            found = unit(first) @ unit(second).T
        case _:
            found = first @ second.T
    return found


def unit(vectors: Column) -> Column:
    """Vectors of length 1 along the last axis; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Column = vectors / np.where(lengths == 0, 1.0, lengths)
    return scaled


def native_query(
    query: models.VectorInput, seeds: Sequence[models.VectorInput], scores: Sequence[float], coefficients: Coefficients
) -> models.RelevanceFeedbackQuery:
    """Qdrant's own query, for servers since 1.17, with the seeds' vectors: an id deleted meanwhile would fail it."""
    items = [models.FeedbackItem(example=seed, score=score) for seed, score in zip(seeds, scores, strict=True)]
    naive = models.NaiveFeedbackStrategyParams(a=coefficients.a, b=coefficients.b, c=coefficients.c)
    given = models.RelevanceFeedbackInput(target=query, feedback=items, strategy=models.NaiveFeedbackStrategy(naive=naive))
    return models.RelevanceFeedbackQuery(relevance_feedback=given)
