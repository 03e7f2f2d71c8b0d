"""Where the microseconds of one query go: a table of the layers that it passes, for both adapters and their frameworks' own.

Run: `python benchmarks/profile_invoke.py [--url http://127.0.0.1:6333] [--engines local edge REST gRPC] [--calls 400]`
`python benchmarks/profile_invoke.py --functions 25 --engines local` lists the functions that `invoke` spends most time in.

The same request (dense search, k = 5, payload) goes to the same small collection; the query's vector is there already. A clock
stands at each boundary and gives the time between two of them to the layer that runs, some 0.3 µs a boundary: no tracing, which
would slow small functions most. Contenders take turns; shown is the mean of the faster half of the calls, so that layers add up
to the whole. With `--functions` cProfile runs one contender, by which functions are compared, not layers.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
from httpcore._backends.sync import SyncBackend, SyncStream
from langchain_core.retrievers import BaseRetriever as LangChainBase
from langchain_core.vectorstores import VectorStoreRetriever
from langchain_qdrant import QdrantVectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever as LlamaIndexBase
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from llama_index_instrumentation import get_dispatcher
from qdrant_client import QdrantClient, grpc, models

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.overhead import SIZE, VECTOR, AtHand, AtHandForLlamaIndex, K
from benchmarks.server_world import busy
from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import Executor
from qdrant_rerank.edge import EdgeClient

ENGINES = ("local", "edge", "REST", "gRPC")
FRAMEWORK, ADAPTER, EXECUTOR, FLOW, DOCUMENTS = "framework", "adapter", "executor", "request building", "documents"
WRITING, READING, HTTP, WAITING = "client: writing", "client: reading", "client: HTTP", "waiting"
EMBEDDING = "embedding"
LAYERS = (FRAMEWORK, ADAPTER, EMBEDDING, EXECUTOR, FLOW, WRITING, HTTP, WAITING, READING, DOCUMENTS)
CONTENDERS = ("bare", "LangChain, ours", "langchain-qdrant", "LlamaIndex, ours", "LlamaIndex's")


@dataclass
class Clock:
    """Gives each moment of a call to the layer that runs then: the innermost that was entered."""

    taken: dict[str, float] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    since: float = 0.0

    def enter(self, layer: str) -> None:
        now = time.perf_counter()
        if self.running:
            self.taken[self.running[-1]] = self.taken.get(self.running[-1], 0.0) + now - self.since
        self.running.append(layer)
        self.since = time.perf_counter()

    def leave(self) -> None:
        now = time.perf_counter()
        layer = self.running.pop()
        self.taken[layer] = self.taken.get(layer, 0.0) + now - self.since
        if WAITING in self.taken and self.running and self.running[-1] == WRITING:
            self.running[-1] = READING  # what a client does once it has an answer
        self.since = time.perf_counter()


CLOCK = Clock()
dispatcher = get_dispatcher()


def timed(layer: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose time is a layer's."""

    def call(*args: Any, **kwargs: Any) -> Any:
        CLOCK.enter(layer)
        try:
            return function(*args, **kwargs)
        finally:
            CLOCK.leave()

    call.__module__ = function.__module__  # the executor sends what it asks another way where a client's method isn't its own
    return call


