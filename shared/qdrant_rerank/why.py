"""Why a result is where it is: what each candidate found, and what each term added to the final score.

The candidates are searched beside the strategy itself in one batch; the terms are computed here with numpy from the
candidates' scores and
the payload. They sum to the score that Qdrant gave. Where ties in a second search come otherwise, so that they don't, one more
round trip finds out what the candidates made of the results (see `accounts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .accounts import account
from .candidates import below, candidate_points, candidate_requests
from .errors import StrategyError
from .feedback.rounds import Rounds, steered, summed, trimmed
from .feedback.strategy import RelevanceFeedback
from .plan import Plan
from .points import notes_of, selected
from .query import Inputs, Query, SearchOptions
from .reasons import CandidateHit, Explained, ResultReason, Term
from .rerank import Rerank, summands
from .stages.formula import ClientFormula
from .steps import Flow, Points, Request
from .strategies import Stage, cut, embedded, searched, widen
from .values import brief

__all__ = ["CandidateHit", "Explained", "ResultReason", "Term", "explained"]


def explained(plan: Plan, query: Query) -> Flow[Explained]:
    """The results of `plan` for `query`, each with its reason; as many round trips as the query itself takes, and
    one more where points tie.

    Raises:
        StrategyError: there is no saying for this kind of strategy, or its call groups results.
        PlanError: as `Plan.flow`.
    """
    return (yield from plan.account_for(_explained(plan, query)))


def _explained(plan: Plan, query: Query) -> Flow[Explained]:
    root, options = plan.strategy, plan.options
    if isinstance(root, Rerank):
        return (yield from _rescored(root, plan, query))
    if isinstance(root, RelevanceFeedback):
        return (yield from _steered(root, plan, query))
    if isinstance(root, ClientFormula):
        return (yield from _computed_here(root, plan, query))
    if not isinstance(root, Stage):
        raise StrategyError(
            "only strategies that Qdrant runs alone, formulas on the client, Rerank over them and RelevanceFeedback can be "
            f"explained result by result, not {brief(root)}"
        )
    if options.group_by is not None:
        raise StrategyError("results of a group query can't be explained: leave out group_by")
    inputs = yield from embedded(query, root.needs(), plan.target)
    candidates = below(root, options)
    whole = replace(widen(root, options), with_payload=True)  # what the terms read, whatever of it the call wants to see
    sent = yield from root.outermost(inputs, whole)

    def requests() -> list[Request]:
        return [sent.request(inputs, whole), *candidate_requests(root, candidates, inputs, options)]

    points, *answers = yield from searched(requests, options, plan.target)
    points, found = cut(points, root, options), candidate_points(root, candidates, answers, inputs, options)
    reasons = yield from _reasons(root, points, candidates, found, inputs, options)
    return Explained(_as_asked(points, options), reasons)


def _as_asked(points: Points, options: SearchOptions) -> Points:
    """Points with what the call wants of the payload; all of it came along for the terms."""
    if options.with_payload is True:
        return points
    return [point.model_copy(update={"payload": selected(point.payload, options.with_payload)}) for point in points]


def _computed_here(root: ClientFormula, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of a formula on the client: what it computes them from is there anyway."""
    points, found, inputs = yield from root.computed(query, replace(plan.options, with_payload=True), plan.target)
    reasons = yield from _reasons(root.formula, points, root.formula.candidates, found, inputs, plan.options)
    return Explained(_as_asked(points, plan.options), reasons)


