"""Payload keys that a strategy or a call reads and no point seems to have: a warning, as a default or no result would hide it.

It takes a suspicion: no result has the key, or nothing meets the call's filter. Then one random sample is drawn, through the
executor's fixed filter, and kept as long as what is known of the collection; a query whose keys are there asks for nothing
more. For a key that no sampled point has, one request looks for a point that has it, unless the collection is large. Nothing is
said of fewer than 20 points, nor of keys whose payload index holds points, which are there for rare values. A call's own filter
isn't part of the sample: a misspelt key lets nothing through. The same goes for the keys of the fixed filter: where nothing is
found, they are looked for beyond it, in a search that brings back nothing but keys and types. Of other keys only the one that
is meant is shown.

A value of another type is told where no sampled point has the right one: a key with values of several types may be read by
each, and alternatives of a filter may be there for each. Text matches no number, a whole number no float (but with an integer
index, which takes 3.0 for 3), and neither matches true or false.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

from qdrant_client import models

from .errors import Lint, warn
from .expressions.inspect import payload_keys, walk, write_reader
from .expressions.nodes import Affinity, Expression, When
from .expressions.view import reader
from .payload_schema import LEAST, list_leaves, read_payloads, type_of
from .query import SearchOptions, Target
from .steps import Flow, Points, Search
from .strategies import Strategy
from .trained import random_points
from .values import as_list

Kind: TypeAlias = Literal["number", "date-time", "place", "text", "day", "integer", "bool", "category", "value"]

SAMPLED: Final = 100
"""Random points that are looked at."""
SEARCHED: Final = 100_000
"""Points up to which the whole collection is searched for a key: without an index a server reads each point's payload."""
_KINDS: Final[dict[models.PayloadSchemaType | None, Kind]] = {
    models.PayloadSchemaType.FLOAT: "number",
    models.PayloadSchemaType.DATETIME: "date-time",
    models.PayloadSchemaType.GEO: "place",
}
_TEXTS: Final = frozenset({"keyword", "text", "uuid", "day", "datetime"})
_READ_AS: Final[dict[Kind, tuple[str, frozenset[str]]]] = {
    "number": ("reads a number", frozenset({"integer", "float"})),
    "date-time": ("reads a date-time", frozenset({"day", "datetime"})),
    "place": ("reads a place", frozenset({"geo"})),
    "text": ("matches text", _TEXTS),
    "day": ("matches a day", _TEXTS - {"datetime"}),
    "integer": ("matches a whole number", frozenset({"integer"})),
    "bool": ("matches true or false", frozenset({"bool"})),
    "category": ("takes whole numbers and texts", _TEXTS | {"integer"}),
}
"""What is done with a value, and the types that it may have; `category` is what affinities and groups know."""
_STORED: Final[dict[str, tuple[str, str]]] = {
    "integer": ("whole numbers", "a whole number, without quotes"),
    "float": ("floats", ""),
    "day": ("date-times", ""),
    "datetime": ("date-times", ""),
    "geo": ("places", ""),
    "bool": ("true or false", "true or false, without quotes"),
    "keyword": ("text", "text, in quotes"),
    "text": ("text", "text, in quotes"),
    "uuid": ("UUIDs", "text, in quotes"),
    "object": ("objects", ""),
    "array": ("arrays within arrays", ""),
}
"""For each type of values: their name, and what a condition has to match."""
_RANGES: Final = {"integer": "numbers", "float": "numbers", "day": "date-times", "datetime": "date-times"}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_FORMULA: Final = "the formula"
FIXED: Final = "the fixed_filter"
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


def read_by_strategy(strategy: Strategy, params: Mapping[str, Any] | None = None) -> Iterator[Reading]:
    """What a strategy's formulas read with a default, and its filters. Learned formulas are checked by what they learned.

    A query's params say as what affinities read.
    """
    for expression in strategy.expressions_as_written():
        matched = _matched_by(expression, params or {})
        for key in payload_keys(expression):
            if key.has_default:
                reading = Reading(key.key, "value", _FORMULA, "takes the default for each of them")
                if key.is_read and key.index in _KINDS:
                    yield replace(reading, kind=_KINDS[key.index])
                elif (kind := matched.get(reading.plain)) is None or key.is_read:
                    yield replace(reading, kind=kind or "value")
                else:
                    yield replace(reading, kind=kind, without="takes 0 for each of them")
    for stage in strategy.stages():
        if stage.filter is not None:
            yield from _read_by_filter(stage.filter, f"the filter of {type(stage).__name__}")


