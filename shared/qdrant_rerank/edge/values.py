"""Point ids and vectors, from `qdrant_client.models` to the engine and back.

Ids are whole numbers (numpy's, too) and UUIDs, which are text in `qdrant_client.models` and `uuid.UUID` in the engine. Vectors
that the engine would take in silence and answer with nothing are refused here: numbers that aren't finite or don't fit 32 bits,
and sparse vectors with an index twice.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import qdrant_edge as engine
from qdrant_client import models

from ..errors import ClientError, QueryError
from ..values import to_whole

__all__ = ["average", "count_numbers", "from_engine", "is_id", "engine_id", "to_engine", "wire_id"]

_HYPHENATED: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID: Final = re.compile(rf"[0-9a-f]{{32}}|{_HYPHENATED}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}", re.IGNORECASE)
_END: Final = 2**64


def is_id(value: Any) -> bool:
    """Whether `value` can be a point's id, in any spelling that Qdrant knows."""
    if isinstance(value, str):
        return _UUID.fullmatch(value) is not None
    if isinstance(value, uuid.UUID):
        return True
    number = to_whole(value)
    return number is not None and 0 <= number < _END


def engine_id(value: Any) -> int | uuid.UUID:
    """The id as the engine takes it.

    Raises:
        QueryError: it can't be a point's id.
    """
    if not is_id(value):
        raise QueryError(f"a point's id is a whole number from 0 to 2**64 - 1 or a UUID, got {value!r}"[:300])
    if isinstance(value, str):
        return uuid.UUID(value)
    return value if isinstance(value, uuid.UUID) else int(value)


def wire_id(value: int | uuid.UUID | str) -> int | str:
    """The id as qdrant-client gives it."""
    return value if isinstance(value, int) else str(value)


_INFERENCE = (models.Document, models.Image, models.InferenceObject)


def to_engine(vector: Any, what: str) -> Any:
    """A dense, sparse or multivector as the engine takes it; `what` names it in messages.

    Raises:
        ClientError: it is an object that a server would embed.
        QueryError: it holds what isn't a number, numbers that aren't finite in 32 bits, or an index twice.
    """
    if isinstance(vector, _INFERENCE):
        raise ClientError(
            f"{what} is a models.{type(vector).__name__}, which a server embeds; qdrant-edge has no models: embed it first, "
            "e.g. with an encoder that runs here"
        )
    if isinstance(vector, models.SparseVector):
        return _sparse(vector, what)
    if hasattr(vector, "tolist"):
        vector = vector.tolist()
    if not isinstance(vector, Sequence) or isinstance(vector, str):
        raise QueryError(f"{what} must be a list of numbers, a list of such lists, or a SparseVector, got {vector!r}"[:300])
    if not vector or not hasattr(vector[0], "__len__"):
        return _numbers(vector, what)
    return [_numbers(row, what) for row in vector]


def _numbers(row: Any, what: str) -> list[Any]:
    """The numbers as Python's own.

    Raises:
        QueryError: there are others than finite ones, or ones that the engine's 32 bits can't hold.
    """
    if isinstance(row, np.ndarray):
        row = row.tolist()
    if not isinstance(row, Sequence) or isinstance(row, str):
        raise QueryError(f"{what} holds {row!r}, which isn't a list of numbers"[:300])
    try:
        wide = np.array(row, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(f"{what} holds what isn't a number: {error}"[:300]) from error
    if any(isinstance(one, str | bool) for one in row):  # numpy would read the text, and take True for 1
        raise QueryError(f"{what} holds what isn't a number, got {row!r}"[:300])
    if not np.isfinite(wide).all():
        raise QueryError(f"{what} holds numbers that aren't finite")
    if (np.abs(wide) > _LARGEST).any():
        raise QueryError(f"{what} holds numbers beyond those of 32 bits, the engine's own: at most {_LARGEST:.4g}")
    return list(row)


_LARGEST = float(np.finfo(np.float32).max)


def _sparse(vector: models.SparseVector, what: str) -> Any:
    if len(vector.indices) != len(vector.values):
        raise QueryError(f"{what} has {len(vector.indices)} indices but {len(vector.values)} values")
    if len(set(vector.indices)) != len(vector.indices):
        raise QueryError(f"{what} has an index twice")
    values = _numbers(vector.values, what)
    try:
        return engine.SparseVector(vector.indices, values)
    except (TypeError, OverflowError) as error:
        raise QueryError(f"{what} has an index that isn't a whole number from 0 to 2**32 - 1: {error}") from error


def average(positive: Sequence[Any], negative: Sequence[Any]) -> Any:
    """The query that recommends by an average: twice the mean of what to be like, less the mean of what not.

    Vectors as the engine takes them, of one kind; the rows of several multivectors are all rows of the query, as on a server.
    """
    first = positive[0]
    if isinstance(first, engine.SparseVector):
        weights: dict[int, float] = {}
        for vectors, factor in ((positive, 2.0 if negative else 1.0), (negative, -1.0)):
            for vector in vectors:
                for index, value in zip(vector.indices, vector.values, strict=True):
                    weights[index] = weights.get(index, 0.0) + factor * value / len(vectors)
        return engine.SparseVector(list(weights), list(weights.values()))
    if isinstance(first[0], list):
        return [row for rows in positive for row in rows] + [[-one for one in row] for rows in negative for row in rows]
    mean = np.mean(positive, axis=0)
    return (2 * mean - np.mean(negative, axis=0) if negative else mean).tolist()


def count_numbers(vector: Any) -> int:
    """How many numbers a vector holds, as the engine takes it."""
    if isinstance(vector, engine.SparseVector):
        return 2 * len(vector.values)
    return sum(map(len, vector)) if vector and isinstance(vector[0], list) else len(vector)


def from_engine(vector: Any) -> Any:
    """A stored vector, or several by name, as qdrant-client gives them."""
    if isinstance(vector, dict):
        return {name: from_engine(one) for name, one in vector.items()}
    if isinstance(vector, engine.SparseVector):
        return models.SparseVector(indices=vector.indices, values=vector.values)
    return vector
