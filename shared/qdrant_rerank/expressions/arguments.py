"""Checks of what nodes are built with; each raises a StrategyError that says what is wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ..errors import StrategyError
from ..values import brief, is_finite, to_plain
from .wire import F32_MAX

__all__ = ["check_key", "check_moment", "check_number", "check_place", "flattened", "in_utc"]

T = TypeVar("T")


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
        raise StrategyError(f"{what} must be a datetime.datetime, got {value!r}")
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


def flattened(what: str, operands: Iterable[T], inner: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    """The operands of an associative node, those of the same kind taken apart (`inner` holds the parts of each)."""
    found = tuple(part for _, parts in zip(operands, inner, strict=True) for part in parts)
    if len(found) < 2:
        raise StrategyError(f"a {what} needs at least two operands, got {len(found)}")
    return found
