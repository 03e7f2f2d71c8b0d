"""Where the points are: clients, collection and encoders, from arguments or from a vector store.

A store is read again at each query: LlamaIndex's `QdrantVectorStore` finds out the names of its vectors only when it is
first used. It is known by its attributes, so that its package need not be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import is_
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.settings import Settings
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Fusion, Nearest, QueryError, Retries, StrategyError
from qdrant_rerank._internals import (
    SCHEMA_TTL,
    AsyncClientLike,
    Clients,
    EncoderLike,
    Executors,
    PayloadLike,
    QueryVector,
    RerankerLike,
    check_flag,
    check_reranker,
    check_schema_ttl,
    identify,
    not_a_filter,
)
from qdrant_rerank.models import Encoder, Encoders
from qdrant_rerank.planning import Capabilities, Schema
from qdrant_rerank.stages import Stage

__all__ = [
    "EmbedModelEncoder",
    "EncodersLike",
    "ExecutorSettings",
    "Source",
    "SparseEncoder",
    "SparseLike",
    "StoreVector",
    "make_encoders",
    "make_source",
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

    def _resolve(self) -> BaseEmbedding:
        if self._model is None:
            return Settings.embed_model
        if not isinstance(self._model, BaseEmbedding):
            from llama_index.core.embeddings.utils import resolve_embed_model

            self._model = resolve_embed_model(self._model)
        return self._model

    @property
    def fingerprint(self) -> str | None:
        """The model's name and settings; None where it says no name."""
        return identify(self._resolve())

    def encode_query(self, text: str) -> QueryVector:
        return self._resolve().get_query_embedding(text)

    async def aencode_query(self, text: str) -> QueryVector:
        return await self._resolve().aget_query_embedding(text)

    def encode_documents(self, texts: Sequence[str]) -> Sequence[QueryVector]:
        return self._resolve().get_text_embedding_batch(list(texts))


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

    @property
    def fingerprint(self) -> str | None:
        return identify(self._function())

    def encode_query(self, text: str) -> QueryVector:
        function: Any = self._function()
        if function is None:
            raise QueryError(
                "nothing to embed the query with for sparse vectors: the vector store has no sparse_query_fn; "
                "make it with enable_hybrid=True, or pass sparse_encoder=…"
            )
        if isinstance(function, Encoder):
            return function.encode_query(text)
        return self._of_one(function, text) if function is self._takes_one else self._try(function, text)

    def _of_one(self, function: Any, text: str) -> QueryVector:
        vector: QueryVector = function(text)
        return vector

    def _try(self, function: Any, text: str) -> QueryVector:
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


def make_encoders(
    embed_model: Any | None,
    sparse: Callable[[], SparseLike | None] | None,
    named: EncodersLike | None,
) -> Encoders:
    """The encoders of a collection: as `named` says, else `embed_model` for dense and `sparse` for sparse vectors.

    Raises:
        StrategyError: something in `named` can't embed, or it is no mapping.
    """
    if isinstance(named, Encoders):
        rest = make_encoders(embed_model, sparse, None)
        return Encoders(named.named, {**rest.by_kind, **named.by_kind})
    if named is not None and not isinstance(named, Mapping):
        raise StrategyError(f"encoders takes encoders by vector name, or Encoders, got {type(named).__name__}")
    by_name = {
        name: EmbedModelEncoder(value) if isinstance(value, BaseEmbedding) else value for name, value in (named or {}).items()
    }
    return Encoders.of(by_name, dense=EmbedModelEncoder(embed_model), sparse=None if sparse is None else SparseEncoder(sparse))


E = TypeVar("E", Executor, AsyncExecutor)

_OLD_SPARSE = "text-sparse"  # what llama-index-vector-stores-qdrant called its sparse vector up to version 0.3


class Place(NamedTuple):
    """A collection and how to reach it."""

    client: QdrantClient | None
    async_client: AsyncClientLike | None
    collection: str


@dataclass(frozen=True)
class ExecutorSettings:
    """What executors take beside the place and the encoders, as arguments of the same names.

    Raises:
        StrategyError: something can't be.
    """

    capabilities: Capabilities | None = None
    fixed_filter: models.Filter | None = None
    schema_ttl: float | None = SCHEMA_TTL
    retries: int | Retries = 0
    reranker: RerankerLike | None = None
    coalesce: bool = True

    def __post_init__(self) -> None:
        if self.fixed_filter is not None and not isinstance(self.fixed_filter, models.Filter):
            raise StrategyError(f"fixed_{not_a_filter(self.fixed_filter)}")
        check_schema_ttl(self.schema_ttl)
        Retries.of(self.retries)
        check_flag("coalesce", self.coalesce)
        if self.reranker is not None:
            check_reranker(self.reranker)


