"""Payload values of many points as columns, read as Qdrant reads them; NaN where a point has none that counts.

Paths and conditions are those of qdrant-client's local mode, which is Qdrant's own reading of its filters in Python.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local import datetime_utils
from qdrant_client.local.geo import geo_distance
from qdrant_client.local.payload_filters import check_condition

from ..errors import StrategyError
from .paths import reader
from .reading import F32_MAX

__all__ = ["codes", "datetimes", "distances", "holds", "numbers", "seconds"]

Payloads = Sequence[Mapping[str, Any]]


def numbers(key: str, payloads: Payloads) -> NDArray[np.float64]:
    """The number at `key` of each point."""
    return _column(key, payloads, _number)


def codes(key: str, values: Sequence[str | int] | None, payloads: Payloads) -> NDArray[np.float64]:
    """The number of the category at `key` of each point; NaN for none, several and those that aren't among `values`.

    Raises:
        StrategyError: without `values`, a category is text, which has no number.
    """
    return _column(key, payloads, lambda value: _code(key, value, values))


def datetimes(key: str, payloads: Payloads) -> NDArray[np.float64]:
    """The date-time at `key` of each point, in seconds since 1970."""
    return _column(key, payloads, _datetime)


def distances(key: str, place: tuple[float, float], payloads: Payloads) -> NDArray[np.float64]:
    """Metres from `place` (lat, lon) to the geo point at `key` of each point."""
    lat, lon = place

    def metres(value: Any) -> float:
        if not isinstance(value, Mapping) or not {"lat", "lon"} <= value.keys():
            return np.nan
        return float(geo_distance(lon, lat, value["lon"], value["lat"]))

    return _column(key, payloads, metres)


def holds(
    condition: models.Condition,
    payloads: Payloads,
    ids: Sequence[models.ExtendedPointId],
    vectors: Sequence[Sequence[str]] | None,
) -> NDArray[np.bool_]:
    """Whether each point meets a condition or filter."""
    has = [dict.fromkeys(names, True) for names in vectors] if vectors is not None else [{} for _ in payloads]
    met = (
        check_condition(condition, dict(payload), point, names)
        for payload, point, names in zip(payloads, ids, has, strict=True)
    )
    return np.fromiter(met, bool, len(payloads))


def seconds(moment: dt.datetime) -> float:
    """Seconds since 1970; UTC where the moment has no time zone."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _column(key: str, payloads: Payloads, read: Callable[[Any], float]) -> NDArray[np.float64]:
    values = reader(key)
    return np.fromiter((_single(values(payload), read) for payload in payloads), np.float64, len(payloads))


def _single(values: list[Any] | None, read: Callable[[Any], float]) -> float:
    """The one value that there is; NaN for none and for several."""
    return read(values[0]) if values is not None and len(values) == 1 else np.nan


def _code(key: str, value: Any, values: Sequence[str | int] | None) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return np.nan
    if values is not None:
        return float(values.index(value)) if value in values else np.nan
    if isinstance(value, str):
        raise StrategyError(
            f"the category {key!r} holds text ({value!r}), which a log writes as a number: "
            f"list the values, Category({key!r}, [{value!r}, …])"
        )
    return float(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= F32_MAX:
        return np.nan
    return float(value)


def _datetime(value: Any) -> float:
    moment = datetime_utils.parse(value) if isinstance(value, str) else None
    return np.nan if moment is None else seconds(moment)
