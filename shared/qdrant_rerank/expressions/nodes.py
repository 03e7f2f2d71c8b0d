"""The nodes of formulas: small frozen values, the arithmetic of Python's operators on them, and their `repr`, which is Python.

`build` has the functions of one operand; `lowering` turns nodes into Qdrant's expressions, `evaluation` computes them with
numpy, `inspect` lists what they read, `text` reads them from Python's syntax.

Sums and products are kept flat, so that a long sum doesn't become a deep tree (servers refuse JSON deeper than about 127
levels). Functions are defined for every number, because one undefined value makes Qdrant refuse the whole query.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..errors import StrategyError
from ..values import brief, call, is_finite, is_number, literal, to_plain
from .wire import F32_MAX, F32_TINY, Dialect, absolute


def check_key(key: object) -> None:
    """Refuse what can't be a payload key."""
    if not isinstance(key, str) or not key:
        raise StrategyError(f"a payload key must be a non-empty string, got {key!r}")
    if key.startswith("$"):
        raise StrategyError(f"{key!r} is not a payload key; for a candidate's score write score() or score('name')")
    if "[]" in key:
        raise StrategyError(f"{key!r} selects several values, and a formula reads one: name one, e.g. with [0]")


def check_number(value: Any, what: str, required: bool = False) -> Any:
    """The number as one of Python's; refuse what is none, or what formulas can't hold. None passes unless `required`."""
    if value is None and not required:
        return None
    plain = to_plain(value)
    if not is_finite(plain):
        raise StrategyError(f"{what} must be a finite number, got {brief(value)}")
    if abs(plain) > F32_MAX:
        raise StrategyError(f"{what} must fit 32-bit floats, which end at {F32_MAX:g}, got {brief(value)}")
    return plain


def check_moment(value: object, what: str) -> None:
    """Refuse what isn't a date-time, or one that is none in UTC; None passes."""
    if value is None:
        return
    if not isinstance(value, dt.datetime):
        raise StrategyError(f"{what} must be a datetime.datetime, got {value!r}: datetime.fromisoformat(…) makes one of text")
    try:
        in_utc(value)
    except OverflowError:
        raise StrategyError(f"{what} must be between the years 1 and 9999 in UTC, got {value!r}") from None


def in_utc(moment: dt.datetime) -> dt.datetime:
    """The moment in UTC, which it is taken for where it has no time zone: engines read no offsets with seconds."""
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def check_place(place: Any, what: str) -> tuple[float, float]:
    """`place` as `(lat, lon)` in degrees, or a StrategyError that starts with `what`."""
    message = f"{what} must be (latitude, longitude) in degrees, got {brief(place)}"
    if not isinstance(place, Sequence) or isinstance(place, str) or len(place) != 2:
        raise StrategyError(message)
    lat, lon = map(to_plain, place)
    for number, bound in ((lat, 90.0), (lon, 180.0)):
        if not is_finite(number) or abs(number) > bound:
            raise StrategyError(message)
    return float(lat), float(lon)


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
        return Absolute(self)

    def __bool__(self) -> bool:
        raise StrategyError(
            "an expression has no truth value: Qdrant computes it for each candidate; "
            "use when(condition, then, otherwise) instead of if, and, or"
        )

    _operands: ClassVar[tuple[str, ...]] = ()  # the names of the fields that hold them

    @property
    def operands(self) -> tuple[Expression, ...]:
        """The expressions that this one is computed from, in order."""
        return tuple([getattr(self, name) for name in self._operands])

    def __repr__(self) -> str:
        return _write_operand(self, _SUM)


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


class _Associative(Expression):
    """Two or more operands, in the one field that there is; nodes of the same kind among them are taken apart."""

    def __post_init__(self) -> None:
        [(name, given)] = vars(self).items()
        flat = tuple(part for each in given for part in (each.operands if type(each) is type(self) else (each,)))
        if len(flat) < 2:
            raise StrategyError(f"a {type(self).__name__.lower()} needs at least two operands, got {len(flat)}")
        object.__setattr__(self, name, flat)

    @property
    def operands(self) -> tuple[Expression, ...]:
        [operands] = vars(self).values()
        found: tuple[Expression, ...] = operands
        return found


