"""Strategies recomputed from their candidates: the ranking that Qdrant would return, without asking it again.

Law (tested on local mode and the embedded engine): for a strategy that `is_local`, `recompute` ranks as Qdrant does, but for
points that tie, whose order is random on the engine. Reranking is recomputed too: the model reads each text once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
from qdrant_client import models

from .. import Executor, QdrantRerankError, Query, ScoringError, SearchOptions, Strategy
from .._internals import (
    Affinity,
    DatetimeField,
    Field,
    GeoDistance,
    Points,
    Raw,
    Score,
    Search,
    Table,
    Vectors,
    When,
    run,
    scores_by_candidate,
    walk,
)
from ..planning import Schema, Target
from ..stages import Formula, Stage
from .configurations import Scorer
from .gathering import Hit, Meter, Pool, key_of

__all__ = [
    "BudgetSpent",
    "ScoreBook",
    "Wanted",
    "recompute_any",
    "is_local",
    "is_recomputable",
    "read_by",
    "reads_payload",
    "recompute",
    "recompute_reranking",
]

_PAYLOAD = Affinity | DatetimeField | Field | GeoDistance | Raw | When


def is_local(strategy: Strategy) -> bool:
    """Whether a strategy can be recomputed from its plain searches.

    It can if it is made of plain searches, fusions and formulas, nested in any way, if only the plain searches have filters,
    thresholds and search parameters of their own, and formulas hold nothing that only an engine can compute.
    """
    if not isinstance(strategy, Stage):
        return False
    if not strategy.candidates:
        return strategy.is_search
    own = strategy.filter, strategy.score_threshold, strategy.search_params
    return strategy.is_computable and all(value is None for value in own) and all(map(is_local, strategy.candidates))


def is_recomputable(strategy: Strategy, schema: Schema) -> bool:
    """Whether a strategy `is_local` and ranks the same on the collection's shards.

    Several shards each hand a formula their own candidates, other than those of the plain search over the collection: there
    Qdrant has to be asked.
    """
    return is_local(strategy) and isinstance(strategy, Stage) and strategy.alike_on_shards(schema)


def reads_payload(strategy: Strategy) -> bool:
    """Whether ranking reads the points' payload."""
    expressions = (expression for stage in strategy.stages() for expression in stage.own_expressions())
    nodes = (node for expression in expressions for node in walk(expression))
    return strategy.model_use == "rank" or any(isinstance(node, _PAYLOAD) for node in nodes)


def recompute(stage: Stage, pool: Pool, target: Target, limit: int) -> list[Hit]:
    """The first `limit` points of `stage` for the pool's topic, best first.

    Args:
        stage: one that `is_local`; its plain searches must be in the pool, as deep as it needs.
        pool: the topic's candidates.
        target: the collection.
        limit: how many points the call asks for.

    Raises:
        PlanError: a point lacks a payload key that a formula reads without a default; Qdrant would refuse, too.
        ScoringError: a formula isn't finite for some point; likewise.
    """
    if not stage.candidates:  # alone, its ties are settled; below a fusion the engine's own order of them counts
        groups = groupby(pool.candidates[key_of(stage)], key=lambda hit: hit.score)
        return [hit for _, ties in groups for hit in sorted(ties, key=lambda hit: pool.places[hit.id])][:limit]
    return _ranked(stage, limit, limit, pool, target)


def read_by(formula: Formula, pool: Pool, target: Target, limit: int) -> tuple[list[Hit], Table]:
    """The points that a formula ranks, each once, and the table to compute it from; arguments as of `recompute`."""
    union, found = _candidates(formula, limit, pool, target)
    scores = scores_by_candidate(formula.candidates, [hit.id for hit in union], found, target.schema)
    return union, replace(_table(union, pool, target), scores=scores)


def _ranked(stage: Stage, limit: int, needed: int, pool: Pool, target: Target) -> list[Hit]:
    """The first `limit` points of a stage whose candidates have to find `needed`."""
    if not stage.candidates:
        return list(pool.candidates[key_of(stage)][:limit])
    union, found = _candidates(stage, needed, pool, target)
    if not union:
        return []
    with np.errstate(all="ignore"):  # as engines give them: what ties there must tie here
        rounded = stage.compute_scores(found, _table(union, pool, target), target.schema).astype(np.float32)
    if not np.isfinite(rounded).all():
        worst = union[int(np.flatnonzero(~np.isfinite(rounded))[0])]
        raise ScoringError(f"the formula isn't finite for point {worst.id!r}, and Qdrant would refuse the query")
    rows = _first(rounded, limit)
    places = np.array([pool.places[union[row].id] for row in rows], np.int64)
    order = rows[np.lexsort((places, -rounded[rows]))][:limit]
    return [Hit(union[row].id, float(rounded[row])) for row in order]


