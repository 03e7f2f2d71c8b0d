"""From scores to probabilities of relevance: monotone maps, fitted on held-out topics and compiled into the formula.

| method | map | source |
|---|---|---|
| `platt` | `sigmoid(a·z + b)` | Platt, "Probabilistic outputs for support vector machines", 1999 |
| `beta` | `sigmoid(a·ln p − b·ln(1 − p) + c)` with `p = sigmoid(z)` | Kull, Silva Filho and Flach, AISTATS 2017 |
| `isotonic` | rising, piecewise linear in z, at most 15 knots | Zadrozny and Elkan, KDD 2002 |

`z` is the score before its sigmoid. All rise strictly, so that ranks don't change and no ties come up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias, assert_never, get_args

import numpy as np
from numpy.typing import NDArray

from .. import StrategyError
from .._internals import CandidateScore, Constant, Product, Sigmoid, Sum, Table, compute, is_finite, load_extra
from ..errors import FitError
from ..evaluate._internals import Plain
from ..expressions import Expression, clip, log
from ..report import Bin, Calibration
from .log import FeatureLog
from .solver import LEAST_TOPICS, Array, Bounds, Prepared, Problem, expit, log_losses, solve, split_folds

Method: TypeAlias = Literal["none", "platt", "beta", "isotonic"]
KNOTS: Final = 15
_TAIL: Final = 0.001  # the share of a sigmoid in an isotonic map, which rises where the map is flat
_GENTLE: Final = 0.25  # that sigmoid's slope: small, so that 32-bit scores differ even where the score is far from 0
_FREE: Final = 1e6  # C so large that nothing is regularised


def check_method(method: str) -> None:
    """Refuse a calibration that there isn't. Raises StrategyError."""
    if method not in get_args(Method):
        raise StrategyError(f"calibration is one of {', '.join(get_args(Method))}; got {method!r}")


@dataclass(frozen=True)
class ScoreMap:
    """A monotone map from scores before the sigmoid to probabilities; method `none` is the sigmoid itself.

    Its parameters are (a, b) for platt, (a, b, c) for beta; for isotonic the knots' scores, then their probabilities. Raises
    StrategyError where it is an unknown method, or has another number of them.
    """

    method: Method = "none"
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_method(self.method)
        count, expected = len(self.parameters), {"none": 0, "platt": 2, "beta": 3}.get(self.method)
        if (expected is not None and count != expected) or (expected is None and (count % 2 or count < 4)):
            raise StrategyError(f"a {self.method} calibration has {expected or 'two or more pairs of'} parameters, got {count}")

    def expression(self, score: Expression) -> Expression:
        """The map of `score`, as a formula."""
        match self.method:
            case "none":
                return Sigmoid(score)
            case "platt":
                return Sigmoid(affine(score, *self.parameters))
            case "beta":
                a, b, c = self.parameters
                p = Sigmoid(score)
                return Sigmoid(Constant(a) * log(p) - Constant(b) * log(Constant(1.0) - p) + Constant(c))
            case "isotonic":
                return self._steps(score)
        assert_never(self.method)

    def _steps(self, score: Expression) -> Expression:
        half = len(self.parameters) // 2
        knots, values = self.parameters[:half], self.parameters[half:]
        keep = 1.0 - _TAIL
        terms: list[Expression] = [Constant(keep * values[0]), Product((Constant(_TAIL), Sigmoid(affine(score, _GENTLE, 0.0))))]
        for number in range(half - 1):
            width = knots[number + 1] - knots[number]
            slope = keep * (values[number + 1] - values[number]) / width
            if slope:
                terms.append(Product((Constant(slope), clip(affine(score, 1.0, -knots[number]), 0.0, width))))
        return Sum(tuple(terms))

    def apply(self, scores: Array) -> Array:
        """The probabilities of scores, shape (n,), as the compiled formula gives them."""
        return compute(self.expression(CandidateScore(None)), Table([{}] * len(scores), [0] * len(scores), {None: scores}))


def affine(score: Expression, factor: float, offset: float) -> Expression:
    """`factor · score + offset`, with the factor inside the terms of a sum, so that each still is one summand."""
    terms = score.terms if isinstance(score, Sum) else (score,)
    scaled = [_scale(term, factor) for term in terms]
    if isinstance(scaled[-1], Constant):
        offset += scaled.pop().value  # type: ignore[attr-defined]  # isinstance() has just looked
    return Sum((*scaled, Constant(offset))) if scaled else Constant(offset)


