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
    Instant,
    Now,
    Param,
    QueryTokens,
    Raw,
    RerankScore,
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
    "Instant",
    "Logarithm",
    "Maximum",
    "Minimum",
    "Negative",
    "Now",
    "Param",
    "Power",
    "Product",
    "QueryTokens",
    "Quotient",
    "Raw",
    "RerankScore",
    "Sigmoid",
    "SquareRoot",
    "Sum",
    "Tanh",
    "When",
    "as_expression",
]
