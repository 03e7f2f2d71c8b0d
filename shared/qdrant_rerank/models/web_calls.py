"""Calls of a paid service: its key, which nothing shows; its clients, made at first use; and when a call is made again.

The SDK's own retries are off (`max_retries: 0` in each request): they would multiply those here, which keep to a time budget.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from .._lazy import load_extra
from ..calls import Policy
from ..errors import StrategyError
from ..steps import adrive, drive
from ..threads import PerLoop, in_worker


class HasSecret(Protocol):
    """Holds a secret as pydantic's `SecretStr` does."""

    def get_secret_value(self) -> str: ...


ApiKeyLike: TypeAlias = "str | HasSecret | None"
"""A key, a `SecretStr` (or anything with `get_secret_value`), or None for the environment's, read at first use."""


class ApiKey:
    """A key, or where in the environment it is. Pickling keeps no key: an unpickled one reads the environment.

    Of the environment's `variables`, which each `reveal` reads, the first that is set counts.

    Raises StrategyError: the key is empty or has characters that no HTTP header can carry; it isn't shown.
    """

    __slots__ = ("_value", "_variables")

    def __init__(self, value: ApiKeyLike = None, variables: tuple[str, ...] = ()) -> None:
        self._variables = variables
        plain = value if isinstance(value, str | None) else value.get_secret_value()
        self._value = None if plain is None else _clean(plain, "api_key=")

    @classmethod
    def of(cls, value: ApiKeyLike, variables: tuple[str, ...]) -> ApiKey:
        """The key itself, or a new one."""
        return value if isinstance(value, ApiKey) else cls(value, variables)

    def reveal(self) -> str:
        """The key. Raises StrategyError: there is none."""
        if self._value is not None:
            return self._value
        for variable in self._variables:
            if found := from_environment(variable):
                return _clean(found, f"the environment variable {variable}")
        listed = " or ".join(self._variables)
        raise StrategyError(f"no API key: pass api_key=…, or set {listed} in the environment (an unpickled model keeps no key)")

    get_secret_value = reveal

    def __repr__(self) -> str:
        return "ApiKey('***')" if self._value is not None else "ApiKey()"

    def __copy__(self, memo: object = None) -> ApiKey:
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> tuple[type[ApiKey], tuple[None, tuple[str, ...]]]:
        return type(self), (None, self._variables)


def from_environment(variable: str) -> str | None:
    """The value of an environment's variable now; None if it is unset or empty. Nothing else here reads any."""
    return os.environ.get(variable) or None


def _clean(value: str, source: str) -> str:
    key = value.strip()  # keys read from files end in a newline
    if not key:
        raise StrategyError(f"{source} holds an empty API key: leave it out to use the environment's, or pass the key")
    if not all("!" <= character <= "~" for character in key):  # an HTTP library's own complaint would show the key
        raise StrategyError(f"{source} is no API key: it has spaces, control or non-ASCII characters ({len(key)} characters)")
    return key


R = TypeVar("R")

_REPEATED: Final = {408, 429, 500, 502, 503, 504, 529}
_SHORTEST_KEY: Final = 8  # shorter ones are in many words
_LEAST_TIMEOUT: Final = 0.001  # what is left of an exhausted budget: enough for the request to fail by a timeout


@dataclass(frozen=True)
class Patience:
    """How long and how often one call is tried.

    408, 429, 500, 502, 503, 504 and 529, timeouts, and connections that fail or break off are tried again. The pause is what
    `Retry-After` asks for, else random between 0 and 0.5, 1, 2, … up to 8 seconds. Where it would outlast the budget, the
    error is raised at once. `until` is the end of the budget, by `time.monotonic`.
    """

    attempts: int
    until: float
    timeout: float

    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    def options(self) -> dict[str, Any]:
        """The SDK's options for the next attempt."""
        left = max(_LEAST_TIMEOUT, min(self.timeout, self.seconds_left()))
        return {"max_retries": 0, "timeout_in_seconds": left}  # `timeout` would need a newer SDK

    def sync(self, request: Callable[[], R]) -> R:
        """The answer, or the last attempt's error; a server that sends its answer drop by drop can outlast the budget."""
        return self._policy.run(request)

    async def asynchronous(self, request: Callable[[], Awaitable[R]]) -> R:
        """The answer, or the last attempt's error; never outlasts the budget."""
        deadline = asyncio.timeout(max(0.0, self.seconds_left()))
        try:
            async with deadline:
                return await self._policy.arun(request)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            import httpx

            raise httpx.ReadTimeout("no answer within the time budget (seconds=)") from error

    @property
    def _policy(self) -> Policy:
        return Policy(
            calls=self.attempts, left=self.seconds_left, passes=worth_repeating, wait=_read_wait, note=_note, sure=0.0
        )


