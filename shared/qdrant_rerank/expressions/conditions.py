"""Whether points meet conditions, as the engine decides it: by its version, and by the indexes on what a condition reads.

An index answers from what it keeps: a keyword index sees no numbers, an integer index takes 3.0 for 3, a full-text index knows
words where text without an index is searched for other text. What no one can say here is refused, never guessed. The tests hold
this together with qdrant-client's local mode, qdrant-edge and servers, for every kind of condition, value and index.

Many conditions are asked over the same points: each payload key is read once. A model of a hundred trees asks a thousand.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local.payload_filters import check_condition

from ..errors import StrategyError
from ..values import as_list, brief
from .view import (
    BOUNDARY,
    Tokenizer,
    View,
    array_reader,
    elements,
    float_of,
    holds_phrase,
    nanoseconds,
    nanoseconds_of,
    place_of,
    plain_words,
    split_blanks,
    uuid_of,
)

Mask = NDArray[np.bool_]
Test = Callable[[Any], bool]
_Type = models.PayloadSchemaType
_LARGEST: Final = 2**63 - 1
_EXACT: Final = 2**53  # whole numbers beyond are no 64-bit floats
_CLAUSES: Final = (
    "match", "range", "geo_bounding_box", "geo_radius", "geo_polygon", "values_count", "is_empty", "is_null",
)  # fmt: skip
_GEO: Final = ("geo_bounding_box", "geo_radius", "geo_polygon")
_KEEP_NUMBERS: Final = (_Type.FLOAT, _Type.INTEGER)


class Conditions:
    """The conditions on n points, each decided once by a `view`; `vectors` names each point's, None where they aren't known."""

    def __init__(
        self,
        payloads: Sequence[Mapping[str, Any]],
        ids: Sequence[models.ExtendedPointId],
        vectors: Sequence[Sequence[str]] | None = None,
        view: View | None = None,
    ) -> None:
        self._payloads, self._ids, self._vectors, self._view = payloads, ids, vectors, view or View()
        self._known: dict[int, tuple[models.Condition, Mask]] = {}
        self._stored: dict[str, list[list[Any] | None]] = {}
        self._values: dict[str, list[tuple[int, Any]]] = {}
        self._numbers: dict[str, tuple[NDArray[np.intp], NDArray[Any], bool] | None] = {}
        self._rows: dict[str, dict[Hashable, list[int]]] = {}

    def holds(self, condition: models.Condition) -> Mask:
        """Whether each point meets the condition: shape (n,). Raises StrategyError: only the engine can tell."""
        found = self._known.get(id(condition))
        if found is None:  # the condition is kept, so that its id isn't reused
            found = self._known[id(condition)] = condition, self._decide(condition)
        return found[1]

    def within(self, key: str, bounds: Mapping[str, Sequence[float]]) -> Mask | None:
        """Whether each point has a number in each of m ranges: shape (m, n); None where each has to be asked for by itself.

        `bounds` has, by the name of a comparison ("lte"), the m bounds.
        """
        return self._compare(key, {name: np.array(each)[:, None] for name, each in bounds.items()})

    def find_rows(self, key: str, wanted: Sequence[Any]) -> list[int]:
        """The points that have one of the values at the key; some perhaps more than once."""
        index = self._view.index(key)
        if index is not None and index.kind == _Type.UUID and wanted and all(uuid_of(each) is not None for each in wanted):
            numbers = {uuid_of(each) for each in wanted}
            return [row for row, value in self._values_of(key) if uuid_of(value) in numbers]
        if key not in self._rows:
            is_whole = index is not None and index.kind == _Type.INTEGER and index.serves_matches
            rows = self._rows[key] = {}
            for row, value in self._values_of(key):
                each = index.keep(value) if is_whole and index is not None and _is_number(value) else value
                if isinstance(each, Hashable):
                    rows.setdefault(_typed(each), []).append(row)
        return [row for value in wanted for row in self._rows[key].get(_typed(value), ())]

    def _decide(self, condition: models.Condition) -> Mask:
        match condition:
            case models.Filter():
                return self._filtered(condition)
            case models.FieldCondition():
                return self._field(condition)
            case models.HasVectorCondition() if self._vectors is None:
                raise StrategyError(
                    f"{brief(condition)} can be decided by Qdrant only: which vectors a point has isn't read here"
                )
            case models.IsEmptyCondition(is_empty=field) if not self._view.is_local:
                return self._empty(field.key)
            case models.IsNullCondition(is_null=field) if not self._view.is_local:
                abilities = self._view.capabilities
                in_lists = abilities is not None and abilities.looks_for_null_in_lists
                return self._null(field.key, in_lists or self._view.index(field.key) is not None)
            case models.NestedCondition() if not self._view.is_local:
                return self._nested(condition.nested)
            case _:
                return self._as_local_mode(condition)

    def _as_local_mode(self, condition: models.Condition) -> Mask:
        """What qdrant-client decides, one point at a time: for local mode itself, and where all engines agree."""
        names = self._vectors if self._vectors is not None else [()] * len(self._payloads)
        has = (dict.fromkeys(each, True) for each in names)
        met = (
            check_condition(condition, dict(payload), point, there)
            for payload, point, there in zip(self._payloads, self._ids, has, strict=True)
        )
        return np.fromiter(met, bool, len(self._payloads))

    def _filtered(self, filter: models.Filter) -> Mask:
        met = np.ones(len(self._payloads), bool)
        for each in as_list(filter.must):
            met = met & self.holds(each)
        for each in as_list(filter.must_not):
            met = met & ~self.holds(each)
        if should := as_list(filter.should):
            met = met & np.any([self.holds(each) for each in should], axis=0)
        if (least := filter.min_should) is not None:
            met = met & (np.sum([self.holds(each) for each in least.conditions], axis=0) >= least.min_count)
        return met

    def _nested(self, nested: models.Nested) -> Mask:
        """Whether one object of a list meets a filter by itself; ids and vectors are unknown there."""
        path = f"{nested.key.removesuffix('[]')}[]"
        read = enumerate(self._values_at(path))
        objects = [(row, value) for row, values in read for value in values or () if isinstance(value, Mapping)]
        inner = Conditions([value for _, value in objects], [-1] * len(objects), [()] * len(objects), self._view.enter(path))
        met = inner.holds(nested.filter)
        return self._mask([row for (row, _), holds in zip(objects, met, strict=True) if holds])

    # Conditions on one key

    def _field(self, condition: models.FieldCondition) -> Mask:
        clauses = [name for name in _CLAUSES if getattr(condition, name) is not None]
        if clauses == ["range"] and isinstance(condition.range, models.Range):
            met = self._within(condition.key, condition.range)
        elif clauses == ["match"] and isinstance(condition.match, models.MatchValue | models.MatchAny):
            match = condition.match
            met = self._mask(self.find_rows(condition.key, match.any if isinstance(match, models.MatchAny) else [match.value]))
        else:
            met = None
        if met is not None:
            return met
        if self._view.is_local:
            return self._as_local_mode(condition)
        if len(clauses) > 1:
            raise StrategyError(f"{brief(condition)} asks for several things at once: give each a condition of its own")
        key, name = condition.key, clauses[0] if clauses else ""
        match name:
            case "match":
                return self._matching(key, condition.match)
            case "range":
                return self._between(key, condition.range)
            case "values_count":
                return self._count(key, condition.values_count)
            case "is_empty":
                return np.asarray(self._empty(key) == condition.is_empty)
            case "is_null":
                return np.asarray(self._null(key, True) == condition.is_null)
            case _ if name in _GEO:
                return self._near(key, condition)
            case _:
                return self._mask([])  # asks for nothing

    def _within(self, key: str, bounds: models.Range) -> Mask | None:
        met = self._compare(key, {name: np.array([[bound]]) for name, bound in bounds if bound is not None})
        return None if met is None else met[0]

    def _compare(self, key: str, bounds: Mapping[str, NDArray[Any]]) -> Mask | None:
        """As `within`, for bounds of shape (m, 1)."""
        index = self._view.index(key)
        if index is not None and index.kind == _Type.DATETIME:
            raise StrategyError(
                f"what a range of numbers makes of {key!r}, which has a datetime index, differs by engine: ask for dates"
            )
        is_whole = index is not None and index.kind == _Type.INTEGER and index.serves_ranges
        numbers = self._numbers_of(key, is_whole)
        if numbers is None:
            return None
        rows, values, are_single = numbers
        inside = np.ones((1, len(values)), bool)
        for name, asked in bounds.items():
            limits = np.array([[_whole_bound(name, each)] for each in asked[:, 0]]) if is_whole else asked
            inside = inside & _COMPARED[name](values, limits)
        if are_single and len(rows) == len(self._payloads):
            return inside
        met = np.zeros((len(inside), len(self._payloads)), bool)
        if are_single:
            met[:, rows] = inside
        else:  # arrays: any of a point's values
            np.logical_or.at(met.T, rows, inside.T)
        return met

    def _numbers_of(self, key: str, whole: bool) -> tuple[NDArray[np.intp], NDArray[Any], bool] | None:
        """The numbers at the key, with their points' places, and whether no point has several.

        None if local mode would compare one exactly as an int.
        """
        if key not in self._numbers:
            stored = self._values_at(key)
            if not whole and all(values is not None and len(values) == 1 and type(values[0]) is float for values in stored):
                kept = [(row, values[0]) for row, values in enumerate(stored) if values is not None]
            elif whole:
                index = self._view.index(key)
                assert index is not None
                kept = [(row, each) for row, value in self._values_of(key) if (each := index.keep(value)) is not None]
            else:
                numbers = [(row, value) for row, value in self._values_of(key) if _is_number(value)]
                if self._view.is_local and any(isinstance(value, int) and abs(value) > _EXACT for _, value in numbers):
                    self._numbers[key] = None
                    return None
                kept = [(row, number) for row, value in numbers if (number := float_of(value)) is not None]
            rows, values = [row for row, _ in kept], [value for _, value in kept]
            values_of_all = np.array(values, np.int64 if whole else np.float64)
            self._numbers[key] = np.array(rows, np.intp), values_of_all, len(rows) == len(set(rows))
        return self._numbers[key]

    def _matching(self, key: str, match: Any) -> Mask:
        match match:
            case models.MatchExcept(except_=values):
                return self._except(key, values)
            case models.MatchText() | models.MatchTextAny() | models.MatchPhrase():
                return self._text(key, match)
            case _:  # prefixes and substrings, which no index changes
                return self._as_local_mode(models.FieldCondition(key=key, match=match))

    def _except(self, key: str, values: Sequence[Any]) -> Mask:
        """Points with another value than these; an index of their type sees no values of other types."""
        index = self._view.index(key)
        kind = _Type.INTEGER if values and not isinstance(values[0], str) else _Type.KEYWORD
        if index is not None and index.serves_matches and index.kind == kind:
            return self._any_kept(key, lambda value: value not in values)
        if index is not None and index.kind == _Type.UUID and all(uuid_of(each) is not None for each in values):
            known = {uuid_of(each) for each in values}
            return self._any_kept(key, lambda value: value not in known)
        unwanted = {_typed(value) for value in values}
        return self._any(
            key, lambda value: value is not None and (isinstance(value, list | dict) or _typed(value) not in unwanted)
        )

    def _text(self, key: str, match: Any) -> Mask:
        tokenizer = self._view.tokenizer(key)
        if tokenizer is None:
            # since 1.20 by its words, in lower case
            test = _contains(match) if not self._matches_words else lambda value: _met(match, plain_words, plain_words(value))
            return self._any(key, lambda value: isinstance(value, str) and test(value))
        if tokenizer.unknown:
            raise StrategyError(
                f"{brief(match)} on {key!r} can be decided by Qdrant only: its full-text index {tokenizer.unknown}, which is "
                "not done here"
            )
        return self._words(key, tokenizer, match)

    def _words(self, key: str, tokenizer: Tokenizer, match: Any) -> Mask:
        """What a full-text index finds: it knows all texts of a point as one, but for phrases."""

        def fits(values: list[Any] | None) -> bool:
            texts = [tokenizer.document(text) for text in elements(values or []) if isinstance(text, str)]
            words = [word for text in texts for word in (*text, BOUNDARY)]
            if isinstance(match, models.MatchPhrase):
                return tokenizer.phrases and holds_phrase(words, tokenizer.document(match.phrase))
            return _met(match, tokenizer.query, words)

        return self._where(key, fits)

    def _between(self, key: str, bounds: Any) -> Mask:
        """Dates in a range: in microseconds with an index, else in nanoseconds."""
        index = self._view.index(key)
        if index is not None and index.kind in _KEEP_NUMBERS and index.serves_ranges:
            raise StrategyError(f"the {index.kind.value} index on {key!r} hides dates: replace it by a datetime index")
        limits = {name: nanoseconds_of(value) for name, value in bounds if value is not None}
        in_micros = (index is not None and index.kind == _Type.DATETIME) or self._matches_words
        unit = 1000 if in_micros else 1

        def inside(value: Any) -> bool:
            moment = nanoseconds(value) if isinstance(value, str) else None
            return moment is not None and all(_COMPARED[name](moment // unit, limit // unit) for name, limit in limits.items())

        return self._any(key, inside)

    def _near(self, key: str, condition: models.FieldCondition) -> Mask:
        """Places in an area; a geo index knows none that aren't on Earth."""
        index = self._view.index(key)
        asked = condition.model_copy(update={"key": "place"})
        is_kept = index is not None and index.kind == _Type.GEO

        def inside(value: Any) -> bool:
            place = place_of(value)
            if place is None or (is_kept and index is not None and index.keep(value) is None):
                return False
            return check_condition(asked, {"place": {"lat": place[0], "lon": place[1]}}, 0, {})

        return self._any(key, inside)

    def _count(self, key: str, count: Any) -> Mask:
        """How many values there are, which no index knows."""
        wanted = {name: bound for name, bound in count if bound is not None}
        absent = self._view.capabilities is not None and self._view.capabilities.counts_absent

        def fits(number: int) -> bool:
            return all(_COMPARED[name](number, bound) for name, bound in wanted.items())

        return self._where(key, lambda each: (absent and fits(0)) if each is None else any(fits(_size(one)) for one in each))

    def _empty(self, key: str) -> Mask:
        return self._where(key, lambda values: all(_size(value) == 0 for value in values or ()))

    def _null(self, key: str, in_lists: bool) -> Mask:
        def is_null(value: Any) -> bool:
            return value is None or (in_lists and isinstance(value, list) and None in value)

        return self._where(key, lambda values: any(map(is_null, values or ())))

    @property
    def _matches_words(self) -> bool:
        return self._view.capabilities is not None and self._view.capabilities.matches_words

    # Reading

    def _where(self, key: str, test: Callable[[list[Any] | None], bool]) -> Mask:
        """Points whose values at the key pass, as they are stored; None for points that lack it."""
        return np.fromiter(map(test, self._values_at(key)), bool, len(self._payloads))

    def _any(self, key: str, test: Test) -> Mask:
        """Points that have a value which passes."""
        return self._mask([row for row, value in self._values_of(key) if test(value)])

    def _any_kept(self, key: str, test: Test) -> Mask:
        """The same of what the index keeps."""
        index = self._view.index(key)
        assert index is not None
        kept = ((row, index.keep(value)) for row, value in self._values_of(key))
        return self._mask([row for row, value in kept if value is not None and test(value)])

    def _values_at(self, key: str) -> list[list[Any] | None]:
        """The values that the path leads to in each payload, lists as they are; None where it leads nowhere."""
        if key not in self._stored:
            self._stored[key] = list(map(array_reader(key), self._payloads))
        return self._stored[key]

    def _values_of(self, key: str) -> list[tuple[int, Any]]:
        """Every value at the key, with the number of its point; arrays have several."""
        if key not in self._values:
            read = enumerate(self._values_at(key))
            self._values[key] = [(row, value) for row, values in read for value in elements(values or [])]
        return self._values[key]

    def _mask(self, rows: Any) -> Mask:
        mask = np.zeros(len(self._payloads), bool)
        mask[rows] = True
        return mask


