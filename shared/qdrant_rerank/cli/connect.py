"""From options to a Qdrant client. The API key comes from the environment, goes to the client, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from .. import QdrantRerankError, Retries
from .._internals import (
    INGEST,
    NO_RETRIES,
    Place,
    client_options,
    describe_failures,
    did_you_mean,
    grpc_port_of,
    read_failure,
    timeout_problem,
    whole_seconds,
)
from .options import flags_of, option, refuse_unused
from .output import CommandError


@dataclass(frozen=True)
class CommandRetries:
    """How often requests are made again: by `first`, those that find out whether Qdrant is there; by `rest`, all others.

    The first never are unless asked for, so that a wrong address shows at once; the rest may, in a measurement of an hour.
    """

    first: Retries = NO_RETRIES
    rest: Retries = NO_RETRIES

    @classmethod
    def of(cls, asked: int | None, own: Retries = NO_RETRIES) -> CommandRetries:
        """What `--retries` asks for; without it `own`, the command's."""
        if asked is None:
            return cls(rest=own)
        both = replace(own, most=asked)
        return cls(both, both)


RETRIES: Final = "How often a request is made again, at most, while the server is away, overloaded or asks to wait."


@dataclass(frozen=True)
class Where:
    """Which Qdrant, and which of its collections, as the options say."""

    panel: ClassVar = "Where Qdrant is"
    own_retries: ClassVar[Retries] = NO_RETRIES
    limits_calls: ClassVar[bool] = False
    """Whether `timeout` is a whole call's, and not a request's to a server."""

    edge: Path | None = option(
        "--edge DIR",
        "A folder on disk, for Qdrant's Rust engine inside this process: no server is needed. Brought by the extra edge.",
    )
    path: Path | None = option(
        "--path DIR",
        "A folder on disk, for qdrant-client's local mode inside this process: written in Python, many times slower than "
        "--edge (up to about 20,000 points). BM25 needs the extra edge all the same.",
    )
    url: str | None = option(
        "--url URL",
        "A server, e.g. http://localhost:6333; the environment's QDRANT_URL if no place is given. Its API key is read from "
        "the environment's QDRANT_API_KEY only.",
    )
    prefer_grpc: bool = option(
        "--prefer-grpc", "Speak gRPC to the server instead of REST: up to 1.3 times the searches a second.", False
    )
    grpc_port: int | None = option(
        "--grpc-port PORT",
        "The server's port for gRPC; needed with --prefer-grpc unless the URL's port is 6333, beside which gRPC has 6334.",
        shows="6334 beside 6333",
        min=1,
        max=65535,
    )
    timeout: float | None = option("--timeout SECONDS", "Seconds that a request to the server may take.", shows="5")
    retries: int | None = option("--retries N", RETRIES, shows="0")
    collection: str | None = option("--collection -c NAME", "The collection; may be left out if there is only one.")

    @property
    def policy(self) -> CommandRetries:
        return CommandRetries.of(self.retries, self.own_retries)

    def settle(self) -> Self:
        """This place, with the environment's QDRANT_URL if there is no other."""
        given = {"--edge": self.edge, "--path": self.path, "--url": self.url}
        named = [flag for flag, value in given.items() if value is not None]
        if len(named) > 1:
            raise CommandError(
                f"{' and '.join(named)} exclude each other: --edge is a folder of the Rust engine, --path one of "
                "qdrant-client's local mode, --url a server"
            )
        if self.folder is not None:
            own = ("edge", "path", "url", "collection", *(["timeout"] if self.limits_calls else []))
            refuse_unused(flags_of(self, *own), "that is for servers, and a folder on disk is read without a network")
        if self.grpc_port is not None and not self.prefer_grpc:
            raise CommandError("--grpc-port has no effect without --prefer-grpc")
        if problem := timeout_problem(self.timeout):
            raise CommandError(f"--{problem}")
        if self.folder is not None:
            return self
        url = self.url or os.environ.get("QDRANT_URL")
        if not url:
            raise CommandError(
                "which Qdrant? --edge DIR or --path DIR for a folder on disk, --url URL for a server, or set the "
                "environment's QDRANT_URL"
            )
        if self.prefer_grpc:
            grpc_port_of(url, None, self.grpc_port, "--grpc-port PORT")
        return replace(self, url=url)

    @property
    def folder(self) -> Path | None:
        """The folder, of whichever engine; None for a server."""
        return self.path if self.edge is None else self.edge

    def options(self) -> list[str]:
        """The options that say this again, for suggesting a next command."""
        if self.folder is not None:
            return ["--path" if self.edge is None else "--edge", str(self.folder)]
        port = [] if self.grpc_port is None else ["--grpc-port", str(self.grpc_port)]
        return ["--url", self.shown_url, *(["--prefer-grpc", *port] if self.prefer_grpc else [])]

    @property
    def shown_url(self) -> str:
        """The server's address without a password, should it hold one."""
        start, _, end = str(self.url).rpartition("@")
        return start.partition("//")[0] + "//" + end if "//" in start else end


@dataclass(frozen=True)
class WhereToWrite(Where):
    """A Qdrant that documents are written to."""

    own_retries: ClassVar[Retries] = INGEST

    retries: int | None = option("--retries N", RETRIES, shows="6 for what is written, else 0")


