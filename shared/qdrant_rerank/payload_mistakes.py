"""Payload keys that a strategy or a call reads and no point seems to have: a warning, as a default or no result would hide it.

It takes a suspicion: no result has the key, or nothing meets the call's filter. Then one random sample is drawn, through the
executor's fixed filter, and kept as long as what is known of the collection; a query whose keys are there asks for nothing
more. For a key that no sampled point has, one request looks for a point that has it, unless the collection is large. Nothing is
said of fewer than 20 points, nor of keys with a payload index, which are there for rare values. A call's own filter isn't part
of the sample: a misspelt key lets nothing through. Of other keys only the one that is meant is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeAlias

from qdrant_client import models

from .errors import Lint, warn
from .expressions.inspect import payload_keys
from .expressions.view import reader
from .payload_schema import LEAST, read_payloads
from .query import SearchOptions, Target
from .steps import Flow, Points, Search
from .strategies import Strategy
from .trained import random_points

Kind: TypeAlias = Literal["number", "date-time", "place", "value"]

SAMPLED: Final = 100
"""Random points that are looked at."""
SEARCHED: Final = 100_000
"""Points up to which the whole collection is searched for a key: without an index a server reads each point's payload."""
_KINDS: Final[dict[models.PayloadSchemaType | None, Kind]] = {
    models.PayloadSchemaType.FLOAT: "number",
    models.PayloadSchemaType.DATETIME: "date-time",
    models.PayloadSchemaType.GEO: "place",
}
_HOLD: Final[dict[Kind, frozenset[str]]] = {
    "number": frozenset({"integer", "float"}),
    "date-time": frozenset({"datetime"}),
    "place": frozenset({"geo"}),
}
_READ_BY: Final[dict[str, tuple[str, str]]] = {
    "integer": ("numbers", "field({key!r}, default=…)"),
    "float": ("numbers", "field({key!r}, default=…)"),
    "datetime": ("date-times", "datetime_field({key!r}, default=…)"),
    "geo": ("places", "geo_distance(…, {key!r}, default=…)"),
    "bool": ("true or false", "when(models.FieldCondition(key={key!r}, match=models.MatchValue(value=True)))"),
    "keyword": ("text", ""),
    "text": ("text", ""),
    "uuid": ("UUIDs", ""),
    "object": ("objects", ""),
    "array": ("arrays within arrays", ""),
}
_FORMULA: Final = "the formula"
_MARKS: Final = re.compile(r'\[\d*\]|"')


@dataclass(frozen=True)
class Reading:
    """A payload key that something reads: its path, what is read there, and what reads it, in words.

    `without` says what happens to points that have none.
    """

    key: str
    kind: Kind
    whose: str
    without: str

    @property
    def plain(self) -> str:
        """The path without quotes and the marks of arrays."""
        return _MARKS.sub("", self.key)

    @property
    def memory(self) -> tuple[str, ...]:
        """What is remembered of it."""
        return self.key, self.kind, self.whose


def read_by_strategy(strategy: Strategy) -> Iterator[Reading]:
    """What a strategy's formulas read with a default, and its filters. Learned formulas are checked by what they learned."""
    for expression in strategy.expressions_as_written():
        for key in payload_keys(expression):
            if key.has_default:
                kind = _KINDS.get(key.index, "value")
                yield Reading(key.key, kind, _FORMULA, "takes the default for each of them")
    for stage in strategy.stages():
        if stage.filter is not None:
            yield from _read_by_filter(stage.filter, f"the filter of {type(stage).__name__}")


def read_in_results(strategy: Strategy, options: SearchOptions) -> Iterator[Reading]:
    """What of it a call's results show, as the call selects of the payload."""
    return (each for each in read_by_strategy(strategy) if _shows(options, each))


def _read_by_call(options: SearchOptions) -> Iterator[Reading]:
    if options.filter is not None:
        yield from _read_by_filter(options.filter, "the call's filter")
    if options.group_by is not None:
        yield Reading(options.group_by, "value", "the call's group_by", "leaves each of them out")


def _read_by_filter(filter: models.Filter, whose: str, prefix: str = "") -> Iterator[Reading]:
    """The keys of conditions that have to be met; what must not be may well be nowhere."""
    least = None if filter.min_should is None else filter.min_should.conditions
    for clause in (filter.must, filter.should, least):
        for each in clause if isinstance(clause, list) else [] if clause is None else [clause]:
            match each:
                case models.Filter():
                    yield from _read_by_filter(each, whose, prefix)
                case models.NestedCondition():
                    yield from _read_by_filter(each.nested.filter, whose, f"{prefix}{each.nested.key}.")
                case models.FieldCondition() if each.is_empty is None and each.is_null is None:
                    yield Reading(prefix + each.key, _kind_of(each), whose, "lets none of them through")
                case _:
                    pass


def _kind_of(condition: models.FieldCondition) -> Kind:
    if condition.range is not None:
        return "date-time" if isinstance(condition.range, models.DatetimeRange) else "number"
    places = condition.geo_bounding_box, condition.geo_radius, condition.geo_polygon
    return "value" if places == (None, None, None) else "place"


