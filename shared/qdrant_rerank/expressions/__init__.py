"""Formulas: small frozen nodes, built with functions and operators, read in several ways.

`nodes` are the values; `build` the functions that users write; `text` is their `repr`; `inspect` lists what they
read; `lowering` turns them into Qdrant's expressions; `parse` reads them from text.
"""

from __future__ import annotations

from .build import (
    affinity,
    clip,
    constant,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    divide,
    field,
    geo_distance,
    instant,
    log,
    log10,
    max_,
    max_sim,
    min_,
    now,
    param,
    query_tokens,
    raw,
    relu,
    rerank_score,
    score,
    when,
)
from .functions import exp, sigmoid, sqrt, tanh
from .nodes import Expression, ExpressionLike, Function, as_expression
from .text import parse_expression

__all__ = [
    "Expression",
    "ExpressionLike",
    "Function",
    "affinity",
    "as_expression",
    "clip",
    "constant",
    "datetime_field",
    "decay_exp",
    "decay_gauss",
    "decay_lin",
    "divide",
    "exp",
    "field",
    "geo_distance",
    "instant",
    "log",
    "log10",
    "max_",
    "max_sim",
    "min_",
    "now",
    "param",
    "parse_expression",
    "query_tokens",
    "raw",
    "relu",
    "rerank_score",
    "score",
    "sigmoid",
    "sqrt",
    "tanh",
    "when",
]
