"""What the fit of relevance feedback learns from: one search for each query, its vectors, and the model's scores."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .. import AsyncExecutor, Executor, Query, SearchOptions
from .._internals import Embed, Flow, Points, Score, Scores, planned, run, together
from ..evaluate._internals import stable
from ..feedback import RelevanceFeedback
from ..feedback._internals import Column, stored_vector, unit
from ..planning import Plan, Target
from .feedback_fit_documents import Documents
from .feedback_fit_scores import ScoreFile

__all__ = ["BATCH", "Example", "Examples", "Gathered", "first_search", "gathered", "gathering", "scored_by"]

BATCH = 32
"""How many searches go into one request."""

E = TypeVar("E", Executor, AsyncExecutor)


@dataclass(frozen=True)
class Example:
    """One query: n points of a deep search, the seeds first, in the order of the search.

    Attributes:
        query: its text.
        similarity: of each point to the query, shape (n,).
        to_seeds: of each point to each of the k seeds, shape (k, n).
        scores: what the reranker gave each point, shape (n,).
    """

    query: str
    similarity: Column
    to_seeds: Column
    scores: Column


@dataclass(frozen=True)
class Examples:
    """Examples of the same number of points, stacked; shapes (queries, …), padded points with `there` False."""

    similarity: Column
    to_seeds: Column
    scores: Column
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Examples:
        """Examples one above the other."""
        longest = max(len(example.scores) for example in examples)

        def padded(array: Column) -> Column:
            return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, longest - array.shape[-1])])

        return cls(
            np.stack([padded(example.similarity) for example in examples]),
            np.stack([padded(example.to_seeds) for example in examples]),
            np.stack([padded(example.scores) for example in examples]),
            np.stack([np.arange(longest) < len(example.scores) for example in examples]),
        )

    @property
    def seed_scores(self) -> Column:
        """Shape (queries, k)."""
        return self.scores[:, : self.to_seeds.shape[1]]


class Gathered(NamedTuple):
    """What the first searches came to.

    Attributes:
        examples: of the queries that found enough.
        queries: all of them with their vectors, by text.
    """

    examples: list[Example]
    queries: dict[str, Query]


def first_search(strategy: RelevanceFeedback, target: Target, candidates: int, filter: models.Filter | None = None) -> Plan:
    """The search for what is learned from; `strategy` is resolved.

    Raises:
        PlanError: the seeds' search can't hand on so many points.
    """
    options = stable(
        strategy.seeds, replace(strategy.seed_options(SearchOptions(limit=candidates, filter=filter)), limit=candidates)
    )
    return planned(strategy.seeds, target, options)


def gathering(
    strategy: RelevanceFeedback,
    target: Target,
    queries: Sequence[str],
    candidates: int,
    scores: ScoreFile,
    filter: models.Filter | None = None,
    documents: Documents | None = None,
) -> Flow[Gathered]:
    """An example for each query that finds more points with text and vector than there are seeds.

    One search for each query, in batches; the points' vectors come back with it, so that nothing is searched for a pair.
    Nothing is scored until a document is found that has judgments, if there are any.

    Args:
        strategy: whose seeds are the first search; resolved.
        target: the collection.
        queries: different texts.
        candidates: how many points each search is asked for.
        scores: what answers `Score` steps; told of documents that need no score.
        filter: for all searches.
        documents: told what is found, so that it can tell whether the judgments speak of it.

    Raises:
        PlanError: the seeds' search can't hand on so many points.
        StrategyError: no document that is found has judgments.
    """
    plan = first_search(strategy, target, candidates, filter)
    documents = documents or Documents()
    found = Gathered([], {})
    waiting: list[tuple[Query, list[tuple[str, list[float]]]]] = []
    for start in range(0, len(queries), BATCH):
        texts = list(queries[start : start + BATCH])
        vectors = yield from Embed(texts, strategy.needs())
        asked = [Query(text, vectors=own) for text, own in zip(texts, vectors, strict=True)]
        answers = yield from together([plan.flow(query) for query in asked])
        documents.note(answers)
        found.queries.update(zip(texts, asked, strict=True))
        kept = [_readable(strategy, points, target) for points in answers]
        enough = [len(rows) > strategy.seed_count + 1 for rows in kept]
        scores.passed(sum(len(points) - len(rows) * use for points, rows, use in zip(answers, kept, enough, strict=True)))
        waiting += [(query, rows) for query, rows, use in zip(asked, kept, enough, strict=True) if use]
        if not documents.recognised:
            continue  # perhaps the judgments' ids are others: that is to be known before the model is paid
        given = yield from Scores([Score(query.text, [text for text, _ in rows]) for query, rows in waiting])
        for (query, rows), one in zip(waiting, given, strict=True):
            if isinstance(one, Exception):
                raise one
            found.examples.append(_example(strategy, query, [vector for _, vector in rows], one, target))
        waiting.clear()
    documents.check()
    return found


def gathered(
    executor: Executor,
    strategy: RelevanceFeedback,
    queries: Sequence[str],
    candidates: int,
    scores: ScoreFile,
    filter: models.Filter | None = None,
) -> list[Example]:
    """The examples of `gathering`, by an executor; `scores` is what scores."""
    target = executor.target()
    flow = gathering(strategy.resolved(target.schema), target, queries, candidates, scores, filter)
    return run(flow, scored_by(executor, scores)).examples


def scored_by(executor: E, scores: ScoreFile) -> E:
    """The same executor with `scores` as its model."""
    made = copy.copy(executor)
    made.reranker = scores
    return made


def _readable(strategy: RelevanceFeedback, points: Points, target: Target) -> list[tuple[str, list[float]]]:
    """Text and vector of each point that has both."""
    rows = [(target.payload.content(each.payload or {}).text, stored_vector(each, strategy.compared)) for each in points]
    return [(text, vector) for text, vector in rows if text.strip() and vector is not None]


def _example(
    strategy: RelevanceFeedback, query: Query, vectors: Sequence[Sequence[float]], scores: Sequence[float], target: Target
) -> Example:
    stored = np.array(vectors, np.float64)
    own: Any = query.vectors[strategy.compared]
    distance = target.schema.vectors[strategy.compared].distance
    similarity = _similarities(np.asarray(own, np.float64)[None], stored, distance)[0]
    return Example(query.text, similarity, _similarities(stored[: strategy.seed_count], stored, distance), np.array(scores))


def _similarities(first: Column, second: Column, distance: models.Distance | None) -> Column:
    """Each row of `first` with each of `second`, shape (m, d) and (n, d) → (m, n)."""
    match distance:
        case models.Distance.EUCLID:
            found: Column = -np.square(first[:, None] - second[None]).sum(axis=-1)  # without the root, as the engine does it
        case models.Distance.MANHATTAN:
            found = -np.abs(first[:, None] - second[None]).sum(axis=-1)
        case models.Distance.COSINE:
            found = unit(first) @ unit(second).T
        case _:
            found = first @ second.T
    return found
