"""Query vectors checked against the vector that they are to be compared with, before a request is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, assert_never

from qdrant_client import models

from .checks import LARGEST
from .errors import QueryError
from .schema import VectorInfo
from .sharing import Shared
from .steps import QueryVector

__all__ = ["checked_vector"]

_F32 = 3.4028234663852886e38
_INFERENCE = (models.Document, models.Image, models.InferenceObject)


def checked_vector(name: str, vector: Any, info: VectorInfo) -> QueryVector:
    """`vector` in the shape that Qdrant takes for the collection's vector `name`.

    Dense vectors may be any sequence of numbers (numpy arrays too), multivectors any sequence of those.

    Raises:
        QueryError: it is of another kind or dimension, or holds numbers that aren't finite.
    """
    if isinstance(vector, _INFERENCE):
        return vector  # the server embeds it, and checks what comes out
    if hasattr(vector, "tolist"):
        vector = vector.tolist()
    match info.kind:
        case "dense":
            return _dense(name, vector, info)
        case "multi":
            return _multi(name, vector, info)
        case "sparse":
            return _sparse(name, vector)
    assert_never(info.kind)


def _dense(name: str, vector: Any, info: VectorInfo) -> list[float]:
    if not isinstance(vector, Sequence) or isinstance(vector, str) or (len(vector) and isinstance(vector[0], Sequence)):
        raise QueryError(f"the vector {name!r} is {info}: the query must bring a list of numbers, got {_shape(vector)}")
    return _numbers(name, vector, info)


def _multi(name: str, vector: Any, info: VectorInfo) -> list[list[float]]:
    if isinstance(vector, Sequence) and not isinstance(vector, str):
        vector = [row.tolist() if hasattr(row, "tolist") else row for row in vector]
    if not isinstance(vector, list) or not vector or not all(isinstance(row, Sequence) for row in vector):
        raise QueryError(f"the vector {name!r} is a {info}: the query must bring a list of vectors, got {_shape(vector)}")
    return Shared(_numbers(name, row, info) for row in vector)


def _sparse(name: str, vector: Any) -> models.SparseVector:
    indices, values = getattr(vector, "indices", None), getattr(vector, "values", None)
    if indices is None or values is None or callable(values):
        raise QueryError(
            f"the vector {name!r} is sparse: the query must bring a models.SparseVector, got {_shape(vector)}; "
            "is a dense embedding model set for it?"
        )
    if len(indices) != len(values):
        raise QueryError(
            f"the query's vector for {name!r} has {len(indices)} indices and {len(values)} values: they go in pairs"
        )
    numbers = [float(value) for value in values]
    if not math.isfinite(sum(numbers)):
        raise QueryError(f"the query's vector for {name!r} holds numbers that aren't finite")
    _check_range(name, numbers)
    places = [int(index) for index in indices]
    if places and not 0 <= min(places) <= max(places) <= LARGEST:
        raise QueryError(f"the query's vector for {name!r} has an index beyond those of sparse vectors, 0 to {LARGEST:,}")
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise QueryError(f"the query's vector for {name!r} has the index {twice} more than once: add up its values")
    return models.SparseVector(indices=places, values=numbers)


def _numbers(name: str, vector: Sequence[Any], info: VectorInfo) -> list[float]:
    try:
        total = sum(vector)  # adds only if all are numbers, and isn't finite if one isn't: the cheapest way to look at all
    except TypeError:
        raise QueryError(f"the query's vector for {name!r} holds something that isn't a number: {_shape(vector)}") from None
    if info.size is not None and len(vector) != info.size:
        raise QueryError(
            f"the vector {name!r} has {info.size} dimensions, the query's has {len(vector)}: "
            "is this the embedding model that the collection was filled with?"
        )
    if not math.isfinite(total):
        raise QueryError(f"the query's vector for {name!r} holds numbers that aren't finite")
    _check_range(name, vector)
    return Shared(vector if type(total) is float else map(float, vector))


def _check_range(name: str, numbers: Sequence[Any]) -> None:
    if numbers and not -_F32 <= min(numbers) <= max(numbers) <= _F32:
        raise QueryError(f"the query's vector for {name!r} holds numbers beyond 32-bit floats, which reach to 3.4e38")


def _shape(vector: Any) -> str:
    if isinstance(vector, models.SparseVector):
        return f"a sparse vector of {len(vector.indices)} entries"
    if isinstance(vector, Sequence) and not isinstance(vector, str):
        inner = (
            "vectors" if len(vector) and isinstance(vector[0], Sequence) else type(vector[0]).__name__ if vector else "nothing"
        )
        return f"a list of {len(vector)} ({inner})"
    return f"{type(vector).__name__} {vector!r}"[:200]
