"""From options to a Qdrant client. The API key comes from the environment, goes to the client, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from ..errors import did_you_mean
from .failures import CommandError

__all__ = ["Where", "connected", "the_collection"]

_MARK = "meta.json"  # what local mode keeps in the folder of a Qdrant


@dataclass(frozen=True)
class Where:
    """Which Qdrant, as the options say.

    Attributes:
        path: the folder of an embedded Qdrant.
        url: the address of a server.
        prefer_grpc: whether to speak gRPC to the server.
    """

    path: Path | None = None
    url: str | None = None
    prefer_grpc: bool = False

    def settled(self) -> Where:
        """This place, with the environment's QDRANT_URL if there is no other.

        Raises:
            CommandError: both a folder and a server, or neither.
        """
        if self.path is not None and self.url is not None:
            raise CommandError("--path and --url exclude each other: a folder on disk, or a server")
        if self.path is not None and self.prefer_grpc:
            raise CommandError("--prefer-grpc is for servers: a folder on disk is read without a network")
        url = self.url or os.environ.get("QDRANT_URL")  # a folder that was asked for counts more, see `connected`
        if self.path is None and not url:
            raise CommandError(
                "which Qdrant? --path DIR for a folder on disk, --url URL for a server, or set the environment's QDRANT_URL"
            )
        return Where(self.path, url, self.prefer_grpc)

    def options(self) -> list[str]:
        """The options that say this again, for suggesting a next command."""
        if self.path is not None:
            return ["--path", str(self.path)]
        return ["--url", self.shown_url, *(["--prefer-grpc"] if self.prefer_grpc else [])]

    @property
    def shown_url(self) -> str:
        """The server's address without a password, should it hold one."""
        start, _, end = str(self.url).rpartition("@")
        return start.partition("//")[0] + "//" + end if "//" in start else end


@contextmanager
def connected(where: Where, create: bool = False) -> Generator[QdrantClient, None, None]:
    """A client for `where` (settled), closed at the end.

    Args:
        where: which Qdrant.
        create: whether a folder may be made, or a folder that is empty be used.

    Raises:
        CommandError: there is no Qdrant in the folder, another process has it open, or no server answers.
    """
    client = _local(where.path, create) if where.path is not None else _remote(where)
    try:
        yield client
    except ResponseHandlingException as error:
        raise CommandError(
            f"no answer from Qdrant at {where.shown_url} ({error}): is it running there? --path DIR works without a server"
        ) from error
    finally:
        client.close()


def _local(path: Path, create: bool) -> QdrantClient:
    if not (path / _MARK).exists():  # local mode would make one wherever it is pointed at
        if path.exists() and not path.is_dir():
            raise CommandError(f"{path} is a file; --path takes a folder")
        if not create:
            what = "holds no Qdrant collections" if path.exists() else "doesn't exist"
            raise CommandError(f"{path} {what}: give the folder that qdrant-rerank index CORPUS.jsonl --path DIR filled")
        if path.exists() and any(path.iterdir()):
            raise CommandError(f"{path} holds other files and no Qdrant: give an empty folder, or one that doesn't exist yet")
    try:
        return QdrantClient(path=str(path))
    except RuntimeError as error:  # another process has it open
        raise CommandError(f"{path} can't be opened: {error}") from error


def _remote(where: Where) -> QdrantClient:
    return QdrantClient(
        url=where.url,
        api_key=os.environ.get("QDRANT_API_KEY") or None,
        prefer_grpc=where.prefer_grpc,
        check_compatibility=False,  # it would ask from a thread, and warn instead of failing
        cloud_inference=True,  # what server:MODEL embeds goes to the server as text; qdrant-client would embed it here
    )


def the_collection(client: QdrantClient, name: str | None) -> str:
    """The collection named, or the only one that there is.

    Raises:
        CommandError: there is no such collection, or several and no name.
    """
    there = sorted(collection.name for collection in client.get_collections().collections)
    listed = ", ".join(there) or "none"
    if name is None:
        if len(there) == 1:
            return there[0]
        raise CommandError(f"which collection? --collection NAME; there are: {listed}")
    if name not in there and not _is_alias(client, name):
        raise CommandError(f"there is no collection {name!r}{did_you_mean(name, there)} (there are: {listed})")
    return name


def _is_alias(client: QdrantClient, name: str) -> bool:
    return any(alias.alias_name == name for alias in client.get_aliases().aliases)
