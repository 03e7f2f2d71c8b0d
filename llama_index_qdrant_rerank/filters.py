"""LlamaIndex's `MetadataFilters` as Qdrant filters, every operator of them.

They mean what `build_metadata_filter_fn` of LlamaIndex says (its in-memory stores filter by it), but for what Qdrant
can't or shouldn't copy:

* A list in the payload meets `==`, `!=`, `>`, … as soon as one of its items does; LlamaIndex compares the list itself.
* `>`, `>=`, `<`, `<=` compare numbers, and ISO 8601 dates as moments (UTC where they have no time zone), not as text.
* 0 and 1 match False and True for `==`, `!=`, `in`, `nin`, `any`, `all`, `contains`; ranges skip bools.
* `== None` and `!= None` ask for points without and with a value; in LlamaIndex both are the same for every point.
* `contains`, `any` and `all` look for items of a list, not for parts of a string.
* `in` and `nin` split a string at its commas, as LlamaIndex's Qdrant store does.
* `text_match` and `text_match_insensitive` find texts with all the words of the filter's, not parts of words; the
  key's text index says what a word is, and whether case counts. Servers that compare letters where there is no text
  index are asked by `text_match_insensitive` for the text as given, in lower case, in UPPER case, and with Capitals.
* A group without filters restricts nothing, also inside another group.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from qdrant_client import models

from qdrant_rerank import QueryError
from qdrant_rerank._internals import is_finite, is_number

__all__ = ["to_qdrant_filter"]

_PATH: Final = re.compile(r'(?:[\w-]+|"[^"]+")(?:\[\d*\])*(?:\.(?:[\w-]+|"[^"]+")(?:\[\d*\])*)*')
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_EXACT: Final = 2**53  # from here on, whole numbers don't fit the floats that ranges are compared as
_RANGES: Final = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}


def to_qdrant_filter(filters: MetadataFilters, prefix: str = "") -> models.Filter:
    """The Qdrant filter that means `filters`; one that every point meets if they are empty.

    Args:
        filters: groups may be nested. Keys are Qdrant's (dotted) paths; those that can't be paths are quoted.
        prefix: what stands before each key in the payload, e.g. `"metadata."` for langchain-qdrant's.

    Raises:
        QueryError: it isn't a MetadataFilters, or a filter in it makes no sense: `>` on a name, `in` without a list.
    """
    if not isinstance(filters, MetadataFilters):
        raise QueryError(
            f"filters must be LlamaIndex's MetadataFilters, got {type(filters).__name__} {filters!r}; "
            "a qdrant_client.models.Filter goes into filter="
        )
    return _group(filters, prefix) or models.Filter()


def _group(filters: MetadataFilters, prefix: str) -> models.Filter | None:
    """The filter for a group; None if there is nothing in it."""
    conditions: list[models.Condition] = []
    for each in filters.filters:
        condition = _group(each, prefix) if isinstance(each, MetadataFilters) else _condition(each, prefix)
        if condition is not None:
            conditions.append(condition)
    if not conditions:
        return None
    match filters.condition:
        case FilterCondition.OR:
            return models.Filter(should=conditions)
        case FilterCondition.NOT:
            return models.Filter(must_not=conditions)
        case _:
            return models.Filter(must=conditions)


def _condition(given: MetadataFilter, prefix: str) -> models.Condition:
    operator, key = given.operator, prefix + _path(given.key)
    if operator in _RANGES:
        return _range(key, _RANGES[operator], given)
    if operator not in _CONDITIONS:
        raise QueryError(f"no meaning for the operator {operator!r} of the filter on {given.key!r}")
    return _CONDITIONS[operator](key, given)


def _path(key: str) -> str:
    """The key as a path in the payload; quoted if it can't be one, e.g. because of a space."""
    if _PATH.fullmatch(key):
        return key
    if not key or '"' in key:
        raise QueryError(f"Qdrant can't filter on the key {key!r}: keys must not be empty or hold quotation marks")
    return f'"{key}"'


def _equal(key: str, given: MetadataFilter) -> models.Condition:
    if isinstance(given.value, list):
        raise _misfit(given, "one value", "use in, any or all for lists")
    return _is(key, given.value, given)