def worth_repeating(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    import httpx

    hopeless = isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.ProxyError)
    return getattr(error, "status_code", None) in _REPEATED or (isinstance(error, httpx.TransportError) and not hopeless)


def _read_wait(error: BaseException) -> float | None:
    return retry_after(getattr(error, "headers", None) or {})


def retry_after(headers: dict[str, str]) -> float | None:
    """The seconds that a response asks to wait, as a number or a date; None if it doesn't."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return max(0.0, seconds) if seconds < float("inf") else None


def _note(error: BaseException, attempts: int, seconds: float, pause: float) -> str:
    spent = f"{attempts} attempts in {seconds:.1f} s"
    if getattr(error, "status_code", None) is not None and pause:
        spent += f"; the next would have been {pause:.1f} s later"
    return f"gave up after {spent} (attempts= and seconds= set the limits)"


def without_key(error: Exception, key: str) -> None:
    """Take the key out of an error: a server may repeat it in its answer."""
    if len(key) < _SHORTEST_KEY or key not in str(error):
        return
    error.args = tuple(_hide_key(value, key) for value in error.args)
    for name in ("body", "headers"):
        if hasattr(error, name):
            setattr(error, name, _hide_key(getattr(error, name), key))


def _hide_key(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace(key, "***")
    if isinstance(value, dict):
        return {name: _hide_key(item, key) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide_key(item, key) for item in value]
    return value


Options: TypeAlias = dict[str, Any]
"""The SDK's `request_options`."""
Request: TypeAlias = tuple[Patience, Callable[[Any, Options], Any]]
"""A budget, and a request within it, which takes the client and its options."""
Requests: TypeAlias = Generator[Request, Any, R]
"""Yields requests, is sent the answers, and returns what they amount to."""


class CohereCalls:
    """Makes calls with one key at one address, by one client for all threads and one for each event loop.

    Copies and unpickled ones have clients of their own. The settings are those of `CohereReranker`.
    """

    def __init__(self, key: ApiKey, base_url: str | None, attempts: int, seconds: float, timeout: float) -> None:
        self._key, self._base_url = key, base_url
        self._attempts, self._seconds, self._timeout = attempts, seconds, timeout
        self._making = threading.Lock()
        self._client: Any = None
        self._by_loop: PerLoop[Any] = PerLoop()

    def patience(self) -> Patience:
        """A fresh time budget, for all requests that answer one call."""
        return Patience(self._attempts, time.monotonic() + self._seconds, self._timeout)

    def run(self, requests: Requests[R]) -> R:
        """What the answers to all requests amount to.

        Raises cohere.core.ApiError: the API refuses, or goes on failing; a note says how often it was asked. Raises
        httpx.TransportError: it can't be reached or doesn't answer in time. Raises StrategyError: there is no key. Raises
        MissingExtra: the `cohere` extra isn't installed.
        """
        return drive(requests, self._call)

    async def arun(self, requests: Requests[R]) -> R:
        """As `run`, for the client of the running event loop."""
        return await adrive(requests, self._acall)

    def _call(self, asked: Request) -> Any:
        patience, request = asked
        with self._making:
            if self._client is None:
                self._client = self._make("ClientV2")
            client = self._client
        with self._without_key():
            return patience.sync(lambda: request(client, patience.options()))

    async def _acall(self, asked: Request) -> Any:
        patience, request = asked
        loop = asyncio.get_running_loop()
        get = partial(self._by_loop.get, partial(self._make, "AsyncClientV2"), loop)
        # importing the SDK and reading certificates takes long enough to need a thread
        client = get() if loop in self._by_loop else await in_worker(get)
        with self._without_key():
            return await patience.asynchronous(lambda: request(client, patience.options()))

    def close(self) -> None:
        """Close the connections of sync calls; the next call opens new ones."""
        with self._making:
            client, self._client = self._client, None
        if client is not None:
            client.__exit__(None, None, None)

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens new ones."""
        client = self._by_loop.pop()
        if client is not None:
            await client.__aexit__(None, None, None)

    def _make(self, kind: str) -> Any:
        cohere = load_extra("cohere", "Cohere", "cohere")
        # the SDK reads CO_API_URL too, but when it is imported
        url = self._base_url or from_environment("CO_API_URL")
        return getattr(cohere, kind)(api_key=self._key.reveal(), client_name="qdrant-rerank", base_url=url)

    @contextmanager
    def _without_key(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            without_key(error, self._key.reveal())
            raise

    def __reduce__(self) -> tuple[type[CohereCalls], tuple[ApiKey, str | None, int, float, float]]:
        return type(self), (self._key, self._base_url, self._attempts, self._seconds, self._timeout)
