"""Search and reranking by popularity inside Qdrant, with LlamaIndex; runs without a network or a model.

The embedding is a stand-in that counts words; put your own (`OpenAIEmbedding()`, …) in its place.
"""

from zlib import crc32

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from llama_index_qdrant_rerank import QdrantRerankPostprocessor, QdrantRerankRetriever
from qdrant_rerank import Formula, Nearest, field, score


class CountedWords(BaseEmbedding):
    """How often words occur, by 256 numbers that words are hashed to."""

    def _get_text_embedding(self, text: str) -> list[float]:
        words = [crc32(word.encode()) % 256 for word in text.lower().split()]
        return [float(words.count(place)) for place in range(256)]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


trips = {"cheap flights to Rome": 3, "trains to Rome": 9, "cheap hotels in Rome": 7, "flights to Oslo": 5}
nodes = [TextNode(text=text, metadata={"popularity": number}) for text, number in trips.items()]
storage = StorageContext.from_defaults(vector_store=QdrantVectorStore("trips", client=QdrantClient(":memory:")))
index = VectorStoreIndex(nodes, storage_context=storage, embed_model=CountedWords())

# One request: Qdrant finds 50 candidates and scores them anew.
strategy = Formula(score() + 0.05 * field("popularity", default=0)).over(Nearest(limit=50))
found = QdrantRerankRetriever.from_index(index, strategy=strategy, similarity_top_k=3).retrieve("cheap flights to Rome")
for node in found:
    print(f"{node.score:.2f}  {node.text}")

# Nodes of any retriever, ranked anew by popularity alone.
rescore = QdrantRerankPostprocessor.from_vector_store(index.vector_store, strategy=Formula(field("popularity", default=0)))
print("most popular:", rescore.postprocess_nodes(found)[0].text)
