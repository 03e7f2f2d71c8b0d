"""Measuring every option on every topic: recomputed where that can be done, else put to Qdrant within the budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .. import Executor, QdrantRerankError, Retries, SearchOptions, Strategy
from .._internals import Flow, Points, Score, Scores, Search, Step, Vectors, run, tell_error, together, watched
from ..errors import MeasurementError
from ..evaluate import DocId, Qrels, Topic, per_topic
from ..evaluate._internals import MEASURING, RetryingServices, is_setup_error, prepare_options, read_ranking, stops
from .configurations import Family, Option, Scorer, effort_of
from .gathering import Meter, Pool
from .recomputing import BudgetSpent, ScoreBook, Wanted
from .results import LeftOut

__all__ = ["Rankings", "Serving", "Trial", "measured"]

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
                what = tell_error(error)
                raise _Unmeasured(f"it fails on topic {pool.topic.id!r}: {what}") from error
            if ranking is None:
                return None
            found[pool.topic.id] = pool.ranking(ranking, self.limit)
        return found

    def _asked(self, option: Option) -> Rankings:
        """The rankings that Qdrant gives itself."""
        if option.by_topic:
            raise _Unmeasured("it can't be recomputed from the candidates, which what is learned from the topics has to be")
        effort = effort_of(option.strategy, self.limit, self.executor.target().schema)
        topics = [pool.topic for pool in self.pools]
        texts = self.book.least(self.pools, effort.model_texts)
        if refusal := self.meter.refusal(effort.round_trips * len(topics), texts):
            raise _Unmeasured(f"it can't be recomputed from the candidates: {refusal}")
        serving = Serving(self.executor, self.book, self.meter, self.batch_size, self.doc_id, self.retries)
        found: Rankings = {}
        failed: dict[str, Exception] = {}
        for topic, points in serving.answers(option.strategy, topics, self.limit).items():
            if isinstance(points, Exception):
                failed[topic] = points
            else:
                ranking, _ = read_ranking(points, self.doc_id, self.names)
                found[topic] = [each.doc_id for each in ranking]
        if failed:
            topic, error = next(iter(failed.items()))
            what = f"{topic!r}: {tell_error(error)}"
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


R = TypeVar("R")
T = TypeVar("T")


@dataclass
class Serving:
    """What answers the steps of strategies: Qdrant and the encoders by the executor, the model by the book.

    Attributes:
        executor: searches and embeds.
        book: scores, within the budget; each text is read once for each topic.
        meter: counts the searches and round trips.
        batch_size: how many searches share a round trip.
        doc_id: how documents are told in the results.
        retries: how often a search that fails in passing is made again.
    """

    executor: Executor
    book: ScoreBook
    meter: Meter
    batch_size: int
    doc_id: DocId = None
    retries: Retries = MEASURING

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        """The query vectors of each text."""
        return self.executor.embed(texts, using)

    def search(self, step: Search) -> list[Points]:
        """The points of each request, `batch_size` requests in a round trip.

        Raises:
            BudgetSpent: the budget's time is over.
        """
        found: list[Points] = []
        for requests in _shares(step.requests, self.batch_size):
            if late := self.meter.late():
                raise BudgetSpent(late)
            self.meter.requests += len(requests)
            self.meter.round_trips += 1
            found += RetryingServices(self.executor, self.retries).search(replace(step, requests=requests))
        return found

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text.

        Raises:
            BudgetSpent: the budget's texts or time are used up.
        """
        return self.book.score(query, texts)

    def answers(self, strategy: Strategy, topics: Sequence[Topic], limit: int) -> Mapping[str, Points | Exception]:
        """What the strategy finds for each topic, or the error that it ended with.

        All topics go side by side, so that it is known what a model would have to read for all of them before it reads for
        the first. Topics that fail are tried again, in smaller company and by themselves: another's fault may have ended the
        step that they shared.

        Args:
            strategy: what is put to Qdrant.
            topics: the topics.
            limit: how many points are asked for.

        Raises:
            BudgetSpent: the model would have to read more than the budget allows; it then hasn't begun that round.
        """
        found: dict[str, Points | Exception] = {}
        left = list(topics)
        for size in sorted({len(topics), self.batch_size, 1}, reverse=True):
            for share in _shares(left, size):
                found |= zip((topic.id for topic in share), self._together(strategy, share, limit), strict=True)
            left = [topic for topic in left if isinstance(found[topic.id], Exception)]
        return found

    def _together(self, strategy: Strategy, topics: Sequence[Topic], limit: int) -> list[Points | Exception]:
        options = prepare_options(strategy, SearchOptions(limit=limit), self.doc_id)
        flows = [_ending(self.executor.plan(strategy, topic.within(options)).flow(topic.query), topic) for topic in topics]
        return run(_affordable(together(flows), self.book), self)


def _ending(flow: Flow[Points], topic: Topic) -> Flow[Points | Exception]:
    """`flow`, which returns the error that it ends with, unless it would end that of every topic alike."""
    asked: list[Step] = []
    try:
        return (yield from watched(flow, asked.append))
    except Exception as error:
        if is_setup_error(error):
            error.add_note(f"while the topic {topic.id!r} was asked: {topic.text!r}")
            raise
        if isinstance(error, BudgetSpent):
            raise
        if stops(error) and not isinstance(asked[-1], Score | Scores):  # a model's failures are its own
            raise MeasurementError(
                f"stopped at topic {topic.id!r}, as a strategy that fails would be left out (cache= keeps what the "
                f"candidates found, "
                f"and the same call goes on from there): {tell_error(error)}"
            ) from error
        return error


def _affordable(flow: Flow[R], book: ScoreBook) -> Flow[R]:
    """`flow`, ended before a model reads for some topics what the budget doesn't allow it to read for all of them.

    Raises:
        BudgetSpent: so it is.
    """
    return watched(flow, lambda step: book.check(_scorings(step)))


def _scorings(step: Step) -> Sequence[Score]:
    return step.asked if isinstance(step, Scores) else [step] if isinstance(step, Score) else ()


def _shares(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def measured(measure: str, qrels: Qrels, rankings: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The measure's value for each topic that has a ranking (which may be empty)."""
    grades = {topic: qrels[topic] for topic in rankings}
    placed = {topic: {document: float(-rank) for rank, document in enumerate(found)} for topic, found in rankings.items()}
    [values] = per_topic([measure], grades, placed).values()
    return values
