"""Fusion computed here as Qdrant computes it, from the legs' results: to explain fused scores.

Reciprocal rank fusion after Cormack, Clarke and Büttcher (SIGIR 2009), in Qdrant's form; distribution-based score
fusion in Qdrant's form: scores scaled so that the mean ± 3 standard deviations becomes 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .stages import Fusion
from .steps import Points

__all__ = ["DEFAULT_RRF_K", "fused_terms", "shares"]

DEFAULT_RRF_K = 2


def fused_terms(fusion: Fusion, points: Points, legs: Sequence[Points]) -> list[NDArray[np.float64]]:
    """What each leg adds to the fused score of each point: one array of shape (n points,) for each leg."""
    terms = []
    for leg, values in zip(legs, shares(fusion, legs), strict=True):
        by_id = {point.id: value for point, value in zip(leg, values, strict=True)}
        terms.append(np.array([by_id.get(point.id, 0.0) for point in points]))
    return terms


def shares(fusion: Fusion, legs: Sequence[Points]) -> list[list[float]]:
    """What each leg adds to the fused score of each of its own points, in their order."""
    if fusion.method == "dbsf":
        return [_dbsf(leg) for leg in legs]
    k = DEFAULT_RRF_K if fusion.k is None else fusion.k
    weights = fusion.weights or (1.0,) * len(legs)
    return [
        [1.0 / (rank / weight + k - 1) for rank in range(1, len(leg) + 1)] for leg, weight in zip(legs, weights, strict=True)
    ]


def _dbsf(leg: Points) -> list[float]:
    scores = np.array([point.score for point in leg])
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    if deviation == 0.0:
        return [0.5] * len(leg)
    low = float(scores.mean()) - 3 * deviation
    return [(point.score - low) / (6 * deviation) for point in leg]
