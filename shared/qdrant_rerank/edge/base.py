"""What the parts of the client share."""

from __future__ import annotations

from typing import Final

from qdrant_client import QdrantClient, models

from .shards import Folder, Shard

__all__ = ["DONE", "Base"]

DONE: Final = models.UpdateResult(status=models.UpdateStatus.COMPLETED)
"""What every change returns: it is done."""


class Base(QdrantClient):
    """A `QdrantClient` to type checkers and `isinstance`; none of that class's code is run."""

    _folder: Folder

    def _shard(self, collection_name: str) -> Shard:
        return self._folder.shard(collection_name)
