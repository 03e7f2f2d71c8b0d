"""Results as plain data: dataclasses that turn into dicts, JSON and, where pandas is installed, frames."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from .. import Strategy

__all__ = ["Plain", "frame", "plain"]


class Plain:
    """What all result types can: `as_dict()` and `to_json()`."""

    def as_dict(self) -> dict[str, Any]:
        """This value as dicts, lists, texts and numbers; `json.dumps` takes it as it stands."""
        value = plain(self)
        assert isinstance(value, dict)
        return value

    def to_json(self, indent: int | None = 2) -> str:
        """This value as JSON text."""
        return json.dumps(self.as_dict(), indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """`value` made of dicts, lists, texts, numbers and None alone. Functions are left out."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Strategy):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: plain(part) for name, part in parts.items() if not callable(part)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int | float) or value is None:
        return value
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def frame(rows: Iterable[Mapping[str, Any]]) -> Any:
    """A `pandas.DataFrame` of `rows`.

    Raises:
        ImportError: pandas is not installed; it is no dependency of this package.
    """
    try:
        pandas: Any = importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError("frames need pandas: pip install pandas; as_dict() has the same values without it") from error
    return pandas.DataFrame(list(rows))
