"""How one engine sees payload: by its version, and by the collection's payload indexes; each knows one type of value."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from qdrant_client import models

from ..capabilities import Capabilities
from . import dates
from .tokens import Tokenizer

__all__ = ["Index", "View", "elements", "float_of", "integer_of", "is_on_earth", "place_of", "uuid_of"]

_Type = models.PayloadSchemaType
_MOST, _LEAST = 2**63 - 1, -(2**63)


@dataclass(frozen=True)
class Index:
    """One payload index.

    Attributes:
        kind: its type.
        params: what it was made with, beyond the type; None if that isn't known.
    """

    kind: models.PayloadSchemaType
    params: Any = None

    @property
    def serves_ranges(self) -> bool:
        """Whether it answers ranges of numbers."""
        return self.kind == _Type.FLOAT or (self.kind == _Type.INTEGER and getattr(self.params, "range", None) is not False)

    @property
    def serves_matches(self) -> bool:
        """Whether it answers exact matches of values of its type."""
        if self.kind == _Type.INTEGER:
            return getattr(self.params, "lookup", None) is not False
        return self.kind in (_Type.KEYWORD, _Type.UUID, _Type.BOOL)

    def values(self, stored: Sequence[Any]) -> list[Any]:
        """What the index keeps of a key's values: numbers, texts, or microseconds; the rest is hidden."""
        return [kept for value in elements(stored) if (kept := self.kept(value)) is not None]

    def kept(self, value: Any) -> Any:
        """What it keeps of one value; None for nothing."""
        match self.kind:
            case _Type.FLOAT:
                return float_of(value)
            case _Type.INTEGER:
                return _whole(value)
            case _Type.KEYWORD | _Type.TEXT:
                return value if isinstance(value, str) else None
            case _Type.BOOL:
                return value if isinstance(value, bool) else None
            case _Type.UUID:
                return uuid_of(value)
            case _Type.DATETIME:
                moment = dates.nanoseconds(value) if isinstance(value, str) else None
                return None if moment is None else moment // 1000
            case _:  # a geo index
                return place if (place := place_of(value)) is not None and is_on_earth(place) else None


@dataclass(frozen=True)
class View:
    """What an engine makes of payload.

    Attributes:
        capabilities: whose eyes they are; None for qdrant-client's local mode, whatever its version.
        indexes: the payload indexes, by key.
        thorough: whether formulas make sure that a key holds just one value.
    """

    capabilities: Capabilities | None = None
    indexes: Mapping[str, Index] = field(default_factory=lambda: MappingProxyType({}))
    thorough: bool = True

    @property
    def is_local(self) -> bool:
        """Whether qdrant-client decides, which has no indexes."""
        return self.capabilities is None or self.capabilities.engine == "local"

    def index(self, key: str) -> Index | None:
        """The index on a key."""
        return None if self.is_local else self.indexes.get(key)

    def nested(self, path: str) -> View:
        """The view of the objects in a list: full-text indexes alone count there."""
        prefix = f"{path}."
        inner = {
            key.removeprefix(prefix): index
            for key, index in self.indexes.items()
            if key.startswith(prefix) and index.kind == _Type.TEXT
        }
        return View(self.capabilities, inner, self.thorough)

    def tokenizer(self, key: str) -> Tokenizer | None:
        """What the full-text index on a key takes for words; None if there is none."""
        index = self.index(key)
        return Tokenizer(index.params) if index is not None and index.kind == _Type.TEXT else None


def elements(stored: Sequence[Any]) -> list[Any]:
    """A key's values, lists taken apart: one level, as engines do."""
    return [each for value in stored for each in (value if isinstance(value, list) else (value,))]


def float_of(value: Any) -> float | None:
    """A JSON number as a 64-bit float; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # no engine takes such a number
        return None


def integer_of(value: Any) -> int | None:
    """A JSON number without decimals as the engine keeps it; None for what is none."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and _LEAST <= value <= _MOST else None


def _whole(value: Any) -> int | None:
    """What an integer index keeps: 1.0 is 1 there."""
    if (whole := integer_of(value)) is not None:
        return whole
    number = float_of(value)
    if number is None or not number.is_integer() or not _LEAST <= number <= 2.0**63:
        return None
    return min(int(number), _MOST)


def uuid_of(value: Any) -> int | None:
    """The number of a UUID, in whatever form; None for what is none."""
    if not isinstance(value, str):
        return None
    text = value.removeprefix("urn:uuid:").removeprefix("{").removesuffix("}")
    if len(text) not in (32, 36):
        return None
    try:
        return uuid.UUID(text).int
    except ValueError:
        return None


def place_of(value: Any) -> tuple[float, float] | None:
    """The latitude and longitude of an object that has both as numbers, wherever that is."""
    if not isinstance(value, Mapping):
        return None
    lat, lon = float_of(value.get("lat")), float_of(value.get("lon"))
    return None if lat is None or lon is None else (lat, lon)


def is_on_earth(place: tuple[float, float]) -> bool:
    """Whether there is such a place."""
    return -90 <= place[0] <= 90 and -180 <= place[1] <= 180
