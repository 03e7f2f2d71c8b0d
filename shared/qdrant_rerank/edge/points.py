"""Points, from `qdrant_client.models` to the engine and back.

Points are checked whole before the engine sees any of them: it takes NaN in silence, and a point that it refuses for an
unknown vector name is still in its write-ahead log, which would strip that point of its vectors after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import qdrant_edge as engine
from pydantic_core import to_jsonable_python
from qdrant_client import models

from ..errors import QueryError, did_you_mean
from ..schema import VectorInfo
from .ids import stored_id, wire_id
from .vectors import from_engine, to_engine

__all__ = ["payload_of", "record", "scored", "stored_points"]


def stored_points(points: Any, vectors: Mapping[str, VectorInfo]) -> list[engine.Point]:
    """Points as the engine takes them.

    Args:
        points: `models.PointStruct`s, or one `models.Batch`.
        vectors: the collection's.

    Raises:
        QueryError: a point has an id, vector or payload that can't be stored; names the point. None is stored then.
        ClientError: a vector is left to a server to embed.
    """
    return [_stored(point, vectors) for point in (_rows(points) if isinstance(points, models.Batch) else points)]


def payload_of(payload: Any, what: str) -> Any:
    """A payload in JSON's own types: dates and the like become text, as they do on the way to a server.

    Raises:
        QueryError: JSON has no such value; `what` says whose payload it is.
    """
    try:
        return to_jsonable_python(payload or {}, fallback=_plain)
    except ValueError as error:
        raise QueryError(f"the payload of {what} can't be stored as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return value.tolist()
    raise ValueError(f"{type(value).__name__} {value!r}")


def _rows(batch: models.Batch) -> Iterator[models.PointStruct]:
    columns: Mapping[str, Any] = batch.vectors if isinstance(batch.vectors, dict) else {"": batch.vectors}
    payloads: Sequence[Any] = batch.payloads or [None] * len(batch.ids)
    if {len(column) for column in (payloads, *columns.values())} != {len(batch.ids)}:
        raise QueryError(f"the batch has {len(batch.ids)} ids, and another number of vectors or payloads")
    for row, (point, payload) in enumerate(zip(batch.ids, payloads, strict=True)):
        vector = {name: column[row] for name, column in columns.items()}
        yield models.PointStruct.model_construct(id=point, vector=vector, payload=payload)


def _stored(point: models.PointStruct, vectors: Mapping[str, VectorInfo]) -> engine.Point:
    named: Any = point.vector if isinstance(point.vector, dict) else {"": point.vector}
    what = f"point {point.id!r}"
    checked = {name: _fitting(name, vector, what, vectors) for name, vector in named.items()}
    own = stored_id(point.id)
    payload = payload_of(point.payload, what)
    try:
        return engine.Point(own, checked, payload)
    except (TypeError, ValueError) as error:
        raise QueryError(f"{what} can't be stored: {error}") from error


def _fitting(name: str, vector: Any, what: str, vectors: Mapping[str, VectorInfo]) -> Any:
    """The vector as the engine takes it, if the collection has one of that name, kind and size."""
    info = vectors.get(name)
    if info is None:
        there = ", ".join(f"{one!r} ({of})" for one, of in vectors.items()) or "no vectors"
        raise QueryError(f"{what} brings a vector {name!r}; the collection has {there}{did_you_mean(name, vectors)}")
    plain = to_engine(vector, f"the vector {name!r} of {what}")
    rows = [] if info.kind == "sparse" else plain if info.kind == "multi" else [plain]
    if info.kind != _kind(plain) or any(len(row) != info.size for row in rows):
        raise QueryError(f"the vector {name!r} of {what} is {_says(plain)}, but the collection's is {info}")
    return plain


def _kind(vector: Any) -> str:
    if isinstance(vector, engine.SparseVector):
        return "sparse"
    return "multi" if vector and isinstance(vector[0], Sequence) else "dense"


def _says(vector: Any) -> str:
    kind = _kind(vector)
    sizes = "" if kind == "sparse" else str(len(vector)) if kind == "dense" else " and ".join(map(str, map(len, vector)))
    return f"{kind} {sizes}-d" if sizes else kind


def scored(point: engine.ScoredPoint) -> models.ScoredPoint:
    """A found point as qdrant-client gives it."""
    return models.ScoredPoint.model_construct(
        id=wire_id(point.id),
        version=point.version,
        score=point.score,
        payload=point.payload,
        vector=from_engine(point.vector),
        order_value=point.order_value,
    )


def record(point: engine.Record) -> models.Record:
    """A stored point as qdrant-client gives it."""
    return models.Record.model_construct(
        id=wire_id(point.id), payload=point.payload, vector=from_engine(point.vector), order_value=point.order_value
    )
