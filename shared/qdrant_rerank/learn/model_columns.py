"""A model's column on its way from the payload to the model, and the numbers that a split on it sends to one side.

A column is a feature with the pipeline steps that scale and fill it. A `Region` is a set of 64-bit floats. Servers read JSON
numbers of 16 and 17 digits inexactly over REST, by one unit in the last place: a value next to a bound may end up on its other
side. So bounds are written with at most 15 digits, which are read exactly.
"""

from __future__ import annotations

import decimal
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, SupportsFloat, TypeAlias, overload

import numpy as np

from .. import StrategyError
from .._internals import DIGITS, F32_MAX, Constant, Field, Product, Sum, digits
from ..expressions import Expression, clip
from .features import Category, Feature


@dataclass(frozen=True)
class Affine:
    """`factor * (x - center) + offset`."""

    factor: float = 1.0
    center: float = 0.0
    offset: float = 0.0

    def then(self, other: Affine) -> Affine:
        """This one, and the other of its result; the centre stays, so that large numbers lose no digits."""
        return Affine(other.factor * self.factor, self.center, other.factor * (self.offset - other.center) + other.offset)

    def inverse(self, value: float) -> float:
        """The number that is mapped to `value`."""
        return (value - self.offset) / self.factor + self.center


@dataclass(frozen=True)
class Standard:
    """StandardScaler."""

    mean: float
    scale: float
    bounds: tuple[float, float] | None = None

    @property
    def affine(self) -> Affine:
        return Affine(1.0 / self.scale, self.mean)

    def __call__(self, x: float) -> float:
        return (x - self.mean) / self.scale


@dataclass(frozen=True)
class MinMax:
    """MinMaxScaler; `bounds` if it clips."""

    scale: float
    least: float
    origin: float
    low: float
    bounds: tuple[float, float] | None = None

    @property
    def affine(self) -> Affine:
        return Affine(self.scale, self.origin, self.low)

    def __call__(self, x: float) -> float:
        scaled = x * self.scale + self.least
        return scaled if self.bounds is None else min(max(scaled, self.bounds[0]), self.bounds[1])


Scaling: TypeAlias = Standard | MinMax
"""A pipeline step as one column sees it: it never decreases."""


@dataclass(frozen=True)
class Column:
    """One column as a model sees it.

    Attributes:
        name: its name, for messages.
        feature: its value in Qdrant.
        scalings: the pipeline's steps before the model, in order.
        fill: the payload value that an imputer puts where the feature is missing; None without one.
        filled: the same as the model sees it.
    """

    name: str
    feature: Feature | Category
    scalings: tuple[Scaling, ...] = ()
    fill: float | None = None
    filled: float | None = None

    @property
    def is_nullable(self) -> bool:
        """Whether the model meets missing values in it."""
        return isinstance(self.feature, Feature) and self.feature.missing == "nan" and self.fill is None

    @property
    def missing(self) -> float:
        """The value that the model sees where the payload has no number; NaN where it sees that the value is missing."""
        if self.filled is not None:
            return self.filled
        if isinstance(self.feature, Feature) and isinstance(self.feature.expression, Field):
            default = self.feature.expression.default
            return math.nan if default is None else self.transform(default)
        return math.nan

    def transform(self, raw: float) -> float:
        """A payload value as the model sees it, computed as scikit-learn computes it."""
        for scaling in self.scalings:
            raw = scaling(raw)
        return raw

    def raw(self, region: Region) -> Region:
        """The payload values that the model sees in `region`, exact to the last bit."""
        if not self.scalings:
            return region

        def pull_back(bound: float) -> float:
            return bound if math.isinf(bound) else last(lambda raw: self.transform(raw) <= bound, -F32_MAX, F32_MAX)

        return region.map_bounds(pull_back)

    def add_scaling(self, scaling: Scaling) -> Column:
        """The column after another step."""
        self._refuse_category("scales")
        filled = None if self.filled is None else scaling(self.filled)
        return replace(self, scalings=(*self.scalings, scaling), filled=filled)

    def impute(self, value: float) -> Column:
        """The column after an imputer that puts `value` where it is missing."""
        self._refuse_category("fills")
        if not self.is_nullable:
            return self
        if any(scaling.bounds is not None for scaling in self.scalings):
            raise StrategyError(
                f"{self.name!r}: a scaler with clip=True comes before the imputer; put the imputer first in the pipeline"
            )
        return replace(self, fill=self._affine().inverse(value), filled=value)

    def _refuse_category(self, does: str) -> None:
        if isinstance(self.feature, Category):
            raise StrategyError(
                f"{self.name!r} is a Category, but the pipeline {does} it as a number: write field({self.feature.key!r}, "
                "default=…) if the payload holds the numbers, or take it out of that step"
            )

    def check_number(self) -> None:
        """Refuse a category for a column that the model took for numbers. Raises StrategyError."""
        if isinstance(self.feature, Category):
            raise StrategyError(f"{self.name!r} is a Category, but the model was trained on it as a number")

    def _affine(self) -> Affine:
        whole = Affine()
        for scaling in self.scalings:
            whole = whole.then(scaling.affine)
        return whole

    def with_categories(self, categories: Sequence[object]) -> Column:
        """The column of a model that knows its categories of code 0, 1, 2, ….

        Raises StrategyError where they contradict those of the feature, or are neither text nor whole numbers.
        """
        if not isinstance(self.feature, Category):
            return self
        found = tuple(_as_category(self.name, category) for category in categories)
        given = self.feature.values
        if given is not None and given != found:
            raise StrategyError(
                f"{self.name!r}: the model knows the categories {list(found)!r}, but the feature says {list(given)!r}: "
                f"leave them out, Category({self.feature.key!r})"
            )
        return replace(self, feature=Category(self.feature.key, found))

    def expression(self) -> Expression:
        """The value in the payload or the query, before any scaling."""
        if isinstance(self.feature, Category):
            raise StrategyError(
                f"{self.name!r} is a category, which only trees split on: for other models give one feature for each category, "
                f"e.g. when(models.FieldCondition(key={self.feature.key!r}, match=models.MatchValue(value='news')))"
            )
        if self.is_nullable:
            raise StrategyError(
                f"{self.name!r} may be missing, and this model takes no missing values: give field() the default that it was "
                "trained with, or put a SimpleImputer into the pipeline"
            )
        read = self.feature.expression
        return Field(read.key, self.fill) if isinstance(read, Field) and self.fill is not None else read


