"""The collections in a folder: each is one shard of the engine, opened when it is first needed and kept open.

The engine writes through mapped files, where a full disk is a signal that ends the process. So no change begins that might not
fit. A reserve stays free, for what others write meanwhile and for closing the collection; a change takes several times what it
brings, as it goes to the log, to the segments, and to a segment's new pages before the old ones are free.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

import qdrant_edge as engine

from ..errors import ClientError, EngineError, QueryError, did_you_mean
from .changes import ShardChange
from .translate_config import Vector, read_params, vectors_of
from .translate_filter import filter_of
from .translate_query import Formulas
from .values import EngineValueError, engine_id, refusals

RESERVE: Final = 64 * 2**20
"""Bytes that stay free after every change."""

OPENING: Final = 32 * 2**20
"""Bytes that must be free to open a collection: fewer, so that one which was filled up to the reserve can be read."""

Disk = Callable[[Path], Any]
"""Tells the `used` and the `free` bytes of the disk that a folder is on."""


def disk_of(folder: Path) -> Any:
    """The disk of a folder, made or not."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder)


def check_room(free: int, needed: int, what: str, folder: Path) -> None:
    """Refuse what might not fit. Raises EngineError: says how much room is missing."""
    if free < needed:
        raise EngineError(
            f"{what} needs {_mega(needed)} free on the disk of {folder}, which has {_mega(free)}: the engine ends the process "
            "when the disk is full, so nothing was begun. Make room, or move the folder"
        )


