"""Expressions as Python text, and back: `eval(text(e)) == e`, with as few parentheses as that allows.

Strategy files and the command line hold expressions as text: `0.8 * score() + 0.2 * field('rating', 3.0)`. It is Python's
syntax, but nothing is executed: numbers, text, the operators of expressions, the functions of `expressions.build`, and
`models.X(…)` for conditions of qdrant_client.models. Anything else is refused.
"""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from qdrant_client import models

from ..errors import StrategyError, did_you_mean
from ..values import brief, call, literal
from . import build
from .nodes import (
    Absolute,
    Affinity,
    CandidateScore,
    Constant,
    DatetimeField,
    Decay,
    Exponential,
    Expression,
    Field,
    GeoDistance,
    Instant,
    Logarithm,
    Maximum,
    Minimum,
    Negative,
    Now,
    Param,
    Power,
    Product,
    QueryTokens,
    Quotient,
    Raw,
    RerankScore,
    Sigmoid,
    SquareRoot,
    Sum,
    Tanh,
    When,
    as_expression,
)

__all__ = ["parse_expression", "text"]

_SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(5)
_UNARY_NAMES: dict[type[Expression], str] = {
    Exponential: "exp",
    Sigmoid: "sigmoid",
    SquareRoot: "sqrt",
    Tanh: "tanh",
}


def text(expression: Expression) -> str:
    """Python source for `expression`, using the functions of `expressions.build`."""
    return _operand(expression, _SUM)


def _write(expression: Expression) -> tuple[str, int]:
    """The text, and how tightly its outermost operator binds."""
    match expression:
        case Constant(value):
            return repr(value), _UNARY if repr(value).startswith("-") else _ATOM
        case Sum(terms):
            return _sum(terms), _SUM
        case Product(factors):
            rest = "".join(f" * {_inside(factor, _UNARY)}" for factor in factors[1:])
            return _first(factors, _PRODUCT) + rest, _PRODUCT
        case Negative(operand):
            return f"-{_operand(operand, _UNARY)}", _UNARY
        case Quotient(dividend, divisor, None):
            return f"{_operand(dividend, _PRODUCT)} / {_inside(divisor, _UNARY)}", _PRODUCT
        case Power(base, exponent):
            return f"{_operand(base, _ATOM)} ** {exponent!r}", _POWER
        case _:
            return _function(expression), _ATOM


def _sum(terms: tuple[Expression, ...]) -> str:
    written = _first(terms, _PRODUCT)
    for term in terms[1:]:
        match term:
            case Negative(operand):
                written += f" - {_operand(operand, _PRODUCT)}"
            case Constant(value) if repr(value).startswith("-"):
                written += f" - {-value!r}"
            case _:
                written += f" + {_inside(term, _PRODUCT)}"
    return written


def _first(operands: tuple[Expression, ...], level: int) -> str:
    """The text of the first operand: two numbers side by side would be computed by Python, so mark the first."""
    first, second = operands[:2]
    return _operand(first, level) if isinstance(second, Constant) else _inside(first, level)


def _function(expression: Expression) -> str:
    match expression:
        case CandidateScore(name, default):
            named = {} if default == 0.0 else {"default": default}
            return call("score", **named) if name is None else call("score", name, **named)
        case RerankScore():
            return "rerank_score()"
        case QueryTokens(using):
            return call("query_tokens", using)
        case Field(key, default):
            return call("field", key, **_given(default=default))
        case Param(name, default):
            return call("param", name, **_given(default=default))
        case Quotient(dividend, divisor, at_zero):
            return f"divide({_argument(dividend)}, {_argument(divisor)}, at_zero={at_zero!r})"
        case Absolute(operand):
            return f"abs({text(operand)})"  # Python's own function: it would compute a plain number at once
        case Exponential() | Sigmoid() | SquareRoot() | Tanh():
            return f"{_UNARY_NAMES[type(expression)]}({_argument(expression.operands[0])})"
        case Logarithm(operand, floor, base):
            return f"{'log' if base == 'e' else 'log10'}({_argument(operand)}, floor={floor!r})"
        case Minimum(among):
            return f"min_({', '.join(map(_argument, among))})"
        case Maximum(among):
            return f"max_({', '.join(map(_argument, among))})"
        case Affinity(key, name, default):
            return call("affinity", key, param=name, **_given(default=default))
        case When(condition, Constant(1.0), Constant(0.0)):
            return f"when({literal(condition)})"
        case When(condition, then, otherwise):
            return f"when({literal(condition)}, {_argument(then)}, {_argument(otherwise)})"
        case Decay(kind, operand, target, scale, midpoint):
            return f"decay_{kind}({_argument(operand)}, {_argument(target)}, scale={scale!r}, midpoint={midpoint!r})"
        case Now():
            return "now()"
        case Instant(at):
            return call("instant", at)
        case DatetimeField(key, default):
            return call("datetime_field", key, **_given(default=default))
        case GeoDistance(origin, key, default):
            return call("geo_distance", origin, key, **_given(default=default))
        case Raw(inner):
            return call("raw", inner)
        case _:
            raise TypeError(f"no text for {type(expression).__name__}")


def _given(**named: object) -> dict[str, object]:
    return {key: value for key, value in named.items() if value is not None}


def _argument(expression: Expression) -> str:
    return _write(expression)[0]


def _inside(expression: Expression, level: int) -> str:
    """The text of an operand, in parentheses unless it binds at least as tightly as `level`."""
    written, own = _write(expression)
    return written if own >= level else f"({written})"


def _operand(expression: Expression, level: int) -> str:
    """As `_inside`, where a bare number would make Python compute what Qdrant should."""
    return f"constant({expression.value!r})" if isinstance(expression, Constant) else _inside(expression, level)


_FUNCTIONS: dict[str, Callable[..., Any]] = {name: getattr(build, name) for name in build.__all__} | {"abs": abs}
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
