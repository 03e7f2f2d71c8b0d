"""Choosing a configuration on one half of the topics, judging it on the other, and what the best choice could reach.

Choosing knows no configuration: it is a row of values, one for each topic, and a place in the order of costs.
Sources: the one-standard-error rule of Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees" (1984),
here with the standard error of the paired difference to the best; Smucker, Allan and Carterette (CIKM 2007) for the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ..evaluate import LEAST_TOPICS, Interval, Qrels, bootstrap_interval, randomisation_p
from ..feedback._internals import Verdict
from ..stages import Stage
from .configurations import Option
from .gathering import Hit, Pool
from .results import AtBudget, Ceiling
from .trial import measured

__all__ = ["Comparing", "CrossFit", "Gain", "compute_ceiling", "choose", "cross_fit", "gain_of"]

Matrix = NDArray[np.float64]
_SAME = 1e-12


@dataclass(frozen=True)
class CrossFit:
    """What choosing on one half was worth on the other, over many splits of the topics.

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
    that are worse than the baseline are out of the question, however cheap. Of rows with the same mean the first is taken.

    Args:
        values: one row for each configuration, one column for each topic.
        order: the place of each row in the order of costs, cheapest first; rows that cost the same share a place.
        baseline: the baseline's row.
    """
    means = values.mean(axis=1)
    gaps = values[int(means.argmax())] - values
    errors = gaps.std(axis=1, ddof=1) / np.sqrt(values.shape[1]) if values.shape[1] > 1 else np.zeros(len(values))
    close = (gaps.mean(axis=1) <= errors + _SAME) & (means >= means[baseline] - _SAME)
    rows = np.flatnonzero(close)
    return int(rows[np.lexsort((-means[rows], order[rows]))[0]])


def cross_fit(values: Matrix, order: NDArray[np.int64], baseline: int, splits: int, seed: int) -> CrossFit:
    """Choose on random halves and judge on the others.

    Each random halving is used both ways, so every topic is held out in exactly half of the splits. What is said of a
    topic was always chosen without it.

    Args:
        values: as of `choose`, at least two topics.
        order: as of `choose`.
        baseline: as of `choose`.
        splits: an even number.
        seed: of the halvings.
    """
    topics = values.shape[1]
    drawn = np.random.default_rng(seed)
    picks, inside, outside, gains = [], [], [], []
    total = np.zeros(topics)
    for _ in range(splits // 2):
        shuffled = drawn.permutation(topics)
        halves = shuffled[: topics // 2], shuffled[topics // 2 :]
        for one, other in (halves, halves[::-1]):
            pick = choose(values[:, one], order, baseline)
            gain = values[pick, other] - values[baseline, other]
            total[other] += gain
            picks.append(pick)
            inside.append(values[pick, one].mean())
            outside.append(values[pick, other].mean())
            gains.append(gain.mean())
    return CrossFit(
        np.array(picks, np.int64), np.array(inside), np.array(outside), np.array(gains), total / max(splits // 2, 1)
    )


def gain_of(topic_gains: Matrix, *, alpha: float, seed: int = 0, resamples: int = 9999) -> Gain:
    """What held-out gains say: real only if the test says so, the interval is above 0, and there are `LEAST_TOPICS` topics.

    Args:
        topic_gains: one for each topic.
        alpha: how often a gain may be claimed where there is none.
        seed: of the resampling.
        resamples: patterns of signs that the test tries.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    gains = [float(gain) for gain in topic_gains]
    p = randomisation_p(gains, resamples=resamples, seed=seed)
    mean = bootstrap_interval(gains, level=1 - alpha, seed=seed)
    real = p < alpha and mean.low is not None and mean.low > 0 and len(gains) >= LEAST_TOPICS
    return Gain(mean, p, real)


def compute_ceiling(
    pools: Sequence[Pool], titles: Mapping[str, str], qrels: Qrels, measure: str, limit: int, depth: int, reached: float
) -> Ceiling:
    """The ceiling of the candidates that the candidates found.

    Args:
        pools: what was found.
        titles: what the candidates are called, by key.
        qrels: the judgments.
        measure: the measure.
        limit: how many results it looks at.
        depth: how many candidates each candidate was asked for.
        reached: the mean of the chosen configuration.
    """
    found = {pool.topic.id: _documents(pool, [hit for hits in pool.candidates.values() for hit in hits]) for pool in pools}
    best = measured(measure, qrels, {topic: _by_grade(list(there), qrels[topic], limit) for topic, there in found.items()})
    whole = measured(measure, qrels, {topic: _by_grade(list(qrels[topic]), qrels[topic], limit) for topic in found})
    value, perfect = fmean(best.values()), fmean(whole.values())
    recall = _recall(found, qrels)
    candidates = {
        title: _recall({pool.topic.id: _documents(pool, pool.candidates[key]) for pool in pools}, qrels)
        for key, title in titles.items()
    }
    return Ceiling(value, perfect, recall, candidates, depth, _advice(measure, value, perfect, recall, depth, reached))


def _documents(pool: Pool, hits: Sequence[Hit]) -> dict[str, None]:
    return dict.fromkeys(pool.documents[hit.id] for hit in hits)


