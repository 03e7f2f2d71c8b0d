"""Linear models and small neural networks: weighted sums, with a pipeline's scaling folded in around each feature's centre."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ... import StrategyError
from ...expressions import Expression, clip, exp, relu, sigmoid, tanh
from ...expressions._internals import Constant, Product, Sum
from .columns import Columns, check_binary, numeric

__all__ = ["from_linear_classifier", "from_linear_regressor", "from_network", "weigh_columns"]


def from_linear_regressor(model: Any, columns: Columns) -> Expression:
    """`coef_ · x + intercept_`."""
    coefficients = _dense(model.coef_)
    if coefficients.ndim > 1 and len(coefficients) != 1:
        raise StrategyError(f"this {type(model).__name__} predicts {len(coefficients)} outputs, and a formula is one number")
    return weigh_columns(columns, coefficients.ravel().tolist(), _intercept(model))


def from_linear_classifier(model: Any, columns: Columns) -> Expression:
    """The probability of the second class, or the decision function of classifiers that give no probabilities."""
    check_binary(model)
    decision = weigh_columns(columns, _dense(model.coef_).ravel().tolist(), _intercept(model))
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


def weigh_columns(columns: Columns, weights: Sequence[float], intercept: float) -> Expression:
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


_ACTIVATIONS: Final[dict[str, Callable[[Expression], Expression]]] = {
    "identity": lambda unit: unit,
    "relu": relu,
    "tanh": tanh,
    "logistic": sigmoid,
    "exp": exp,
}


def from_network(model: Any, columns: Columns) -> Expression:
    """The prediction of MLPRegressor, or the classifier's probability of the second class."""
    kind = type(model).__name__
    if hasattr(model, "classes_"):
        check_binary(model)
    if len(model.coefs_) != 2:
        raise StrategyError(
            f"this {kind} has {len(model.coefs_) - 1} hidden layers, and a formula of more than one grows with their product: "
            "fit with hidden_layer_sizes=(16,)"
        )
    (inner, outer), (inner_bias, outer_bias) = model.coefs_, model.intercepts_
    if outer.shape[1] != 1:
        raise StrategyError(f"this {kind} predicts {outer.shape[1]} outputs, and a formula is one number: fit one each")
    activation = _ACTIVATIONS[model.activation]
    units: list[Expression] = [
        Product((Constant(float(outer[unit, 0])), activation(weigh_columns(columns, inner[:, unit].tolist(), float(bias)))))
        for unit, bias in enumerate(inner_bias)
    ]
    return _ACTIVATIONS[model.out_activation_](Sum((*units, Constant(float(outer_bias[0])))))
