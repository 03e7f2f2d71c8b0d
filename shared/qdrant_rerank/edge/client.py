"""`EdgeClient` and `AsyncEdgeClient`: the embedded Rust engine behind the methods of qdrant-client's two clients."""

from __future__ import annotations

import functools
import inspect
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from qdrant_client import AsyncQdrantClient, QdrantClient, models

from ..errors import ClientError
from ..threads import Workers
from .binding import VERSION
from .reading import Reading
from .shards import Folder

__all__ = ["AsyncEdgeClient", "EdgeClient"]

_LOCAL_MODE: Final = "meta.json"  # what qdrant-client's local mode keeps in its folder


class EdgeClient(Reading):
    """Qdrant's Rust engine in this process, over a folder: a `QdrantClient` that needs no server.

        client = EdgeClient("qdrant")            # qdrant/docs/ is the collection "docs", qdrant/faq/ another
        executor = Executor(client, "docs", encoders=…)

    A collection is opened when it is first used, and kept open until `close()`. It has one owner: opening it a second
    time, in this process or another, is a `ClientError`, and so is any call in a process that was forked from the owner.
    Every change is in a write-ahead log when its call returns, and survives a crash of the process; what the log couldn't be
    read again with, and what the disk may have no room for (64 MB stay free), is refused. Many threads may share a client; the
    engine works for one at a time. A copy is the client itself.

    Methods that the engine has no means for, and arguments that it can't honour, raise `ClientError` and say which; what
    the engine itself refuses is an `EngineError`. Formulas are translated once for each `models.FormulaQuery` object:
    make a new one rather than change one that was used.

    Args:
        path: the folder, made with the first collection.
        collection: the path itself is this one collection, e.g. a shard that another program made, or a snapshot.
    """

    engine: Final[Literal["edge"]] = "edge"

    def __init__(self, path: str | PathLike[str], *, collection: str | None = None) -> None:
        if path == ":memory:":
            raise ClientError(
                "qdrant-edge keeps its data in a folder: pass one, e.g. tempfile.mkdtemp(), instead of ':memory:'"
            )
        self._folder = Folder(Path(path), collection)
        if self._folder.path.exists() and not self._folder.path.is_dir():
            raise ClientError(f"{self._folder.path} is a file; an EdgeClient takes a folder")
        if (self._folder.path / _LOCAL_MODE).exists():
            raise ClientError(
                f"{self._folder.path} was written by qdrant-client's local mode, which qdrant-edge can't read: "
                "QdrantClient(path=…) can; or fill another folder"
            )

    def __repr__(self) -> str:
        only = "" if self._folder.only is None else f", collection={self._folder.only!r}"
        return f"EdgeClient({str(self._folder.path)!r}{only})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # a forked process leaves the block with nothing of its own to close (tests/edge/test_fork.py has one)
        if not self._folder.is_foreign:  # pragma: no branch
            self.close()

    def __del__(self) -> None:
        if hasattr(self, "_folder") and not self._folder.is_foreign:  # else the constructor failed, or this is a forked process
            self.close()

    def __copy__(self) -> Self:
        return self  # a folder has one owner; a second client that closes it would close it for both

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Any:
        raise ClientError(
            f"an EdgeClient can't be pickled, nor sent to another process: {self._folder.path} has one owner. Send the path, "
            "and make an EdgeClient there once this one is closed; or use a Qdrant server"
        )

    def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        """Write out what is pending and let go of the folder; a second call does nothing.

        Raises:
            ClientError: this is a forked process, to which the folder doesn't belong.
            EngineError: what is pending can't be written.
        """
        self._folder.close()

    def info(self) -> models.VersionInfo:
        """The version of Qdrant that the engine counts as."""
        self._folder.check_process()
        return models.VersionInfo(title="qdrant-edge", version=VERSION)


def _refusing(name: str) -> Any:
    def method(self: EdgeClient, *args: Any, **kwargs: Any) -> Any:
        raise ClientError(f"EdgeClient has no {name}: it has the calls that this package makes. Use a Qdrant server")

    method.__name__ = name
    method.__doc__ = "Not there: raises `ClientError`."
    return method


def _refuse_the_rest() -> None:
    """Replace what would run `QdrantClient`'s own code, which needs a connection that there isn't."""
    own = {name for kind in EdgeClient.__mro__[: EdgeClient.__mro__.index(QdrantClient)] for name in vars(kind)}
    for name in dir(QdrantClient):
        if not name.startswith("_") and name not in own and callable(getattr(QdrantClient, name)):
            setattr(EdgeClient, name, _refusing(name))


_refuse_the_rest()


class AsyncEdgeClient(AsyncQdrantClient):
    """An `EdgeClient` whose calls are awaited: for what takes an `AsyncQdrantClient`, such as LlamaIndex's `aclient=`.

        client = EdgeClient("qdrant")
        store = QdrantVectorStore("docs", client=client, aclient=AsyncEdgeClient(client))

    Calls run one after the other in one thread of its own, from any event loop. The engine holds Python's lock while it works,
    so that an event loop gets its turn between calls, not within one. A call that is cancelled while it runs is done all the
    same.

    Args:
        client: an `EdgeClient`, which stays open and its owner's; or the folder of one that is made, and closed with this.
        collection: as `EdgeClient`'s, with a folder.
    """

    engine: Final[Literal["edge"]] = "edge"
    _client: Any  # an EdgeClient; the base class knows its own

    def __init__(self, client: EdgeClient | str | PathLike[str], *, collection: str | None = None) -> None:
        self._is_owner = not isinstance(client, EdgeClient)
        if isinstance(client, EdgeClient):
            if collection is not None:
                raise ClientError("collection= goes with a folder; this is an EdgeClient, which has its own")
            self._client = client
        else:
            self._client = EdgeClient(client, collection=collection)
        self._workers = Workers(1, "qdrant-edge")
        self._closed = False

    def __repr__(self) -> str:
        return f"AsyncEdgeClient({self._client!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Any:
        return self._client.__reduce__()

    async def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        """Let go of the thread, and of the folder if this made the client; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._is_owner:
                await self._workers.acall(self._client.close)
        finally:
            self._workers.close()

    def upload_points(self, *args: Any, **kwargs: Any) -> None:
        """As `EdgeClient.upload_points`, at once: it isn't awaited in `AsyncQdrantClient` either."""
        self._client.upload_points(*args, **kwargs)

    def upload_collection(self, *args: Any, **kwargs: Any) -> None:
        """As `EdgeClient.upload_collection`, at once: it isn't awaited in `AsyncQdrantClient` either."""
        self._client.upload_collection(*args, **kwargs)

    async def _call(self, name: str, args: Any, kwargs: Any) -> Any:
        if self._closed:
            raise ClientError(f"{self!r} is closed: make a new one")
        return await self._workers.acall(functools.partial(getattr(self._client, name), *args, **kwargs))


def _awaited(name: str) -> Any:
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._call(name, args, kwargs)

    method.__name__ = name
    method.__doc__ = f"As `EdgeClient.{name}`."
    return method


def _passed_on(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._client, name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As `EdgeClient.{name}`."
    return method


def _hand_on_the_rest() -> None:
    """Give the class what `EdgeClient` has, and what it refuses."""
    for name in dir(EdgeClient):
        if name.startswith("_") or name in vars(AsyncEdgeClient) or not callable(getattr(EdgeClient, name)):
            continue
        theirs = getattr(AsyncQdrantClient, name, None)
        plain = theirs is not None and not inspect.iscoroutinefunction(theirs)
        setattr(AsyncEdgeClient, name, _passed_on(name) if plain else _awaited(name))


_hand_on_the_rest()
