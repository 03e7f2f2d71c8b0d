"""Concurrent async searches: the bare client, one request each, against an executor whose searches leave together.

Run: `python benchmarks/coalescing.py --url http://127.0.0.1:6333 [--concurrency 1 8 32 128]`

The same search (dense, 5 results with 1 kB of payload each) by the async client as it comes, over REST and gRPC; by an
`AsyncExecutor` with `coalesce=False`; and by one as it comes. Contenders take turns; calls a second, and the milliseconds of a
call, median and 99th percentile, as medians of the rounds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from qdrant_client import AsyncQdrantClient, QdrantClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.server_world import busy, collection, parser, rates, vectors
from qdrant_rerank import AsyncExecutor, Nearest, Query, SearchOptions

VECTORS = vectors(256, 5)
LIMIT = 5


def contenders(url: str, grpc_port: int, name: str, grpc: bool) -> tuple[dict[str, Callable[[int], Awaitable[Any]]], list[Any]]:
    """The calls by name, and what is to be closed."""
    options: dict[str, Any] = {
        "url": url,
        "grpc_port": grpc_port,
        "prefer_grpc": grpc,
        "check_compatibility": False,
        "timeout": 60,
    }
    bare = AsyncQdrantClient(**options)
    client = QdrantClient(**options)  # from which executors make an async one of their own
    queries = [Query(vectors={"": vector}) for vector in VECTORS]
    each = AsyncExecutor(client, name, coalesce=False)
    together = AsyncExecutor(client, name)
    strategy, asked = Nearest(), SearchOptions(limit=LIMIT)

    def by(executor: AsyncExecutor) -> Callable[[int], Awaitable[Any]]:
        return lambda number: executor.retrieve(strategy, queries[number % 256], asked)

    return {
        "bare": lambda number: bare.query_points(name, query=VECTORS[number % 256], limit=LIMIT),
        "ours, one each": by(each),
        "ours": by(together),
    }, [each, together]


async def measure(given: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for grpc in (False, True):
        calls, executors = contenders(given.url, given.grpc_port, name, grpc)
        for concurrency in given.concurrency:
            rows = await rates(calls, concurrency, max(given.calls, 2 * concurrency), given.rounds)
            print(f"{'gRPC' if grpc else 'REST'}, {concurrency} at once, {busy()}")
            for contender, (rate, median, late) in rows.items():
                ratio = rate / rows["bare"][0]
                print(
                    f"  {contender:16} {rate:7.0f}/s {ratio:6.2f} ×   median {median:8.2f} ms   99 % {late:8.2f} ms", flush=True
                )
                found.append(
                    {
                        "over": "gRPC" if grpc else "REST",
                        "at": concurrency,
                        "who": contender,
                        "rate": rate,
                        "median": median,
                        "late": late,
                    }
                )
        for executor in executors:
            await executor.aclose()
    return found


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32, 128])
    options.add_argument("--calls", type=int, default=400)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", help="a file for the figures")
    given = options.parse_args()
    warnings.simplefilter("ignore")
    with collection(given.url, given.points) as name:
        found = asyncio.run(measure(given, name))
    if given.json:
        Path(given.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
