"""Functions of one operand. To add one, write its class and what users call here: name, JSON kind, wire form and numpy form.

Each is defined for every number, because one undefined value makes Qdrant refuse the whole query.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .nodes import Expression, ExpressionLike, Function, as_expression
from .wire import Dialect, absolute, exponential, negative, product, quotient, total

__all__ = ["Exponential", "Sigmoid", "SquareRoot", "Tanh", "exp", "sigmoid", "sqrt", "tanh"]

Column = NDArray[np.float64]

_EXPONENT_BOUND: Final = 700.0  # exp(709.8) overflows 64-bit floats
_SIGMOID_BOUND: Final = 80.0  # exp(80) is far from overflow, sigmoid(-80) still a normal 32-bit float


class Exponential(Function):
    """`e ** operand`; operands above 700 count as 700, which is still finite."""

    name, kind = "exp", "exponential"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        return exponential(to.least(operand, _EXPONENT_BOUND))

    def compute(self, operand: Column) -> Column:
        return np.exp(np.minimum(operand, _EXPONENT_BOUND))


def exp(operand: ExpressionLike) -> Expression:
    """`e ** operand`; operands above 700 count as 700, which is still finite."""
    return Exponential(as_expression(operand))


class SquareRoot(Function):
    """The square root of the operand; 0 where the operand is negative."""

    name, kind = "sqrt", "square_root"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        return models.SqrtExpression.model_construct(sqrt=to.greatest(operand, 0.0))

    def compute(self, operand: Column) -> Column:
        return np.sqrt(np.maximum(operand, 0.0))


def sqrt(operand: ExpressionLike) -> Expression:
    """The square root; 0 for negative operands."""
    return SquareRoot(as_expression(operand))


class Sigmoid(Function):
    """`1 / (1 + exp(-operand))`, computed without overflow: a logistic model's probability."""

    name, kind = "sigmoid", "sigmoid"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        if to.max_min:
            clamped = to.least(_SIGMOID_BOUND, to.greatest(-_SIGMOID_BOUND, operand))
            return quotient(1.0, total(1.0, exponential(negative(clamped))))
        magnitude = absolute(operand)  # exp((z - |z|) / 2) / (1 + exp(-|z|)) is the same number, without max and min
        numerator = exponential(product(0.5, total(operand, negative(magnitude))))
        return quotient(numerator, total(1.0, exponential(negative(magnitude))))

    def compute(self, operand: Column) -> Column:
        clamped = np.minimum(_SIGMOID_BOUND, np.maximum(-_SIGMOID_BOUND, operand))
        return np.asarray(1.0 / (1.0 + np.exp(-clamped)))


def sigmoid(operand: ExpressionLike) -> Expression:
    """`1 / (1 + exp(-operand))`, without overflow: turns a logistic model's score into a probability."""
    return Sigmoid(as_expression(operand))


class Tanh(Function):
    """The hyperbolic tangent of the operand: `2 * sigmoid(2 * operand) - 1`."""

    name, kind = "tanh", "tanh"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        return total(product(2.0, Sigmoid(self.operand).lower(product(2.0, operand), to)), -1.0)

    def compute(self, operand: Column) -> Column:
        return 2.0 * Sigmoid(self.operand).compute(2.0 * operand) - 1.0


def tanh(operand: ExpressionLike) -> Expression:
    """The hyperbolic tangent."""
    return Tanh(as_expression(operand))
