"""What a retriever keeps between calls: executors, which hold connections and what was read of the collection."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Retries
from qdrant_rerank._internals import AsyncClientLike, PayloadLike
from qdrant_rerank.errors import ClientError
from qdrant_rerank.models._internals import RerankerLike
from qdrant_rerank.planning import Capabilities

from .fields import AnyEncoder, EncodersLike, encoders_of, listed

if TYPE_CHECKING:
    from .retriever import QdrantRerankRetriever

__all__ = ["Executors", "Parts"]

E = TypeVar("E", Executor, AsyncExecutor)

_KEPT = 32


@dataclass(frozen=True, eq=False)
class Parts:
    """What an executor is made of; as the retriever's fields of the same names."""

    client: QdrantClient | None
    async_client: AsyncClientLike | None
    collection: str
    embeddings: AnyEncoder
    sparse_embeddings: AnyEncoder
    encoders: EncodersLike
    reranker: RerankerLike | None
    payload: PayloadLike
    capabilities: Capabilities | None
    fixed_filter: models.Filter | None
    schema_ttl: float | None
    retries: int | Retries

    @classmethod
    def of(cls, retriever: QdrantRerankRetriever) -> Parts:
        """The parts of this retriever's executors."""
        return cls(
            retriever.client,
            retriever.async_client,
            retriever.collection_name,
            retriever.embedding,
            retriever.sparse_embedding,
            retriever.encoders,
            retriever.reranker,
            retriever.payload,
            retriever.capabilities,
            retriever.fixed_filter,
            retriever.schema_ttl,
            retriever.retries,
        )

    def key(self) -> Hashable:
        """The same for the same objects."""
        encoders = listed(self.encoders)
        parts = (self.client, self.async_client, self.embeddings, self.sparse_embeddings, self.reranker, *encoders.values())
        payload = id(self.payload) if callable(self.payload) else self.payload
        fixed = None if self.fixed_filter is None else self.fixed_filter.model_dump_json()
        return (self.collection, self.capabilities, payload, fixed, self.schema_ttl, self.retries, *encoders, *map(id, parts))

    def made(self, kind: type[E]) -> E:
        """An executor of these parts; makes no request."""
        return kind(
            self.client,
            self.collection,
            async_client=self.async_client,
            encoders=encoders_of(self.embeddings, self.sparse_embeddings, self.encoders),
            reranker=self.reranker,
            payload=self.payload,
            capabilities=self.capabilities,
            fixed_filter=self.fixed_filter,
            schema_ttl=self.schema_ttl,
            retries=self.retries,
        )


class Executors:
    """Executors by what they are made of, each made when it is first needed.

    A retriever hands this on to its copies. `configurable_fields` makes a retriever anew for each call: through this
    it finds the executor of the last call, and one of its own if the client, collection or encoders differ.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[Hashable, tuple[Parts, Executor | AsyncExecutor]] = OrderedDict()
        self._owned: list[QdrantClient] = []
        self._closed = False
        self._lock = Lock()

    def own(self, client: QdrantClient) -> Executors:
        """These, which are to close a client that was made for them."""
        self._owned.append(client)
        return self

    def get(self, kind: type[E], parts: Parts) -> E:
        """The executor of these parts."""
        key = kind, parts.key()
        with self._lock:
            if self._closed:
                raise ClientError("this retriever is closed: nothing can be asked after close() or aclose(); make another")
            if key not in self._made:
                self._made[key] = parts, parts.made(kind)  # holding the parts keeps their ids from being reused
                while len(self._made) > _KEPT:  # not closed: a call may be under way
                    self._made.popitem(last=False)
            executor = self._made[key][1]
        assert isinstance(executor, kind)
        return executor

    def refresh(self) -> None:
        """Have every executor forget its collection's schema."""
        with self._lock:
            for _, executor in self._made.values():
                executor.refresh()

    def close(self) -> None:
        """Close every executor, and the clients that were made for these; never one that a user passed."""
        for executor in self._taken():
            executor.close()
        self._close_owned()

    async def aclose(self) -> None:
        """As `close`; what belongs to the running event loop is closed when this returns."""
        for executor in self._taken():
            await executor.aclose()
        self._close_owned()

    def _taken(self) -> list[Executor | AsyncExecutor]:
        with self._lock:
            self._closed = True
            made = [executor for _, executor in self._made.values()]
            self._made.clear()
            return made

    def _close_owned(self) -> None:
        while self._owned:
            self._owned.pop().close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Executors)  # what is kept is no part of a retriever's value

    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return Executors, ()  # connections are neither pickled nor deep-copied
