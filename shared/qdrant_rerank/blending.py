"""A model's score blended with business terms, computed here with numpy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ScoringError, StrategyError
from .expressions.evaluation import Table, evaluate
from .expressions.inspect import candidate_scores, reads_model
from .expressions.nodes import Expression, Sum
from .expressions.view import View
from .query import Query
from .results import notes_of
from .steps import Points

__all__ = ["blended", "check_blend", "summands"]

Column = NDArray[np.float64]


def check_blend(blend: Expression) -> None:
    """Refuse a blend that can't be computed, or that would leave the model without effect.

    Raises:
        StrategyError: it doesn't read `rerank_score()`, or reads the score of one candidate by name.
    """
    if not reads_model(blend):
        raise StrategyError(f"blend={blend!r} doesn't read rerank_score(): without it the model's scores would have no effect")
    if named := [score.name for score in candidate_scores(blend) if score.name is not None]:
        raise StrategyError(
            f"blend reads score({named[0]!r}), but here only score() is known: the score of the strategy that Rerank runs over"
        )


def blended(
    blend: Expression | None, points: Points, relevance: Sequence[float], query: Query, sign: float, view: View
) -> Column:
    """The final score of each of n points that a model read: shape (n,).

    Args:
        blend: what the model's scores are blended by; None for the model's own scores.
        points: as the search scored them.
        relevance: the model's n scores.
        query: for request-time values and the time.
        sign: -1 if the search's scores are distances, else 1.
        view: how the engine sees payload.

    Raises:
        ScoringError: a score isn't finite.
        PlanError: a point lacks a payload key that the blend reads without a default.
        QueryError: a request-time value is missing.
    """
    if blend is None:
        return np.array(relevance, np.float64)
    scores = evaluate(blend, _table(points, [point.score for point in points], relevance, query, sign, view))
    if not np.isfinite(scores).all():
        worst = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ScoringError(f"the blend of point {points[worst].id!r} is {scores[worst]}: {blend!r} must be finite")
    return scores


def summands(blend: Expression | None, points: Points, query: Query, sign: float, view: View) -> list[tuple[str, Column]]:
    """What adds up to the final scores of n points that a model read and that note it: texts, each with n values."""
    notes = [notes_of(point) for point in points]
    relevance = [note.get("relevance_score", np.nan) for note in notes]
    if blend is None:
        return [("rerank_score()", np.array(relevance, np.float64))]
    before = [note.get("retrieval_score", np.nan) for note in notes]
    table = _table(points, before, relevance, query, sign, view)
    terms = blend.terms if isinstance(blend, Sum) else (blend,)
    return [(repr(term), evaluate(term, table)) for term in terms]


def _table(points: Points, before: Sequence[float], relevance: Sequence[float], query: Query, sign: float, view: View) -> Table:
    scores: dict[str | None, Any] = {None: sign * np.array(before, np.float64)}
    return Table(
        payloads=[point.payload or {} for point in points],
        ids=[point.id for point in points],
        scores=scores,
        params=query.params,
        now=query.now or dt.datetime.now(dt.UTC),
        relevance=np.array(relevance, np.float64),
        view=view,
    )
