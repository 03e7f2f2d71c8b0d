"""Searching each candidate once for each topic, within a budget, and keeping the hits in memory and in a file.

That is all that tuning asks of Qdrant, but for strategies that can't be recomputed.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from qdrant_client import models

from .. import Executor, Query, Retries, SearchOptions, StrategyError
from .._internals import (
    Flow,
    Journal,
    JournalKind,
    Points,
    Search,
    check_header,
    decode_records,
    embed_query,
    in_batches,
    is_whole,
    query_token_counts,
    run,
    together,
)
from ..evaluate import DocId, Topic
from ..evaluate._internals import MEASURING, Plain, Progress, RetryingServices, ask_batch, check_some, read_ranking
from ..planning import Target, VectorInfo
from ..stages import Stage


@dataclass(frozen=True)
class Budget:
    """What one call of `tune` may spend; None is as much as it takes.

    Attributes:
        requests: searches in Qdrant. Each candidate takes one for each topic; strategies that can't be recomputed from the
            candidates take more.
        model_texts: texts that the executor's model may read; 0 by default, as they take time or money, and a thousand topics
            have fifty thousand candidates.
        milliseconds: time that may pass before the last model call or search begins. The candidates are searched in any case.

    Raises:
        StrategyError: a limit is no number of at least 1 (0 for `model_texts`).
    """

    requests: int | None = None
    model_texts: int | None = 0
    milliseconds: float | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("requests", self.requests, 1), ("model_texts", self.model_texts, 0)):
            if value is not None and not is_whole(value, least):
                raise StrategyError(f"the budget's {name} must be a whole number of at least {least}, got {value!r}")
        limit = self.milliseconds
        if limit is not None and (isinstance(limit, bool) or not math.isfinite(limit) or limit <= 0):
            raise StrategyError(f"the budget's milliseconds must be a number above 0, got {limit!r}")


@dataclass(frozen=True)
class Spent(Plain):
    """What a tuning took.

    Attributes:
        requests: searches in Qdrant.
        round_trips: requests over the network; many topics share one.
        model_texts: texts that the model read.
        seconds: how long it took in all.
    """

    requests: int
    round_trips: int
    model_texts: int
    seconds: float


@dataclass
class Meter:
    """What has been spent of a budget so far."""

    budget: Budget
    requests: int = 0
    round_trips: int = 0
    model_texts: int = 0
    start: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def refusal(self, requests: int = 0, model_texts: int = 0) -> str:
        """Why this is over the budget; "" if it isn't."""
        limits = self.budget
        if limits.requests is not None and self.requests + requests > limits.requests:
            return f"it takes {requests:,} requests, and {max(limits.requests - self.requests, 0):,} of the budget are left"
        if limits.model_texts is not None and self.model_texts + model_texts > limits.model_texts:
            if limits.model_texts == 0:
                return f"the model would have to read {model_texts:,} texts: allow it with Budget(model_texts=…)"
            left = max(limits.model_texts - self.model_texts, 0)
            return f"the model would have to read {model_texts:,} texts, and {left:,} of the budget are left"
        return self.late()

    def late(self) -> str:
        """That the time is over, in words; "" if it isn't."""
        limit = self.budget.milliseconds
        return f"the budget's {limit:,.0f} milliseconds were over" if limit is not None and 1000 * self.seconds > limit else ""

    def sum_up(self) -> Spent:
        return Spent(self.requests, self.round_trips, self.model_texts, self.seconds)


class Hit(NamedTuple):
    """A point that a stage found; the score is Qdrant's, so for Euclid and Manhattan it is a distance."""

    id: models.ExtendedPointId
    score: float


@dataclass(frozen=True)
class TopicHits:
    """What the candidates found for one topic.

    Attributes:
        topic: the topic.
        now: what `now()` means for it.
        candidates: by `key_of` the candidate, its points, best first.
        documents: point id → document id.
        payloads: point id → payload, as far as something reads it.
        tokens: how many token vectors the query has, by multivector.
    """

    topic: Topic
    now: dt.datetime
    candidates: Mapping[str, Sequence[Hit]]
    documents: Mapping[models.ExtendedPointId, str]
    payloads: Mapping[models.ExtendedPointId, Mapping[str, Any]] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def places(self) -> dict[models.ExtendedPointId, int]:
        """Each point's place in the order of ids, which decides ties."""
        ordered = sorted(self.documents, key=lambda id: (isinstance(id, str), id))
        return {point: place for place, point in enumerate(ordered)}

    def list_documents(self, hits: Sequence[Hit], limit: int) -> list[str]:
        """The documents of the first `limit` points, each at its first place only."""
        return list(dict.fromkeys(self.documents[hit.id] for hit in hits[:limit]))


