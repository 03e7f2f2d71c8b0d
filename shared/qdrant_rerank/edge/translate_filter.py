"""Filters and conditions, from `qdrant_client.models` to the engine's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import qdrant_edge as engine
from qdrant_client import models

from ..errors import ClientError, QueryError
from .values import Table, by_type, describe_misfits, engine_id, translator


def filter_of(value: Any) -> Any:
    """The engine's filter for `value`, which may be None.

    Raises ClientError: the engine has no such condition. Raises QueryError: a condition is wrong in itself, or `value` is no
    filter.
    """
    if value is None:
        return None
    if not isinstance(value, models.Filter):
        raise QueryError(f"a filter must be a qdrant_client.models.Filter, got {type(value).__name__} {value!r}"[:300])
    try:
        with describe_misfits("qdrant-edge refused a condition"):
            return _filter(value)
    except RecursionError:
        raise QueryError("the filter is nested too deep to be translated: a few hundred levels are possible") from None


def _filter(value: Any) -> Any:
    least = value.min_should
    if least is not None and least.min_count < 1:
        raise QueryError(f"min_should needs a min_count of at least 1, got {least.min_count}")
    return engine.Filter(
        must=_conditions(value.must),
        should=_conditions(value.should),
        must_not=_conditions(value.must_not),
        min_should=None if least is None else engine.MinShould([condition(one) for one in least.conditions], least.min_count),
    )


def condition(value: Any) -> Any:
    """The engine's condition for `value`. As `filter_of`."""
    return _translate(_CONDITIONS, value, "condition ")


def without_ids(ids: Iterable[Any], inner: Any) -> Any:
    """The engine's filter `inner`, and none of these points."""
    found: Any = {engine_id(one) for one in ids}
    if not found:
        return inner
    mentioned: Any = engine.HasIdCondition(found)
    return engine.Filter(must=None if inner is None else [inner], must_not=[mentioned])


def _conditions(values: Any) -> list[Any] | None:
    if values is None:
        return None
    return [condition(value) for value in (values if isinstance(values, list) else [values])]


def _field(value: models.FieldCondition) -> Any:
    given = {name: clause for name, clause in value.__dict__.items() if clause is not None}
    if unknown := given.keys() - _CLAUSES.keys():
        raise ClientError(f"qdrant-edge is not asked for {', '.join(map(repr, unknown))} of a field through this client")
    return engine.FieldCondition(**{name: _CLAUSES[name](clause) for name, clause in given.items()})


def _match(value: Any) -> Any:
    return _translate(_MATCHES, value)


def _translate(table: Table, value: Any, what: str = "") -> Any:
    translate = translator(table, type(value))
    if translate is None:
        raise ClientError(f"qdrant-edge has no {what}{type(value).__name__}: {value!r}")
    return translate(value)


def _match_value(value: models.MatchValue) -> Any:
    wanted: Any = value.value
    if isinstance(wanted, int) and not _LEAST <= wanted <= _MOST:
        raise QueryError(f"a condition on {wanted} can't be met: Qdrant matches whole numbers from {_LEAST} to {_MOST}")
    # The binding tries int before bool, and a Python bool is an int: True would match the number 1. A numpy bool is none.
    boolean: Any = np.bool_
    return engine.MatchValue(boolean(wanted) if isinstance(wanted, bool) else wanted)


def _range(value: Any) -> Any:
    if isinstance(value, models.DatetimeRange):
        return engine.RangeDateTime(gte=_iso(value.gte), gt=_iso(value.gt), lte=_iso(value.lte), lt=_iso(value.lt))
    return engine.RangeFloat(gte=value.gte, gt=value.gt, lte=value.lte, lt=value.lt)


def _iso(value: dt.datetime | dt.date | None) -> str | None:
    return None if value is None else value.isoformat()


def _place(value: models.GeoPoint) -> Any:
    return engine.GeoPoint(lon=value.lon, lat=value.lat)


def _polygon(value: models.GeoPolygon) -> Any:
    inner = None if value.interiors is None else [[_place(place) for place in line.points] for line in value.interiors]
    return engine.GeoPolygon([_place(place) for place in value.exterior.points], inner)


def _slice(value: Any) -> Any:
    if not 0 <= value.index < value.total:
        raise QueryError(f"a slice needs an index from 0 to its total - 1, got {value!r}")
    with_slices: Any = engine  # whose type stubs lack the class
    return with_slices.SliceCondition(value.total, value.index)


_LEAST, _MOST = -(2**63), 2**63 - 1


def _same(value: Any) -> Any:
    return value


_CLAUSES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "key": _same,
    "match": _match,
    "range": _range,
    "geo_bounding_box": lambda value: engine.GeoBoundingBox(_place(value.top_left), _place(value.bottom_right)),
    "geo_radius": lambda value: engine.GeoRadius(_place(value.center), value.radius),
    "geo_polygon": _polygon,
    "values_count": lambda value: engine.ValuesCount(lt=value.lt, gt=value.gt, lte=value.lte, gte=value.gte),
    "is_empty": _same,
    "is_null": _same,
}

_MATCHES: Final = by_type(
    {
        "MatchValue": _match_value,
        "MatchAny": lambda value: engine.MatchAny(value.any),
        "MatchExcept": lambda value: engine.MatchExcept(value.except_),
        "MatchText": lambda value: engine.MatchText(value.text),
        "MatchTextAny": lambda value: engine.MatchTextAny(value.text_any),
        "MatchPhrase": lambda value: engine.MatchPhrase(value.phrase),
        "MatchPrefix": lambda value: engine.MatchPrefix(value.prefix),
        "MatchSubstring": lambda value: engine.MatchSubstring(value.substring),
    }
)

_CONDITIONS: Final = by_type(
    {
        "FieldCondition": _field,
        "IsEmptyCondition": lambda value: engine.IsEmptyCondition(value.is_empty.key),
        "IsNullCondition": lambda value: engine.IsNullCondition(value.is_null.key),
        "HasIdCondition": lambda value: engine.HasIdCondition({engine_id(one) for one in value.has_id}),
        "HasVectorCondition": lambda value: engine.HasVectorCondition(value.has_vector),
        "SliceCondition": lambda value: _slice(value.slice),
        "NestedCondition": lambda value: engine.NestedCondition(value.nested.key, filter_of(value.nested.filter)),
        "Filter": lambda value: _filter(value),
    }
)
