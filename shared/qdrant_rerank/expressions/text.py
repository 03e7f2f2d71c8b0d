"""Expressions as Python text: `eval(text(e)) == e`, with as few parentheses as that allows."""

from __future__ import annotations

from ..values import call, literal
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
)

__all__ = ["text"]

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
