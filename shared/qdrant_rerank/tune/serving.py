"""Putting a strategy to Qdrant for every topic: searched for in shared round trips, with scores that the model gave once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from .. import Executor, Retries, SearchOptions, Strategy
from .._internals import Flow, Points, Score, Scores, Search, Step, Vectors, run, together, watched
from ..errors import MeasurementError
from ..evaluate import DocId, Topic
from ..evaluate._internals import MEASURING, RetryingServices, is_setup_error, measured_options, stops
from .budget import Meter
from .rescoring import BudgetSpent, ScoreBook

__all__ = ["Serving"]

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
        options = measured_options(strategy, SearchOptions(limit=limit), self.doc_id)
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
                f"and the same call goes on from there): {type(error).__name__}: {error}"
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
