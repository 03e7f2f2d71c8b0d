"""Calibrating a ranker on topics that it wasn't fitted to, and making rankers of imported models."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np

from .. import __version__
from ..errors import FitError
from ..expressions import Expression
from ..expressions._internals import Sigmoid
from .arguments import LogLike, RankerLike, log_of, ranker_of
from .calibrating import Method
from .feature_log import Reference
from .judging import calibrated
from .ranker import LearnedRanker, Training
from .solving import Array

__all__ = ["calibrate_scores", "ranker_from_expression"]


def calibrate_scores(
    ranker: RankerLike, log: LogLike, method: Method = "platt", *, scores: Array | None = None, folds: int = 5
) -> LearnedRanker:
    """The ranker with a calibration fitted to a log of other topics, so that `score_threshold=0.6` means P(relevant) ≥ 0.6.

    Args:
        ranker: a calibration that it has is replaced; or the path of its file.
        log: of topics that it wasn't fitted to; rows weigh what they stand for. Or the path of its file.
        method: `platt`, `beta` or `isotonic`; `none` takes the calibration away, and says how good it is without.
        scores: shape (n,), the scores of the log's rows before the sigmoid (log odds); needed for models that aren't linear.
        folds: the figures are of maps cross-fitted by topic; the map that is kept is fitted to all of the log.

    Raises:
        FitError: the log has topics that the ranker was fitted to, too few topics, or one class only.
        StrategyError: the scores don't fit the log.
        MissingExtra: scikit-learn isn't installed.
    """
    ranker, log = ranker_of(ranker, "calibrate_scores"), log_of(log, "calibrate_scores")
    seen = set(ranker.training.topics).intersection(log.topic_ids)
    if seen:
        listed = ", ".join(map(repr, sorted(seen)[:5])) + (", …" if len(seen) > 5 else "")
        raise FitError(
            f"{len(seen)} of the log's {len(log.topic_ids)} topics are those that the ranker was fitted to ({listed}): scores "
            "there are better than they will be; calibrate on others (log.split()), or let fit_logistic(calibration=…) do it"
        )
    y = log.relevant(ranker.training.least_grade).astype(np.float64)
    margins = ranker.margins(log) if scores is None else np.asarray(scores, dtype=np.float64)
    found = calibrated(log, margins, y, method, folds)
    return replace(ranker, calibration=found.map, reliability=found.reliability, before=found.before, points=found.points)


def ranker_from_expression(
    expression: Expression, log: LogLike, kind: str = "imported", *, on_client: bool = False
) -> LearnedRanker:
    """A ranker of an imported model, e.g. `from_model(…)`: one file with its candidates, features and training data's hash.

    If the expression is a sigmoid, `calibrate_scores(scores=…)` takes what is inside it; else the expression's values.

    Args:
        expression: what `from_model` made.
        log: what the model was trained on; or the path of its file.
        kind: what to call it, e.g. "LightGBM".
        on_client: whether it is computed here, over the candidates that the log's candidates find, as `from_model(…,
            on_client=True)` has to be: `ranker.strategy`, and what `load` makes of the file, is then a `ClientFormula`.
    """
    log = log_of(log, "ranker_from_expression")
    training = Training(
        fingerprint=log.fingerprint,
        topics=tuple(sorted(log.topic_ids)),
        rows=len(log),
        relevant=int(log.relevant().sum()),
        loss=kind,
        missed=sum(map(len, log.coverage.missed.values())),
        made=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions={"qdrant-rerank": __version__},
    )
    margin = expression.operand if isinstance(expression, Sigmoid) else expression
    quantiles = {name: Reference.of(log.column(name), float(np.isnan(log.column(name)).mean())) for name in log.names}
    return LearnedRanker(
        margin, log.candidates, log.features, training, quantiles=quantiles, reference=log.reference, on_client=on_client
    )
