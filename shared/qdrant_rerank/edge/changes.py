"""Changes of points: checked whole before the engine sees any of them, so that its write-ahead log can be read again.

The engine takes NaN in silence, and a point that it refuses for an unknown vector name is still in its log, which would strip
that point of its vectors after a crash.

The log takes what it can't read back. Its reader stops at 128 levels, and each kind of change uses some of them: a
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

from ..errors import ClientError, QueryError, did_you_mean
from ..values import LEVELS, measure
from .translate_config import Vector
from .translate_filter import filter_of
from .values import count_numbers, describe_misfits, engine_id, to_engine, wire_id

_POINT: Final = 1024  # bytes that a point takes beside its values: pages, ids, versions


@dataclass(frozen=True)
class Selection:
    """The points to change: by id, or all that a filter finds."""

    ids: list[Any] | None = None
    filter: models.Filter | None = None

    @classmethod
    def of(cls, points: Any) -> Selection:
        """What `QdrantClient` takes for points: a list of ids, a filter, or either's selector.

        Raises QueryError: it is neither, or an id can't be one.
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
class ShardChange:
    """One change of a collection, as the engine's operation.

    Attributes:
        size: about how many bytes it brings, for each point that it rewrites if it rewrites some.
        rewrites: the points whose payload or vectors are rewritten; None if none are.
        everything: whether something is made of all points, such as an index.
    """

    operation: engine.UpdateOperation
    size: int = 0
    rewrites: Selection | None = None
    everything: bool = False


def change_of(operation: Any, vectors: Mapping[str, Vector]) -> ShardChange | None:
    """The change that a `models.UpdateOperation` asks for, checked whole; None if there is nothing to be changed.

    Raises QueryError: a part can't be stored, or couldn't be read again; names point and key. Raises ClientError: there is no
    such change; or a vector is left to a server to embed.
    """
    match operation:
        case models.UpsertOperation(upsert=asked):
            points = _points(asked.batch if isinstance(asked, models.PointsBatch) else asked.points, vectors)
            if not points:
                return None
            mode = _mode(getattr(asked, "update_mode", None))
            return make_change("upsert_points", points=points, condition=asked.update_filter, update_mode=mode)
        case models.UpdateVectorsOperation(update_vectors=asked):
            points = [_point(point, vectors, None) for point in asked.points]
            if not points:
                return None
            return make_change("update_vectors", point_vectors=points, condition=getattr(asked, "update_filter", None))
        case models.DeleteVectorsOperation(delete_vectors=asked):
            return make_change("delete_vectors", _either(asked), vector_names=_check_names(asked.vector, vectors))
        case models.DeleteOperation(delete=asked):
            return make_change("delete_points", Selection.of(asked))
        case models.SetPayloadOperation(set_payload=asked):
            return make_change("set_payload", _either(asked), rewrites=True, payload=asked.payload, key=asked.key)
        case models.OverwritePayloadOperation(overwrite_payload=asked):
            return make_change("overwrite_payload", _either(asked), rewrites=True, payload=asked.payload, key=asked.key)
        case models.DeletePayloadOperation(delete_payload=asked):
            return make_change("delete_payload", _either(asked), rewrites=True, keys=list(asked.keys))
        case models.ClearPayloadOperation(clear_payload=asked):
            return make_change("clear_payload", Selection.of(asked))
        case _:
            raise ClientError(f"qdrant-edge has no change {type(operation).__name__}: {operation!r}"[:300])


def _either(asked: Any) -> Selection:
    """The points of an operation that has room for ids and for a filter."""
    return Selection.of(asked.filter if asked.points is None else asked.points)


def _mode(mode: Any) -> Any:
    modes = {
        "upsert": engine.UpdateMode.Upsert,
        "insert_only": engine.UpdateMode.InsertOnly,
        "update_only": engine.UpdateMode.UpdateOnly,
    }
    name = None if mode is None else str(getattr(mode, "value", mode))
    if name is not None and name not in modes:
        raise QueryError(f"update_mode is one of {', '.join(map(repr, modes))}, got {mode!r}")
    return modes.get(name or "")


def make_change(
    kind: str, on: Selection | None = None, *, rewrites: bool = False, everything: bool = False, **parts: Any
) -> ShardChange:
    """A change of the kind that the engine's `UpdateOperation` calls so, if the log can read all of its parts again.

    `on` are its points, of a filter without `_by_filter` in the kind; `parts` go by the engine's names, None for none.

    Raises QueryError: a part can't be stored, or couldn't be read again; names point and key.
    """
    given: dict[str, Any] = {name: _PARTS[name](part) for name, part in parts.items() if part is not None}
    if on is not None and on.ids is not None:
        given["point_ids"] = on.ids
    elif on is not None:
        kind += "_by_filter"
        given["filter"] = _filter(on.filter)
    size = 0
    if "payload" in given:
        given["payload"] = _payload(parts["payload"], "the change", parts.get("key"))
        size = measure(parts["payload"])[1]
    for point in parts.get("points") or parts.get("point_vectors") or ():
        size += _POINT + 4 * point.numbers + measure(point.payload)[1]
    with describe_misfits(f"qdrant-edge refused a change, {kind}"):
        return ShardChange(getattr(engine.UpdateOperation, kind)(**given), size, on if rewrites else None, everything)


