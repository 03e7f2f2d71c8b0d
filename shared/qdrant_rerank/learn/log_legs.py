"""Candidates as serving finds them: each leg searched alone, to its limit and with all filters, and put together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .. import Query, Scope, Stage, StrategyError, Target
from .._internals import (
    Flow,
    Inputs,
    Points,
    Request,
    alone,
    both,
    brief,
    candidate_scores,
    cut,
    embedded,
    query_token_counts,
    searched,
    widen,
)
from ..evaluate.scopes import stable
from ..expressions._internals import Constant, Table
from ..stages import Formula

__all__ = ["Candidates", "Legs", "found"]


@dataclass(frozen=True)
class Legs:
    """The candidates of a formula, each able to run alone.

    Attributes:
        formula: over the legs as they were given, resolved: it says what `score(name)` means.
        alone: the legs with the limits and filters that they have below the formula.
        scope: what the call asks for; its payload selection is what features read.
    """

    formula: Formula
    alone: tuple[Stage, ...]
    scope: Scope

    @classmethod
    def of(cls, legs: Sequence[Stage], scope: Scope, target: Target) -> Legs:
        """Legs ready to be searched.

        Raises:
            StrategyError: there are none.
        """
        if isinstance(legs, Stage) or not legs:
            raise StrategyError(f"legs is a list of the stages that find the candidates, as in .over(*legs); got {brief(legs)}")
        formula = Formula(Constant(0.0)).over(*legs).resolved(target.schema)
        return cls(formula, tuple(alone(leg, scope.needed, None) for leg in formula.candidates), scope)


@dataclass(frozen=True)
class Candidates:
    """What the legs found for one topic.

    Attributes:
        points: the union of the legs' points, each once, in the order of their best rank.
        ranks: shape (n,), each point's best rank in any leg, from 1; NaN for points that no leg found.
        table: what features are computed from.
    """

    points: Points
    ranks: NDArray[np.float64]
    table: Table

    def joined(self, points: Points) -> Candidates:
        """These candidates and, after them, points that no leg found: all their scores are NaN."""
        more = np.full(len(points), np.nan)
        table = replace(
            self.table,
            payloads=[*self.table.payloads, *(point.payload or {} for point in points)],
            ids=[*self.table.ids, *(point.id for point in points)],
            scores={name: np.concatenate([scores, more]) for name, scores in self.table.scores.items()},
        )
        return Candidates([*self.points, *points], np.concatenate([self.ranks, more]), table)


def found(legs: Legs, query: Query, target: Target, filter: models.Filter | None) -> Flow[Candidates]:
    """The candidates for one query, in one round trip.

    Args:
        legs: where to search.
        query: the query.
        target: the collection.
        filter: only points that meet it, beside the scope's.
    """
    inputs = yield from embedded(query, legs.formula.needs(), target)
    scope = replace(legs.scope, filter=both(legs.scope.filter, filter))

    scopes = [stable(leg, replace(scope, limit=leg.limit or 1)) for leg in legs.alone]

    def requests() -> list[Request]:
        return [leg.request(inputs, widen(leg, own)) for leg, own in zip(legs.alone, scopes, strict=True)]

    found = yield from searched(requests, scope, target)
    answers = [cut(points, leg, own) for points, leg, own in zip(found, legs.alone, scopes, strict=True)]
    return _together(legs, answers, inputs, query)


def _together(legs: Legs, answers: Sequence[Points], inputs: Inputs, query: Query) -> Candidates:
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
        scores=candidate_scores(legs.formula, ids, answers, inputs.target.schema),
        features=query.features,
        now=inputs.now or dt.datetime.now(dt.UTC),
        tokens=query_token_counts((stage.vector for stage in legs.formula.candidates), inputs),
        view=inputs.target.view,
    )
    return Candidates(listed, np.array([best.get(point.id, np.nan) for point in listed], dtype=np.float64), table)
