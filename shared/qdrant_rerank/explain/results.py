"""Why results are where they are, as values: what each candidate found, what adds up to each score, what seeds made of a query.

The candidates are searched beside the strategy. Where points tie, each search orders them differently: within the strategy a
point may have had another rank, or may not have been found. The score decides: of all ranks that the ties allow, those that
add up to it are taken (`Account.mend`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..errors import QueryError
from ..steps import Points
from ..values import Bar, as_table

Column: TypeAlias = NDArray[np.float64]

UNKNOWN: Final = "(not known: candidates as the engine had them)"
"""The term that makes sums equal scores where the candidates' own part can't be found out."""


@dataclass(frozen=True)
class CandidateHit:
    """A point's rank and score in one candidate (a stage below the outermost); both None where it wasn't found.

    The rank alone is None where only the sum of the terms shows that it was found: by one shard, or among points that tie.
    """

    candidate: str
    rank: int | None
    score: float | None

    @classmethod
    def of(cls, candidate: str, find: Find | None) -> CandidateHit:
        """The hit of a candidate of this name."""
        return cls(candidate, None, None) if find is None else cls(candidate, find.rank, find.score)


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
            or a shard chose them, is a term of its own.
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

    @classmethod
    def of(
        cls,
        point: models.ScoredPoint,
        rank: int,
        candidates: Iterable[CandidateHit],
        terms: Iterable[Term],
        without_terms: str = "",
        link: str = "identity",
    ) -> ResultReason:
        """The reason for a point, with the total of its terms."""
        terms = tuple(terms)
        total = sum(term.value for term in terms) if terms else point.score
        return cls(point.id, rank, point.score, tuple(candidates), terms, total, link, "" if terms else without_terms)

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
        first: of relevance feedback, the first search's points, the seeds among them, with all of their payload.
    """

    points: Points
    reasons: tuple[ResultReason, ...]
    steering: Steering | None = None
    first: Points = field(default_factory=list[models.ScoredPoint])

    def compare(self, above: models.ExtendedPointId, below: models.ExtendedPointId) -> tuple[Term, ...]:
        """What put one result above another: the differences of their terms, largest first, which sum to the lead.

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
    """The terms of several results as texts, in order, with a value for each result.

    NaN stands where a result lacks the term: a model didn't read it, or it has no vector.
    """
    widest = max((reason.terms for reason in reasons), key=len, default=())
    columns: list[tuple[str, list[float]]] = [(term.text, []) for term in widest]
    for reason in reasons:
        values = {term.text: term.value for term in reason.terms}
        whole = len(reason.terms) == len(widest)  # the same texts then, some of them perhaps more than once
        for number, (text, column) in enumerate(columns):
            column.append(reason.terms[number].value if whole else values.get(text, math.nan))
    return columns


# What adds up to the scores of a stage


class Scored(Protocol):
    """A point's id and score."""

    @property
    def id(self) -> Any: ...
    @property
    def score(self) -> float: ...


@dataclass(frozen=True)
class Find:
    """A point's rank and score in a candidate; the rank is None where it isn't known."""

    id: Any
    rank: int | None
    score: float


@dataclass(frozen=True)
class Found:
    """What one candidate of a stage found when it was searched alone.

    Attributes:
        name: what the candidate is called.
        points: best first.
        is_full: whether it found as many as it hands on, so that points which tie with the last may have been cut off.
    """

    name: str
    points: Points
    is_full: bool = False

    @cached_property
    def finds(self) -> list[Find]:
        return [Find(point.id, rank, point.score) for rank, point in enumerate(self.points, 1)]


