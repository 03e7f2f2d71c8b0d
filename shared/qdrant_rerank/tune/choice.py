"""Choosing a configuration on one half of the topics, judging it on the other, and what the best choice could reach.

To the choice a configuration is a row of values, one for each topic, and a place in the order of costs.
Sources: the one-standard-error rule of Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees" (1984),
here with the standard error of the paired difference to the best; Smucker, Allan and Carterette (CIKM 2007) for the test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from .. import StrategyError
from .._internals import Verdict, is_whole
from ..evaluate import LEAST_TOPICS, Interval, Qrels, bootstrap_interval, detectable_difference, randomisation_p
from ..evaluate._internals import SAME
from ..stages import Stage
from .configurations import DEFAULT, AtBudget, Ceiling, Configuration, Effort, Option, Setting, Tuning, effort_of, reasons_of
from .gathering import key_of
from .trial import Trial, measure_rankings

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class ChoiceSettings:
    """How `tune` chooses and judges; see there. Raises StrategyError: a number is out of range."""

    splits: int
    alpha: float
    power: float
    seed: int

    def __post_init__(self) -> None:
        if not is_whole(self.splits, 2) or self.splits % 2:
            raise StrategyError(
                f"splits must be an even number, at least 2, as each halving is used both ways; got {self.splits!r}"
            )
        if not 0 < self.alpha < 1 or not 0 < self.power < 1:
            raise StrategyError(f"alpha and power must be between 0 and 1, got {self.alpha!r} and {self.power!r}")


@dataclass(frozen=True)
class CrossFit:
    """The worth of choosing on one half on the other, over many splits of the topics.

    Attributes:
        picks: the row chosen in each of S splits.
        held_in: the mean of that row on the half it was chosen on; shape (S,).
        held_out: its mean on the other half; shape (S,).
        gains: its mean gain over the baseline on the other half; shape (S,).
        topic_gains: for each of T topics, the mean gain over the splits in which it was held out; shape (T,).
    """

    picks: NDArray[np.int64]
    held_in: Matrix
    held_out: Matrix
    gains: Matrix
    topic_gains: Matrix


@dataclass(frozen=True)
class Gain:
    """Whether a gain is real.

    Attributes:
        mean: with its interval.
        p: of the paired randomisation test.
        real: whether it is above 0 beyond chance.
    """

    mean: Interval
    p: float
    real: bool


def choose(values: Matrix, order: NDArray[np.int64], baseline: int) -> int:
    """The row to use: the cheapest of those that can't be told from the best; of equally cheap ones the best.

    A row can't be told from the best if its mean lies within one standard error of the paired difference below it. Rows
    worse than the baseline don't count, however cheap. Of rows with the same mean the first wins.

    Args:
        values: one row for each configuration, one column for each topic.
        order: the place of each row in the order of costs, cheapest first; rows that cost the same share a place.
        baseline: the baseline's row.
    """
    means = values.mean(axis=1)
    gaps = values[int(means.argmax())] - values
    errors = gaps.std(axis=1, ddof=1) / np.sqrt(values.shape[1]) if values.shape[1] > 1 else np.zeros(len(values))
    close = (gaps.mean(axis=1) <= errors + SAME) & (means >= means[baseline] - SAME)
    rows = np.flatnonzero(close)
    return int(rows[np.lexsort((-means[rows], order[rows]))[0]])


def cross_fit(values: Matrix, order: NDArray[np.int64], baseline: int, splits: int, seed: int) -> CrossFit:
    """Choose on random halves and judge on the others.

    Each halving is used both ways: every topic is held out in exactly half of the splits, and judged by choices without it.

    Args:
        values: as of `choose`, at least two topics.
        order: as of `choose`.
        baseline: as of `choose`.
        splits: an even number.
        seed: of the halvings.
    """
    topics = values.shape[1]
    drawn = np.random.default_rng(seed)
    rows: list[tuple[int, float, float, float]] = []
    total = np.zeros(topics)
    for _ in range(splits // 2):
        shuffled = drawn.permutation(topics)
        halves = shuffled[: topics // 2], shuffled[topics // 2 :]
        for one, other in (halves, halves[::-1]):
            pick = choose(values[:, one], order, baseline)
            gain = values[pick, other] - values[baseline, other]
            total[other] += gain
            rows.append((pick, values[pick, one].mean(), values[pick, other].mean(), gain.mean()))
    picks, inside, outside, gains = map(np.array, zip(*rows, strict=True))
    return CrossFit(picks, inside, outside, gains, total / (splits // 2))


def gain_of(topic_gains: Matrix, *, alpha: float, seed: int = 0, resamples: int = 9999) -> Gain:
    """Whether held-out gains are real: the test says so, the interval is above 0, and there are `LEAST_TOPICS` topics.

    Args:
        topic_gains: one for each topic.
        alpha: how often a gain may be claimed where there is none.
        seed: of the resampling.
        resamples: patterns of signs that the test tries.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    gains = topic_gains.tolist()
    p = randomisation_p(gains, resamples=resamples, seed=seed)
    mean = bootstrap_interval(gains, level=1 - alpha, seed=seed)
    return Gain(mean, p, p < alpha and mean.is_positive and len(gains) >= LEAST_TOPICS)


