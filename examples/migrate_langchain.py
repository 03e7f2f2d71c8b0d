"""From `store.as_retriever()` to ranking inside Qdrant, in a difference of few lines. Runs offline.

Lines that go are marked `# before`, lines that come `# after`. The embedding is a stand-in that knows no meaning.
"""

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever  # after
from qdrant_rerank import Formula, Nearest, field, score  # after

client = QdrantClient(":memory:")
client.create_collection("recipes", vectors_config=models.VectorParams(size=64, distance=models.Distance.COSINE))
store = QdrantVectorStore(client, "recipes", DeterministicFakeEmbedding(size=64))
recipes = {"tomato soup": 4.5, "pea soup": 3.1, "lentil curry": 4.8, "apple pie": 4.9, "rye bread": 2.2}
store.add_texts(list(recipes), [{"rating": rating} for rating in recipes.values()])

before = store.as_retriever(search_kwargs={"k": 3})  # before
retriever = QdrantRerankRetriever.from_vector_store(store, k=3)  # after
assert [each.page_content for each in retriever.invoke("pea soup")] == [each.page_content for each in before.invoke("pea soup")]

# The same results so far; what Qdrant may add to the similarity is one argument.
rated = Formula(score() + 0.5 * field("metadata.rating", default=3.0)).over(Nearest(limit=100))
retriever = QdrantRerankRetriever.from_vector_store(store, k=3, strategy=rated)  # after
print([document.page_content for document in retriever.invoke("pea soup")])
