"""LlamaIndex's embedding models and sparse functions as encoders of `qdrant_rerank`; nothing is loaded before its use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.settings import Settings
from qdrant_client import models

from qdrant_rerank import Encoder, Encoders, QueryError, StrategyError
from qdrant_rerank._internals import QueryVector
from qdrant_rerank.models._internals import EncoderLike

__all__ = ["AnyEncoder", "EmbedModelEncoder", "EncodersLike", "SparseEncoder", "SparseLike", "encoders_of"]

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
