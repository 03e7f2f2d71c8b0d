"""On which line of a JSON text a value is; `json` itself forgets positions once it has parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from json import decoder

__all__ = ["line_of"]

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = decoder.JSONDecoder()
_scan_string: Callable[[str, int], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]  # not in the stubs


def line_of(text: str, path: Sequence[str | int]) -> int:
    """The one-based line of the key or item that `path` leads to; the last one reached if it doesn't exist."""
    position = _skip(text, 0)
    line = _line(text, position)
    for part in path:
        found = _entry(text, position, part)
        if found is None:
            break
        start, position = found
        line = _line(text, start)
    return line


def _entry(text: str, position: int, part: str | int) -> tuple[int, int] | None:
    """Where the entry `part` of the object or array at `position` begins (its key), and where its value does."""
    if text[position] not in "{[":
        return None
    is_object = text[position] == "{"
    position = _skip(text, position + 1)
    number = 0
    while text[position] not in "}]":
        start = position
        key: str | int = number
        if is_object:
            key, position = _scan_string(text, position + 1)
            position = _skip(text, _skip(text, position) + 1)  # over the colon
        if key == part:
            return start, position
        _, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
        number += 1
    return None


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
