"""Nothing that runs in a thread runs in asyncio's own pool, which is small and belongs to the application."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from qdrant_client import QdrantClient

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Nearest, Rerank
from qdrant_rerank.models import Cached, LlmPointwise, ScoreCache
from tests.support import dense, fill_toy


class Refusing(ThreadPoolExecutor):
    """A pool that takes nothing."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("asyncio's own pool was used")


class Plain(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [dense(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return dense(text)


class Compressor(BaseDocumentCompressor):
    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> Sequence[Document]:
        return documents


class Postprocessor(BaseNodePostprocessor):
    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        return nodes


def lengths(query: str, texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def chat() -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage("yes")] * 200))


MODELS: dict[str, Any] = {
    "function": lambda: lengths,
    "cached": lambda: Cached(lengths, ScoreCache()),
    "compressor": Compressor,
    "postprocessor": Postprocessor,
    "llm function": lambda: LlmPointwise(lambda prompt: "yes", name="function"),
    "chat model": lambda: LlmPointwise(chat(), name="chat"),
}


@pytest.mark.parametrize("name", MODELS)
async def test_models_embeddings_and_engines_in_process_run_in_threads_of_ours(name: str) -> None:
    asyncio.get_running_loop().set_default_executor(Refusing(1))
    retriever = QdrantRerankRetriever(
        client=fill_toy(QdrantClient(":memory:")),
        collection_name="toy",
        embedding=Plain(),
        reranker=MODELS[name](),
        strategy=Rerank(reads=5).over(Nearest("dense")),
        payload="flat",
    )
    assert len(await retriever.ainvoke("quick brown fox")) == 4
