"""What a retriever adds to a bare query: ours, langchain-qdrant's and LlamaIndex's, in one run, as ratios.

Run: `python benchmarks/overhead.py [--queries 400] [--points 200]`

The same request (dense search, k = 5, payload) goes to the same small collection in qdrant-client's local mode. The bare
call is `client.query_points` with the vector at hand; every retriever gets its query vector from a function that returns it
at once, so what is compared is the adapter's own work. Calls of all contenders alternate, so a busy machine slows all
alike; medians are compared. Then: the time to import each adapter over its framework's own retriever base, each in a new
process, and what compiling a 20-term formula adds to a query.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import field, param, score
from qdrant_rerank._internals import Lowering, ScoreSource, find_fixed_nodes, lower
from qdrant_rerank.planning import Capabilities

SIZE, K = 384, 5
_random = random.Random(20)
VECTOR = [_random.gauss(0, 1) for _ in range(SIZE)]


class AtHand(Embeddings):
    """Embeddings that are there already."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[_random.gauss(0, 1) for _ in range(SIZE)] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return VECTOR


class AtHandForLlamaIndex(BaseEmbedding):
    """The same for LlamaIndex."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return VECTOR

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return VECTOR

    def _get_text_embedding(self, text: str) -> list[float]:
        return VECTOR


def langchain_contenders(points: int) -> dict[str, Callable[[], Any]]:
    client = QdrantClient(":memory:")
    config = models.VectorParams(size=SIZE, distance=models.Distance.COSINE)
    client.create_collection("docs", vectors_config=config)
    store = QdrantVectorStore(client=client, collection_name="docs", embedding=AtHand())
    store.add_texts([f"text {number}" for number in range(points)], [{"rating": 1.0} for _ in range(points)])
    ours = LangChainRetriever.from_vector_store(store, k=K)
    theirs = store.as_retriever(search_kwargs={"k": K})
    return {
        "bare query_points": lambda: client.query_points("docs", query=VECTOR, using="", limit=K, with_payload=True),
        "langchain_qdrant_rerank": lambda: ours.invoke("q"),
        "langchain_qdrant": lambda: theirs.invoke("q"),
    }


def llama_index_contenders(points: int) -> dict[str, Callable[[], Any]]:
    from llama_index.core import VectorStoreIndex

    store = LlamaIndexStore(collection_name="docs", client=QdrantClient(":memory:"))
    vectors = AtHand().embed_documents(["x"] * points)
    store.add([TextNode(text=f"text {number}", embedding=vector) for number, vector in enumerate(vectors)])
    embed_model = AtHandForLlamaIndex()
    ours = LlamaIndexRetriever.from_vector_store(store, embed_model=embed_model, similarity_top_k=K)
    theirs = VectorStoreIndex.from_vector_store(store, embed_model=embed_model).as_retriever(similarity_top_k=K)
    query = VectorStoreQuery(query_embedding=VECTOR, similarity_top_k=K)
    using = store.dense_vector_name
    return {
        "bare query_points": lambda: store.client.query_points("docs", query=VECTOR, using=using, limit=K, with_payload=True),
        "llama_index_qdrant_rerank": lambda: ours.retrieve("q"),
        "LlamaIndex's retriever": lambda: theirs.retrieve("q"),
        "LlamaIndex's store alone": lambda: store.query(query),
    }


def medians(contenders: dict[str, Callable[[], Any]], queries: int) -> dict[str, float]:
    """The median seconds of each, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(queries):
        for name, call in contenders.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def show(contenders: dict[str, Callable[[], Any]], queries: int) -> None:
    found = medians(contenders, queries)
    bare = found["bare query_points"]
    for name, seconds in found.items():
        print(f"  {name:28} {seconds * 1e6:8.0f} µs   {seconds / bare:5.2f} × bare")


def imports(runs: int) -> None:
    pairs = [
        ("langchain_qdrant_rerank", "langchain_core.retrievers, qdrant_client"),
        ("llama_index_qdrant_rerank", "llama_index.core.base.base_retriever, qdrant_client"),
    ]
    for ours, base in pairs:
        times: dict[str, list[float]] = {ours: [], base: []}
        for _ in range(runs):
            for modules, taken in times.items():
                code = f"import time; s = time.perf_counter(); import {modules}; print(time.perf_counter() - s)"
                done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
                taken.append(float(done.stdout))
        mine, theirs = statistics.median(times[ours]), statistics.median(times[base])
        print(f"  {ours:28} {mine:5.2f} s   {mine / theirs:5.2f} × {base}")


def compiling(runs: int) -> None:
    terms = [0.1 * number * param("budget") * field(f"metadata.f{number}", default=0.0) for number in range(1, 20)]
    expression = sum(terms, 0.8 * score())
    memory: dict[int, Any] = {}
    fixed = find_fixed_nodes(expression)

    def build(compiled: dict[int, Any]) -> None:
        lower(
            expression, Lowering([ScoreSource("")], Capabilities((1, 20, 0)), {"budget": 3.7}, compiled=compiled, fixed=fixed)
        )

    ways: list[tuple[str, Callable[[], None]]] = [
        ("from nothing", lambda: build({})),
        ("for each query", lambda: build(memory)),
    ]
    for name, call in ways:
        call()
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        print(f"  {name:28} {statistics.median(times) * 1e6:8.0f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--points", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"LangChain, {options.points} points of {SIZE} dimensions, median of {options.queries}")
    show(langchain_contenders(options.points), options.queries)
    print("LlamaIndex, the same")
    show(llama_index_contenders(options.points), options.queries)
    print("compiling a formula of 20 terms that all read a request-time value")
    compiling(options.queries)
    print("import, over the framework's own base, median of 5")
    imports(5)


if __name__ == "__main__":
    main()
