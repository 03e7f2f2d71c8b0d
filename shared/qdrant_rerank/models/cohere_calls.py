"""Calls of Cohere's API by its official SDK: clients made at first use, calls repeated where that may help.

The SDK's own retries are switched off (`max_retries: 0` in each request), so that they don't multiply with those here, which
keep to a time budget.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ..errors import MissingExtra
from ..threads import PerLoop, in_worker
from .api_key import ApiKey, from_environment
from .cohere_retries import Patience, without_key

__all__ = ["CohereCalls", "Options"]

R = TypeVar("R")
Options: TypeAlias = dict[str, Any]
"""The SDK's `request_options`."""


class _Clients:
    """The SDK's clients: one for all threads, and one for each event loop, which its connections belong to."""

    def __init__(self, key: ApiKey, base_url: str | None) -> None:
        self._key, self._base_url = key, base_url
        self._making = threading.Lock()
        self._sync: Any = None
        self._by_loop: PerLoop[Any] = PerLoop()

    def sync(self) -> Any:
        with self._making:
            if self._sync is None:
                self._sync = _sdk().ClientV2(**self._settings())
            return self._sync

    async def asynchronous(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop in self._by_loop:
            return self._by_loop.get(self._made, loop)
        # importing the SDK and reading certificates takes long enough to need a thread
        return await in_worker(lambda: self._by_loop.get(self._made, loop))

    def _made(self) -> Any:
        return _sdk().AsyncClientV2(**self._settings())

    def _settings(self) -> dict[str, Any]:
        # the SDK reads CO_API_URL too, but when it is imported
        url = self._base_url or from_environment("CO_API_URL")
        return {"api_key": self._key.reveal(), "client_name": "qdrant-rerank", "base_url": url}

    def close(self) -> None:
        with self._making:
            client, self._sync = self._sync, None
        if client is not None:
            client.__exit__(None, None, None)

    async def aclose(self) -> None:
        client = self._by_loop.pop()
        if client is not None:
            await client.__aexit__(None, None, None)


@dataclass(frozen=True)
class _Settings:
    key: ApiKey
    base_url: str | None
    attempts: int
    seconds: float
    timeout: float


class CohereCalls:
    """Makes calls with one key at one address. Copies and unpickled ones start with clients of their own.

    Args:
        key: the key.
        base_url: the API's address; if None, CO_API_URL of the environment, read at first use, else Cohere's.
        attempts: how often a call is tried.
        seconds: how long a call may take, with all its attempts and the pauses between them.
        timeout: how long one attempt may wait for the server, in seconds.
    """

    def __init__(self, key: ApiKey, base_url: str | None, attempts: int, seconds: float, timeout: float) -> None:
        self._settings = _Settings(key, base_url, attempts, seconds, timeout)
        self._clients = _Clients(key, base_url)

    def patience(self) -> Patience:
        """A fresh time budget; several requests that answer one call share one."""
        return Patience(self._settings.attempts, time.monotonic() + self._settings.seconds, self._settings.timeout)

    def call(self, patience: Patience, request: Callable[[Any, Options], R]) -> R:
        """The answer to `request`; it is given the client and the request's options.

        Raises:
            cohere.core.ApiError: the API refuses, or goes on failing; a note says how often it was asked.
            httpx.TransportError: it can't be reached or doesn't answer in time.
            StrategyError: there is no key.
            MissingExtra: the `cohere` extra isn't installed.
        """
        client = self._clients.sync()
        try:
            return patience.sync(lambda: request(client, patience.options()))
        except Exception as error:
            without_key(error, self._settings.key.reveal())
            raise

    async def acall(self, patience: Patience, request: Callable[[Any, Options], Awaitable[R]]) -> R:
        """As `call`, for the client of the running event loop."""
        client = await self._clients.asynchronous()
        try:
            return await patience.asynchronous(lambda: request(client, patience.options()))
        except Exception as error:
            without_key(error, self._settings.key.reveal())
            raise

    def close(self) -> None:
        """Close the connections of sync calls; the next call opens new ones."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens new ones."""
        await self._clients.aclose()

    def __reduce__(self) -> tuple[type[CohereCalls], tuple[ApiKey, str | None, int, float, float]]:
        settings = self._settings
        return type(self), (settings.key, settings.base_url, settings.attempts, settings.seconds, settings.timeout)


def _sdk() -> Any:
    try:
        import cohere
    except ModuleNotFoundError as error:
        raise MissingExtra("Cohere", "cohere") from error
    return cohere
