"""Date-times in payload text, read as Qdrant reads them: RFC 3339, and the laxer forms that it takes as well.

Python's own dates end at the year 9999 and at microseconds; Qdrant's don't. So moments are whole numbers of nanoseconds since
1970 here. Formulas and payload indexes know microseconds, conditions on payload without an index know every digit.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Final

__all__ = ["nanoseconds", "nanoseconds_of"]

_SECOND: Final = 1_000_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST_YEAR, _LAST_YEAR = -262_143, 262_142
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097  # after which the calendar repeats

# Unicode's white space: Python's \s takes four more characters. Numbers give nothing back (`+`), as the engine's don't.
_W: Final = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
_YEAR: Final = rf"{_W}(?P<year>[+-]\d++|\d{{1,4}}+)"
_SECONDS: Final = rf"{_W}(?P<second>\d{{1,2}}+)(?:\.(?P<fraction>\d++))?"
_SIGNED: Final = r"(?P<sign>[+\u2212-])(?P<hours>\d\d)(?::|{w})*".replace("{w}", _W.removesuffix("*"))
_FORMS: Final = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_YEAR}{_W}-{_W}(?P<month>\d{{1,2}}+){_W}-{_W}(?P<day>\d{{1,2}}+)[Tt ]{_W}(?P<hour>\d{{1,2}}+){_W}:{_W}"
        rf"(?P<minute>\d{{1,2}}+){_W}:{_SECONDS}{_W}(?:[Zz]|[Uu][Tt][Cc]|{_SIGNED}(?P<minutes>[0-5]\d)){_W}",
        rf"{_YEAR}-{_W}(?P<month>\d{{1,2}}+)-{_W}(?P<day>\d{{1,2}}+)(?:T|{_W}){_W}(?P<hour>\d{{1,2}}+):{_W}"
        rf"(?P<minute>\d{{1,2}}+):{_SECONDS}{_W}(?:[Zz]|{_SIGNED}(?P<minutes>[0-5]\d)?)",
        rf"{_YEAR}-{_W}(?P<month>\d{{1,2}}+)-{_W}(?P<day>\d{{1,2}}+)"
        rf"(?:(?:T|{_W}){_W}(?P<hour>\d{{1,2}}+):{_W}(?P<minute>\d{{1,2}}+)(?::{_SECONDS})?)?",
    )
)


@lru_cache(maxsize=4096)
def nanoseconds(text: str) -> int | None:
    """The moment that the text says, in nanoseconds since 1970; None where it says none. UTC where it has no time zone."""
    for form in _FORMS:
        if (found := form.fullmatch(text)) is not None:
            return _moment(found.groupdict(default=""))
    return None


def nanoseconds_of(moment: dt.datetime | dt.date) -> int:
    """The same of one of Python's own; UTC where it has no time zone, midnight where it is a day."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _moment(parts: dict[str, str]) -> int | None:
    try:
        year, month, day = int(parts["year"]), int(parts["month"]), int(parts["day"])
    except ValueError:  # Python reads no number of more than 4300 digits
        return None
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    hours, minutes = int(parts.get("hours") or 0), int(parts.get("minutes") or 0)
    # 60 seconds are a leap second, in whatever minute
    if not _FIRST_YEAR <= year <= _LAST_YEAR or hour > 23 or minute > 59 or second > 60 or hours > 23:
        return None
    like = 2000 + year % _CYCLE_YEARS
    try:
        days = dt.date(like, month, day).toordinal() - _EPOCH.toordinal()
    except ValueError:
        return None
    days += (year - like) // _CYCLE_YEARS * _CYCLE_DAYS
    offset = (hours * 60 + minutes) * (1 if parts.get("sign") == "+" else -1)
    seconds = days * 86_400 + (hour * 60 + minute - offset) * 60 + second
    return seconds * _SECOND + int(parts["fraction"][:9].ljust(9, "0"))