class Source:
    """A collection, with what embeds queries for it. Copies of a retriever share it, so that its schema is read once.

    Args:
        place: where the points are.
        encoders: what embeds queries.
        settings: what executors take.
        texts: from the key of the text (see `text_key`) to where a reranker finds a point's text.
    """

    def __init__(
        self,
        place: Place,
        encoders: Encoders,
        settings: ExecutorSettings,
        texts: Callable[[str], PayloadLike],
    ) -> None:
        self._place, self._encoders, self._settings, self._texts = place, encoders, settings, texts
        self.executors = Executors()
        self.own_encoders = frozenset(encoders.named)
        """The names of the vectors that have an encoder of their own."""

    @property
    def place(self) -> Place:
        """Where the points are."""
        return self._place

    @property
    def fixed_filter(self) -> models.Filter | None:
        """What every point meets that is found."""
        return self._settings.fixed_filter

    @property
    def text_key(self) -> str:
        """Where the text is in points that LlamaIndex didn't write, or wrote long ago."""
        return "text"

    def strategy(self) -> Stage:
        """What a retriever without a strategy does."""
        return _DEFAULT

    def executor(self) -> Executor:
        """What runs sync calls."""
        return self._executor(Executor)

    def async_executor(self) -> AsyncExecutor:
        """What runs async calls."""
        return self._executor(AsyncExecutor)

    def _executor(self, kind: type[E]) -> E:
        """That of the call before, where the place is the same."""
        place, (parts, made) = self.place, self.executors.latest
        if len(parts) != len(place) or not all(map(is_, parts, place)):
            made = dict[object, Any]()
            self.executors.latest = place, made
        known: E | None = made.get(kind)
        if known is None or self.executors.closed:
            known = made[kind] = self.executors.get(kind, place, self._make)
        return known

    def _make(self, kind: type[E]) -> E:
        client, async_client, collection = self.place
        texts, settings = self._texts(self.text_key), vars(self._settings)
        return kind(client, collection, async_client=async_client, encoders=self._encoders, payload=texts, **settings)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # connections aren't copied


_DEFAULT = Nearest()


@dataclass(frozen=True, repr=False)
class StoreVector(Nearest):
    """Search by a store's vector, under the first of its names that the collection has."""

    other_names: tuple[str, ...] = ()

    def resolve(self, schema: Schema) -> Self:
        names = [name for name in (self.using, *self.other_names) if name in schema.vectors]
        return super().resolve(schema) if not names else replace(super().resolve(schema), using=names[0])

    @classmethod
    def name_plainly(cls, strategy: Stage) -> Stage:
        """`strategy` with `Nearest` in the place of a store's vectors, as users write it and as JSON holds it."""
        if isinstance(strategy, cls):
            return Nearest(strategy.using)
        return replace(strategy, candidates=tuple(map(cls.name_plainly, strategy.candidates)))

    def _head(self) -> str:
        return repr(Nearest(self.using))


class StoreSource(Source):
    """What a LlamaIndex `QdrantVectorStore` holds, read again at each query; `store` instead of a place."""

    def __init__(self, store: Any, encoders: Encoders, settings: ExecutorSettings, texts: Callable[[str], PayloadLike]) -> None:
        self._store = store
        self._strategies: dict[tuple[str, str | None], Stage] = {}
        super().__init__(self.place, encoders, settings, texts)

    def _attribute(self, name: str) -> Any:
        return getattr(self._store, name, None)

    @property
    def place(self) -> Place:
        asynchronous = self._attribute("_aclient") or self._attribute("aclient")
        return Place(self._store.client, asynchronous, self._store.collection_name)

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


def make_source(
    vector_store: Any | None,
    client: QdrantClient | None,
    async_client: AsyncClientLike | None,
    collection_name: str | None,
    embed_model: Any | None,
    sparse_encoder: SparseLike | None,
    encoders: EncodersLike | None,
    settings: ExecutorSettings,
    texts: Callable[[str], PayloadLike] = lambda text_key: "flat",
) -> Source:
    """The source that these arguments of a constructor mean.

    Raises:
        StrategyError: neither a store nor a collection's name, or both; or the store isn't one.
        ClientError: there is no client, or one of the wrong kind.
    """
    if vector_store is not None:
        if client is not None or async_client is not None or collection_name is not None:
            raise StrategyError("a vector_store brings its client and collection_name: pass the one or the others")
        if not isinstance(getattr(vector_store, "collection_name", None), str) or not hasattr(vector_store, "client"):
            raise StrategyError(
                f"vector_store must be LlamaIndex's QdrantVectorStore, got {type(vector_store).__name__}, which has no client "
                "and collection_name; for a collection without such a store pass client= and collection_name="
            )
        if hasattr(vector_store, "content_payload_key"):
            raise StrategyError(
                "vector_store is LangChain's QdrantVectorStore: pass its client= and collection_name=, with payload='langchain'"
            )
        embedding = make_encoders(
            embed_model, lambda: sparse_encoder or getattr(vector_store, "_sparse_query_fn", None), encoders
        )
        source: Source = StoreSource(vector_store, embedding, settings, texts)
    elif not isinstance(collection_name, str) or not collection_name:
        raise StrategyError(f"collection_name must be the name of a collection, got {collection_name!r}")
    else:
        embedding = make_encoders(embed_model, None if sparse_encoder is None else lambda: sparse_encoder, encoders)
        source = Source(Place(client, async_client, collection_name), embedding, settings, texts)
    Clients(source.place.client, source.place.async_client)  # refuses what isn't a client now, not at the first query
    return source