@dataclass(frozen=True)
class Columns(Sequence[Column]):
    """A model's columns in its order.

    `arrays` says whether payload keys may hold arrays of several values, which count as missing; `on_client` whether the
    expression is for a formula on the client, which may be deeper than a server takes; `max_bytes` how large it may be.
    """

    each: tuple[Column, ...]
    arrays: bool = False
    on_client: bool = False
    max_bytes: int | None = None

    @overload
    def __getitem__(self, index: int) -> Column: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Column]: ...
    def __getitem__(self, index: int | slice) -> Column | Sequence[Column]:
        return self.each[index]

    def __len__(self) -> int:
        return len(self.each)

    def replace_each(self, each: Iterable[Column]) -> Columns:
        """The columns after something was done to each."""
        return replace(self, each=tuple(each))


def numeric(column: Column) -> tuple[Expression, Affine]:
    """The column's number as the model sees it: `affine` of the expression."""
    expression, affine = column.expression(), Affine()
    for scaling in column.scalings:
        affine = affine.then(scaling.affine)
        if scaling.bounds is not None:
            expression, affine = clip(_apply(affine, expression), *scaling.bounds), Affine()
    return expression, affine


def _apply(affine: Affine, expression: Expression) -> Expression:
    centred = Sum((expression, Constant(-affine.center))) if affine.center else expression
    scaled = Product((Constant(affine.factor), centred)) if affine.factor != 1.0 else centred
    return Sum((scaled, Constant(affine.offset))) if affine.offset else scaled


def add_up(terms: Sequence[Expression]) -> Expression:
    """The sum of one or more terms."""
    return Sum(tuple(terms)) if len(terms) > 1 else terms[0]


def _as_category(name: str, category: object) -> str | int:
    match category:
        case str(text):  # numpy's text too
            return str(text)
        case _ if isinstance(category, SupportsFloat) and float(category).is_integer():
            return int(float(category))
        case _:
            raise StrategyError(
                f"{name!r}: the model's category {category!r} is neither text nor a whole number, so that Qdrant can't match it"
            )


def check_binary(model: Any) -> None:
    """Refuse a classifier of more or fewer than two classes."""
    classes = getattr(model, "classes_", (0, 1))
    if len(classes) != 2:
        refuse_classes(type(model).__name__, len(classes))


def refuse_classes(kind: str, count: int) -> None:
    """Refuse a classifier of `count` classes."""
    raise StrategyError(
        f"this {kind} tells {count} classes apart, and a formula is one number: fit it on two (relevant or not), "
        "or fit a regressor or ranker on the grades"
    )


def check_outputs(kind: str, outputs: int) -> None:
    """Refuse a model that predicts several numbers at once."""
    if outputs != 1:
        raise StrategyError(f"this {kind} predicts {outputs} outputs, and a formula is one number: fit one each")


_DOWN: Final = decimal.Context(prec=DIGITS, rounding=decimal.ROUND_FLOOR)
_UP: Final = decimal.Context(prec=DIGITS, rounding=decimal.ROUND_CEILING)