def _matched_by(expression: Expression, params: Mapping[str, Any]) -> dict[str, Kind]:
    """As what a formula's conditions and affinities read each key; `value` where they differ, as one may be meant to fail."""
    found: dict[str, set[Kind]] = {}
    for node in walk(expression):
        if isinstance(node, When):
            for each in _read_by_filter(models.Filter(must=[node.condition]), _FORMULA):
                found.setdefault(each.plain, set()).add(each.kind)
        elif isinstance(node, Affinity):
            weights = params.get(node.param)
            kinds = set[Kind](map(_kind_of_value, weights)) if isinstance(weights, Mapping) else set[Kind]()
            kind: Kind = kinds.pop() if len(kinds) == 1 else "category"
            found.setdefault(_MARKS.sub("", node.key), set()).add(kind)
    return {key: kinds.pop() if len(kinds) == 1 else "value" for key, kinds in found.items()}


def read_in_results(strategy: Strategy, options: SearchOptions, params: Mapping[str, Any] | None = None) -> Iterator[Reading]:
    """What of it a call's results show, as the call selects of the payload."""
    return (each for each in read_by_strategy(strategy, params) if _shows(options, each))


def _read_by_call(options: SearchOptions) -> Iterator[Reading]:
    if options.filter is not None:
        yield from _read_by_filter(options.filter, "the call's filter")
    if options.group_by is not None:
        yield Reading(options.group_by, "category", "the call's group_by", "leaves each of them out")


def _read_by_filter(filter: models.Filter, whose: str, prefix: str = "") -> Iterator[Reading]:
    """The keys of conditions that have to be met; what must not be may well be nowhere."""
    least = None if filter.min_should is None else filter.min_should.conditions
    for clause, is_choice in ((filter.must, False), (filter.should, True), (least, True)):
        read = [list(_read_by_condition(each, whose, prefix)) for each in as_list(clause)]
        kinds: dict[str, set[Kind]] = {}
        for each in chain.from_iterable(read):
            kinds.setdefault(each.plain, set()).add(each.kind)
        for each in chain.from_iterable(read):
            # of alternatives one may be for each type that a key has; one that reads nothing may let all through
            is_open = is_choice and (len(kinds[each.plain]) > 1 or not all(read))
            yield replace(each, kind="value") if is_open else each


def _read_by_condition(condition: models.Condition, whose: str, prefix: str) -> Iterator[Reading]:
    match condition:
        case models.Filter():
            yield from _read_by_filter(condition, whose, prefix)
        case models.NestedCondition():
            yield from _read_by_filter(condition.nested.filter, whose, f"{prefix}{condition.nested.key}.")
        case models.FieldCondition() if condition.is_empty is None and condition.is_null is None:
            yield Reading(prefix + condition.key, _kind_of(condition), whose, "lets none of them through")
        case _:
            pass


def _kind_of(condition: models.FieldCondition) -> Kind:
    if condition.range is not None:
        return "date-time" if isinstance(condition.range, models.DatetimeRange) else "number"
    if condition.geo_bounding_box or condition.geo_radius or condition.geo_polygon:
        return "place"
    match condition.match:
        case models.MatchText() | models.MatchTextAny() | models.MatchPhrase():
            return "text"
        case models.MatchValue(value=value):
            return _kind_of_value(value)
        case models.MatchAny(any=values):
            kinds = set[Kind](map(_kind_of_value, values))
            return kinds.pop() if len(kinds) == 1 else "text" if kinds == {"text", "day"} else "value"
        case _:  # what is excepted may be of any type
            return "value"


def _kind_of_value(value: object) -> Kind:
    if isinstance(value, str):
        return "day" if _DAY.fullmatch(value) else "text"
    return "bool" if isinstance(value, bool) else "integer"


def tell_mistakes(
    strategy: Strategy, options: SearchOptions, target: Target, points: Points, params: Mapping[str, Any] | None = None
) -> Flow[None]:
    """Warn of keys that the results let suspect and a sample confirms; one search where the sample isn't there yet."""
    quirks = target.quirks
    if not points and target.fixed_filter is not None and (memory := ("", "", FIXED)) not in quirks.checked:
        quirks.checked.add(memory)
        for lint in (yield from find_filter_mistakes(target.fixed_filter, FIXED, target, options)):
            warn(lint)
    if points:
        read = list(read_in_results(strategy, options, params))
    else:
        read = [each for each in (*read_by_strategy(strategy), *_read_by_call(options)) if each.whose != _FORMULA]
    new = [each for each in read if each.memory not in quirks.checked]
    quirks.checked.update(each.memory for each in new)
    if points:  # whatever the params: that is what the next query asks for
        quirks.checked.update(each.memory for each in read_in_results(strategy, options))
    payloads = [point.payload or {} for point in points]
    for lint in (yield from _confirm([each for each in new if not _is_in(each, payloads)], options, target)):
        warn(lint)


