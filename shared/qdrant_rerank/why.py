"""Why a result is where it is: what each leg found, and what each term added to the final score.

The legs are searched beside the strategy itself in one batch; the terms are computed here with numpy from the legs' scores and
the payload. They sum to the score that Qdrant gave. Where ties in a second search come otherwise, so that they don't, one more
round trip finds out what the legs made of the results (see `accounts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .accounts import account
from .blending import summands
from .brief import brief
from .careful import searched
from .client_formula import ClientFormula
from .errors import StrategyError
from .feedback.rounds import Rounds, steered, trimmed
from .feedback.strategy import RelevanceFeedback
from .feedback.summing import summed
from .legs import below, leg_points, leg_requests
from .pages import cut, widen
from .plan import Plan
from .query import Inputs, Query, Scope
from .reasons import Explained, LegHit, ResultReason, Term
from .rescore import Rescore
from .results import notes_of
from .selecting import selected
from .steps import Flow, Points, Request
from .strategies import Stage, embedded

__all__ = ["Explained", "LegHit", "ResultReason", "Term", "explained"]


def explained(plan: Plan, query: Query) -> Flow[Explained]:
    """The results of `plan` for `query`, each with its reason; as many round trips as the query itself takes, and
    one more where points tie.

    Raises:
        StrategyError: there is no saying for this kind of strategy, or its call groups results.
        PlanError: as `Plan.flow`.
    """
    return (yield from plan.account_for(_explained(plan, query)))


def _explained(plan: Plan, query: Query) -> Flow[Explained]:
    root, scope = plan.strategy, plan.scope
    if isinstance(root, Rescore):
        return (yield from _rescored(root, plan, query))
    if isinstance(root, RelevanceFeedback):
        return (yield from _steered(root, plan, query))
    if isinstance(root, ClientFormula):
        return (yield from _computed_here(root, plan, query))
    if not isinstance(root, Stage):
        raise StrategyError(
            "only strategies that Qdrant runs alone, formulas on the client, Rescore over them and RelevanceFeedback can be "
            f"explained result by result, not {brief(root)}"
        )
    if scope.group_by is not None:
        raise StrategyError("results of a group query can't be explained: leave out group_by")
    inputs = yield from embedded(query, root.needs(), plan.target)
    legs = below(root, scope)
    whole = replace(widen(root, scope), with_payload=True)  # what the terms read, whatever of it the call wants to see
    sent = yield from root.outermost(inputs, whole)

    def requests() -> list[Request]:
        return [sent.request(inputs, whole), *leg_requests(root, legs, inputs, scope)]

    points, *answers = yield from searched(requests, scope, plan.target)
    points, found = cut(points, root, scope), leg_points(root, legs, answers, inputs, scope)
    reasons = yield from _reasons(root, points, legs, found, inputs, scope)
    return Explained(_as_asked(points, scope), reasons)


def _as_asked(points: Points, scope: Scope) -> Points:
    """Points with what the call wants of the payload; all of it came along for the terms."""
    if scope.with_payload is True:
        return points
    return [point.model_copy(update={"payload": selected(point.payload, scope.with_payload)}) for point in points]


def _computed_here(root: ClientFormula, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of a formula on the client: what it computes them from is there anyway."""
    points, found, inputs = yield from root.computed(query, replace(plan.scope, with_payload=True), plan.target)
    reasons = yield from _reasons(root.formula, points, root.formula.candidates, found, inputs, plan.scope)
    return Explained(_as_asked(points, plan.scope), reasons)


