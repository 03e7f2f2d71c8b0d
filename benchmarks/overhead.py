"""What a retriever adds to a bare query: ours, langchain-qdrant's and LlamaIndex's, in one run, as ratios.

Run: `python benchmarks/overhead.py [--url http://localhost:6333] [--queries 400] [--points 200]`

The same request (dense search, and hybrid by reciprocal ranks; k = 5, payload) goes to the same small collection, in
qdrant-client's local mode or on the server at `--url`, over REST. The bare call is `client.query_points` with the vectors at
hand; every retriever gets them from a function that returns them at once, so what is compared is the adapter's own work. Calls
of all contenders alternate, so a busy machine slows all alike. Shown are medians of the time that passes, minima of this
process's own CPU time, which a busy machine changes least, and how many Python functions one call enters, which nothing
changes. Then: the time to import each adapter over its framework's own retriever base, each in a new process, and what
compiling a 20-term formula adds to a query. "Its own" is the client that a library makes when it is started with a URL.
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
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import Fusion, Nearest, field, param, score
from qdrant_rerank._internals import Lowering, ScoreSource, find_fixed_nodes, lower
from qdrant_rerank.planning import Capabilities

SIZE, K = 384, 5
_random = random.Random(20)
VECTOR = [_random.gauss(0, 1) for _ in range(SIZE)]
SPARSE = SparseVector(indices=[1, 3, 8], values=[1.0, 0.5, 0.25])
BARE = "bare query_points"


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


class SparseAtHand(SparseEmbeddings):
    """Sparse embeddings that are there already."""

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [SparseVector(indices=[number % 7, 7 + number % 5], values=[1.0, 0.5]) for number, _ in enumerate(texts)]

    def embed_query(self, text: str) -> SparseVector:
        return SPARSE


def langchain_contenders(client: QdrantClient, points: int, hybrid: bool, url: str | None) -> dict[str, Callable[[], Any]]:
    name = "overhead_langchain"
    client.delete_collection(name)
    config = models.VectorParams(size=SIZE, distance=models.Distance.COSINE)
    client.create_collection(
        name, vectors_config={"dense": config}, sparse_vectors_config={"sparse": models.SparseVectorParams()}
    )
    mode = RetrievalMode.HYBRID if hybrid else RetrievalMode.DENSE
    names: dict[str, Any] = {"vector_name": "dense", "sparse_vector_name": "sparse"}
    own = {"embedding": AtHand(), "sparse_embedding": SparseAtHand(), "retrieval_mode": mode, **names}
    store = QdrantVectorStore(client=client, collection_name=name, **own)
    store.add_texts([f"text {number}" for number in range(points)], [{"rating": 1.0} for _ in range(points)])
    # with as many candidates as langchain-qdrant asks for, which are k
    strategy = Fusion.rrf().over(Nearest("dense", limit=K), Nearest("sparse", limit=K)) if hybrid else Nearest("dense")
    ours = LangChainRetriever.from_vector_store(store, k=K, strategy=strategy)
    theirs = store.as_retriever(search_kwargs={"k": K})

    def bare() -> Any:
        if not hybrid:
            return client.query_points(name, query=VECTOR, using="dense", limit=K, with_payload=True)
        sparse = models.SparseVector(indices=SPARSE.indices, values=SPARSE.values)
        both = [models.Prefetch(query=VECTOR, using="dense", limit=K), models.Prefetch(query=sparse, using="sparse", limit=K)]
        fused = models.FusionQuery(fusion=models.Fusion.RRF)
        return client.query_points(name, query=fused, prefetch=both, limit=K, with_payload=True)

    found = {
        BARE: bare,
        "langchain_qdrant_rerank": lambda: ours.invoke("q"),
        "langchain_qdrant": lambda: theirs.invoke("q"),
    }
    if url is not None:  # as both are started with a URL, over a client that each makes for itself
        models_at_hand: dict[str, Any] = {"embedding": AtHand(), "sparse_embedding": SparseAtHand()}
        mine = LangChainRetriever.from_existing_collection(name, url=url, **models_at_hand, k=K, strategy=strategy)
        own_store = QdrantVectorStore.from_existing_collection(collection_name=name, url=url, **own)
        another = own_store.as_retriever(search_kwargs={"k": K})
        found["langchain_qdrant_rerank, its own"] = lambda: mine.invoke("q")
        found["langchain_qdrant, its own"] = lambda: another.invoke("q")
    return found


def llama_index_contenders(client: QdrantClient, points: int) -> dict[str, Callable[[], Any]]:
    from llama_index.core import VectorStoreIndex

    client.delete_collection("overhead_llama_index")
    store = LlamaIndexStore(collection_name="overhead_llama_index", client=client)
    vectors = AtHand().embed_documents(["x"] * points)
    store.add([TextNode(text=f"text {number}", embedding=vector) for number, vector in enumerate(vectors)])
    embed_model = AtHandForLlamaIndex()
    ours = LlamaIndexRetriever.from_vector_store(store, embed_model=embed_model, similarity_top_k=K)
    theirs = VectorStoreIndex.from_vector_store(store, embed_model=embed_model).as_retriever(similarity_top_k=K)
    query = VectorStoreQuery(query_embedding=VECTOR, similarity_top_k=K)
    asked: dict[str, Any] = {"query": VECTOR, "using": store.dense_vector_name, "limit": K, "with_payload": True}
    return {
        BARE: lambda: client.query_points("overhead_llama_index", **asked),
        "llama_index_qdrant_rerank": lambda: ours.retrieve("q"),
        "LlamaIndex's retriever": lambda: theirs.retrieve("q"),
        "LlamaIndex's store alone": lambda: store.query(query),
    }


def times(contenders: dict[str, Callable[[], Any]], queries: int) -> dict[str, tuple[float, float]]:
    """The median seconds of each, called in turn, and the least CPU time."""
    passed: dict[str, list[float]] = {name: [] for name in contenders}
    worked: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(queries):
        for name, call in contenders.items():
            start, began = time.perf_counter(), time.process_time()
            call()
            worked[name].append(time.process_time() - began)
            passed[name].append(time.perf_counter() - start)
    return {name: (statistics.median(passed[name]), min(worked[name])) for name in contenders}


def count_calls(call: Callable[[], Any]) -> int:
    """How many Python functions one call enters."""
    entered = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal entered
        entered += event == "call"

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered


def show(contenders: dict[str, Callable[[], Any]], queries: int) -> None:
    found = times(contenders, queries)
    passed, worked = found[BARE]
    for name, (seconds, busy) in found.items():
        print(
            f"  {name:32} {seconds * 1e6:8.0f} µs {seconds / passed:6.2f} × bare   "
            f"CPU {busy * 1e6:7.0f} µs {busy / worked:5.2f} ×   {count_calls(contenders[name]):5} calls"
        )


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
    parser.add_argument("--url", help="a server, asked over REST; local mode without it")
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--points", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    client = QdrantClient(":memory:") if options.url is None else QdrantClient(options.url)
    print(f"{options.url or 'local mode'}, {options.points} points of {SIZE} dimensions, {options.queries} queries of each")
    for what, hybrid in (("dense", False), ("hybrid", True)):
        print(f"LangChain, {what}")
        show(langchain_contenders(client, options.points, hybrid, options.url), options.queries)
    print("LlamaIndex, dense")
    show(llama_index_contenders(client, options.points), options.queries)
    for name in ("overhead_langchain", "overhead_llama_index"):
        client.delete_collection(name)
    print("compiling a formula of 20 terms that all read a request-time value")
    compiling(options.queries)
    print("import, over the framework's own base, median of 5")
    imports(5)


if __name__ == "__main__":
    main()