def find_mistakes(strategy: Strategy, options: SearchOptions, target: Target) -> Flow[list[Lint]]:
    """What `tell_mistakes` would warn of, before any query: always by a sample."""
    found = list[Lint]()
    if target.fixed_filter is not None:
        found += yield from find_filter_mistakes(target.fixed_filter, FIXED, target, options)
    return found + (yield from _confirm([*read_by_strategy(strategy), *_read_by_call(options)], options, target))


def find_filter_mistakes(filter: models.Filter, whose: str, target: Target, options: SearchOptions) -> Flow[list[Lint]]:
    """Mistakes about the keys of a filter that holds in every call, and so may leave no points to tell by.

    Points beyond the fixed filter are looked at, for their keys and types alone.
    """
    return (yield from _confirm(list(_read_by_filter(filter, whose)), options, target, beyond=True))


def _confirm(suspects: Sequence[Reading], options: SearchOptions, target: Target, *, beyond: bool = False) -> Flow[list[Lint]]:
    """What a sample confirms of these, within the fixed filter or `beyond` it."""
    count = target.schema.points
    if not suspects or count is None or count < LEAST:
        return []
    if not (known := (yield from find_keys(target, options, beyond=beyond))):
        return []
    mistaken = list(dict.fromkeys(suspects))
    absent = [each for each in mistaken if _is_absent(each, known, target)]
    rare = (yield from _look_for(absent, options, beyond)) if absent and count <= SEARCHED else None
    return list(_mistakes(mistaken, known, absent, rare, target.quirks.sampled[beyond], target))


def find_keys(target: Target, options: SearchOptions, *, beyond: bool = False) -> Flow[Mapping[str, tuple[str, ...]]]:
    """The payload's keys, with types, of random points within the fixed filter or `beyond` it, once they were looked at.

    Empty where there are too few points, or they can't be had.
    """
    quirks = target.quirks
    if (known := quirks.key_types.get(beyond)) is not None:
        return known
    quirks.key_types[beyond] = {}  # what comes meanwhile doesn't ask as well
    texts = _text_keys(target)
    selector = models.PayloadSelectorExclude(exclude=list(texts)) if texts else True
    request = random_points(SAMPLED, selector, None, target.schema)
    try:
        [points] = yield from Search([request], options.consistency, options.timeout, keys_alone=beyond)
    except Exception:  # strict mode, or no right to: queries may do all the same, and go on
        return {}
    quirks.key_types[beyond] = known = _read_types([point.payload or {} for point in points], target)
    quirks.sampled[beyond] = len(points)
    return known


def find_absent_keys(expression: Expression, payloads: Sequence[Mapping[str, Any]]) -> Iterator[Lint]:
    """The keys that an expression reads with a default, and none of the results to rank has, which were found elsewhere.

    Of few results only a key is told that is spelt like one of theirs, as a rare one may be nowhere among them.
    """
    matched, there = _matched_by(expression, {}), dict[str, str]()
    for key in payload_keys(expression):
        plain = _MARKS.sub("", key.key)
        if not key.has_default or not (key.is_read or plain in matched) or any(map(reader(key.key), payloads)):
            continue
        there = there or {_MARKS.sub("", path): path for payload in payloads for path, _, _ in list_leaves(payload)}
        meant, last = find_meant(plain, there), plain.rpartition(".")[2]
        if meant is not None and not get_close_matches(last, [meant.rpartition(".")[2]]):  # alike in what stands before alone
            meant = None
        if meant is not None or len(payloads) >= LEAST:
            hint = "." if meant is None else f"; did you mean {there[meant]!r}?"
            text = f"none of {len(payloads)} results has {key.key!r}{hint} The blend takes the default for each of them"
            yield Lint("absent-key", text)


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
        case "day":
            return isinstance(value, str) and _DAY.fullmatch(value) is not None
        case "text":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "integer" | "category":
            return isinstance(value, int if kind == "integer" else int | str) and not isinstance(value, bool)
        case _:
            return value is not None


def _read_types(payloads: Sequence[Mapping[str, Any]], target: Target) -> dict[str, tuple[str, ...]]:
    """Payload key → types of the values there; nothing of too few payloads."""
    found = read_payloads(target.schema, payloads, SAMPLED)
    known: dict[str, tuple[str, ...]] = {each.key: tuple(each.types) for each in found.keys if each.types}
    for key, types in [*known.items()]:
        if types == ("datetime",):  # a day matches none that has a time
            days = {_DAY.fullmatch(str(value)) is not None for payload in payloads for value in reader(key)(payload) or ()}
            known[key] = tuple("day" if is_day else "datetime" for is_day in sorted(days))
        elif types == ("geo",):
            known |= {f"{key}.lat": ("float",), f"{key}.lon": ("float",)}
    return known


