"""Functions of other expressions: sigmoid, logarithm, minimum, decays and the like.

Each is defined for every number, because one undefined value makes Qdrant refuse the whole query.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ..errors import StrategyError
from .arguments import check_number, flattened
from .base import Constant, Expression
from .wire import F32_TINY

__all__ = [
    "Absolute",
    "Decay",
    "DecayKind",
    "Exponential",
    "Logarithm",
    "Maximum",
    "Minimum",
    "Sigmoid",
    "SquareRoot",
    "Tanh",
]


_LEAST_SCALE = 1e-30  # so that the slope of a decay still fits 32-bit floats


@dataclass(frozen=True, repr=False)
class Absolute(Expression):
    """The operand without its sign."""

    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, repr=False)
class Exponential(Expression):
    """`e ** operand`; operands above 700 count as 700, which is still finite."""

    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, repr=False)
class Logarithm(Expression):
    """The logarithm of the operand, or of `floor` where the operand is below it.

    Attributes:
        base: `"e"` or `"10"`.
    """

    operand: Expression
    floor: float = 1e-9
    base: Literal["e", "10"] = "e"

    def __post_init__(self) -> None:
        object.__setattr__(self, "floor", check_number(self.floor, "the floor of a logarithm", required=True))
        if self.floor < F32_TINY:
            less = f" (numbers less than {F32_TINY:.3g} count as 0 in formulas)" if self.floor > 0 else ""
            raise StrategyError(f"the floor of a logarithm must be above 0, got {self.floor!r}{less}")
        if self.base not in ("e", "10"):
            raise StrategyError(f"the base of a logarithm is 'e' or '10', got {self.base!r}")

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, repr=False)
class SquareRoot(Expression):
    """The square root of the operand; 0 where the operand is negative."""

    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, repr=False)
class Sigmoid(Expression):
    """`1 / (1 + exp(-operand))`, computed without overflow: a logistic model's probability."""

    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, repr=False)
class Tanh(Expression):
    """The hyperbolic tangent of the operand."""

    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, repr=False)
class Minimum(Expression):
    """The least of two or more operands."""

    among: tuple[Expression, ...]

    def __post_init__(self) -> None:
        parts = (each.among if isinstance(each, Minimum) else (each,) for each in self.among)
        object.__setattr__(self, "among", flattened("minimum", self.among, parts))

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.among


@dataclass(frozen=True, repr=False)
class Maximum(Expression):
    """The greatest of two or more operands."""

    among: tuple[Expression, ...]

    def __post_init__(self) -> None:
        parts = (each.among if isinstance(each, Maximum) else (each,) for each in self.among)
        object.__setattr__(self, "among", flattened("maximum", self.among, parts))

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.among


DecayKind: TypeAlias = Literal["exp", "gauss", "lin"]


@dataclass(frozen=True, repr=False)
class Decay(Expression):
    """1 where `operand` is at `target`, falling to `midpoint` at a distance of `scale` (same unit as the operand)."""

    shape: DecayKind
    operand: Expression
    target: Expression = Constant(0.0)  # noqa: RUF009  # immutable
    scale: float = 1.0
    midpoint: float = 0.5

    def __post_init__(self) -> None:
        if self.shape not in get_args(DecayKind):
            raise StrategyError(f"a decay is one of exp, gauss, lin; got {self.shape!r}")
        object.__setattr__(self, "scale", check_number(self.scale, "the scale of a decay", required=True))
        object.__setattr__(self, "midpoint", check_number(self.midpoint, "the midpoint of a decay", required=True))
        if self.scale < _LEAST_SCALE:
            least = "above 0" if self.scale <= 0 else f"at least {_LEAST_SCALE:g}"
            raise StrategyError(f"the scale of a decay must be {least}, got {self.scale!r}")
        if not 0 < self.midpoint < 1:
            raise StrategyError(f"the midpoint of a decay must be between 0 and 1, got {self.midpoint!r}")

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.operand, self.target