def timed_flow(flow: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """A flow, which builds requests and reads answers; what it asks for is others' time."""
    resume, given = flow.send, None
    while True:
        CLOCK.enter(FLOW)
        try:
            step = resume(given)
        except StopIteration as done:
            return done.value
        finally:
            CLOCK.leave()
        given = yield step


@contextmanager
def boundaries() -> Iterator[None]:
    """A clock at each boundary, until the end."""
    with ExitStack() as stack:

        def put(owner: Any, name: str, made: Any) -> None:
            stack.callback(setattr, owner, name, vars(owner)[name])
            setattr(owner, name, made)

        def layer(name: str, owner: Any, method: str) -> None:
            put(owner, method, timed(name, vars(owner)[method]))

        answer = Executor.answer

        def answer_timed(self: Any, strategy: Any, options: Any, flow: Any, services: Any = None) -> Any:
            CLOCK.enter(EXECUTOR)
            try:
                return answer(self, strategy, options, lambda plan: timed_flow(flow(plan)), services)
            finally:
                CLOCK.leave()

        put(Executor, "answer", answer_timed)
        layer(FRAMEWORK, LangChainBase, "invoke")
        layer(FRAMEWORK, LlamaIndexBase, "retrieve")
        layer(ADAPTER, LangChainRetriever, "_get_relevant_documents")
        layer(ADAPTER, VectorStoreRetriever, "_get_relevant_documents")
        for own in (LlamaIndexRetriever, VectorIndexRetriever):  # beneath LlamaIndex's span, which is the framework's
            put(own, "_retrieve", dispatcher.span(timed(ADAPTER, vars(own)["_retrieve"].__wrapped__)))
        layer(EMBEDDING, BaseEmbedding, "get_query_embedding")  # with its events; LangChain's is a plain function
        layer(DOCUMENTS, LangChainRetriever, "_documents")
        layer(DOCUMENTS, LlamaIndexRetriever, "_nodes")
        layer(DOCUMENTS, LlamaIndexStore, "parse_to_query_result")
        put(
            QdrantVectorStore,
            "_document_from_point",
            classmethod(timed(DOCUMENTS, QdrantVectorStore._document_from_point.__func__)),  # type: ignore[attr-defined]
        )
        layer(WRITING, QdrantClient, "query_points")
        put(executor := sys.modules[Executor.__module__], "send", timed(WRITING, vars(executor)["send"]))
        layer(WRITING, EdgeClient, "query_points")
        layer(HTTP, httpx.Client, "send")
        for owner, method in ((SyncBackend, "connect_tcp"), (SyncStream, "write"), (SyncStream, "read")):
            layer(WAITING, owner, method)
        yield


def wait_for_grpc(client: QdrantClient) -> None:
    """Count what the stub does as waiting: gRPC's own threads write and read."""
    stub: grpc.PointsStub = client.grpc_points
    stub.Query = timed(WAITING, stub.Query)


def open_client(engine: str, url: str, grpc_port: int, folder: str) -> QdrantClient:
    if engine == "local":
        return QdrantClient(":memory:")
    if engine == "edge":
        made: QdrantClient = EdgeClient(folder)
        return made
    client = QdrantClient(
        url=url,
        grpc_port=grpc_port,
        prefer_grpc=engine == "gRPC",
        check_compatibility=False,
        headers=None if engine == "gRPC" else {"accept-encoding": "identity"},
    )
    if engine == "gRPC":
        wait_for_grpc(client)
    return client


def contenders(client: QdrantClient, points: int, name: str) -> dict[str, Callable[[], Any]]:
    """The calls by name, over two collections of the same points: as LangChain writes them, and LlamaIndex."""
    chain, index = f"{name}_chain", f"{name}_index"
    vectors = AtHand().embed_documents(["x"] * points)
    client.create_collection(chain, models.VectorParams(size=SIZE, distance=models.Distance.COSINE))
    store = QdrantVectorStore(client=client, collection_name=chain, embedding=AtHand())
    store.add_texts([f"text {number}" for number in range(points)], [{"rating": 1.0} for _ in range(points)])
    theirs = LlamaIndexStore(collection_name=index, client=client)
    theirs.add([TextNode(text=f"text {number}", embedding=vector) for number, vector in enumerate(vectors)])
    model = AtHandForLlamaIndex()
    ours, ours_too = LangChainRetriever.from_vector_store(store, k=K), LlamaIndexRetriever.from_vector_store(theirs, model)
    ours_too = ours_too.with_options(similarity_top_k=K)
    retriever = store.as_retriever(search_kwargs={"k": K})
    own = VectorStoreIndex.from_vector_store(theirs, embed_model=model).as_retriever(similarity_top_k=K)
    return {
        "bare": lambda: client.query_points(chain, query=VECTOR, using="", limit=K, with_payload=True),
        "LangChain, ours": lambda: ours.invoke("q"),
        "langchain-qdrant": lambda: retriever.invoke("q"),
        "LlamaIndex, ours": lambda: ours_too.retrieve("q"),
        "LlamaIndex's": lambda: own.retrieve("q"),
    }


def measure(calls: dict[str, Callable[[], Any]], number: int) -> dict[str, dict[str, float]]:
    """Microseconds by contender and layer."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
    for turn in range(number + 10):
        for name, call in calls.items():
            CLOCK.taken = {}
            call()
            if turn >= 10:
                found[name].append(CLOCK.taken)
    means = {}
    for name, rows in found.items():
        faster = sorted(rows, key=lambda row: sum(row.values()))[: max(1, len(rows) // 2)]
        means[name] = {layer: sum(row.get(layer, 0.0) for row in faster) / len(faster) * 1e6 for layer in LAYERS}
    return means


def show(engine: str, found: dict[str, dict[str, float]], number: int) -> None:
    print(f"\n{engine}: µs, mean of the faster half of {number} calls, {busy()}\n")
    print("| | " + " | ".join(found) + " |\n|---|" + "---|" * len(found))
    for layer in LAYERS:
        if any(row[layer] for row in found.values()):
            named = "the engine" if layer == WRITING and engine in ("local", "edge") else layer
            print(f"| {named} | " + " | ".join(f"{row[layer]:.0f}" if row[layer] else "" for row in found.values()) + " |")
    print("| **all** | " + " | ".join(f"**{sum(row.values()):.0f}**" for row in found.values()) + " |", flush=True)


def list_functions(calls: dict[str, Callable[[], Any]], number: int, most: int) -> None:
    for name, call in calls.items():
        if "ours" in name:
            for _ in range(10):
                call()
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(number):
                call()
            profile.disable()
            print(f"\n{name}, {number} calls; tottime is a function's own")
            pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(most)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--url", default=os.environ.get("QDRANT_URL", "http://127.0.0.1:6333"), help="a server's REST address")
    options.add_argument("--grpc-port", type=int, default=int(os.environ.get("QDRANT_GRPC_PORT", "6334")))
    options.add_argument("--engines", nargs="+", choices=ENGINES, help="local and edge, and a server's two where one answers")
    options.add_argument("--calls", type=int, default=400)
    options.add_argument("--points", type=int, default=200)
    options.add_argument("--functions", type=int, default=0, help="list that many functions by their own time instead")
    given = options.parse_args()
    warnings.simplefilter("ignore")
    for engine in given.engines or ENGINES[: 4 if answers(given.url) else 2]:
        name = f"bench_w_profile_{os.getpid()}"
        with tempfile.TemporaryDirectory() as folder:
            client = open_client(engine, given.url, given.grpc_port, folder)
            try:
                calls = contenders(client, given.points, name)
                if given.functions:
                    list_functions(calls, given.calls, given.functions)
                else:
                    with boundaries():
                        found = measure(calls, given.calls)
                    show(engine, found, given.calls)
            finally:
                for kind in ("chain", "index"):
                    client.delete_collection(f"{name}_{kind}")
                client.close()


if __name__ == "__main__":
    main()