def _payload(payload: Any, what: str, path: str | None = None) -> dict[str, Any]:
    """A payload of `what` in JSON's own types, to be put at `path`: dates become text, as on the way to a server."""
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


def _filter(value: Any) -> Any:
    if measure(value)[0] > LEVELS:
        raise QueryError(f"the filter of the change {_TOO_DEEP}")
    return filter_of(value)


def _path(path: str) -> str:
    _steps(path)
    return path


def _to_point(point: _NewPoint) -> engine.Point:
    what = f"point {wire_id(point.id)!r}"
    payload = _payload(point.payload, what)
    with describe_misfits(f"{what} can't be stored"):
        return engine.Point(point.id, point.vector, payload)


def _to_point_vectors(points: Sequence[_NewPoint]) -> list[engine.PointVectors]:
    with describe_misfits("the vectors can't be stored"):
        return [engine.PointVectors(point.id, point.vector) for point in points]


def _same(value: Any) -> Any:
    return value


# A kind of change can only be made of parts that are named here: what is new to the log gets its check first.
_PLAIN: Final = "datatype distance modifier multivector_config schema size update_mode vector_name vector_names"
_PARTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(_PLAIN.split(), _same),
    "condition": _filter,
    "field_name": _path,
    "key": _path,
    "keys": lambda paths: list(map(_path, paths)),
    "payload": _same,  # which is checked together with its key
    "point_vectors": _to_point_vectors,
    "points": lambda points: list(map(_to_point, points)),
}


@dataclass(frozen=True)
class _NewPoint:
    """A point to store, or new vectors of one that is stored: id and vectors as the engine takes them, the payload as given."""

    id: Any
    vector: Any
    numbers: int
    payload: Any = None


def _points(points: Any, vectors: Mapping[str, Vector]) -> list[_NewPoint]:
    """Points to store: `models.PointStruct`s, or one `models.Batch`; all checked before any is stored."""
    if isinstance(points, models.PointsList):
        points = points.points
    rows = _rows(points.batch if isinstance(points, models.PointsBatch) else points)
    return [_point(point, vectors, point.payload) for point in rows]


def _check_names(names: Collection[str], vectors: Mapping[str, Vector]) -> list[str]:
    """The names, if the collection has vectors of these."""
    for name in names:
        if name not in vectors:
            raise QueryError(f"no vector named {name!r}; the collection has {_list_vectors(vectors, name)}")
    return list(names)


def _rows(points: Any) -> Iterator[Any]:
    if not isinstance(points, models.Batch):
        yield from points
        return
    columns: Mapping[str, Any] = points.vectors if isinstance(points.vectors, dict) else {"": points.vectors}
    payloads: Sequence[Any] = points.payloads or [None] * len(points.ids)
    if {len(column) for column in (payloads, *columns.values())} != {len(points.ids)}:
        raise QueryError(f"the batch has {len(points.ids)} ids, and another number of vectors or payloads")
    for row, (point, payload) in enumerate(zip(points.ids, payloads, strict=True)):
        vector = {name: column[row] for name, column in columns.items()}
        yield models.PointStruct.model_construct(id=point, vector=vector, payload=payload)


def _point(point: Any, vectors: Mapping[str, Vector], payload: Any) -> _NewPoint:
    named: Any = point.vector if isinstance(point.vector, dict) else {"": point.vector}
    what = f"point {point.id!r}"
    checked = {name: _check_vector(name, vector, what, vectors) for name, vector in named.items()}
    return _NewPoint(engine_id(point.id), checked, sum(map(count_numbers, checked.values())), payload)


def _check_vector(name: str, vector: Any, what: str, vectors: Mapping[str, Vector]) -> Any:
    """The vector as the engine takes it, if the collection has one of that name, kind and size."""
    info = vectors.get(name)
    if info is None:
        raise QueryError(f"{what} brings a vector {name!r}; the collection has {_list_vectors(vectors, name)}")
    plain = to_engine(vector, f"the vector {name!r} of {what}")
    rows = [] if info.kind == "sparse" else plain if info.kind == "multi" else [plain]
    if info.kind != _kind(plain) or any(len(row) != info.size for row in rows):
        raise QueryError(f"the vector {name!r} of {what} is {_describe_vector(plain)}, but the collection's is {info}")
    return plain


def _list_vectors(vectors: Mapping[str, Vector], wanted: str) -> str:
    """The vectors that there are, and which of them may be meant."""
    return (", ".join(f"{one!r} ({of})" for one, of in vectors.items()) or "no vectors") + did_you_mean(wanted, vectors)


def _kind(vector: Any) -> str:
    if isinstance(vector, engine.SparseVector):
        return "sparse"
    return "multi" if vector and isinstance(vector[0], list) else "dense"


def _describe_vector(vector: Any) -> str:
    kind = _kind(vector)
    sizes = "" if kind == "sparse" else str(len(vector)) if kind == "dense" else " and ".join(map(str, map(len, vector)))
    return f"{kind} {sizes}-d" if sizes else kind