class Account:
    """What adds up to the scores of a stage's results, by terms that don't depend on how candidates tie.

    Attributes:
        points: the results, best first, with their payload.
        found: what each candidate found.
        finds: for each candidate, what it made of the points that it found, by id.
        terms: texts with a value for each result.
        link: as of `ResultReason`.
        without_terms: why there are no terms; "" if there are.
    """

    link: str = "identity"

    def __init__(
        self,
        points: Points,
        found: Sequence[Found],
        terms: Sequence[tuple[str, Column]] | None = None,
        without_terms: str = "",
    ) -> None:
        self.points, self.found, self.without_terms = points, found, without_terms
        self.finds: list[dict[Any, Find]] = [{find.id: find for find in each.finds} for each in found]
        self.scores = np.array([point.score for point in points], dtype=np.float64)
        own = [] if without_terms else [("similarity", self.scores)]
        self.terms: list[tuple[str, Column]] = own if terms is None else list(terms)

    def is_wrong(self) -> NDArray[np.bool_]:
        """Which results' terms don't add up to their score."""
        return ~self.is_close(self.terms) if self.terms else np.zeros(len(self.points), np.bool_)

    def is_close(self, terms: Sequence[tuple[str, Column]]) -> NDArray[np.bool_]:
        """Which results' scores these terms add up to."""
        total = np.sum([values for _, values in terms], axis=0)
        if self.link == "sigmoid":
            total = 1 / (1 + np.exp(-np.clip(total, -500, 500)))
        close: NDArray[np.bool_] = np.abs(total - self.scores) <= self.tolerance(terms)
        return close

    def tolerance(self, terms: Sequence[tuple[str, Column]]) -> float | Column:
        """How far off sums may be: engines compute in 32 bits."""
        largest = np.max([np.abs(values) for _, values in terms], axis=0)
        close: Column = 1e-5 * np.maximum(1.0, largest)
        return close

    def mend(self, exact: Sequence[Mapping[Any, float]]) -> None:
        """Take, where sums are off, the ranks and scores that ties allow and that make them right.

        `exact` has the score that each candidate gives each result, where that doesn't depend on others.
        """

    def set_find(self, candidate: int, id: Any, find: Find | None) -> None:
        """Set what a candidate made of a point; None if it didn't find it."""
        if find is None:
            self.finds[candidate].pop(id, None)
        else:
            self.finds[candidate][id] = replace(find, id=id)

    def own_up(self) -> None:
        """Where sums are still off, add what is missing as a term of its own."""
        wrong = self.is_wrong()
        if not wrong.any():
            return
        total, scores = np.sum([values for _, values in self.terms], axis=0), self.scores
        if self.link == "sigmoid":
            bounded = np.clip(scores, 1e-12, 1 - 1e-12)
            scores = np.log(bounded / (1 - bounded))
        self.terms.append((UNKNOWN, np.where(wrong, scores - total, 0.0)))


# What the seeds of relevance feedback made of a query


@dataclass(frozen=True)
class Seed:
    """One of the first search's best.

    Attributes:
        id: the point's.
        rank: in the first search, from 1.
        text: what the model reads; "" if it reads nothing.
        vector: as stored; None if the point has none.
        score: what the model gave; None if it wasn't asked.
    """

    id: models.ExtendedPointId
    rank: int
    text: str
    vector: list[float] | None
    score: float | None = None

    @property
    def counts(self) -> bool:
        """Whether pairs may have it."""
        return self.score is not None and self.vector is not None


@dataclass(frozen=True)
class Pair:
    """Two seeds to which the reranker gave different scores.

    Attributes:
        better, worse: their places among the seeds that were scored.
        confidence: the difference of their feedback scores, above 0.
        weight: what the pair counts: `c·confidence^b`.
    """

    better: int
    worse: int
    confidence: float
    weight: float


@dataclass(frozen=True)
class Steering:
    """What the seeds' scores made of the query.

    Attributes:
        seeds: in the order of the first search.
        why_not: why the second search isn't steered; "" if it is.
        pairs: of the seeds in `used`, most confident first.
        query: what the second search asks; None if it isn't steered.
        scale: by which its scores are multiplied.
        cosine: how much the steered vector is like the query's, from -1 to 1 (1: no shift); None if it isn't known here.
    """

    seeds: tuple[Seed, ...]
    why_not: str = ""
    pairs: tuple[Pair, ...] = ()
    query: models.QueryInterface | None = None
    scale: float = 1.0
    cosine: float | None = None

    @property
    def to_score(self) -> list[Seed]:
        """The seeds that the model reads."""
        return [seed for seed in self.seeds if seed.text.strip()]

    @property
    def used(self) -> list[Seed]:
        """The seeds of pairs, whose numbers are places in this list."""
        return [seed for seed in self.seeds if seed.counts]

    @cached_property
    def scores(self) -> Mapping[Any, float]:
        """Feedback scores by point id."""
        return {seed.id: seed.score for seed in self.seeds if seed.score is not None}
