"""What the documentation's code finds around it: the stores that a reader has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore
from llama_index.core import MockEmbedding
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import models

from qdrant_rerank.models import Encoders, HashedNgrams
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
