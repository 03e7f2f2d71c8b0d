"""All nodes of formulas in one place: small frozen values. What they mean is read elsewhere.

`lowering` turns them into Qdrant's expressions, `evaluation` computes them with numpy, `inspect` lists what they read,
`text` writes them as Python.
"""

from __future__ import annotations

from .base import Constant, Expression, ExpressionLike, Negative, Power, Product, Quotient, Sum, as_expression
from .functions import (
    Absolute,
    Decay,
    DecayKind,
    Exponential,
    Logarithm,
    Maximum,
    Minimum,
    Sigmoid,
    SquareRoot,
    Tanh,
)
from .leaves import (
    Affinity,
    CandidateScore,
    DatetimeField,
    Field,
    GeoDistance,
    Given,
    Instant,
    ModelScore,
    Now,
    QueryTokens,
    Raw,
    When,
)

__all__ = [
    "Absolute",
    "Affinity",
    "CandidateScore",
    "Constant",
    "DatetimeField",
    "Decay",
    "DecayKind",
    "Exponential",
    "Expression",
    "ExpressionLike",
    "Field",
    "GeoDistance",
    "Given",
    "Instant",
    "Logarithm",
    "Maximum",
    "Minimum",
    "ModelScore",
    "Negative",
    "Now",
    "Power",
    "Product",
    "QueryTokens",
    "Quotient",
    "Raw",
    "Sigmoid",
    "SquareRoot",
    "Sum",
    "Tanh",
    "When",
    "as_expression",
]
