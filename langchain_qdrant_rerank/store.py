"""What a `langchain_qdrant.QdrantVectorStore` knows, as arguments of the retriever.

langchain-qdrant is not imported: a store is known by its attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Self

from langchain_core.retrievers import BaseRetriever
from qdrant_client import QdrantClient

from qdrant_rerank import Fusion, Nearest, PayloadMapping, Strategy
from qdrant_rerank._internals import client_options as client_options_of
from qdrant_rerank._internals import grpc_port_of, kept_open

from .executors import Executors

__all__ = ["Making", "store_fields", "store_strategy"]

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


class Making(BaseRetriever):
    """What makes retrievers, for `QdrantRerankRetriever` to inherit."""

    @classmethod
    def from_vector_store(cls, store: Any, **settings: Any) -> Self:
        """A retriever over what a `langchain_qdrant.QdrantVectorStore` holds.

        Args:
            store: its client, collection, embeddings, vector names and payload keys are taken over.
            **settings: fields of the retriever, before the store's. Without a strategy, what the store's
                `retrieval_mode` does; hybrid with 100 candidates of each vector instead of `k`.

        Raises:
            TypeError: the store is no `QdrantVectorStore`.
        """
        found = store_fields(store)
        tags = [*(settings.pop("tags", None) or []), *found.pop("tags")]
        if "strategy" not in settings:
            found["strategy"] = store_strategy(store)
        arguments: dict[str, Any] = {**found, **settings, "tags": tags}
        return cls(**arguments)

    @classmethod
    def from_existing_collection(
        cls,
        collection_name: str,
        *,
        url: str | None = None,
        path: str | None = None,
        api_key: str | None = None,
        prefer_grpc: bool = False,
        grpc_port: int | None = None,
        client_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Self:
        """A retriever over a collection, with a client made for it, that `retriever.close()` closes. No request.

        Args:
            collection_name: the collection to search.
            url, path, api_key, prefer_grpc: as `QdrantClient` takes them; with none of them, a server on this machine.
            grpc_port: the port for gRPC; needed with `prefer_grpc` unless REST is at 6333, beside which gRPC has 6334.
            client_options: further arguments of `QdrantClient`, e.g. `{"host": "…", "cloud_inference": True}`.
            **settings: fields of the retriever.

        Raises:
            ClientError: `prefer_grpc` for a server whose REST port isn't 6333, without `grpc_port`.
        """
        options = dict(url=url, path=path, api_key=api_key, prefer_grpc=prefer_grpc, **(client_options or {}))
        if grpc_port is not None:
            options = dict(grpc_port=grpc_port, **options)
        elif prefer_grpc and path is None and options.get("location") != ":memory:":
            options = {"grpc_port": _grpc_port(options), **options}
        return cls._owning(QdrantClient(**client_options_of(options)), collection_name, settings)

    @classmethod
    def from_edge(cls, path: str | PathLike[str], collection_name: str, **settings: Any) -> Self:
        """A retriever over a collection in a folder, which Qdrant's Rust engine searches in this process. No request.

        The folder's collection has one owner: while this retriever's client has it open, another client, in this process
        or another, can't. `retriever.close()` closes it; retrievers over the same folder share one client:
        `QdrantRerankRetriever(client=retriever.client, collection_name="other")`. Async calls run in a worker thread, and
        keep the event loop waiting for one query of the engine at most.

        Args:
            path: the folder of collections, as `EdgeClient` takes it; `path/collection_name` is this one. Where a folder is
                itself one collection: `client=EdgeClient(path, collection=collection_name)` instead.
            collection_name: the collection to search.
            **settings: fields of the retriever.

        Raises:
            MissingExtra: qdrant-edge isn't installed.
            ClientError: the path is a file, or a folder that qdrant-client's local mode wrote.
        """
        from qdrant_rerank.edge import EdgeClient

        return cls._owning(EdgeClient(path), collection_name, settings)

    @classmethod
    def _owning(cls, client: QdrantClient, collection_name: str, settings: Mapping[str, Any]) -> Self:
        with kept_open(client):
            owner = {"executors": Executors().own(client)}
            arguments: dict[str, Any] = dict(client=client, collection_name=collection_name, **owner, **settings)  # none twice
            return cls(**arguments)


def _grpc_port(options: Mapping[str, Any]) -> int:
    return grpc_port_of(
        options["url"] or options.get("location") or options.get("host"), options.get("port"), options.get("grpc_port")
    )
