"""From values to a `Tuning`: choosing, judging on held-out topics, and the ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluate import detectable_difference
from .advice import Case, reasons_of
from .ceilings import ceiling_of
from .choosing import CrossFit, choose, cross_fit, gain_of
from .equal_budgets import Comparing
from .options import Ground, Option, effort_of
from .pools import key_of
from .proposing import DEFAULT
from .trial import Trial
from .tunings import Configuration, CurvePoint, Tuning

__all__ = ["Judged", "tuning_of"]


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
            effort = effort_of(option.strategy, self.ground.limit)
            ranks.append((effort.model_texts, effort.round_trips, effort.searches, option.name != DEFAULT))
        places = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
        return np.array([places[rank] for rank in ranks], np.int64)


def tuning_of(judged: Judged, splits: int, alpha: float, power: float, seed: int) -> Tuning:
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
    ceiling = ceiling_of(trial.pools, candidates, trial.qrels, trial.measure, trial.limit, judged.ground.deepest, reached)
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
        effort=effort_of(option.strategy, judged.ground.limit),
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