def _look_for(absent: Sequence[Reading], options: SearchOptions, beyond: bool) -> Flow[frozenset[str] | None]:
    """Which of these keys some point has all the same; None where that can't be asked."""
    having = [models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=each.key))]) for each in absent]
    asked = [models.QueryRequest(filter=each, limit=1, with_payload=False) for each in having]
    try:
        found = yield from Search(asked, options.consistency, options.timeout, keys_alone=beyond)
    except Exception:  # strict mode forbids filters without an index: the sample has to do
        return None
    return frozenset(each.key for each, points in zip(absent, found, strict=True) if points)


def _text_keys(target: Target) -> tuple[str, ...]:
    """Where texts are, which are long and read by no formula."""
    keys: tuple[str, ...] = getattr(target.payload, "text_keys", ())
    return tuple(key for key in keys if key and "." not in key)


def _is_absent(reading: Reading, known: Mapping[str, tuple[str, ...]], target: Target) -> bool:
    """Whether no sampled point has the key, nor one below it, and nothing else speaks for it."""
    schema = target.schema
    expected = {*_text_keys(target), *(_MARKS.sub("", key) for key in schema.indexes.keys() - schema.empty_indexes)}
    plain = [_MARKS.sub("", key) for key in known]
    there = any(key == reading.plain or key.startswith(f"{reading.plain}.") for key in plain)
    return not there and reading.plain not in expected


def _mistakes(
    readings: Iterable[Reading],
    known: Mapping[str, tuple[str, ...]],
    absent: Sequence[Reading],
    rare: frozenset[str] | None,
    sampled: int,
    target: Target,
) -> Iterator[Lint]:
    collection, plain = target.schema.collection, {_MARKS.sub("", key): key for key in known}
    none = "no point" if rare is not None else f"none of {sampled} sampled points"
    for each in readings:
        within = next((key for key in plain if key.startswith(f"{each.plain}.")), None)
        if each.plain in plain:
            yield from _of_another_type(each, known[plain[each.plain]], "", target)
        elif within is not None:
            yield from _of_another_type(each, ("object",), f"name a key within, such as {plain[within]!r}", target)
        elif each in absent and each.key not in (rare or ()):
            meant = find_meant(each.plain, plain)
            hint = "." if meant is None else f"; did you mean {plain[meant]!r}?"
            whose = each.whose[0].upper() + each.whose[1:]
            yield Lint("absent-key", f"{none} of {collection!r} has {each.key!r}{hint} {whose} {each.without}")


def _of_another_type(reading: Reading, types: Sequence[str], remedy: str, target: Target) -> Iterator[Lint]:
    does, fitting = _READ_AS.get(reading.kind, ("", frozenset(types)))
    if reading.kind == "integer" and target.schema.indexes.get(reading.key) == models.PayloadSchemaType.INTEGER:
        fitting |= {"float"}
    if fitting & set(types):
        return
    yield Lint(
        "other-type",
        f"the sampled points of {target.schema.collection!r} hold {_STORED[types[0]][0]} under {reading.key!r}, and "
        f"{reading.whose} {does} there: it {reading.without}; {remedy or _remedy(reading, types[0])}",
    )


def name_reader(key: str, payload: Mapping[str, Any]) -> str:
    """The function that reads the one value that a point has at a key, with a default; "" where there is none."""
    values = list(reader(key)(payload) or ())
    return _name_function(type_of(values[0]), key) if len(values) == 1 else ""


def _name_function(there: str, key: str) -> str:
    """What reads values of this type in a formula."""
    if there == "bool":
        return f"when(models.FieldCondition(key={key!r}, match=models.MatchValue(value=True)))"
    return write_reader("datetime" if there == "day" else there, key)


def _remedy(reading: Reading, there: str) -> str:
    """What to write instead, or to store."""
    _, matched = _STORED[there]
    if reading.kind == "category":
        return "store one of these there"
    if reading.kind not in _KINDS.values() and matched:
        return f"match {matched}"
    if reading.whose == _FORMULA and reading.kind in _KINDS.values() and (function := _name_function(there, reading.key)):
        return f"read it by {function}"
    if there in _RANGES:
        return f"give a range of {_RANGES[there]}"
    return f"store {'ISO 8601 texts' if reading.kind == 'date-time' else reading.kind + 's'} there"


def find_meant(key: str, known: Iterable[str]) -> str | None:
    """The key that was meant: one with the same last part, or spelt nearly the same."""
    last, names = key.rpartition(".")[2], sorted(known, key=len)
    for name in names:
        if name.rpartition(".")[2] == last:
            return name
    return next(iter(get_close_matches(key, names, n=1)), None)
