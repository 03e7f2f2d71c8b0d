"""What keys a collection's payload has, of which types and values, as far as a caller's filter lets see.

`payload_schema` reads one bounded random sample through the filter, and asks the payload indexes for the counts of values.
Nothing that the filter keeps out gets into the answer. Of too few points it says nothing, as that would be said of each.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from qdrant_client import AsyncQdrantClient, QdrantClient, models

from .schema import Schema, ask_schema
from .steps import Calls, Points, arun_calls, run_calls
from .trained import random_points
from .values import as_table, as_text, is_finite

PayloadType: TypeAlias = Literal["keyword", "text", "integer", "float", "bool", "datetime", "uuid", "geo", "object", "array"]
"""A value's type, in Qdrant's words; a text of at most 64 characters on one line is a keyword."""

SAMPLED: Final = 200
"""Random points that are read."""
LEAST: Final = 20
"""The fewest points that it says anything of."""
LISTED: Final = 30
"""Values of a key that are listed."""
_KEYS: Final = 300  # that are listed: more have keys that are data
_DEPTH: Final = 6
_ITEMS: Final = 50  # of an array that are looked at
_FACETS: Final = 16  # requests for counts by an index
_KEYWORD: Final = 64
_SAFE: Final = 40  # characters of a value that is shown
_LONG: Final = 10**8  # from which on a whole number may be a phone's, a card's or an account's

_PLAIN: Final = re.compile(r"[\w-]+", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SECRET_KEY: Final = re.compile(
    r"passw|pwd|secret|token|api[_-]?key|apikey|credential|private|auth(?!or)|cookie|session|ssn|iban|salary|mail|phone"
    r"|address|birth|passport|(?:^|[^a-z])(?:ip|card|dob)(?:$|[^a-z])",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(
    r"@\w|://|\d(?:[ ().-]{0,2}\d){8}"  # cards and phones are written in groups
    r"|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
    r"|(?<![\w:])(?:(?:[0-9a-fA-F]{1,4}:){3,7}|(?:(?:[0-9a-fA-F]{1,4}:)+:|::)(?:[0-9a-fA-F]{1,4}:)*)[0-9a-fA-F]{1,4}(?![\w:])"
    r"|^(?:sk|pk|ghp|gho|xox\w|hf|glpat|AKIA|ASIA|eyJ|Bearer|Basic)[-_ \w]{6}"
    r"|^(?=\S*\d)(?=\S*[a-zA-Z])[\w+/=.-]{20,}$"
)
_SAY_NOTHING: Final[Mapping[str, Any]] = {
    "integer": 0,
    "float": 0.5,
    "bool": True,
    "datetime": "2000-01-01",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "geo": {"lat": 0.0, "lon": 0.0},
}
_COUNTED: Final = ("keyword", "integer", "bool")
_FACETED: Final = tuple(map(models.PayloadSchemaType, _COUNTED))


@dataclass(frozen=True)
class ValueCount:
    """A value, and how many points have it."""

    value: str | int | bool
    count: int


@dataclass(frozen=True)
class PayloadKeySchema:
    """What the points have under one payload key.

    Attributes:
        key: Qdrant's path to it: `metadata.rating`, `items[].price` in an array of objects.
        types: type → share of the sampled points with a value of it, from 0 to 1, the most frequent first.
        share: share of the sampled points with any value but null.
        is_array: whether some points have an array.
        index: the type of its payload index; None without one.
        least, most: the range of the sampled numbers or date-times; None where there is none.
        values: the most frequent values that are safe to show, with counts: short, and unlike a secret, a mail or IP address,
            or a card's or phone's number, by key and form. Names of people have no form, and are shown.
        by_index: whether a payload index counted, all points; else the sample.
        is_complete: whether there are no other values.
    """

    key: str
    types: Mapping[PayloadType, float]
    share: float
    is_array: bool = False
    index: str | None = None
    least: float | str | None = None
    most: float | str | None = None
    values: tuple[ValueCount, ...] = ()
    by_index: bool = False
    is_complete: bool = False

    @property
    def type(self) -> PayloadType | None:
        """The most frequent type; None where no sampled point has a value."""
        return next(iter(self.types), None)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return asdict(replace(self, types=dict(self.types))) | {"values": [asdict(each) for each in self.values]}

    def describe_values(self) -> str:
        """Its range, or the first five of its values, on one line; "" where neither is known."""
        if self.least is not None:
            return f"{_write_bound(self.least)} … {_write_bound(self.most)}"
        shown = ", ".join(f"{each.value!r} ({each.count:,})" for each in self.values[:5])
        return shown + (", …" if shown and (len(self.values) > 5 or not self.is_complete) else "")


@dataclass(frozen=True)
class PayloadSchema:
    """The payload keys of a collection, as seen through a filter; `print` it.

    Attributes:
        collection: its name.
        points: how many points were looked at; 0 where the filter leaves fewer than 20.
        keys: in the order of their names.
    """

    collection: str
    points: int = 0
    keys: tuple[PayloadKeySchema, ...] = ()

    def get(self, key: str) -> PayloadKeySchema | None:
        """The schema of a key; None if no sampled point has it."""
        return next((each for each in self.keys if each.key == key), None)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"collection": self.collection, "points": self.points, "keys": [each.as_dict() for each in self.keys]}

    def __str__(self) -> str:
        if not self.points:
            return f"{self.collection!r}: fewer than {LEAST} points, too few to say anything of"
        rows = [("key", "type", "points", "index", "values"), *map(_row, self.keys)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"{self.collection!r}, of which {self.points} random points were looked at:", *lines])

    def _repr_html_(self) -> str:
        if not self.points:
            return as_text(str(self))
        caption = f"{self.collection!r}, of which {self.points} random points were looked at"
        return as_table(caption, ("key", "type", "points", "index", "values"), map(_row, self.keys))


def payload_schema(client: QdrantClient, collection: str, *, filter: models.Filter | None = None) -> PayloadSchema:
    """The payload keys of a collection's points, with types, shares, ranges and the most frequent values.

    Two requests, and one more for each of at most 16 payload indexes whose values can be counted.

    Args:
        client: a `QdrantClient`, or an `EdgeClient`.
        collection: its name.
        filter: only points that meet it are looked at, as well by indexes: the place for a tenant.

    Raises:
        PlanError: there is no such collection.
    """
    return run_calls(_ask(client, collection, filter))


async def apayload_schema(client: AsyncQdrantClient, collection: str, *, filter: models.Filter | None = None) -> PayloadSchema:
    """As `payload_schema`, without blocking the event loop."""
    return await arun_calls(_ask(client, collection, filter))


def _ask(client: Any, collection: str, filter: models.Filter | None) -> Calls[PayloadSchema]:
    schema = yield from ask_schema(client, collection)
    return (yield from ask_payload_schema(client, schema, filter))


def ask_payload_schema(client: Any, schema: Schema, filter: models.Filter | None) -> Calls[PayloadSchema]:
    """The calls by which `payload_schema` looks at the points of a collection, with a client that is sync or async."""
    drawn = random_points(SAMPLED, True, filter, schema)
    sampled = {"query": drawn.query, "query_filter": drawn.filter, "limit": drawn.limit, "with_payload": True}
    answer = yield partial(client.query_points, schema.collection, **sampled)
    found = read_payloads(schema, [point.payload or {} for point in answer.points], drawn.limit or SAMPLED)
    counts: dict[str, list[ValueCount]] = {}
    for key in _countable(found):
        try:
            answer = yield partial(client.facet, schema.collection, key, facet_filter=filter, limit=LISTED + 1)
        except Exception:  # strict mode, or no right to: the sample has to do
            continue
        counts[key] = [ValueCount(hit.value, hit.count) for hit in answer.hits]
    return _add_counts(found, counts)


def _is_safe(key: str, value: object) -> bool:
    """Whether a value may be shown: short, on one line, and by key and form neither a secret nor personal data."""
    if _SECRET_KEY.search(key):
        return False
    if isinstance(value, str):
        return 0 < len(value) <= _SAFE and value.isprintable() and not _SECRET_VALUE.search(value)
    return not isinstance(value, int) or abs(value) < _LONG


def _is_card(number: float) -> bool:
    """Whether a number may be a payment card's, by its length and its check digit."""
    digits = [int(digit) for digit in reversed(f"{abs(number):.0f}")]
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


