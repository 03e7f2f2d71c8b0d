"""Expressions from text, for strategy files and the command line: `0.8 * score() + 0.2 * field('rating', 3.0)`; and in short.

The text is Python's syntax, but nothing is executed: numbers, text, the operators of expressions, the functions of `build`,
and `models.X(…)` for conditions of qdrant_client.models. Anything else is refused.
"""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel
from qdrant_client import models

from ..errors import StrategyError, did_you_mean
from ..values import brief
from . import build
from .nodes import Constant, Expression, Function, Negative, Product, Sum, as_expression

_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    **{name: getattr(build, name) for name in build.__all__},
    "abs": abs,
    "datetime_field": lambda key, default=None: build.datetime_field(key, _moment(default)),
    "instant": lambda at: build.instant(_moment(at)),
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


def _find_function(name: str) -> Callable[..., Any] | None:
    """What users call by this name, or a class below `Function`, which may be a user's own."""
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    return next((_apply(each) for each in Function.all.values() if each.name == name), None)


def _apply(function: type[Function]) -> Callable[[Any], Expression]:
    return lambda operand: function(as_expression(operand))


def _list_functions() -> list[str]:
    return list(dict.fromkeys([*_FUNCTIONS, *(each.name for each in Function.all.values())]))


def _moment(value: Any) -> Any:
    """A date or time as ISO 8601 text, which is how text holds it."""
    return dt.datetime.fromisoformat(value) if isinstance(value, str) else value


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
            hint = did_you_mean(name, _list_functions()) or f": did you mean field({name!r})?"
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
    if (function := _find_function(name)) is not None:
        return function
    if name in _DATETIMES:
        return _DATETIMES[name]
    if name.startswith("models."):
        model = getattr(models, name.removeprefix("models."), None)
        if isinstance(model, type):  # its pydantic models and enums; neither does more than hold values
            return _checked_model(model, name)
    known = _list_functions()
    hint = did_you_mean(name, known)
    raise StrategyError(f"unknown function {name!r} at column {node.col_offset + 1}{hint}; there are {', '.join(known)}")


def _checked_model(model: type, name: str) -> Callable[..., Any]:
    from enum import Enum

    if not issubclass(model, BaseModel | Enum) or not model.__module__.startswith("qdrant_client."):
        raise StrategyError(f"{name} has no place in an expression")
    return model


# Long expressions in short, for people: what is written to files stays whole

_LONGEST_TERM: Final = 60  # characters that are worth reading
_LONGEST: Final = 200  # characters of an expression
_STEP: Final = "1e+38"  # in what splits by numbers are compiled to (see learn.gates), and in nobody's own formulas
_TREE: Final = 160  # characters beyond which a text of choices is a tree's as well
_READ: Final = re.compile(r"""\b(?:score|field|param|datetime_field|geo_distance)\((?:name=)?['"]([^'"]+)|\bkey=['"]([^'"]+)""")
_NUMBER: Final = re.compile(r"constant\(([^()]*)\)")
_TERMS: Final = 6
_NAMES: Final = 6


def brief_term(text: str, longest: int = _LONGEST_TERM) -> str:
    """A summand's text on one line; of a tree what it reads, of another one longer than `longest` the beginning."""
    flat = " ".join(text.split())
    if number := _NUMBER.fullmatch(flat):
        return f"{float(number[1]):.4g}"
    if len(flat) <= longest:
        return flat
    if _is_tree(flat):
        flat = f"branch of a tree{_over(flat)}"
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def brief_expression(expression: Expression) -> str:
    """The text of an expression; of a long one the first terms, and how many more and how many trees there are."""
    text = repr(expression)
    if len(text) <= _LONGEST:
        return text
    if isinstance(expression, Sum):
        return _brief_sum(expression.terms)
    long = [operand for operand in expression.operands if len(repr(operand)) > _LONGEST_TERM]
    if len(long) == 1 and isinstance(long[0], Sum):  # as in sigmoid(a + b + …)
        return text.replace(repr(long[0]), brief_expression(long[0]))
    return f"{{{brief_term(text)}}}"


def _is_tree(text: str) -> bool:
    return _STEP in text or (len(text) > _TREE and "when(" in text)


def _over(text: str) -> str:
    """What a text reads, by name."""
    names = list(dict.fromkeys(score or key for score, key in _READ.findall(text)))
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f" over {', '.join(names[:_NAMES])}{more}" if names else ""


def _brief_sum(terms: Sequence[Expression]) -> str:
    """The first few terms that are no trees, how many more there are, and how many trees."""
    own: list[Expression] = []
    trees: list[Expression] = []
    for term in terms:
        (trees if _is_tree(repr(term)) else own).append(term)
    parts = [brief_term(repr(term)) for term in own[:_TERMS]]
    if left := len(own) - len(parts):
        parts.append(f"{{{left} other {'term' if left == 1 else 'terms'}}}")
    if trees:
        # the two sides of a tree's first split stand one after the other
        count = len(trees) - sum(_is_other_side(one, two) for one, two in pairwise(trees))
        parts.append(f"{{{count} {'tree' if count == 1 else 'trees'}{_over(' '.join(map(repr, trees)))}}}")
    return " + ".join(parts)


def _is_other_side(one: Expression, two: Expression) -> bool:
    if not (isinstance(one, Product) and isinstance(two, Product)):
        return False
    return two.factors[0] == Sum((Constant(1.0), Negative(one.factors[0])))
