"""Which terms of scores are told, and how: the largest ones, in short; the others together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from .._internals import ResultReason, brief_term, term_columns

__all__ = ["told", "told_differences"]

_MOST: Final = 6
"""Terms that are told one by one, where there are more than one more."""


def told(reasons: Sequence[ResultReason]) -> list[tuple[str, list[float]]]:
    """The terms of results as texts with a value for each result, in their order.

    Of many, those that add or subtract most for any result are told, and the sum of the others last. A value is NaN where
    a result lacks the term.
    """
    columns = term_columns(reasons)
    largest = [max((abs(value) for value in values if not math.isnan(value)), default=0.0) for _, values in columns]
    return _told(columns, sorted(range(len(columns)), key=lambda number: -largest[number]))


def told_differences(terms: Sequence[tuple[str, float, float]]) -> list[tuple[str, list[float]]]:
    """Terms with their values in two results, largest difference first; of many the first ones, and the sum of the others."""
    return _told([(text, [ours, theirs]) for text, ours, theirs in terms], range(len(terms)))


def _told(columns: Sequence[tuple[str, list[float]]], by_size: Sequence[int]) -> list[tuple[str, list[float]]]:
    told = sorted(by_size if len(columns) <= _MOST + 1 else by_size[:_MOST])
    found = [(brief_term(text), values) for text, values in (columns[number] for number in told)]
    rest = [columns[number][1] for number in range(len(columns)) if number not in told]
    if rest:
        found.append((f"… {len(rest)} other terms", [sum(row) for row in zip(*rest, strict=True)]))
    return found
