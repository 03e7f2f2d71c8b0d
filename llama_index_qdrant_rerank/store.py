"""Where the points are: clients, collection and encoders, from arguments or from a vector store.

A store is read anew at each query: LlamaIndex's `QdrantVectorStore` finds out the names of its vectors only when it is
first used. It is known by its attributes, so that its package need not be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.settings import Settings
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Fusion, Nearest, QueryError, Retries, StrategyError
from qdrant_rerank._internals import (
    SCHEMA_TTL,
    AsyncClientLike,
    Clients,
    PayloadLike,
    QueryVector,
    check_schema_ttl,
    not_a_filter,
)
from qdrant_rerank.errors import ClientError
from qdrant_rerank.models import Encoder, Encoders
from qdrant_rerank.models._internals import EncoderLike, RerankerLike, as_reranker
from qdrant_rerank.planning import Capabilities, Schema
from qdrant_rerank.stages import Stage

__all__ = [
    "AnyEncoder",
    "EmbedModelEncoder",
    "EncodersLike",
    "Knowing",
    "Reading",
    "Source",
    "SparseEncoder",
    "SparseLike",
    "StoreSource",
    "encoders_of",
    "plain",
    "source_of",
]

BatchSparse: TypeAlias = Callable[[list[str]], "tuple[list[list[int]], list[list[float]]]"]
"""LlamaIndex's sparse functions: a list of texts → their indices, and their values."""
SparseLike: TypeAlias = "Encoder | Callable[[str], models.SparseVector] | BatchSparse"
AnyEncoder: TypeAlias = "EncoderLike | BaseEmbedding"
EncodersLike: TypeAlias = "Mapping[str, AnyEncoder] | Encoders"
"""Encoders by vector name; or `Encoders`, which may also be for all vectors of a kind."""


class EmbedModelEncoder:
    """A LlamaIndex embedding model as an encoder: query embeddings for queries, text embeddings for documents.

    Args:
        model: a LlamaIndex embedding model, a name that LlamaIndex knows (`"local:…"`), a LangChain embedding, or None
            for what `Settings.embed_model` is at each query. Resolved at the first query.

    Raises:
        StrategyError: it can't be an embedding model.
    """

    def __init__(self, model: BaseEmbedding | str | Any | None) -> None:
        if not (model is None or isinstance(model, BaseEmbedding | str) or hasattr(model, "embed_query")):
            raise StrategyError(f"embed_model must be a LlamaIndex embedding model, got {type(model).__name__}")
        self._model = model

    def _resolved(self) -> BaseEmbedding:
        if self._model is None:
            return Settings.embed_model
        if not isinstance(self._model, BaseEmbedding):
            from llama_index.core.embeddings.utils import resolve_embed_model

            self._model = resolve_embed_model(self._model)
        return self._model

    def encode_query(self, text: str) -> QueryVector:
        return self._resolved().get_query_embedding(text)

    async def aencode_query(self, text: str) -> QueryVector:
        return await self._resolved().aget_query_embedding(text)

    def encode_documents(self, texts: Sequence[str]) -> Sequence[QueryVector]:
        return self._resolved().get_text_embedding_batch(list(texts))


class SparseEncoder:
    """A sparse function as an encoder: LlamaIndex's kind, which takes a list of texts, or one that takes a text.

    Which kind it is shows when it is first called with a list of one text: LlamaIndex's kind returns a list of indices
    and a list of values.

    Args:
        function: gives the function, or an encoder, at each query; None if there is none.
    """

    def __init__(self, function: Callable[[], SparseLike | None]) -> None:
        self._function = function
        self._takes_one: object = None  # the function that is known to take a text

    def encode_query(self, text: str) -> QueryVector:
        function: Any = self._function()
        if function is None:
            raise QueryError(
                "nothing to embed the query with for sparse vectors: the vector store has no sparse_query_fn; "
                "make it with enable_hybrid=True, or pass sparse_encoder=…"
            )
        if isinstance(function, Encoder):
            return function.encode_query(text)
        return self._of_one(function, text) if function is self._takes_one else self._tried(function, text)

    def _of_one(self, function: Any, text: str) -> QueryVector:
        vector: QueryVector = function(text)
        return vector

    def _tried(self, function: Any, text: str) -> QueryVector:
        """The vector by a function whose kind isn't known."""
        refusal: Exception | None = None
        try:
            if (vector := _first(function([text]))) is not None:
                return vector
        except (AttributeError, TypeError, ValueError) as error:  # what a function raises that expects a text, not a list
            refusal = error
        answer = self._of_one(function, text)
        if refusal is not None and not hasattr(answer, "indices"):  # it does take lists, and failed
            raise refusal
        self._takes_one = function
        return answer

    def encode_documents(self, texts: Sequence[str]) -> Sequence[QueryVector]:
        return [self.encode_query(text) for text in texts]


