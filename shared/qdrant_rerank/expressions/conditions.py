"""Whether points meet conditions, for many conditions over the same points: each payload key is read once.

What is decided is what qdrant-client's local mode decides, one point and condition at a time (the tests compare them); ranges,
matches and filters of these are looked up in columns here, as a model of a hundred trees asks a thousand of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from . import columns
from .paths import reader

__all__ = ["Conditions"]

Mask = NDArray[np.bool_]
_EXACT: Final = 2**53  # whole numbers beyond are no 64-bit floats
_OTHERS: Final = ("values_count", "is_empty", "is_null", "geo_bounding_box", "geo_radius", "geo_polygon")


class Conditions:
    """The conditions on n points, each decided once.

    Args:
        payloads: one for each point.
        ids: their ids.
        vectors: the names of the vectors that each point has; None if that isn't known.
    """

    def __init__(
        self,
        payloads: Sequence[Mapping[str, Any]],
        ids: Sequence[models.ExtendedPointId],
        vectors: Sequence[Sequence[str]] | None,
    ) -> None:
        self._payloads, self._ids, self._vectors = payloads, ids, vectors
        self._known: dict[int, tuple[models.Condition, Mask]] = {}
        self._values: dict[str, list[tuple[int, Any]]] = {}
        self._numbers: dict[str, tuple[NDArray[np.intp], NDArray[np.float64]] | None] = {}
        self._rows: dict[str, dict[Hashable, list[int]]] = {}

    def holds(self, condition: models.Condition) -> Mask:
        """Whether each point meets the condition: shape (n,)."""
        found = self._known.get(id(condition))
        if found is None:  # the condition is kept, so that its id isn't reused
            found = self._known[id(condition)] = condition, self._decided(condition)
        return found[1]

    def _decided(self, condition: models.Condition) -> Mask:
        if isinstance(condition, models.Filter):
            return self._filtered(condition)
        found = self._looked_up(condition) if isinstance(condition, models.FieldCondition) else None
        return columns.holds(condition, self._payloads, self._ids, self._vectors) if found is None else found

    def _filtered(self, filter: models.Filter) -> Mask:
        met = np.ones(len(self._payloads), bool)
        for each in _listed(filter.must):
            met = met & self.holds(each)
        for each in _listed(filter.must_not):
            met = met & ~self.holds(each)
        if should := _listed(filter.should):
            met = met & np.any([self.holds(each) for each in should], axis=0)
        if (least := filter.min_should) is not None:
            met = met & (np.sum([self.holds(each) for each in least.conditions], axis=0) >= least.min_count)
        return met

    def _looked_up(self, condition: models.FieldCondition) -> Mask | None:
        """Whether each point's payload meets a range or a match; None for other conditions."""
        if any(getattr(condition, name) is not None for name in _OTHERS):
            return None
        match condition:
            case models.FieldCondition(key=key, range=models.Range() as bounds, match=None):
                return self._within(key, bounds)
            case models.FieldCondition(key=key, range=None, match=models.MatchValue(value=value)):
                return self._having(key, [value])
            case models.FieldCondition(key=key, range=None, match=models.MatchAny(any=values)):
                return self._having(key, values)
            case _:
                return None

    def _within(self, key: str, bounds: models.Range) -> Mask | None:
        numbers = self._numbers_of(key)
        if numbers is None:
            return None
        rows, values = numbers
        inside = np.ones(len(values), bool)
        if bounds.lt is not None:
            inside &= values < bounds.lt
        if bounds.lte is not None:
            inside &= values <= bounds.lte
        if bounds.gt is not None:
            inside &= values > bounds.gt
        if bounds.gte is not None:
            inside &= values >= bounds.gte
        return self._mask(rows[inside])

    def _having(self, key: str, wanted: Sequence[Any]) -> Mask:
        if key not in self._rows:
            rows = self._rows[key] = {}
            for row, value in self._values_of(key):
                if isinstance(value, Hashable):
                    rows.setdefault(_typed(value), []).append(row)
        return self._mask([row for value in wanted for row in self._rows[key].get(_typed(value), ())])

    def _values_of(self, key: str) -> list[tuple[int, Any]]:
        """Every value at the key, with the number of its point; arrays have several."""
        if key not in self._values:
            read = map(reader(key), self._payloads)
            self._values[key] = [(row, value) for row, values in enumerate(read) for value in values or ()]
        return self._values[key]

    def _numbers_of(self, key: str) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
        """The numbers at the key, with the numbers of their points; None if one isn't exact as a float."""
        if key not in self._numbers:
            numbers = [
                (row, value)
                for row, value in self._values_of(key)
                if isinstance(value, int | float) and not isinstance(value, bool)
            ]
            exact = all(isinstance(value, float) or abs(value) <= _EXACT for _, value in numbers)
            rows, values = [row for row, _ in numbers], [value for _, value in numbers]
            self._numbers[key] = (np.array(rows, np.intp), np.array(values, np.float64)) if exact else None
        return self._numbers[key]

    def _mask(self, rows: Any) -> Mask:
        mask = np.zeros(len(self._payloads), bool)
        mask[rows] = True
        return mask


def _typed(value: Hashable) -> Hashable:
    """Equal for values that Qdrant takes for equal: true is no 1, and 1.0 isn't either."""
    return isinstance(value, bool), isinstance(value, float), value


def _listed(clause: Any) -> list[models.Condition]:
    return clause if isinstance(clause, list) else [] if clause is None else [clause]
