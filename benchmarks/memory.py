"""Whether memory grows with queries: RSS, traced bytes and objects after each tenth of many.

Run: `python benchmarks/memory.py [--queries 100000] [--url http://127.0.0.1:6333 --server-queries 20000]`

In process (qdrant-edge), by turns: an executor, its batches, LangChain's retriever and LlamaIndex's. On a server: tasks of an
event loop over REST and gRPC and threads, whose searches leave together. Each query has another text, vector, filter and
request-time value, and each tenth a strategy of its own, as who keeps something by them would grow. Growth is counted from the
second row on: the first fills what is bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding
from qdrant_client import QdrantClient, models

sys.path.insert(0, str(Path(__file__).parents[1]))
from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import ParamsQueryBundle
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import AsyncExecutor, Executor, Formula, Nearest, Query, SearchOptions, Strategy, field, param, score
from qdrant_rerank.edge import EdgeClient

SIZE, POINTS, ROWS = 16, 200, 10
KEPT = Formula(score() + param("budget") * field("x0", default=0.0)).over(Nearest(limit=20))


def vector(number: int) -> list[float]:
    return [float((number * 7 + at * 3) % 11) - 5.0 + number * 1e-6 for at in range(SIZE)]


class OfNumbers(Embeddings):
    """Embeds a number."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [vector(int(text)) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return vector(int(text))


class OfNumbersToo(BaseEmbedding):
    """The same for LlamaIndex."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return vector(int(query))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return vector(int(query))

    def _get_text_embedding(self, text: str) -> list[float]:
        return vector(int(text))


def strategy(number: int) -> Strategy:
    return KEPT if number % 10 else Formula(score() + param("budget") * field("x0", default=number / 7)).over(Nearest(limit=20))


def only(number: int) -> models.Filter:
    return models.Filter(must_not=[models.FieldCondition(key="x0", match=models.MatchValue(value=number))])


def asked(number: int) -> tuple[Strategy, Query, SearchOptions]:
    options = SearchOptions(limit=5, filter=only(number))
    return strategy(number), Query(str(number), {"": vector(number)}, {"budget": number / 3}), options


def fill(client: QdrantClient, name: str) -> None:
    client.create_collection(name, models.VectorParams(size=SIZE, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=number, vector=vector(number), payload={"text": f"text {number}", "x0": number})
        for number in range(POINTS)
    ]
    client.upsert(name, points)


def in_process(client: QdrantClient, name: str) -> Callable[[Iterator[int]], None]:
    executor = Executor(client, name)
    chain = LangChainRetriever(client=client, collection_name=name, embedding=OfNumbers(), payload="flat", k=5)
    index = LlamaIndexRetriever(
        client=client, collection_name=name, embed_model=OfNumbersToo(), payload="flat", similarity_top_k=5
    )

    def run(numbers: Iterator[int]) -> None:
        for number in numbers:
            made, query, options = asked(number)
            match number % 4:
                case 0:
                    executor.retrieve(made, query, options)
                case 1:
                    chain.invoke(str(number), strategy=made, filter=only(number), params=query.params)
                case 2:
                    changed = index.with_options(strategy=made, filter=only(number))
                    changed.retrieve(ParamsQueryBundle(str(number), params=dict(query.params)))
                case _:
                    executor.retrieve_batch(made, [query], options)

    return run


def on_server(clients: list[QdrantClient], name: str) -> Callable[[Iterator[int]], None]:
    """A third by tasks over REST, a third over gRPC, in one event loop each time; and a third by threads."""

    async def by_tasks(client: QdrantClient, numbers: list[int]) -> None:
        waiting = iter(numbers)
        async with AsyncExecutor(client, name) as executor:

            async def work() -> None:
                for number in waiting:
                    await executor.retrieve(*asked(number))

            await asyncio.gather(*(work() for _ in range(32)))

    executors = [Executor(client, name) for client in clients]

    def run(numbers: Iterator[int]) -> None:
        every = list(numbers)
        for client, share in zip(clients, (every[0::3], every[1::3]), strict=True):
            asyncio.run(by_tasks(client, share))
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda number: executors[number % 2].retrieve(*asked(number)), every[2::3]))

    return run


def measure(title: str, run: Callable[[Iterator[int]], None], queries: int) -> None:
    print(f"\n{title}\n\n| queries | RSS, MB | traced, kB | objects | seconds |\n|---|---|---|---|---|")
    rows, step = [], queries // ROWS
    for row in range(ROWS):
        start = time.perf_counter()
        run(iter(range(row * step, (row + 1) * step)))
        seconds = time.perf_counter() - start
        gc.collect()
        rows.append((_rss(), tracemalloc.get_traced_memory()[0] / 1e3, len(gc.get_objects())))
        print(
            f"| {(row + 1) * step:,} | {rows[-1][0]:.1f} | {rows[-1][1]:,.0f} | {rows[-1][2]:,} | {seconds:.1f} |", flush=True
        )
    first, last, count = rows[1], rows[-1], (ROWS - 2) * step
    grown = [now - then for now, then in zip(last, first, strict=True)]
    print(
        f"\nafter the first {2 * step:,}: {grown[0]:+.1f} MB of RSS, "
        f"{grown[1] * 1e3 / count:+.2f} traced bytes and {grown[2] / count:+.4f} objects a query",
        flush=True,
    )


def _rss() -> float:
    """Megabytes that the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--queries", type=int, default=100_000)
    options.add_argument("--url", help="a server's REST address; none is asked without it")
    options.add_argument("--grpc-port", type=int, default=int(os.environ.get("QDRANT_GRPC_PORT", "6334")))
    options.add_argument("--server-queries", type=int, default=20_000)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    tracemalloc.start(1)
    name = f"bench_w_memory_{os.getpid()}"
    if given.queries:
        with tempfile.TemporaryDirectory() as folder, EdgeClient(folder) as client:
            fill(client, name)
            measure(f"{given.queries:,} queries in process", in_process(client, name), given.queries)
    if given.url:
        with ExitStack() as stack:
            settings: dict[str, Any] = {"url": given.url, "grpc_port": given.grpc_port, "check_compatibility": False}
            clients = [QdrantClient(**settings, prefer_grpc=grpc) for grpc in (False, True)]
            fill(clients[0], name)
            stack.callback(clients[1].close)
            stack.callback(clients[0].close)
            stack.callback(clients[0].delete_collection, name)
            measure(f"{given.server_queries:,} queries on a server", on_server(clients, name), given.server_queries)


if __name__ == "__main__":
    main()
