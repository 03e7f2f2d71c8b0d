"""Which payload indexes a strategy wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qdrant_client import models

from ..client_formula import ComputedHere
from ..errors import StrategyError
from ..expressions.build import when
from ..expressions.inspect import PayloadKey, payload_keys
from ..stages import Formula
from ..strategies import Stage, Strategy

__all__ = ["requirements"]

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