def _rescored(root: Rescore, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of a rescoring: what the strategy below made of each, and what the model's score adds to it."""
    scope = root.candidate_scope(plan.scope, plan.target)
    below = yield from explained(replace(plan, strategy=root.below, scope=scope), query)
    points = yield from root.ranked(below.points, query, replace(plan.scope, with_payload=True), plan.target)
    before = {reason.id: reason for reason in below.reasons}
    read = [point for point in points if "relevance_score" in notes_of(point)]
    terms = summands(root.blend, read, query, root.sign(plan.target), plan.target.view)
    values = {point.id: [Term(text, float(column[row])) for text, column in terms] for row, point in enumerate(read)}
    reasons = []
    for rank, point in enumerate(points, (plan.scope.offset or 0) + 1):
        found = before[point.id]
        legs = *found.legs, LegHit("retrieval", found.rank, found.score)
        own = tuple(values.get(point.id, ()))
        why_not = "" if own else f"the model didn't read it ({notes_of(point).get('not_rescored')})"
        total = sum(term.value for term in own) if own else point.score
        reasons.append(ResultReason(point.id, rank, point.score, legs, own, total, without_terms=why_not))
    return Explained(_as_asked(points, plan.scope), tuple(reasons))


def _steered(root: RelevanceFeedback, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of relevance feedback: where the first search had each, and what adds up to its score."""
    rounds = yield from steered(root, query, plan.scope, plan.target, explaining=True)
    if root.within is not None and root.mode == "precision":
        found = yield from _reasons(root.root, [*rounds.points], rounds.legs, rounds.found, rounds.inputs, plan.scope)
    else:
        found = tuple(_within(root, rounds, plan.scope) if root.within is not None else _around(root, rounds, plan.scope))
    before = {point.id: (rank, point.score) for rank, point in enumerate(rounds.first, 1)}
    reasons = tuple(
        replace(reason, legs=(LegHit("first search", *before.get(reason.id, (None, None))), *reason.legs)) for reason in found
    )
    points = [trimmed(point, plan.scope) for point in rounds.points]
    return Explained([*points], reasons, rounds.steering, rounds.first)


def _within(root: RelevanceFeedback, rounds: Rounds, scope: Scope) -> Iterator[ResultReason]:
    """Of results that the model ranked, where the steered search is one leg of several: what each leg made of them."""
    hits = _hits(rounds.legs, rounds.found)
    for reason in _around(root, rounds, scope):
        yield replace(reason, legs=tuple(LegHit(name, *ranks.get(reason.id, (None, None))) for name, ranks in hits))


def _around(root: RelevanceFeedback, rounds: Rounds, scope: Scope) -> Iterator[ResultReason]:
    """Of results of the steered search alone, or ranked by the model: what the query and the feedback add, or the model."""
    terms, why_not = summed(root, rounds)
    for row, point in enumerate(rounds.points):
        own = tuple(Term(text, float(column[row])) for text, column in terms if np.isfinite(column[row]))
        total = sum(term.value for term in own) if own else point.score
        reason = "" if own else why_not or "the model didn't score it"
        yield ResultReason(point.id, (scope.offset or 0) + row + 1, point.score, (), own, total, without_terms=reason)


def _reasons(
    root: Stage, points: Points, legs: Sequence[Stage], found: Sequence[Points], inputs: Inputs, scope: Scope
) -> Flow[tuple[ResultReason, ...]]:
    """Of results of a stage: what its candidates made of them, and what adds up to their scores."""
    hits, direct = _hits(legs, found), len(root.candidates)
    own = [(name, leg, points) for (name, _), leg, points in zip(hits[:direct], legs, found, strict=False)]
    made = yield from account(root, points, own, inputs, scope)
    hits[:direct] = [
        (name, {id: (hit.rank, hit.score) for id, hit in each.items()})
        for (name, _), each in zip(hits, made.hits, strict=False)
    ]
    reasons = []
    for row, point in enumerate(points):
        leg_hits = tuple(LegHit(name, *ranks.get(point.id, (None, None))) for name, ranks in hits)
        terms = tuple(Term(text, float(values[row])) for text, values in made.terms)
        total = sum(term.value for term in terms) if terms else point.score
        why_not = "" if terms else "MMR chooses each result by its likeness to those before it"
        rank = (scope.offset or 0) + row + 1
        reasons.append(ResultReason(point.id, rank, point.score, leg_hits, terms, total, made.link, why_not))
    return tuple(reasons)


def _hits(legs: Sequence[Stage], found: Sequence[Points]) -> list[tuple[str, Mapping[Any, tuple[int | None, float]]]]:
    """Each leg's name, and rank and score of what it found by id."""
    ranks = ({point.id: (rank, point.score) for rank, point in enumerate(leg, 1)} for leg in found)
    return list(zip(_names(legs), ranks, strict=True))


def _names(legs: Sequence[Stage]) -> list[str]:
    """A name for each leg: its title, numbered where several have the same."""
    titles = [leg.title if leg.title is not None else type(leg).__name__.lower() for leg in legs]
    return [
        title if titles.count(title) == 1 else f"{title} ({titles[: number + 1].count(title)})"
        for number, title in enumerate(titles)
    ]