def _by_grade(documents: list[str], grades: Mapping[str, int], limit: int) -> list[str]:
    return sorted(documents, key=lambda document: -grades.get(document, 0))[:limit]


def _recall(found: Mapping[str, Mapping[str, None]], qrels: Qrels) -> float:
    shares = []
    for topic, there in found.items():
        relevant = [document for document, grade in qrels[topic].items() if grade > 0]
        if relevant:
            shares.append(fmean(document in there for document in relevant))
    return fmean(shares) if shares else 0.0


def _advice(measure: str, value: float, perfect: float, recall: float, depth: int, reached: float) -> str:
    lost, unordered = perfect - value, value - reached
    found = f"The candidates find {recall:.0%} of the relevant documents among {depth} candidates each"
    best = f"the best order of these would reach {value:.4f} {measure}"
    if lost > unordered and lost > 0:
        return (
            f"{found}: candidates are the bottleneck. Even {best}; more is lost for want of candidates ({lost:.4f}) than by "
            f"their order ({unordered:.4f}). Look for better embeddings, other or deeper candidates first."
        )
    return (
        f"{found}, and {best}: {unordered:.4f} more than now. The order is what there is to gain from, e.g. by a model that "
        "reads the candidates, or a formula with what the payload knows."
    )


@dataclass(frozen=True)
class Comparing:
    """What the three are compared by.

    Attributes:
        values: configuration → topic → value.
        topics: the ids of the topics.
        limit: how many results the measure looks at.
        splits: how many times one half of the topics chooses and the other judges.
        alpha: how often a difference may be claimed where there is none.
        seed: of the halvings and resampling.
    """

    values: Mapping[str, Mapping[str, float]]
    topics: Sequence[str]
    limit: int
    splits: int
    alpha: float
    seed: int

    def at_budgets(self, options: Sequence[Option]) -> Iterator[AtBudget]:
        """A comparison for each number of documents that some feedback among `options` has scored, ascending.

        Plain searches and reranking are those from the first searches of that feedback. Numbers without one of the three
        are left out.
        """
        numbers = {_reads(option) for option in options if option.strategy.model_use == "steer"}
        for scored in sorted(numbers):
            kinds = self._kinds(options, scored)
            if all(kinds.values()):
                yield self._compared(scored, kinds)

    def _kinds(self, options: Sequence[Option], scored: int) -> dict[Verdict, list[Option]]:
        """The options of each kind for this number of documents."""
        read = [option for option in options if _reads(option) == scored]
        feedback = [option for option in read if option.strategy.model_use == "steer"]
        searches = {self._search(option) for option in feedback}
        return {
            "plain": [o for o in options if isinstance(o.strategy, Stage) and self._search(o) in searches],
            "rerank": [o for o in read if o.strategy.model_use == "rank" and self._search(o) in searches],
            "feedback": feedback,
        }

    def _search(self, option: Option) -> str:
        """The same text for options with the same first search."""
        strategy = option.strategy.first_search
        return (replace(strategy, limit=None) if isinstance(strategy, Stage) else strategy).fill_limits(self.limit)

    def _compared(self, scored: int, kinds: Mapping[Verdict, Sequence[Option]]) -> AtBudget:
        tables = {kind: self._table(options) for kind, options in kinds.items()}
        held_out = {kind: self._held_out(table) for kind, table in tables.items()}
        over_plain = self._gain(held_out["feedback"] - held_out["plain"])
        over_rerank = self._gain(held_out["feedback"] - held_out["rerank"])
        reranked = self._gain(held_out["rerank"] - held_out["plain"])
        means = {kind: float(values.mean()) for kind, values in held_out.items()}
        return AtBudget(
            scored=scored,
            plain=means["plain"],
            rerank=means["rerank"],
            feedback=means["feedback"],
            over_plain=over_plain.mean,
            over_rerank=over_rerank.mean,
            rerank_over_plain=reranked.mean,
            best=_best(over_plain, over_rerank, reranked),
            configurations={kind: options[int(tables[kind].mean(axis=1).argmax())].name for kind, options in kinds.items()},
            results=self.limit,
        )

    def _table(self, options: Sequence[Option]) -> NDArray[np.float64]:
        return np.array([[self.values[option.name][topic] for topic in self.topics] for option in options])

    def _held_out(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each topic, the value of whichever option was best on other topics; the same halvings for each kind."""
        equally_cheap = np.zeros(len(table), np.int64)
        return np.asarray(table[0] + cross_fit(table, equally_cheap, 0, self.splits, self.seed).topic_gains)

    def _gain(self, differences: NDArray[np.float64]) -> Gain:
        return gain_of(differences, alpha=self.alpha, seed=self.seed)


def _reads(option: Option) -> int:
    return option.strategy.cost.model_calls


def _best(over_plain: Gain, over_rerank: Gain, reranked: Gain) -> Verdict:
    """Feedback only if it beats both others beyond chance, else reranking if it beats plain search, else that."""
    if over_plain.real and over_rerank.real:
        return "feedback"
    return "rerank" if reranked.real else "plain"
