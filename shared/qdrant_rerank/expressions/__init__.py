"""Formulas: small frozen nodes, built with functions and operators, read in several ways.

`nodes` are the values, and their `repr`; `build` the functions that users write; `text` reads them from text; `inspect` lists
what they read; `lowering` turns them into Qdrant's expressions, `evaluation` computes them with numpy.
"""

from __future__ import annotations

from .build import (
    affinity,
    at_most_zero,
    clip,
    constant,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    divide,
    exp,
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
    sigmoid,
    sqrt,
    tanh,
    when,
)
from .nodes import Expression, ExpressionLike, Function, as_expression
from .text import parse_expression

__all__ = [
    "Expression",
    "ExpressionLike",
    "Function",
    "affinity",
    "as_expression",
    "at_most_zero",
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