def _rescored(root: Rerank, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of a rescoring: what the strategy below made of each, and what the model's score adds to it."""
    options = root.candidate_options(plan.options, plan.target)
    below = yield from explained(replace(plan, strategy=root.below, options=options), query)
    points = yield from root.ranked(below.points, query, replace(plan.options, with_payload=True), plan.target)
    before = {reason.id: reason for reason in below.reasons}
    read = [point for point in points if "relevance_score" in notes_of(point)]
    terms = summands(root.blend, read, query, root.sign(plan.target), plan.target.view)
    values = {point.id: [Term(text, float(column[row])) for text, column in terms] for row, point in enumerate(read)}
    reasons = []
    for rank, point in enumerate(points, (plan.options.offset or 0) + 1):
        found = before[point.id]
        candidates = *found.candidates, CandidateHit("retrieval", found.rank, found.score)
        own = tuple(values.get(point.id, ()))
        why_not = "" if own else f"the model didn't read it ({notes_of(point).get('not_rescored')})"
        total = sum(term.value for term in own) if own else point.score
        reasons.append(ResultReason(point.id, rank, point.score, candidates, own, total, without_terms=why_not))
    return Explained(_as_asked(points, plan.options), tuple(reasons))


def _steered(root: RelevanceFeedback, plan: Plan, query: Query) -> Flow[Explained]:
    """The results of relevance feedback: where the first search had each, and what adds up to its score."""
    rounds = yield from steered(root, query, plan.options, plan.target, explaining=True)
    if root.within is not None and root.mode == "precision":
        found = yield from _reasons(root.root, [*rounds.points], rounds.candidates, rounds.found, rounds.inputs, plan.options)
    else:
        found = tuple(_within(root, rounds, plan.options) if root.within is not None else _around(root, rounds, plan.options))
    before = {point.id: (rank, point.score) for rank, point in enumerate(rounds.first, 1)}
    reasons = tuple(
        replace(reason, candidates=(CandidateHit("first search", *before.get(reason.id, (None, None))), *reason.candidates))
        for reason in found
    )
    points = [trimmed(point, plan.options) for point in rounds.points]
    return Explained([*points], reasons, rounds.steering, rounds.first)


def _within(root: RelevanceFeedback, rounds: Rounds, options: SearchOptions) -> Iterator[ResultReason]:
    """Of results that the model ranked, where the steered search is one of several candidates: what each made of them."""
    hits = _hits(rounds.candidates, rounds.found)
    for reason in _around(root, rounds, options):
        yield replace(reason, candidates=tuple(CandidateHit(name, *ranks.get(reason.id, (None, None))) for name, ranks in hits))


def _around(root: RelevanceFeedback, rounds: Rounds, options: SearchOptions) -> Iterator[ResultReason]:
    """Of results of the steered search alone, or ranked by the model: what the query and the feedback add, or the model."""
    terms, why_not = summed(root, rounds)
    for row, point in enumerate(rounds.points):
        own = tuple(Term(text, float(column[row])) for text, column in terms if np.isfinite(column[row]))
        total = sum(term.value for term in own) if own else point.score
        reason = "" if own else why_not or "the model didn't score it"
        yield ResultReason(point.id, (options.offset or 0) + row + 1, point.score, (), own, total, without_terms=reason)


def _reasons(
    root: Stage, points: Points, candidates: Sequence[Stage], found: Sequence[Points], inputs: Inputs, options: SearchOptions
) -> Flow[tuple[ResultReason, ...]]:
    """Of results of a stage: what its candidates made of them, and what adds up to their scores."""
    hits, direct = _hits(candidates, found), len(root.candidates)
    own = [(name, candidate, points) for (name, _), candidate, points in zip(hits[:direct], candidates, found, strict=False)]
    made = yield from account(root, points, own, inputs, options)
    hits[:direct] = [
        (name, {id: (hit.rank, hit.score) for id, hit in each.items()})
        for (name, _), each in zip(hits, made.hits, strict=False)
    ]
    reasons = []
    for row, point in enumerate(points):
        candidate_hits = tuple(CandidateHit(name, *ranks.get(point.id, (None, None))) for name, ranks in hits)
        terms = tuple(Term(text, float(values[row])) for text, values in made.terms)
        total = sum(term.value for term in terms) if terms else point.score
        why_not = "" if terms else "MMR chooses each result by its likeness to those before it"
        rank = (options.offset or 0) + row + 1
        reasons.append(ResultReason(point.id, rank, point.score, candidate_hits, terms, total, made.link, why_not))
    return tuple(reasons)


def _hits(candidates: Sequence[Stage], found: Sequence[Points]) -> list[tuple[str, Mapping[Any, tuple[int | None, float]]]]:
    """Each candidate's name, and rank and score of what it found by id."""
    ranks = ({point.id: (rank, point.score) for rank, point in enumerate(candidate, 1)} for candidate in found)
    return list(zip(_names(candidates), ranks, strict=True))


def _names(candidates: Sequence[Stage]) -> list[str]:
    """A name for each candidate: its title, numbered where several have the same."""
    titles = [candidate.title if candidate.title is not None else type(candidate).__name__.lower() for candidate in candidates]
    return [
        title if titles.count(title) == 1 else f"{title} ({titles[: number + 1].count(title)})"
        for number, title in enumerate(titles)
    ]