@dataclass(frozen=True)
class Spread:
    """How a candidate's scores lie, higher is better.

    Attributes:
        low: the score to assume of points that the candidate did not find: the median over the topics of the lowest score; 0
            for a sparse candidate that ran out of points.
        deviation: the median over the topics of the scores' standard deviation.
    """

    low: float
    deviation: float


def key_of(leaf: Stage) -> str:
    """A text that is the same for plain searches that differ in depth and name only."""
    return repr(replace(leaf, limit=None, name=None))


def leaf_depths(stage: Stage, needed: int, *, root: bool = True) -> dict[str, tuple[Stage, int]]:
    """The plain searches at the bottom of `stage`, by key, each with the depth that it hands on.

    `needed` is how many points the stage above ranks, or the call asks for.
    """
    if not stage.candidates:
        return {key_of(stage): (stage, needed if root else stage.reach(needed))}
    found: dict[str, tuple[Stage, int]] = {}
    inner = needed if root else stage.needs_points(needed)
    for candidate in stage.candidates:
        for key, (leaf, depth) in leaf_depths(candidate, inner, root=False).items():
            found[key] = leaf, max(depth, found[key][1] if key in found else 0)
    return found


def spreads(all_hits: Sequence[TopicHits], asked: Mapping[str, tuple[VectorInfo, int]]) -> dict[str, Spread]:
    """How the scores of each candidate lie over all topics, whatever the judgments; distances are turned around.

    `asked` are, by the candidate's key, what it compares and how many points were asked of it.
    """
    found: dict[str, Spread] = {}
    for key, (info, depth) in asked.items():
        sign = -1.0 if info.is_distance else 1.0
        columns = [
            sign * np.array([hit.score for hit in topic_hits.candidates[key]])
            for topic_hits in all_hits
            if topic_hits.candidates[key]
        ]
        if not columns:
            found[key] = Spread(0.0, 1.0)
            continue
        lowest = [0.0 if info.kind == "sparse" and len(column) < depth else float(column.min()) for column in columns]
        deviation = float(np.median([column.std() for column in columns]))
        found[key] = Spread(float(np.median(lowest)), deviation or 1.0)
    return found


_KIND: Final = JournalKind(
    "qdrant-rerank candidates",
    wrong_header="not a line of what tune keeps (another kind of file): delete the file or name another",
    wrong_line="not a line of what tune keeps: delete the file or name another",
    empty="the file is empty",
    later=("depends_on",),
)


_LABELS: Final = {"depends_on": "setup (encoders, fixed filter)"}


class HitsFile(Journal):
    """A file of hits, made if it isn't there; only a tuning that is `about` the same may go on in it.

    Raises StrategyError: the file is about something else, or is being written to. Raises FormatError: a line of it can't be
    read.
    """

    def __init__(self, path: str | os.PathLike[str], about: Mapping[str, Any]) -> None:
        another = "keeps what another tuning found"
        super().__init__(path, _KIND, about, lambda there: check_header(path, there, about, _KIND, another, _LABELS))

    def read(self, topics: Sequence[Topic], now: dt.datetime) -> dict[str, TopicHits]:
        """The hits that are there, by topic. Raises FormatError where a line of it can't be read."""
        wanted = {topic.id: topic for topic in topics}
        found = decode_records(self.records, lambda record: _decode_hits(record, wanted, now), self.path, _KIND)
        return {topic_hits.topic.id: topic_hits for topic_hits in found if topic_hits is not None}

    def keep(self, topic_hits: TopicHits) -> None:
        """Append one topic's hits."""
        self.add(
            {
                "topic": topic_hits.topic.id,
                "candidates": {key: [list(hit) for hit in hits] for key, hits in topic_hits.candidates.items()},
                "documents": [[id, document] for id, document in topic_hits.documents.items()],
                "payloads": [[id, payload] for id, payload in topic_hits.payloads.items()],
                "tokens": dict(topic_hits.tokens),
            }
        )


def _decode_hits(record: dict[str, Any], wanted: Mapping[str, Topic], now: dt.datetime) -> TopicHits | None:
    topic = wanted.get(record["topic"])
    if topic is None:
        return None
    return TopicHits(
        topic,
        topic.now or now,
        {key: [Hit(id, float(score)) for id, score in hits] for key, hits in record["candidates"].items()},
        {id: str(document) for id, document in record["documents"]},
        dict(record["payloads"]),
        {name: int(count) for name, count in record["tokens"].items()},
    )