def _first(answer: Any) -> models.SparseVector | None:
    """The vector in a batch of one; None if the answer is no batch."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return None
    if not all(isinstance(part, tuple | list) and len(part) == 1 and isinstance(part[0], Sequence) for part in answer):
        return None
    [indices], [values] = answer
    return models.SparseVector(indices=[int(index) for index in indices], values=[float(value) for value in values])


def encoders_of(
    embed_model: Any | None,
    sparse: Callable[[], SparseLike | None] | None,
    named: EncodersLike | None,
) -> Encoders:
    """The encoders of a collection: as `named` says, else `embed_model` for dense and `sparse` for sparse vectors.

    Raises:
        StrategyError: something in `named` can't embed, or it is no mapping.
    """
    if isinstance(named, Encoders):
        rest = encoders_of(embed_model, sparse, None)
        return Encoders(named.named, {**rest.by_kind, **named.by_kind})
    if named is not None and not isinstance(named, Mapping):
        raise StrategyError(f"encoders takes encoders by vector name, or Encoders, got {type(named).__name__}")
    by_name = {
        name: EmbedModelEncoder(value) if isinstance(value, BaseEmbedding) else value for name, value in (named or {}).items()
    }
    return Encoders.of(by_name, dense=EmbedModelEncoder(embed_model), sparse=None if sparse is None else SparseEncoder(sparse))


E = TypeVar("E", Executor, AsyncExecutor)

_OLD_SPARSE = "text-sparse"  # what llama-index-vector-stores-qdrant called its sparse vector up to version 0.3


class Reading(NamedTuple):
    """What reads texts, and from where.

    Attributes:
        model: scores texts, for strategies that have a model read them.
        texts: from the store's text key to where a point's text is.
    """

    reranker: RerankerLike | None = None
    texts: Callable[[str], PayloadLike] = lambda text_key: "flat"


class Knowing(NamedTuple):
    """What an executor is told of the collection.

    Attributes:
        fixed_filter: what every point has to meet, in all that is searched.
        schema_ttl: seconds after which the schema is read again.
        retries: how often a request is made again, at most, after what may pass.
    """

    fixed_filter: models.Filter | None = None
    schema_ttl: float | None = SCHEMA_TTL
    retries: int | Retries = 0

    def checked(self) -> Self:
        """This, if it can be.

        Raises:
            StrategyError: it can't.
        """
        if self.fixed_filter is not None and not isinstance(self.fixed_filter, models.Filter):
            raise StrategyError(f"fixed_{not_a_filter(self.fixed_filter)}")
        check_schema_ttl(self.schema_ttl)
        Retries.of(self.retries)
        return self


class Place(NamedTuple):
    """A collection and how to reach it."""

    client: QdrantClient | None
    async_client: AsyncClientLike | None
    collection: str


class Source:
    """A collection, with what embeds queries for it; executors are made when they are first needed.

    Copies of a retriever share it, so that the collection's schema is read once.
    """

    def __init__(
        self,
        place: Place,
        embed_model: Any | None = None,
        sparse_encoder: SparseLike | None = None,
        encoders: EncodersLike | None = None,
        capabilities: Capabilities | None = None,
        knowing: Knowing | None = None,
    ) -> None:
        self._place = place
        self._encoders = encoders_of(embed_model, None if sparse_encoder is None else lambda: sparse_encoder, encoders)
        self._capabilities = capabilities
        self._knowing = knowing or Knowing()
        self._reading = Reading()
        self._made: dict[type[Any], tuple[Place, Any]] = {}
        self._owned: list[QdrantClient] = []
        self._closed = False

    def read_by(self, reading: Reading) -> Self:
        """This source, for strategies that have texts read; call it before the first query.

        Raises:
            StrategyError: the model is none.
        """
        if isinstance(reading.reranker, type):
            raise StrategyError(f"reranker must be a reranker; this is the class {reading.reranker.__name__}: pass an object")
        self._reading = reading if reading.reranker is None else reading._replace(reranker=as_reranker(reading.reranker))
        return self

    @property
    def place(self) -> Place:
        """Where the points are."""
        return self._place

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.place.collection

    @property
    def text_key(self) -> str:
        """Where the text is in points that LlamaIndex didn't write, or wrote long ago."""
        return "text"

    @property
    def own_encoders(self) -> frozenset[str]:
        """The names of the vectors that have an encoder of their own."""
        return frozenset(self._encoders.named)

    def strategy(self) -> Stage:
        """What a retriever without a strategy does."""
        return _DEFAULT

    def executor(self) -> Executor:
        """What runs sync calls."""
        return self._executor(Executor)

    def async_executor(self) -> AsyncExecutor:
        """What runs async calls."""
        return self._executor(AsyncExecutor)

    def refresh(self) -> None:
        """Forget what was read of the collection."""
        for _, executor in self._made.values():
            executor.refresh()

    def own(self, client: QdrantClient) -> None:
        """Close this client, which was made for this source, with it."""
        self._owned.append(client)

    def close(self) -> None:
        """Close the executors, and the clients that were made for this; never one that a user passed."""
        for executor in self._taken():
            executor.close()
        self._close_owned()

    async def aclose(self) -> None:
        """As `close`; what belongs to the running event loop is closed when this returns."""
        for executor in self._taken():
            await executor.aclose()
        self._close_owned()

    def _taken(self) -> list[Any]:
        self._closed = True
        made = [executor for _, executor in self._made.values()]
        self._made.clear()
        return made

    def _close_owned(self) -> None:
        while self._owned:
            self._owned.pop().close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # connections aren't copied

    def _executor(self, kind: type[E]) -> E:
        if self._closed:
            raise ClientError("this is closed: nothing can be asked after close() or aclose(); make another")
        place = self.place
        made: tuple[Place, E] | None = self._made.get(kind)
        if made is not None and made[0] == place:
            return made[1]
        executor = kind(
            place.client,
            place.collection,
            async_client=place.async_client,
            encoders=self._encoders,
            reranker=self._reading.reranker,
            payload=self._reading.texts(self.text_key),
            capabilities=self._capabilities,
            fixed_filter=self._knowing.fixed_filter,
            schema_ttl=self._knowing.schema_ttl,
            retries=self._knowing.retries,
        )
        self._made[kind] = place, executor
        return executor


