"""Which Qdrant client a call uses: sync, async, or a sync one in a thread where no other is possible.

An async client belongs to the event loop that it was first used in, so those made here are made for each loop. A client of a
server belongs to the process that made it: a forked child that used its parent's connections could read another's answers, so
it gets a client of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias, cast, get_args
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from qdrant_client import AsyncQdrantClient, QdrantClient

from .capabilities import Engine
from .errors import ClientError
from .threads import PerLoop, in_worker

__all__ = ["AsyncCalls", "AsyncClientLike", "Clients", "client_options", "engine_of", "grpc_port_of", "kept_open"]

AsyncClientLike: TypeAlias = "AsyncQdrantClient | Callable[[], AsyncQdrantClient]"
"""An async client, or a function that makes one; a function is called once for each event loop."""


class AsyncCalls(Protocol):
    """The calls of an async client that this package makes."""

    async def query_batch_points(self, collection_name: str, requests: Any, **options: Any) -> Any: ...
    async def query_points(self, collection_name: str, **request: Any) -> Any: ...
    async def query_points_groups(self, collection_name: str, group_by: str, **request: Any) -> Any: ...
    async def get_collection(self, collection_name: str) -> Any: ...
    async def get_collections(self) -> Any: ...
    async def info(self) -> Any: ...


class _Threaded:
    """A sync client's calls as coroutines, each in a worker thread: for local mode, which has no network to await."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await in_worker(lambda: method(*args, **kwargs))

        return call


class Clients:
    """The clients for one Qdrant.

    Args:
        client: for sync calls; async ones too, if there is no other: a client of the same server is made from its
            options, and local mode (`:memory:`, `path=`) is called in a thread.
        async_client: for async calls; an instance, or a function that makes one for each event loop.
    """

    def __init__(self, client: QdrantClient | None, async_client: AsyncClientLike | None = None) -> None:
        if client is None and async_client is None:
            raise ClientError("a Qdrant client is needed: pass client=QdrantClient(…), or async_client=AsyncQdrantClient(…)")
        if isinstance(client, AsyncQdrantClient):
            raise ClientError("client= takes a QdrantClient; this is an AsyncQdrantClient: pass it as async_client=")
        if isinstance(async_client, QdrantClient):
            raise ClientError("async_client= takes an AsyncQdrantClient; this is a QdrantClient: pass it as client=")
        self._client = client
        self._async_client = async_client
        self._by_loop: PerLoop[AsyncCalls] = PerLoop()
        self._own: dict[int, QdrantClient] = {}  # by process; the parent's stay here, as what is let go of is closed
        self._closed = False
        for each in (client, async_client):
            if each is not None:
                _HOMES.setdefault(each, os.getpid())

    @property
    def engine(self) -> Engine:
        """What these clients speak to."""
        return engine_of(self._client if self._client is not None else self._async_client)

    @property
    def grpc(self) -> bool:
        """Whether some of these clients send searches over gRPC, as far as that is known before they are made."""
        return any(getattr(client, "init_options", {}).get("prefer_grpc") for client in (self._client, self._async_client))

    def check_open(self) -> None:
        """Refuse calls after `close` or `aclose`.

        Raises:
            ClientError: it is closed.
        """
        if self._closed:
            raise ClientError("this is closed: nothing can be asked after close() or aclose(); make another")

    def sync(self) -> QdrantClient:
        """The client for a sync call.

        Raises:
            ClientError: there is only an async one; it is closed; or the process was forked, and no other can be made.
        """
        self.check_open()
        if self._client is None:
            raise ClientError(
                "a sync call, but there is only an async client: await the async method (ainvoke, aretrieve, …), "
                "or pass client=QdrantClient(…) as well"
            )
        if not _is_forked(self._client):
            return self._client
        made = self._own.get(os.getpid())
        return made or self._own.setdefault(os.getpid(), QdrantClient(**client_options(_options_of(self._client))))

    def asynchronous(self) -> AsyncCalls:
        """The client for an async call in the running event loop.

        Raises:
            ClientError: it is closed; or no client can be made of the options of the one that there is.
        """
        self.check_open()
        if isinstance(self._async_client, AsyncQdrantClient) and not _is_forked(self._async_client):
            return self._async_client
        return self._by_loop.get(self._make)

    def _make(self) -> AsyncCalls:
        if isinstance(self._async_client, AsyncQdrantClient):
            return AsyncQdrantClient(**client_options(_options_of(self._async_client)))
        if self._async_client is not None:
            return self._async_client()
        assert self._client is not None
        if self.engine != "server":
            return cast(AsyncCalls, _Threaded(self._client))
        options = client_options(_options_of(self._client))
        if own := [name for name in _OF_SYNC if options.get(name) is not None]:
            raise ClientError(
                f"async calls make a client of their own from the sync client's options, but its {', '.join(own)} can't be "
                "awaited: pass async_client=AsyncQdrantClient(…) as well"
            )
        return AsyncQdrantClient(**options)

    def close(self) -> None:
        """Close the clients that were made here, never one that was passed; those of other event loops by these."""
        self._closed = True
        if (own := self._own.pop(os.getpid(), None)) is not None:
            own.close()
        for loop, client in self._by_loop.take_all():
            if not isinstance(client, _Threaded) and loop.is_running():
                asyncio.run_coroutine_threadsafe(_closed(client), loop)

    async def aclose(self) -> None:
        """As `close`; the client of the running event loop is closed when this returns."""
        client = self._by_loop.pop()
        self.close()
        if client is not None and not isinstance(client, _Threaded):
            await _closed(client)


