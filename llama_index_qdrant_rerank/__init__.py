"""Qdrant's rerank strategies as a LlamaIndex retriever, node postprocessor and agent tool.

    from llama_index_qdrant_rerank import QdrantRerankRetriever
    from qdrant_rerank import Formula, Nearest, field, score

    strategy = Formula(0.8 * score() + 0.2 * field("rating", default=3.0)).over(Nearest(limit=100))
    retriever = QdrantRerankRetriever.from_vector_store(vector_store, embed_model, strategy=strategy, similarity_top_k=6)
    nodes = retriever.retrieve("how do I …?")

This package needs llama-index-core; llama-index-vector-stores-qdrant only where its `QdrantVectorStore` is what you have.
"""

from __future__ import annotations

from qdrant_rerank.errors import MissingExtra

try:
    from .filters import to_qdrant_filter
    from .options import RetrievalOptions
    from .postprocessor import QdrantRerankPostprocessor, RerankerPostprocessor
    from .queries import ParamsQueryBundle
    from .retriever import QdrantRerankRetriever
    from .tool import QdrantSearchTool, asearch_tool, search_tool
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("llama_index"):
        raise
    raise MissingExtra("llama_index_qdrant_rerank", "llama-index") from error

__all__ = [
    "ParamsQueryBundle",
    "QdrantRerankPostprocessor",
    "QdrantRerankRetriever",
    "QdrantSearchTool",
    "RerankerPostprocessor",
    "RetrievalOptions",
    "asearch_tool",
    "search_tool",
    "to_qdrant_filter",
]
