"""How many Python functions of ours one warm query enters: a count, which doesn't wobble as times do.

What it costs a query to pass us is these calls; `benchmarks/overhead.py` says what that is in microseconds. Who makes a query's
way longer sees it here, and raises a bound for a reason.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import Executor, Formula, Fusion, Nearest, Query, SearchOptions, field, score
from qdrant_rerank.stages import Stage
from scripts import structure

DENSE = [0.6, 0.8, 0.0]
HYBRID = Nearest("dense", limit=20), Nearest("sparse", limit=20)
STRATEGIES: dict[str, Stage] = {
    "dense": Nearest("dense"),
    "hybrid": Fusion.rrf().over(*HYBRID),
    "formula": Formula(0.8 * score("dense") + 0.1 * field("metadata.stars", default=3.0)).over(*HYBRID),
}
OURS = tuple(str(folder) for folder in structure.PACKAGES.values())


class Dense(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [DENSE for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return DENSE

    async def aembed_query(self, text: str) -> list[float]:
        return DENSE


class DenseForLlamaIndex(BaseEmbedding):
    def _get_query_embedding(self, query: str) -> list[float]:
        return DENSE

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return DENSE

    def _get_text_embedding(self, text: str) -> list[float]:
        return DENSE


def sparse(text: str) -> models.SparseVector:
    return models.SparseVector(indices=[1, 2], values=[1.0, 0.5])


@pytest.fixture(scope="module")
def retrievers() -> dict[str, Any]:
    client = QdrantClient(":memory:")
    client.create_collection(
        "docs",
        vectors_config={"dense": models.VectorParams(size=3, distance=models.Distance.COSINE)},
        sparse_vectors_config={"sparse": models.SparseVectorParams()},
    )
    payload = {"page_content": "a text", "metadata": {"stars": 4}}
    vectors: dict[str, Any] = {"dense": DENSE, "sparse": sparse("")}
    client.upsert("docs", [models.PointStruct(id=number, vector=vectors, payload=payload) for number in range(5)])
    where: dict[str, Any] = {"client": client, "collection_name": "docs", "encoders": {"sparse": sparse}}
    return {
        "LangChain": LangChainRetriever(**where, embedding=Dense(), k=5),
        "LlamaIndex": LlamaIndexRetriever(**where, embed_model=DenseForLlamaIndex(), similarity_top_k=5, payload="langchain"),
        "core": Executor(client, "docs", encoders={"dense": lambda text: DENSE, "sparse": sparse}, payload="langchain"),
    }


@contextmanager
def counting() -> Iterator[list[str]]:
    """The names of the functions of ours that this thread enters meanwhile."""
    entered: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            entered.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(None)


def counted(call: Callable[[], Any]) -> list[str]:
    for _ in range(3):  # until all that is kept is there
        call()
    with counting() as entered:
        call()
    return entered


# with five documents each; before what doesn't change was kept, LangChain's were 263 for a dense search
BOUNDS = {
    ("core", "dense"): 55,
    ("core", "hybrid"): 78,
    ("core", "formula"): 88,
    ("LangChain", "dense"): 78,
    ("LangChain", "hybrid"): 100,
    ("LangChain", "formula"): 110,
    ("LlamaIndex", "dense"): 94,
    ("LlamaIndex", "hybrid"): 116,
    ("LlamaIndex", "formula"): 126,
}


@pytest.mark.parametrize(("who", "strategy"), BOUNDS)
def test_a_warm_query_enters_few_functions_of_ours(retrievers: dict[str, Any], who: str, strategy: str) -> None:
    asked, options = STRATEGIES[strategy], SearchOptions(5)
    calls: dict[str, Callable[[], Any]] = {
        "core": lambda: retrievers["core"].retrieve(asked, Query("q"), options),
        "LangChain": retrievers["LangChain"].model_copy(update={"strategy": asked}).invoke,
        "LlamaIndex": retrievers["LlamaIndex"].with_options(strategy=asked).retrieve,
    }
    entered = counted(calls[who] if who == "core" else lambda: calls[who]("q"))  # type: ignore[call-arg]
    assert len(entered) <= BOUNDS[who, strategy], entered


def test_a_warm_query_looks_for_no_key_that_its_results_do_not_show(retrievers: dict[str, Any]) -> None:
    options, by_another = SearchOptions(5, with_payload=["page_content"]), field("metadata.another", default=3.0)
    strategy = Formula(score("dense") + by_another).over(*HYBRID)
    entered = counted(lambda: retrievers["core"].retrieve(strategy, Query("q"), options))
    assert not [name for name in entered if "mistakes" in name or "read_by_strategy" in name]


async def test_a_warm_async_query_enters_few_functions_of_ours(retrievers: dict[str, Any]) -> None:
    retriever = retrievers["LangChain"].model_copy(update={"strategy": STRATEGIES["dense"]})
    for _ in range(3):
        await retriever.ainvoke("q")
    with counting() as entered:
        await retriever.ainvoke("q")
    assert len(entered) <= 104, entered
