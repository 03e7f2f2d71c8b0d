"""A LlamaIndex agent that searches one tenant's nodes, and the same retriever in a query engine. Runs offline.

The embedding counts words, and the models play a part; use a real embedding, and e.g. `OpenAI("gpt-5")`.
"""

import asyncio
from typing import Any
from zlib import crc32

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from llama_index_qdrant_rerank import QdrantRerankRetriever, search_tool
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


embed_model = CountedWords()
vector_store = QdrantVectorStore("offers", client=QdrantClient(":memory:"))
for tenant in ("acme", "globex"):
    for number in range(20):
        text = f"a quiet {('bed', 'meal')[number % 2]} by the lake, offer {number} of {tenant}"
        details = {"tenant": tenant, "kind": ("bed", "meal")[number % 2], "rating": number % 5}
        vector_store.add([TextNode(text=text, metadata=details, embedding=embed_model.get_text_embedding(text))])

# The tenant is fixed in code: no argument of the tool, no text and no call widens it.
mine = models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value="acme"))])
strategy = Formula(score() + 0.02 * field("rating", default=0)).over(Nearest(limit=50))
retriever = QdrantRerankRetriever.from_vector_store(
    vector_store, embed_model, strategy=strategy, fixed_filter=mine, similarity_top_k=3
)

engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
print("sources:", [source.text for source in engine.query("a quiet bed").source_nodes])

tool = search_tool(retriever, filters=["kind"], max_k=3, description="Search offers of beds and meals.")
searches: dict[str, Any] = {"query": "a quiet bed", "kind": ["bed"]}
script = iter(
    [
        ChatMessage(
            role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="search_documents", tool_kwargs=searches)]
        ),
        ChatMessage("Offer 4 is quiet.", role="assistant"),
    ]
)
llm = MockFunctionCallingLLM(response_generator=lambda messages, **options: next(script), is_chat_model=True)


async def main() -> None:
    """Ask the agent, and print what its tool found."""
    handler = FunctionAgent(tools=[tool], llm=llm).run(user_msg="Where can I sleep quietly?")
    async for event in handler.stream_events():
        if isinstance(event, ToolCallResult):
            print(event.tool_output.content)
    print("agent:", await handler)


asyncio.run(main())
