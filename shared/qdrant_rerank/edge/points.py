"""Points, from `qdrant_client.models` to what a change is made of, and from the engine back.

Points are checked whole before the engine sees any of them: it takes NaN in silence, and a point that it refuses for an
unknown vector name is still in its write-ahead log, which would strip that point of its vectors after a crash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import qdrant_edge as engine
from qdrant_client import models

from ..errors import QueryError, did_you_mean
from .describe import Vector
from .ids import stored_id, wire_id
from .log import NewPoint
from .vectors import count_numbers, from_engine, to_engine

__all__ = ["check_vector_names", "new_points", "new_vectors", "record", "scored"]


def new_points(points: Any, vectors: Mapping[str, Vector]) -> list[NewPoint]:
    """Points that are to be stored.

    Args:
        points: `models.PointStruct`s, or one `models.Batch`.
        vectors: the collection's.

    Raises:
        QueryError: a point has an id or vector that can't be stored; names the point. None is stored then.
        ClientError: a vector is left to a server to embed.
    """
    if isinstance(points, models.PointsList):
        points = points.points
    rows = _rows(points.batch if isinstance(points, models.PointsBatch) else points)
    return [_new(point, vectors, point.payload) for point in rows]


def new_vectors(points: Sequence[models.PointVectors], vectors: Mapping[str, Vector]) -> list[NewPoint]:
    """New vectors of points that are stored. As `new_points`."""
    return [_new(point, vectors, None) for point in points]


def check_vector_names(names: Collection[str], vectors: Mapping[str, Vector]) -> list[str]:
    """The names, if the collection has vectors of these.

    Raises:
        QueryError: it lacks one.
    """
    for name in names:
        if name not in vectors:
            raise QueryError(f"no vector named {name!r}; the collection has {_listed(vectors)}{did_you_mean(name, vectors)}")
    return list(names)


def _rows(points: Any) -> Iterator[Any]:
    if not isinstance(points, models.Batch):
        yield from points
        return
    batch = points
    columns: Mapping[str, Any] = batch.vectors if isinstance(batch.vectors, dict) else {"": batch.vectors}
    payloads: Sequence[Any] = batch.payloads or [None] * len(batch.ids)
    if {len(column) for column in (payloads, *columns.values())} != {len(batch.ids)}:
        raise QueryError(f"the batch has {len(batch.ids)} ids, and another number of vectors or payloads")
    for row, (point, payload) in enumerate(zip(batch.ids, payloads, strict=True)):
        vector = {name: column[row] for name, column in columns.items()}
        yield models.PointStruct.model_construct(id=point, vector=vector, payload=payload)


def _new(point: Any, vectors: Mapping[str, Vector], payload: Any) -> NewPoint:
    named: Any = point.vector if isinstance(point.vector, dict) else {"": point.vector}
    what = f"point {point.id!r}"
    checked = {name: _fitting(name, vector, what, vectors) for name, vector in named.items()}
    return NewPoint(stored_id(point.id), checked, sum(map(count_numbers, checked.values())), payload)


def _fitting(name: str, vector: Any, what: str, vectors: Mapping[str, Vector]) -> Any:
    """The vector as the engine takes it, if the collection has one of that name, kind and size."""
    info = vectors.get(name)
    if info is None:
        raise QueryError(f"{what} brings a vector {name!r}; the collection has {_listed(vectors)}{did_you_mean(name, vectors)}")
    plain = to_engine(vector, f"the vector {name!r} of {what}")
    rows = [] if info.kind == "sparse" else plain if info.kind == "multi" else [plain]
    if info.kind != _kind(plain) or any(len(row) != info.size for row in rows):
        raise QueryError(f"the vector {name!r} of {what} is {_says(plain)}, but the collection's is {info}")
    return plain


def _listed(vectors: Mapping[str, Vector]) -> str:
    return ", ".join(f"{one!r} ({of})" for one, of in vectors.items()) or "no vectors"


def _kind(vector: Any) -> str:
    if isinstance(vector, engine.SparseVector):
        return "sparse"
    return "multi" if vector and isinstance(vector[0], list) else "dense"


def _says(vector: Any) -> str:
    kind = _kind(vector)
    sizes = "" if kind == "sparse" else str(len(vector)) if kind == "dense" else " and ".join(map(str, map(len, vector)))
    return f"{kind} {sizes}-d" if sizes else kind


def scored(point: engine.ScoredPoint, with_vector: Any) -> models.ScoredPoint:
    """A found point as qdrant-client gives it, with the vectors that were asked for: MMR brings those that it read."""
    return models.ScoredPoint.model_construct(
        id=wire_id(point.id),
        version=point.version,
        score=point.score,
        payload=point.payload,
        vector=from_engine(_asked(point.vector, with_vector)) if with_vector else None,
        order_value=point.order_value,
    )


def _asked(vector: Any, with_vector: Any) -> Any:
    if isinstance(with_vector, bool):
        return vector
    named = vector if isinstance(vector, dict) else {"": vector}
    chosen = {name: one for name, one in named.items() if name in with_vector}
    return chosen[""] if list(chosen) == [""] else chosen


def record(point: engine.Record) -> models.Record:
    """A stored point as qdrant-client gives it."""
    return models.Record.model_construct(
        id=wire_id(point.id), payload=point.payload, vector=from_engine(point.vector), order_value=point.order_value
    )
