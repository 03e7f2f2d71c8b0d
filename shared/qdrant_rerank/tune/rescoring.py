"""Having a model read the candidates: whether it helps, and how deep; each text is read once for each topic."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import models

from .. import Executor, QdrantRerankError, Query, Rerank, SearchOptions, Strategy
from .._internals import Points, Score, Search, Unread, Vectors, run
from ..planning import Target
from ..stages import Fusion, Stage
from .budget import Meter
from .options import Ground, Option, Scorer
from .pools import Pool
from .recomputing import is_recomputable, recomputed

__all__ = ["BudgetSpent", "Rescored", "ScoreBook", "Wanted", "found_again", "fused", "rescored", "unread"]


class BudgetSpent(QdrantRerankError):
    """The model would have to read more than the budget allows."""


@dataclass(frozen=True)
class Rescored:
    """`Rerank` over some strategies, at several depths. Needs an executor with a model.

    Attributes:
        depths: how many candidates the model reads.
        bases: the strategies below; the baseline, the first candidate and, with several candidates, DBSF (for distances RRF)
            if None.
    """

    depths: tuple[int, ...] = (10, 20, 50)
    bases: tuple[tuple[str, Strategy], ...] | None = None
    name: str = "model"

    def options(self, ground: Ground) -> Iterator[Option]:
        if not ground.has_model:
            return
        for depth, (title, base) in itertools.product(self.depths, self._bases(ground)):
            strategy = Rerank(limit=depth, unread=unread(depth, ground.limit)).over(base)
            yield Option(f"model reads {depth} of {title}", strategy, self.name, {"reads": depth, "of": title}, 1)

    def _bases(self, ground: Ground) -> Sequence[tuple[str, Strategy]]:
        if self.bases is not None:
            return self.bases
        bases: list[tuple[str, Strategy]] = []
        if not isinstance(ground.baseline, Rerank):
            bases.append(("the default", ground.baseline))
        bases.append((f"{ground.title(ground.candidates[0])} alone", ground.candidates[0]))
        return [*bases, *fused(ground)]

    def ranking(self, option: Option, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Points | None:
        return rescored(option.strategy, pool, target, limit, scorer)


def unread(reads: int, limit: int) -> Unread:
    """What becomes of candidates that the model doesn't read: kept where a measure looks at so many results."""
    return "last" if reads < limit else "drop"


def fused(ground: Ground) -> Iterator[tuple[str, Stage]]:
    """The candidates in a fusion that has no settings, if there are several, with its name: DBSF, for distances RRF."""
    if len(ground.candidates) > 1:
        far = any(ground.schema.vectors[candidate.using or ""].is_distance for candidate in ground.candidates)
        yield ("RRF", Fusion.rrf().over(*ground.candidates)) if far else ("DBSF", Fusion.dbsf().over(*ground.candidates))


def found_again(strategy: Strategy, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
    """The first `limit` points of any strategy, recomputed; None if Qdrant has to be asked."""
    if isinstance(strategy, Stage):
        return recomputed(strategy, pool, target, limit) if is_recomputable(strategy, target.schema) else None
    return rescored(strategy, pool, target, limit, scorer)


def rescored(strategy: Strategy, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Points | None:
    """What `Rerank` makes of recomputed candidates; None if its candidates or the model's scores can't be had again.

    It is Rerank's own code that ranks, so blends, thresholds and texts that are missing are its own, too.
    """
    if not isinstance(strategy, Rerank) or not is_recomputable(strategy.below, target.schema) or not scorer.independent:
        return None
    below: Any = strategy.below
    found = recomputed(below, pool, target, strategy.candidate_options(SearchOptions(limit=limit)).limit)
    points: Points = [
        models.ScoredPoint.model_construct(id=hit.id, version=0, score=hit.score, payload=pool.payloads.get(hit.id, {}))
        for hit in found
    ]
    topic = pool.topic
    query = Query(topic.text, topic.vectors, topic.params, pool.now)
    return run(strategy.ranked(points, query, SearchOptions(limit=limit), target), scorer)


class _NoQdrant:
    """What every scorer refuses: recomputing asks nothing of Qdrant."""

    independent = True

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        raise NotImplementedError("a ranking is recomputed from what the candidates found, without embedding anything")

    def search(self, step: Search) -> list[Points]:
        raise NotImplementedError("a ranking is recomputed from what the candidates found, without searching anything")


@dataclass
class ScoreBook(_NoQdrant):
    """The scores that the executor's model gave, by query and text.

    Attributes:
        executor: whose model is asked for scores that aren't there.
        meter: what may be spent on it.
        scores: those that are there.
    """

    executor: Executor
    meter: Meter
    scores: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.independent = bool(getattr(self.executor.reranker, "independent", True))

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text: kept ones where a text's score doesn't depend on the others.

        Raises:
            BudgetSpent: the budget's texts or time are used up.
        """
        if not self.independent:
            return self._read(query, texts)
        missing = [text for text in dict.fromkeys(texts) if (query, text) not in self.scores]
        if missing:
            self.scores |= {(query, text): number for text, number in zip(missing, self._read(query, missing), strict=True)}
        return [self.scores[query, text] for text in texts]

    def _read(self, query: str, texts: Sequence[str]) -> list[float]:
        if refusal := self.meter.refusal(model_texts=len(texts)):
            raise BudgetSpent(refusal)
        self.meter.model_texts += len(texts)
        return self.executor.score(query, texts)

    def check(self, asked: Sequence[Score]) -> None:
        """Refuse scorings of which the budget doesn't cover all.

        Raises:
            BudgetSpent: so it is.
        """
        pairs = [(one.query, text) for one in asked for text in one.texts]
        count = len(set(pairs).difference(self.scores)) if self.independent else len(pairs)
        if count and (refusal := self.meter.refusal(model_texts=count)):
            raise BudgetSpent(refusal)

    def least(self, pools: Sequence[Pool], reads: int) -> int:
        """How many texts must be read, at least, where a model scores `reads` documents for each topic.

        It counts as if all that was read for a query were among them, and no two had the same text.
        """
        counts = sorted((min(reads, len(pool.documents)), pool.topic.text) for pool in pools)
        if not self.independent:
            return sum(count for count, _ in counts)
        known = Counter(query for query, _ in self.scores)
        most = {query: count for count, query in counts}  # topics with the same text share what is read
        return sum(max(0, count - known[query]) for query, count in most.items())


@dataclass
class Wanted(_NoQdrant):
    """A rehearsal: counts the texts that the model would have to read, and has none read.

    Attributes:
        book: the scores that are there.
        missing: the pairs of query and text that aren't.
    """

    book: ScoreBook
    missing: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.independent = self.book.independent

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """A number for each text: the score where it is there."""
        pairs = [(query, text) for text in texts]
        self.missing.update(pair for pair in pairs if pair not in self.book.scores)
        return [self.book.scores.get(pair, 0.0) for pair in pairs]
