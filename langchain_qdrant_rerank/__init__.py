"""Qdrant's rerank strategies as a LangChain retriever and agent tool, and its rerankers as a document compressor.

    from langchain_qdrant_rerank import QdrantRerankRetriever
    from qdrant_rerank import Formula, Nearest, field, score

    strategy = Formula(0.8 * score() + 0.2 * field("metadata.rating", default=3.0)).over(Nearest(limit=100))
    retriever = QdrantRerankRetriever.from_vector_store(store, strategy=strategy, k=5)
    documents = retriever.invoke("how do I …?")

This package needs langchain-core; langchain-qdrant only where its `QdrantVectorStore` is what you have.
"""

from __future__ import annotations

from .compressor import QdrantRerankCompressor
from .retriever import CallOptions, QdrantRerankRetriever
from .tool import QdrantSearchTool, asearch_tool, search_tool

__all__ = [
    "CallOptions",
    "QdrantRerankCompressor",
    "QdrantRerankRetriever",
    "QdrantSearchTool",
    "asearch_tool",
    "search_tool",
]
