"""LangChain's embeddings as encoders of query vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from langchain_core.embeddings import Embeddings

from qdrant_rerank import Encoder, Encoders, StrategyError
from qdrant_rerank._internals import QueryVector, in_worker, inherits
from qdrant_rerank.models._internals import as_encoder

__all__ = ["AnyEncoder", "EmbeddingsEncoder", "EncodersLike", "encoder_of", "encoders_of", "is_embeddings", "listed"]

AnyEncoder: TypeAlias = Any
"""A LangChain `Embeddings`, langchain-qdrant's `SparseEmbeddings`, an `Encoder`, or a function from text to vector."""
EncodersLike: TypeAlias = "Mapping[str, AnyEncoder] | Encoders"
"""Encoders by vector name; or `Encoders`, which may also be for all vectors of a kind."""


@dataclass(frozen=True)
class EmbeddingsEncoder:
    """Embeds with a LangChain `Embeddings`, or with anything that has its methods, e.g. `SparseEmbeddings`."""

    embeddings: Any

    def encode_query(self, text: str) -> QueryVector:
        vector: QueryVector = self.embeddings.embed_query(text)
        return vector

    def encode_documents(self, texts: Sequence[str]) -> Sequence[QueryVector]:
        vectors: Sequence[QueryVector] = self.embeddings.embed_documents(list(texts))
        return vectors

    async def aencode_query(self, text: str) -> QueryVector:
        if _blocks(self.embeddings):
            return await in_worker(lambda: self.encode_query(text))
        vector: QueryVector = await self.embeddings.aembed_query(text)
        return vector


def _blocks(embeddings: Any) -> bool:
    """Whether there is no async method, or but LangChain's own, which runs the sync one in asyncio's pool."""
    return not hasattr(embeddings, "aembed_query") or inherits(embeddings, Embeddings, "aembed_query")


def is_embeddings(value: object) -> bool:
    """Whether `value` embeds as LangChain's embeddings do; sparse ones have no class in common with dense ones."""
    return isinstance(value, Embeddings) or callable(getattr(value, "embed_query", None))


def encoder_of(value: AnyEncoder) -> Encoder:
    """The encoder that `value` is or makes.

    Raises:
        StrategyError: it can't embed.
    """
    if is_embeddings(value):
        return EmbeddingsEncoder(value)
    try:
        return as_encoder(value)
    except StrategyError:
        raise StrategyError(
            f"{type(value).__name__} can't embed a query: encoders takes, for each vector's name, a LangChain Embeddings, "
            "a SparseEmbeddings, a qdrant_rerank Encoder, or a function from text to vector"
        ) from None


def listed(encoders: EncodersLike) -> Mapping[str, AnyEncoder]:
    """Each of the encoders, by what it is for."""
    if not isinstance(encoders, Encoders):
        return encoders
    return {**encoders.named, **{f"any {kind} vector": encoder for kind, encoder in encoders.by_kind.items()}}


def encoders_of(embeddings: AnyEncoder, sparse_embeddings: AnyEncoder, named: EncodersLike) -> Encoders:
    """The encoders as `named` says, and `embeddings` and `sparse_embeddings` for the vectors of which it says nothing."""
    if isinstance(named, Encoders):
        rest = encoders_of(embeddings, sparse_embeddings, {})
        return Encoders(named.named, {**rest.by_kind, **named.by_kind})
    by_kind = {"dense": embeddings, "sparse": sparse_embeddings}
    return Encoders.of(
        {name: encoder_of(value) for name, value in named.items()},
        **{kind: encoder_of(value) for kind, value in by_kind.items() if value is not None},
    )
