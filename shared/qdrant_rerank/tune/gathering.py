"""Searching each candidate once for each topic: all that tuning asks of Qdrant, but for what can't be recomputed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from qdrant_client import models

from .. import Executor, Query, Retries, SearchOptions, StrategyError
from .._internals import Flow, Points, Search, embedded, query_token_counts, run, together
from ..errors import FitError, MeasurementError
from ..evaluate import DocId, Topic
from ..evaluate._internals import MEASURING, Progress, RetryingServices, is_setup_error, ranking_of, stops
from ..planning import Target
from ..stages import Nearest
from .budget import Meter
from .pools import Hit, Pool
from .remembering import PoolFile

__all__ = ["Gathering", "Wants", "check_executor"]


@dataclass(frozen=True)
class Wants:
    """What is asked of Qdrant for each topic.

    Attributes:
        leaves: the plain searches, by key, each with its depth.
        payload: what of the payload comes along.
    """

    leaves: Mapping[str, tuple[Nearest, int]]
    payload: models.WithPayloadInterface

    @property
    def vectors(self) -> frozenset[str]:
        """The vectors that queries are embedded for."""
        return frozenset(leaf.using for leaf, _ in self.leaves.values() if leaf.using is not None)


@dataclass
class Gathering:
    """The searches of a tuning.

    Attributes:
        executor: on which collection.
        wants: what to search.
        doc_id: how documents are told in the results.
        names: other ids of documents → their ids in the judgments.
        meter: counts the requests.
        batch_size: how many topics share a round trip.
        file: keeps what was found, if anything does.
        retries: how often a search that fails in passing is made again.
        failed: topics that ended with an error, with its text.
    """

    executor: Executor
    wants: Wants
    doc_id: DocId
    names: Mapping[str, str]
    meter: Meter
    batch_size: int
    file: PoolFile | None = None
    retries: Retries = MEASURING
    failed: dict[str, str] = field(default_factory=dict)

    def pools(self, topics: Sequence[Topic], progress: Progress | None = None) -> list[Pool]:
        """What the candidates find for each topic; topics that fail are left out, and noted in `failed`.

        Raises:
            FitError: every topic failed.
            PlanError: a candidate doesn't fit the collection.
        """
        target = self.executor.target()
        for leaf, depth in self.wants.leaves.values():
            self.executor.plan(leaf, SearchOptions(limit=depth))
        moment = dt.datetime.now(dt.UTC)  # one for all, so that strategies are compared at the same time
        found = {} if self.file is None else self.file.pools(topics, moment)
        left = [topic for topic in topics if topic.id not in found]
        for start in range(0, len(left), self.batch_size):
            for pool in self._batch(left[start : start + self.batch_size], target, moment):
                found[pool.topic.id] = pool
                if self.file is not None:
                    self.file.keep(pool)
            if progress is not None:
                progress(len(topics) - len(left) + min(start + self.batch_size, len(left)), len(topics))
        if not found:
            raise FitError(f"every topic failed, the first with: {next(iter(self.failed.values()))}")
        return [found[topic.id] for topic in topics if topic.id in found]

    def _batch(self, topics: Sequence[Topic], target: Target, moment: dt.datetime) -> list[Pool]:
        try:
            return self._asked(topics, target, moment)
        except Exception as error:
            if is_setup_error(error):
                raise
            if stops(error):
                where = "cache= keeps what was found" if self.file is None else f"what was found is in {self.file.path}"
                raise MeasurementError(
                    f"stopped while the candidates were searched, as topics that fail would be left out ({where}, and "
                    f"the same call "
                    f"goes on from there): {type(error).__name__}: {error}"
                ) from error
            if len(topics) == 1:
                self.failed[topics[0].id] = f"{type(error).__name__}: {error}"
                return []
        return [pool for topic in topics for pool in self._batch([topic], target, moment)]  # one of them is to blame

    def _asked(self, topics: Sequence[Topic], target: Target, moment: dt.datetime) -> list[Pool]:
        flows = [_candidates(self.wants, replace(topic.query, now=topic.now or moment), topic, target) for topic in topics]
        self.meter.requests += len(self.wants.leaves) * len(topics)
        self.meter.round_trips += 1
        answers = run(together(flows), RetryingServices(self.executor, self.retries))
        return [self._pool(topic, *answer, moment) for topic, answer in zip(topics, answers, strict=True)]

    def _pool(self, topic: Topic, found: list[Points], tokens: Mapping[str, int], moment: dt.datetime) -> Pool:
        points = {point.id: point for candidate in found for point in candidate}
        documents: dict[models.ExtendedPointId, str] = {}
        for id, point in points.items():
            [(documents[id], _)], _ = ranking_of([point], self.doc_id, self.names)
        keeps = self.wants.payload is True
        return Pool(
            topic,
            topic.now or moment,
            {key: [Hit(p.id, p.score) for p in candidate] for key, candidate in zip(self.wants.leaves, found, strict=True)},
            documents,
            {id: point.payload or {} for id, point in points.items()} if keeps else {},
            tokens,
        )


def _candidates(wants: Wants, query: Query, topic: Topic, target: Target) -> Flow[tuple[list[Points], Mapping[str, int]]]:
    """The points of each candidate, in one step for all topics that run together."""
    inputs = yield from embedded(query, wants.vectors, target)
    requests: list[Any] = [
        leaf.request(inputs, topic.within(SearchOptions(limit=depth, with_payload=wants.payload)))
        for leaf, depth in wants.leaves.values()
    ]
    found = yield from Search(requests)
    return found, query_token_counts(wants.vectors, inputs)


def check_executor(executor: Any) -> None:
    """Refuse what can't be asked synchronously.

    Raises:
        StrategyError: it is no `Executor`.
    """
    if not isinstance(executor, Executor):
        raise StrategyError(f"tune needs an Executor, got {type(executor).__name__}: Executor(client, collection, encoders=…)")
