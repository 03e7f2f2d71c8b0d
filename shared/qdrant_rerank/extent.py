"""How large a compiled formula is, measured without sending it, and from which size on it is better computed elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from qdrant_client import models

__all__ = ["MAX_BYTES", "MAX_CONDITIONS", "Extent", "extent"]

MAX_CONDITIONS: Final = 1500
"""How many conditions a formula made of a model may have, unless one says otherwise."""
MAX_BYTES: Final = 300_000
"""How many bytes a formula made of a model may have as JSON, likewise."""


@dataclass(frozen=True)
class Extent:
    """How large a compiled formula is.

    Attributes:
        json_depth: levels of JSON.
        grpc_depth: levels of gRPC messages.
        nodes: parts in all, shared parts as often as they are sent; likewise below.
        conditions: conditions on the payload.
        reads: payload values that are read as numbers.
        bytes: as JSON, give or take how numbers are written.
    """

    json_depth: int
    grpc_depth: int
    nodes: int
    conditions: int = 0
    reads: int = 0
    bytes: int = 0


def extent(formula: models.Expression) -> Extent:
    """Measure a compiled formula.

    Without recursion, as it may be absurdly deep; and each part once, as parts may occur many times: before 1.20 a sigmoid
    holds its operand three times, so that nested ones grow exponentially once they are sent.
    """
    measured: dict[int, Extent] = {}
    waiting: list[Any] = [formula]
    while waiting:
        value = waiting[-1]
        parts = _parts(value)
        missing = [part for part in parts if id(part) not in measured]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        measured[id(value)] = _measured(value, [measured[id(part)] for part in parts])
    return measured[id(formula)]


def _measured(value: Any, inner: list[Extent]) -> Extent:
    is_condition = isinstance(value, models.FieldCondition)
    return Extent(
        json_depth=1 + max((part.json_depth for part in inner), default=0),
        grpc_depth=1 + max((part.grpc_depth for part in inner), default=0),
        nodes=(0 if isinstance(value, list) else 1) + sum(part.nodes for part in inner),
        conditions=1 if is_condition else sum(part.conditions for part in inner),
        reads=0 if is_condition else _reads(value) + sum(part.reads for part in inner),
        bytes=_own_bytes(value, len(inner)) + sum(part.bytes for part in inner),
    )


def _parts(value: Any) -> list[Any]:
    if isinstance(value, BaseModel):
        return [item for item in value.__dict__.values() if item is not None]
    return value if isinstance(value, list) else []


def _reads(value: Any) -> int:
    """Whether it is the name of a payload value; `$score` is none."""
    return int(isinstance(value, str) and not value.startswith("$"))


def _own_bytes(value: Any, parts: int) -> int:
    """What it takes as JSON beyond its parts: brackets, commas, names; or all of it where it has none."""
    if isinstance(value, BaseModel):
        written = sum(_name_bytes(type(value), name) for name, item in value.__dict__.items() if item is not None)
        return 2 + max(0, parts - 1) + written
    if isinstance(value, list):
        return 2 + max(0, parts - 1)
    return len(json.dumps(value, ensure_ascii=False, default=str).encode())


@cache
def _name_bytes(kind: type[BaseModel], name: str) -> int:
    """`"name":`"""
    return len(kind.model_fields[name].alias or name) + 3
