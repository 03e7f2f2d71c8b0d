"""A LangChain agent that searches one tenant's documents, and can't see another's. Runs offline.

The embedding counts words, and the model plays a part; use a real embedding, and e.g. `init_chat_model("openai:gpt-5")`.
"""

from typing import Any
from zlib import crc32

from langchain.agents import create_agent
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever, search_tool
from qdrant_rerank import Formula, Nearest, field, score


class CountedWords(Embeddings):
    """How often words occur, by 256 numbers that words are hashed to."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        words = [crc32(word.encode()) % 256 for word in text.lower().split()]
        return [float(words.count(place)) for place in range(256)]


class Scripted(GenericFakeChatModel):
    """Says what it was told to say; a real model decides by itself."""

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self


client, embeddings = QdrantClient(":memory:"), CountedWords()
client.create_collection("offers", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
store = QdrantVectorStore(client, "offers", embeddings)
for tenant in ("acme", "globex"):
    for number in range(20):
        kind = ("bed", "meal")[number % 2]
        details = {"tenant": tenant, "kind": kind, "price": 10 * number, "rating": number % 5}
        store.add_texts([f"a quiet {kind} by the lake, offer {number} of {tenant}"], [details])

# The tenant is fixed in code: no argument of the tool, no text and no call widens it.
mine = models.Filter(must=[models.FieldCondition(key="metadata.tenant", match=models.MatchValue(value="acme"))])
retriever = QdrantRerankRetriever.from_vector_store(
    store,
    fixed_filter=mine,
    strategy=Formula(score() + 0.02 * field("metadata.rating", default=0)).over(Nearest(limit=50)),
)
tool = search_tool(
    retriever, filters=["metadata.kind", "metadata.price"], max_k=3, description="Search offers of beds and meals."
)
print("arguments:", ", ".join(tool.args))

searches = {"name": tool.name, "args": {"query": "a quiet bed", "kind": ["bed"], "max_price": 120}, "id": "1"}
mistaken = {"name": tool.name, "args": {"query": "", "kind": ["castle"]}, "id": "2"}  # comes back as a text
script = [AIMessage("", tool_calls=[mistaken]), AIMessage("", tool_calls=[searches]), AIMessage("Offer 4 is quiet and cheap.")]
agent = create_agent(Scripted(messages=iter(script)), [tool])
for message in agent.invoke({"messages": [("user", "A quiet bed for less than 120?")]})["messages"]:
    message.pretty_print()
