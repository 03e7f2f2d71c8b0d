"""Values in error messages: a `repr` that stays readable, however large the value is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["brief", "few", "shortened"]

_LONGEST: Final = 200


def brief(value: object, longest: int = _LONGEST) -> str:
    """The value's `repr`, cut in the middle where it is longer than `longest` characters, with how long it is."""
    try:
        return shortened(repr(value), longest)
    except ValueError:  # Python writes no int of more than 4300 digits
        return f"a huge {type(value).__name__}"


def shortened(text: str, longest: int = _LONGEST) -> str:
    """The text, cut in the middle where it is longer than `longest` characters, with how long it is."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … {text[-half:]} ({len(text):,} characters)"


def few(values: Sequence[object]) -> str:
    """The first three values, and whether there are more."""
    return ", ".join(map(repr, values[:3])) + (", …" if len(values) > 3 else "")
