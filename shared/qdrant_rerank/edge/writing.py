"""The client's changes of points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import qdrant_edge as engine
from qdrant_client import models

from ..errors import QueryError
from .arguments import check_extras, check_unknown
from .base import DONE
from .collections import Collections
from .ids import stored_id
from .points import payload_of, stored_points
from .translate_filter import filter_of

__all__ = ["Writing"]

Update = engine.UpdateOperation


class Writing(Collections):
    """Every change is done, and in the write-ahead log, when its call returns; `wait` makes no difference."""

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
            QueryError: a point can't be stored; names it.
        """
        check_unknown("upsert", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, update_mode=update_mode, timeout=timeout)
        shard = self._shard(collection_name)
        stored = stored_points(points, shard.vectors)
        if stored:
            shard.update(Update.upsert_points(stored, filter_of(update_filter)))
        return DONE

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
        ids, selecting = _selected(points_selector)
        operation = Update.delete_points(ids) if ids is not None else Update.delete_points_by_filter(selecting)
        self._shard(collection_name).update(operation)
        return DONE

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
        """As `QdrantClient.set_payload`."""
        check_unknown("set_payload", kwargs)
        check_extras(ordering=ordering, shard_key_selector=shard_key_selector, timeout=timeout)
        ids, selecting = _selected(points)
        values = payload_of(payload, "the change")
        by_ids, by_filter = Update.set_payload, Update.set_payload_by_filter
        operation = by_ids(ids, values, key) if ids is not None else by_filter(selecting, values, key)
        self._shard(collection_name).update(operation)
        return DONE

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


def _selected(points: Any) -> tuple[list[Any] | None, Any]:
    """Point ids, or a filter for points."""
    if isinstance(points, models.PointIdsList):
        points = points.points
    if isinstance(points, models.FilterSelector):
        points = points.filter
    if isinstance(points, models.Filter):
        return None, filter_of(points)
    if isinstance(points, Sequence) and not isinstance(points, str):
        return [stored_id(one) for one in points], None
    raise QueryError(f"points are selected by a list of ids or a models.Filter, got {points!r}")
