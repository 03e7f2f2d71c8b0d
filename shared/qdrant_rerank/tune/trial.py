"""Measuring every option on every topic: recomputed where that is possible, else by Qdrant within the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .. import QdrantRerankError, SearchOptions, Strategy
from .._internals import Flow, Points, Score, Scores, Search, Step, Vectors, in_batches, run, tell_error, together, watch
from ..errors import MeasurementError
from ..evaluate import Qrels, Topic, per_topic
from ..evaluate._internals import is_setup_error, prepare_options, read_ranking, scorings, stops
from .configurations import Family, Option, Scorer, effort_of
from .gathering import Access, Pool
from .recomputing import BudgetSpent, ScoreBook, Wanted
from .results import LeftOut

__all__ = ["Rankings", "Serving", "Trial", "measure_rankings"]

Rankings = dict[str, list[str]]


class _Unmeasured(Exception):
    """An option can't be measured; the text says why."""


@dataclass
class Trial:
    """The measuring of options.

    Attributes:
        access: how Qdrant is asked.
        pools: the candidates of each topic.
        qrels: the judgments.
        measure: the measure.
        limit: how many results it looks at.
        left_out: options that could not be measured, and why.
        values: option → topic → value.
    """

    access: Access
    pools: Sequence[Pool]
    qrels: Qrels
    measure: str
    limit: int
    left_out: list[LeftOut] = field(default_factory=list)
    values: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book = ScoreBook(self.access.executor, self.access.meter)

    def measure_all(self, proposed: Sequence[tuple[Family, Option]]) -> None:
        """Measure the options, those without a model first, then by how much the model reads."""
        for family, option in sorted(proposed, key=lambda pair: pair[1].strategy.cost.model_calls):
            try:
                rankings = self._rank(family, option)
            except (_Unmeasured, BudgetSpent) as error:
                self.left_out.append(LeftOut(option.name, str(error)))
                continue
            self.values[option.name] = measure_rankings(self.measure, self.qrels, rankings)

    def _rank(self, family: Family, option: Option) -> Rankings:
        if option.strategy.cost.model_calls and self.book.independent:
            wanted = Wanted(self.book)  # a rehearsal, so that an option is read as a whole or not at all
            self._recompute(family, option, wanted)
            if wanted.missing and (refusal := self.access.meter.refusal(model_texts=len(wanted.missing))):
                raise _Unmeasured(refusal)
        found = self._recompute(family, option, self.book)
        return self._ask(option) if found is None else found

    def _recompute(self, family: Family, option: Option, scorer: Scorer) -> Rankings | None:
        target = self.access.executor.target()
        found: Rankings = {}
        for pool in self.pools:
            try:
                ranking = family.rank(option.of(pool.topic.id), pool, target, self.limit, scorer)
            except BudgetSpent:
                raise
            except Exception as error:  # a formula that can't be computed, or whatever a model raises
                if is_setup_error(error):
                    raise
                raise _Unmeasured(f"it fails on topic {pool.topic.id!r}: {tell_error(error)}") from error
            if ranking is None:
                return None
            found[pool.topic.id] = pool.list_documents(ranking, self.limit)
        return found

    def _ask(self, option: Option) -> Rankings:
        """The rankings that Qdrant gives itself."""
        if option.by_topic:
            raise _Unmeasured("it can't be recomputed from the candidates, which what is learned from the topics has to be")
        topics, access = [pool.topic for pool in self.pools], self.access
        effort = effort_of(option.strategy, self.limit, access.executor.target().schema)
        texts = self.book.least(self.pools, effort.model_texts)
        if refusal := access.meter.refusal(effort.round_trips * len(topics), texts):
            raise _Unmeasured(f"it can't be recomputed from the candidates: {refusal}")
        answers = Serving(access, self.book).answer(option.strategy, topics, self.limit)
        failed = [(topic, points) for topic, points in answers.items() if isinstance(points, Exception)]
        if failed:
            topic, error = failed[0]
            raise _Unmeasured(f"it fails on {len(failed)} of {len(topics)} topics, e.g. {topic!r}: {tell_error(error)}")
        rankings = {topic: read_ranking(points, access.doc_id, access.names)[0] for topic, points in answers.items()}
        return {topic: [each.doc_id for each in ranking] for topic, ranking in rankings.items()}

    def check_baseline(self, name: str) -> None:
        """Refuse to go on without the baseline's values.

        Raises:
            QdrantRerankError: it could not be measured.
        """
        reason = next((each.reason for each in self.left_out if each.name == name), None)
        if reason is not None:
            raise QdrantRerankError(f"there is nothing to compare with, as the baseline could not be measured: {reason}")


