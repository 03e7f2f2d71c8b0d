"""What counts as a number in arguments that users write: bools don't, although Python takes them for integers."""

from __future__ import annotations

import math

__all__ = ["is_finite", "is_number", "is_whole"]


def is_number(value: object) -> bool:
    """Whether `value` is an int or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Whether `value` is an int or a float, neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object, least: int) -> bool:
    """Whether `value` is an int of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
