"""Encoders without a model to download: BM25, by the stemmer and stop words of the `edge` extra, and hashed n-grams."""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..errors import MissingExtra, StrategyError
from ..schema import Kind
from ..values import check_counts, is_finite

if TYPE_CHECKING:
    import qdrant_edge

__all__ = ["Bm25", "HashedNgrams", "features_of_word"]


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
