"""From values to a `Tuning`: choosing, judging on held-out topics, and the reasons in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluate import Interval, detectable_difference
from ..evaluate._internals import SYNTHETIC_NOTE
from .choice import Comparing, CrossFit, Gain, choose, compute_ceiling, cross_fit, gain_of
from .configurations import Effort, Ground, Option, effort_of
from .gathering import key_of
from .results import AtBudget, Ceiling, Configuration, CurvePoint, LeftOut, Tuning
from .space import DEFAULT
from .trial import Trial

__all__ = ["Case", "Judged", "reasons_of", "conclude"]


@dataclass(frozen=True)
class Judged:
    """What was measured.

    Attributes:
        options: the options with values; of those with the same mean the first is preferred.
        trial: their values, and what was left out.
        ground: what they were proposed for.
        failed: topics that could not be searched for.
        synthetic: whether the queries were made from documents.
    """

    options: Sequence[Option]
    trial: Trial
    ground: Ground
    failed: Mapping[str, str]
    synthetic: bool

    @property
    def topics(self) -> tuple[str, ...]:
        """The ids of the topics that all values are about."""
        return tuple(pool.topic.id for pool in self.trial.pools)

    def matrix(self) -> NDArray[np.float64]:
        """One row for each option, one column for each topic."""
        values = self.trial.values
        return np.array([[values[option.name][topic] for topic in self.topics] for option in self.options])

    def order(self) -> NDArray[np.int64]:
        """The place of each option in the order of costs: the model's reading, round trips, searches; then the baseline.

        How many candidates are handed on, and how many settings differ from Qdrant's own, costs next to nothing once it is
        set, so that only decides between options of the same mean (`tuner` sorts them so). A change costs something, too,
        which is why the baseline comes before all that cost the same.
        """
        ranks = []
        for option in self.options:
            effort = effort_of(option.strategy, self.ground.limit, self.ground.schema)
            ranks.append((effort.model_texts, effort.round_trips, effort.searches, option.name != DEFAULT))
        places = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
        return np.array([places[rank] for rank in ranks], np.int64)


def conclude(judged: Judged, splits: int, alpha: float, power: float, seed: int) -> Tuning:
    """The result of a tuning."""
    values, order = judged.matrix(), judged.order()
    names = [option.name for option in judged.options]
    base = names.index(DEFAULT)
    fit = cross_fit(values, order, base, splits, seed)
    gain = gain_of(fit.topic_gains, alpha=alpha, seed=seed)
    rows = [_row(judged, values, number, base, fit) for number in range(len(names))]
    chosen = rows[choose(values, order, base)]
    trial = judged.trial
    candidates = {key_of(candidate): judged.ground.title(candidate) for candidate in judged.ground.candidates}
    reached = chosen.mean if gain.real else rows[base].mean
    ceiling = compute_ceiling(trial.pools, candidates, trial.qrels, trial.measure, trial.limit, judged.ground.deepest, reached)
    detectable = _detectable(values, base, alpha, power)
    comparing = Comparing(trial.values, judged.topics, trial.limit, splits, alpha, seed)
    at_budget = tuple(comparing.at_budgets(judged.options))
    case = Case(
        measure=trial.measure,
        topics=len(judged.topics),
        rows=rows,
        baseline=rows[base],
        chosen=chosen,
        gain=gain,
        fit=fit,
        detectable=detectable,
        power=power,
        ceiling=ceiling,
        left_out=trial.left_out,
        failed=len(judged.failed),
        synthetic=judged.synthetic,
        at_budget=at_budget,
    )
    return Tuning(
        measure=trial.measure,
        topics=judged.topics,
        baseline=rows[base].strategy,
        configurations=tuple(sorted(rows, key=lambda row: -row.mean)),
        chosen=chosen.name,
        recommended=case.recommended,
        strategy=chosen.strategy if case.recommended else rows[base].strategy,
        gain=gain.mean,
        p=gain.p,
        split_gains=tuple(map(float, fit.gains)),
        topic_gains=dict(zip(judged.topics, map(float, fit.topic_gains), strict=True)),
        detectable=detectable,
        ceiling=ceiling,
        curves=_curves(trial.values, rows),
        left_out=tuple(trial.left_out),
        failed=dict(judged.failed),
        spent=trial.meter.spent(),
        reasons=tuple(reasons_of(case)),
        values=trial.values,
        alpha=alpha,
        splits=splits,
        synthetic=judged.synthetic,
        at_budget=at_budget,
    )


def _row(judged: Judged, values: NDArray[np.float64], number: int, base: int, fit: CrossFit) -> Configuration:
    option, picked = judged.options[number], fit.picks == number
    return Configuration(
        name=option.name,
        family=option.family,
        strategy=option.strategy,
        parameters=option.parameters,
        mean=float(values[number].mean()),
        difference=float(values[number].mean() - values[base].mean()),
        effort=effort_of(option.strategy, judged.ground.limit, judged.ground.schema),
        chosen=int(picked.sum()),
        held_in=float(fit.held_in[picked].mean()) if picked.any() else None,
        held_out=float(fit.held_out[picked].mean()) if picked.any() else None,
        note=option.note,
    )


def _detectable(values: NDArray[np.float64], base: int, alpha: float, power: float) -> float | None:
    """What these topics could show of the best configuration beside the baseline; None where it never differs."""
    gaps = values - values[base]
    gaps = gaps[np.abs(gaps).max(axis=1) > 0]
    if not len(gaps):
        return None
    best = gaps[int(gaps.mean(axis=1).argmax())]
    return detectable_difference([float(gap) for gap in best], alpha=alpha, power=power)


def _curves(tried: Iterable[str], rows: Sequence[Configuration]) -> dict[str, tuple[CurvePoint, ...]]:
    curves: dict[str, list[CurvePoint]] = {}
    by_name = {row.name: row for row in rows}
    for row in (by_name[name] for name in tried if name in by_name):
        curves.setdefault(row.family, []).append(CurvePoint(row.parameters, row.mean))
    return {family: tuple(points) for family, points in curves.items()}


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
