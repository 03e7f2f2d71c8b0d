"""How formulas read payload and request-time values so that no value can fail the query.

A payload value is read only where a condition says that it is there and is of the right type: the product of a condition
that doesn't hold (0) stops before the value is looked at. Arrays of several values count as missing, as there is no saying
which is meant; only a thorough guard, which is slow, looks for them (`strategies.searched` says when).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from qdrant_client import models

from ..errors import QueryError, StrategyError
from ..values import brief, is_finite, to_plain
from .arguments import check_place, in_utc
from .leaves import Affinity, Param, QueryTokens
from .wire import F32_MAX, either, product, total

__all__ = [
    "affinity",
    "datetime",
    "distance",
    "is_datetime",
    "is_number",
    "is_place",
    "iso",
    "no_category",
    "number",
    "param_map",
    "param_number",
    "param_place",
    "token_count",
]

_AROUND_THE_WORLD: Final = 2.1e7  # metres; more than half of Earth's circumference
_SPOT: Final = 1e-3  # metres
FIRST_DAY: Final = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


def is_number(key: str, thorough: bool = True) -> models.Condition:
    """The condition that a payload key holds a number within the range of 32-bit floats.

    Args:
        key: the payload key.
        thorough: whether to make sure that it is the only value, which no payload index answers.
    """
    return _one(models.FieldCondition(key=key, range=models.Range(gte=-F32_MAX, lte=F32_MAX)), thorough)


def is_datetime(key: str, thorough: bool = True) -> models.Condition:
    """The condition that a payload key holds a date-time; see `is_number` for `thorough`."""
    return _one(models.FieldCondition(key=key, range=models.DatetimeRange(gte=FIRST_DAY)), thorough)


def is_place(key: str, near: models.GeoPoint, counts_members: bool = False, thorough: bool = True) -> models.Condition:
    """The condition that a payload key holds a geo point.

    Args:
        key: the payload key.
        near: any place, as a radius needs a centre.
        counts_members: whether the engine counts the members of an object, so that one place counts 2.
        thorough: see `is_number`.
    """
    condition = models.FieldCondition(key=key, geo_radius=models.GeoRadius(center=near, radius=_AROUND_THE_WORLD))
    if not thorough:
        return condition
    second: models.Condition
    if counts_members:
        second = models.IsEmptyCondition(is_empty=models.PayloadField(key=f"{key}[1]"))
    else:
        second = models.FieldCondition(key=key, values_count=models.ValuesCount(lte=1))
    return models.Filter(must=[_on_earth(key), second])


def _on_earth(key: str) -> models.Filter:
    """The condition that a place is within 90 and 180 degrees: engines store others, and formulas that read them fail.

    A radius takes degrees beyond for those on the other side, and a box leaves out its own border. So the borders are put
    together: the meridian of 180 degrees from a box that goes around by it, less what is beyond, and the poles from two spots.
    """

    def box(west: float, east: float) -> models.FieldCondition:
        corners = models.GeoPoint(lat=90.0, lon=west), models.GeoPoint(lat=-90.0, lon=east)
        return models.FieldCondition(
            key=key, geo_bounding_box=models.GeoBoundingBox(top_left=corners[0], bottom_right=corners[1])
        )

    def pole(lat: float) -> models.FieldCondition:
        spot = models.GeoRadius(center=models.GeoPoint(lat=lat, lon=0.0), radius=_SPOT)
        return models.FieldCondition(key=key, geo_radius=spot)

    inside: list[models.Condition] = [box(-180.0, 180.0), box(1.0, 0.0), pole(90.0), pole(-90.0)]
    return models.Filter(should=inside, must_not=[box(180.0, -180.0)])


def _one(condition: models.FieldCondition, thorough: bool) -> models.Condition:
    if not thorough:
        return condition
    single = models.FieldCondition(key=condition.key, values_count=models.ValuesCount(lte=1))
    return models.Filter(must=[condition, single])


def number(key: str, default: models.Expression | None, thorough: bool = True) -> models.Expression:
    """A number in the payload, or `default`."""
    return key if default is None else either(is_number(key, thorough), key, default)


def datetime(key: str, default: dt.datetime | None, thorough: bool = True) -> models.Expression:
    """A date-time in the payload as seconds since 1970, or `default`."""
    variable = models.DatetimeKeyExpression(datetime_key=key)
    if default is None:
        return variable
    return either(is_datetime(key, thorough), variable, models.DatetimeExpression(datetime=iso(default)))


def distance(
    key: str,
    place: tuple[float, float],
    default: models.Expression | None,
    counts_members: bool = False,
    thorough: bool = True,
) -> models.Expression:
    """Metres from `place` to a geo point in the payload, or `default`."""
    origin = models.GeoPoint(lat=place[0], lon=place[1])
    variable = models.GeoDistance(geo_distance=models.GeoDistanceParams(origin=origin, to=key))
    return variable if default is None else either(is_place(key, origin, counts_members, thorough), variable, default)


def affinity(key: str, weights: Mapping[str | int, models.Expression], default: models.Expression) -> models.Expression:
    """The sum of the weights of the point's categories, or `default` where it has none of them."""
    terms: list[models.Expression] = [
        product(models.FieldCondition(key=key, match=models.MatchValue(value=category)), weight)
        for category, weight in weights.items()
        if weight != 0.0
    ]
    if default != 0.0:
        terms.append(product(no_category(key, list(weights)), default))
    return total(*terms) if len(terms) > 1 else terms[0] if terms else 0.0


