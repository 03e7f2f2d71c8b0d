"""Which Qdrant client a call uses: sync, async, or a sync one in a thread where no other is possible.

An async client belongs to the event loop that it was first used in, so those made here are made for each loop. A client of a
server belongs to the process that made it: a forked child that used its parent's connections could read another's answers, so
it gets a client of its own.

Clients that are made here speak REST over a bounded number of connections, which are kept, and ask for answers that aren't
compressed. qdrant-client keeps connections to every host but this machine, and asks for compressed answers: a server sends
these in two writes, and the second waits some 40 ms for the client's delayed acknowledgement of the first. Whoever passes such
a client is warned, once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet, finalize

import httpx
from qdrant_client import AsyncQdrantClient, QdrantClient

from .capabilities import Engine, engine_of, is_in_process
from .errors import ClientError, warn
from .threads import PerLoop, in_worker

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


class _OfLoop:
    """An async client of the running event loop, closed at the latest when the loop ends.

    Who runs `asyncio.run(retriever.ainvoke(…))` closes nothing, and connections that are kept would outlive their loop. A loop
    closes the async generators that were begun in it before it ends, so that one closes the client.
    """

    def __init__(self, client: AsyncCalls) -> None:
        self.client = client
        self._end: AsyncGenerator[None] | None = None
        if not isinstance(client, _Threaded):
            self._end = self._closing()
            with suppress(StopIteration):  # up to its yield, where it waits for its end
                self._end.__anext__().__await__().__next__()

    async def close(self) -> None:
        """Close the client, unless it is a sync one of somebody's."""
        if self._end is not None:
            await self._end.aclose()

    def begin_close(self) -> None:
        """As `close`, in a task of the loop."""
        self._task = asyncio.get_running_loop().create_task(self.close())

    async def _closing(self) -> AsyncGenerator[None]:
        client: Any = self.client
        try:
            yield
        finally:
            self._end = None  # it refers to its loop
            await client.close()


def _close_all(by_loop: PerLoop[_OfLoop]) -> None:
    """Have each loop close its client, now or when it runs again."""
    for loop, made in by_loop.take_all():
        if not loop.is_closed():
            loop.call_soon_threadsafe(made.begin_close)


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
        self._by_loop: PerLoop[_OfLoop] = PerLoop()
        finalize(self, _close_all, self._by_loop).atexit = False  # who lets go of an executor leaves no connection open
        self._own: dict[int, QdrantClient] = {}  # by process; the parent's stay here, as what is let go of is closed
        self.closed = False  # read by who can't afford a call of `check_open`
        self._is_checked = False
        for each in (client, async_client):
            if each is not None:
                _HOMES.setdefault(each, os.getpid())

    @cached_property
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
        if self.closed:
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
            self._tell_delay(self._client)
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
            self._tell_delay(self._async_client)
            return self._async_client
        return self._by_loop.get(lambda: _OfLoop(self._make())).client

    async def prepare(self) -> None:
        """Make the running loop's client in a thread, where it is made of a sync one: reading certificates takes a while.

        A channel of gRPC belongs to its loop; clients make theirs at the first request.
        """
        if self._async_client is not None or self.engine != "server":
            return
        self.check_open()
        if asyncio.get_running_loop() in self._by_loop:
            return
        made: Any = await in_worker(self._make_beside)
        if self._by_loop.get(lambda: _OfLoop(made)).client is not made:  # another task was sooner
            await made.close()

    def _make_beside(self) -> AsyncCalls:
        """As `_make`, and with what the first request would import."""
        import anyio

        made = self._make()
        anyio.run(anyio.sleep, 0)  # in a loop of its own: httpx imports anyio's half of asyncio where it connects first
        return made

    def _make(self) -> AsyncCalls:
        if isinstance(self._async_client, AsyncQdrantClient):
            return AsyncQdrantClient(**client_options(_options_of(self._async_client)))
        if self._async_client is not None:
            made = self._async_client()
            self._tell_delay(made)
            return made
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

    def _tell_delay(self, client: QdrantClient | AsyncQdrantClient) -> None:
        """Tell once that a client of the user's waits for itself; several executors may share it."""
        if not self._is_checked:
            self._is_checked = True
            if client not in _TOLD and (problem := find_delay(client)) is not None:
                _TOLD.add(client)
                warn(problem)

    def close(self) -> None:
        """Close the clients that were made here, never one that was passed; those of other event loops by these."""
        self.closed = True
        if (own := self._own.pop(os.getpid(), None)) is not None:
            own.close()
        _close_all(self._by_loop)

    async def aclose(self) -> None:
        """As `close`; the client of the running event loop is closed when this returns."""
        made = self._by_loop.pop()
        self.close()
        if made is not None:
            await made.close()


