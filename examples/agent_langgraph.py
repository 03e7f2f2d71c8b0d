"""A LangGraph graph whose search tool learns the tenant from the run's context. Runs offline.

The embedding counts words, and the node that would ask a model asks always for the same.
"""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_qdrant import QdrantVectorStore
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import get_runtime
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever, search_tool


class CountedWords(Embeddings):
    """How often words occur, by 256 numbers that words are hashed to."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        words = [crc32(word.encode()) % 256 for word in text.lower().split()]
        return [float(words.count(place)) for place in range(256)]


@dataclass
class Visitor:
    """Who runs the graph: set by your session, out of the model's reach."""

    tenant: str


client, embeddings = QdrantClient(":memory:"), CountedWords()
client.create_collection("offers", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
store = QdrantVectorStore(client, "offers", embeddings)
for tenant in ("acme", "globex"):
    store.add_texts([f"a bed by the lake, offer {n} of {tenant}" for n in range(20)], [{"tenant": tenant}] * 20)


def tenant_of(config: RunnableConfig) -> models.Filter:
    """The filter that every document has to meet; if this fails, nothing is searched."""
    tenant = get_runtime(Visitor).context.tenant
    return models.Filter(must=[models.FieldCondition(key="metadata.tenant", match=models.MatchValue(value=tenant))])


tool = search_tool(QdrantRerankRetriever.from_vector_store(store, k=3), runtime_filter=tenant_of)


def ask(state: MessagesState) -> dict[str, Any]:
    """Where a model would decide what to search for."""
    call = {"name": tool.name, "args": {"query": "a bed by the lake"}, "id": "1"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


builder = StateGraph(MessagesState, context_schema=Visitor)
builder.add_node("ask", ask)
builder.add_node("search", ToolNode([tool]))
builder.add_edge(START, "ask")
builder.add_edge("ask", "search")
graph = builder.compile()

for tenant in ("acme", "globex"):
    answer = graph.invoke({"messages": [("user", "a bed, please")]}, context=Visitor(tenant))
    print(tenant, "sees:", answer["messages"][-1].content)
