"""Which Qdrant client a call uses: sync, async, or a sync one in a thread where no other is possible.

An async client belongs to the event loop that it was first used in, so those made here are made for each loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast, get_args

from qdrant_client import AsyncQdrantClient, QdrantClient

from .capabilities import Engine
from .errors import ClientError
from .loops import PerLoop
from .threads import in_worker

__all__ = ["AsyncClientLike", "AsyncCalls", "Clients", "engine_of", "kept_open"]

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

    @property
    def engine(self) -> Engine:
        """What these clients speak to."""
        return engine_of(self._client if self._client is not None else self._async_client)

    def sync(self) -> QdrantClient:
        """The client for a sync call.

        Raises:
            ClientError: there is only an async one.
        """
        if self._client is None:
            raise ClientError(
                "a sync call, but there is only an async client: await the async method (ainvoke, aretrieve, …), "
                "or pass client=QdrantClient(…) as well"
            )
        return self._client

    def asynchronous(self) -> AsyncCalls:
        """The client for an async call in the running event loop."""
        if isinstance(self._async_client, AsyncQdrantClient):
            return self._async_client
        return self._by_loop.get(self._make)

    def _make(self) -> AsyncCalls:
        if self._async_client is not None:
            assert not isinstance(self._async_client, AsyncQdrantClient)
            return self._async_client()
        assert self._client is not None
        if self.engine != "server":
            return cast(AsyncCalls, _Threaded(self._client))
        options: Any = {**self._client.init_options, "check_compatibility": False}
        return AsyncQdrantClient(**options)


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
