"""A model's column on its way from the payload to the model: a feature, and the pipeline steps that scale and fill it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, SupportsFloat, overload

from ... import StrategyError
from ...expressions import Expression, clip
from ...expressions._internals import F32_MAX, Constant, Field, Product, Sum
from ..features import Category, Feature
from .regions import Region, last

__all__ = [
    "Affine",
    "Column",
    "Columns",
    "MinMax",
    "Scaling",
    "Standard",
    "check_binary",
    "check_one_output",
    "numeric",
    "refuse_classes",
]


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


class Scaling(Protocol):
    """A pipeline step as one column sees it: it never decreases."""

    @property
    def affine(self) -> Affine: ...
    @property
    def bounds(self) -> tuple[float, float] | None: ...
    def __call__(self, x: float) -> float: ...


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


@dataclass(frozen=True)
class Column:
    """One column as a model sees it.

    Attributes:
        name: its name, for messages.
        feature: what is in Qdrant.
        scalings: the pipeline's steps before the model, in order.
        fill: for a feature that may be missing: the payload value that an imputer fills in; None while there is none.
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
        """What the model sees where the payload has no number; NaN where it sees that the value is missing."""
        if self.filled is not None:
            return self.filled
        if isinstance(self.feature, Feature) and isinstance(self.feature.expression, Field):
            default = self.feature.expression.default
            return math.nan if default is None else self.transform(default)
        return math.nan

    def transform(self, raw: float) -> float:
        """What the model sees of a payload value, computed as scikit-learn computes it."""
        for scaling in self.scalings:
            raw = scaling(raw)
        return raw

    def raw(self, region: Region) -> Region:
        """The payload values that the model sees in `region`, exact to the last bit."""
        if not self.scalings:
            return region
        return region.map_bounds(lambda bound: _pulled_back(self, bound))

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

    def _affine(self) -> Affine:
        whole = Affine()
        for scaling in self.scalings:
            whole = whole.then(scaling.affine)
        return whole

    def with_categories(self, categories: Sequence[object]) -> Column:
        """The column of a model that knows its categories: code 0, 1, 2, … are these.

        Raises:
            StrategyError: they contradict those of the feature, or are neither text nor whole numbers.
        """
        if not isinstance(self.feature, Category):
            return self
        found = tuple(_category(self.name, category) for category in categories)
        given = self.feature.values
        if given is not None and given != found:
            raise StrategyError(
                f"{self.name!r}: the model knows the categories {list(found)!r}, but the feature says {list(given)!r}: "
                f"leave them out, Category({self.feature.key!r})"
            )
        return replace(self, feature=Category(self.feature.key, found))

    def expression(self) -> Expression:
        """What the payload or the query holds, before any scaling."""
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

    Attributes:
        each: the columns.
        arrays: whether payload keys may hold arrays of several values, which count as missing.
        on_client: whether the expression is for a formula on the client, which may be deeper than a server takes.
        max_bytes: how large it may be: what certainly is larger isn't worth making; None for any size.
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
            expression, affine = clip(_applied(expression, affine), *scaling.bounds), Affine()
    return expression, affine


def _applied(expression: Expression, affine: Affine) -> Expression:
    centred = Sum((expression, Constant(-affine.center))) if affine.center else expression
    scaled = Product((Constant(affine.factor), centred)) if affine.factor != 1.0 else centred
    return Sum((scaled, Constant(affine.offset))) if affine.offset else scaled


def _category(name: str, category: object) -> str | int:
    match category:
        case str(text):  # numpy's text too
            return str(text)
        case _ if isinstance(category, SupportsFloat) and float(category).is_integer():
            return int(float(category))
        case _:
            raise StrategyError(
                f"{name!r}: the model's category {category!r} is neither text nor a whole number, so that Qdrant can't match it"
            )


def _pulled_back(column: Column, bound: float) -> float:
    if math.isinf(bound):
        return bound
    return last(lambda raw: column.transform(raw) <= bound, -F32_MAX, F32_MAX)


def check_binary(model: Any) -> None:
    """Refuse classifiers of more or fewer than two classes."""
    classes = list(model.classes_)
    if len(classes) != 2:
        refuse_classes(type(model).__name__, len(classes))


def refuse_classes(kind: str, count: int) -> None:
    """Refuse a classifier of `count` classes."""
    raise StrategyError(
        f"this {kind} tells {count} classes apart, and a formula is one number: fit it on two (relevant or not), "
        "or fit a regressor or ranker on the grades"
    )


def check_one_output(model: Any) -> None:
    """Refuse models that predict several numbers at once."""
    outputs = getattr(model, "n_outputs_", 1)
    if outputs != 1:
        raise StrategyError(
            f"this {type(model).__name__} predicts {outputs} outputs, and a formula is one number: fit one each"
        )
