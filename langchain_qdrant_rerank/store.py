"""What a `langchain_qdrant.QdrantVectorStore` knows, as arguments of the retriever.

langchain-qdrant is not imported: a store is known by its attributes.
"""

from __future__ import annotations

from typing import Any

from qdrant_rerank import Fusion, Nearest, PayloadMapping, Strategy

__all__ = ["store_fields", "store_strategy"]

_ATTRIBUTES = (
    "client",
    "collection_name",
    "embeddings",
    "retrieval_mode",
    "vector_name",
    "sparse_vector_name",
    "content_payload_key",
    "metadata_payload_key",
)


def store_fields(store: Any) -> dict[str, Any]:
    """The retriever's arguments that find what the store holds.

    Raises:
        TypeError: it is no `QdrantVectorStore`.
    """
    lacking = [name for name in _ATTRIBUTES if not hasattr(store, name)]
    if lacking:
        what = f"the class {store.__name__}" if isinstance(store, type) else type(store).__name__
        raise TypeError(
            f"from_vector_store takes a langchain_qdrant.QdrantVectorStore, got {what}, which lacks {', '.join(lacking)}; "
            "for anything else: QdrantRerankRetriever(client=…, collection_name=…, embedding=…)"
        )
    return {
        "client": store.client,
        "collection_name": store.collection_name,
        "embedding": store.embeddings,
        "sparse_embedding": _sparse_embeddings(store),
        "payload": PayloadMapping(text=store.content_payload_key, metadata=store.metadata_payload_key),
        "tags": _tags(store),
    }


def _sparse_embeddings(store: Any) -> Any:
    try:
        return store.sparse_embeddings
    except ValueError:  # what the store raises when it has none
        return None


def store_strategy(store: Any) -> Strategy:
    """What the store's mode does; hybrid search with 100 candidates or more of each vector, where the store takes k.

    Raises:
        TypeError: the mode is unknown.
    """
    dense, sparse = Nearest(store.vector_name), Nearest(store.sparse_vector_name)
    strategies: dict[str, Strategy] = {"dense": dense, "sparse": sparse, "hybrid": Fusion.rrf().over(dense, sparse)}
    mode = str(getattr(store.retrieval_mode, "value", store.retrieval_mode))
    if mode not in strategies:
        raise TypeError(f"the store's retrieval_mode {mode!r} is none of {', '.join(strategies)}: pass strategy=…")
    return strategies[mode]


def _tags(store: Any) -> list[str]:
    """The tags that `store.as_retriever()` would have in traces."""
    embeddings = [] if store.embeddings is None else [type(store.embeddings).__name__]
    return [type(store).__name__, *embeddings]