@dataclass
class _Seen:
    points: int = 0
    is_array: bool = False
    longest: int = 0
    types: Counter[str] = field(default_factory=Counter[str])
    values: Counter[tuple[str, Any]] = field(default_factory=Counter[tuple[str, Any]])
    numbers: list[float] = field(default_factory=list[float])
    dates: list[str] = field(default_factory=list[str])

    def add(self, items: Sequence[tuple[str, Any, bool]]) -> None:
        """Note one point's types and values there, and whether they stand in an array."""
        self.points += 1
        self.is_array = self.is_array or any(within for *_, within in items)
        self.types.update({kind for kind, *_ in items})
        values: set[tuple[str, Any]] = set()
        for kind, value, _ in items:
            if kind in ("integer", "float"):
                self.numbers.append(value)
            elif kind == "datetime":
                self.dates.append(value)
            elif kind == "text":
                self.longest = max(self.longest, len(value) if value.isprintable() else _KEYWORD + 1)
            if kind in ("text", "integer", "bool"):
                values.add((kind, value))
        self.values.update(values)

    def schema(self, key: str, points: int, whole: bool, index: str | None) -> PayloadKeySchema:
        """The key's schema by this many sampled points, which may be the whole collection's."""
        text: PayloadType = "keyword" if self.longest <= _KEYWORD else "text"
        types: dict[PayloadType, float] = {}
        for kind, count in self.types.most_common():
            types[text if kind == "text" else kind] = round(count / points, 4)  # type: ignore[index]  # a PayloadType
        least: float | str | None = None
        most: float | str | None = None
        if self.numbers and not _SECRET_KEY.search(key):
            least, most = min(self.numbers), max(self.numbers)
            if _is_card(least) or _is_card(most):
                least = most = None
        elif self.dates and not _SECRET_KEY.search(key):
            least, most = min(self.dates, key=_moment), max(self.dates, key=_moment)
        values: list[ValueCount] = []
        if next(iter(types)) in _COUNTED:
            [(first, _)] = self.types.most_common(1)
            values = [ValueCount(value, count) for (kind, value), count in self.values.items() if kind == first]
        shown, complete = _pick_values(key, values, len(types) == 1 and whole)
        share = round(self.points / points, 4)
        return PayloadKeySchema(key, types, share, self.is_array, index, least, most, shown, False, complete)


