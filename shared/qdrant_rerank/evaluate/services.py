"""What answers the steps of a measurement: an executor whose searches are made again when they fail in passing.

A failure that isn't made again would count as a topic without results: a rate limit once turned an nDCG of .171 into .022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .. import AsyncExecutor, Executor, Retries
from .._internals import Deadline, Left, Points, Search, Vectors, read_failure

__all__ = ["MEASURING", "AsyncRetryingServices", "RetryingServices", "stops"]

MEASURING: Final = Retries(12, longest_pause=15.0, seconds=300.0)
"""For measurements: a rate limit of so many requests a minute, and a server that starts again, are waited for."""


def stops(error: BaseException) -> bool:
    """Whether the failure is the server's or the way to it, so that going on would leave out or zero what could be found."""
    return read_failure(error).kind in ("rate limit", "timeout", "unreachable", "passing", "unauthorized", "forbidden")


@dataclass
class RetryingServices:
    """`executor`, with searches made again by `retries`.

    Attributes:
        executor: answers.
        retries: how often a search is made again, and how long all of it may take.
        failures: how many searches failed, so that times which hold pauses can be told from others.
    """

    executor: Executor
    retries: Retries = MEASURING
    failures: int = 0

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        """As the executor does."""
        return self.executor.embed(texts, using)

    def search(self, step: Search) -> list[Points]:
        """As the executor does, made again after passing failures."""

        def once() -> list[Points]:
            try:
                return self.executor.search(step)
            except Exception:
                self.failures += 1
                raise

        return self.retries.run(once, _time_left())

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """As the executor does; models have retries of their own."""
        return self.executor.score(query, texts)


@dataclass
class AsyncRetryingServices:
    """`RetryingServices` for an async executor."""

    executor: AsyncExecutor
    retries: Retries = MEASURING
    failures: int = 0

    async def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        """As the executor does."""
        return await self.executor.embed(texts, using)

    async def search(self, step: Search) -> list[Points]:
        """As the executor does, made again after passing failures."""

        async def once() -> list[Points]:
            try:
                return await self.executor.search(step)
            except Exception:
                self.failures += 1
                raise

        return await self.retries.arun(once, _time_left())

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """As the executor does; models have retries of their own."""
        return await self.executor.score(query, texts)


def _time_left() -> Left | None:
    """What is left of the call's time, so that no pause is begun which would outlast it."""
    deadline = Deadline.current()
    return None if deadline is None else deadline.left
