"""The collections in a folder: each is one shard of the engine, opened when it is first needed and kept open."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path
from typing import Any, Final

import qdrant_edge as engine

from ..errors import ClientError, QueryError, did_you_mean
from ..schema import Schema, VectorInfo
from .binding import refusals
from .describe import collection_info
from .ids import stored_id
from .translate_expression import Formulas

__all__ = ["Folder", "Shard"]

_SEGMENTS: Final = "segments"  # what the engine keeps in the folder of every shard
_NOT_IN_NAMES: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # as on a server


class Shard:
    """One open collection. `lock` is held while the engine works, and where several calls belong together."""

    def __init__(self, name: str, folder: Path, shard: engine.EdgeShard) -> None:
        self.name, self.folder, self.engine = name, folder, shard
        self.lock = threading.RLock()
        self.formulas = Formulas()
        self.vectors: dict[str, VectorInfo] = dict(Schema.of(name, collection_info(folder, shard.info())).vectors)
        self._closed = False

    def query(self, request: engine.QueryRequest) -> list[engine.ScoredPoint]:
        """Run one query."""
        with self.lock, refusals(f"a query of {self.name!r}"):
            return self.opened().query(request)

    def update(self, operation: engine.UpdateOperation) -> None:
        """Make one change."""
        with self.lock, refusals(f"a change of {self.name!r}"):
            self.opened().update(operation)

    def retrieve(self, ids: list[Any], with_payload: Any, with_vector: Any) -> list[engine.Record]:
        """Points by id, those that there are."""
        with self.lock, refusals(f"reading points of {self.name!r}"):
            return self.opened().retrieve(ids, with_payload, with_vector)

    def vector_of(self, point: Any, using: str) -> Any:
        """The vector `using` of a point, as the engine takes it.

        Raises:
            QueryError: there is no such point, or it has no such vector.
        """
        if using not in self.vectors:
            there = ", ".join(map(repr, self.vectors))
            raise QueryError(f"no vector named {using!r}; {self.name!r} has {there}{did_you_mean(using, self.vectors)}")
        found = self.retrieve([stored_id(point)], False, [using])
        if not found:
            raise QueryError(f"there is no point {point!r} in {self.name!r} whose vector could be the query")
        vector: Any = found[0].vector
        if isinstance(vector, dict):
            vector = vector.get(using)
        if vector is None:
            raise QueryError(f"the point {point!r} of {self.name!r} has no vector {using!r} that could be the query")
        return vector

    def close(self) -> None:
        """Write out what is pending, and let go of the folder."""
        with self.lock:
            if not self._closed:
                self._closed = True
                self.engine.flush()
                self.engine.close()

    def opened(self) -> engine.EdgeShard:
        """The engine's shard.

        Raises:
            ClientError: the client was closed, or the collection deleted.
        """
        if self._closed:
            raise ClientError(f"the collection {self.name!r} in {self.folder} is closed: make a new EdgeClient")
        return self.engine


class Folder:
    """A folder of collections.

    Args:
        path: the folder.
        only: what the collection is called if the folder is itself one shard.
    """

    def __init__(self, path: Path, only: str | None = None) -> None:
        self.path, self.only = path, only
        self._lock = threading.RLock()
        self._open: dict[str, Shard] = {}
        self._closed = False

    def names(self) -> list[str]:
        """The collections that there are, open or not."""
        if self.only is not None:
            return [self.only] if (self.path / _SEGMENTS).is_dir() else []
        if not self.path.is_dir():
            return []
        return sorted(folder.name for folder in self.path.iterdir() if (folder / _SEGMENTS).is_dir())

    def shard(self, name: str) -> Shard:
        """The collection `name`, opened if it isn't.

        Raises:
            ClientError: there is none, or it is in use elsewhere.
        """
        with self._lock:
            self._check()
            if name not in self._open:
                there = self.names()
                if name not in there:
                    listed = ", ".join(map(repr, there)) or "none"
                    hint = did_you_mean(str(name), there)
                    raise ClientError(f"collection {name!r} not found in {self.path}; there are: {listed}{hint}")
                folder = self._folder(name)
                with refusals(f"opening {folder}"):
                    shard = engine.EdgeShard.load(str(folder))
                self._open[name] = Shard(name, folder, shard)
            return self._open[name]

    def create(self, name: str, config: engine.EdgeConfig) -> Shard:
        """Make a collection.

        Raises:
            ClientError: there is one of that name, or it can't be the name of one.
        """
        if not isinstance(name, str) or not name or name in (".", "..") or len(name) > 255 or _NOT_IN_NAMES.search(name):
            raise ClientError(f"{name!r} can't be the name of a collection: it is a folder's name, of up to 255 characters")
        if self.only not in (None, name):
            raise ClientError(f"{self.path} is the one collection {self.only!r}; for {name!r} give a folder of collections")
        with self._lock:
            self._check()
            if name in self.names():
                raise ClientError(f"the collection {name!r} already exists in {self.path}")
            folder = self._folder(name)
            folder.mkdir(parents=True, exist_ok=True)
            with refusals(f"making {folder}"):
                shard = engine.EdgeShard.create(str(folder), config)
            self._open[name] = Shard(name, folder, shard)
            return self._open[name]

    def delete(self, name: str) -> bool:
        """Delete a collection with all its points; whether there was one.

        Raises:
            ClientError: it is in use elsewhere.
        """
        with self._lock:
            self._check()
            if name not in self.names():
                return False
            shard = self.shard(name)  # fails where another process has it open
            with shard.lock:
                shard.close()
                del self._open[name]
                shutil.rmtree(shard.folder)
            return True

    def close(self) -> None:
        """Close every collection; a second call does nothing."""
        with self._lock:
            self._closed = True
            while self._open:
                self._open.popitem()[1].close()

    def _folder(self, name: str) -> Path:
        return self.path if self.only is not None else self.path / name

    def _check(self) -> None:
        if self._closed:
            raise ClientError(f"the EdgeClient of {self.path} is closed: make a new one")
