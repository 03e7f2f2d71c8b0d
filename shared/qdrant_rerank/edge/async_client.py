"""`AsyncEdgeClient`: an `EdgeClient` behind the methods of `qdrant_client.AsyncQdrantClient`."""

from __future__ import annotations

import functools
import inspect
from os import PathLike
from types import TracebackType
from typing import Any, Final, Literal, Self

from qdrant_client import AsyncQdrantClient

from ..errors import ClientError
from ..threads import Workers
from .client import EdgeClient

__all__ = ["AsyncEdgeClient"]


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
