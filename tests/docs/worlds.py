"""What the documentation's code finds around it: the stores that a reader has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_qdrant import QdrantVectorStore
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import BaseNode, TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor
from qdrant_rerank.demo import CORPUS
from qdrant_rerank.ingest import ensure_collection, ingest, read_jsonl
from qdrant_rerank.models import Bm25, Encoders, HashedNgrams
from tests.engines import open_client

TEXTS = [
    "Bikes travel on the night train in the first carriage; book a place.",
    "A shop in the old town mends broken derailleurs while you wait.",
    "The refuge above the lake cooks without meat.",
    "The ferry takes bikes for free before nine.",
    "A flat loop around the lake for families.",
    "Where to sleep near the station after a late train.",
]


def langchain() -> dict[str, Any]:
    client = open_client()
    vectors = models.VectorParams(size=32, distance=models.Distance.COSINE)
    client.create_collection("docs", vectors_config=vectors)
    store = QdrantVectorStore(client=client, collection_name="docs", embedding=DeterministicFakeEmbedding(size=32))
    store.add_texts(TEXTS, [{"rating": 1.0 + number % 5} for number in range(len(TEXTS))])
    return {"store": store}


def llama_index() -> dict[str, Any]:
    embed_model = MockEmbedding(embed_dim=8)
    vector_store = LlamaIndexStore(collection_name="docs", client=open_client())
    vector_store.add(
        [
            TextNode(text=text, metadata={"published": f"2026-0{month}-01T00:00:00Z"}, embedding=[1.0, *[0.1 * month] * 7])
            for month, text in enumerate(TEXTS, 1)
        ]
    )
    return {"vector_store": vector_store, "embed_model": embed_model}


class _Keywords:
    def encode_query(self, text: str) -> models.SparseVector:
        numbers = sorted({sum(map(ord, word)) % 4096 for word in text.lower().split()})
        return models.SparseVector(indices=numbers, values=[1.0] * len(numbers))

    def encode_documents(self, texts: Sequence[str]) -> list[models.SparseVector]:
        return [self.encode_query(text) for text in texts]


def core() -> dict[str, Any]:
    dense, sparse = HashedNgrams(size=64), _Keywords()
    client = open_client()
    client.create_collection(
        "guide",
        vectors_config={"dense": models.VectorParams(size=64, distance=models.Distance.COSINE)},
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    client.upsert(
        "guide",
        [
            models.PointStruct(
                id=number,
                vector={"dense": list(dense.encode_query(text)), "bm25": sparse.encode_query(text)},
                payload={"text": text, "price": 10.0 * number, "category": "cycling" if "ike" in text else "stay"},
            )
            for number, text in enumerate(TEXTS)
        ],
    )
    return {"client": client, "encoders": Encoders.of({"dense": dense, "bm25": sparse})}


class GuideEmbeddings(Embeddings):
    """LangChain's interface to hashed n-grams."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, vector)) for vector in HashedNgrams().encode_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        return list(map(float, HashedNgrams().encode_query(text)))


class GuideEmbedModel(BaseEmbedding):
    """LlamaIndex's interface to the same."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return GuideEmbeddings().embed_query(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return GuideEmbeddings().embed_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return GuideEmbeddings().embed_query(query)


def shared_words(query: str, texts: Sequence[str]) -> list[float]:
    """A reranker: the share of the query's words that each text has."""
    words = set(query.lower().split())
    return [len(words & set(text.lower().split())) / len(words) for text in texts]


def guide_langchain() -> dict[str, Any]:
    """The demo's travel guide as langchain-qdrant writes it, without a sparse vector."""
    client, embeddings = QdrantClient(":memory:"), GuideEmbeddings()
    vectors = models.VectorParams(size=len(embeddings.embed_query("")), distance=models.Distance.COSINE)
    client.create_collection("docs", vectors_config=vectors)
    store = QdrantVectorStore(client=client, collection_name="docs", embedding=embeddings)
    documents = list(read_jsonl(CORPUS))
    tenants = [{**each.payload, "tenant": ("acme", "globex")[number % 2]} for number, each in enumerate(documents)]
    store.add_texts([each.text for each in documents], tenants)
    return {"client": client, "embeddings": embeddings, "store": store, "reranker": shared_words}


def guide_llama_index() -> dict[str, Any]:
    """The demo's travel guide as LlamaIndex writes it."""
    embed_model = GuideEmbedModel()
    vector_store = LlamaIndexStore(collection_name="nodes", client=QdrantClient(":memory:"))
    nodes: list[BaseNode] = [
        TextNode(
            text=each.text, metadata={**each.payload, "location": None}, embedding=embed_model.get_text_embedding(each.text)
        )
        for each in read_jsonl(CORPUS)
    ]
    vector_store.add(nodes)
    index = VectorStoreIndex.from_vector_store(vector_store, embed_model=embed_model)
    return {"vector_store": vector_store, "embed_model": embed_model, "index": index, "reranker": shared_words}


def guide() -> dict[str, Any]:
    """The demo's travel guide with dense vectors and BM25, as `ingest` writes it."""
    client = QdrantClient(":memory:")
    encoders: dict[str, Any] = {"dense": HashedNgrams(), "bm25": Bm25()}
    ensure_collection(client, "guide", encoders)
    ingest(client, "guide", read_jsonl(CORPUS), encoders)
    executor = Executor(client, "guide", encoders=encoders)
    return {"client": client, "encoders": encoders, "executor": executor, "reranker": shared_words}
