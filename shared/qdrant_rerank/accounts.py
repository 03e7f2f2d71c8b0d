"""What the candidates made of each result, and what of that adds up to its score, as the sums prove.

The candidates are searched beside the strategy. Where points tie, an engine orders them anew in each search, so that a point's
rank, or whether it was found at all, may have been another one within the strategy. What it was is found out from the score:
among all that the ties allow, that which adds up to it. For that the candidates are asked once more, for the scores of
just these points, where some sum is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .expressions.evaluation import compute
from .expressions.functions import Sigmoid
from .expressions.nodes import Expression, Sum
from .query import Inputs, SearchOptions, both
from .stages import Formula, Fusion, Mmr
from .stages.formula import formula_table
from .stages.fusion import shares
from .steps import Flow, Points, Request
from .strategies import Stage, candidate_options, searched

__all__ = ["Account", "Hit", "account"]

UNKNOWN: Final = "(not known: candidates as the engine had them)"
"""The term that makes sums equal scores where the candidates' own part can't be found out."""

_MOST: Final = 300_000  # combinations of ranks that are tried for one point
_MOST_LEGS: Final = 5  # of which all is tried that they may have found
_CLOSE: Final = {"dbsf": 1e-4, "rrf": 1e-6}  # how far off fused sums may be: the engine computes in 32 bits

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Hit:
    """What a candidate made of a point: rank and score, None where it isn't known or the point wasn't found."""

    id: Any
    rank: int | None
    score: float


@dataclass
class Account:
    """What adds up to the scores.

    Attributes:
        hits: for each candidate stage of the outermost one, what it made of the points that it found, by id.
        terms: texts with a value for each point.
        link: as of `ResultReason`.
    """

    hits: list[dict[Any, Hit]]
    terms: list[tuple[str, Column]] = field(default_factory=list[tuple[str, Column]])
    link: str = "identity"


def account(
    root: Stage, points: Points, candidates: Sequence[tuple[str, Stage, Points]], inputs: Inputs, options: SearchOptions
) -> Flow[Account]:
    """What adds up to the scores of `points`; asks once more only where sums are off.

    Args:
        root: the outermost stage, whose points they are.
        points: best first, with their payload.
        candidates: of each of its candidates, the name, the stage as it runs alone, and what it found.
        inputs: what the query is made of.
        options: the call's.
    """
    sums = _Sums(root, points, candidates, inputs)
    made = sums.account
    if not made.terms or not sums.wrong().any():
        return made
    exact = yield from _scores(points, [stage for _, stage, _ in candidates], inputs, options)
    sums.mend(exact)
    sums.own_up()
    return made


class _Sums:
    """The sums of one answer, on their way to be right."""

    def __init__(self, root: Stage, points: Points, candidates: Sequence[tuple[str, Stage, Points]], inputs: Inputs) -> None:
        self.root, self.points, self.inputs = root, points, inputs
        self.names = [name for name, _, _ in candidates]
        self.found = [points for _, _, points in candidates]
        self.full = [len(points) == stage.limit for _, stage, points in candidates]
        self.alone = [[Hit(point.id, rank, point.score) for rank, point in enumerate(candidate, 1)] for candidate in self.found]
        self.scores = np.array([point.score for point in points], dtype=np.float64)
        self.account = Account([{hit.id: hit for hit in hits} for hits in self.alone])
        self._add_up()

    def _add_up(self) -> None:
        self.account.terms, self.account.link = self._terms()

    def wrong(self) -> NDArray[np.bool_]:
        """Which points' terms don't add up to their score."""
        return ~self._close(self.account.terms, self.scores)

    def _close(self, terms: Sequence[tuple[str, Column]], scores: Column) -> NDArray[np.bool_]:
        total = np.sum([values for _, values in terms], axis=0)
        if self.account.link == "sigmoid":
            total = 1 / (1 + np.exp(-np.clip(total, -500, 500)))
        largest = np.max([np.abs(values) for _, values in terms], axis=0)
        within = _CLOSE[self.root.method] if isinstance(self.root, Fusion) else 1e-5 * np.maximum(1.0, largest)
        close: NDArray[np.bool_] = np.abs(total - scores) <= within
        return close

    def mend(self, exact: Sequence[dict[Any, float]]) -> None:
        """Take what each candidate may have made of the points whose sums are off, so that they are right.

        Args:
            exact: the score that each candidate gives each of the points.
        """
        if isinstance(self.root, Fusion):
            self._mend_fusion(self.root, exact)
        else:
            self._mend_formula(exact)
        self._add_up()

    def _mend_fusion(self, root: Fusion, exact: Sequence[dict[Any, float]]) -> None:
        every = shares(root, self.found)
        for row in np.flatnonzero(self.wrong()):
            id, score = self.points[row].id, self.scores[row]
            tied = [[*self._tied(candidate, id, exact[candidate].get(id))] for candidate in range(len(self.alone))]
            if (chosen := _chosen(root, every, tied, score)) is None:  # ties further below, which shift all ranks
                ranks = [[options[0], None, *self.alone[candidate]] for candidate, options in enumerate(tied)]
                chosen = _chosen(root, every, ranks, score)
            for candidate, hit in enumerate(chosen or ()):
                self._set(candidate, id, hit)

    def _tied(self, candidate: int, id: Any, score: float | None) -> Iterator[Hit | None]:
        """What a candidate may have made of a point: the ranks of all that tie with it, and whether it found it at all."""
        own, alone = self.account.hits[candidate].get(id), self.alone[candidate]
        yield own
        score = own.score if own is not None else score
        ties = [hit for hit in alone if score is not None and np.isclose(hit.score, score, rtol=1e-6, atol=1e-9)]
        yield from ties
        if own is not None and self.full[candidate] and ties[-1] is alone[-1]:  # it may have been cut off
            yield None

    def _mend_formula(self, exact: Sequence[dict[Any, float]]) -> None:
        """Try what each candidate found, the score that it gives, and that it found nothing; for all points at once."""
        left = self.wrong()
        before = [dict(hits) for hits in self.account.hits]
        for choice in product(range(3), repeat=len(before)):
            if not left.any() or len(before) > _MOST_LEGS:
                break
            for candidate, option in enumerate(choice):
                for row in np.flatnonzero(left):
                    id = self.points[row].id
                    given = exact[candidate].get(id)
                    again = None if given is None else Hit(id, None, given)
                    self._set(candidate, id, (before[candidate].get(id), again, None)[option])
            terms, _ = self._terms()
            left &= ~self._close(terms, self.scores)
        for row in np.flatnonzero(left):  # nothing fits: as it was
            for candidate, hits in enumerate(before):
                self._set(candidate, self.points[row].id, hits.get(self.points[row].id))

    def _set(self, candidate: int, id: Any, hit: Hit | None) -> None:
        if hit is None:
            self.account.hits[candidate].pop(id, None)
        else:
            self.account.hits[candidate][id] = replace(hit, id=id)

    def _terms(self) -> tuple[list[tuple[str, Column]], str]:
        """The summands of the scores, each with one value for each point, and the link from sum to score."""
        root, points, hits = self.root, self.points, self.account.hits
        match root:
            case Formula():
                summands, link = _summands(root)
                table = formula_table(root, points, [each.values() for each in hits], self.inputs)
                return [(repr(summand), compute(summand, table)) for summand in summands], link
            case Fusion():
                every = zip(self.names, shares(root, self.found), hits, strict=True)
                columns = [(name, np.array([_share(own, hit.get(point.id)) for point in points])) for name, own, hit in every]
                return columns, "identity"
            case Mmr():
                return [], "identity"
            case _:
                return [("similarity", self.scores)], "identity"

    def own_up(self) -> None:
        """Add what is missing as a term of its own, where sums are still off."""
        wrong = self.wrong()
        if not wrong.any():
            return
        total = np.sum([values for _, values in self.account.terms], axis=0)
        scores = self.scores
        if self.account.link == "sigmoid":
            bounded = np.clip(scores, 1e-12, 1 - 1e-12)
            scores = np.log(bounded / (1 - bounded))
        self.account.terms.append((UNKNOWN, np.where(wrong, scores - total, 0.0)))


def _scores(
    points: Points, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions
) -> Flow[list[dict[Any, float]]]:
    """For each candidate, the score that it gives each of the points; none of those whose scores depend on the rest."""
    these = models.Filter(must=[models.HasIdCondition(has_id=[point.id for point in points])])
    asked = [
        None if candidate.grouped_here else replace(candidate, filter=both(candidate.filter, these), limit=len(points))
        for candidate in candidates
    ]

    def requests() -> list[Request]:
        return [
            candidate.request(inputs, candidate_options(candidate, options)) for candidate in asked if candidate is not None
        ]

    answers = iter((yield from searched(requests, options, inputs.target)) if any(asked) else ())
    return [{} if candidate is None else {point.id: point.score for point in next(answers)} for candidate in asked]


def _chosen(
    root: Fusion, every: Sequence[Sequence[float]], options: Sequence[Sequence[Hit | None]], score: float
) -> list[Hit | None] | None:
    """The one of each candidate's options with which they add up to the score; None if there are none."""
    if np.prod([float(len(each)) for each in options]) > _MOST:
        return None
    values = [np.array([_share(every[candidate], hit) for hit in each]) for candidate, each in enumerate(options)]
    total = values[0]
    for more in values[1:]:
        total = np.add.outer(total, more)
    off = np.abs(total - score)
    if off.min() > _CLOSE[root.method]:
        return None
    places = np.unravel_index(int(off.argmin()), off.shape)
    return [each[int(place)] for each, place in zip(options, places, strict=True)]


def _share(every: Sequence[float], hit: Hit | None) -> float:
    return 0.0 if hit is None or hit.rank is None else every[hit.rank - 1]


def _summands(formula: Formula) -> tuple[tuple[Expression, ...], str]:
    """What a formula adds up, and the link from the sum to the score."""
    expression, link = formula.expression, "identity"
    if isinstance(expression, Sigmoid):
        expression, link = expression.operand, "sigmoid"
    return expression.terms if isinstance(expression, Sum) else (expression,), link