def _scale(term: Expression, factor: float) -> Expression:
    if factor == 1.0:
        return term
    match term:
        case Constant(value):
            return Constant(factor * value)
        case Product((Constant(value), *rest)):
            return Product((Constant(factor * value), *rest))
        case _:
            return Product((Constant(factor), term))


def fit_map(method: Method, scores: Array, y: Array, w: Array) -> ScoreMap:
    """The map of this kind that fits best to scores before the sigmoid, of rows that the scoring model wasn't fitted to.

    Scores, `y` (0 or 1) and weights `w` have the shape (n,).

    Raises:
        FitError: one class only, or scores that don't rise with relevance.
        MissingExtra: scikit-learn isn't installed.
    """
    check_method(method)
    if not 0 < y.sum() < len(y):
        raise FitError(f"all {len(y)} rows are {'relevant' if y.any() else 'not relevant'}: there is nothing to calibrate to")
    match method:
        case "none":
            return ScoreMap()
        case "platt":
            return ScoreMap("platt", _logistic([scores], y, w, rising=False))
        case "beta":
            p = ScoreMap().apply(scores)
            columns = [np.log(np.maximum(p, 1e-9)), -np.log(np.maximum(1.0 - p, 1e-9))]
            return ScoreMap("beta", _logistic(columns, y, w, rising=True))
        case "isotonic":
            return ScoreMap("isotonic", _isotonic(scores, y, w))
    assert_never(method)


def _logistic(columns: Sequence[Array], y: Array, w: Array, rising: bool) -> tuple[float, ...]:
    """Coefficients (none below 0, if `rising`) and intercept of a logistic regression without a penalty."""
    raw = np.column_stack(columns)
    means, deviations = raw.mean(axis=0), raw.std(axis=0)
    if not deviations.all():
        raise FitError("all scores are the same: there is nothing to calibrate")
    problem = Problem((raw - means) / deviations, y, w / w.mean(), np.zeros(len(y), dtype=np.int64))
    limits: Bounds = [(0.0, None) for _ in columns]
    found = solve(problem, _FREE, limits if rising else None)
    slopes = found[:-1] / deviations
    if slopes.max() <= 0:
        raise FitError("higher scores are not more often relevant here: these scores can't be calibrated")
    return (*slopes.tolist(), float(found[-1] - slopes @ means))


def _isotonic(scores: Array, y: Array, w: Array) -> tuple[float, ...]:
    model = load_extra("sklearn.isotonic", "isotonic calibration", "learn").IsotonicRegression(y_min=0.0, y_max=1.0)
    fitted = np.asarray(model.fit_transform(scores, y, sample_weight=w))
    levels, of = np.unique(fitted, return_inverse=True)
    mass = np.bincount(of, w)
    blocks = [(float(m), float(x), float(v)) for m, x, v in zip(mass, np.bincount(of, w * scores) / mass, levels, strict=True)]
    while len(blocks) > KNOTS:
        # by how much merging raises the squared error
        rises = [one[0] * two[0] / (one[0] + two[0]) * (one[2] - two[2]) ** 2 for one, two in pairwise(blocks)]
        at = int(np.argmin(rises))
        blocks[at : at + 2] = [_merge(blocks[at], blocks[at + 1])]
    if len(blocks) < 2:
        raise FitError("higher scores are not more often relevant here: these scores can't be calibrated")
    return (*(block[1] for block in blocks), *(block[2] for block in blocks))


_Block: TypeAlias = tuple[float, float, float]  # weight, mean score, probability


def _merge(one: _Block, two: _Block) -> _Block:
    mass = one[0] + two[0]
    return mass, (one[0] * one[1] + two[0] * two[1]) / mass, (one[0] * one[2] + two[0] * two[2]) / mass


_BINS: Final = 10
_POINTS: Final = 200
_LEAST: Final = 10
_Z: Final = 1.959964


