"""Logistic regression on logged features, as a formula that Qdrant runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from .. import StrategyError
from .._internals import Constant, Product, Reference, Sum, did_you_mean, is_finite, is_whole, warn
from ..expressions import Expression
from .calibration import Method, check_method, judge_held_out
from .features import Feature
from .log import FeatureLog
from .ranker import FeatureWeight, LearnedRanker, LogLike, Training, load_log
from .solver import (
    GRID,
    Array,
    Bounds,
    Prepared,
    Problem,
    cross_validate,
    draw_bootstraps,
    drop_one,
    keeps_bounds,
    make_pairs,
    one_thread,
    prepare,
    solve,
)

Loss: TypeAlias = Literal["pointwise", "pairwise"]
_FREE: Final = 1e5
_ALIKE: Final = 0.999


def fit_logistic(
    log: LogLike,
    *,
    loss: Loss = "pointwise",
    C: float | Literal["cv"] = "cv",
    signs: Mapping[str, str] | None = None,
    calibration: Method = "none",
    least_grade: int = 1,
    folds: int = 5,
    bootstrap: int = 200,
    seed: int = 0,
) -> LearnedRanker:
    """Weights of the log's features that tell relevant candidates from others, as a formula over the log's candidates.

    The formula gives a probability of relevance. Features are standardised; the formula holds the scaling, each feature
    centred before it is weighed, so that large values don't cancel in 32-bit constants. All figures are of held-out topics:
    cross-validation never has rows of one topic on both sides.

    Where negatives were sampled, rows weigh what they stand for, which corrects the intercept for the sampling (King and
    Zeng, "Logistic regression in rare events data", Political Analysis 9, 2001).

    Args:
        log: of `log_features` or `read_log`, or the path of its file; at least 10 topics and 10 relevant rows.
        loss: `pointwise` learns which candidates are relevant; `pairwise` which of two candidates of one topic is more so
            (Burges et al., RankNet, ICML 2005; uses grades), and Platt's method turns the sum into a probability.
        C: inverse strength of the L2 penalty, or `"cv"`: the best of 0.001 to 1000 by cross-validation.
        signs: feature → `"+"` or `"-"`: a weight of the other sign is held at 0, with a note, e.g. `{"popularity": "+"}`.
        calibration: `none`, `platt`, `beta` or `isotonic`: a map fitted to the held-out scores; see `calibrate_scores`.
        least_grade: from which grade on a document is relevant.
        folds: of the cross-validation.
        bootstrap: from how many resamples of topics the weights' intervals come; 0 for no intervals.
        seed: for resampling and for drawing pairs.

    Raises:
        FitError: too few topics or relevant rows, one class only, a constant feature, one that alone separates the
            classes, or one with missing values.
        StrategyError: an argument is wrong.
        MissingExtra: scikit-learn isn't installed.
    """
    log = load_log(log, "fit_logistic")
    _check(log, loss, C, signs or {}, folds, bootstrap)
    check_method(calibration)
    with one_thread():
        data, signs = prepare(log, least_grade), signs or {}
        fit = data.problem if loss == "pointwise" else make_pairs(data, seed)
        limits = _limits(log.names, signs)
        held_out = cross_validate(fit, data.problem, GRID if C == "cv" else (float(C),), limits, folds)
        free = solve(fit, held_out.c)
        solution = free if limits is None or keeps_bounds(free, limits) else solve(fit, held_out.c, limits)
        draws = draw_bootstraps(fit, held_out.c, limits, solution, bootstrap, seed) if bootstrap else None
        rises = drop_one(fit, held_out.c, limits, folds, solution)
        result = judge_held_out(data, held_out.margins, calibration, loss == "pairwise", folds)
        scale, offset = result.link
        solution = solution * scale
        solution[-1] += offset
        weights = tuple(_weights(data, solution, free * scale, None if draws is None else draws * scale, rises, signs))
        notes = tuple(_notes(data, weights, fit))
    for note in notes:
        warn(note)
    return LearnedRanker(
        margin=margin_expression(data, solution),
        candidates=log.candidates,
        features=log.features,
        training=Training.of(log, loss, held_out.c, least_grade, ("numpy", "scikit-learn", "scipy", "qdrant-client")),
        calibration=result.calibrated.map,
        weights=weights,
        intercept=float(solution[-1]),
        metrics=result.metrics,
        reliability=result.calibrated.reliability,
        before=result.calibrated.before,
        points=result.calibrated.points,
        quantiles={name: Reference.of(data.log.column(name), 0.0, data.log.weights) for name in data.log.names},
        reference=log.reference,
        notes=notes,
    )


def _check(log: FeatureLog, loss: str, c: object, signs: Mapping[str, str], folds: int, bootstrap: int) -> None:
    if loss not in get_args(Loss):
        raise StrategyError(f"loss is 'pointwise' or 'pairwise', got {loss!r}")
    if c != "cv" and (not is_finite(c) or not isinstance(c, int | float) or c <= 0):
        raise StrategyError(f"C is 'cv' or a number above 0, got {c!r}")
    if not is_whole(folds, 2) or not is_whole(bootstrap, 0):
        raise StrategyError(f"folds is at least 2 and bootstrap at least 0, got {folds!r} and {bootstrap!r}")
    for name, sign in signs.items():
        if name not in log.features:
            raise StrategyError(
                f"signs: there is no feature {name!r}{did_you_mean(name, log.names)} (there are {', '.join(log.names)})"
            )
        if sign not in ("+", "-"):
            raise StrategyError(f"the sign of {name!r} is '+' or '-', got {sign!r}")


def _limits(names: tuple[str, ...], signs: Mapping[str, str]) -> Bounds | None:
    kinds: dict[str | None, tuple[float | None, float | None]] = {"+": (0.0, None), "-": (None, 0.0), None: (None, None)}
    return [kinds[signs.get(name)] for name in names] if signs else None


def margin_expression(data: Prepared, solution: Array) -> Expression:
    """The intercept plus each centred feature times its weight."""
    terms: list[Expression] = []
    for j, feature in enumerate(data.log.features.values()):
        assert isinstance(feature, Feature)  # categories were refused
        if solution[j]:
            centred = Sum((feature.expression, Constant(float(-data.means[j]))))
            terms.append(Product((Constant(float(solution[j] / data.deviations[j])), centred)))
    terms.append(Constant(float(solution[-1])))
    return Sum(tuple(terms)) if len(terms) > 1 else terms[0]


def _weights(
    data: Prepared, solution: Array, free: Array, draws: Array | None, rises: list[float], signs: Mapping[str, str]
) -> Iterator[FeatureWeight]:
    for j, name in enumerate(data.log.names):
        deviation = float(data.deviations[j])
        low, high = (None, None) if draws is None else (np.quantile(draws[:, j], [0.025, 0.975]) / deviation).tolist()
        yield FeatureWeight(
            name=name,
            weight=float(solution[j]) / deviation,
            low=low,
            high=high,
            standardised=float(solution[j]),
            mean=float(data.means[j]),
            deviation=deviation,
            loss_without=rises[j] if rises else None,
            sign=signs.get(name),
            held=float(free[j]) / deviation if solution[j] == 0 and free[j] != 0 else None,
        )


def _notes(data: Prepared, weights: tuple[FeatureWeight, ...], fit: Problem) -> Iterator[str]:
    relevant = int(data.problem.y.sum())
    if relevant < 10 * len(weights):
        yield (
            f"{relevant} relevant rows for {len(weights)} features: fewer than 10 for each (Peduzzi et al. 1996), so that "
            "weights are uncertain; see their intervals"
        )
    loose = solve(fit, _FREE, None, np.zeros(len(weights) + 1))
    margins = fit.margins(loose)
    if margins[fit.y == 1].min() > margins[fit.y == 0].max():
        yield (
            "the features together separate relevant rows from all others without an error: the weights are as large as the "
            "penalty allows, and their intervals mean little"
        )
    names, likeness = data.log.names, np.atleast_2d(np.corrcoef(data.problem.x, rowvar=False))
    for one, two in combinations(range(len(names)), 2):
        if abs(likeness[one, two]) > _ALIKE:
            yield f"{names[one]!r} and {names[two]!r} are nearly the same (correlation {likeness[one, two]:.4f}): keep one"
    for weight in weights:
        if weight.held is not None:
            yield f"{weight.name!r}: {weight.weak}"