@dataclass
class Serving:
    """Answers the steps of strategies: Qdrant and the encoders by the executor, the model by the book.

    Attributes:
        access: how Qdrant is asked.
        book: scores, within the budget; each text is read once for each topic.
    """

    access: Access
    book: ScoreBook

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        return self.access.executor.embed(texts, using)

    def search(self, step: Search) -> list[Points]:
        """The points of each request, `batch_size` requests in a round trip.

        Raises:
            BudgetSpent: the budget's time is over.
        """
        found: list[Points] = []
        meter = self.access.meter
        for requests in in_batches(step.requests, self.access.batch_size):
            if late := meter.late():
                raise BudgetSpent(late)
            meter.requests += len(requests)
            meter.round_trips += 1
            found += self.access.services.search(replace(step, requests=requests))
        return found

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return self.book.score(query, texts)

    def answer(self, strategy: Strategy, topics: Sequence[Topic], limit: int) -> Mapping[str, Points | Exception]:
        """The first `limit` points of the strategy for each topic, or the error that it ended with.

        All topics go side by side, so that the texts that a model has to read for all of them are known before it reads the
        first. Topics that fail are tried again, fewer together and then alone: another topic may have ended their step.

        Raises:
            BudgetSpent: the model would have to read more than the budget allows, and hasn't begun that round.
        """
        found: dict[str, Points | Exception] = {}
        left = list(topics)
        for size in sorted({len(topics), self.access.batch_size, 1}, reverse=True):
            for share in in_batches(left, size):
                found |= zip((topic.id for topic in share), self._together(strategy, share, limit), strict=True)
            left = [topic for topic in left if isinstance(found[topic.id], Exception)]
        return found

    def _together(self, strategy: Strategy, topics: Sequence[Topic], limit: int) -> list[Points | Exception]:
        options, plan = prepare_options(strategy, SearchOptions(limit=limit), self.access.doc_id), self.access.executor.plan
        flows = [_catch_error(plan(strategy, topic.within(options)).flow(topic.query), topic) for topic in topics]
        # a model reads for no topic what the budget doesn't allow it to read for all of them
        return run(watch(together(flows), lambda step: self.book.check(scorings(step))), self)


def _catch_error(flow: Flow[Points], topic: Topic) -> Flow[Points | Exception]:
    """`flow`; it returns its error, unless that would end every topic alike."""
    asked: list[Step] = []
    try:
        return (yield from watch(flow, asked.append))
    except Exception as error:
        if is_setup_error(error):
            error.add_note(f"while the topic {topic.id!r} was asked: {topic.text!r}")
            raise
        if isinstance(error, BudgetSpent):
            raise
        if stops(error) and not isinstance(asked[-1], Score | Scores):  # a model's failures are its own
            raise MeasurementError(
                f"stopped at topic {topic.id!r}, as a strategy that fails would be left out (cache= keeps what the candidates "
                f"found, and the same call goes on from there): {tell_error(error)}"
            ) from error
        return error


def measure_rankings(measure: str, qrels: Qrels, rankings: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The measure's value for each topic that has a ranking (which may be empty)."""
    grades = {topic: qrels[topic] for topic in rankings}
    placed = {topic: {document: float(-rank) for rank, document in enumerate(found)} for topic, found in rankings.items()}
    [values] = per_topic([measure], grades, placed).values()
    return values
