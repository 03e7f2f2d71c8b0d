"""Formulas: small frozen nodes, built with functions and operators, read in several ways.

`nodes` are the values, and their `repr`; `build` the functions that users write; `text` reads them from text; `inspect` lists
what they read; `lowering` turns them into Qdrant's expressions, `evaluation` computes them with numpy.
"""

from __future__ import annotations

from . import build
from .build import *  # noqa: F403  # its `__all__` lists them
from .nodes import Expression, ExpressionLike, Function, as_expression
from .text import parse_expression

__all__ = ["Expression", "ExpressionLike", "Function", "as_expression", "parse_expression"]
__all__ += build.__all__