_HOMES: Final[WeakKeyDictionary[object, int]] = WeakKeyDictionary()
"""The process that each client was first seen in, that it belongs to."""

_OF_SYNC: Final = ("transport", "mounts", "event_hooks")
"""What httpx's sync clients take that its async ones can't use."""

_CONNECTED: Final = ("transport", "mounts")
"""What holds connections, which a forked child must not use."""

_CONNECTIONS: Final = 16  # of more httpx is the slower: 32 kept ones that are all used answer half as many searches a second
_IDLE: Final = 2.0
"""Seconds after which a connection without work is closed here. Servers close theirs after 5, and httpx's default is 5, too:
a request that is sent at that moment finds its connection closed ("Server disconnected without sending a response")."""

_TOLD: Final[WeakSet[object]] = WeakSet()
"""Clients whose user was warned of their delay."""

_RECONNECT: Final = {"grpc.max_reconnect_backoff_ms": 2_000}
"""After an outage of 50 s gRPC would wait 18 s more by itself, as its pauses grow."""


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

    All carry over. Its first query reads the server's version anyway, so that it isn't asked for at once from a thread. Over
    REST it keeps its connections, bounds their number, and asks for answers without compression; options that are given win.
    """
    # qdrant-client writes its own name into the options that it is given, and warns of a name that is there
    grpc = {name: value for name, value in (options.get("grpc_options") or {}).items() if name != "grpc.primary_user_agent"}
    return {**options, **_rest_options(options), "check_compatibility": False, "grpc_options": {**_RECONNECT, **grpc}}


def _rest_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of a client that searches over REST leave open."""
    chosen: dict[str, Any] = {}
    if is_in_process(options) or options.get("prefer_grpc"):  # headers would be gRPC's metadata, too
        return chosen
    if not _names_encoding(options):
        chosen["headers"] = {**(options.get("headers") or {}), "accept-encoding": "identity"}
    if options.get("limits") is None and options.get("pool_size") is None:  # of which qdrant-client takes one
        chosen["limits"] = httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_IDLE
        )
    return chosen


def find_delay(client: object) -> str | None:
    """Why each answer with payload comes some 40 ms late to a client, and the line that mends it; None if none does.

    Found in its options: over HTTP it keeps its connections and asks for compressed answers. Over TLS nothing waits.
    """
    options = getattr(client, "init_options", None)
    if not isinstance(options, dict) or engine_of(client) != "server":
        return None
    if options.get("prefer_grpc") or options.get("transport") is not None or _names_encoding(options):
        return None
    place = str(options.get("url") or options.get("location") or options.get("host") or "")
    parts = urlsplit(place if "//" in place else f"//{place}")
    host, limits = parts.hostname or "localhost", options.get("limits")
    encrypted = parts.scheme == "https" if parts.scheme else options.get("https") or bool(options.get("api_key"))
    keeps = host not in ("localhost", "127.0.0.1") if limits is None else limits.max_keepalive_connections != 0
    if encrypted or not keeps:
        return None
    name, more = type(client).__name__, "**your headers, " if options.get("headers") else ""
    return (
        f"each answer with payload comes some 40 ms late: this {name} keeps its connections to {host} and asks for compressed "
        "answers, whose second half waits for the acknowledgement of the first. "
        f'Make it {name}(…, headers={{{more}"accept-encoding": "identity"}}), or have it speak gRPC: prefer_grpc=True'
    )


def _names_encoding(options: Mapping[str, Any]) -> bool:
    """Whether the user says how answers may be compressed."""
    return any(name.lower() == "accept-encoding" for part in ("headers", "metadata") for name in options.get(part) or ())


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


@contextmanager
def close_on_error(client: QdrantClient) -> Generator[QdrantClient]:
    """Gives the client, and closes it if what was to use it can't be made: it would keep its folder locked."""
    try:
        yield client
    except BaseException:
        client.close()
        raise
