"""Candidates as serving finds them, each searched alone and put together; and stored points drawn at random."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .. import Executor, Query, Retries, SearchOptions, StrategyError
from .._internals import (
    NO_RETRIES,
    Constant,
    Flow,
    Inputs,
    Points,
    Reference,
    Request,
    Search,
    Table,
    View,
    both,
    brief,
    embed_query,
    query_token_counts,
    random_points,
    scores_by_candidate,
    search,
)
from ..evaluate._internals import RetryingServices, stable
from ..planning import Target
from ..stages import Formula, Stage
from .features import Known, compute_features, is_payload_only, share_lacking

__all__ = ["CandidateSearch", "Candidates", "draw_points", "reference_of", "search_candidates"]


@dataclass(frozen=True)
class CandidateSearch:
    """The candidates of a formula, each to be searched alone.

    Attributes:
        formula: over the resolved candidates; it says what `score(name)` means.
        alone: the candidates with the limits and filters that they have below the formula.
        options: what the call asks for, with the payload that features read.
    """

    formula: Formula
    alone: tuple[Stage, ...]
    options: SearchOptions

    @classmethod
    def of(cls, candidates: Sequence[Stage], options: SearchOptions, target: Target) -> CandidateSearch:
        """The search of these candidates. Raises StrategyError if there are none."""
        if isinstance(candidates, Stage) or not candidates:
            raise StrategyError(f"candidates is a list of stages, as in .over(*candidates); got {brief(candidates)}")
        formula = Formula(Constant(0.0)).over(*candidates).resolve(target.schema)
        return cls(formula, tuple(candidate.alone(options.needed, None) for candidate in formula.candidates), options)


@dataclass(frozen=True)
class Candidates:
    """What the candidates found for one topic.

    Attributes:
        points: the points of all candidates, each once, by their best rank.
        ranks: shape (n,), each point's best rank in any candidate, from 1; NaN for points that no candidate found.
        table: what features are computed from.
    """

    points: Points
    ranks: NDArray[np.float64]
    table: Table

    def join(self, points: Points) -> Candidates:
        """These candidates and, after them, points that no candidate found, whose scores are NaN."""
        more = np.full(len(points), np.nan)
        table = replace(
            self.table,
            payloads=[*self.table.payloads, *(point.payload or {} for point in points)],
            ids=[*self.table.ids, *(point.id for point in points)],
            scores={name: np.concatenate([scores, more]) for name, scores in self.table.scores.items()},
        )
        return Candidates([*self.points, *points], np.concatenate([self.ranks, more]), table)


def search_candidates(
    candidates: CandidateSearch, query: Query, target: Target, filter: models.Filter | None
) -> Flow[Candidates]:
    """The candidates for one query whose points meet `filter` beside the options', in one round trip."""
    inputs = yield from embed_query(query, candidates.formula.needs(), target)
    options = replace(candidates.options, filter=both(candidates.options.filter, filter))
    alone = [(each, stable(each, replace(options, limit=each.limit or 1))) for each in candidates.alone]

    def requests() -> list[Request]:
        return [candidate.request(inputs, candidate.widen(own)) for candidate, own in alone]

    found = yield from search(requests, options, target)
    answers = [candidate.cut(points, own) for points, (candidate, own) in zip(found, alone, strict=True)]
    return _join_answers(candidates, answers, inputs, query)


def _join_answers(candidates: CandidateSearch, answers: Sequence[Points], inputs: Inputs, query: Query) -> Candidates:
    best: dict[models.ExtendedPointId, int] = {}
    points: dict[models.ExtendedPointId, models.ScoredPoint] = {}
    for answer in answers:
        for rank, point in enumerate(answer, 1):
            best[point.id] = min(rank, best.get(point.id, rank))
            points.setdefault(point.id, point)
    listed = sorted(points.values(), key=lambda point: best[point.id])
    ids = [point.id for point in listed]
    table = Table(
        payloads=[point.payload or {} for point in listed],
        ids=ids,
        scores=scores_by_candidate(candidates.formula.candidates, ids, answers, inputs.target.schema),
        params=query.params,
        now=inputs.now or dt.datetime.now(dt.UTC),
        tokens=query_token_counts((stage.vector for stage in candidates.formula.candidates), inputs),
        view=inputs.target.view,
    )
    return Candidates(listed, np.array([best.get(point.id, np.nan) for point in listed], dtype=np.float64), table)


def draw_points(
    executor: Executor, payload: Any, count: int, filter: models.Filter | None = None, retries: Retries = NO_RETRIES
) -> Points:
    """Up to `count` stored points, drawn at random by Qdrant."""
    search = Search([random_points(count, payload, filter, executor.target().schema)])
    points: Points
    [points] = RetryingServices(executor, retries).search(search)
    return points


def reference_of(features: Known, points: Points, view: View) -> dict[str, Reference]:
    """How each feature that only reads the payload is distributed over the points, as the engine sees them."""
    known = {name: feature for name, feature in features.items() if is_payload_only(feature)}
    if not known or not points:
        return {}
    payloads = [point.payload or {} for point in points]
    values = compute_features(known, Table(payloads, [point.id for point in points], view=view))
    return {
        name: Reference.of(values[:, number], share_lacking(feature, payloads))
        for number, (name, feature) in enumerate(known.items())
    }
