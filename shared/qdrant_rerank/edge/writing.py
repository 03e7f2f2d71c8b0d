"""The client's changes of points."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice, repeat
from typing import Any, Final

import qdrant_edge as engine
from qdrant_client import models

from ..errors import ClientError, QueryError
from .binding import check_extras, check_unknown
from .changes import Selection, ShardChange, check_vector_names, make_change, new_points, new_vectors
from .collections import DONE, Collections
from .shards import Shard

__all__ = ["Writing"]


class Writing(Collections):
    """Every change is done, and in the write-ahead log, when its call returns; `wait` makes no difference.

    A change is checked whole before any of it is done (`log`), and refused where the disk may have no room (`space`).
    """

    def upsert(
        self,
        collection_name: str,
        points: Any,
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        update_filter: Any = None,
        update_mode: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.upsert`: all points are stored, or none.

        Raises:
            QueryError: a point can't be stored, or couldn't be read again; names it.
            EngineError: the disk may have no room for them.
        """
        check_unknown("upsert", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _upsert, points, update_filter, update_mode)

    def update_vectors(
        self,
        collection_name: str,
        points: Sequence[models.PointVectors],
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        update_filter: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.update_vectors`. As `upsert`."""
        check_unknown("update_vectors", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _update_vectors, points, update_filter)

    def delete_vectors(
        self,
        collection_name: str,
        vectors: Sequence[str],
        points: Any,
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.delete_vectors`."""
        check_unknown("delete_vectors", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _delete_vectors, points, vectors)

    def delete(
        self,
        collection_name: str,
        points_selector: Any,
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.delete`."""
        check_unknown("delete", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _delete, points_selector)

    def set_payload(
        self,
        collection_name: str,
        payload: dict[str, Any],
        points: Any,
        key: str | None = None,
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.set_payload`.

        Raises:
            QueryError: the payload can't be stored, or couldn't be read again at that key.
            EngineError: there is no point of one of the ids; the others are changed. Or the disk may have no room.
        """
        check_unknown("set_payload", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _set_payload, points, payload, key)

    def overwrite_payload(
        self,
        collection_name: str,
        payload: dict[str, Any],
        points: Any,
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.overwrite_payload`. As `set_payload`."""
        check_unknown("overwrite_payload", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _overwrite_payload, points, payload)

    def delete_payload(
        self,
        collection_name: str,
        keys: Sequence[str],
        points: Any,
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.delete_payload`. As `set_payload`."""
        check_unknown("delete_payload", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _delete_payload, points, keys)

    def clear_payload(
        self,
        collection_name: str,
        points_selector: Any,
        wait: bool = True,
        ordering: Any = None,
        shard_key_selector: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.clear_payload`. As `set_payload`."""
        check_unknown("clear_payload", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        return _done(self._shard(collection_name), _clear_payload, points_selector)

    def batch_update_points(
        self,
        collection_name: str,
        update_operations: Sequence[Any],
        wait: bool = True,
        ordering: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> list[models.UpdateResult]:
        """As `QdrantClient.batch_update_points`: one after the other, but none if one of them can't be made.

        Raises:
            QueryError: one of them can't be stored, or couldn't be read again.
            EngineError: the disk may have no room, or a point isn't there; what comes before is done.
        """
        check_unknown("batch_update_points", kwargs)
        check_extras(ordering=ordering, timeout=timeout)
        shard = self._shard(collection_name)
        changes = [_operation(operation, shard) for operation in update_operations]
        with shard.hold("changes of"):
            for one in changes:
                _apply(shard, one)
        return [DONE for _ in changes]

    def upload_points(
        self,
        collection_name: str,
        points: Iterable[Any],
        batch_size: int = 64,
        parallel: int = 1,
        method: str | None = None,
        max_retries: int = 3,
        wait: bool = False,
        shard_key_selector: Any = None,
        update_filter: Any = None,
        update_mode: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `QdrantClient.upload_points`: batch after batch in this process, whatever `parallel` says."""
        check_unknown("upload_points", kwargs)
        remaining = iter(points)
        while batch := list(islice(remaining, batch_size)):
            self.upsert(
                collection_name,
                batch,
                shard_key_selector=shard_key_selector,
                update_filter=update_filter,
                update_mode=update_mode,
            )

    def upload_collection(
        self,
        collection_name: str,
        vectors: Any,
        payload: Iterable[dict[Any, Any]] | None = None,
        ids: Iterable[Any] | None = None,
        batch_size: int = 64,
        parallel: int = 1,
        method: str | None = None,
        max_retries: int = 3,
        wait: bool = False,
        shard_key_selector: Any = None,
        update_filter: Any = None,
        update_mode: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `QdrantClient.upload_collection`, whatever `parallel` says: vectors, payloads and ids are zipped."""
        check_unknown("upload_collection", kwargs)
        if isinstance(vectors, Mapping):
            rows: Iterable[Any] = (dict(zip(vectors, row, strict=True)) for row in zip(*vectors.values(), strict=True))
        else:
            rows = vectors
        names = (str(uuid.uuid4()) for _ in count()) if ids is None else iter(ids)
        payloads = repeat(None) if payload is None else iter(payload)
        made = models.PointStruct.model_construct
        self.upload_points(
            collection_name,
            (made(id=one, vector=vector, payload=of) for vector, one, of in zip(rows, names, payloads, strict=False)),
            batch_size,
            shard_key_selector=shard_key_selector,
            update_filter=update_filter,
            update_mode=update_mode,
        )


def _done(shard: Shard, make: Any, *arguments: Any) -> models.UpdateResult:
    _apply(shard, make(shard, *arguments))
    return DONE


def _apply(shard: Shard, change: ShardChange | None) -> None:
    if change is not None:
        shard.update(change)


# What is to be changed, made of what the client is given; None if that is nothing


def _upsert(shard: Shard, points: Any, condition: Any = None, mode: Any = None) -> ShardChange | None:
    new = new_points(points, shard.vectors)
    return make_change("upsert_points", points=new, condition=condition, update_mode=_mode(mode)) if new else None


def _update_vectors(shard: Shard, points: Any, condition: Any = None) -> ShardChange | None:
    new = new_vectors(points, shard.vectors)
    return make_change("update_vectors", point_vectors=new, condition=condition) if new else None


def _delete_vectors(shard: Shard, points: Any, names: Sequence[str]) -> ShardChange:
    return make_change("delete_vectors", Selection.of(points), vector_names=check_vector_names(names, shard.vectors))


def _delete(shard: Shard, points: Any) -> ShardChange:
    return make_change("delete_points", Selection.of(points))


def _set_payload(shard: Shard, points: Any, payload: Any, key: str | None = None) -> ShardChange:
    return make_change("set_payload", Selection.of(points), rewrites=True, payload=payload, key=key)


def _overwrite_payload(shard: Shard, points: Any, payload: Any, key: str | None = None) -> ShardChange:
    return make_change("overwrite_payload", Selection.of(points), rewrites=True, payload=payload, key=key)


def _delete_payload(shard: Shard, points: Any, keys: Sequence[str]) -> ShardChange:
    return make_change("delete_payload", Selection.of(points), rewrites=True, keys=list(keys))


def _clear_payload(shard: Shard, points: Any) -> ShardChange:
    return make_change("clear_payload", Selection.of(points))


def _operation(operation: Any, shard: Shard) -> ShardChange | None:
    """The change that an operation of a batch asks for."""
    match operation:
        case models.UpsertOperation(upsert=asked):
            points = asked.batch if isinstance(asked, models.PointsBatch) else asked.points
            return _upsert(shard, points, asked.update_filter, getattr(asked, "update_mode", None))
        case models.DeleteOperation(delete=asked):
            return _delete(shard, asked)
        case models.SetPayloadOperation(set_payload=asked):
            return _set_payload(shard, _either(asked), asked.payload, asked.key)
        case models.OverwritePayloadOperation(overwrite_payload=asked):
            return _overwrite_payload(shard, _either(asked), asked.payload, asked.key)
        case models.DeletePayloadOperation(delete_payload=asked):
            return _delete_payload(shard, _either(asked), asked.keys)
        case models.ClearPayloadOperation(clear_payload=asked):
            return _clear_payload(shard, asked)
        case models.UpdateVectorsOperation(update_vectors=asked):
            return _update_vectors(shard, asked.points, getattr(asked, "update_filter", None))
        case models.DeleteVectorsOperation(delete_vectors=asked):
            return _delete_vectors(shard, _either(asked), asked.vector)
        case _:
            raise ClientError(f"qdrant-edge has no change {type(operation).__name__}: {operation!r}"[:300])


def _either(asked: Any) -> Any:
    """The ids, or the filter, of an operation that has room for both."""
    return asked.filter if asked.points is None else asked.points


def _mode(mode: Any) -> Any:
    if mode is None:
        return None
    name = str(getattr(mode, "value", mode))
    if name not in _MODES:
        raise QueryError(f"update_mode is one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    return _MODES[name]


_MODES: Final[Mapping[str, Any]] = {
    "upsert": engine.UpdateMode.Upsert,
    "insert_only": engine.UpdateMode.InsertOnly,
    "update_only": engine.UpdateMode.UpdateOnly,
}