_DEFAULT = Nearest()


@dataclass(frozen=True, repr=False)
class StoreVector(Nearest):
    """Search by a store's vector, under the first of its names that the collection has."""

    other_names: tuple[str, ...] = ()

    def resolved(self, schema: Schema) -> Self:
        names = [name for name in (self.using, *self.other_names) if name in schema.vectors]
        return super().resolved(schema) if not names else replace(super().resolved(schema), using=names[0])

    def _head(self) -> str:
        return repr(Nearest(self.using))


def plain(strategy: Stage) -> Stage:
    """`strategy` with `Nearest` in the place of a store's vectors, as users write it and as JSON holds it."""
    if isinstance(strategy, StoreVector):
        return Nearest(strategy.using)
    return replace(strategy, candidates=tuple(map(plain, strategy.candidates)))


class StoreSource(Source):
    """What a LlamaIndex `QdrantVectorStore` holds.

    Raises:
        StrategyError: the store isn't one.
    """

    def __init__(
        self,
        store: Any,
        embed_model: Any | None = None,
        sparse_encoder: SparseLike | None = None,
        encoders: EncodersLike | None = None,
        capabilities: Capabilities | None = None,
        knowing: Knowing | None = None,
    ) -> None:
        self._store = store
        if not isinstance(getattr(store, "collection_name", None), str) or not hasattr(store, "client"):
            raise StrategyError(
                f"vector_store must be LlamaIndex's QdrantVectorStore, got {type(store).__name__}, which has no client and "
                "collection_name; for a collection without such a store pass client= and collection_name="
            )
        super().__init__(self.place, embed_model, None, encoders, capabilities, knowing)
        self._encoders = encoders_of(embed_model, lambda: sparse_encoder or self._attribute("_sparse_query_fn"), encoders)
        self._strategies: dict[tuple[str, str | None], Stage] = {}

    def _attribute(self, name: str) -> Any:
        return getattr(self._store, name, None)

    @property
    def place(self) -> Place:
        asynchronous = self._attribute("_aclient") or self._attribute("aclient")
        return Place(self._store.client, asynchronous, self._store.collection_name)

    @property
    def collection(self) -> str:
        name: str = self._store.collection_name
        return name

    @property
    def text_key(self) -> str:
        return self._attribute("text_key") or "text"

    def strategy(self) -> Stage:
        """The nearest by the store's dense vector; of a hybrid store, fused with its sparse vector."""
        dense, sparse = self._attribute("dense_vector_name"), self._attribute("sparse_vector_name")
        names = dense, sparse if self._attribute("enable_hybrid") else None
        if names not in self._strategies:
            self._strategies[names] = _store_strategy(*names)
        return self._strategies[names]


def _store_strategy(dense: str | None, sparse: str | None) -> Stage:
    # An async store learns at its first query that the collection's vector has no name
    by_dense = StoreVector(dense, other_names=("",))
    if sparse is None:
        return by_dense
    return Fusion.rrf().over(by_dense, StoreVector(sparse, other_names=(_OLD_SPARSE,)))


def source_of(
    vector_store: Any | None,
    client: QdrantClient | None,
    async_client: AsyncClientLike | None,
    collection_name: str | None,
    embed_model: Any | None,
    sparse_encoder: SparseLike | None,
    encoders: EncodersLike | None,
    capabilities: Capabilities | None,
    knowing: Knowing | None = None,
) -> Source:
    """The source that these arguments of a constructor mean.

    Raises:
        StrategyError: neither a store nor a collection's name, or both.
        ClientError: there is no client, or one of the wrong kind.
    """
    embedding = embed_model, sparse_encoder, encoders, capabilities, None if knowing is None else knowing.checked()
    if vector_store is not None:
        if client is not None or async_client is not None or collection_name is not None:
            raise StrategyError("a vector_store brings its client and collection_name: pass the one or the others")
        source: Source = StoreSource(vector_store, *embedding)
    elif not isinstance(collection_name, str) or not collection_name:
        raise StrategyError(f"collection_name must be the name of a collection, got {collection_name!r}")
    else:
        source = Source(Place(client, async_client, collection_name), *embedding)
    Clients(source.place.client, source.place.async_client)  # refuses what isn't a client now, not at the first query
    return source
