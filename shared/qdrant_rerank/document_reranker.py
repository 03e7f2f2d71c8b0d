"""`Rerank` for what something else found: documents and nodes of any retriever, ranked by a model without Qdrant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qdrant_client import models

from .capabilities import Capabilities
from .deadline import within
from .models.base import Reranker
from .models.scores import ascored, checked, scored
from .payload import PayloadMapping
from .query import Query, SearchOptions, Target
from .rerank import Rerank
from .schema import Schema
from .stages import Nearest
from .steps import Flow, Points, Search, Vectors, arun, run
from .threads import Workers, working_with

__all__ = ["Candidate", "DocumentReranker"]

_TEXT: Final = "_qdrant_rerank_text"  # in a payload of which the rest is for blends


@dataclass(frozen=True)
class Candidate:
    """A text to rank.

    Attributes:
        text: what the model reads.
        payload: what a blend reads by `field(…)`.
        score: what a blend reads by `score()`; NaN if there is none.
    """

    text: str
    payload: Mapping[str, Any]
    score: float


@dataclass(frozen=True)
class DocumentReranker:
    """Ranks candidates as `Rerank` would had Qdrant found them.

    Attributes:
        model: what scores their texts.
        rescore: how; without a candidate strategy.
        timeout: seconds for a call; None for no limit.
        workers: the threads that what blocks runs in; those that all share if None.
    """

    reranker: Reranker
    rescore: Rerank
    timeout: float | None = None
    workers: Workers | None = None

    def rank(self, query: Query, candidates: Sequence[Candidate], threshold: float | None = None) -> Points:
        """The candidates best first, as points whose ids are places in `candidates`; see `Rerank` for their notes.

        Args:
            query: its text is what the model reads.
            candidates: in the order of their search.
            threshold: the final score to reach.

        Raises:
            QueryError: the query's text is empty.
            ScoringError: the model's scores are unusable, or a text is missing and `rescore` says to raise.
            TimeoutError: the timeout was over.
        """
        with within(self.timeout), working_with(self.workers):
            return run(self._flow(query, candidates, threshold), _Scores(self.reranker))

    async def arank(self, query: Query, candidates: Sequence[Candidate], threshold: float | None = None) -> Points:
        """As `rank`, without blocking the event loop."""
        with within(self.timeout), working_with(self.workers):
            return await arun(self._flow(query, candidates, threshold), _AsyncScores(self.reranker))

    def _flow(self, query: Query, candidates: Sequence[Candidate], threshold: float | None) -> Flow[Points]:
        points: Points = [
            models.ScoredPoint.model_construct(
                id=place,
                version=0,
                score=candidate.score,
                payload={**candidate.payload, _TEXT: candidate.text},
                vector=None,
                shard_key=None,
                order_value=None,
            )
            for place, candidate in enumerate(candidates)
        ]
        options = SearchOptions(limit=max(1, len(points)), score_threshold=threshold)
        # the strategy stands for whatever found them: it isn't run
        return self.rescore.over(Nearest()).ranked(points, query, options, _TARGET)


_TARGET: Final = Target(Schema("candidates", {}), Capabilities((1, 10, 0)), PayloadMapping(_TEXT))


@dataclass(frozen=True)
class _Scores:
    """Services that score; rescoring asks for nothing else."""

    reranker: Reranker

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:  # pragma: no cover  # never asked for
        raise NotImplementedError

    def search(self, step: Search) -> list[Points]:  # pragma: no cover  # never asked for
        raise NotImplementedError

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return checked(scored(self.reranker, query, texts), len(texts), self.reranker)


@dataclass(frozen=True)
class _AsyncScores:
    reranker: Reranker

    async def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:  # pragma: no cover  # never asked for
        raise NotImplementedError

    async def search(self, step: Search) -> list[Points]:  # pragma: no cover  # never asked for
        raise NotImplementedError

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return checked(await ascored(self.reranker, query, texts), len(texts), self.reranker)
