"""`EdgeClient`: the embedded Rust engine behind the methods of `qdrant_client.QdrantClient`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from qdrant_client import QdrantClient, models

from ..errors import ClientError
from .binding import VERSION
from .reading import Reading
from .shards import Folder

__all__ = ["EdgeClient"]

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