def measure_reliability(probabilities: Array, y: Array, w: Array, name: str = "") -> Calibration:
    """Predicted probabilities beside observed shares, in ten bins of equal width, with ECE and Brier score.

    The expected calibration error is that of Naeini, Cooper and Hauskrecht (AAAI 2015). Rows count by their weights. Where
    nearly all candidates are irrelevant, it is small whatever the map: look at the upper bins too.
    """
    numbers = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    bins, ece, total = [], 0.0, float(w.sum())
    for number in np.unique(numbers):
        rows = numbers == number
        mass = float(w[rows].sum())
        predicted = float(np.clip(np.average(probabilities[rows], weights=w[rows]), 0.0, 1.0))
        observed = float(np.average(y[rows], weights=w[rows]))
        ece += mass / total * abs(predicted - observed)
        low, high = _wilson(observed, mass**2 / float((w[rows] ** 2).sum()))
        bins.append(Bin(predicted, min(1.0, observed), max(1, round(mass)), low, high))
    return Calibration(tuple(bins), ece, brier(probabilities, y, w), name)


def _wilson(share: float, count: float) -> tuple[float, float]:
    """A 95 % interval of a share seen in `count` independent rows (Wilson 1927)."""
    centre, spread = share + _Z**2 / (2 * count), _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    scale = 1 + _Z**2 / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True)
class OperatingPoint(Plain):
    """What a threshold keeps, on topics that the model wasn't fitted to.

    Attributes:
        threshold: of the probability.
        precision: share of the results at or above it that are relevant.
        recall: share of the relevant candidates that are at or above it.
        results: how many rows of the log are.
    """

    threshold: float
    precision: float
    recall: float
    results: int


def list_operating_points(probabilities: Array, y: Array, w: Array) -> tuple[OperatingPoint, ...]:
    """What thresholds that keep at least ten rows keep, by rising threshold."""
    order = np.argsort(-probabilities, kind="stable")
    p, hits, mass = probabilities[order], np.cumsum((w * y)[order]).tolist(), np.cumsum(w[order]).tolist()
    last = np.flatnonzero(np.append(p[1:] < p[:-1], True))  # the last row of each value: thresholds keep ties together
    last = last[last + 1 >= _LEAST]
    if len(last) > _POINTS:  # dense where few results are left, which is where thresholds are chosen
        last = last[np.unique(np.geomspace(1, len(last), _POINTS).astype(np.int64) - 1)]
    found = [
        OperatingPoint(float(p[row]), _share(hits[row], mass[row]), _share(hits[row], hits[-1]), int(row) + 1) for row in last
    ]
    return tuple(reversed(found))


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole else 0.0


def threshold_for(points: Sequence[OperatingPoint], precision: float) -> OperatingPoint:
    """The lowest threshold that keeps this precision; raises as `LearnedRanker.threshold_for`."""
    if not is_finite(precision) or not 0 < precision <= 1:
        raise StrategyError(f"a precision is a share of results, above 0 and at most 1, got {precision!r}")
    if not points:
        raise FitError("there are fewer than ten held-out rows: too few for a threshold")
    best = max(points, key=lambda point: point.precision)
    if best.precision < precision:
        raise FitError(
            f"no threshold keeps a precision of {precision:g}: the best on held-out topics is {best.precision:.3f}, at "
            f"{best.threshold:.3f} (with at least {_LEAST} results)"
        )
    return next(point for point in points if point.precision >= precision)


def auc(scores: Array, y: Array, w: Array) -> float:
    """The probability that a relevant row scores above another; ties count half. Raises MissingExtra without scikit-learn."""
    return float(load_extra("sklearn.metrics", "AUC", "learn").roc_auc_score(y, scores, sample_weight=w))


def mean_auc(scores: Array, y: Array, w: Array, groups: NDArray[np.int64]) -> float:
    """The mean over topics of `auc` within the topic, without topics of one class; NaN if there are no others."""
    found = [auc(scores[rows], y[rows], w[rows]) for rows in _rows_by_topic(groups) if 0 < y[rows].sum() < len(rows)]
    return float(np.mean(found)) if found else math.nan


