"""A model that reads the candidates, in three steps of LangChain: in the retriever, blended, as a compressor. Runs offline.

The embedding and the model are stand-ins; use a real embedding, and e.g. `CohereReranker("rerank-v3.5")` for `shared_words`.
"""

from collections.abc import Sequence

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankCompressor, QdrantRerankRetriever
from qdrant_rerank import Nearest, Rerank, field
from qdrant_rerank.expressions import rerank_score

TRIPS = {"the night train to Rome": 4.5, "a bus to Rome by night": 2.0, "the ferry to Oslo": 4.0, "a day in Rome": 4.9}


def shared_words(query: str, texts: Sequence[str]) -> list[float]:
    """The share of the query's words that each text has: higher is better."""
    words = set(query.lower().split())
    return [len(words & set(text.lower().split())) / len(words) for text in texts]


client = QdrantClient(":memory:")
client.create_collection("trips", vectors_config=models.VectorParams(size=64, distance=models.Distance.COSINE))
store = QdrantVectorStore(client, "trips", DeterministicFakeEmbedding(size=64))
store.add_texts(list(TRIPS), [{"rating": rating} for rating in TRIPS.values()])

# Qdrant finds 25 candidates, the model reads them.
retriever = QdrantRerankRetriever.from_vector_store(
    store, strategy=Rerank(reads=25).over(Nearest()), reranker=shared_words, k=3
)
for document, relevance in retriever.search_with_scores("night train to Rome"):
    print(f"{relevance:.2f}  {document.page_content}")

# The model's score and the rating, together.
blend = 0.5 * rerank_score() + 0.1 * field("metadata.rating", default=3.0)
rated = retriever.invoke("night train to Rome", strategy=Rerank(reads=25, blend=blend).over(Nearest()))
print("well rated:", [document.page_content for document in rated])

# Documents of any retriever.
compressor = QdrantRerankCompressor(reranker=shared_words, top_n=1)
[best] = compressor.compress_documents(store.similarity_search("ferry", k=4), "the ferry to Oslo")
print("compressed:", best.page_content)
