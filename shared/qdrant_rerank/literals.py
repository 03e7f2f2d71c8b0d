"""Python text that evaluates to a value: what the `repr` of strategies and expressions is made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

__all__ = ["call", "literal"]


def literal(value: Any) -> str:
    """Python source for `value`, to be read with `models` (of qdrant_client) and `datetime` in scope.

    Pydantic models show only the fields that differ from their defaults, so that a filter stays readable.
    """
    match value:
        case BaseModel():
            return _model(value)
        case Enum():
            return f"models.{type(value).__name__}({literal(value.value)})"
        case dt.datetime():
            return f"datetime.datetime.fromisoformat({value.isoformat()!r})"
        case dt.date():
            return f"datetime.date.fromisoformat({value.isoformat()!r})"
        case Mapping():
            return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(literal, value)) + "]"
        case tuple():
            return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
        case _:
            return repr(value)


def call(name: str, *positional: Any, **named: Any) -> str:
    """Python source for a call of `name`."""
    arguments = [*map(literal, positional), *(f"{key}={literal(value)}" for key, value in named.items())]
    return f"{name}({', '.join(arguments)})"


def _model(value: BaseModel) -> str:
    plain: list[str] = []
    aliased: dict[str, Any] = {}
    for name, info in type(value).model_fields.items():
        item = getattr(value, name)
        if not info.is_required() and item == info.get_default(call_default_factory=True, validated_data={}):
            continue
        if info.alias is None:
            plain.append(f"{name}={literal(item)}")
        else:  # e.g. MatchExcept's `except`, which is a keyword of Python
            aliased[info.alias] = item
    if aliased:
        plain.append(f"**{literal(aliased)}")
    return f"models.{type(value).__name__}({', '.join(plain)})"
