"""How good scores are on rows of a log: weighted, so that sampled negatives count for all that they stand for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .solving import Array

__all__ = ["auc", "brier", "mean_auc", "ndcg", "ndcg_of_one"]


def auc(scores: Array, y: Array, w: Array) -> float:
    """The probability that a relevant row scores above another one; ties count half."""
    values, ranks = np.unique(scores, return_inverse=True)
    positive = np.bincount(ranks, w * y, minlength=len(values))
    negative = np.bincount(ranks, w * (1 - y), minlength=len(values))
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / (positive.sum() * negative.sum()))


def mean_auc(scores: Array, y: Array, w: Array, groups: NDArray[np.int64]) -> float:
    """The mean over topics of `auc` within the topic; topics with rows of one class are left out. NaN if all are."""
    found = []
    for group in np.unique(groups):
        rows = groups == group
        if 0 < y[rows].sum() < rows.sum():
            found.append(auc(scores[rows], y[rows], w[rows]))
    return float(np.mean(found)) if found else float("nan")


def brier(probabilities: Array, y: Array, w: Array) -> float:
    """The mean squared distance of probabilities from 0 or 1."""
    return float(np.average((probabilities - y) ** 2, weights=w))


def ndcg(scores: Array, grades: NDArray[np.int64], groups: NDArray[np.int64], depth: int = 10) -> float:
    """The mean over topics of nDCG among the logged rows, gain being the grade; topics without relevant rows are left out.

    Judged documents that no candidate found aren't in the log, so this is higher than nDCG of a search would be.
    """
    found = []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        gains = np.maximum(grades[rows], 0).astype(np.float64)
        if not gains.any():
            continue
        found.append(ndcg_of_one(gains, np.argsort(-scores[rows], kind="stable"), depth))
    return float(np.mean(found)) if found else float("nan")


def ndcg_of_one(gains: Array, order: NDArray[np.intp], depth: int = 10) -> float:
    """NDCG of one ranking: gains discounted by log2(rank + 1), over the same of the best order (Järvelin and Kekäläinen 2002).

    Args:
        gains: shape (n,), not all 0.
        order: shape (n,), rows best first.
        depth: how many ranks count.
    """
    discounts = 1.0 / np.log2(np.arange(2, min(depth, len(gains)) + 2))
    ranked, best = gains[order][: len(discounts)], np.sort(gains)[::-1][: len(discounts)]
    return float((ranked * discounts).sum() / (best * discounts).sum())