def disk_usage(folder: Path) -> int:
    """The bytes that a folder's files take on the disk; those with holes take less than their size."""
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                found = entry.stat(follow_symlinks=False)
                total += getattr(found, "st_blocks", -(-found.st_size // 512)) * 512
    return total


def _mega(size: int) -> str:
    return f"{size / 2**20:,.0f} MB"


_SEGMENTS: Final = "segments"  # what the engine keeps in the folder of every shard
_LOG: Final = "wal"  # likewise; whoever has the shard open holds a lock on it
_CLOSED: Final = "collection_closed"  # ours: there while the collection is closed in order, so that no log is replayed
_NOT_IN_NAMES: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # as on a server
_COPIES: Final = 4  # what a change brings is written to the log, to a segment, and for a while beside what it replaces


class Shard:
    """One open collection. `hold` is for whatever works with the engine, and around calls that belong together."""

    def __init__(self, name: str, folder: Path, shard: engine.EdgeShard, disk: Disk) -> None:
        self.name, self.folder, self.engine, self.disk = name, folder, shard, disk
        self.lock = threading.RLock()
        self.formulas = Formulas()
        self.vectors: dict[str, Vector] = vectors_of(read_params(folder))
        self._process = os.getpid()
        self._place = _identity(folder / _SEGMENTS)
        self._closed = False
        _OPEN.add(self)

    @contextmanager
    def hold(self, what: str) -> Generator[engine.EdgeShard]:
        """The engine's shard, for one thread at a time; `what` is done with it, for the messages of errors.

        Raises ClientError: the client was closed, the collection deleted, or this is a forked process. Raises EngineError: the
        engine refuses; or the folder was deleted or replaced by someone else: what is written now would be lost.
        """
        check_process(self._process, self.folder)  # before the lock, which a thread of the parent may have held at the fork
        with self.lock, refusals(f"{what} {self.name!r}"):
            if self._closed:
                raise ClientError(f"the collection {self.name!r} in {self.folder} is closed: make a new EdgeClient")
            if not self._is_in_place():
                raise EngineError(
                    f"the folder {self.folder} of the collection {self.name!r} was deleted, moved or replaced while it was "
                    "open: close this EdgeClient and make a new one"
                )
            yield self.engine

    def query(self, request: engine.QueryRequest) -> list[engine.ScoredPoint]:
        with self.hold("a query of") as shard:
            return shard.query(request)

    def update(self, change: ShardChange) -> None:
        """Make a change, if the disk has room for it."""
        with self.hold("a change of") as shard:
            self._make_room(change, shard)
            shard.update(change.operation)

    def add_vector(self, change: ShardChange) -> None:
        """Make the change that adds a vector, and know it from now on."""
        with self.hold("a change of"):
            self.update(change)
            self.vectors = vectors_of(read_params(self.folder))

    def retrieve(self, ids: list[Any], with_payload: Any, with_vector: Any) -> list[engine.Record]:
        with self.hold("reading points of") as shard:
            return shard.retrieve(ids, with_payload, with_vector)

    def optimize(self) -> bool:
        """Build graphs and merge segments; whether there was work to do."""
        with self.hold("optimizing") as shard:
            needed = RESERVE + 2 * disk_usage(self.folder / _SEGMENTS)
            check_room(self.disk(self.folder).free, needed, f"optimizing {self.name!r}", self.folder)
            return shard.optimize()

    def vector_of(self, point: Any, using: str) -> Any:
        """The vector `using` of a point, as the engine takes it.

        Raises QueryError: there is no such point, or it has no such vector.
        """
        if using not in self.vectors:
            there = ", ".join(map(repr, self.vectors))
            raise QueryError(f"no vector named {using!r}; {self.name!r} has {there}{did_you_mean(using, self.vectors)}")
        found = self.retrieve([engine_id(point)], False, [using])
        if not found:
            raise QueryError(f"there is no point {point!r} in {self.name!r} whose vector could be the query")
        vector: Any = found[0].vector
        if isinstance(vector, dict):
            vector = vector.get(using)
        if vector is None:
            raise QueryError(f"the point {point!r} of {self.name!r} has no vector {using!r} that could be the query")
        return vector

    def close(self) -> None:
        """Write out what is pending, and let go of the folder.

        Raises ClientError: this is a forked process. Raises EngineError: what is pending can't be written; the folder is let go
        of.
        """
        check_process(self._process, self.folder)
        with self.lock:
            if self._closed:
                return
            self._closed = True
            with refusals(f"closing {self.name!r}"):
                try:
                    if self._is_in_place():
                        self.engine.flush()
                        (self.folder / _CLOSED).touch()
                finally:
                    self.engine.close()

    def abandon(self) -> None:  # pragma: no cover  # runs in forked processes alone: tests/edge/test_fork.py has some
        """In a forked process: leave the engine alone for ever, and its lock to the parent.

        The engine's threads aren't here, and what it would write when it is freed goes to the parent's files. So it is
        never freed; and the descriptor through which this process shares the parent's lock is closed, as the folder would
        stay locked after the parent is done with it, for as long as this process lives.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.engine))
        locked = os.path.realpath(self.folder / _LOG)
        with suppress(OSError):  # a system that doesn't list descriptors
            for descriptor in os.listdir("/proc/self/fd"):
                with suppress(OSError):
                    if os.readlink(f"/proc/self/fd/{descriptor}") == locked:
                        os.close(int(descriptor))

    def _is_in_place(self) -> bool:
        return _identity(self.folder / _SEGMENTS) == self._place

    def _make_room(self, change: ShardChange, shard: engine.EdgeShard) -> None:
        """Refuse a change that the disk may have no room for, even with a shorter log."""
        if self.disk(self.folder).free >= self._count_needed(change, shard):
            return
        shard.flush()  # what the segments hold may go from the log
        needed = self._count_needed(change, shard)
        check_room(self.disk(self.folder).free, needed, f"a change of {self.name!r}", self.folder)

    def _count_needed(self, change: ShardChange, shard: engine.EdgeShard) -> int:
        """The bytes that must be free for a change."""
        brought = _COPIES * change.size
        if change.rewrites is None and not change.everything:
            return RESERVE + brought
        points = shard.info().points_count
        disk = self.disk(self.folder)
        most: int = RESERVE + brought * points + 2 * disk.used  # the collection is a part of what is used
        if disk.free >= most:
            return most
        used = disk_usage(self.folder / _SEGMENTS)
        if change.rewrites is None:
            return RESERVE + brought + 2 * used
        on = change.rewrites
        many = len(on.ids) if on.ids is not None else shard.count(engine.CountRequest(True, filter_of(on.filter)))
        return RESERVE + brought * many + min(2 * used, _COPIES * many * used // max(points, 1))


class Folder:
    """A folder of collections, or itself the one shard `only`; `disk` tells how much room there is."""

    def __init__(self, path: Path, only: str | None = None, disk: Disk = disk_of) -> None:
        self.path, self.only, self.disk = path, only, disk
        self._lock = threading.RLock()
        self._open: dict[str, Shard] = {}
        self._process = os.getpid()
        self._closed = False

    @property
    def is_foreign(self) -> bool:
        """Whether this is a forked process, to which the folder doesn't belong."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Refuse to work in a forked process, by a `ClientError`."""
        check_process(self._process, self.path)

    def names(self) -> list[str]:
        """The collections, open or not."""
        self.check_process()
        with refusals(f"reading {self.path}"):
            if self.only is not None:
                return [self.only] if (self.path / _SEGMENTS).is_dir() else []
            if not self.path.is_dir():
                return []
            return sorted(folder.name for folder in self.path.iterdir() if (folder / _SEGMENTS).is_dir())

    def shard(self, name: str) -> Shard:
        """The collection `name`, opened if it isn't.

        Raises ClientError: it is in use elsewhere, or the client was closed. Raises EngineError: there is none (a ValueError,
        too, in qdrant-client's words); or it can't be opened.
        """
        with self._hold():
            if name not in self._open:
                there = self.names()
                if name not in there:
                    listed = ", ".join(map(repr, there)) or "none"
                    hint = did_you_mean(str(name), there)
                    raise EngineValueError(f"Collection {name} not found in {self.path}; there are: {listed}{hint}")
                self._open[name] = self._load(name)
            return self._open[name]

    def create(self, name: str, config: engine.EdgeConfig) -> Shard:
        """Make a collection.

        Raises ClientError: it can't be the name of one. Raises EngineError: there is one of that name (a ValueError, too, in
        qdrant-client's words), or it can't be made.
        """
        if not isinstance(name, str) or not name or name in (".", "..") or len(name) > 255 or _NOT_IN_NAMES.search(name):
            raise ClientError(f"{name!r} can't be the name of a collection: it is a folder's name, of up to 255 characters")
        if self.only not in (None, name):
            raise ClientError(f"{self.path} is the one collection {self.only!r}; for {name!r} give a folder of collections")
        with self._hold():
            if name in self.names():
                raise EngineValueError(f"Collection {name} already exists in {self.path}")
            folder = self._folder(name)
            check_room(self.disk(folder).free, RESERVE, f"making the collection {name!r}", folder)
            with refusals(f"making {folder}"):
                folder.mkdir(parents=True, exist_ok=True)
                shard = engine.EdgeShard.create(str(folder), config)
                self._open[name] = Shard(name, folder, shard, self.disk)
            return self._open[name]

    def delete(self, name: str) -> bool:
        """Delete a collection with all its points; whether there was one.

        Raises ClientError: it is in use elsewhere. Raises EngineError: its files can't be deleted.
        """
        with self._hold():
            if name not in self.names():
                return False
            try:
                shard = self.shard(name)  # fails where another process has it open
            except EngineError:  # a full disk, or files that can't be read: all the more reason to delete it
                _check_unlocked(self._folder(name))
            else:
                with shard.lock:
                    shard.close()
                    del self._open[name]
            with refusals(f"deleting {self._folder(name)}"):
                shutil.rmtree(self._folder(name))
            return True

    def close(self) -> None:
        """Close every collection; a second call does nothing.

        Raises ClientError: this is a forked process. Raises EngineError: what is pending in one of them can't be written; all
        are let go of.
        """
        self.check_process()
        with self._lock:
            self._closed = True
            failed: EngineError | None = None
            while self._open:
                try:
                    self._open.popitem()[1].close()
                except EngineError as error:
                    failed = error
            if failed is not None:
                raise failed

    def _load(self, name: str) -> Shard:
        folder = self._folder(name)
        closed = folder / _CLOSED
        with refusals(f"opening {folder}"):
            replayed = 0 if closed.exists() else disk_usage(folder / _LOG)
            check_room(self.disk(folder).free, OPENING + replayed, f"opening the collection {name!r}", folder)
            shard = engine.EdgeShard.load(str(folder))
            closed.unlink(missing_ok=True)
            return Shard(name, folder, shard, self.disk)

    def _folder(self, name: str) -> Path:
        return self.path if self.only is not None else self.path / name

    @contextmanager
    def _hold(self) -> Generator[None]:
        self.check_process()  # before the lock, which a thread of the parent may have held at the fork
        with self._lock:
            if self._closed:
                raise ClientError(f"the EdgeClient of {self.path} is closed: make a new one")
            yield


def check_process(owner: int, folder: Path) -> None:
    """Refuse to work in another process than the owner. Raises ClientError: this is one that was forked from it."""
    if os.getpid() != owner:  # pragma: no cover  # likewise
        raise ClientError(
            f"this EdgeClient of {folder} belongs to process {owner}, and this is process {os.getpid()}, forked from it: the "
            "engine doesn't survive a fork. Make the EdgeClient after forking, where no other process has the folder open; or "
            "ask the first process, or a Qdrant server"
        )


def _check_unlocked(folder: Path) -> None:
    """Refuse if a process has the collection in `folder` open."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover  # Windows, where open files can't be deleted anyway
        return
    with refusals(f"deleting {folder}"):
        descriptor = os.open(folder / _LOG, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClientError(f"deleting {folder} failed: another process or EdgeClient has the collection open") from error
        finally:
            os.close(descriptor)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


_OPEN: Final[WeakSet[Shard]] = WeakSet()


def _abandon_all() -> None:  # pragma: no cover  # likewise
    for shard in list(_OPEN):
        shard.abandon()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_abandon_all)
