"""A dense embedding without a model: hashed words and letter sequences. For demonstrations and tests."""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import StrategyError
from ..schema import Kind
from ..values import is_whole

__all__ = ["HashedNgrams", "features_of_word"]

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

    "bicycle" is near "bicycles" and near "tricycle", but as far from "bike" as from anything else. This is no
    substitute for a trained model: it is here so that the demo and tests run anywhere, with no download.

    Each word adds itself and its sequences of 3 to 5 letters, hashed to places of the vector with a sign (Weinberger
    et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009); a repeated word counts `1 + log(times)`,
    and longer words, which are rarer, count more.
    Vectors have length 1, for cosine or dot product; a text without words is all zeros. They are the same in every
    process and on every machine.

    Args:
        size: numbers in a vector.
        skip_stop_words: whether to leave out the commonest English words.
    """

    size: int = 512
    skip_stop_words: bool = True

    kind: ClassVar[Kind] = "dense"

    def __post_init__(self) -> None:
        if not is_whole(self.size, 1):
            raise StrategyError(f"the size of HashedNgrams must be a whole number of at least 1, got {self.size!r}")

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
    """The places that a word adds to, and what it adds there; its letter sequences together weigh as much as itself."""
    padded = f"<{word}>"
    ngrams = [padded[start : start + n] for n in _NGRAMS for start in range(len(padded) - n + 1)]
    hashes = np.array([zlib.crc32(f"={word}".encode()), *(zlib.crc32(ngram.encode()) for ngram in ngrams)], dtype=np.int64)
    signs = np.where(hashes & 1, 1.0, -1.0)
    signs[1:] /= math.sqrt(len(ngrams) or 1)
    weights = signs * math.sqrt(min(len(word), _LONG))
    return ((hashes >> 1) % size).astype(np.intp), weights
