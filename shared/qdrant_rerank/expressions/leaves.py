"""Expressions that read something: a score, the payload, the query's request-time values, the clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final, get_args

from qdrant_client import models

from ..errors import StrategyError
from ..values import brief
from .arguments import check_key, check_moment, check_number, check_place
from .base import Constant, Expression

__all__ = [
    "Affinity",
    "CandidateScore",
    "DatetimeField",
    "Field",
    "GeoDistance",
    "Instant",
    "Now",
    "Param",
    "QueryTokens",
    "Raw",
    "RerankScore",
    "When",
    "from_model",
]

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
    then: Expression = Constant(1.0)  # noqa: RUF009  # immutable
    otherwise: Expression = Constant(0.0)  # noqa: RUF009  # immutable

    def __post_init__(self) -> None:
        if not isinstance(self.condition, _CONDITIONS):
            raise StrategyError(
                "when() takes a condition of qdrant_client.models, e.g. "
                "models.FieldCondition(key='category', match=models.MatchValue(value='news')) or a models.Filter; "
                f"got {brief(self.condition)}"
            )

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.then, self.otherwise


@dataclass(frozen=True, repr=False)
class Affinity(Expression):
    """What a user feels for a point's category: the request-time map `params={given: {category: weight}}` at `key`.

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


def from_model(value: Any) -> Expression:
    """The node for an expression or condition of `qdrant_client.models`.

    Raises:
        StrategyError: it is neither.
    """
    if isinstance(value, _CONDITIONS):
        return When(value)
    if isinstance(value, _MODELS):
        return Raw(value)
    hint = f": did you mean field({value!r}) or score({value!r})?" if isinstance(value, str) else ""
    raise StrategyError(f"not an expression: {brief(value)}{hint}")
