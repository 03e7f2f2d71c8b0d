"""The ways to make a retriever of something that is there: a vector store, an index, a collection in a folder."""

from __future__ import annotations

from os import PathLike
from typing import Any, Self

from llama_index.core.base.base_retriever import BaseRetriever
from qdrant_client import QdrantClient

from qdrant_rerank import StrategyError
from qdrant_rerank._internals import kept_open

__all__ = ["Making"]


class Making(BaseRetriever):
    """What makes retrievers, for `QdrantRerankRetriever` to inherit."""

    @classmethod
    def from_vector_store(cls, vector_store: Any, embed_model: Any | None = None, **arguments: Any) -> Self:
        """A retriever over what a `llama_index.vector_stores.qdrant.QdrantVectorStore` holds.

        Args:
            vector_store: its clients, collection, vector names, sparse query function and text key are read at each
                query.
            embed_model: as for the constructor.
            **arguments: the constructor's. Without a strategy: `Nearest` by the store's dense vector; for a hybrid
                store `Fusion.rrf()` with its sparse one, 100 candidates of each.

        Raises:
            StrategyError: the store isn't one.
        """
        settings: dict[str, Any] = {**arguments, "vector_store": vector_store, "embed_model": embed_model}
        return cls(**settings)

    @classmethod
    def from_index(cls, index: Any, **arguments: Any) -> Self:
        """A retriever over a `VectorStoreIndex` whose vector store is Qdrant's.

        Args:
            index: its vector store, embedding model, callback manager and objects are taken over.
            **arguments: the constructor's, before the index's.

        Raises:
            StrategyError: the index has no vector store, or not Qdrant's.
        """
        if not hasattr(index, "vector_store"):
            raise StrategyError(f"index must be a VectorStoreIndex, got {type(index).__name__}, which has no vector_store")
        found: dict[str, Any] = {
            "embed_model": getattr(index, "_embed_model", None),
            "callback_manager": getattr(index, "_callback_manager", None),
            "object_map": getattr(index, "_object_map", None),
        }
        settings: dict[str, Any] = dict(vector_store=index.vector_store, **{**found, **arguments})  # not given twice
        return cls(**settings)

    @classmethod
    def from_edge(cls, path: str | PathLike[str], collection_name: str, **arguments: Any) -> Self:
        """A retriever over a collection in a folder, which Qdrant's Rust engine searches in this process. No request.

        The folder's collection has one owner: while this retriever's client has it open, another client, in this process
        or another, can't. `retriever.close()` closes it; retrievers over the same folder share one client:
        `QdrantRerankRetriever(client=retriever.client, collection_name="other")`. Async calls run in a worker thread, and
        keep the event loop waiting for one query of the engine at most.

        Args:
            path: the folder of collections, as `EdgeClient` takes it; `path/collection_name` is this one. Where a folder is
                itself one collection: `client=EdgeClient(path, collection=collection_name)` instead.
            collection_name: the collection to search.
            **arguments: the constructor's.

        Raises:
            MissingExtra: qdrant-edge isn't installed.
            ClientError: the path is a file, or a folder that qdrant-client's local mode wrote.
        """
        from qdrant_rerank.edge import EdgeClient

        with kept_open(EdgeClient(path)) as client:
            settings: dict[str, Any] = dict(client=client, collection_name=collection_name, **arguments)  # none of them twice
            made = cls(**settings)
            made._own(client)
            return made

    def _own(self, client: QdrantClient) -> None:
        """Have `close` close a client that was made for this retriever."""
        raise NotImplementedError
