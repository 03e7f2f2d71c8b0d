"""What turns text into vectors: the `Encoder` protocol, the encoder for each vector, and what tells encoders apart."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, cast, get_args, runtime_checkable

from qdrant_client import models

from ..errors import QueryError, StrategyError
from ..schema import Kind, Schema
from ..steps import QueryVector

__all__ = [
    "AsyncEncoder",
    "Encoder",
    "EncoderLike",
    "Encoders",
    "ServerInference",
    "as_encoder",
    "encoder_fingerprint",
    "folder_digest",
]


@runtime_checkable
class Encoder(Protocol):
    """Embeds queries and documents for one vector: dense, sparse or multi.

    An encoder may also have `async def aencode_query(text)`; without it, `encode_query` runs in a thread under async.

    Optional attributes tell `qdrant_rerank.ingest` what kind of vector to make; it embeds a short text to find out what
    they leave open, but for `idf`:

    * `kind`: "dense", "sparse" or "multi".
    * `size`: numbers in a vector (in each token vector, for multi); None if an embedding must show it.
    * `idf`: for sparse vectors, whether Qdrant is to weigh queries by inverse document frequency, as BM25 needs.
    """

    def encode_query(self, text: str) -> QueryVector:
        """The query vector of one text."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Sequence[QueryVector]:
        """The stored vectors of many texts, in their order."""
        ...


@runtime_checkable
class AsyncEncoder(Encoder, Protocol):
    """An encoder that can embed a query without blocking."""

    async def aencode_query(self, text: str) -> QueryVector: ...


EncoderLike: TypeAlias = "Encoder | Callable[[str], QueryVector]"
"""An encoder, or a plain function from text to vector that serves for queries and documents alike."""


@dataclass(frozen=True)
class ServerInference:
    """Lets the Qdrant server embed: no model runs on the client.

    Tell the client: `QdrantClient(…, cloud_inference=True)`, for a server of your own too; otherwise qdrant-client embeds
    the text itself, with fastembed.

    Args:
        model: the server's name for the model, e.g. `"qdrant/bm25"` (built into servers since 1.15.3) or
            `"sentence-transformers/all-minilm-l6-v2"` on Qdrant Cloud.
        options: the model's options, as Qdrant takes them.
        kind, size, idf: what the model makes, as of any `Encoder`; needed to make a collection for it.
    """

    model: str
    options: Mapping[str, Any] | None = None
    kind: Kind | None = None
    size: int | None = None
    idf: bool | None = None

    def encode_query(self, text: str) -> models.Document:
        return models.Document(text=text, model=self.model, options=dict(self.options) if self.options else None)

    def encode_documents(self, texts: Sequence[str]) -> list[models.Document]:
        return [self.encode_query(text) for text in texts]


@dataclass(frozen=True)
class _FunctionEncoder:
    function: Callable[[str], QueryVector]

    def encode_query(self, text: str) -> QueryVector:
        return self.function(text)

    def encode_documents(self, texts: Sequence[str]) -> list[QueryVector]:
        return [self.function(text) for text in texts]


def as_encoder(value: EncoderLike) -> Encoder:
    """Make an encoder of an encoder or a plain function.

    Raises:
        StrategyError: it is neither.
    """
    if isinstance(value, Encoder):
        return value
    if callable(value):
        return _FunctionEncoder(value)
    raise StrategyError(
        f"not an encoder: {type(value).__name__} has no encode_query and encode_documents, and can't be called with a text; "
        "of a framework's embedding model pass the method that embeds a query, e.g. embeddings.embed_query"
    )