def _is(key: str, value: Any, given: MetadataFilter) -> models.Condition:
    """The condition that the payload's value, or one of its items, is `value`."""
    if value is None:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
    if isinstance(value, str | bool) or (isinstance(value, int) and abs(value) > _EXACT):
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))
    if not is_finite(value):
        raise _misfit(given, "a string, a finite number or a bool")
    # A range, since a match with 4 wouldn't find 4.0
    number = models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
    if value not in (0, 1):
        return number
    # LlamaIndex's filters take no bools, and in Python True is 1
    return _either([number, models.FieldCondition(key=key, match=models.MatchValue(value=bool(value)))])


def _range(key: str, side: str, given: MetadataFilter) -> models.Condition:
    value = given.value
    if is_number(value) and is_finite(value):
        return models.FieldCondition(key=key, range=models.Range.model_validate({side: value}))
    if isinstance(value, str) and (moment := _moment(value)) is not None:
        return models.FieldCondition(key=key, range=models.DatetimeRange.model_validate({side: moment}))
    raise _misfit(given, "a finite number or an ISO 8601 date such as '2025-01-31' or '2025-01-31T12:00:00Z'")


def _moment(text: str) -> dt.datetime | None:
    if not _DATE.match(text):  # fromisoformat also takes '20250131', which Qdrant doesn't read as a date
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _one_of(key: str, given: MetadataFilter) -> models.Condition:
    """The condition that the payload's value, or one of its items, is one of the filter's values."""
    values = _list_values(given)
    names = [value for value in values if isinstance(value, str)]
    conditions = [_is(key, value, given) for value in values if not isinstance(value, str)]
    if names:
        conditions.append(models.FieldCondition(key=key, match=models.MatchAny(any=names)))
    return _either(conditions)


def _list_values(given: MetadataFilter) -> list[Any]:
    match given.value:
        case None:
            raise _misfit(given, "a list")
        case list():
            return list(given.value)
        case str():
            return [part.strip() for part in given.value.split(",")]
        case _:
            return [given.value]


def _all_of(key: str, given: MetadataFilter) -> models.Condition:
    there = _without(models.IsEmptyCondition(is_empty=models.PayloadField(key=key)))
    return models.Filter(must=[there, *(_is(key, value, given) for value in _list_values(given))])


def _contains(key: str, given: MetadataFilter) -> models.Condition:
    if given.value is None or isinstance(given.value, list):
        raise _misfit(given, "one value", "use any or all for lists")
    return _is(key, given.value, given)


def _text(key: str, given: MetadataFilter) -> models.Condition:
    return _matches_text(key, [_read_text(given)])


def _text_of_any_case(key: str, given: MetadataFilter) -> models.Condition:
    text = _read_text(given)
    return _matches_text(key, dict.fromkeys([text, text.lower(), text.upper(), text.capitalize(), text.title()]))


def _read_text(given: MetadataFilter) -> str:
    if not isinstance(given.value, str) or not given.value.strip():
        raise _misfit(given, "a text that isn't empty")
    return given.value


def _matches_text(key: str, texts: Iterable[str]) -> models.Condition:
    return _either([models.FieldCondition(key=key, match=models.MatchText(text=text)) for text in texts])


def _empty(key: str, given: MetadataFilter) -> models.Condition:
    missing = models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
    return _either([missing, models.FieldCondition(key=key, match=models.MatchValue(value=""))])


def _either(conditions: list[models.Condition]) -> models.Condition:
    if not conditions:  # one of nothing: a condition that no point meets
        return models.HasIdCondition(has_id=[])
    return conditions[0] if len(conditions) == 1 else models.Filter(should=conditions)


def _without(condition: models.Condition) -> models.Filter:
    return models.Filter(must_not=[condition])


def _misfit(given: MetadataFilter, needs: str, hint: str = "") -> QueryError:
    operator = given.operator.value
    end = f": {hint}" if hint else ""
    return QueryError(f"the filter on {given.key!r}: {operator!r} needs {needs}, got {given.value!r}{end}")


_CONDITIONS: Final[Mapping[FilterOperator, Callable[[str, MetadataFilter], models.Condition]]] = {
    FilterOperator.EQ: _equal,
    FilterOperator.NE: lambda key, given: _without(_equal(key, given)),
    FilterOperator.IN: _one_of,
    FilterOperator.NIN: lambda key, given: _without(_one_of(key, given)),
    FilterOperator.ANY: _one_of,
    FilterOperator.ALL: _all_of,
    FilterOperator.CONTAINS: _contains,
    FilterOperator.TEXT_MATCH: _text,
    FilterOperator.TEXT_MATCH_INSENSITIVE: _text_of_any_case,
    FilterOperator.IS_EMPTY: _empty,
}
