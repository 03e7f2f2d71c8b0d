"""Fusion computed here as Qdrant computes it, from the legs' results: to explain fused scores.

Reciprocal rank fusion after Cormack, Clarke and Büttcher (SIGIR 2009), in Qdrant's form; distribution-based score
fusion in Qdrant's form: scores scaled so that the mean ± 3 standard deviations becomes 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stages import Fusion
from .steps import Points

__all__ = ["DEFAULT_RRF_K", "fused_terms"]

DEFAULT_RRF_K = 2


def fused_terms(fusion: Fusion, points: Points, legs: Sequence[Points]) -> list[NDArray[np.float64]]:
    """What each leg adds to the fused score of each point: one array of shape (n points,) for each leg."""
    shares = [_dbsf(leg) for leg in legs] if fusion.method == "dbsf" else _rrf(fusion, legs)
    return [np.array([share.get(point.id, 0.0) for point in points]) for share in shares]


def _rrf(fusion: Fusion, legs: Sequence[Points]) -> list[dict[Any, float]]:
    k = DEFAULT_RRF_K if fusion.k is None else fusion.k
    weights = fusion.weights or (1.0,) * len(legs)
    return [
        {point.id: 1.0 / (rank / weight + k - 1) for rank, point in enumerate(leg, 1)}
        for leg, weight in zip(legs, weights, strict=True)
    ]


def _dbsf(leg: Points) -> dict[Any, float]:
    scores = np.array([point.score for point in leg])
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    if deviation == 0.0:
        return {point.id: 0.5 for point in leg}
    low = float(scores.mean()) - 3 * deviation
    return {point.id: (point.score - low) / (6 * deviation) for point in leg}