def _candidates(stage: Stage, needed: int, pool: Pool, target: Target) -> tuple[list[Hit], list[list[Hit]]]:
    """All points that the candidates find, each once, and those of each candidate."""
    found = [_ranked(each, each.reach(needed), each.needs_points(needed), pool, target) for each in stage.candidates]
    return list({hit.id: hit for hits in found for hit in hits}.values()), found


def _first(scores: Any, limit: int) -> Any:
    """The rows of the `limit` highest scores, and of all that tie with the last of them."""
    if len(scores) <= limit:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, -limit)[-limit])


def _table(union: Sequence[Hit], pool: Pool, target: Target) -> Table:
    ids = [hit.id for hit in union]
    return Table(
        payloads=[pool.payloads.get(id, {}) for id in ids],
        ids=ids,
        params=pool.topic.params,
        now=pool.now,
        tokens=pool.tokens,
        view=target.view,
    )


class BudgetSpent(QdrantRerankError):
    """The model would have to read more than the budget allows."""


def recompute_any(strategy: Strategy, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
    """The first `limit` points of any strategy, recomputed; None if Qdrant has to be asked."""
    if isinstance(strategy, Stage):
        return recompute(strategy, pool, target, limit) if is_recomputable(strategy, target.schema) else None
    return recompute_reranking(strategy, pool, target, limit, scorer)


def recompute_reranking(strategy: Strategy, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Points | None:
    """`Rerank` of recomputed candidates, by its own code; None if its candidates or the model's scores can't be had again."""
    below = strategy.first_search
    if strategy.model_use != "rank" or not isinstance(below, Stage) or not is_recomputable(below, target.schema):
        return None
    if not scorer.independent:
        return None
    found = recompute(below, pool, target, strategy.candidate_options(SearchOptions(limit=limit)).limit)
    points: Points = [
        models.ScoredPoint.model_construct(id=hit.id, version=0, score=hit.score, payload=pool.payloads.get(hit.id, {}))
        for hit in found
    ]
    topic = pool.topic
    query = Query(topic.text, topic.vectors, topic.params, pool.now)
    return run(strategy.rank(points, query, SearchOptions(limit=limit), target), scorer)


class _NoQdrant:
    """Scorers refuse all but scoring: recomputing asks nothing of Qdrant."""

    independent = True

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        raise NotImplementedError("a ranking is recomputed from what the candidates found, without embedding anything")

    def search(self, step: Search) -> list[Points]:
        raise NotImplementedError("a ranking is recomputed from what the candidates found, without searching anything")


@dataclass
class ScoreBook(_NoQdrant):
    """The scores of the executor's model, by query and text.

    Attributes:
        executor: whose model is asked for new scores.
        meter: counts the texts.
        scores: those so far.
    """

    executor: Executor
    meter: Meter
    scores: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.independent = bool(getattr(self.executor.reranker, "independent", True))

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text; those of independent texts are kept.

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
        """Refuse scorings that the budget doesn't cover together. Raises BudgetSpent."""
        pairs = [(one.query, text) for one in asked for text in one.texts]
        count = len(set(pairs).difference(self.scores)) if self.independent else len(pairs)
        if count and (refusal := self.meter.refusal(model_texts=count)):
            raise BudgetSpent(refusal)

    def least(self, pools: Sequence[Pool], reads: int) -> int:
        """How many texts a model must read at least to score `reads` documents for each topic.

        It counts as if all texts read for a query so far were among them, and no two documents had the same text.
        """
        counts = sorted((min(reads, len(pool.documents)), pool.topic.text) for pool in pools)
        if not self.independent:
            return sum(count for count, _ in counts)
        known = Counter(query for query, _ in self.scores)
        most = {query: count for count, query in counts}  # topics with the same text share what is read
        return sum(max(0, count - known[query]) for query, count in most.items())


@dataclass
class Wanted(_NoQdrant):
    """A rehearsal: notes the pairs of query and text that the model would have to read.

    Attributes:
        book: the scores so far.
        missing: the pairs without one.
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