@dataclass(frozen=True)
class Encoders:
    """Which encoder embeds the query for which vector.

    Attributes:
        named: by vector name.
        by_kind: for vectors without one of their own, by kind: one embedding model for any dense vector, etc.
    """

    named: Mapping[str, Encoder] = field(default_factory=dict)
    by_kind: Mapping[Kind, Encoder] = field(default_factory=dict)

    @classmethod
    def of(cls, named: Mapping[str, EncoderLike] | None = None, **by_kind: EncoderLike | None) -> Encoders:
        """Encoders by vector name, and as keywords `dense=`, `sparse=`, `multi=` for the rest."""
        if unknown := by_kind.keys() - set(get_args(Kind)):
            listed = ", ".join(sorted(unknown))
            raise StrategyError(f"encoders are for dense, sparse or multi vectors, or by name; not for {listed}")
        kinds: dict[Kind, Encoder] = {
            cast(Kind, kind): as_encoder(value) for kind, value in by_kind.items() if value is not None
        }
        return cls({name: as_encoder(value) for name, value in (named or {}).items()}, kinds)

    def for_documents(self, schema: Schema) -> dict[str, Encoder]:
        """The encoder for each vector that documents are embedded for: those named, and those of a kind for the others."""
        others = {name: self.by_kind.get(vector.kind) for name, vector in schema.vectors.items()}
        return {**{name: found for name, found in others.items() if found is not None}, **self.named}

    def encoder(self, name: str, schema: Schema) -> Encoder:
        """The encoder for the vector `name`.

        Raises:
            QueryError: there is none; the message says what to pass.
        """
        kind = schema.vectors[name].kind
        found = self.named.get(name) or self.by_kind.get(kind)
        if found is None:
            there = ", ".join([*map(repr, self.named), *(f"any {kind} vector" for kind in self.by_kind)]) or "none"
            raise QueryError(
                f"nothing to embed the query with for the {kind} vector {name!r}: pass encoders={{{name!r}: …}}, or the "
                f"vector itself with the query; encoders are set for: {there}"
            )
        return found


_MODEL_FILES: Final = {".safetensors", ".json", ".txt", ".model"}  # weights; tokenizers and settings
_FASTER_OR_SLOWER: Final = {"threads", "batch_size", "options", "parallel", "timeout", "seconds", "attempts"}


def folder_digest(folder: str | PathLike[str]) -> str:
    """16 hex digits of the contents of a model's folder: weights, tokenizer and settings, by their names within it.

    Reads all of them: about a second for each gigabyte.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(folder).rglob("*")):
        if file.is_file() and (file.suffix in _MODEL_FILES or ".onnx" in file.name):
            with file.open("rb") as content:
                inner = hashlib.file_digest(content, "sha256").hexdigest()
            digest.update(f"{file.relative_to(folder).as_posix()} {inner}\n".encode())
    return digest.hexdigest()[:16]


def encoder_fingerprint(encoder: object) -> str:
    """What tells an encoder from others: its own `fingerprint`, or its type with the settings that change vectors.

    A folder counts by its contents, whatever it and its model are called. Of an encoder that is no dataclass only the type
    is known.
    """
    own = getattr(encoder, "fingerprint", None)
    if isinstance(own, str):
        return own
    if not dataclasses.is_dataclass(encoder) or isinstance(encoder, type):
        return type(encoder).__qualname__
    left_out = _FASTER_OR_SLOWER | ({"model"} if getattr(encoder, "is_own", False) else set())
    settings = {
        field.name: _setting(field.name, getattr(encoder, field.name))
        for field in dataclasses.fields(encoder)
        if field.repr and field.compare and field.name not in left_out
    }
    return f"{type(encoder).__qualname__.lstrip('_')}({', '.join(f'{name}={value}' for name, value in settings.items())})"


def _setting(name: str, value: Any) -> str:
    if name == "path" and value is not None:
        return folder_digest(value)
    if callable(value):
        function = value if hasattr(value, "__qualname__") else type(value)
        return f"{function.__module__}.{function.__qualname__}"
    own_repr: object = type(value).__repr__
    return type(value).__qualname__ if own_repr is object.__repr__ else repr(value)  # `object`'s tells an address alone
