"""What the fit of relevance feedback learns from: one search for each query, its vectors, and the model's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..executor import Executor
from ..feedback.folding import Column, unit
from ..feedback.steering import stored_vector
from ..feedback.strategy import RelevanceFeedback
from ..query import Query, Scope, Target
from ..steps import Points
from .feedback_fit_scores import ScoreFile

__all__ = ["Example", "Examples", "gathered"]

_BATCH = 32


@dataclass(frozen=True)
class Example:
    """One query: n points of a deep search, the seeds first, in the order of the search.

    Attributes:
        query: its text.
        similarity: of each point to the query, shape (n,).
        to_seeds: of each point to each of the k seeds, shape (k, n).
        scores: what the feedback model gave each point, shape (n,).
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


def gathered(
    executor: Executor,
    strategy: RelevanceFeedback,
    queries: Sequence[str],
    candidates: int,
    scores: ScoreFile,
    filter: models.Filter | None = None,
) -> list[Example]:
    """An example for each query that finds more points with text and vector than there are seeds.

    One search for each query, in batches; the points' vectors come back with it, so that nothing is searched for a pair.
    """
    target = executor.target()
    resolved = strategy.resolved(target.schema)
    scope = replace(resolved.seed_scope(Scope(limit=candidates, filter=filter)), limit=candidates)
    examples: list[Example] = []
    for start in range(0, len(queries), _BATCH):
        texts = list(queries[start : start + _BATCH])
        vectors = executor.embed(texts, resolved.needs())
        asked = [Query(text, vectors=own) for text, own in zip(texts, vectors, strict=True)]
        answers = executor.retrieve_batch(resolved.seeds, asked, scope)
        for query, points in zip(asked, answers, strict=True):
            made = _example(resolved, query, points, target, scores)
            if made is not None:
                examples.append(made)
    return examples


def _example(strategy: RelevanceFeedback, query: Query, points: Points, target: Target, scores: ScoreFile) -> Example | None:
    kept: list[tuple[str, list[float]]] = []
    for point in points:
        text, vector = target.payload.content(point.payload or {}).text, stored_vector(point, strategy.compared)
        if text.strip() and vector is not None:
            kept.append((text, vector))
    scores.done += len(points) - len(kept)
    if len(kept) <= strategy.seed_count + 1:
        scores.done += len(kept)
        return None
    given = np.array(scores.score(query.text, [text for text, _ in kept]))
    stored = np.array([vector for _, vector in kept], np.float64)
    own: Any = query.vectors[strategy.compared]
    distance = target.schema.vectors[strategy.compared].distance
    similarity = _similarities(np.asarray(own, np.float64)[None], stored, distance)[0]
    return Example(query.text, similarity, _similarities(stored[: strategy.seed_count], stored, distance), given)


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