def tell_mistakes(strategy: Strategy, options: SearchOptions, target: Target, points: Points) -> Flow[None]:
    """Warn of keys that the results let suspect and a sample confirms; one search where the sample isn't there yet."""
    quirks, count = target.quirks, target.schema.points
    if points:
        read = list(read_in_results(strategy, options))
    else:
        read = [each for each in (*read_by_strategy(strategy), *_read_by_call(options)) if each.whose != _FORMULA]
    new = [each for each in read if each.memory not in quirks.checked]
    quirks.checked.update(each.memory for each in new)
    payloads = [point.payload or {} for point in points]
    suspects = [each for each in new if not _is_in(each, payloads)]
    if not suspects or count is None or count < LEAST:
        return
    if (known := quirks.key_types) is None:
        known = yield from _look(target, options)
    if not known:
        return
    mistaken = list(dict.fromkeys(suspects))
    absent = [each for each in mistaken if _is_absent(each, known, target)]
    rare = (yield from _look_for(absent, options)) if absent and count <= SEARCHED else None
    for lint in _mistakes(mistaken, known, absent, rare, target):
        warn(lint)


def _shows(options: SearchOptions, reading: Reading) -> bool:
    match options.with_payload:
        case bool(whole):
            return whole
        case models.PayloadSelectorInclude(include=keys) | list(keys):
            return any(reading.plain == key or reading.plain.startswith(f"{key}.") for key in keys)
        case _:
            return False


def _is_in(reading: Reading, payloads: Sequence[Mapping[str, Any]]) -> bool:
    values = (value for payload in payloads for value in reader(reading.key)(payload) or ())
    return any(_is_read(value, reading.kind) for value in values)


def _is_read(value: Any, kind: Kind) -> bool:
    match kind:
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "date-time":
            return isinstance(value, str) and value[:4].isdigit()
        case "place":
            return isinstance(value, Mapping)
        case _:
            return value is not None


def _look(target: Target, options: SearchOptions) -> Flow[Mapping[str, tuple[str, ...]]]:
    """The payload keys of a sample; none where there are too few points, or it can't be drawn."""
    target.quirks.key_types = {}  # what comes meanwhile doesn't ask as well
    texts = _text_keys(target)
    selector = models.PayloadSelectorExclude(exclude=list(texts)) if texts else True
    request = random_points(SAMPLED, selector, None, target.schema)
    try:
        [points] = yield from Search([request], options.consistency, options.timeout)
    except Exception:  # strict mode, or no right to: queries may do all the same, and go on
        return {}
    found = read_payloads(target.schema, [point.payload or {} for point in points], SAMPLED)
    target.quirks.key_types = known = {each.key: tuple(each.types) for each in found.keys if each.types}
    target.quirks.sampled = found.points
    return known


def _look_for(absent: Sequence[Reading], options: SearchOptions) -> Flow[frozenset[str] | None]:
    """Which of these keys some point has all the same; None where that can't be asked."""
    having = [models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=each.key))]) for each in absent]
    asked = [models.QueryRequest(filter=each, limit=1, with_payload=False) for each in having]
    try:
        found = yield from Search(asked, options.consistency, options.timeout)
    except Exception:  # strict mode forbids filters without an index: the sample has to do
        return None
    return frozenset(each.key for each, points in zip(absent, found, strict=True) if points)


def _text_keys(target: Target) -> tuple[str, ...]:
    """Where texts are, which are long and read by no formula."""
    keys: tuple[str, ...] = getattr(target.payload, "text_keys", ())
    return tuple(key for key in keys if key and "." not in key)


def _is_absent(reading: Reading, known: Mapping[str, tuple[str, ...]], target: Target) -> bool:
    """Whether no sampled point has the key, nor one below it, and nothing else speaks for it."""
    expected = {*_text_keys(target), *(_MARKS.sub("", key) for key in target.schema.indexes)}
    plain = [_MARKS.sub("", key) for key in known]
    there = any(key == reading.plain or key.startswith(f"{reading.plain}.") for key in plain)
    return not there and reading.plain not in expected


def _mistakes(
    readings: Iterable[Reading],
    known: Mapping[str, tuple[str, ...]],
    absent: Sequence[Reading],
    rare: frozenset[str] | None,
    target: Target,
) -> Iterator[Lint]:
    collection, plain = target.schema.collection, {_MARKS.sub("", key): key for key in known}
    none = "no point" if rare is not None else f"none of {target.quirks.sampled} sampled points"
    for each in readings:
        if each.plain in plain:
            yield from _of_another_type(each, known[plain[each.plain]], collection)
        elif each in absent and each.key not in (rare or ()):
            meant = _meant(each.plain, plain)
            hint = "." if meant is None else f"; did you mean {plain[meant]!r}?"
            whose = each.whose[0].upper() + each.whose[1:]
            yield Lint("absent-key", f"{none} of {collection!r} has {each.key!r}{hint} {whose} {each.without}")


def _of_another_type(reading: Reading, types: Sequence[str], collection: str) -> Iterator[Lint]:
    wanted = _HOLD.get(reading.kind)
    if wanted is None or wanted & set(types):
        return
    there, function = _READ_BY[types[0]]
    if reading.whose == _FORMULA and function:
        remedy = f"read it by {function.format(key=reading.key)}"
    else:
        remedy = f"store {'ISO 8601 texts' if reading.kind == 'date-time' else reading.kind + 's'} there"
    yield Lint(
        "other-type",
        f"the sampled points of {collection!r} hold {there} under {reading.key!r}, and {reading.whose} reads a {reading.kind} "
        f"there: it {reading.without}; {remedy}",
    )


def _meant(key: str, known: Iterable[str]) -> str | None:
    """The key that was meant: one with the same last part, or spelt nearly the same."""
    last, names = key.rpartition(".")[2], sorted(known, key=len)
    for name in names:
        if name.rpartition(".")[2] == last:
            return name
    return next(iter(get_close_matches(key, names, n=1)), None)
