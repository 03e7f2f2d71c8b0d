"""A web service for several tenants: one retriever for the process, opened and closed with it. Runs offline.

`uvicorn fastapi_service:app` in this folder serves it; `python fastapi_service.py` asks it once, in its own process. The
embedding counts words; use a real one, and `QdrantClient("https://…", api_key=…)`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from zlib import crc32

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Formula, Nearest, field, score
from qdrant_rerank.errors import QueryError, TimeoutError

TENANTS = {"key-of-acme": "acme", "key-of-globex": "globex"}  # yours are in a database, hashed
STRATEGY = Formula(score() + 0.02 * field("metadata.rating", default=0)).over(Nearest(limit=50))


class CountedWords(Embeddings):
    """How often words occur, by 256 numbers that words are hashed to."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        words = [crc32(word.encode()) % 256 for word in text.lower().split()]
        return [float(words.count(place)) for place in range(256)]


def open_client() -> QdrantClient:
    """A collection of two tenants in memory, in the place of your server's."""
    client = QdrantClient(":memory:")
    client.create_collection("offers", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
    store = QdrantVectorStore(client, "offers", CountedWords())
    for tenant in ("acme", "globex"):
        details = [{"tenant": tenant, "rating": number % 5} for number in range(20)]
        store.add_texts([f"a quiet bed by the lake, offer {number} of {tenant}" for number in range(20)], details)
    return client


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what all requests share, and check the strategy: a service that can't search doesn't start."""
    client = open_client()
    settings: dict[str, Any] = {"client": client, "collection_name": "offers", "embedding": CountedWords()}
    async with QdrantRerankRetriever(strategy=STRATEGY, timeout=2.0, **settings) as retriever:
        retriever.describe()
        app.state.retriever = retriever
        yield
    client.close()


app = FastAPI(lifespan=lifespan)


def retriever_of(request: Request, api_key: Annotated[str, Header()]) -> QdrantRerankRetriever:
    """The retriever of the tenant whose key came along; connections and the known schema are shared."""
    if api_key not in TENANTS:
        raise HTTPException(401, "unknown key")
    mine = models.FieldCondition(key="metadata.tenant", match=models.MatchValue(value=TENANTS[api_key]))
    shared: QdrantRerankRetriever = request.app.state.retriever
    return shared.model_copy(update={"fixed_filter": models.Filter(must=[mine])})


@app.get("/search")
async def search(
    q: str,
    retriever: Annotated[QdrantRerankRetriever, Depends(retriever_of)],
    k: Annotated[int, Query(ge=1, le=20)] = 4,
) -> list[dict[str, Any]]:
    """The documents of the caller's tenant that answer `q` best."""
    try:
        documents = await retriever.ainvoke(q, k=k)
    except TimeoutError as error:
        raise HTTPException(504, "the search took too long") from error
    except QueryError as error:  # what the caller sent can't be asked
        raise HTTPException(422, str(error)) from error
    return [{"id": document.id, "text": document.page_content} for document in documents]


if __name__ == "__main__":
    from fastapi.testclient import TestClient

    with TestClient(app) as browser:
        found = browser.get("/search", params={"q": "a quiet bed"}, headers={"api-key": "key-of-acme"})
        print(found.status_code, found.json())
