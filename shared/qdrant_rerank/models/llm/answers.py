"""From what an LLM answers to a score or an order: read strictly, with a name for everything that can be wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

__all__ = ["Bad", "Order", "OrderAnswer", "ScoreAnswer", "read_order", "read_score"]

_OBJECT = re.compile(r"\{[^{}]*\}")
_CODE = re.compile(r"```(?:json)?(.*?)```", re.DOTALL)
_NUMBER = r"(-?\d{1,15}(?:\.\d{1,15})?)"
_BARE_SCORE = re.compile(rf"(?:score\s*[:=]?\s*)?{_NUMBER}(?:\s*/\s*{_NUMBER})?\s*\.?", re.IGNORECASE)
_CHAIN = re.compile(r"\[?\d{1,9}\]?(?:\s*>\s*\[?\d{1,9}\]?)+")
_ID = re.compile(r"\[?(\d{1,9})\]?")
_SHOWN = 80
_MISSING = object()


class _Prose(str):
    """Text without JSON."""


class ScoreAnswer(BaseModel):
    """How well the document answers the query."""

    score: float = Field(description="The number, on the scale that was asked for.")


class OrderAnswer(BaseModel):
    """The documents in order, the one that answers the query best first."""

    order: list[int] = Field(description="The id of every document, each once, best first.")


@dataclass(frozen=True)
class Bad:
    """An answer that can't be used.

    Attributes:
        kind: "empty", "prose", "not_a_number", "out_of_range" or "ambiguous".
        answer: how it begins.
    """

    kind: str
    answer: str


@dataclass(frozen=True)
class Order:
    """A full order of a window's documents.

    Attributes:
        positions: zero-based, each once: those that were named, then the missing in the order they had.
        faults: what was put right: "out_of_range", "not_a_number", "duplicate", "missing".
    """

    positions: list[int]
    faults: tuple[str, ...]


def read_score(answer: object, low: float, high: float) -> float | Bad:
    """The score in `answer`: a `ScoreAnswer`, a mapping, a number, or text with one JSON object or a bare number."""
    found = _found(answer, "score")
    if isinstance(found, Bad):
        return found
    if isinstance(found, str):
        bare = _BARE_SCORE.fullmatch(found.strip())
        if bare is None or (bare[2] is not None and float(bare[2]) != high):
            return Bad("prose" if isinstance(found, _Prose) else "not_a_number", _shown(answer))
        found = float(bare[1])
    if not isinstance(found, int | float) or isinstance(found, bool) or found != found:  # NaN
        return Bad("not_a_number", _shown(answer))
    return float(found) if low <= found <= high else Bad("out_of_range", _shown(answer))


def read_order(answer: object, count: int) -> Order | Bad:
    """The order in `answer`: an `OrderAnswer`, a mapping, a list, or text with one JSON value or `[2] > [1]`."""
    found = _found(answer, "order")
    if isinstance(found, Bad):
        return found
    if isinstance(found, str):
        chains = _CHAIN.findall(found)
        if len(chains) != 1:
            return Bad("ambiguous" if chains else "prose" if isinstance(found, _Prose) else "not_a_number", _shown(answer))
        found = chains[0].split(">")
    if not isinstance(found, list | tuple):
        return Bad("not_a_number", _shown(answer))
    if not found:
        return Bad("empty", _shown(answer))
    order = _settled(found, count)
    return order if _named(found, count) else Bad(order.faults[0], _shown(answer))


def _settled(items: Iterable[object], count: int) -> Order:
    positions: dict[int, None] = {}  # keeps the order of what was named first
    faults: list[str] = []
    for item in items:
        number = _whole(item)
        if number is None:
            faults.append("not_a_number")
        elif not 1 <= number <= count:
            faults.append("out_of_range")
        elif number - 1 in positions:
            faults.append("duplicate")
        else:
            positions[number - 1] = None
    missing = [position for position in range(count) if position not in positions]
    return Order([*positions, *missing], (*faults, *(["missing"] if missing else [])))


def _named(items: Iterable[object], count: int) -> bool:
    return any(1 <= (_whole(item) or 0) <= count for item in items)


def _whole(item: object) -> int | None:
    if isinstance(item, str) and (match := _ID.fullmatch(item.strip())):
        return int(match[1])
    if isinstance(item, bool) or not isinstance(item, int | float):
        return None
    return int(item) if math.isfinite(item) and item == int(item) else None


def _found(answer: object, key: str) -> Any | Bad:
    """What stands under `key` in a structure or in JSON within text; other text as `_Prose`."""
    if isinstance(answer, str):
        text = answer.rpartition("</think>")[2].strip()  # what a reasoning model said to itself
        return _in_text(text, key) if text else Bad("empty", "")
    if answer is None:
        return Bad("empty", "")
    value = _under(answer, key)
    return Bad("not_a_number", _shown(answer)) if value is _MISSING else value


def _in_text(text: str, key: str) -> Any | Bad:
    code = _CODE.findall(text)
    for candidate in (text, code[0] if len(code) == 1 else ""):
        value = _under(_json(candidate), key)
        if value is not _MISSING:
            return value
    values = [_under(_json(part), key) for part in _OBJECT.findall(text)]
    found = [value for value in values if value is not _MISSING]
    if not found:
        return _Prose(text)
    return found[0] if all(value == found[0] for value in found) else Bad("ambiguous", _shown(text))


def _under(value: object, key: str) -> Any:
    """The value of `key` in an object; a number or list is taken for the value itself."""
    if isinstance(value, BaseModel):
        return getattr(value, key, _MISSING)
    if isinstance(value, Mapping):
        return value.get(key, _MISSING)
    return value if isinstance(value, int | float | list | tuple) and not isinstance(value, bool) else _MISSING


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _MISSING


def _shown(answer: object) -> str:
    text = " ".join((answer if isinstance(answer, str) else repr(answer))[: 4 * _SHOWN].split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
