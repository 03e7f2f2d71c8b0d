"""Concurrent searches: the bare client, one request each, against an executor whose searches leave together.

Run: `python benchmarks/coalescing.py --url http://127.0.0.1:6333 [--concurrency 1 8 32 128] [--by tasks threads]`

The same search (dense, 5 results with 1 kB of payload each) by tasks of one event loop, and by threads that share a client: by
the client as it comes, over REST and gRPC; by an executor with `coalesce=False`; and by one as it comes. Contenders take turns;
calls a second, the milliseconds of a call, median and 99th percentile, as medians of the rounds, and the least processor time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qdrant_client import AsyncQdrantClient, QdrantClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.server_world import busy, collection, parser, rates, thread_rates, vectors
from qdrant_rerank import AsyncExecutor, Executor, Nearest, Query, SearchOptions

VECTORS = vectors(256, 5)
LIMIT = 5


def contenders(url: str, grpc_port: int, name: str, grpc: bool, by: str) -> tuple[dict[str, Callable[[int], Any]], list[Any]]:
    """The calls by name, and what is to be closed."""
    options: dict[str, Any] = {
        "url": url,
        "grpc_port": grpc_port,
        "prefer_grpc": grpc,
        "check_compatibility": False,
        "timeout": 60,
    }
    kind: Any = AsyncExecutor if by == "tasks" else Executor
    bare: Any = (AsyncQdrantClient if by == "tasks" else QdrantClient)(**options)
    client = QdrantClient(**options)  # from which async executors make an async one of their own
    queries = [Query(vectors={"": vector}) for vector in VECTORS]
    each, together = kind(client, name, coalesce=False), kind(client, name)
    strategy, asked = Nearest(), SearchOptions(limit=LIMIT)
    return {
        "bare": lambda number: bare.query_points(name, query=VECTORS[number % 256], limit=LIMIT),
        "ours, one each": lambda number: each.retrieve(strategy, queries[number % 256], asked),
        "ours": lambda number: together.retrieve(strategy, queries[number % 256], asked),
    }, [each, together]


async def measure(given: Any, name: str, grpc: bool, by: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    over = "gRPC" if grpc else "REST"
    calls, executors = contenders(given.url, given.grpc_port, name, grpc, by)
    for concurrency in given.concurrency:
        count = max(given.calls, 2 * concurrency)
        if by == "tasks":
            rows = await rates(calls, concurrency, count, given.rounds)
        else:
            rows = thread_rates(calls, concurrency, count, given.rounds)
        print(f"{over}, {concurrency} {by} at once, {busy()}")
        for contender, row in rows.items():
            print(
                f"  {contender:16} {row.calls:7.0f}/s {row.calls / rows['bare'].calls:6.2f} ×   median {row.median:8.2f} ms   "
                f"99 % {row.late:8.2f} ms   processor {row.processor:6.2f} ms",
                flush=True,
            )
            found.append({"over": over, "by": by, "at": concurrency, "who": contender, **asdict(row)})
    for executor in executors:
        await executor.aclose()
    return found


def show(found: list[dict[str, Any]]) -> None:
    """The table of docs/benchmarks.md."""
    rows = {(row["by"], row["at"], row["over"], row["who"]): row for row in found}
    overs = dict.fromkeys(row["over"] for row in found)
    print("\n| by | at once | " + " | ".join(f"{over} | 99 % | {over}, `coalesce=False`" for over in overs) + " |")
    print("|---|---|" + "---|---|---|" * len(overs))
    for by, at in dict.fromkeys((row["by"], row["at"]) for row in found):
        cells = []
        for over in overs:
            bare, ours, each = (rows[by, at, over, who] for who in ("bare", "ours", "ours, one each"))
            cells += [
                f"{ours['calls'] / bare['calls']:.2f}",
                f"{bare['late']:.0f} → {ours['late']:.0f}",
                f"{each['calls'] / bare['calls']:.2f}",
            ]
        print(f"| {by} | {at} | " + " | ".join(cells) + " |")


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32, 128])
    options.add_argument("--by", nargs="+", choices=["tasks", "threads"], default=["tasks", "threads"])
    options.add_argument("--over", nargs="+", choices=["REST", "gRPC"], default=["REST", "gRPC"])
    options.add_argument("--calls", type=int, default=400)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", help="a file for the figures")
    given = options.parse_args()
    warnings.simplefilter("ignore")
    with collection(given.url, given.points) as name:
        found = [row for by in given.by for over in given.over for row in asyncio.run(measure(given, name, over == "gRPC", by))]
    show(found)
    if given.json:
        Path(given.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