def conclude(
    options: Sequence[Option],
    trial: Trial,
    setting: Setting,
    settings: ChoiceSettings,
    failed: Mapping[str, str],
    synthetic: bool,
) -> Tuning:
    """The result of a tuning; of options with the same mean the first is preferred, `failed` is topic → error."""
    topics = tuple(topic_hits.topic.id for topic_hits in trial.all_hits)
    values = _table(options, trial.values, topics)
    efforts = [effort_of(option.strategy, setting.limit, setting.schema) for option in options]
    order, base = _order(options, efforts), [option.name for option in options].index(DEFAULT)
    fit = cross_fit(values, order, base, settings.splits, settings.seed)
    gain = gain_of(fit.topic_gains, alpha=settings.alpha, seed=settings.seed)
    rows = [_row(option, values, number, base, fit, efforts[number]) for number, option in enumerate(options)]
    chosen = rows[choose(values, order, base)]
    recommended = gain.real and chosen is not rows[base]
    tuning = Tuning(
        measure=trial.measure,
        topics=topics,
        baseline=rows[base].strategy,
        configurations=tuple(sorted(rows, key=lambda row: -row.mean)),
        chosen=chosen.name,
        recommended=recommended,
        strategy=chosen.strategy if recommended else rows[base].strategy,
        gain=gain.mean,
        p=gain.p,
        split_gains=tuple(map(float, fit.gains)),
        topic_gains=dict(zip(topics, map(float, fit.topic_gains), strict=True)),
        detectable=_detectable(values - values[base], settings),
        ceiling=_ceiling(trial, setting, chosen.mean if gain.real else rows[base].mean),
        left_out=tuple(trial.left_out),
        failed=dict(failed),
        spent=trial.access.meter.sum_up(),
        reasons=(),
        values=trial.values,
        alpha=settings.alpha,
        power=settings.power,
        splits=settings.splits,
        synthetic=synthetic,
        at_budget=tuple(_at_budgets(options, trial, topics, settings)),
    )
    return replace(tuning, reasons=tuple(reasons_of(tuning, gain.real)))


def _table(options: Sequence[Option], values: Mapping[str, Mapping[str, float]], topics: Sequence[str]) -> Matrix:
    """One row for each option, one column for each topic."""
    return np.array([[values[option.name][topic] for topic in topics] for option in options])


def _order(options: Sequence[Option], efforts: Sequence[Effort]) -> NDArray[np.int64]:
    """The place of each option in the order of costs: the model's reading, round trips, searches; then the baseline.

    The number of candidates and of settings that differ from Qdrant's own costs next to nothing, and only decides between
    options of the same mean (`tune` sorts them so). A change costs something: the baseline comes before all that cost the same.
    """
    ranks = [
        (effort.model_texts, effort.round_trips, effort.searches, option.name != DEFAULT)
        for option, effort in zip(options, efforts, strict=True)
    ]
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
    return np.array([places[rank] for rank in ranks], np.int64)


def _row(option: Option, values: Matrix, number: int, base: int, fit: CrossFit, effort: Effort) -> Configuration:
    picked = fit.picks == number
    return Configuration(
        name=option.name,
        family=option.family,
        strategy=option.strategy,
        parameters=option.parameters,
        mean=float(values[number].mean()),
        difference=float(values[number].mean() - values[base].mean()),
        effort=effort,
        chosen=int(picked.sum()),
        held_in=float(fit.held_in[picked].mean()) if picked.any() else None,
        held_out=float(fit.held_out[picked].mean()) if picked.any() else None,
        note=option.note,
    )


def _detectable(gaps: Matrix, settings: ChoiceSettings) -> float | None:
    """The gain of the best configuration that these topics could show; None where none ever differs from the baseline."""
    gaps = gaps[np.abs(gaps).max(axis=1) > 0]
    if not len(gaps):
        return None
    return detectable_difference(gaps[gaps.mean(axis=1).argmax()].tolist(), alpha=settings.alpha, power=settings.power)


