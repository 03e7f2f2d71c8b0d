"""What the LangChain tests share: embeddings that depend on the text alone, and a collection as langchain-qdrant writes it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import SparseEmbeddings
from langchain_qdrant.sparse_embeddings import SparseVector
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Formula, Fusion, Mmr, Nearest, Strategy, field, score
from tests.engines import current, open_client
from tests.support import CountingClient, bm25, colbert, dense, near, stored_words, toy_config, toy_points

DOCS = "docs"
QUERY = "quick brown fox"

RATING = field("metadata.rating", default=3.0)
CANDIDATES = (Nearest("dense", limit=20), Nearest("bm25", limit=20))
STRATEGIES: Mapping[str, Strategy] = {
    "dense": Nearest("dense"),
    "sparse": Nearest("bm25"),
    "rrf": Fusion.rrf(k=61, weights=[2.0, 1.0]).over(*CANDIDATES),
    "dbsf": Fusion.dbsf().over(*CANDIDATES),
    "formula": Formula(0.8 * score() + 0.2 * RATING).over(Nearest("dense", limit=20)),
    "formula_two_candidates": Formula(score("dense") + 0.1 * score("bm25") + 0.01 * RATING).over(*CANDIDATES),
    "mmr": Mmr("dense", diversity=0.3),
    "colbert": Nearest("colbert").over(Nearest("dense", limit=20)),
    "nested": Nearest("colbert").over(Fusion.rrf(limit=15).over(*CANDIDATES)),
}
"""Every kind of strategy that Qdrant runs by itself."""


class WordEmbeddings(Embeddings):
    """Dense embeddings that count their calls; async without a thread, as an API's would be."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        self.calls.append("embed_query")
        return dense(text)

    async def aembed_query(self, text: str) -> list[float]:
        self.calls.append("aembed_query")
        return dense(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [dense(text) for text in texts]


class WordSparse(SparseEmbeddings):
    """langchain-qdrant's interface for sparse embeddings."""

    def embed_query(self, text: str) -> SparseVector:
        vector = bm25(text)
        return SparseVector(indices=vector.indices, values=vector.values)

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [SparseVector(indices=words.indices, values=words.values) for words in map(stored_words, texts)]


def fill_docs(client: QdrantClient, name: str = DOCS) -> QdrantClient:
    """Make the toy collection with its payload as langchain-qdrant writes it: 24 points, ids 1 to 24."""
    client.create_collection(name, **toy_config())
    client.upsert(name, [_as_langchain(point) for point in toy_points()])
    return client


def _as_langchain(point: models.PointStruct) -> models.PointStruct:
    payload = dict(point.payload or {})
    text = payload.pop("text")
    return models.PointStruct(id=point.id, vector=point.vector, payload={"page_content": text, "metadata": payload})


@functools.cache
def shared_client() -> QdrantClient:
    """A client with the collection, for tests that don't change it."""
    client = open_client(keep=True)
    fill_docs(client)
    return client


def counting_client() -> CountingClient:
    """A client with the collection, that notes the calls which would be round trips."""
    client = CountingClient()
    fill_docs(client)
    client.calls.clear()
    return client


def settings() -> dict[str, Any]:
    """Everything that a retriever over the collection needs."""
    return {
        "client": shared_client(),
        "collection_name": DOCS,
        "embedding": WordEmbeddings(),
        "sparse_embedding": WordSparse(),
        "encoders": {"colbert": colbert},
        "score_key": "score",  # which most tests compare
    }


def make(**changes: Any) -> QdrantRerankRetriever:
    """A retriever over the collection."""
    return QdrantRerankRetriever(**{**settings(), **changes})


def must(key: str, value: str) -> models.Filter:
    """The filter for one value of a metadata key."""
    condition = models.FieldCondition(key=f"metadata.{key}", match=models.MatchValue(value=value))
    return models.Filter(must=[condition])


def ids(documents: list[Document]) -> list[str | None]:
    """The documents' ids, best first."""
    return [document.id for document in documents]


def assert_same(found: list[Document], expected: list[Document]) -> None:
    """Two answers are equal, but for the last digits of scores, in which local mode varies from one search to the next.

    Other engines return what ties in any order, at the end others that tie.
    """
    scores = [[document.metadata.get("score", 0.0) for document in documents] for documents in (found, expected)]
    if current().kind == "local":
        assert near(found) == near(expected)
    else:
        assert near(scores[0]) == near(scores[1])
        assert near(_settled(found)) == near(_settled(expected))


def _settled(documents: list[Document]) -> list[Document]:
    """The documents above the last score, those that tie in the order of their ids."""
    ranked = [(-round(document.metadata.get("score", 0.0), 5), document.id or "", document) for document in documents]
    return [document for *_, document in sorted(ranked, key=lambda each: each[:2]) if round(ranked[-1][0], 4) != round(_[0], 4)]
