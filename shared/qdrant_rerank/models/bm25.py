"""BM25 in this process, with nothing to download: stemmer and stop words come with the `edge` extra."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from qdrant_client import models

from ..errors import MissingExtra, StrategyError
from ..schema import Kind
from ..values import is_finite

if TYPE_CHECKING:
    import qdrant_edge

__all__ = ["Bm25"]


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
def _model(settings: Bm25) -> qdrant_edge.Bm25:
    try:
        import qdrant_edge
    except ModuleNotFoundError as error:
        raise MissingExtra("Bm25", "edge") from error
    config = qdrant_edge.Bm25Config(
        language=settings.language, k=float(settings.k), b=float(settings.b), avg_len=float(settings.avg_len)
    )
    try:
        return qdrant_edge.Bm25(config)
    except ValueError as error:
        raise StrategyError(f"{settings!r}: {error}") from error


def _plain(vector: qdrant_edge.SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))
