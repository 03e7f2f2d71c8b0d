"""Payload values of many points as columns, read as the engine's formulas read them; NaN where a point has none that counts.

Where a payload index keeps the type that is read, the engine reads what the index keeps, behind a guard (`reading.py`) that the
same index answers. An index of a type that hides what is read is a problem of the plan; here it isn't looked at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local import datetime_utils
from qdrant_client.local.geo import geo_distance

from ..errors import StrategyError
from . import dates
from .paths import reader, stored
from .reading import FIRST_DAY
from .view import Index, View, is_on_earth, place_of
from .wire import F32_MAX

__all__ = ["codes", "datetimes", "distances", "numbers", "seconds"]

Payloads = Sequence[Mapping[str, Any]]
_Type = models.PayloadSchemaType


def numbers(key: str, payloads: Payloads, view: View) -> NDArray[np.float64]:
    """The number at `key` of each point."""
    return _column(key, payloads, view, (_Type.FLOAT, _Type.INTEGER), _number, _number)


def codes(key: str, values: Sequence[str | int] | None, payloads: Payloads) -> NDArray[np.float64]:
    """The number of the category at `key` of each point; NaN for none, several and those that aren't among `values`.

    Raises:
        StrategyError: without `values`, a category is text, which has no number.
    """
    return _plain(key, payloads, lambda value: _code(key, value, values))


def datetimes(key: str, payloads: Payloads, view: View, guarded: bool = True) -> NDArray[np.float64]:
    """The date-time at `key` of each point, in seconds since 1970.

    Args:
        key: the payload key.
        payloads: of the points.
        view: who reads.
        guarded: whether a default stands in for dates that the guard doesn't take: those before the year 1.
    """
    least = dates.nanoseconds_of(FIRST_DAY) // 1000 if guarded else -np.inf

    def kept(micros: Any) -> float:
        return micros / 1e6 if micros >= least else np.nan

    def read(value: Any) -> float:
        if view.is_local:
            return _local_datetime(value)
        moment = dates.nanoseconds(value) if isinstance(value, str) else None
        return np.nan if moment is None else kept(moment // 1000)

    return _column(key, payloads, view, (_Type.DATETIME,), read, kept)


def distances(key: str, place: tuple[float, float], payloads: Payloads, view: View) -> NDArray[np.float64]:
    """Metres from `place` (lat, lon) to the geo point at `key` of each point; there is none beyond 90 and 180 degrees."""
    lat, lon = place

    def metres(found: tuple[float, float]) -> float:
        return float(geo_distance(lon, lat, found[1], found[0]))

    def read(value: Any) -> float:
        found = place_of(value)
        return metres(found) if found is not None and is_on_earth(found) else np.nan

    return _column(key, payloads, view, (_Type.GEO,), read, metres)


def seconds(moment: dt.datetime) -> float:
    """Seconds since 1970; UTC where the moment has no time zone."""
    return dates.nanoseconds_of(moment) // 1000 / 1e6


def _column(
    key: str,
    payloads: Payloads,
    view: View,
    kinds: Collection[models.PayloadSchemaType],
    read: Callable[[Any], float],
    read_kept: Callable[[Any], float],
) -> NDArray[np.float64]:
    """What is read at a key: by an index of one of the kinds, or by `read` from the payload."""
    index = view.index(key)
    if index is None or index.kind not in kinds:
        return _plain(key, payloads, read)
    values = (_indexed(index, stored(key)(payload) or [], view.thorough, read_kept) for payload in payloads)
    return np.fromiter(values, np.float64, len(payloads))


def _indexed(index: Index, values: list[Any], thorough: bool, read: Callable[[Any], float]) -> float:
    """The one value that the index keeps; a thorough guard wants it to be the only one that is stored, too."""
    if thorough and all(isinstance(value, list) and len(value) > 1 for value in values):
        return np.nan
    kept = index.values(values)
    return read(kept[0]) if len(kept) == 1 else np.nan


def _plain(key: str, payloads: Payloads, read: Callable[[Any], float]) -> NDArray[np.float64]:
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


def _local_datetime(value: Any) -> float:
    moment = datetime_utils.parse(value) if isinstance(value, str) else None
    return np.nan if moment is None else seconds(moment)