def undecidable_reason(condition: models.Condition, view: View) -> str:
    """Why only the engine can decide the condition, whatever the points; empty where it can be decided here."""
    try:
        Conditions([], [], None, view).holds(condition)
    except StrategyError as error:
        return str(error)
    return ""


_COMPARED: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole_bound(name: str, bound: float) -> int:
    """A bound as an integer index has it: rounded away from what it takes in, and within 64 bits."""
    if math.isinf(bound):
        return _LARGEST if bound > 0 else -_LARGEST - 1
    rounded = (math.ceil if name in ("lt", "gte") else math.floor)(bound)
    return min(max(rounded, -_LARGEST - 1), _LARGEST)


def _size(value: Any) -> int:
    """How many values it is."""
    return len(value) if isinstance(value, list) else int(value is not None)


def _typed(value: Hashable) -> Hashable:
    """Equal for values that Qdrant takes for equal: true is no 1, and 1.0 isn't either."""
    return isinstance(value, bool), isinstance(value, float), value


def _contains(match: Any) -> Test:
    """Text without an index, before 1.20: a search for the text itself, capitals and all."""
    match match:
        case models.MatchTextAny(text_any=text):
            parts = [part for part in split_blanks(text) if part]
            return lambda value: any(part in value for part in parts)
        case _:
            text = match.text if isinstance(match, models.MatchText) else match.phrase
            return lambda value: text in value


def _met(match: Any, split: Callable[[str], list[str]], words: list[str]) -> bool:
    match match:
        case models.MatchPhrase(phrase=phrase):
            return holds_phrase(words, split(phrase))
        case models.MatchTextAny(text_any=text):
            return any(word in words for word in split(text))
        case _:
            wanted = split(match.text)
            return bool(wanted) and all(word in words for word in wanted)