@dataclass(frozen=True)
class PlannedSearches:
    """The plain searches of each topic, by key with their depths, and the payload that comes along."""

    leaves: Mapping[str, tuple[Stage, int]]
    payload: models.WithPayloadInterface

    @property
    def vectors(self) -> frozenset[str]:
        """The vectors that queries are embedded for."""
        return frozenset(leaf.vector for leaf, _ in self.leaves.values() if leaf.vector is not None)


@dataclass(frozen=True)
class Access:
    """How Qdrant is asked; `names` are other ids of documents → their ids in the judgments."""

    executor: Executor
    meter: Meter
    doc_id: DocId = None
    names: Mapping[str, str] = field(default_factory=dict)
    batch_size: int = 32
    retries: Retries = MEASURING

    @property
    def services(self) -> RetryingServices:
        return RetryingServices(self.executor, self.retries)


@dataclass
class Gathering:
    """The searches of a tuning; `file` keeps the hits, if there is one, `failed` is topic → the error that it ended with."""

    access: Access
    planned: PlannedSearches
    file: HitsFile | None = None
    failed: dict[str, str] = field(default_factory=dict)

    def gather(self, topics: Sequence[Topic], progress: Progress | None = None) -> list[TopicHits]:
        """The hits of each topic's candidates; topics that fail are left out, and noted in `failed`.

        Raises FitError: every topic failed. Raises PlanError: a candidate doesn't fit the collection.
        """
        target = self.access.executor.target()
        for leaf, depth in self.planned.leaves.values():
            self.access.executor.plan(leaf, SearchOptions(limit=depth))
        moment = dt.datetime.now(dt.UTC)  # one for all, so that strategies are compared at the same time
        found = {} if self.file is None else self.file.read(topics, moment)
        left = [topic for topic in topics if topic.id not in found]
        done = len(topics) - len(left)
        where = "cache= keeps what was found" if self.file is None else f"what was found is in {self.file.path}"
        stopped = (
            f"stopped while the candidates were searched, as topics that fail would be left out ({where}, and the same call "
            "goes on from there)"
        )
        for batch in in_batches(left, self.access.batch_size):
            for topic_hits in ask_batch(batch, lambda topics: self._ask(topics, target, moment), self.failed, stopped):
                found[topic_hits.topic.id] = topic_hits
                if self.file is not None:
                    self.file.keep(topic_hits)
            done += len(batch)
            if progress is not None:
                progress(done, len(topics))
        check_some(found, self.failed)
        return [found[topic.id] for topic in topics if topic.id in found]

    def _ask(self, topics: Sequence[Topic], target: Target, moment: dt.datetime) -> list[TopicHits]:
        flows = [_search(self.planned, replace(topic.query, now=topic.now or moment), topic, target) for topic in topics]
        self.access.meter.requests += len(self.planned.leaves) * len(topics)
        self.access.meter.round_trips += 1
        answers = run(together(flows), self.access.services)
        return [self._collect_hits(topic, *answer, moment) for topic, answer in zip(topics, answers, strict=True)]

    def _collect_hits(self, topic: Topic, found: list[Points], tokens: Mapping[str, int], moment: dt.datetime) -> TopicHits:
        points = {point.id: point for candidate in found for point in candidate}
        documents: dict[models.ExtendedPointId, str] = {}
        for id, point in points.items():
            [(documents[id], _)], _ = read_ranking([point], self.access.doc_id, self.access.names)
        keeps = self.planned.payload is True
        return TopicHits(
            topic,
            topic.now or moment,
            {key: [Hit(p.id, p.score) for p in candidate] for key, candidate in zip(self.planned.leaves, found, strict=True)},
            documents,
            {id: point.payload or {} for id, point in points.items()} if keeps else {},
            tokens,
        )


def _search(
    planned: PlannedSearches, query: Query, topic: Topic, target: Target
) -> Flow[tuple[list[Points], Mapping[str, int]]]:
    """The points of each candidate, and how many token vectors the query has."""
    inputs = yield from embed_query(query, planned.vectors, target)
    requests: list[Any] = [
        leaf.request(inputs, topic.within(SearchOptions(limit=depth, with_payload=planned.payload)))
        for leaf, depth in planned.leaves.values()
    ]
    found = yield from Search(requests)
    return found, query_token_counts(planned.vectors, inputs)
