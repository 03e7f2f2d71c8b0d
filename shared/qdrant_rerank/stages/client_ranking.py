"""Candidates ranked here by an expression, as Qdrant would: what it reads of each, the scores, the order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..errors import Lint, ScoringError
from ..explain.results import Account, Column, Find, Found, Scored
from ..expressions.build import Sigmoid
from ..expressions.evaluation import Table, compute, score_points
from ..expressions.inspect import clauses, walk
from ..expressions.nodes import Expression, Raw, Sum, When
from ..points import by_id, select_payload
from ..query import Inputs, SearchOptions, query_token_counts
from ..schema import Schema
from ..steps import Points
from ..strategies import Stage

_MOST_CANDIDATES: Final = 5  # of which all is tried that they may have found


def scores_by_candidate(
    candidates: Sequence[Stage], ids: Sequence[Any], found: Sequence[Iterable[Scored]], schema: Schema
) -> Mapping[str | None, NDArray[np.float64]]:
    """What `score(name)` is for each of n points: by candidate name, n scores; NaN where that candidate didn't find the point.

    Distances are negated, as in the compiled formula. A single candidate's scores are there under None, too.

    Args:
        candidates: the stages that the expression is over.
        ids: the n points.
        found: what each candidate found, in the order of the candidates.
        schema: says which scores are distances.
    """
    scores: dict[str | None, NDArray[np.float64]] = {}
    for candidate, points in zip(candidates, found, strict=True):
        sign = -1.0 if candidate.is_distance(schema) else 1.0
        by_id = {point.id: sign * point.score for point in points}
        scores[candidate.title] = np.array([by_id.get(id, np.nan) for id in ids], dtype=np.float64)
        if len(found) == 1:
            scores[None] = scores[candidate.title]
    return scores


def candidate_table(candidates: Sequence[Stage], points: Points, found: Sequence[Iterable[Scored]], inputs: Inputs) -> Table:
    """What numpy computes an expression from, for these points and what each candidate found; for one query."""
    ids = [point.id for point in points]
    scores = scores_by_candidate(candidates, ids, found, inputs.target.schema)
    if not inputs.target.view.is_local:  # others have scores of 32 bits, which REST writes as decimals that are near them
        scores = {name: column.astype(np.float32).astype(np.float64) for name, column in scores.items()}
    return Table(
        payloads=[point.payload or {} for point in points],
        ids=ids,
        scores=scores,
        params=inputs.params,
        now=inputs.now or dt.datetime.now(dt.UTC),
        tokens=query_token_counts((stage.vector for stage in candidates), inputs),
        view=inputs.target.view,
    )


def rank_points(
    expression: Expression, points: Points, table: Table, options: SearchOptions, threshold: float | None
) -> Points:
    """The points that `options` asks for, best first, with the scores that Qdrant would give them; equal ones by id.

    Args:
        expression: gives the scores.
        points: all candidates, each once.
        table: what the expression reads of them.
        options: those of the call.
        threshold: the score to reach.

    Raises:
        ScoringError: a score isn't finite.
    """
    scores = _scores(expression, points, table) if points else []
    ranked = sorted(zip(points, scores, strict=True), key=lambda pair: (-pair[1], by_id(pair[0])))
    if threshold is not None:
        ranked = [pair for pair in ranked if pair[1] >= np.float32(threshold)]
    return [_scored(point, score, options) for point, score in ranked[options.offset or 0 : options.reach]]


def _scores(expression: Expression, points: Points, table: Table) -> list[float]:
    with np.errstate(over="ignore"):
        scores = score_points(expression, table)
    if not np.isfinite(scores).all():
        worst = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ScoringError(f"the formula gives point {points[worst].id!r} {scores[worst]}, which is no score: keep it finite")
    return [float(score) for score in scores]


def _scored(point: models.ScoredPoint, score: float, options: SearchOptions) -> models.ScoredPoint:
    return point.model_copy(update={"score": score, "payload": select_payload(point.payload, options.with_payload)})


class Summands(Account):
    """What each summand of a formula adds; where candidates tie, whatever of what they may have found fits the score."""

    def __init__(
        self, expression: Expression, candidates: Sequence[Stage], points: Points, found: Sequence[Found], inputs: Inputs
    ) -> None:
        super().__init__(points, found, ())
        self.candidates, self.inputs = candidates, inputs
        if isinstance(expression, Sigmoid):
            expression, self.link = expression.operand, "sigmoid"
        self.summands = expression.terms if isinstance(expression, Sum) else (expression,)
        self.terms = self._add_up()

    def _add_up(self) -> list[tuple[str, Column]]:
        table = candidate_table(self.candidates, self.points, [each.values() for each in self.finds], self.inputs)
        return [(repr(summand), compute(summand, table)) for summand in self.summands]

    def mend(self, exact: Sequence[Mapping[Any, float]]) -> None:
        """Try what each candidate found, the score that it gives, and that it found nothing; for all results at once."""
        left = self.is_wrong()
        before = [dict(finds) for finds in self.finds]
        for choice in product(range(3), repeat=len(before)) if len(before) <= _MOST_CANDIDATES else ():
            if not left.any():
                break
            for candidate, option in enumerate(choice):
                for row in np.flatnonzero(left):
                    id = self.points[row].id
                    given = exact[candidate].get(id)
                    again = None if given is None else Find(id, None, given)
                    self.set_find(candidate, id, (before[candidate].get(id), again, None)[option])
            left &= ~self.is_close(self._add_up())
        for row in np.flatnonzero(left):  # nothing fits: as it was
            for candidate, finds in enumerate(before):
                self.set_find(candidate, self.points[row].id, finds.get(self.points[row].id))
        self.terms = self._add_up()


def shard_warnings_alone(candidate: Stage, schema: Schema) -> Iterator[Lint]:
    """What changes with the number of shards in a candidate that is searched alone, over the whole collection's candidates."""
    if candidate.vector is not None:
        for inner in candidate.candidates:
            yield from shard_warnings_alone(inner, schema)
        candidate = replace(candidate, candidates=())
    yield from candidate.shard_warnings(schema)


def asks_qdrant(condition: Any) -> bool:
    """Whether a condition is on what isn't fetched: a point's vectors."""
    if isinstance(condition, models.Filter):
        return any(map(asks_qdrant, clauses(condition)))
    return isinstance(condition, models.HasVectorCondition)


def qdrant_only_parts(expression: Expression) -> Iterator[Expression]:
    """What of an expression can't be computed here."""
    for node in walk(expression):
        if isinstance(node, Raw) or (isinstance(node, When) and asks_qdrant(node.condition)):
            yield node
