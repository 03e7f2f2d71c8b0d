"""Functions that take more than one of Qdrant's expressions: sigmoids without overflow, decays with exact constants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, assert_never

import numpy as np
from qdrant_client import models

from .nodes import Decay
from .wire import absolute, exponential, negative, power, product, quotient, total

if TYPE_CHECKING:
    from .lowering import Lowering

__all__ = ["SIGMOID_BOUND", "decayed", "sigmoid"]

SIGMOID_BOUND: Final = 80.0
"""Sigmoids are computed of -80 to 80: exp(80) is far from overflow, sigmoid(-80) still a normal 32-bit float."""


def sigmoid(operand: models.Expression, to: Lowering) -> models.Expression:
    """1 / (1 + exp(-operand)), without overflow."""
    if to.max_min:
        clamped = to.least(SIGMOID_BOUND, to.greatest(-SIGMOID_BOUND, operand))
        return quotient(1.0, total(1.0, exponential(negative(clamped))))
    magnitude = absolute(operand)
    numerator = exponential(product(0.5, total(operand, negative(magnitude))))
    return quotient(numerator, total(1.0, exponential(negative(magnitude))))


def decayed(decay: Decay, operand: models.Expression, target: models.Expression | None, to: Lowering) -> models.Expression:
    """The decay of the distance from `operand` to `target`, both lowered; None is 0."""
    exact = all(float(np.float32(number)) == number for number in (decay.scale, decay.midpoint))
    if not exact or _breaks_on_clusters(decay):
        return _decay_by_hand(decay, operand if target is None else total(operand, negative(target)), to)
    params = models.DecayParamsExpression.model_construct(
        x=operand, target=target, scale=float(decay.scale), midpoint=float(decay.midpoint)
    )
    match decay.shape:
        case "exp":
            return models.ExpDecayExpression.model_construct(exp_decay=params)
        case "gauss":
            return models.GaussDecayExpression.model_construct(gauss_decay=params)
        case "lin":
            return models.LinDecayExpression.model_construct(lin_decay=params)
    assert_never(decay.shape)


def _breaks_on_clusters(decay: Decay) -> bool:
    """A linear decay this steep is refused when one node of a cluster passes it to another."""
    return decay.shape == "lin" and (1 - decay.midpoint) / decay.scale > 1


def _decay_by_hand(decay: Decay, difference: models.Expression, to: Lowering) -> models.Expression:
    """The decay as arithmetic, whose constants are exact where a native decay would round scale and midpoint."""
    magnitude = absolute(difference)
    match decay.shape:
        case "exp":
            return exponential(product(to.constant(math.log(decay.midpoint) / decay.scale), magnitude))
        case "gauss":
            root = product(to.constant(math.sqrt(-math.log(decay.midpoint)) / decay.scale), magnitude)
            return exponential(negative(power(root, 2.0)))
        case "lin":
            slope = to.constant(-(1 - decay.midpoint) / decay.scale)
            return to.greatest(total(1.0, product(slope, magnitude)), 0.0)
    assert_never(decay.shape)