def _pick_values(key: str, values: Sequence[ValueCount], whole: bool) -> tuple[tuple[ValueCount, ...], bool]:
    """The values that are safe to show, by their counts, and whether there are no others."""
    safe = [each for each in values if _is_safe(key, each.value)]
    ordered = sorted(safe, key=lambda each: (-each.count, str(each.value)))[:LISTED]
    return tuple(ordered), whole and bool(values) and len(ordered) == len(values)


def read_payloads(schema: Schema, payloads: Sequence[Mapping[str, Any]], limit: int) -> PayloadSchema:
    """What the sampled payloads say; nothing of too few."""
    if len(payloads) < LEAST:
        return PayloadSchema(schema.collection)
    seen: dict[str, _Seen] = {}
    for payload in payloads:
        there: dict[str, list[tuple[str, Any, bool]]] = {}
        for key, value, within in list_leaves(payload):
            there.setdefault(key, []).append((type_of(value), value, within))
        for key, items in there.items():
            if key in seen or len(seen) < _KEYS:
                seen.setdefault(key, _Seen()).add(items)
    indexes = {key: str(kind.value) for key, kind in schema.indexes.items()}
    whole = len(payloads) < limit
    keys = [found.schema(key, len(payloads), whole, indexes.get(key)) for key, found in seen.items()]
    keys += [PayloadKeySchema(key, {}, 0.0, index=index) for key, index in indexes.items() if key not in seen]
    return PayloadSchema(schema.collection, len(payloads), tuple(sorted(keys, key=lambda each: each.key)))


