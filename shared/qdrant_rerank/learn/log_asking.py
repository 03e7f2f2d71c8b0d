"""Topics asked of Qdrant, batch by batch, and made into rows of a log."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from qdrant_client import models

from .. import Executor, Retries
from .._internals import Flow, Points, Search, run, together
from ..errors import FitError, MeasurementError
from ..evaluate import DocId, Qrels, Topic
from ..evaluate._internals import Progress, RetryingServices, is_setup_error, ranking_of, stops
from ..ingest._internals import point_ids
from ..planning import Target
from .features import Category, Feature
from .log_candidates import Candidates, CandidateSearch, found
from .log_checks import Seen
from .log_columns import computed
from .log_sampling import Negatives
from .log_stream import LogStream, TopicRows

__all__ = ["Labelling", "Logging", "Missed", "PairWeights", "Unjudged"]

Unjudged: TypeAlias = Literal["negative", "drop"]
Missed: TypeAlias = Literal["count", "fetch"]
PairWeights: TypeAlias = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Labelling:
    """What `log_features` was asked for; see there. `names` are other ids of documents, see `aliases`."""

    unjudged: Unjudged
    negatives: Negatives | None
    missed: Missed
    seed: int
    pair_weights: PairWeights
    doc_id: DocId
    names: Mapping[str, str]


@dataclass
class Logging:
    """Asks for batches of topics, and makes rows of what is found."""

    executor: Executor
    candidates: CandidateSearch
    features: Mapping[str, Feature | Category]
    qrels: Qrels
    labelling: Labelling
    target: Target
    now: dt.datetime
    seen: Seen
    retries: Retries
    failed: dict[str, str] = field(default_factory=dict[str, str])

    def run(self, topics: Sequence[Topic], stream: LogStream, batch_size: int, progress: Progress | None) -> None:
        left = [topic for topic in topics if topic.id not in stream.done]
        for start in range(0, len(left), batch_size):
            for rows in self._batch(left[start : start + batch_size]):
                if rows.error is None:
                    stream.add(rows)
                else:
                    self.failed[rows.topic] = rows.error
            if progress is not None:
                progress(len(topics) - len(left) + min(start + batch_size, len(left)), len(topics))
        if not stream.done:
            raise FitError(f"every topic failed, the first with: {next(iter(self.failed.values()))}")

    def _batch(self, topics: Sequence[Topic]) -> list[TopicRows]:
        try:
            answers = run(together([self._flow(topic) for topic in topics]), RetryingServices(self.executor, self.retries))
            return [self._rows(topic, answer) for topic, answer in zip(topics, answers, strict=True)]
        except Exception as error:
            if is_setup_error(error):
                raise
            if stops(error):
                raise MeasurementError(
                    "stopped while topics were asked, as those that fail would be left out (with path= each is kept as it "
                    f"comes, and the same call goes on from there): {type(error).__name__}: {error}"
                ) from error
            if len(topics) == 1:
                return [TopicRows(topics[0].id, error=f"{type(error).__name__}: {error}")]
        return [rows for topic in topics for rows in self._batch([topic])]  # one of them is to blame

    def _flow(self, topic: Topic) -> Flow[Candidates]:
        query = replace(topic.query, now=topic.now or self.now)
        first = yield from found(self.candidates, query, self.target, topic.filter)
        if self.labelling.missed == "count":
            return first
        wanted = self._missed(topic, self._documents(first.points))
        ids = list(dict.fromkeys(id for document in wanted for id in point_ids(document)))
        if not ids:
            return first
        stored = models.Filter(must=[models.HasIdCondition(has_id=list(ids))])
        payload = self.candidates.options.with_payload
        [points] = yield from Search([models.QueryRequest(filter=stored, limit=len(ids), with_payload=payload)])
        return first.joined(points)

    def _documents(self, points: Points) -> list[str]:
        return [ranking_of([point], self.labelling.doc_id, self.labelling.names)[0][0].doc_id for point in points]

    def _missed(self, topic: Topic, documents: Sequence[str]) -> list[str]:
        relevant = (document for document, grade in self.qrels[topic.id].items() if grade >= 1)
        return sorted(set(relevant).difference(documents))

    def _rows(self, topic: Topic, candidates: Candidates) -> TopicRows:
        self.seen.look(candidates.table.payloads)
        judged, documents = self.qrels[topic.id], self._documents(candidates.points)
        is_judged = np.array([document in judged for document in documents], dtype=bool)
        weights = np.where(is_judged, 1.0, 0.0)
        if self.labelling.unjudged == "negative":
            sampling, ranks = self.labelling.negatives, candidates.ranks
            weights = (
                np.ones(len(documents))
                if sampling is None
                else sampling.weights(ranks, is_judged, topic.id, self.labelling.seed)
            )
        given = self.labelling.pair_weights.get(topic.id, {})
        weights *= np.array([given.get(document, 1.0) for document in documents])
        values = computed(self.features, candidates.table)
        rows = tuple(
            (documents[n], judged.get(documents[n], 0), int(is_judged[n]), float(weights[n]), *map(_plain, values[n].tolist()))
            for n in np.flatnonzero(weights)
        )
        lost = self._missed(topic, [document for document, rank in zip(documents, candidates.ranks, strict=True) if rank > 0])
        return TopicRows(topic.id, rows, tuple(lost), int(np.isnan(candidates.ranks).sum()))


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