_HOMES: Final[WeakKeyDictionary[object, int]] = WeakKeyDictionary()
"""The process that each client was first seen in, that it belongs to."""

_OF_SYNC: Final = ("transport", "mounts", "event_hooks")
"""What httpx's sync clients take that its async ones can't use."""

_CONNECTED: Final = ("transport", "mounts")
"""What holds connections, which a forked child must not use."""

_RECONNECT: Final = {"grpc.max_reconnect_backoff_ms": 2_000}
"""After an outage of 50 s gRPC would wait 18 s more by itself, as its pauses grow."""


async def _closed(client: Any) -> None:
    await client.close()


def _is_forked(client: object) -> bool:
    """Whether a client belongs to a process that this one was forked from; an engine in process has no connection to share."""
    return _HOMES.get(client, os.getpid()) != os.getpid() and engine_of(client) == "server"


def _options_of(client: Any) -> Mapping[str, Any]:
    """The options that another client like this one can be made of."""
    options = getattr(client, "init_options", None)
    if isinstance(options, dict) and not (_is_forked(client) and any(options.get(name) is not None for name in _CONNECTED)):
        return options
    raise ClientError(
        f"this {type(client).__name__} belongs to another process or event loop, and another can't be made of its options: "
        "make one here, where it is used, and pass it"
    )


def client_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a client that is made here, of those that a user gave or that another client was made with.

    All carry over. Its first query reads the server's version anyway, so that it isn't asked for at once from a thread.
    """
    # qdrant-client writes its own name into the options that it is given, and warns of a name that is there
    grpc = {name: value for name, value in (options.get("grpc_options") or {}).items() if name != "grpc.primary_user_agent"}
    return {**options, "check_compatibility": False, "grpc_options": {**_RECONNECT, **grpc}}


def grpc_port_of(url: str | None, port: int | None, grpc_port: int | None, option: str = "grpc_port=…") -> int:
    """The port for gRPC on the server that a URL names; nothing is asked, as the question would carry the key.

    Args:
        url: the server's URL or host; None for this machine.
        port: the port for REST, where the URL has none.
        grpc_port: what the user says.
        option: how the user says it, for the message.

    Raises:
        ClientError: it isn't said, and REST isn't at 6333, so that it may be anywhere: 6334 may be another server's.
    """
    if grpc_port is not None:
        return grpc_port
    rest = urlsplit(url if "//" in (url or "") else f"//{url or ''}").port or port or 6333
    if rest == 6333:
        return 6334
    raise ClientError(
        f"which port does gRPC have? It is 6334 where REST has 6333, but this server's REST has {rest}, and 6334 may be "
        f"another server's: give it by {option}"
    )


def engine_of(client: object) -> Engine:
    """Whether a client speaks to a server, is qdrant-client's local mode, or an engine in process that says so itself."""
    engine = getattr(client, "engine", None)
    if engine in get_args(Engine):
        return cast(Engine, engine)
    options = getattr(client, "init_options", None)
    if not isinstance(options, dict):
        return "server"
    return "local" if options.get("location") == ":memory:" or options.get("path") else "server"


@contextmanager
def kept_open(client: QdrantClient) -> Generator[QdrantClient]:
    """Gives the client, and closes it if what was to use it can't be made: it would keep its folder locked."""
    try:
        yield client
    except BaseException:
        client.close()
        raise
