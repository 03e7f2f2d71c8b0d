"""A model that reads the candidates, with LlamaIndex: in the retriever, and as a postprocessor. Runs offline.

The embedding and the model are stand-ins; use a real embedding, and e.g. `CohereReranker("rerank-v3.5")` for `shared_words`.
"""

from collections.abc import Sequence

from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from llama_index_qdrant_rerank import QdrantRerankRetriever, RerankerPostprocessor
from qdrant_rerank import Nearest, Rerank, field
from qdrant_rerank.expressions import rerank_score

TRIPS = {"the night train to Rome": 4.5, "a bus to Rome by night": 2.0, "the ferry to Oslo": 4.0, "a day in Rome": 4.9}


def shared_words(query: str, texts: Sequence[str]) -> list[float]:
    """The share of the query's words that each text has: higher is better."""
    words = set(query.lower().split())
    return [len(words & set(text.lower().split())) / len(words) for text in texts]


nodes = [TextNode(text=text, metadata={"rating": rating}) for text, rating in TRIPS.items()]
storage = StorageContext.from_defaults(vector_store=QdrantVectorStore("trips", client=QdrantClient(":memory:")))
index = VectorStoreIndex(nodes, storage_context=storage, embed_model=MockEmbedding(embed_dim=8))

# Qdrant finds 25 candidates, the model reads them.
strategy = Rerank(reads=25).over(Nearest())
retriever = QdrantRerankRetriever.from_index(index, strategy=strategy, reranker=shared_words, similarity_top_k=3)
for found in retriever.retrieve("night train to Rome"):
    print(f"{found.score:.2f}  {found.text}")

# Nodes of any retriever, by the model's score and the rating together.
blend = 0.5 * rerank_score() + 0.1 * field("rating", default=3.0)
postprocessor = RerankerPostprocessor(reranker=shared_words, blend=blend, top_n=2)
best = postprocessor.postprocess_nodes(index.as_retriever(similarity_top_k=4).retrieve("Rome"), query_str="night train to Rome")
print("well rated:", [found.text for found in best])
