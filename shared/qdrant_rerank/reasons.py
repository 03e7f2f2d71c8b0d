"""Why results are where they are, as values: what each candidate found, and what adds up to each score. `why.py` makes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import models

from .errors import QueryError
from .feedback.steering import Steering
from .notebooks import Bar, as_table
from .steps import Points

__all__ = ["CandidateHit", "Explained", "ResultReason", "Term", "term_columns"]


@dataclass(frozen=True)
class CandidateHit:
    """What one candidate (a stage below the outermost) made of a point; rank and score are None where it didn't find it.

    The rank alone is None where only the sum of the terms shows that it was found: by one shard, or among points that tie.
    """

    candidate: str
    rank: int | None
    score: float | None


@dataclass(frozen=True)
class Term:
    """One summand of a result's score.

    Attributes:
        text: the summand as the user wrote it, or the candidate that it comes from.
        value: what it adds.
    """

    text: str
    value: float


@dataclass(frozen=True)
class ResultReason:
    """Why one point is where it is.

    Attributes:
        id: the point's id.
        rank: from 1.
        score: as Qdrant gave it.
        candidates: what each candidate made of the point.
        terms: what adds up to `total`; empty for strategies that don't add (MMR). What can't be found out, as candidates tie
            or a shard chose them, is a term that says so.
        total: the sum of the terms: the score, or what `link` makes the score of.
        link: "identity", or "sigmoid" where the score is the sigmoid of the sum.
        without_terms: why there are no terms; "" if there are.
    """

    id: models.ExtendedPointId
    rank: int
    score: float
    candidates: tuple[CandidateHit, ...]
    terms: tuple[Term, ...]
    total: float
    link: str = "identity"
    without_terms: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, e.g. for a document's metadata; terms of the same text are added up."""
        terms: dict[str, float] = {}
        for term in self.terms:
            terms[term.text] = terms.get(term.text, 0.0) + term.value
        return {
            "rank": self.rank,
            "score": self.score,
            "candidates": {hit.candidate: {"rank": hit.rank, "score": hit.score} for hit in self.candidates},
            "terms": terms,
            "link": self.link,
        }


@dataclass(frozen=True)
class Explained:
    """Ranked points with the reason for each.

    Attributes:
        points: best first.
        reasons: one for each.
        steering: of relevance feedback, what the seeds' scores made of the query.
        first: of relevance feedback, what the first search found, the seeds among it, with all of their payload.
    """

    points: Points
    reasons: tuple[ResultReason, ...]
    steering: Steering | None = None
    first: Points = field(default_factory=list[models.ScoredPoint])

    def why(self, above: models.ExtendedPointId, below: models.ExtendedPointId) -> tuple[Term, ...]:
        """What put one result above another: the differences of their terms, largest first; they sum to the lead.

        Raises:
            QueryError: one of the two is not among the results, or its score has no terms.
        """
        first, second = self._reason(above), self._reason(below)
        for reason in (first, second):
            if not reason.terms:
                raise QueryError(f"the score of point {reason.id!r} has no terms to compare: {reason.without_terms}")
        pairs = zip(first.terms, second.terms, strict=True)
        differences = [Term(ours.text, ours.value - theirs.value) for ours, theirs in pairs]
        return tuple(sorted(differences, key=lambda term: -abs(term.value)))

    def _repr_html_(self) -> str:
        columns = term_columns(self.reasons)
        most = max((abs(value) for _, values in columns for value in values if math.isfinite(value)), default=0.0)
        named = {point.id: (point.payload or {}).get("_id", point.id) for point in self.points}
        head = ("rank", "id", "score", *(text for text, _ in columns), "found by")
        rows = [
            (
                reason.rank,
                named.get(reason.id, reason.id),
                reason.score,
                *(Bar(values[place], most) for _, values in columns),
                ", ".join(f"{hit.candidate} #{hit.rank}" for hit in reason.candidates if hit.rank is not None),
            )
            for place, reason in enumerate(self.reasons)
        ]
        return as_table("What each term added to the score", head, rows)

    def _reason(self, point: models.ExtendedPointId) -> ResultReason:
        for reason in self.reasons:
            if reason.id == point:
                return reason
        there = ", ".join(repr(reason.id) for reason in self.reasons) or "none"
        raise QueryError(f"point {point!r} is not among the results; they are {there}")


def term_columns(reasons: Sequence[ResultReason]) -> list[tuple[str, list[float]]]:
    """The terms of several results as texts, in order, with a value for each result; NaN where a result lacks the term.

    Results of one query lack terms where a model didn't read them, or where they have no vector.
    """
    widest = max((reason.terms for reason in reasons), key=len, default=())
    columns: list[tuple[str, list[float]]] = [(term.text, []) for term in widest]
    for reason in reasons:
        values = {term.text: term.value for term in reason.terms}
        whole = len(reason.terms) == len(widest)  # the same texts then, some of them perhaps more than once
        for number, (text, column) in enumerate(columns):
            column.append(reason.terms[number].value if whole else values.get(text, math.nan))
    return columns
