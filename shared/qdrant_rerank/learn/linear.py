"""Linear models: the weights, with a pipeline's scaling folded in around each feature's centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import StrategyError
from ..expressions import Expression, clip, sigmoid
from ..expressions._internals import Constant, Product, Sum
from .columns import Columns, numeric
from .refusals import check_binary

__all__ = ["from_linear_classifier", "from_linear_regressor", "weighted"]


def from_linear_regressor(model: Any, columns: Columns) -> Expression:
    """`coef_ · x + intercept_`."""
    coefficients = _dense(model.coef_)
    if coefficients.ndim > 1 and len(coefficients) != 1:
        raise StrategyError(f"this {type(model).__name__} predicts {len(coefficients)} outputs, and a formula is one number")
    return weighted(columns, coefficients.ravel().tolist(), _intercept(model))


def from_linear_classifier(model: Any, columns: Columns) -> Expression:
    """The probability of the second class, or the decision function of classifiers that give no probabilities."""
    check_binary(model)
    decision = weighted(columns, _dense(model.coef_).ravel().tolist(), _intercept(model))
    match type(model).__name__, getattr(model, "loss", None):
        case ("LogisticRegression" | "LogisticRegressionCV", _):
            # two classes as if they were many: softmax of (-d, d)
            return sigmoid(decision * 2.0 if getattr(model, "multi_class", None) == "multinomial" else decision)
        case ("SGDClassifier", "log_loss"):
            return sigmoid(decision)
        case ("SGDClassifier", "modified_huber"):
            return (clip(decision, -1.0, 1.0) + 1.0) * 0.5
        case _:
            return decision


def weighted(columns: Columns, weights: Sequence[float], intercept: float) -> Expression:
    """The intercept plus each column, as the model sees it, times its weight."""
    terms: list[Expression] = []
    for column, weight in zip(columns, weights, strict=True):
        expression, affine = numeric(column)
        factor = weight * affine.factor
        intercept += weight * affine.offset
        if factor:
            centred = Sum((expression, Constant(-affine.center))) if affine.center else expression
            terms.append(Product((Constant(factor), centred)))
    if intercept or not terms:
        terms.append(Constant(intercept))
    return Sum(tuple(terms)) if len(terms) > 1 else terms[0]


def _dense(coefficients: Any) -> Any:
    """Coefficients as an array, where `sparsify()` made a sparse matrix of them."""
    return coefficients.toarray() if hasattr(coefficients, "toarray") else coefficients


def _intercept(model: Any) -> float:
    intercept = model.intercept_
    return float(intercept) if not hasattr(intercept, "ravel") else float(intercept.ravel()[0])