def no_category(key: str, categories: list[str | int]) -> models.Filter:
    """The condition that a point has none of the categories."""
    texts = [category for category in categories if isinstance(category, str)]
    numbers = [category for category in categories if not isinstance(category, str)]
    matches = [models.FieldCondition(key=key, match=models.MatchAny(any=some)) for some in (texts, numbers) if some]
    return models.Filter(must_not=list(matches))


def param_number(node: Param, params: Mapping[str, Any]) -> float:
    """The request-time number that `node` means.

    Raises:
        QueryError: it isn't given and has no default, or isn't a finite number.
    """
    value = params.get(node.name, node.default)
    if value is None:
        raise QueryError(f"the formula needs the request-time value {node.name!r}: {_pass(node.name, '…', params)}")
    return _number(value, f"the request-time value {node.name!r}")


def param_map(node: Affinity, params: Mapping[str, Any]) -> tuple[Mapping[str | int, float], float]:
    """The request-time weights that `node` means, and the weight of all other categories.

    Raises:
        QueryError: the map isn't given and has no default, isn't a map, or its weights aren't finite numbers.
    """
    default = 0.0 if node.default is None else float(node.default)
    weights = params.get(node.param)
    if weights is None:
        if node.default is not None:
            return {}, default
        what = f"the formula needs the request-time map {node.param!r}"
        raise QueryError(f"{what}: {_pass(node.param, '{category: weight}', params)}")
    if not isinstance(weights, Mapping):
        raise QueryError(f"the request-time value {node.param!r} must be a map of category to weight, got {brief(weights)}")
    checked = {
        _category(category, node.param): _number(weight, f"the weight of {category!r} in {node.param!r}")
        for category, weight in weights.items()
    }
    return checked, default


def _category(value: Any, name: str) -> str | int:
    """A category that payload can be matched with."""
    category = to_plain(value)
    if isinstance(category, bool) or not isinstance(category, str | int):
        raise QueryError(f"the categories of {name!r} must be text or whole numbers, got {brief(value)}")
    if isinstance(category, int) and not -(2**63) <= category < 2**63:
        raise QueryError(f"the categories of {name!r} must be whole numbers of 64 bits, got {brief(value)}")
    return category


def param_place(origin: tuple[float, float] | str, params: Mapping[str, Any]) -> tuple[float, float]:
    """The place `(lat, lon)` that a distance is measured from.

    Raises:
        QueryError: it is request-time, and isn't given or isn't a place.
    """
    if not isinstance(origin, str):
        return origin
    if origin not in params:
        raise QueryError(f"the formula needs the request-time place {origin!r}: {_pass(origin, '(lat, lon)', params)}")
    try:
        return check_place(params[origin], f"the request-time value {origin!r}")
    except StrategyError as error:  # the strategy is right; the query is not
        raise QueryError(str(error)) from None


def token_count(node: QueryTokens, tokens: Mapping[str, int]) -> float:
    """How many token vectors the query has for the multivector that `node` means.

    Raises:
        StrategyError: no candidate compares such a vector.
    """
    if node.using not in tokens:
        there = ", ".join(map(repr, tokens)) or "none"
        raise StrategyError(
            f"query_tokens({node.using!r}): no candidate compares such a multivector with token vectors that are known here; "
            f"there are: {there}"
        )
    return float(tokens[node.using])


def iso(moment: dt.datetime) -> str:
    """A moment as RFC 3339 text in UTC, which it is taken for where it has no time zone."""
    return in_utc(moment).isoformat()


def _pass(name: str, value: str, params: Mapping[str, Any]) -> str:
    there = ", ".join(map(repr, params)) or "none"
    return f"pass params={{{name!r}: {value}}}; given: {there}"


def _number(value: Any, what: str) -> float:
    plain = to_plain(value)
    if not is_finite(plain):
        raise QueryError(f"{what} must be a finite number, got {brief(value)}")
    if abs(plain) > F32_MAX:
        raise QueryError(f"{what} must fit 32-bit floats, which end at {F32_MAX:g}, got {brief(value)}")
    return float(plain)
