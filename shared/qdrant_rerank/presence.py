"""Whether payloads have what an expression reads: a key that holds text has no number, and counts as missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from qdrant_client import models

from .brief import brief
from .expressions.inspect import PayloadKey
from .expressions.paths import reader

__all__ = ["has", "instead", "kind_of", "lacking", "leaves"]

Payloads = Sequence[Mapping[str, Any]]

_TYPES: Final[Mapping[models.PayloadSchemaType | None, tuple[str, tuple[type, ...]]]] = {
    models.PayloadSchemaType.FLOAT: ("number", (int, float)),
    models.PayloadSchemaType.DATETIME: ("date-time", (str,)),
    models.PayloadSchemaType.GEO: ("geo point", (dict,)),
}
_CALLED: Final[Mapping[type, str]] = {str: "text", bool: "a bool", dict: "an object", list: "a list", int: "a number"}
_SHOWN: Final = 60


def kind_of(key: PayloadKey) -> str:
    """What is read there, in a word: `number`, `date-time`, `geo point`, or `value` where anything will do."""
    return _TYPES[key.index][0] if key.index in _TYPES else "value"


def has(payload: Mapping[str, Any], key: PayloadKey) -> bool:
    """Whether the payload has a value of the right kind there."""
    values = reader(key.key)(payload) or []
    if key.index not in _TYPES:
        return any(value is not None for value in values)
    return any(isinstance(value, _TYPES[key.index][1]) and not isinstance(value, bool) for value in values)


def lacking(keys: Iterable[PayloadKey], payloads: Payloads) -> float:
    """The share of payloads that lack a value of the right kind under one of the keys; 0 without payloads."""
    wanted = list(keys)
    lack = [not all(has(payload, key) for key in wanted) for payload in payloads]
    return float(np.mean(lack)) if lack else 0.0


def instead(key: PayloadKey, payloads: Payloads) -> str:
    """What is there instead, for a message: `"text, e.g. 'four'"`; nothing where the key is absent everywhere."""
    for payload in payloads:
        for value in reader(key.key)(payload) or []:
            if value is not None:
                return f"{_CALLED.get(type(value), type(value).__name__)}, e.g. {brief(value, _SHOWN)}"
    return ""


def leaves(payload: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of everything in a payload."""
    for key, value in payload.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key