def _rows_by_topic(groups: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    return (np.flatnonzero(groups == group) for group in np.unique(groups))


def brier(probabilities: Array, y: Array, w: Array) -> float:
    """The mean squared distance of probabilities from 0 or 1."""
    return float(np.average((probabilities - y) ** 2, weights=w))


def ndcg(scores: Array, grades: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """The mean over topics with relevant rows of nDCG among the logged rows, gain being the grade.

    Judged documents that no candidate found aren't in the log, so this is higher than nDCG of a search would be.
    """
    gains = np.maximum(grades, 0).astype(np.float64)
    found = [
        ndcg_of_one(gains[rows], np.argsort(-scores[rows], kind="stable"))
        for rows in _rows_by_topic(groups)
        if gains[rows].any()
    ]
    return float(np.mean(found)) if found else math.nan


def ndcg_of_one(gains: Array, order: NDArray[np.intp], depth: int = 10) -> float:
    """NDCG of one ranking: gains discounted by log2(rank + 1), over the same of the best order (Järvelin and Kekäläinen 2002).

    `gains`, shape (n,), aren't all 0; `order`, shape (n,), has the rows best first.
    """
    discounts = 1.0 / np.log2(np.arange(2, min(depth, len(gains)) + 2))
    ranked, best = gains[order][: len(discounts)], np.sort(gains)[::-1][: len(discounts)]
    return float((ranked * discounts).sum() / (best * discounts).sum())


@dataclass(frozen=True)
class Calibrated:
    """A calibration fitted to all held-out scores, and how good it is.

    `reliability` is that of probabilities by maps that weren't fitted to their topics, `before` that of the plain sigmoid;
    `points` are what thresholds keep.
    """

    map: ScoreMap
    reliability: Calibration
    before: Calibration
    points: tuple[OperatingPoint, ...]


@dataclass(frozen=True)
class HeldOut:
    """A calibration of held-out scores, and their metrics by name.

    `link` are factor and offset that turn the scores into log odds; (1, 0) where they are log odds already.
    """

    link: tuple[float, float]
    calibrated: Calibrated
    metrics: Mapping[str, float]


def judge_held_out(data: Prepared, margins: Array, method: Method, to_odds: bool, folds: int) -> HeldOut:
    """The calibration and the metrics of held-out margins, shape (n,), each by a model that wasn't fitted to the row's topic.

    Margins are log odds; others, those of the pairwise loss, are turned into them (`to_odds`).
    """
    log, groups, y, w = data.log, data.problem.groups, data.problem.y, data.problem.w
    link = (1.0, 0.0)
    if to_odds:
        a, b = fit_map("platt", margins, y, w).parameters
        link, margins = (a, b), a * margins + b
    found = fit_calibration(log, margins, y, method, folds)
    metrics = {
        "log_loss": float(np.average(log_losses(margins, y), weights=w)),
        "auc": auc(margins, y, w),
        "auc_within_topics": mean_auc(margins, y, w, groups),
        "ndcg@10": ndcg(margins, log.grades, groups),
        "brier": brier(expit(margins), y, w),
        "ece": found.reliability.ece,
    }
    metrics |= {f"ndcg@10 of {name}": ndcg(log.column(name), log.grades, groups) for name in log.names}
    return HeldOut(link, found, {name: value for name, value in metrics.items() if np.isfinite(value)})


def fit_calibration(log: FeatureLog, margins: Array, y: Array, method: Method, folds: int = 5) -> Calibrated:
    """A map fitted to held-out scores, judged by cross-validation grouped by topic."""
    if len(log.topic_ids) < LEAST_TOPICS:
        raise FitError(f"the log has rows of {len(log.topic_ids)} topics; calibration needs {LEAST_TOPICS}")
    if margins.shape != y.shape or not np.isfinite(margins).all():
        raise StrategyError(f"scores must be {len(y)} finite numbers, one for each row; got shape {margins.shape}")
    w = log.weights / log.weights.mean()
    whole = fit_map(method, margins, y, w)
    _, groups = np.unique(log.topics, return_inverse=True)
    probabilities = np.zeros(len(y))
    for rows, held in split_folds(groups.astype(np.int64), folds):
        one_class = not 0 < y[rows].sum() < len(rows)
        own = whole if one_class else fit_map(method, margins[rows], y[rows], w[rows])
        probabilities[held] = own.apply(margins[held])
    return Calibrated(
        whole,
        reliability=measure_reliability(probabilities, y, w, method),
        before=measure_reliability(expit(margins), y, w, "not calibrated"),
        points=list_operating_points(whole.apply(margins), y, w),
    )
