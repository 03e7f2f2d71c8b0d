"""Payload keys that a strategy or a call reads and no sampled point has: told, as a default or no result would hide it.

It takes a suspicion: no result has the key, or nothing meets the call's filter. Then one random sample is drawn, through the
executor's fixed filter, and kept as long as what is known of the collection; a query whose keys are there asks for nothing
more. Nothing is said of fewer than 20 points, nor of keys with a payload index, which are there for rare values. A call's own
filter isn't part of the sample: a misspelt key lets nothing through. Of other keys but the one that is meant is shown.
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
from .sampling import random_points
from .steps import Flow, Points, Search
from .strategies import Strategy

__all__ = ["Reading", "read_by_strategy", "tell_mistakes"]

Kind: TypeAlias = Literal["number", "date-time", "place", "value"]

SAMPLED: Final = 100
"""Random points that are looked at."""
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
    """A payload key that something reads.

    Attributes:
        key: the path to it.
        kind: what is read there.
        whose: what reads it, in words.
        without: what happens to points that have none, in words.
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


def _read_by_call(options: SearchOptions) -> Iterator[Reading]:
    """What a call's filter and groups read."""
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
    """Warn of keys that the results let suspect and a sample confirms; one search where the sample isn't there yet.

    Args:
        strategy: what found the points.
        options: the call's.
        target: the collection.
        points: what was found.
    """
    if options.with_payload is not True or (points and not any(point.payload for point in points)):
        return
    quirks, count = target.quirks, target.schema.points
    read = [each for each in read_by_strategy(strategy) if points or each.whose != _FORMULA]
    if not points:
        read += _read_by_call(options)
    new = [each for each in read if each.memory not in quirks.checked]
    quirks.checked.update(each.memory for each in new)
    payloads = [point.payload or {} for point in points]
    suspects = [each for each in new if not _is_in(each, payloads)]
    if not suspects or count is None or count < LEAST:
        return
    if (known := quirks.key_types) is None:
        known = yield from _look(target, options)
    for lint in _mistakes(dict.fromkeys(suspects), known, target) if known else ():
        warn(lint)


def _is_in(reading: Reading, payloads: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some payload has what is read."""
    for payload in payloads:
        for value in reader(reading.key)(payload) or ():
            if _is_read(value, reading.kind):
                return True
    return False


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
    return known


def _text_keys(target: Target) -> tuple[str, ...]:
    """Where texts are, which are long and read by no formula."""
    keys: tuple[str, ...] = getattr(target.payload, "text_keys", ())
    return tuple(key for key in keys if key and "." not in key)


def _mistakes(readings: Iterable[Reading], known: Mapping[str, tuple[str, ...]], target: Target) -> Iterator[Lint]:
    collection, plain = target.schema.collection, {_MARKS.sub("", key): key for key in known}
    skipped = {*_text_keys(target), *(_MARKS.sub("", key) for key in target.schema.indexes)}
    for each in readings:
        if each.plain in plain:
            yield from _of_another_type(each, known[plain[each.plain]], collection)
        elif each.plain not in skipped and not any(key.startswith(f"{each.plain}.") for key in plain):
            meant = _meant(each.plain, plain)
            hint = "." if meant is None else f"; did you mean {plain[meant]!r}?"
            whose = each.whose[0].upper() + each.whose[1:]
            yield Lint("absent-key", f"no sampled point of {collection!r} has {each.key!r}{hint} {whose} {each.without}")


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
