"""Encoders as rerankers: the similarity of a query's and a text's vectors, computed here."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ScoringError, StrategyError
from ..values import identify
from .base import Gate, Once, Stopped, check_scores, check_whole
from .encoders import AsyncEncoder, EncoderLike, ServerInference, as_encoder

Numbers = NDArray[np.float64]

_TEXTS_AT_A_TIME: Final = 8  # a text of 512 tokens is 16 MB of Python numbers on its way from a late interaction model


@dataclass(frozen=True)
class _Similarity(ABC):
    """What both similarities have in common."""

    encoder: EncoderLike
    _: KW_ONLY
    name: str | None = None
    parallel: int = 1
    _turns: Gate = field(init=False, repr=False, compare=False)
    _known_as: Once[str | None] = field(default_factory=Once[str | None], init=False, repr=False, compare=False)

    _kind: ClassVar[str]
    _dimensions: ClassVar[int]

    def __post_init__(self) -> None:
        what, encoder = type(self).__name__, as_encoder(self.encoder)
        if isinstance(encoder, ServerInference):
            raise StrategyError(f"{what} compares vectors here, but ServerInference leaves embedding to the server")
        kind = getattr(encoder, "kind", None) or self._kind
        if kind != self._kind:
            hint = {"multi": "; MaxSim is for these", "dense": "; EncoderSimilarity is for these"}.get(kind, "")
            raise StrategyError(f"{what} needs an encoder of {self._kind} vectors; {encoder!r} makes {kind} ones{hint}")
        check_whole(self, parallel=self.parallel)
        object.__setattr__(self, "_turns", Gate(self.parallel))

    @property
    def fingerprint(self) -> str | None:
        """The formula and the encoder; None where nothing tells the encoder from others."""
        known = self._known_as.get(lambda: self.name or identify(as_encoder(self.encoder)))
        return known and f"{self._formula()}:{known}"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """The similarity of each text to the query, in the order of the texts.

        Raises ScoringError: the encoder returned the wrong number of vectors, or vectors that can't be compared.
        """
        return self._turns.run(lambda stopped: self._scores(query, texts, stopped))

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, by the encoder's own async methods if it has both, else in a thread of this model's own."""
        encoder = as_encoder(self.encoder)
        embed = getattr(encoder, "aencode_documents", None)
        if embed is None or not isinstance(encoder, AsyncEncoder):
            return await self._turns.arun(lambda stopped: self._scores(query, texts, stopped))
        if not texts:
            return []
        vector, vectors = await asyncio.gather(encoder.aencode_query(query), embed(texts))
        return await self._turns.arun(lambda _: self._compare(self._query(vector), vectors, texts))

    def _scores(self, query: str, texts: Sequence[str], stopped: Stopped) -> list[float]:
        if not texts:
            return []
        encoder = as_encoder(self.encoder)
        vector, scores = self._query(encoder.encode_query(query)), list[float]()
        for start in range(0, len(texts), _TEXTS_AT_A_TIME):
            if stopped.is_set():
                return []  # to nobody
            chunk = texts[start : start + _TEXTS_AT_A_TIME]
            scores += self._compare(vector, encoder.encode_documents(chunk), chunk)
        return scores

    def _query(self, vector: Any) -> Numbers:
        return self._numbers(vector, "the query")

    def _compare(self, query: Numbers, vectors: Sequence[Any], texts: Sequence[str]) -> list[float]:
        if len(vectors) != len(texts):
            raise ScoringError(f"the encoder of {type(self).__name__} returned {len(vectors)} vectors for {len(texts)} texts")
        arrays = [self._numbers(vector, f"text {place}") for place, vector in enumerate(vectors)]
        for place, array in enumerate(arrays):
            if array.shape[-1] != query.shape[-1] and array.size:
                sizes = f"{query.shape[-1]} numbers for the query, {array.shape[-1]} for text {place}"
                raise ScoringError(f"the encoder of {type(self).__name__} returned vectors of different sizes: {sizes}")
        return check_scores([self._similarity(query, array) for array in arrays], len(texts), self)

    def _numbers(self, vector: Any, what: str) -> Numbers:
        try:
            array = np.asarray(vector, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(())
        if array.ndim != self._dimensions:
            got = type(vector).__name__ if not array.ndim else f"an array of {array.ndim} dimensions"
            raise ScoringError(f"{type(self).__name__} needs {self._kind} vectors; its encoder returned {got} for {what}")
        return array

    @abstractmethod
    def _formula(self) -> str:
        """What is computed, for the fingerprint."""

    @abstractmethod
    def _similarity(self, query: Numbers, text: Numbers) -> float: ...


@dataclass(frozen=True)
class EncoderSimilarity(_Similarity):
    """A reranker: the cosine of a dense encoder's vectors of query and text.

    `q·d / (|q| |d|)`, from -1 to 1; 0 if one of the vectors is all zeros. For an embedding model stronger than the one that
    the collection was made with, it costs one embedding for each text.

    Args:
        encoder: makes dense vectors: any `Encoder`, or a function from text to vector.
        name: what the fingerprint calls the encoder; made of its settings if None, and of the contents of its folder.
            Give one for a lambda, a function within a function, or an object that doesn't say its model.
        parallel: how many scorings run at a time; the others wait in line.

    Raises:
        StrategyError: the encoder makes other vectors than dense ones, or none here.
    """

    _kind = "dense"
    _dimensions = 1

    def _formula(self) -> str:
        return "cosine"

    def _similarity(self, query: Numbers, text: Numbers) -> float:
        lengths = float(np.linalg.norm(query) * np.linalg.norm(text))
        return float(query @ text) / lengths if lengths else 0.0


@dataclass(frozen=True)
class MaxSim(_Similarity):
    """A reranker: late interaction (ColBERT) computed here rather than in Qdrant.

    Each query token is compared with the text's token that is most like it. With `normalize`, the score is the mean over
    query tokens of the greatest cosine, `1/|Q| Σ_q max_d cos(q, d)`, from -1 to 1 and comparable between queries; without,
    the sum over query tokens of the greatest dot product, `Σ_q max_d q·d`, as Qdrant computes it. (Khattab and Zaharia,
    "ColBERT", SIGIR 2020.) All-zero vectors, which stand for padding and punctuation, are no tokens; a text or query
    without tokens scores 0.

    Args:
        encoder: makes multivectors, e.g. `FastembedLate`.
        normalize: whether vectors are brought to length 1 and the sum is divided by the number of query tokens.
        name, parallel: as for `EncoderSimilarity`.

    Raises:
        StrategyError: the encoder makes other vectors than multivectors, or none here.
    """

    _: KW_ONLY
    normalize: bool = True

    _kind = "multi"
    _dimensions = 2

    def _formula(self) -> str:
        return "maxsim-mean-cosine" if self.normalize else "maxsim-sum-dot"

    def _query(self, vector: Any) -> Numbers:
        return self._tokens(super()._query(vector))

    def _similarity(self, query: Numbers, text: Numbers) -> float:
        tokens = self._tokens(text)
        if not len(query) or not len(tokens):
            return 0.0
        greatest = (query @ tokens.T).max(axis=1)
        return float(greatest.mean() if self.normalize else greatest.sum())

    def _tokens(self, rows: Numbers) -> Numbers:
        lengths = np.linalg.norm(rows, axis=1)
        kept: Numbers = rows[lengths != 0.0]
        if self.normalize:
            kept = kept / lengths[lengths != 0.0, None]
        return kept
