"""Changes of points: checked whole before the engine sees any of them, so that its write-ahead log can be read again.

The engine takes NaN in silence, and a point that it refuses for an unknown vector name is still in its log, which would strip
that point of its vectors after a crash.

The log takes what it can't read back. Its reader stops at 128 levels, of which each kind of change uses some itself: a
payload of 122 to 124 levels and a filter of about 122 to 126 are the most that opens again, and one that is deeper makes the
whole collection unreadable. `LEVELS` is below all of these. Payloads are stored as JSON, whose reader stops at 128, too, so
that a path which a payload is set at counts with the payload.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import qdrant_edge as engine
from pydantic_core import to_jsonable_python
from qdrant_client import models
from qdrant_client.local.json_path_parser import parse_json_path

from ..errors import QueryError, did_you_mean
from ..values import LEVELS, measure
from .binding import describe_misfits
from .translate_config import Vector
from .translate_filter import filter_of
from .values import count_numbers, engine_id, from_engine, to_engine, wire_id

__all__ = [
    "ShardChange",
    "NewPoint",
    "Selection",
    "make_change",
    "check_vector_names",
    "new_points",
    "new_vectors",
    "payload_of",
    "to_record",
    "to_scored_point",
]

_POINT: Final = 1024  # bytes that a point takes beside its values: pages, ids, versions


@dataclass(frozen=True)
class Selection:
    """Points that are to be changed: by id, or all that a filter finds."""

    ids: list[Any] | None = None
    filter: models.Filter | None = None

    @classmethod
    def of(cls, points: Any) -> Selection:
        """What `QdrantClient` takes for points: a list of ids, a filter, or either's selector.

        Raises:
            QueryError: it is neither, or an id can't be one.
        """
        if isinstance(points, models.PointIdsList):
            points = points.points
        if isinstance(points, models.FilterSelector):
            points = points.filter
        if isinstance(points, models.Filter):
            return cls(filter=points)
        if isinstance(points, Sequence) and not isinstance(points, str):
            return cls(ids=[engine_id(one) for one in points])
        raise QueryError(f"points are selected by a list of ids or a models.Filter, got {points!r}"[:300])


@dataclass(frozen=True)
class NewPoint:
    """A point that is to be stored, or new vectors of one that is (without a payload then).

    Attributes:
        id: as the engine takes it.
        vector: checked, by name, as the engine takes it.
        numbers: how many numbers the vectors hold.
        payload: as the user gave it.
    """

    id: Any
    vector: Any
    numbers: int
    payload: Any = None


@dataclass(frozen=True)
class ShardChange:
    """One change of a collection.

    Attributes:
        operation: the engine's.
        size: about how many bytes it brings, for each point that it rewrites if it rewrites some.
        rewrites: the points whose payload or vectors are written anew; None if none are.
        everything: whether something is made of all points, such as an index.
    """

    operation: engine.UpdateOperation
    size: int = 0
    rewrites: Selection | None = None
    everything: bool = False


def make_change(
    kind: str, on: Selection | None = None, *, rewrites: bool = False, everything: bool = False, **parts: Any
) -> ShardChange:
    """A change of the kind that the engine's `UpdateOperation` calls so, if the log can read all of its parts again.

    Args:
        kind: for points by filter, the name without `_by_filter`.
        on: the points that it is for.
        rewrites: whether these are written anew.
        everything: see `Change`.
        parts: by the engine's names for them; those that are None are left out.

    Raises:
        QueryError: a part can't be stored, or couldn't be read again; names point and key.
    """
    given: dict[str, Any] = {}
    if on is not None and on.ids is not None:
        given["point_ids"] = on.ids
    elif on is not None:
        kind += "_by_filter"
        given["filter"] = _filter(on.filter, parts)
    size = 0
    for name, part in parts.items():
        if part is not None:
            given[name] = _PARTS[name](part, parts)
            size += _SIZES.get(name, _nothing)(part)
    with describe_misfits(f"qdrant-edge refused a change, {kind}"):
        return ShardChange(getattr(engine.UpdateOperation, kind)(**given), size, on if rewrites else None, everything)


def payload_of(payload: Any, what: str, path: str | None = None) -> dict[str, Any]:
    """A payload in JSON's own types: dates and the like become text, as they do on the way to a server.

    Args:
        payload: the user's.
        what: whose it is, for messages.
        path: where in a point's payload it is to be put.

    Raises:
        QueryError: JSON has no such value, or it is nested too deep.
    """
    try:
        plain: dict[str, Any] = to_jsonable_python(payload or {}, fallback=_plain)
    except (ValueError, RecursionError) as error:
        if "depth exceeded" in str(error) or isinstance(error, RecursionError):
            raise QueryError(f"the payload of {what} {_TOO_DEEP}") from error
        raise QueryError(f"the payload of {what} can't be stored as JSON: {error}") from error
    room = LEVELS - (0 if path is None else _steps(path))
    for key, value in plain.items():
        if isinstance(value, dict | list) and 1 + measure(value)[0] > room:
            where = f" under {key!r}" if path is None else f" under {key!r} at {path!r}"[:200]
            raise QueryError(f"the payload of {what} {_TOO_DEEP}: it is{where}")
    if room < 1:
        raise QueryError(f"the payload of {what} {_TOO_DEEP}: it is at {path!r}"[:300])
    return plain


_TOO_DEEP: Final = f"is nested more than {LEVELS} levels deep, which the engine's log couldn't read again"


def _steps(path: str) -> int:
    """How many levels of a payload a path goes down."""
    with describe_misfits(f"{path!r} is no path of a payload"[:300]):
        return len(parse_json_path(path))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return value.tolist()
    raise ValueError(f"{type(value).__name__} {value!r}"[:200])


def _filter(value: Any, parts: Mapping[str, Any]) -> Any:
    if measure(value)[0] > LEVELS:
        raise QueryError(f"the filter of the change {_TOO_DEEP}")
    return filter_of(value)


def _points(points: Sequence[NewPoint], parts: Mapping[str, Any]) -> list[engine.Point]:
    return [_point(point) for point in points]


def _point(point: NewPoint) -> engine.Point:
    what = f"point {wire_id(point.id)!r}"
    payload = payload_of(point.payload, what)
    with describe_misfits(f"{what} can't be stored"):
        return engine.Point(point.id, point.vector, payload)


def _vectors(points: Sequence[NewPoint], parts: Mapping[str, Any]) -> list[engine.PointVectors]:
    with describe_misfits("the vectors can't be stored"):
        return [engine.PointVectors(point.id, point.vector) for point in points]


def _payload(payload: Any, parts: Mapping[str, Any]) -> Any:
    return payload_of(payload, "the change", parts.get("key"))


def _path(path: str, parts: Mapping[str, Any]) -> str:
    _steps(path)
    return path


def _paths(paths: Sequence[str], parts: Mapping[str, Any]) -> list[str]:
    return [_path(path, parts) for path in paths]


def _same(value: Any, parts: Mapping[str, Any]) -> Any:
    return value


def _nothing(part: Any) -> int:
    return 0


def _size_of_points(points: Sequence[NewPoint]) -> int:
    return sum(_POINT + 4 * point.numbers + measure(point.payload)[1] for point in points)


# A kind of change can only be made of parts that are named here: what is new to the log gets its check first.
_PARTS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Any]]] = {
    "condition": _filter,
    "field_name": _path,
    "key": _path,
    "keys": _paths,
    "payload": _payload,
    "point_vectors": _vectors,
    "points": _points,
    "schema": _same,
    "update_mode": _same,
    "vector_names": _same,
}

_SIZES: Final[Mapping[str, Callable[[Any], int]]] = {
    "payload": lambda payload: measure(payload)[1],
    "point_vectors": _size_of_points,
    "points": _size_of_points,
}


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
    return NewPoint(engine_id(point.id), checked, sum(map(count_numbers, checked.values())), payload)


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


def to_scored_point(point: engine.ScoredPoint, with_vector: Any) -> models.ScoredPoint:
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


def to_record(point: engine.Record) -> models.Record:
    """A stored point as qdrant-client gives it."""
    return models.Record.model_construct(
        id=wire_id(point.id), payload=point.payload, vector=from_engine(point.vector), order_value=point.order_value
    )
