"""Measuring every option on every topic: recomputed where that can be done, else put to Qdrant within the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .. import Executor, QdrantRerankError, Retries
from ..evaluate import DocId, Qrels
from ..evaluate._internals import is_setup_error, ranking_of
from .budget import Meter
from .measuring import measured
from .options import Family, Option, Scorer
from .pools import Pool
from .rescoring import BudgetSpent, ScoreBook, Wanted
from .serving import Serving
from .tunings import LeftOut

__all__ = ["Rankings", "Trial"]

Rankings = dict[str, list[str]]


class _Unmeasured(Exception):
    """An option can't be measured; the text says why."""


@dataclass
class Trial:
    """The measuring of options.

    Attributes:
        executor: on which collection, with which model.
        pools: what the candidates found, one for each topic.
        qrels: the judgments.
        measure: the measure.
        limit: how many results it looks at.
        meter: what may be spent.
        doc_id: how documents are told in the results of strategies that are put to Qdrant.
        names: other ids of documents → their ids in the judgments.
        batch_size: how many topics share a round trip there.
        retries: how often a search there that fails in passing is made again.
        values: option → topic → value.
        left_out: options that could not be measured.
    """

    executor: Executor
    pools: Sequence[Pool]
    qrels: Qrels
    measure: str
    limit: int
    meter: Meter
    doc_id: DocId
    names: Mapping[str, str]
    batch_size: int
    retries: Retries
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.book = ScoreBook(self.executor, self.meter)

    def measure_all(self, proposed: Sequence[tuple[Family, Option]]) -> None:
        """Measure the options, those without a model first, then by how much the model reads."""
        for family, option in sorted(proposed, key=lambda pair: pair[1].strategy.cost.model_calls):
            try:
                rankings = self._rankings(family, option)
            except (_Unmeasured, BudgetSpent) as error:
                self.left_out.append(LeftOut(option.name, str(error)))
                continue
            self.values[option.name] = measured(self.measure, self.qrels, rankings)

    def _rankings(self, family: Family, option: Option) -> Rankings:
        if option.strategy.cost.model_calls and self.book.independent:
            wanted = Wanted(self.book)  # a rehearsal, so that an option is read as a whole or not at all
            self._recomputed(family, option, wanted)
            if wanted.missing and (refusal := self.meter.refusal(model_texts=len(wanted.missing))):
                raise _Unmeasured(refusal)
        found = self._recomputed(family, option, self.book)
        return self._asked(option) if found is None else found

    def _recomputed(self, family: Family, option: Option, scorer: Scorer) -> Rankings | None:
        target = self.executor.target()
        found: Rankings = {}
        for pool in self.pools:
            try:
                ranking = family.ranking(option.of(pool.topic.id), pool, target, self.limit, scorer)
            except BudgetSpent:
                raise
            except Exception as error:  # a formula that can't be computed, or whatever a model raises
                if is_setup_error(error):
                    raise
                what = f"{type(error).__name__}: {error}"
                raise _Unmeasured(f"it fails on topic {pool.topic.id!r}: {what}") from error
            if ranking is None:
                return None
            found[pool.topic.id] = pool.ranking(ranking, self.limit)
        return found

    def _asked(self, option: Option) -> Rankings:
        """The rankings that Qdrant gives itself."""
        if option.by_topic:
            raise _Unmeasured("it can't be recomputed from the candidates, which what is learned from the topics has to be")
        cost, topics = option.strategy.cost, [pool.topic for pool in self.pools]
        texts = self.book.least(self.pools, cost.model_calls)
        if refusal := self.meter.refusal(cost.round_trips * len(topics), texts):
            raise _Unmeasured(f"it can't be recomputed from the candidates: {refusal}")
        serving = Serving(self.executor, self.book, self.meter, self.batch_size, self.doc_id, self.retries)
        found: Rankings = {}
        failed: dict[str, Exception] = {}
        for topic, points in serving.answers(option.strategy, topics, self.limit).items():
            if isinstance(points, Exception):
                failed[topic] = points
            else:
                ranking, _ = ranking_of(points, self.doc_id, self.names)
                found[topic] = [each.doc_id for each in ranking]
        if failed:
            topic, error = next(iter(failed.items()))
            what = f"{topic!r}: {type(error).__name__}: {error}"
            raise _Unmeasured(f"it fails on {len(failed)} of {len(topics)} topics, e.g. {what}")
        return found

    def check_baseline(self, name: str) -> None:
        """Refuse to go on without the baseline's values.

        Raises:
            QdrantRerankError: it could not be measured.
        """
        reason = next((each.reason for each in self.left_out if each.name == name), None)
        if reason is not None:
            raise QdrantRerankError(f"there is nothing to compare with, as the baseline could not be measured: {reason}")
