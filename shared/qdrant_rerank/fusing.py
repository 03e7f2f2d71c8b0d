"""Fusion computed here as Qdrant computes it, from the candidates' results: to explain fused scores.

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


def fused_terms(fusion: Fusion, points: Points, candidates: Sequence[Points]) -> list[NDArray[np.float64]]:
    """What each candidate adds to the fused score of each point: one array of shape (n points,) for each candidate."""
    terms = []
    for candidate, values in zip(candidates, shares(fusion, candidates), strict=True):
        by_id = {point.id: value for point, value in zip(candidate, values, strict=True)}
        terms.append(np.array([by_id.get(point.id, 0.0) for point in points]))
    return terms


def shares(fusion: Fusion, candidates: Sequence[Points]) -> list[list[float]]:
    """What each candidate adds to the fused score of each of its own points, in their order."""
    if fusion.method == "dbsf":
        return [_dbsf(candidate) for candidate in candidates]
    k = DEFAULT_RRF_K if fusion.k is None else fusion.k
    weights = fusion.weights or (1.0,) * len(candidates)
    return [
        [1.0 / (rank / weight + k - 1) for rank in range(1, len(candidate) + 1)]
        for candidate, weight in zip(candidates, weights, strict=True)
    ]


def _dbsf(candidate: Points) -> list[float]:
    scores = np.array([point.score for point in candidate])
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    if deviation == 0.0:
        return [0.5] * len(candidate)
    low = float(scores.mean()) - 3 * deviation
    return [(point.score - low) / (6 * deviation) for point in candidate]