@dataclass(frozen=True, repr=False)
class Sum(_Associative):
    """The sum of two or more `terms`."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, repr=False)
class Product(_Associative):
    """The product of two or more `factors`. As on the server, it is 0 from the first factor that is 0."""

    factors: tuple[Expression, ...]


@dataclass(frozen=True, repr=False)
class Negative(Expression):
    """The operand with its sign turned."""

    operand: Expression

    _operands = ("operand",)


@dataclass(frozen=True, repr=False)
class Quotient(Expression):
    """`dividend / divisor`; `at_zero` where the divisor is 0 (and 0 where the dividend is 0, as on the server).

    Raises StrategyError: the divisor can be 0 and `at_zero` doesn't say what the quotient is then.
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

    _operands = "dividend", "divisor"


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

    _operands = ("base",)


def as_expression(value: ExpressionLike) -> Expression:
    """The expression that `value` stands for.

    Raises:
        StrategyError: it stands for none.
    """
    if isinstance(value, Expression):
        return value
    if is_number(to_plain(value)):
        return Constant(value)  # type: ignore[arg-type]  # is_number() has just looked
    return wrap_model(value)


_LEAST_SCALE = 1e-30  # so that the slope of a decay still fits 32-bit floats


@dataclass(frozen=True, repr=False)
class Function(Expression, ABC):
    """A function of one operand. A subclass is all there is to say of one: see `build.py`.

    Attributes:
        name: what it is called in formulas.
        kind: what it is called in JSON.
    """

    operand: Expression

    name: ClassVar[str]
    kind: ClassVar[str]
    all: ClassVar[dict[str, type[Function]]] = {}

    def __init_subclass__(cls) -> None:
        Function.all[cls.kind] = cls

    _operands = ("operand",)

    @abstractmethod
    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        """Qdrant's expression, for the operand's."""

    @abstractmethod
    def compute(self, operand: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values, for the operand's."""


@dataclass(frozen=True, repr=False)
class Absolute(Function):
    """The operand without its sign."""

    name, kind = "abs", "absolute"

    def lower(self, operand: models.Expression, to: Dialect) -> models.Expression:
        return absolute(operand)

    def compute(self, operand: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(operand)


@dataclass(frozen=True, repr=False)
class Logarithm(Expression):
    """The logarithm of the operand, or of `floor` where the operand is below it."""

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

    _operands = ("operand",)


@dataclass(frozen=True, repr=False)
class Minimum(_Associative):
    """The least of two or more operands."""

    among: tuple[Expression, ...]


@dataclass(frozen=True, repr=False)
class Maximum(_Associative):
    """The greatest of two or more operands."""

    among: tuple[Expression, ...]


DecayKind: TypeAlias = Literal["exp", "gauss", "lin"]


@dataclass(frozen=True, repr=False)
class Decay(Expression):
    """1 where `operand` is at `target`, falling to `midpoint` at a distance of `scale` (same unit as the operand)."""

    shape: DecayKind
    operand: Expression
    target: Expression = Constant(0.0)  # immutable
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

    _operands = "operand", "target"


_CONDITIONS: Final[tuple[type[Any], ...]] = get_args(models.Condition)
_MODELS: Final[tuple[type[Any], ...]] = tuple(kind for kind in get_args(models.Expression) if isinstance(kind, type))


@dataclass(frozen=True, repr=False)
class CandidateScore(Expression):
    """The score that a candidate stage gave the point, by the stage's name.

    Without a name: the formula's only candidate stage. `default` stands where that stage didn't find the point.
    """

    name: str | None = None
    default: float = 0.0

    def __post_init__(self) -> None:
        if self.name is not None and not isinstance(self.name, str):
            raise StrategyError(f"score() takes the name of a candidate, got {self.name!r}")
        _keep(self, f"the default of score({self.name!r})", required=True)


@dataclass(frozen=True, repr=False)
class RerankScore(Expression):
    """The score of the model that reads the text, where `Rerank(blend=…)` blends it; Qdrant can't know it."""


@dataclass(frozen=True, repr=False)
class QueryTokens(Expression):
    """How many token vectors the query has for a multivector: what a MaxSim score is divided by to compare queries."""

    using: str

    def __post_init__(self) -> None:
        if not isinstance(self.using, str):
            raise StrategyError(f"query_tokens() takes the name of a multivector, got {self.using!r}")


@dataclass(frozen=True, repr=False)
class Field(Expression):
    """A number in the payload. Without `default`, a candidate that lacks it fails the query."""

    key: str
    default: float | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        _keep(self, f"the default of field({self.key!r})")


@dataclass(frozen=True, repr=False)
class Param(Expression):
    """A number that comes with the query: `params={name: number}`. Without `default` it must be there."""

    name: str
    default: float | None = None

    def __post_init__(self) -> None:
        _keep(self, f"the default of param({self.name!r})")


@dataclass(frozen=True, repr=False)
class Now(Expression):
    """The time of the query, in seconds since 1970 (UTC)."""


@dataclass(frozen=True, repr=False)
class Instant(Expression):
    """A fixed time, in seconds since 1970; without a time zone it is taken as UTC."""

    at: dt.datetime

    def __post_init__(self) -> None:
        check_moment(self.at, "instant()")


@dataclass(frozen=True, repr=False)
class DatetimeField(Expression):
    """A date-time in the payload (RFC 3339 text), in seconds since 1970.

    Without `default`, a candidate that lacks it fails the query.
    """

    key: str
    default: dt.datetime | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        check_moment(self.default, f"the default of datetime_field({self.key!r})")


@dataclass(frozen=True, repr=False)
class GeoDistance(Expression):
    """Metres from `(lat, lon)` to a geo point in the payload; `default` metres for candidates without one.

    The place may be request-time: `origin="name"` reads `params={"name": (lat, lon)}`.
    """

    origin: tuple[float, float] | str
    key: str
    default: float | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        _keep(self, f"the default of geo_distance(…, {self.key!r})")
        if not isinstance(self.origin, str):
            object.__setattr__(self, "origin", check_place(self.origin, "the origin of a geo_distance"))


@dataclass(frozen=True, repr=False)
class Raw(Expression):
    """An expression of `qdrant_client.models`, sent as it is: the escape hatch."""

    expression: models.Expression

    def __post_init__(self) -> None:
        if not isinstance(self.expression, (*_MODELS, str)):
            raise StrategyError(f"raw() takes an expression of qdrant_client.models, got {brief(self.expression)}")


@dataclass(frozen=True, repr=False)
class When(Expression):
    """`then` for candidates that meet a Qdrant condition or filter, `otherwise` for the rest."""

    condition: models.Condition
    then: Expression = Constant(1.0)  # immutable
    otherwise: Expression = Constant(0.0)  # immutable

    def __post_init__(self) -> None:
        if not isinstance(self.condition, _CONDITIONS):
            raise StrategyError(
                "when() takes a condition of qdrant_client.models, e.g. "
                "models.FieldCondition(key='category', match=models.MatchValue(value='news')) or a models.Filter; "
                f"got {brief(self.condition)}"
            )

    _operands = "then", "otherwise"


@dataclass(frozen=True, repr=False)
class Affinity(Expression):
    """What a user feels for a point's category: the request-time map `params={param: {category: weight}}` at `key`.

    Points whose category isn't in the map, or that have none, get `default` (0 if it is None); a point with several
    categories gets the sum of their weights. Only the categories in the map are sent, however many the collection
    has. Without a `default`, the map must be given.
    """

    key: str
    param: str
    default: float | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        _keep(self, f"the default of affinity({self.key!r})")


def _keep(node: Any, what: str, required: bool = False) -> None:
    """Keep a node's default as a number of Python's."""
    object.__setattr__(node, "default", check_number(node.default, what, required))


def wrap_model(value: Any) -> Expression:
    """The node for an expression or condition of `qdrant_client.models`. Raises StrategyError: it is neither."""
    if isinstance(value, _CONDITIONS):
        return When(value)
    if isinstance(value, _MODELS):
        return Raw(value)
    hint = f": did you mean field({value!r}) or score({value!r})?" if isinstance(value, str) else ""
    raise StrategyError(f"not an expression: {brief(value)}{hint}")


# As Python text, with as few parentheses as `eval(repr(e)) == e` allows

_SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(5)


def _write(expression: Expression) -> tuple[str, int]:
    """The text, and how tightly its outermost operator binds."""
    match expression:
        case Constant(value):
            return repr(value), _UNARY if repr(value).startswith("-") else _ATOM
        case Sum(terms):
            return _write_sum(terms), _SUM
        case Product(factors):
            rest = "".join(f" * {_write_inside(factor, _UNARY)}" for factor in factors[1:])
            return _write_first(factors, _PRODUCT) + rest, _PRODUCT
        case Negative(operand):
            return f"-{_write_operand(operand, _UNARY)}", _UNARY
        case Quotient(dividend, divisor, None):
            return f"{_write_operand(dividend, _PRODUCT)} / {_write_inside(divisor, _UNARY)}", _PRODUCT
        case Power(base, exponent):
            return f"{_write_operand(base, _ATOM)} ** {exponent!r}", _POWER
        case _:
            return _call_of(expression), _ATOM


def _write_sum(terms: tuple[Expression, ...]) -> str:
    written = _write_first(terms, _PRODUCT)
    for term in terms[1:]:
        match term:
            case Negative(operand):
                written += f" - {_write_operand(operand, _PRODUCT)}"
            case Constant(value) if repr(value).startswith("-"):
                written += f" - {-value!r}"
            case _:
                written += f" + {_write_inside(term, _PRODUCT)}"
    return written


def _write_first(operands: tuple[Expression, ...], level: int) -> str:
    """The text of the first operand: two numbers side by side would be computed by Python, so mark the first."""
    first, second = operands[:2]
    return _write_operand(first, level) if isinstance(second, Constant) else _write_inside(first, level)


def _call_of(expression: Expression) -> str:
    match expression:
        case CandidateScore(name, default):
            named = {} if default == 0.0 else {"default": default}
            return call("score", **named) if name is None else call("score", name, **named)
        case RerankScore():
            return "rerank_score()"
        case QueryTokens(using):
            return call("query_tokens", using)
        case Field(key, default):
            return call("field", key, **_given(default))
        case Param(name, default):
            return call("param", name, **_given(default))
        case Quotient(dividend, divisor, at_zero):
            return f"divide({_write_inner(dividend)}, {_write_inner(divisor)}, at_zero={at_zero!r})"
        case Absolute(operand):
            return f"abs({operand!r})"  # Python's own function: it would compute a plain number at once
        case Function(operand):
            return f"{expression.name}({_write_inner(operand)})"
        case Logarithm(operand, floor, base):
            return f"{'log' if base == 'e' else 'log10'}({_write_inner(operand)}, floor={floor!r})"
        case Minimum(among):
            return f"min_({', '.join(map(_write_inner, among))})"
        case Maximum(among):
            return f"max_({', '.join(map(_write_inner, among))})"
        case Affinity(key, name, default):
            return call("affinity", key, param=name, **_given(default))
        case When(condition, Constant(1.0), Constant(0.0)):
            return f"when({literal(condition)})"
        case When(condition, then, otherwise):
            return f"when({literal(condition)}, {_write_inner(then)}, {_write_inner(otherwise)})"
        case Decay(kind, operand, target, scale, midpoint):
            return f"decay_{kind}({_write_inner(operand)}, {_write_inner(target)}, scale={scale!r}, midpoint={midpoint!r})"
        case Now():
            return "now()"
        case Instant(at):
            return call("instant", at)
        case DatetimeField(key, default):
            return call("datetime_field", key, **_given(default))
        case GeoDistance(origin, key, default):
            return call("geo_distance", origin, key, **_given(default))
        case Raw(inner):
            return call("raw", inner)
        case _:
            raise TypeError(f"no text for {type(expression).__name__}")


def _given(default: object) -> dict[str, object]:
    return {} if default is None else {"default": default}


def _write_inner(expression: Expression) -> str:
    return _write(expression)[0]


def _write_inside(expression: Expression, level: int) -> str:
    """The text of an operand, in parentheses unless it binds at least as tightly as `level`."""
    written, own = _write(expression)
    return written if own >= level else f"({written})"


def _write_operand(expression: Expression, level: int) -> str:
    """As `_write_inside`, where a bare number would make Python compute what Qdrant should."""
    return f"constant({expression.value!r})" if isinstance(expression, Constant) else _write_inside(expression, level)
