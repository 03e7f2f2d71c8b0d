"""Why a result is where it is: what each leg found, and what each term added to the final score.

The legs are searched beside the strategy itself in one batch, so an explanation costs one round trip; the terms are
computed here with numpy from the legs' scores and the payload. They sum to the score that Qdrant gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .blending import summands
from .brief import brief
from .careful import searched
from .client_formula import ClientFormula
from .errors import StrategyError
from .expressions.evaluation import evaluate
from .expressions.nodes import Expression, Sigmoid, Sum
from .feedback.rounds import Rounds, steered, trimmed
from .feedback.strategy import RelevanceFeedback
from .feedback.summing import summed
from .fusing import fused_terms
from .legs import below, formula_table, leg_scope
from .pages import cut, widen
from .plan import Plan
from .query import Inputs, Query, Scope
from .reasons import Explained, LegHit, ResultReason, Term
from .rescore import Rescore
from .results import notes_of
from .selecting import selected
from .stages import Formula, Fusion, Mmr
from .steps import Flow, Points, Request
from .strategies import Stage, embedded

__all__ = ["Explained", "LegHit", "ResultReason", "Term", "explained"]


def explained(plan: Plan, query: Query) -> Flow[Explained]:
    """The results of `plan` for `query`, each with its reason; as many round trips as the query itself takes.

    Raises:
        StrategyError: there is no saying for this kind of strategy, or its call groups results.
    """
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

    def requests() -> list[Request]:
        return [root.request(inputs, whole), *(leg.request(inputs, leg_scope(leg, scope)) for leg in legs)]

    points, *found = yield from searched(requests, scope, plan.target)
    points = cut(points, root, scope)
    reasons = tuple(_reasons(root, points, legs, found, inputs, scope))
    return Explained(_as_asked(points, scope), reasons)


def _as_asked(points: Points, scope: Scope) -> Points:
    """Points with what the call wants of the payload; all of it came along for the terms."""
    if scope.with_payload is True:
        return points
    return [point.model_copy(update={"payload": selected(point.payload, scope.with_payload)}) for point in points]


def _computed_here(root: ClientFormula, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of a formula on the client: what it computes them from is there anyway."""
    points, found, inputs = yield from root.computed(query, replace(plan.scope, with_payload=True), plan.target)
    reasons = tuple(_reasons(root.formula, points, root.formula.candidates, found, inputs, plan.scope))
    return Explained(_as_asked(points, plan.scope), reasons)


def _rescored(root: Rescore, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of a rescoring: what the strategy below made of each, and what the model's score adds to it."""
    scope = root.candidate_scope(plan.scope)
    below = yield from explained(replace(plan, strategy=root.below, scope=scope), query)
    points = yield from root.ranked(below.points, query, replace(plan.scope, with_payload=True), plan.target)
    before = {reason.id: reason for reason in below.reasons}
    read = [point for point in points if "relevance_score" in notes_of(point)]
    terms = summands(root.blend, read, query, root.sign(plan.target))
    values = {point.id: [Term(text, float(column[row])) for text, column in terms] for row, point in enumerate(read)}
    reasons = []
    for rank, point in enumerate(points, (plan.scope.offset or 0) + 1):
        found = before[point.id]
        legs = *found.legs, LegHit("retrieval", found.rank, found.score)
        own = tuple(values.get(point.id, ()))
        why_not = "" if own else f"the model didn't read it ({notes_of(point).get('not_rescored')})"
        total = sum(term.value for term in own) if own else point.score
        reasons.append(ResultReason(point.id, rank, point.score, legs, own, total, without_terms=why_not))
    return Explained(points, tuple(reasons))


def _steered(root: RelevanceFeedback, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of relevance feedback: where the first search had each, and what adds up to its score."""
    rounds = yield from steered(root, query, plan.scope, plan.target, explaining=True)
    found = tuple(_within(root, rounds, plan.scope) if root.within is not None else _around(root, rounds, plan.scope))
    before = {point.id: (rank, point.score) for rank, point in enumerate(rounds.first, 1)}
    reasons = tuple(
        replace(reason, legs=(LegHit("first search", *before.get(reason.id, (None, None))), *reason.legs)) for reason in found
    )
    points = [trimmed(point, plan.scope) for point in rounds.points]
    return Explained([*points], reasons, rounds.steering, rounds.first)


def _within(root: RelevanceFeedback, rounds: Rounds, scope: Scope) -> Iterator[ResultReason]:
    """Of results where the steered search is one leg of the second request: what each leg made of them."""
    if root.mode == "precision":
        yield from _reasons(root.root, [*rounds.points], rounds.legs, rounds.found, rounds.inputs, scope)
        return
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
) -> Iterator[ResultReason]:
    hits = _hits(legs, found)
    names = [name for name, _ in hits]
    direct = found[: len(root.candidates)]
    terms, link = _terms(root, points, names[: len(root.candidates)], direct, inputs)
    for row, point in enumerate(points):
        leg_hits = tuple(LegHit(name, *ranks.get(point.id, (None, None))) for name, ranks in hits)
        own = tuple(Term(text, float(values[row])) for text, values in terms)
        total = sum(term.value for term in own) if own else point.score
        why_not = "" if own else "MMR chooses each result by its likeness to those before it"
        yield ResultReason(point.id, (scope.offset or 0) + row + 1, point.score, leg_hits, own, total, link, why_not)


def _hits(legs: Sequence[Stage], found: Sequence[Points]) -> list[tuple[str, dict[Any, tuple[int, float]]]]:
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


def _terms(
    root: Stage, points: Points, names: Sequence[str], found: Sequence[Points], inputs: Inputs
) -> tuple[list[tuple[str, Any]], str]:
    """The summands of the root's scores, each with one value for each point, and the link from sum to score."""
    match root:
        case Formula():
            return _formula_terms(root, points, found, inputs)
        case Fusion():
            return list(zip(names, fused_terms(root, points, found), strict=True)), "identity"
        case Mmr():
            return [], "identity"
        case _:
            return [("similarity", np.array([point.score for point in points]))], "identity"


def _formula_terms(
    formula: Formula, points: Points, found: Sequence[Points], inputs: Inputs
) -> tuple[list[tuple[str, Any]], str]:
    expression, link = formula.expression, "identity"
    if isinstance(expression, Sigmoid):
        expression, link = expression.operand, "sigmoid"
    summands: tuple[Expression, ...] = expression.terms if isinstance(expression, Sum) else (expression,)
    table = formula_table(formula, points, found, inputs)
    return [(repr(summand), evaluate(summand, table)) for summand in summands], link
