"""The adapters, and the frameworks' own vector stores, work over the embedded engine as over a `QdrantClient`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_qdrant import QdrantVectorStore as LangchainStore
from langchain_tests.integration_tests import RetrieversIntegrationTests
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, NodeWithScore, TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever as LangchainRetriever
from llama_index_qdrant_rerank import QdrantRerankPostprocessor
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import Formula, Fusion, Nearest, field, score
from qdrant_rerank.edge import EdgeClient
from tests.engines import open_client
from tests.support import QUERY, dense, encoders, fill_toy, toy_points

NUMBERS = range(12)
TEXTS = {number: f"text {number} of {'foxes' if number % 3 else 'dogs'}" for number in NUMBERS}
HYBRID = Fusion.dbsf().over(Nearest("dense", limit=20), Nearest("bm25", limit=20))
BY_POPULARITY = Formula(score() + 0.1 * field("popularity", default=0)).over(Nearest(limit=24))


class Words(Embeddings):
    def embed_query(self, text: str) -> list[float]:
        return dense(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [dense(text) for text in texts]


class Model(BaseEmbedding):
    def _get_query_embedding(self, query: str) -> list[float]:
        return dense(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return dense(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return dense(text)


@pytest.fixture(scope="module")
def toy_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeClient]:
    with EdgeClient(tmp_path_factory.mktemp("toy")) as client:
        fill_toy(client)
        yield client


def langchain(client: QdrantClient, **settings: Any) -> LangchainRetriever:
    parts: dict[str, Any] = {"encoders": encoders().named, "payload": "flat", "strategy": HYBRID}
    return LangchainRetriever(client=client, collection_name="toy", **parts | settings)


async def test_langchain_documents_are_those_of_local_mode(toy_edge: EdgeClient, toy: QdrantClient) -> None:
    for strategy in (HYBRID, BY_POPULARITY, Nearest("dense")):
        found, expected = (langchain(client, strategy=strategy, k=3) for client in (toy_edge, toy))
        assert found.invoke(QUERY) == expected.invoke(QUERY)
        assert await found.ainvoke(QUERY, k=2) == expected.invoke(QUERY, k=2)
        assert len(found.invoke(QUERY)) == 3


class TestLangchainStandard(RetrieversIntegrationTests):
    """LangChain's own tests for retrievers."""

    @pytest.fixture(autouse=True)
    def client(self, toy_edge: EdgeClient) -> None:
        self.edge = toy_edge

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return LangchainRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        parts = {"encoders": encoders().named, "payload": "flat", "strategy": HYBRID}
        return {"client": self.edge, "collection_name": "toy", **parts}

    @property
    def retriever_query_example(self) -> str:
        return QUERY


async def test_langchain_s_own_store_writes_what_the_retriever_finds(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("store", models.VectorParams(size=4, distance=models.Distance.COSINE))
        store = LangchainStore(client=client, collection_name="store", embedding=Words())
        written = store.add_texts(list(TEXTS.values()), [{"number": number} for number in NUMBERS])
        retriever = LangchainRetriever.from_vector_store(store, k=4)
        found = retriever.invoke(TEXTS[5])
        assert [(one.id, one.page_content, one.metadata) for one in found] == [
            (one.metadata["_id"], one.page_content, one.metadata) for one in store.similarity_search(TEXTS[5], k=4)
        ]
        assert found[0].page_content == TEXTS[5]
        assert await retriever.ainvoke(TEXTS[5]) == found
        store.delete(written[:5])
        assert client.count("store").count == len(NUMBERS) - 5


def llama_nodes() -> list[BaseNode]:
    return [
        TextNode(id_=str(UUID(int=number + 1)), text=text, metadata={"number": number}, embedding=dense(text))
        for number, text in TEXTS.items()
    ]


def told(found: list[NodeWithScore]) -> list[tuple[str, Any]]:
    return [(one.node.get_content(), one.node.metadata) for one in found]


async def test_llamaindex_s_own_store_writes_what_the_retriever_finds(tmp_path: Path) -> None:
    strategy = Formula(score() + 0.01 * field("number", default=0)).over(Nearest(limit=10))
    with EdgeClient(tmp_path) as client:
        answers = []
        for each in (client, open_client()):
            store = LlamaIndexStore("nodes", client=each)
            store.add(llama_nodes())
            arguments: dict[str, Any] = {"embed_model": Model(), "strategy": strategy, "similarity_top_k": 4}
            retriever = LlamaIndexRetriever.from_vector_store(store, **arguments)
            found = retriever.retrieve(TEXTS[5])
            assert told(await retriever.aretrieve(TEXTS[5])) == told(found)
            answers.append(told(found))
        assert answers[0] == answers[1]
        assert len(answers[0]) == 4


async def test_the_postprocessor_rescores_nodes_in_the_engine(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        store = LlamaIndexStore("nodes", client=client)
        store.add(llama_nodes())
        by_number = QdrantRerankPostprocessor.from_vector_store(
            store, strategy=Formula(field("number", default=0)), top_n=3, embed_model=Model()
        )
        nodes = [NodeWithScore(node=node, score=0.5) for node in llama_nodes()]
        found = by_number.postprocess_nodes(nodes, query_str=QUERY)
        assert [node.metadata["number"] for node in found] == [11, 10, 9]
        assert [node.metadata["number"] for node in await by_number.apostprocess_nodes(nodes, query_str=QUERY)] == [11, 10, 9]


def test_the_toy_collection_is_the_same_in_both_engines(toy_edge: EdgeClient) -> None:
    assert toy_edge.count("toy").count == len(toy_points())
