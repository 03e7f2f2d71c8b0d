"""What an expression is, and the arithmetic that Python's operators stand for.

Sums and products are kept flat, so that a long sum doesn't become a deep tree (servers refuse JSON deeper than about
127 levels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from qdrant_client import models

from ..errors import StrategyError
from ..values import brief, is_finite, is_number, to_plain
from .arguments import check_number, flattened
from .wire import F32_MAX, F32_TINY

__all__ = ["Constant", "Expression", "ExpressionLike", "Negative", "Power", "Product", "Quotient", "Sum", "as_expression"]


_LARGEST_EXPONENT = 2**24  # beyond, 32-bit floats know no odd numbers
_TINIEST = f"numbers less than {F32_TINY:.3g} count as 0 in formulas"


class Expression:
    """A number that Qdrant computes for each candidate.

    Combine expressions with `+ - * / **`, with each other and with plain numbers. `repr` gives Python text that
    evaluates to the expression. Equality is structural; expressions are immutable.
    """

    def __add__(self, other: ExpressionLike) -> Expression:
        return Sum((self, as_expression(other)))

    def __radd__(self, other: ExpressionLike) -> Expression:
        return Sum((as_expression(other), self))

    def __sub__(self, other: ExpressionLike) -> Expression:
        return Sum((self, -as_expression(other)))

    def __rsub__(self, other: ExpressionLike) -> Expression:
        return Sum((as_expression(other), -self))

    def __mul__(self, other: ExpressionLike) -> Expression:
        return Product((self, as_expression(other)))

    def __rmul__(self, other: ExpressionLike) -> Expression:
        return Product((as_expression(other), self))

    def __truediv__(self, other: ExpressionLike) -> Expression:
        return Quotient(self, as_expression(other))

    def __rtruediv__(self, other: ExpressionLike) -> Expression:
        return Quotient(as_expression(other), self)

    def __pow__(self, exponent: float) -> Expression:
        return Power(self, exponent)

    def __neg__(self) -> Expression:
        return Negative(self)

    def __abs__(self) -> Expression:
        from .functions import Absolute  # functions.py builds on this file

        return Absolute(self)

    def __bool__(self) -> bool:
        raise StrategyError(
            "an expression has no truth value: Qdrant computes it for each candidate; "
            "use when(condition, then, otherwise) instead of if, and, or"
        )

    @property
    def operands(self) -> tuple[Expression, ...]:
        """The expressions that this one is computed from, in order."""
        return ()

    def __repr__(self) -> str:
        from .text import text  # text.py reads the nodes; importing it above would be a circle

        return text(self)


ExpressionLike: TypeAlias = "Expression | float | models.Expression"
"""What is taken for an expression: a node, a number, or a raw `qdrant_client.models` expression."""


@dataclass(frozen=True, repr=False)
class Constant(Expression):
    """A number that is the same for every candidate."""

    value: float

    def __post_init__(self) -> None:
        plain = to_plain(self.value)
        if not is_number(plain):
            raise StrategyError(f"a constant in a formula must be a number, got {brief(self.value)}")
        if not is_finite(plain) or abs(plain) > F32_MAX:
            raise StrategyError(f"a constant in a formula must be finite and fit 32-bit floats, got {brief(self.value)}")
        object.__setattr__(self, "value", float(plain))

    def __neg__(self) -> Expression:
        return Constant(-self.value)


@dataclass(frozen=True, repr=False)
class Sum(Expression):
    """The sum of `terms`, of which there are at least two; sums among them are taken apart."""

    terms: tuple[Expression, ...]

    def __post_init__(self) -> None:
        parts = (term.terms if isinstance(term, Sum) else (term,) for term in self.terms)
        object.__setattr__(self, "terms", flattened("sum", self.terms, parts))

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.terms


@dataclass(frozen=True, repr=False)
class Product(Expression):
    """The product of two or more `factors`. As on the server, it is 0 from the first factor that is 0."""

    factors: tuple[Expression, ...]

    def __post_init__(self) -> None:
        parts = (factor.factors if isinstance(factor, Product) else (factor,) for factor in self.factors)
        object.__setattr__(self, "factors", flattened("product", self.factors, parts))

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.factors


@dataclass(frozen=True, repr=False)
class Negative(Expression):
    """The operand with its sign turned."""

    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, repr=False)
class Quotient(Expression):
    """`dividend / divisor`; `at_zero` where the divisor is 0 (and 0 where the dividend is 0, as on the server).

    Raises:
        StrategyError: the divisor can be 0 and `at_zero` doesn't say what the quotient is then.
    """

    dividend: Expression
    divisor: Expression
    at_zero: float | None = None

    def __post_init__(self) -> None:
        if self.at_zero is None and isinstance(self.divisor, Constant) and abs(self.divisor.value) < F32_TINY:
            raise StrategyError(f"division by zero: {brief(self.dividend)} / {self.divisor.value:g} ({_TINIEST})")
        if self.at_zero is None and not isinstance(self.divisor, Constant):
            raise StrategyError(
                f"{brief(self.divisor)} may be 0, which would fail the whole query: "
                "write divide(dividend, divisor, at_zero=…) to say what the quotient is then"
            )
        object.__setattr__(self, "at_zero", check_number(self.at_zero, "at_zero"))

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.dividend, self.divisor


@dataclass(frozen=True, repr=False)
class Power(Expression):
    """`base ** exponent` for a whole, non-negative exponent, which no base can make undefined."""

    base: Expression
    exponent: float

    def __post_init__(self) -> None:
        plain = to_plain(self.exponent)
        if not is_finite(plain):
            raise StrategyError(f"an exponent must be a whole number, got {brief(self.exponent)}")
        if plain < 0 or plain != int(plain):
            raise StrategyError(f"an exponent must be a whole number of at least 0, got {brief(self.exponent)}")
        if plain > _LARGEST_EXPONENT:
            raise StrategyError(f"an exponent must be at most {_LARGEST_EXPONENT:,}, got {brief(self.exponent)}")
        object.__setattr__(self, "exponent", plain)

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.base,)


def as_expression(value: ExpressionLike) -> Expression:
    """The expression that `value` stands for.

    Raises:
        StrategyError: it stands for none.
    """
    if isinstance(value, Expression):
        return value
    if is_number(to_plain(value)):
        return Constant(value)  # type: ignore[arg-type]  # is_number() has just looked
    from .leaves import from_model  # leaves.py builds on this file

    return from_model(value)