def hide_values(answers: Sequence[Points]) -> list[Points]:
    """Points of which only the payload's keys are left, and values of the types that were there: nobody's ids or values."""
    return [
        [models.ScoredPoint(id=0, version=0, score=0.0, payload=_hide(point.payload or {})) for point in points]
        for points in answers
    ]


def _hide(value: Any) -> Any:
    """A value of the same type that says nothing, with the keys of objects kept."""
    match type_of(value):
        case "object" if isinstance(value, Mapping):
            return {name: _hide(each) for name, each in value.items()}
        case "array":
            return [_hide(each) for each in value[:_ITEMS]]
        case "text":
            return "x" * (1 if len(value) <= _KEYWORD and value.isprintable() else _KEYWORD + 1)
        case "datetime" if len(value) > len("2000-01-01"):
            return "2000-01-01T00:00:00Z"
        case kind:
            return _SAY_NOTHING.get(kind)


def _countable(found: PayloadSchema) -> list[str]:
    """The keys whose values an index can count, and which may be shown."""
    faceted = {kind.value for kind in _FACETED}
    keys = [each for each in found.keys if each.index in faceted and each.share and not _SECRET_KEY.search(each.key)]
    return [each.key for each in sorted(keys, key=lambda each: -each.share)][:_FACETS]


def _add_counts(found: PayloadSchema, counts: Mapping[str, list[ValueCount]]) -> PayloadSchema:
    """The schema, with the counts of indexes in place of the sample's."""
    keys: list[PayloadKeySchema] = []
    for each in found.keys:
        if counted := counts.get(each.key):
            values, complete = _pick_values(each.key, counted, len(counted) <= LISTED)
            each = replace(each, values=values, by_index=True, is_complete=complete)
        keys.append(each)
    return replace(found, keys=tuple(keys))


def list_leaves(
    payload: Mapping[str, Any], prefix: str = "", depth: int = 0, within: bool = False
) -> Iterator[tuple[str, Any, bool]]:
    """The values but null in a payload, each after its path and before whether it stands in an array."""
    for name, value in payload.items():
        if not _PLAIN.fullmatch(name) and '"' in name:
            continue  # no path leads there
        path = prefix + (name if _PLAIN.fullmatch(name) else f'"{name}"')
        is_array = isinstance(value, list)
        for item in value[:_ITEMS] if is_array else [value]:
            if isinstance(item, Mapping) and item and not _is_geo(item) and depth < _DEPTH:
                yield from list_leaves(item, f"{path}[]." if is_array else f"{path}.", depth + 1, within or is_array)
            elif item is not None:
                yield path, item, within or is_array


def _is_geo(value: Mapping[str, Any]) -> bool:
    return value.keys() == {"lat", "lon"}


def type_of(value: Any) -> str:
    """The type of a value; every text that is neither a date-time nor a UUID is "text" here."""
    match value:
        case bool():
            return "bool"
        case int():
            return "integer"
        case float():
            return "float" if is_finite(value) else "object"
        case str():
            if _DATE.fullmatch(value) and _moment(value) != _NEVER:
                return "datetime"
            return "uuid" if _UUID.fullmatch(value) else "text"
        case list():
            return "array"
        case _:
            return "geo" if isinstance(value, Mapping) and _is_geo(value) else "object"


_NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


def _moment(text: str) -> dt.datetime:
    """The moment that an ISO 8601 text names, in UTC where it has no time zone; the first of all where it names none."""
    try:
        moment = dt.datetime.fromisoformat(text)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return _NEVER


def _write_bound(value: float | str | None) -> str:
    return value if isinstance(value, str) else f"{value:,g}" if isinstance(value, float) else str(value)


def _row(each: PayloadKeySchema) -> tuple[str, str, str, str, str]:
    types = " | ".join(each.types) or "–"
    return each.key, f"[{types}]" if each.is_array else types, f"{each.share:.0%}", each.index or "–", each.describe_values()
