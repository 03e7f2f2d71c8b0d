"""The recommendation in plain words: what to use, what that rests on, what it doesn't say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..evaluate import Interval
from ..evaluate._internals import SYNTHETIC_NOTE
from .choosing import CrossFit, Gain
from .options import Effort
from .tunings import AtBudget, Ceiling, Configuration, LeftOut

__all__ = ["Case", "reasons_of"]


@dataclass(frozen=True)
class Case:
    """What a recommendation is made from; see `Tuning` for the parts."""

    measure: str
    topics: int
    rows: Sequence[Configuration]
    baseline: Configuration
    chosen: Configuration
    gain: Gain
    fit: CrossFit
    detectable: float | None
    power: float
    ceiling: Ceiling
    left_out: Sequence[LeftOut]
    failed: int
    synthetic: bool
    at_budget: Sequence[AtBudget] = ()

    @property
    def recommended(self) -> bool:
        """Whether to change anything."""
        return self.gain.real and self.chosen is not self.baseline


def reasons_of(case: Case) -> Iterator[str]:
    """The sentences."""
    yield from _switch(case) if case.recommended else _keep(case)
    for compared in case.at_budget:
        yield from _at_budget(compared, case.measure)
    yield case.ceiling.advice
    if case.left_out:
        first, more = case.left_out[0], len(case.left_out)
        left = "1 configuration was left out," if more == 1 else f"{more} configurations were left out, e.g."
        yield f"{left} {first.name}: {first.reason}."
    if case.failed:
        failed = (
            "1 topic could not be searched for and is"
            if case.failed == 1
            else f"{case.failed} topics could not be searched for and are"
        )
        yield f"{failed} left out of everything."
    if case.synthetic:
        yield f"But these results are {SYNTHETIC_NOTE}."


def _switch(case: Case) -> Iterator[str]:
    chosen, base = case.chosen, case.baseline
    yield (
        f"Use {chosen.name}: choosing like this is worth {_gain(case.gain.mean, case.measure)} over the default, on topics "
        f"that played no part in the choice ({_p(case.gain.p)}, {case.topics} topics)."
    )
    yield f"With all topics it reaches {chosen.mean:.4f}, the default {base.mean:.4f}; {_stability(case)}."
    if chosen.note:
        yield chosen.note
    better = max(case.rows, key=lambda row: row.mean)
    if better is not chosen:
        yield (
            f"{better.name} has a mean that is {better.mean - chosen.mean:.4f} higher, which is within one standard error: "
            "the cheaper one is preferred."
        )
    if chosen.effort > base.effort:
        yield f"It costs more than the default: {_effort(chosen.effort)} a query instead of {_effort(base.effort)}."


def _keep(case: Case) -> Iterator[str]:
    best = max(case.rows, key=lambda row: row.mean)
    if best.mean <= case.baseline.mean + 1e-12:
        others = len(case.rows) - 1
        yield f"Keep the default: none of {others} other configurations has a higher mean {case.measure} on these topics."
    elif case.gain.real:
        yield (
            "Keep the default: other configurations were ahead in some splits, but with all topics the default can't be told "
            "from the best, and is as cheap as any."
        )
    else:
        yield (
            f"Keep the default: the best of {len(case.rows)} configurations, {best.name}, is ahead by "
            f"{best.mean - case.baseline.mean:.4f} {case.measure} on the topics it was picked on, but choosing like this is "
            f"worth {_gain(case.gain.mean, case.measure)} on topics held out ({_p(case.gain.p)}), which can't be told from "
            "nothing."
        )
    if case.detectable is not None:
        yield (
            f"{case.topics} topics show true gains from about {case.detectable:.3f} up ({case.power:.0%} of the time): "
            "a smaller one may be there, and would take more judged topics to show."
        )


def _at_budget(found: AtBudget, measure: str) -> Iterator[str]:
    steered, over_rerank = _gain(found.over_plain, measure), _gain(found.over_rerank, measure)
    reranked = _gain(found.rerank_over_plain, measure)
    yield (
        f"With {found.scored} documents scored for a query, on topics held out: plain search {found.plain:.4f}, reranking "
        f"{found.rerank:.4f}, feedback {found.feedback:.4f}."
    )
    if found.best == "feedback":
        yield f"Feedback wins: it is worth {steered} over plain search, and {over_rerank} over reranking as many."
        return
    if found.best == "rerank":
        yield (
            f"Reranking wins: it is worth {reranked} over plain search, and feedback isn't better than it for certain, "
            f"{over_rerank}."
        )
    else:
        yield (
            f"None of them wins for certain: reranking is worth {reranked} over plain search, feedback {steered}, and "
            f"{over_rerank} over reranking as many; plain search is the cheapest."
        )


def _stability(case: Case) -> str:
    positive = int((case.fit.gains > 0).sum())
    total = len(case.fit.gains)
    return f"it was chosen in {case.chosen.chosen} of {total} splits, and what was chosen did better in {positive} of them"


def _gain(found: Interval, measure: str) -> str:
    text = f"{found.estimate:+.4f} {measure}"
    if found.low is None or found.high is None or found.low == found.high:
        return text
    return f"{text} ({found.level:.0%} interval {found.low:+.4f} to {found.high:+.4f})"


def _p(value: float) -> str:
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"


def _effort(effort: Effort) -> str:
    read = f", {effort.model_texts} texts read by the model" if effort.model_texts else ""
    searches = f"{effort.searches} search{'' if effort.searches == 1 else 'es'} with {effort.candidates} candidates"
    trips = f", {effort.round_trips} round trips" if effort.round_trips > 1 else ""
    return searches + trips + read