def _ceiling(trial: Trial, setting: Setting, reached: float) -> Ceiling:
    """What the best order of the candidates is worth, where `reached` is the mean of the strategy to use."""
    all_hits, qrels, measure = trial.all_hits, trial.qrels, trial.measure
    found = {each.topic.id: set(each.documents.values()) for each in all_hits}

    def measure_best(documents: Mapping[str, Collection[str]]) -> float:
        """The mean if these documents of each topic were in the order of their grades."""
        best = {topic: sorted(those, key=lambda one: (-qrels[topic].get(one, 0), one)) for topic, those in documents.items()}
        return fmean(measure_rankings(measure, qrels, {topic: those[: trial.limit] for topic, those in best.items()}).values())

    value, perfect, recall = measure_best(found), measure_best({topic: qrels[topic] for topic in found}), _recall(found, qrels)
    recalls = {
        setting.title(one): _recall(
            {each.topic.id: {each.documents[hit.id] for hit in each.candidates[key_of(one)]} for each in all_hits},
            qrels,
        )
        for one in setting.candidates
    }
    lost, unordered = perfect - value, value - reached
    share = f"The candidates find {recall:.0%} of the relevant documents among {setting.deepest} candidates each"
    best = f"the best order of these would reach {value:.4f} {measure}"
    if lost > unordered and lost > 0:
        advice = (
            f"{share}: candidates are the bottleneck. Even {best}; more is lost for want of candidates ({lost:.4f}) than by "
            f"their order ({unordered:.4f}). Look for better embeddings, other or deeper candidates first."
        )
    else:
        advice = (
            f"{share}, and {best}: {unordered:.4f} more than now. The order is what there is to gain from, e.g. by a model "
            "that reads the candidates, or a formula with what the payload knows."
        )
    return Ceiling(value, perfect, recall, recalls, setting.deepest, advice)


def _recall(found: Mapping[str, Collection[str]], qrels: Qrels) -> float:
    """The mean share of a topic's relevant documents that were found."""
    relevant = {topic: [document for document, grade in qrels[topic].items() if grade > 0] for topic in found}
    shares = [fmean(document in found[topic] for document in those) for topic, those in relevant.items() if those]
    return fmean(shares) if shares else 0.0


def _at_budgets(options: Sequence[Option], trial: Trial, topics: Sequence[str], settings: ChoiceSettings) -> Iterator[AtBudget]:
    """Plain search, reranking and feedback for each number of documents that some feedback has scored, ascending.

    Plain searches and reranking are those from the first searches of that feedback. Numbers without one of the three are
    left out.
    """
    for scored in sorted({_reads(option) for option in options if option.strategy.model_use == "steer"}):
        kinds = _kinds(options, scored, trial.limit)
        if all(kinds.values()):
            tables: dict[Verdict, Matrix] = {kind: _table(found, trial.values, topics) for kind, found in kinds.items()}
            best: dict[Verdict, str] = {
                kind: kinds[kind][int(table.mean(axis=1).argmax())].name for kind, table in tables.items()
            }
            yield _compare(scored, tables, best, trial.limit, settings)


def _reads(option: Option) -> int:
    return option.strategy.cost.reads


def _kinds(options: Sequence[Option], scored: int, limit: int) -> dict[Verdict, list[Option]]:
    """The options of each kind for this number of documents."""

    def search_of(option: Option) -> str:
        """The same text for options with the same first search."""
        strategy = option.strategy.first_search
        return (replace(strategy, limit=None) if isinstance(strategy, Stage) else strategy).fill_limits(limit)

    read = [option for option in options if _reads(option) == scored]
    feedback = [option for option in read if option.strategy.model_use == "steer"]
    searches = {search_of(option) for option in feedback}
    return {
        "plain": [o for o in options if isinstance(o.strategy, Stage) and search_of(o) in searches],
        "rerank": [o for o in read if o.strategy.model_use == "rank" and search_of(o) in searches],
        "feedback": feedback,
    }


def _compare(
    scored: int, tables: Mapping[Verdict, Matrix], best: Mapping[Verdict, str], limit: int, settings: ChoiceSettings
) -> AtBudget:
    """The three kinds on topics held out: each topic has the value of whichever option was best on other topics."""
    held_out: dict[str, Matrix] = {}
    for kind, table in tables.items():  # the same halvings for each kind; all of a kind are equally cheap
        fit = cross_fit(table, np.zeros(len(table), np.int64), 0, settings.splits, settings.seed)
        held_out[kind] = table[0] + fit.topic_gains

    def is_real(better: Verdict, other: Verdict) -> bool:
        return gain_of(held_out[better] - held_out[other], alpha=settings.alpha, seed=settings.seed).real

    wins: Verdict = "rerank" if is_real("rerank", "plain") else "plain"
    if is_real("feedback", "plain") and is_real("feedback", "rerank"):
        wins = "feedback"
    return AtBudget.of(
        held_out,
        alpha=settings.alpha,
        seed=settings.seed,
        scored=scored,
        best=wins,
        configurations=dict(best),
        results=limit,
    )