@dataclass(frozen=True)
class Region:
    """A union of intervals `(low, high]` that don't touch, in ascending order: low is outside, high inside."""

    intervals: tuple[tuple[float, float], ...]

    def __contains__(self, number: float) -> bool:
        return any(low < number <= high for low, high in self.intervals)

    def __invert__(self) -> Region:
        """All numbers that aren't in it."""
        bounds = [-math.inf, *(bound for interval in self.intervals for bound in interval), math.inf]
        pairs = zip(bounds[::2], bounds[1::2], strict=True)
        return Region(tuple(pair for pair in pairs if pair[0] < pair[1]))

    def map_bounds(self, to: Callable[[float], float]) -> Region:
        """The region whose bounds are `to` of these; intervals that become empty go."""
        moved = ((to(low), to(high)) for low, high in self.intervals)
        return Region(tuple(pair for pair in moved if pair[0] < pair[1]))


EVERYTHING: Final = Region(((-math.inf, math.inf),))


def at_most(bound: float) -> Region:
    """All numbers up to `bound`."""
    return Region(((-math.inf, bound),))


def points(numbers: Iterable[float]) -> Region:
    """Exactly these numbers."""
    return Region(tuple((math.nextafter(number, -math.inf), number) for number in sorted(set(numbers))))


def whole_numbers(numbers: Iterable[int], negatives: bool = True) -> Region:
    """All numbers whose whole part is one of `numbers`, which are not negative; -0.5 counts as 0 if `negatives` do."""
    joined: list[tuple[float, float]] = []
    for number in sorted(set(numbers)):
        low = -1.0 if number == 0 and negatives else math.nextafter(number, -math.inf)
        high = math.nextafter(number + 1, -math.inf)
        if joined and joined[-1][1] >= low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return Region(tuple(joined))


def no_greater_f32(threshold: float) -> float:
    """The last 64-bit float x with `float32(x) <= threshold`: scikit-learn's trees compare so."""
    return _last_rounded_to(last_f32(threshold))


def last_f32(bound: float) -> np.float32:
    """The greatest 32-bit float that isn't above `bound`."""
    nearest = np.float32(bound)
    return nearest if float(nearest) <= bound else np.nextafter(nearest, np.float32(-np.inf))


def below_f32(threshold: float) -> float:
    """The last 64-bit float x with `float32(x) < float32(threshold)`: XGBoost compares so."""
    return _last_rounded_to(np.nextafter(np.float32(threshold), np.float32(-np.inf)))


def _last_rounded_to(lower: np.float32) -> float:
    """The last 64-bit float that rounds to `lower` or less: halfway to the next one, inclusive if `lower` is even."""
    upper = np.nextafter(lower, np.float32(np.inf))
    middle = (float(lower) + float(upper)) / 2
    is_even = int(lower.view(np.uint32)) % 2 == 0
    return middle if is_even else math.nextafter(middle, -math.inf)


def bounds(low: float, high: float) -> dict[str, float]:
    """The bounds of a range for `(low, high]`, low outside and high inside, in numbers of at most 15 digits.

    Exact for all numbers of at most 15 digits and for all 32-bit floats; for others as well, where a bound or the number after
    it has so few digits. Elsewhere numbers that are as near to a bound as two of 15 digits to each other count as inside.
    """
    edges = []
    if not math.isinf(low):
        edges.append(_edge(low, "gt", "gte", outward=_down(low)))
    if not math.isinf(high):
        edges.append(_edge(high, "lte", "lt", outward=_up(high)))
    return dict(edges)


def _edge(last: float, at: str, after: str, outward: float) -> tuple[str, float]:
    """The comparison that parts the numbers up to `last` from those above, and its bound: `at` one below, or `after` one above.

    `outward` is the bound to take where no 32-bit float lies between the two.
    """
    following = math.nextafter(last, math.inf)
    if digits(last) <= DIGITS:
        return at, last
    if digits(following) <= DIGITS:
        return after, following
    below, above = _down(last), _up(last)
    with np.errstate(over="ignore"):
        between = float(np.float32(last))  # at most one 32-bit float is: they are far apart
    if not below < between < above:
        return (at, below) if outward == below else (after, above)
    return (after, above) if between <= last else (at, below)


def _down(number: float) -> float:
    """The greatest number of 15 digits that isn't above."""
    return float(_DOWN.create_decimal_from_float(number))


def _up(number: float) -> float:
    """The least number of 15 digits that isn't below."""
    return float(_UP.create_decimal_from_float(number))


def last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The last 64-bit float from `low` to `high` for which `holds`, true up to some number; -inf if none, inf if all."""
    if not holds(low):
        return -math.inf
    if holds(high):
        return math.inf
    inside, outside = _rank(low), _rank(high)
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if holds(_ranked(middle)) else (inside, middle)
    return _ranked(inside)


def _rank(number: float) -> int:
    """The place of a float among all floats in ascending order, 0 being that of 0.0."""
    bits: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _ranked(place: int) -> float:
    number: float = struct.unpack("<d", struct.pack("<q", abs(place)))[0]
    return math.copysign(number, place)
