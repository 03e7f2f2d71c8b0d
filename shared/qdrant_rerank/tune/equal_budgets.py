"""Plain search, plain reranking and relevance feedback beside each other, where both models read as many documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import Rerank
from ..feedback import RelevanceFeedback
from ..feedback._internals import Verdict
from ..stages import Stage
from .choosing import Gain, cross_fit, gain_of
from .options import Option, filled
from .tunings import AtBudget

__all__ = ["Comparing"]


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
        numbers = {_reads(option) for option in options if isinstance(option.strategy, RelevanceFeedback)}
        for scored in sorted(numbers):
            kinds = self._kinds(options, scored)
            if all(kinds.values()):
                yield self._compared(scored, kinds)

    def _kinds(self, options: Sequence[Option], scored: int) -> dict[Verdict, list[Option]]:
        """The options of each kind for this number of documents."""
        read = [option for option in options if _reads(option) == scored]
        feedback = [option for option in read if isinstance(option.strategy, RelevanceFeedback)]
        searches = {self._search(option) for option in feedback}
        return {
            "plain": [o for o in options if isinstance(o.strategy, Stage) and self._search(o) in searches],
            "rerank": [o for o in read if isinstance(o.strategy, Rerank) and self._search(o) in searches],
            "feedback": feedback,
        }

    def _search(self, option: Option) -> str:
        """The same text for options with the same first search."""
        strategy = option.strategy
        if isinstance(strategy, RelevanceFeedback):
            strategy = strategy.seeds
        elif isinstance(strategy, Rerank):
            strategy = strategy.below
        return filled(replace(strategy, limit=None) if isinstance(strategy, Stage) else strategy, self.limit)

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
