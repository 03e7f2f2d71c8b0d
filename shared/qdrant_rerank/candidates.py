"""The candidates of a stage by themselves: as stages that run alone, and as the scores that a formula above reads of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .expressions.build import score
from .expressions.evaluation import Table
from .query import Inputs, SearchOptions, query_token_counts
from .schema import Schema
from .stages import Formula
from .steps import Points, Request
from .strategies import Stage, alone, candidate_options

__all__ = [
    "Scored",
    "alone",
    "below",
    "candidate_options",
    "candidate_points",
    "candidate_requests",
    "candidate_scores",
    "formula_table",
]


class Scored(Protocol):
    """A point of which only the id and the score count."""

    @property
    def id(self) -> Any: ...
    @property
    def score(self) -> float: ...


def below(root: Stage, options: SearchOptions) -> list[Stage]:
    """The stages below `root`, nearest first, each as it runs alone; `options` is that of the call to `root`."""
    return list(_below(replace(root, candidates=tuple(alone(each, options.needed, root.filter) for each in root.candidates))))


def _below(stage: Stage) -> Iterator[Stage]:
    yield from stage.candidates
    for candidate in stage.candidates:
        yield from _below(candidate)


def candidate_requests(root: Stage, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
    """The requests that show what each of the stages of `below` finds below `root`; `candidate_points` reads their answers."""
    for number, candidate in enumerate(candidates):
        own = candidate_options(candidate, options)
        if times := _times(root, number, candidate, inputs, options):
            candidate, own = Formula(score()).over(candidate), replace(own, limit=own.limit * times)
        yield candidate.request(inputs, own)


def candidate_points(
    root: Stage, candidates: Sequence[Stage], answers: Sequence[Points], inputs: Inputs, options: SearchOptions
) -> list[Points]:
    """What each candidate finds, by the answers to `candidate_requests`."""
    return [
        [point.model_copy(update={"score": -point.score}) for point in points]  # a formula turns distances around
        if _times(root, number, candidate, inputs, options) and candidate.is_distance(inputs.target.schema)
        else points
        for number, (candidate, points) in enumerate(zip(candidates, answers, strict=True))
    ]


def _times(root: Stage, number: int, candidate: Stage, inputs: Inputs, options: SearchOptions) -> int:
    """Of how many shards the points of a candidate are to be seen apart; 0 if it gives the same alone.

    Below a stage each shard has candidates of its own, as many as the limit says. A formula that is but the score shows
    those of all shards.
    """
    shards = inputs.target.schema.shards_of(options.shard_key_selector)
    if shards <= 1 or number >= len(root.candidates) or not inputs.target.capabilities.supports("formula"):
        return 0
    if isinstance(root, Formula):
        return shards
    return 1 if candidate.once_per_collection else 0


def candidate_scores(
    formula: Formula, ids: Sequence[Any], found: Sequence[Iterable[Scored]], schema: Schema
) -> Mapping[str | None, NDArray[np.float64]]:
    """What `score(name)` is for each of n points: by candidate name, n scores; NaN where that candidate didn't find the point.

    Distances are negated, as in the compiled formula. A single candidate's scores are there under None, too.

    Args:
        formula: whose candidates they are.
        ids: the n points.
        found: what each candidate found, in the order of the candidates.
        schema: says which scores are distances.
    """
    scores: dict[str | None, NDArray[np.float64]] = {}
    for candidate, points in zip(formula.as_candidates(schema), found, strict=True):
        sign = -1.0 if candidate.is_distance else 1.0
        by_id = {point.id: sign * point.score for point in points}
        scores[candidate.name] = np.array([by_id.get(id, np.nan) for id in ids], dtype=np.float64)
        if len(found) == 1:
            scores[None] = scores[candidate.name]
    return scores


def formula_table(formula: Formula, points: Points, found: Sequence[Iterable[Scored]], inputs: Inputs) -> Table:
    """What numpy computes a formula from, for these points and what each candidate found; for one query."""
    ids = [point.id for point in points]
    return Table(
        payloads=[point.payload or {} for point in points],
        ids=ids,
        scores=candidate_scores(formula, ids, found, inputs.target.schema),
        params=inputs.params,
        now=inputs.now or dt.datetime.now(dt.UTC),
        tokens=query_token_counts((stage.vector for stage in formula.candidates), inputs),
        view=inputs.target.view,
    )
