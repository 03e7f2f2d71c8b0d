"""Queries leave nothing behind: what is kept between them is bounded. Objects are counted, never bytes or times."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient

from benchmarks.memory import SIZE, OfNumbersToo, fill, only, vector
from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import AsyncExecutor, Executor, Formula, Nearest, Query, SearchOptions, Strategy, field, param, score
from tests.stub_qdrant import StubQdrant, collection

ROOT = Path(__file__).parents[2]
NAME, ROUND, ROUNDS, MOST = "docs", 70, 7, 0.3
"""Queries to a round, more than plans are kept; rounds; and objects that each query may leave behind: less than one."""


def strategy(number: int) -> Strategy:
    """One for each query, as of a service that makes them anew."""
    return Formula(score() + param("budget") * field("x0", default=float(number))).over(Nearest(limit=20))


def asked(number: int) -> tuple[Strategy, Query, SearchOptions]:
    query = Query(f"text {number}", {"": vector(number)}, {"budget": number / 3})
    return strategy(number), query, SearchOptions(limit=3, filter=only(number))


def left_behind(run: Callable[[range], object]) -> float:
    """Objects that each query of a round leaves behind, once the first rounds have filled what is bounded.

    What is left behind grows in every round; threads and connections that are about to end are in one of them.
    """
    counts, grown = list[int](), float("inf")
    for number in range(ROUNDS):
        run(range(number * ROUND, (number + 1) * ROUND))
        gc.collect()
        counts.append(len(gc.get_objects()))
        grown = (counts[-1] - counts[-2]) / ROUND if number > 1 else grown
        if grown < MOST:
            break
    return grown


def local() -> QdrantClient:
    client = QdrantClient(":memory:")
    fill(client, NAME)
    return client


def test_an_executor_s_queries_leave_nothing_behind() -> None:
    executor = Executor(local(), NAME)

    def run(numbers: range) -> None:
        for number in numbers:
            made, query, options = asked(number)
            executor.retrieve(made, query, options)
            executor.retrieve_batch(made, [query], options)

    assert left_behind(run) < MOST


def test_queries_of_retrievers_leave_nothing_behind() -> None:
    client = local()
    chain = LangChainRetriever(client=client, collection_name=NAME, payload="flat")
    index = LlamaIndexRetriever(client=client, collection_name=NAME, payload="flat", embed_model=OfNumbersToo())

    def run(numbers: range) -> None:
        for number in numbers:
            made, query, _ = asked(number)
            options: dict[str, Any] = {"strategy": made, "filter": only(number), "params": query.params}
            chain.invoke(query.text, vectors=vector(number), **options)
            index.with_options(**options).retrieve(str(number))

    assert left_behind(run) < MOST


def test_searches_that_leave_together_leave_nothing_behind() -> None:
    # in a process of its own, as a measurement of coverage keeps something for each thread
    program = "from tests.core.test_memory import search_together; print(search_together())"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MOST


def search_together() -> float:
    """What tasks and threads leave behind, whose searches leave together."""
    points = [{"id": 1, "score": 0.5, "payload": {"text": "a text"}}]
    with StubQdrant(points, {NAME: collection(dense=SIZE)}) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        executor = Executor(client, NAME)

        async def by_tasks(numbers: range) -> None:
            waiting = iter(numbers)
            async with AsyncExecutor(client, NAME) as executor:

                async def work() -> None:
                    for number in waiting:
                        await executor.retrieve(*asked(number))

                await asyncio.gather(*(work() for _ in range(16)))
                [coalescer] = executor._coalescers._things.values()
                assert not coalescer._waiting

        def run(numbers: range) -> None:
            asyncio.run(by_tasks(numbers[::2]))
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(lambda number: executor.retrieve(*asked(number)), numbers[1::2]))
            stub.received.clear()

        grown = left_behind(run)
        [coalescer] = executor._coalescer_of.values()
        assert not coalescer._waiting
        assert not coalescer._asking
        client.close()
        return grown