@dataclass(frozen=True)
class WhereToSearch(Where):
    """A Qdrant that each call searches once."""

    limits_calls: ClassVar[bool] = True

    timeout: float | None = option(
        "--timeout SECONDS",
        "Seconds that the whole search may take, with all its requests and what a model reads, e.g. 0.5.",
        shows="5 for each request",
    )


@contextmanager
def connect(where: Where, create: bool = False) -> Generator[QdrantClient, None, None]:
    """Open a client for `where`, and close it at the end; with `create`, of a folder that is empty or not there, too."""
    where = where.settle()
    client = open_remote(where) if where.folder is None else open_folder(where.folder, where.edge is not None, create)
    try:
        yield client
    except QdrantRerankError:
        raise
    except Exception as error:
        failure = read_failure(error)
        if failure.kind == "odd answer":
            raise CommandError(f"what answers at {where.shown_url} isn't Qdrant ({failure.message[:200]})") from error
        if failure.kind != "unreachable" and not isinstance(error, ResponseHandlingException):
            raise
        said = f"{failure.status}: {failure.message}" if failure.status else str(error)
        tried = [note for note in getattr(error, "__notes__", ()) if note.startswith("gave up")]
        raise CommandError(
            f"no answer from Qdrant at {where.shown_url} ({'; '.join([said, *tried])}): is it running there? --edge DIR and "
            f"--path DIR work without a server{'' if tried else ', and --retries N waits for one that starts'}"
        ) from error
    finally:
        client.close()


def open_remote(where: Where) -> QdrantClient:
    """Open a client of the server at `where.url`."""
    options = {
        "url": where.url,
        "api_key": os.environ.get("QDRANT_API_KEY") or None,
        "prefer_grpc": where.prefer_grpc,
        "timeout": whole_seconds(where.timeout),
        "cloud_inference": True,  # what server:MODEL embeds goes to the server as text; qdrant-client would embed it here
    }
    if where.prefer_grpc:
        options["grpc_port"] = grpc_port_of(where.url, None, where.grpc_port, "--grpc-port PORT")
    return QdrantClient(**client_options(options))


def find_collection(client: QdrantClient, name: str | None, policy: CommandRetries) -> str:
    """Find the collection of this name, or the only one."""
    with describe_failures(Place.of(client, ""), "listing the collections"):
        there = sorted(collection.name for collection in policy.first.run(client.get_collections).collections)
    known = ", ".join(there) or "none"
    if name is None:
        if len(there) == 1:
            return there[0]
        raise CommandError(f"which collection? --collection NAME; there are: {known}")
    aliases = () if name in there else policy.rest.run(client.get_aliases).aliases
    if name not in there and all(alias.alias_name != name for alias in aliases):
        raise CommandError(f"there is no collection {name!r}{did_you_mean(name, there)} (there are: {known})")
    return name


_LOCAL = "meta.json"  # what local mode keeps in the folder of a Qdrant
_EDGE = "segments"  # what qdrant-edge keeps in the folder of a collection


def has_edge() -> bool:
    """Whether the Rust engine is installed."""
    return find_spec("qdrant_edge") is not None


def writer_of(folder: Path) -> Literal["local", "edge"] | None:
    """The engine that filled a folder: qdrant-client's local mode, or qdrant-edge; None if neither did."""
    if (folder / _LOCAL).exists():
        return "local"
    if not folder.is_dir():
        return None
    return "edge" if _is_collection(folder) or any(map(_is_collection, folder.iterdir())) else None


def _is_collection(folder: Path) -> bool:
    return (folder / _EDGE).is_dir()


def open_folder(folder: Path, is_edge: bool, create: bool) -> QdrantClient:
    """A client of the engine that `--edge` or `--path` asks for; `create` as of `connect`."""
    flag, other = ("--edge", "--path") if is_edge else ("--path", "--edge")
    found = writer_of(folder)
    if found is None:  # an engine would make a Qdrant wherever it is pointed at
        _check_usable(folder, flag, create)
    elif found != ("edge" if is_edge else "local"):
        writer = "qdrant-edge" if found == "edge" else "qdrant-client's local mode"
        raise CommandError(f"{folder} was written by {writer}: read it with {other} {folder}, or index into another folder")
    if is_edge:
        from ..edge import EdgeClient

        return EdgeClient(folder, collection=folder.name if _is_collection(folder) else None)
    try:
        return QdrantClient(path=str(folder))
    except RuntimeError as error:  # another process has it open
        raise CommandError(f"{folder} can't be opened: {error}") from error


def _check_usable(folder: Path, flag: str, create: bool) -> None:
    if folder.is_file():
        raise CommandError(f"{folder} is a file; {flag} takes a folder")
    if not create:
        what = "holds no Qdrant collections" if folder.exists() else "doesn't exist"
        raise CommandError(f"{folder} {what}: give the folder that qdrant-rerank index CORPUS.jsonl {flag} DIR filled")
    if folder.exists() and any(folder.iterdir()):
        raise CommandError(f"{folder} holds other files and no Qdrant: give an empty folder, or one that doesn't exist yet")
