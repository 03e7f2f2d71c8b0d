"""What held-out scores say of a model, and the calibration that they give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .. import StrategyError
from ..errors import FitError
from ..report import Calibration
from .calibrating import Method, ScoreMap, fit_map
from .feature_log import FeatureLog
from .fitting_data import LEAST_TOPICS, Prepared
from .metrics import auc, brier, mean_auc, ndcg
from .reliability import OperatingPoint, operating_points, reliability
from .solving import Array, folds_of, losses, sigmoid

__all__ = ["Judged", "calibrated", "judged"]


@dataclass(frozen=True)
class Judged:
    """What held-out scores say.

    Attributes:
        link: factor and offset that turn the scores into log odds; (1, 0) where they are log odds already.
        map: the calibration, fitted to all of them.
        metrics: by name.
        reliability: of probabilities by maps that weren't fitted to their topics.
        before: of the plain sigmoid.
        points: what thresholds keep.
    """

    link: tuple[float, float]
    map: ScoreMap
    metrics: Mapping[str, float]
    reliability: Calibration
    before: Calibration
    points: tuple[OperatingPoint, ...]


def judged(data: Prepared, margins: Array, method: Method, to_odds: bool, folds: int) -> Judged:
    """What the held-out `margins` of a fit say, and its calibration.

    Args:
        data: what was fitted.
        margins: shape (n,), each by a model that wasn't fitted to the row's topic.
        method: of calibration.
        to_odds: whether the margins aren't log odds, as those of the pairwise loss.
        folds: for the calibration's own cross-validation.
    """
    link = (1.0, 0.0)
    if to_odds:
        a, b = fit_map("platt", margins, data.problem.y, data.problem.w).parameters
        link, margins = (a, b), a * margins + b
    found = calibrated(data.log, margins, data.problem.y, method, folds)
    groups, y, w = data.problem.groups, data.problem.y, data.problem.w
    metrics = {
        "log_loss": float(np.average(losses(margins, y), weights=w)),
        "auc": auc(margins, y, w),
        "auc_within_topics": mean_auc(margins, y, w, groups),
        "ndcg@10": ndcg(margins, data.log.grades, groups),
        "brier": brier(sigmoid(margins), y, w),
        "ece": found.reliability.ece,
    }
    metrics |= {f"ndcg@10 of {name}": ndcg(data.log.column(name), data.log.grades, groups) for name in data.log.names}
    known = {name: value for name, value in metrics.items() if np.isfinite(value)}
    return Judged(link, found.map, known, found.reliability, found.before, found.points)


@dataclass(frozen=True)
class _Calibrated:
    map: ScoreMap
    reliability: Calibration
    before: Calibration
    points: tuple[OperatingPoint, ...]


def calibrated(log: FeatureLog, margins: Array, y: Array, method: Method, folds: int = 5) -> _Calibrated:
    """A map fitted to held-out scores, judged by cross-validation grouped by topic."""
    if len(log.topic_ids) < LEAST_TOPICS:
        raise FitError(f"the log has rows of {len(log.topic_ids)} topics; calibration needs {LEAST_TOPICS}")
    if margins.shape != y.shape or not np.isfinite(margins).all():
        raise StrategyError(f"scores must be {len(y)} finite numbers, one for each row; got shape {margins.shape}")
    w = log.weights / log.weights.mean()
    whole = fit_map(method, margins, y, w)
    _, groups = np.unique(log.topics, return_inverse=True)
    probabilities = np.zeros(len(y))
    for rows, held in folds_of(groups.astype(np.int64), folds):
        one_class = not 0 < y[rows].sum() < len(rows)
        own = whole if one_class else fit_map(method, margins[rows], y[rows], w[rows])
        probabilities[held] = own.apply(margins[held])
    after = reliability(probabilities, y, w, method)
    points = operating_points(whole.apply(margins), y, w)
    return _Calibrated(whole, after, reliability(sigmoid(margins), y, w, "not calibrated"), points)
