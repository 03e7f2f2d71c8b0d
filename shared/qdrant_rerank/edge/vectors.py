"""Vectors, from `qdrant_client.models` to the engine and back.

What the engine would take in silence and answer with nothing is refused here: numbers that aren't finite, and sparse
vectors with an index twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import qdrant_edge as engine
from qdrant_client import models

from ..errors import ClientError, QueryError

__all__ = ["from_engine", "to_engine"]

_INFERENCE = (models.Document, models.Image, models.InferenceObject)


def to_engine(vector: Any, what: str) -> Any:
    """A dense, sparse or multivector as the engine takes it; `what` names it in messages.

    Raises:
        ClientError: it is an object that a server would embed.
        QueryError: it holds numbers that aren't finite, or an index twice.
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
    rows: Sequence[Any] = vector if vector and isinstance(vector[0], Sequence) else [vector]
    for row in rows:
        if not math.isfinite(sum(row)):
            raise QueryError(f"{what} holds numbers that aren't finite")
    return vector


def _sparse(vector: models.SparseVector, what: str) -> Any:
    if len(vector.indices) != len(vector.values):
        raise QueryError(f"{what} has {len(vector.indices)} indices but {len(vector.values)} values")
    if len(set(vector.indices)) != len(vector.indices):
        raise QueryError(f"{what} has an index twice")
    if not math.isfinite(sum(vector.values)):
        raise QueryError(f"{what} holds numbers that aren't finite")
    return engine.SparseVector(vector.indices, vector.values)


def from_engine(vector: Any) -> Any:
    """A stored vector, or several by name, as qdrant-client gives them."""
    if isinstance(vector, dict):
        return {name: from_engine(one) for name, one in vector.items()}
    if isinstance(vector, engine.SparseVector):
        return models.SparseVector(indices=vector.indices, values=vector.values)
    return vector
