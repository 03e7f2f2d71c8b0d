"""What turns text into vectors: the `Encoder` protocol, the encoder for each vector.

And the encoders without a model to download: BM25, by the stemmer and stop words of the `edge` extra, and hashed n-grams.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Final, Protocol, TypeAlias, cast, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .._lazy import load_extra
from ..errors import QueryError, StrategyError
from ..schema import Kind, Schema
from ..steps import QueryVector
from ..values import check_counts, is_finite


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
    """Make an encoder of an encoder or a plain function. Raises StrategyError: it is neither."""
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


@dataclass(frozen=True)
class Bm25:
    """Sparse vectors whose dot product is BM25, for a sparse vector with Qdrant's IDF modifier.

    A document's weight for a word is `tf * (k + 1) / (tf + k * (1 - b + b * words / avg_len))`, where `words` counts the
    document's words that aren't stop words; a query's is 1, which Qdrant multiplies by the word's inverse document
    frequency in the collection. (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, section 3.)

    Texts are read in their composed form (NFC): an é of one character and one of two, as macOS writes names of files, are the
    same word.

    Args:
        language: whose stemmer and stop words, e.g. "english" or "german".
        k: how much a word's repetitions count: 0 not at all.
        b: how much long documents are held back: 0 not at all, 1 fully.
        avg_len: words in an average document. It can't be learned from a stream of documents; a rough guess is enough.

    Raises:
        MissingExtra: the `edge` extra isn't installed.
        StrategyError: there is no such language, or a number is out of range.
    """

    language: str = "english"
    k: float = 1.2
    b: float = 0.75
    avg_len: float = 256.0

    kind: ClassVar[Kind] = "sparse"
    idf: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("k", "b", "avg_len"):
            if not is_finite(getattr(self, name)):
                raise StrategyError(f"the {name} of Bm25 must be a finite number, got {getattr(self, name)!r}")
        _model(self)

    def encode_query(self, text: str) -> models.SparseVector:
        return _plain(_model(self).embed_query(unicodedata.normalize("NFC", text)))

    def encode_documents(self, texts: Sequence[str]) -> list[models.SparseVector]:
        model = _model(self)
        return [_plain(model.embed_document(unicodedata.normalize("NFC", text))) for text in texts]


@lru_cache(maxsize=32)  # kept here rather than in the encoder, which stays a plain value that pickles
def _model(settings: Bm25) -> Any:
    engine = load_extra("qdrant_edge", "Bm25", "edge")
    config = engine.Bm25Config(
        language=settings.language, k=float(settings.k), b=float(settings.b), avg_len=float(settings.avg_len)
    )
    try:
        return engine.Bm25(config)
    except ValueError as error:
        raise StrategyError(f"{settings!r}: {error}") from error


def _plain(vector: Any) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


_WORD: Final = re.compile(r"[^\W_]+")
_NGRAMS: Final = (3, 4, 5)
_LONG: Final = 8
_COMMONEST: Final = (
    "a an and are as at be been but by can do does for from had has have how i if in is it its my of on or our so than "
    "that the their there they this to was we were what when where which who will with you your"
)
_STOP_WORDS: Final = frozenset(_COMMONEST.split())

_Features = tuple[NDArray[np.intp], NDArray[np.float64]]


@dataclass(frozen=True)
class HashedNgrams:
    """Dense vectors of hashed words and letter sequences: they match spelling, not meaning.

    "bicycle" is near "bicycles" and "tricycle", but as far from "bike" as from anything else. This is no substitute for a
    trained model: it lets the demo and tests run anywhere, without a download.

    Each word adds itself and its sequences of 3 to 5 letters, hashed to places of the vector with a sign (Weinberger
    et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009); a repeated word counts `1 + log(times)`, and
    longer words, which are rarer, count more. Vectors have length 1, or all zeros for a text without words, and are the
    same in every process and on every machine.

    Args:
        size: numbers in a vector.
        skip_stop_words: whether to leave out the commonest English words.
    """

    size: int = 512
    skip_stop_words: bool = True

    kind: ClassVar[Kind] = "dense"

    def __post_init__(self) -> None:
        check_counts(1, **{"the size of HashedNgrams": self.size})

    def encode_query(self, text: str) -> list[float]:
        vector = np.zeros(self.size)
        for word, times in Counter(self._words(text)).items():
            places, weights = features_of_word(word, self.size)
            np.add.at(vector, places, (1.0 + math.log(times)) * weights)
        length = math.sqrt(math.fsum((vector * vector).tolist()))  # exact: numpy's sum differs in the last digit by process
        numbers: list[float] = (vector / length if length else vector).tolist()
        return numbers

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [self.encode_query(text) for text in texts]

    def _words(self, text: str) -> list[str]:
        plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
        words = _WORD.findall(plain)
        kept = [word for word in words if word not in _STOP_WORDS] if self.skip_stop_words else words
        return kept or words  # "who are you" is still a text


@lru_cache(maxsize=1 << 15)  # texts share most of their words, and hashing is what takes the time
def features_of_word(word: str, size: int) -> _Features:
    """The places that a word adds to, and what it adds; its letter sequences together weigh as much as itself."""
    padded = f"<{word}>"
    ngrams = [padded[start : start + n] for n in _NGRAMS for start in range(len(padded) - n + 1)]
    hashes = np.array([zlib.crc32(f"={word}".encode()), *(zlib.crc32(ngram.encode()) for ngram in ngrams)], dtype=np.int64)
    signs = np.where(hashes & 1, 1.0, -1.0)
    signs[1:] /= math.sqrt(len(ngrams) or 1)
    weights = signs * math.sqrt(min(len(word), _LONG))
    return ((hashes >> 1) % size).astype(np.intp), weights
