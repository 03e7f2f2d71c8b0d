"""Which payload indexes a strategy wants, and what they change: an index answers conditions by what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qdrant_client import models

from ..client_formula import ComputedHere
from ..errors import StrategyError
from ..expressions.build import when
from ..expressions.inspect import PayloadKey, conditions, field_conditions, payload_keys
from ..stages import Formula
from ..strategies import Stage, Strategy

__all__ = ["changes", "index_schema", "phrase_keys", "refused_indexes", "requirements"]

_Type = models.PayloadSchemaType
_BOTH: Final = {
    # an integer index would hide numbers with decimals from formulas; matches of whole numbers are right with either
    frozenset({_Type.FLOAT, _Type.INTEGER}): _Type.FLOAT,
    # without a full-text index, a text match looks for the text as a whole; exact matches are right with either
    frozenset({_Type.TEXT, _Type.KEYWORD}): _Type.TEXT,
}
"""The index that serves both uses of a key, where there is one."""


def requirements(strategy: Strategy) -> dict[str, models.PayloadSchemaType]:
    """The payload indexes that make a strategy fast: key → type, for each key that its formulas and filters read.

    Numbers get a float index, since an integer index would hide numbers with decimals from formulas. Keys of raw
    expressions are left out, as are conditions that don't tell their type: they work without an index, but slowly.

    Raises:
        StrategyError: one key is read as two types that no index serves both.
    """
    found: dict[str, models.PayloadSchemaType] = {}
    for stage in strategy.stages():
        for key in _keys(stage):
            if key.index is None:
                continue
            known = found.setdefault(key.key, key.index)
            if known != key.index:
                found[key.key] = _for_both(key.key, known, key.index)
    return found


def refused_indexes(strategy: Strategy) -> dict[str, str]:
    """Keys that are to have no index, and why."""
    return {
        field.key: "an index would hide values of other types from `except`"
        for field in _conditions(strategy)
        if isinstance(field.match, models.MatchExcept)
    }


def index_schema(
    strategy: Strategy, key: str, kind: models.PayloadSchemaType
) -> models.PayloadSchemaType | models.TextIndexParams:
    """What to make the index on a key with: full-text indexes know phrases only if told to."""
    if kind != _Type.TEXT or key not in phrase_keys(strategy):
        return kind
    return models.TextIndexParams(type=models.TextIndexType.TEXT, phrase_matching=True)


def phrase_keys(strategy: Strategy) -> set[str]:
    """The keys that a condition asks for a phrase."""
    return {field.key for field in _conditions(strategy) if isinstance(field.match, models.MatchPhrase)}


def changes(kind: models.PayloadSchemaType) -> str:
    """What conditions on a key match otherwise once it has the index; empty where they match the same."""
    if kind == _Type.TEXT:
        return "it compares whole words, capitals or not; without it servers before 1.20 look for the text as it stands"
    if kind == _Type.INTEGER:
        return "3.0 now matches 3, and numbers with decimals match nothing"
    return ""


def _conditions(strategy: Strategy) -> Iterator[models.FieldCondition]:
    for stage in strategy.stages():
        if isinstance(stage, Formula) and not isinstance(stage, ComputedHere):
            for condition in conditions(stage.expression):
                yield from field_conditions(condition)
        if stage.filter is not None:
            yield from field_conditions(stage.filter)


def _keys(stage: Stage) -> Iterator[PayloadKey]:
    if isinstance(stage, Formula) and not isinstance(stage, ComputedHere):  # which reads what was fetched
        yield from payload_keys(stage.expression)
    if stage.filter is not None:
        yield from payload_keys(when(stage.filter))


def _for_both(key: str, one: models.PayloadSchemaType, other: models.PayloadSchemaType) -> models.PayloadSchemaType:
    if frozenset({one, other}) in _BOTH:
        return _BOTH[frozenset({one, other})]
    raise StrategyError(
        f"the strategy reads the payload key {key!r} as {one.value} and as {other.value}, but a key has one index: "
        "store one of the two under another key"
    )
