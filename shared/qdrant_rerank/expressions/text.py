"""Expressions from text, for strategy files and the command line: `0.8 * score() + 0.2 * field('rating', 3.0)`.

The text is Python's syntax, but nothing is executed: numbers, text, the operators of expressions, the functions of `build` and
`functions`, and `models.X(…)` for conditions of qdrant_client.models. Anything else is refused.
"""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel
from qdrant_client import models

from ..errors import StrategyError, did_you_mean
from ..values import brief
from . import build  # whose classes are in `Function.all`
from .nodes import Expression, Function, as_expression

__all__ = ["parse_expression"]


def _apply(function: type[Function]) -> Callable[[Any], Expression]:
    return lambda operand: function(as_expression(operand))


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    **{name: getattr(build, name) for name in build.__all__},
    **{function.name: _apply(function) for function in Function.all.values()},
    "abs": abs,
}
_DATETIMES: dict[str, Callable[[str], Any]] = {
    "datetime.datetime.fromisoformat": dt.datetime.fromisoformat,
    "datetime.date.fromisoformat": dt.date.fromisoformat,
}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.Pow: lambda left, right: left**right,
}


def parse_expression(text: str) -> Expression:
    """The expression that `text` stands for; reads what `repr` of an expression writes.

    Raises:
        StrategyError: the text isn't one; the message points at the place.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return as_expression(_value(tree.body))
    except SyntaxError as error:
        raise StrategyError(f"not an expression: {error.msg} at column {error.offset}: {brief(text)}") from None
    except (RecursionError, MemoryError):  # the parser's stack
        raise StrategyError(f"not an expression: too long or too deeply nested to be read as text: {text[:80]!r}…") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, StrategyError):
            raise
        raise StrategyError(f"not an expression: {error}: {brief(text)}") from error


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float | str) or value is None:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)](*_operands(_value(left), _value(right)))
        case ast.Call(func=function, args=args, keywords=keywords):
            return _callable(function)(*map(_value, args), **_named(keywords))
        case ast.Tuple(elts=items):
            return tuple(map(_value, items))
        case ast.List(elts=items):
            return list(map(_value, items))
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.Name(id=name):
            hint = did_you_mean(name, _FUNCTIONS) or f": did you mean field({name!r})?"
            raise StrategyError(f"unknown name {name!r} at column {node.col_offset + 1}{hint}")
        case _:
            raise StrategyError(f"{ast.unparse(node)!r} at column {node.col_offset + 1} has no place in an expression")


def _operands(left: Any, right: Any) -> tuple[Any, Any]:
    """Both as they are beside an expression; between plain numbers floats, which unlike `9**9**9` have an end."""
    if isinstance(left, Expression) or isinstance(right, Expression):
        return left, right
    for value in (left, right):
        if not isinstance(value, int | float):
            raise StrategyError(f"{brief(value)} can't be computed with; the operators take numbers and expressions")
    return float(left), float(right)


def _named(keywords: list[ast.keyword]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for keyword in keywords:
        value = _value(keyword.value)
        named.update(value if keyword.arg is None else {keyword.arg: value})
    return named


def _callable(node: ast.expr) -> Callable[..., Any]:
    name = ast.unparse(node)
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name in _DATETIMES:
        return _DATETIMES[name]
    if name.startswith("models."):
        model = getattr(models, name.removeprefix("models."), None)
        if isinstance(model, type):  # its pydantic models and enums; neither does more than hold values
            return _checked_model(model, name)
    known = ", ".join(_FUNCTIONS)
    raise StrategyError(
        f"unknown function {name!r} at column {node.col_offset + 1}{did_you_mean(name, _FUNCTIONS)}; there are {known}"
    )


def _checked_model(model: type, name: str) -> Callable[..., Any]:
    from enum import Enum

    if not issubclass(model, BaseModel | Enum) or not model.__module__.startswith("qdrant_client."):
        raise StrategyError(f"{name} has no place in an expression")
    return model
