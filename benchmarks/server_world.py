"""A collection on a server to measure with, and contenders that take turns: what the benchmarks of servers share.

Points of a fixed seed: a dense vector of 384 numbers, a text of 1 kB and numbers as payload. The collection's name begins with
`bench_`, and it is deleted at the end.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
import time
from argparse import ArgumentParser
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException

__all__ = ["DIMENSIONS", "Rate", "busy", "collection", "median_times", "parser", "rates", "thread_rates", "vectors"]

DIMENSIONS = 384
_TEXT = "an abstract of some words that a search gives back " * 20


def parser(doc: str, points: int = 20_000) -> ArgumentParser:
    """The arguments that all of them take."""
    made = ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--url", default=os.environ.get("QDRANT_URL", "http://127.0.0.1:6333"), help="the server's REST address")
    made.add_argument("--grpc-port", type=int, default=int(os.environ.get("QDRANT_GRPC_PORT", "6334")))
    made.add_argument("--points", type=int, default=points)
    return made


def vectors(count: int, seed: int) -> list[list[float]]:
    """Random query vectors."""
    made: list[list[float]] = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32).tolist()
    return made


@contextmanager
def collection(url: str, points: int, fields: int = 0, indexed: bool = False, name: str = "bench_w") -> Iterator[str]:
    """The name of a collection that is there until the end: `text`, and numbers `x0`, `x1`, … as payload."""
    client = QdrantClient(url=url, check_compatibility=False, timeout=120, headers={"accept-encoding": "identity"})
    name = f"{name}_{os.getpid()}"
    client.create_collection(name, models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE))
    try:
        if indexed:
            for number in range(fields):
                client.create_payload_index(name, f"x{number}", models.PayloadSchemaType.FLOAT)
        numbers = np.random.default_rng(4).normal(size=(points, max(fields, 1)))
        values = np.random.default_rng(2).normal(size=(points, DIMENSIONS)).astype(np.float32)
        for start in range(0, points, 500):
            ids: list[models.ExtendedPointId] = list(range(start, min(start + 500, points)))
            payloads = [
                {"text": _TEXT, **{f"x{k}": float(numbers[i, k]) for k in range(fields)}}
                for i in range(start, start + len(ids))
            ]
            client.upsert(name, models.Batch(ids=ids, vectors=values[start : start + 500].tolist(), payloads=payloads))
        while client.get_collection(name).status != models.CollectionStatus.GREEN:
            time.sleep(0.5)
        yield name
    finally:
        client.delete_collection(name)
        client.close()


def median_times(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median seconds of each, which take turns of ten calls, as one caller makes them; a turn each uncounted before."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, call in contenders.items():
            for _ in range(10):
                start = time.perf_counter()
                call()
                if number:
                    times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


@dataclass(frozen=True)
class Rate:
    """How a contender did.

    Attributes:
        calls: a second.
        median, late: milliseconds of a call, the median and the 99th percentile.
        processor: milliseconds of this process's processor time for a call.
        failed: how many calls failed, which count in nothing else: a server that is asked for too many connections at once
            resets some.
    """

    calls: float
    median: float
    late: float
    processor: float
    failed: int

    @classmethod
    def of(cls, taken: list[float], failed: int, whole: float, processor: float) -> Rate:
        taken, count = sorted(taken), len(taken)
        late = taken[min(int(count * 0.99), count - 1)]
        return cls(count / whole, statistics.median(taken) * 1e3, late * 1e3, processor / count * 1e3, failed)

    @classmethod
    def middle(cls, rows: list[Rate]) -> Rate:
        """Of each the median, of processor time the least: what others do on the machine only adds to it."""
        calls, median, late = (statistics.median(getattr(row, name) for row in rows) for name in ("calls", "median", "late"))
        return cls(calls, median, late, min(row.processor for row in rows), sum(row.failed for row in rows))


async def rates(
    contenders: Mapping[str, Callable[[int], Awaitable[Any]]], concurrency: int, calls: int, rounds: int
) -> dict[str, Rate]:
    """How contenders do, which take turns, with that many calls at once; a turn each uncounted before."""
    found: dict[str, list[Rate]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, call in contenders.items():
            row = await _rate(call, concurrency, calls)
            if number:
                found[name].append(row)
    return {name: Rate.middle(rows) for name, rows in found.items()}


async def _rate(call: Callable[[int], Awaitable[Any]], concurrency: int, calls: int) -> Rate:
    numbers, taken = iter(range(calls)), []

    async def work() -> None:
        for number in numbers:
            start = time.perf_counter()
            with suppress(ResponseHandlingException):
                await call(number)
                taken.append(time.perf_counter() - start)

    start, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return Rate.of(taken, calls - len(taken), time.perf_counter() - start, time.process_time() - processor)


def thread_rates(contenders: Mapping[str, Callable[[int], Any]], concurrency: int, calls: int, rounds: int) -> dict[str, Rate]:
    """As `rates`, by that many threads."""
    found: dict[str, list[Rate]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, call in contenders.items():
            row = _thread_rate(call, concurrency, calls)
            if number:
                found[name].append(row)
    return {name: Rate.middle(rows) for name, rows in found.items()}


def _thread_rate(call: Callable[[int], Any], concurrency: int, calls: int) -> Rate:
    numbers, taken = deque(range(calls)), []

    def work() -> None:
        while True:
            try:
                number = numbers.popleft()
            except IndexError:
                return
            start = time.perf_counter()
            with suppress(ResponseHandlingException):
                call(number)
                taken.append(time.perf_counter() - start)

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    start, processor = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Rate.of(taken, calls - len(taken), time.perf_counter() - start, time.process_time() - processor)


def busy() -> str:
    """How busy the machine is, for the figures."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
