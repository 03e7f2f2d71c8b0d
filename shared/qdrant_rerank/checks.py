"""What counts as a number in arguments that users write: bools don't, although Python takes them for integers. And what is
nested too deep to be stored.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

__all__ = ["LARGEST", "LEVELS", "MOST_GROUPED", "is_finite", "is_number", "is_whole", "measure", "to_plain", "to_whole"]

LEVELS: Final = 120
"""How deep a payload or a filter may be nested to be stored: engines read 128 levels, some of which they use themselves."""
LARGEST: Final = 2**32 - 1
"""The largest limit, offset, size of a graph's list and the like: what every API takes, and far beyond any use."""
MOST_GROUPED: Final = 2**20
"""The most points that groups may hold together: a server makes room for all of them at once, and 2**32 are its end."""


def is_number(value: object) -> bool:
    """Whether `value` is an int or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Whether `value` is an int or a float, neither infinite nor NaN nor an int beyond all floats."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def to_plain(value: Any) -> Any:
    """A number of numpy's as one of Python's; everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def is_whole(value: object, least: int) -> bool:
    """Whether `value` is an int of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def to_whole(value: Any) -> int | None:
    """The whole number that `value` is, of Python's or numpy's types; None if it is none."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # which floats and numpy's bools don't have
    except TypeError:
        return None


def measure(value: Any) -> tuple[int, int]:
    """How many levels a payload or a filter is nested, and about how many bytes it takes."""
    deepest = size = 0
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:  # not by recursion: Python's own limit is no error of the user's
        item, level = waiting.pop()
        inner: Iterable[Any]
        if isinstance(item, str):
            size += len(item) if item.isascii() else 4 * len(item)
            continue
        if isinstance(item, Mapping):
            size += sum(map(len, map(str, item)))
            inner = item.values()
        elif isinstance(item, BaseModel):
            inner = item.__dict__.values()
        elif isinstance(item, list | tuple | set | frozenset):
            inner = item
        else:
            size += 16
            continue
        deepest = max(deepest, level)
        waiting.extend((one, level + 1) for one in inner if one is not None)
    return deepest, size
