"""Small neural networks: one hidden layer, whose units are expressions of all features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .. import StrategyError
from ..expressions import Expression, exp, relu, sigmoid, tanh
from ..expressions._internals import Constant, Product, Sum
from .columns import Columns
from .linear import weighted
from .refusals import check_binary

__all__ = ["from_network"]

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
        Product((Constant(float(outer[unit, 0])), activation(weighted(columns, inner[:, unit].tolist(), float(bias)))))
        for unit, bias in enumerate(inner_bias)
    ]
    return _ACTIVATIONS[model.out_activation_](Sum((*units, Constant(float(outer_bias[0])))))
