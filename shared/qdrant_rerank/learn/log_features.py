"""Logging features: what a formula over these candidates would see for each judged topic, labels joined to it.

candidates = Nearest("dense", limit=100), Nearest("bm25", limit=100)
features = {"dense": score("dense"), "bm25": score("bm25"), "rating": field("rating", default=3.0)}
log = log_features(executor, candidates, topics, qrels, features)
ranker = fit_logistic(log)
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .. import Executor, Retries, SearchOptions, StrategyError
from .._internals import (
    VERSION,
    Flow,
    Lint,
    PayloadKey,
    Points,
    ScoreSource,
    Search,
    TrainedVector,
    candidate_scores,
    check_counts,
    check_known,
    conditions,
    did_you_mean,
    feature_names,
    find_missing,
    has,
    in_batches,
    instead,
    is_whole,
    kind_of,
    leaves,
    map_names,
    place_names,
    point_ids,
    run,
    score_index,
    together,
    undecidable_reason,
    warn,
)
from ..errors import FitError
from ..evaluate import DocId, Qrels, Topic, Topics
from ..evaluate._internals import (
    MEASURING,
    Progress,
    RetryingServices,
    aliases,
    ask_batch,
    check_some,
    describe_doc_id,
    identify_doc_id,
    read_ranking,
)
from ..planning import Target
from ..stages import Formula, Stage
from .features import (
    Candidates,
    CandidateSearch,
    Feature,
    Features,
    Known,
    candidates_json,
    check_features,
    compute_features,
    draw_points,
    feature_json,
    keys_read,
    reference_of,
    search_candidates,
    selector,
)
from .log import FeatureLog, LogCoverage, TopicRows, assemble_log
from .log_files import KIND, LogStream


def log_features(
    executor: Executor,
    candidates: Sequence[Stage],
    topics: Topics,
    qrels: Qrels,
    features: Features,
    *,
    unjudged: Unjudged = "negative",
    negatives: Negatives | None = None,
    missed: Missed = "count",
    pair_weights: PairWeights | None = None,
    options: SearchOptions | None = None,
    doc_id: DocId = None,
    sample: int = 1000,
    batch_size: int = 16,
    retries: int | Retries = MEASURING,
    path: str | PathLike[str] | None = None,
    now: dt.datetime | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FeatureLog:
    """The features of each judged topic's candidates, computed with numpy as an engine computes them.

    Each candidate is searched once for each topic, with the limits and filters that it has in `Formula(…).over(*candidates)`;
    several topics share a round trip. Where a candidate didn't find a point, that score has its default, as in serving. An
    `absent-field` warning names payload keys that features read and no candidate has. On several shards the candidates are
    the whole collection's, as those of a formula on the client; each shard hands a formula in Qdrant others.

    Args:
        executor: the collection, and the encoders for the queries.
        candidates: the stages that find the candidates, as in `.over(*candidates)`.
        topics: the queries, with request-time values in `Topic.params`.
        qrels: the judgments; topics without any are left out.
        features: name → expression, `Feature` or `Category`.
        unjudged: whether candidates that nobody judged are negatives, or left out.
        negatives: which unjudged candidates to keep; all if None.
        missed: whether relevant documents that no candidate found are counted, or fetched and logged with the defaults of all
            scores. In serving they aren't candidates: fetching them teaches what serving never sees.
        pair_weights: topic → document → a factor of that row's weight, e.g. `Clicks.weights`.
        options: what a call asks for in serving: its limit (for candidates without one), its filter, its shard keys.
        doc_id: where a point's document id is; see `evaluate`.
        sample: how many stored points are drawn to note how payload features are distributed, for `drift`; 0 for none.
        batch_size: how many topics share a round trip.
        retries: how often a search that fails in passing is made again; as of `evaluate`.
        path: a `.jsonl` file that keeps each topic as it comes; the same call goes on from there.
        now: what `now()` means for topics that don't say; this moment if None.
        seed: for what is drawn.
        progress: called with topics done and topics in all.

    Raises:
        FitError: no topic has judgments, or every topic failed.
        StrategyError: a feature or an argument is wrong.
        PlanError: a candidate doesn't fit the collection.
        FormatError: the file at `path` is of another log.
    """
    made, policy = check_features(features), Retries.of(retries)
    _check_options(unjudged, missed, sample, batch_size)
    target = executor.target()
    asked = [topic for topic in topics if qrels.grades.get(topic.id)]
    if not asked:
        raise FitError(f"none of the {len(topics)} topics has judgments: there is nothing to learn from")
    payload = True if callable(doc_id) else selector(made, ["_id"] if doc_id is None else [doc_id])
    options = replace(options or SearchOptions(), with_payload=payload, offset=None, stable_ties=False)
    prepared = CandidateSearch.of(candidates, options, target)
    executor.plan(prepared.formula.on_client(), options)  # each candidate is searched by itself, as there
    check_computable(made, prepared.formula, asked, target)
    labels = Labels(qrels, unjudged, negatives, missed, seed, pair_weights or {}, doc_id)
    vectors = tuple(TrainedVector.of(name, target) for name in sorted(prepared.formula.needs()))
    depends_on = target.identify(prepared.formula.needs()) | identify_doc_id(doc_id)
    if path is not None:
        check_known(path, depends_on)
    header = _header(prepared, made, topics, labels, now or dt.datetime.now(dt.UTC), target, depends_on)
    header["vectors"] = [asdict(each) for each in vectors]
    with closing(LogStream(None if path is None else _check_jsonl(path), header)) as stream:
        resumed, found, moment = bool(stream.done), FoundKeys(made), dt.datetime.fromisoformat(stream.header["now"])
        asking = Logging(executor, prepared, made, labels, target, moment, found, policy)
        asking.run(asked, stream, batch_size, progress)
        stored = draw_points(executor, options.with_payload, sample, options.filter, policy) if sample else []
        for lint in found.warnings(executor, [point.payload or {} for point in stored], resumed):
            warn(lint)
        reference = reference_of(made, stored, target.view)
        stream.finish({"reference": {name: one.as_dict() for name, one in reference.items()}})
    coverage = LogCoverage(unjudged=tuple(topic.id for topic in topics if not qrels.grades.get(topic.id)), failed=asking.failed)
    done = [stream.done[topic.id] for topic in asked if topic.id in stream.done]
    return assemble_log(made, tuple(candidates), done, reference, coverage, vectors)


def _check_options(unjudged: str, missed: str, sample: int, batch_size: int) -> None:
    for name, value, kind in (("unjudged", unjudged, Unjudged), ("missed", missed, Missed)):
        if value not in get_args(kind):
            raise StrategyError(f"{name} is {' or '.join(map(repr, get_args(kind)))}, got {value!r}")
    if not is_whole(sample, 0) or not is_whole(batch_size, 1):
        raise StrategyError(f"sample is at least 0 and batch_size at least 1, got {sample!r} and {batch_size!r}")


def _check_jsonl(path: str | PathLike[str]) -> Path:
    if Path(path).suffix != ".jsonl":
        raise StrategyError(
            f"path= keeps a log as JSON lines, so its name ends in .jsonl; got {str(path)!r}: write others with write_log()"
        )
    return Path(path)


def _header(
    candidates: CandidateSearch,
    features: Known,
    topics: Topics,
    labels: Labels,
    now: dt.datetime,
    target: Target,
    depends_on: Mapping[str, str | None],
) -> dict[str, Any]:
    """The first line of the log's file; by its fingerprint a later run knows whether the log is its own."""
    what: dict[str, Any] = {
        "features": {name: feature_json(feature) for name, feature in features.items()},
        "candidates": candidates_json(candidates.formula.candidates),
    }
    asked = {
        "collection": target.schema.collection,
        "topics": topics.fingerprint,
        "qrels": labels.qrels.fingerprint,
        "limit": candidates.options.limit,
        "filter": repr(candidates.options.filter),
        "unjudged": labels.unjudged,
        "negatives": None if labels.negatives is None else asdict(labels.negatives),
        "missed": labels.missed,
        "seed": labels.seed,
        "pair_weights": {topic: dict(weights) for topic, weights in labels.pair_weights.items()},
        "doc_id": describe_doc_id(labels.doc_id),
        "depends_on": dict(depends_on),
    }
    fingerprint = hashlib.sha256(json.dumps([what, asked, VERSION], sort_keys=True).encode()).hexdigest()[:16]
    return {"kind": KIND, "version": VERSION, "fingerprint": fingerprint, "now": now.isoformat(), **what}


Payloads: TypeAlias = Sequence[Mapping[str, Any]]
Unjudged: TypeAlias = Literal["negative", "drop"]
Missed: TypeAlias = Literal["count", "fetch"]
PairWeights: TypeAlias = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Labels:
    """Which candidates are logged with which grade and weight; the arguments are those of `log_features`."""

    qrels: Qrels
    unjudged: Unjudged
    negatives: Negatives | None
    missed: Missed
    seed: int
    pair_weights: PairWeights
    doc_id: DocId

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return aliases(self.qrels)

    def documents(self, points: Points) -> list[str]:
        """The points' documents, as the judgments call them."""
        return [read_ranking([point], self.doc_id, self._names)[0][0].doc_id for point in points]

    def find_missed(self, topic: Topic, documents: Sequence[str]) -> list[str]:
        """The relevant documents that aren't among these."""
        relevant = (document for document, grade in self.qrels[topic.id].items() if grade >= 1)
        return sorted(set(relevant).difference(documents))

    def weights(self, topic: Topic, documents: Sequence[str], ranks: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much each candidate of a topic counts, shape (n,); 0 leaves it out."""
        is_judged = np.array([document in self.qrels[topic.id] for document in documents], dtype=bool)
        if self.unjudged == "drop":
            weights = is_judged.astype(np.float64)
        elif self.negatives is None:
            weights = np.ones(len(documents))
        else:
            weights = self.negatives.weights(ranks, is_judged, topic.id, self.seed)
        given = self.pair_weights.get(topic.id, {})
        weights *= np.array([given.get(document, 1.0) for document in documents])
        return weights


_STOPPED: Final = (
    "stopped while topics were asked, as those that fail would be left out (with path= each is kept as it comes, and the same "
    "call goes on from there)"
)


@dataclass
class Logging:
    """Searches the candidates of topics in batches, and makes rows of them."""

    executor: Executor
    candidates: CandidateSearch
    features: Known
    labels: Labels
    target: Target
    now: dt.datetime
    found: FoundKeys
    retries: Retries
    failed: dict[str, str] = field(default_factory=dict[str, str])

    def run(self, topics: Sequence[Topic], stream: LogStream, batch_size: int, progress: Progress | None) -> None:
        left = [topic for topic in topics if topic.id not in stream.done]
        done = len(topics) - len(left)
        for batch in in_batches(left, batch_size):
            for rows in ask_batch(batch, self._ask, self.failed, _STOPPED):
                stream.add(rows)
            done += len(batch)
            if progress is not None:
                progress(done, len(topics))
        check_some(stream.done, self.failed)

    def _ask(self, topics: Sequence[Topic]) -> list[TopicRows]:
        answers = run(together([self._flow(topic) for topic in topics]), RetryingServices(self.executor, self.retries))
        return [self._rows(topic, answer) for topic, answer in zip(topics, answers, strict=True)]

    def _flow(self, topic: Topic) -> Flow[Candidates]:
        query = replace(topic.query, now=topic.now or self.now)
        first = yield from search_candidates(self.candidates, query, self.target, topic.filter)
        if self.labels.missed == "count":
            return first
        wanted = self.labels.find_missed(topic, self.labels.documents(first.points))
        ids = list(dict.fromkeys(id for document in wanted for id in point_ids(document)))
        if not ids:
            return first
        stored = models.Filter(must=[models.HasIdCondition(has_id=list(ids))])
        payload = self.candidates.options.with_payload
        [points] = yield from Search([models.QueryRequest(filter=stored, limit=len(ids), with_payload=payload)])
        return first.join(points)

    def _rows(self, topic: Topic, candidates: Candidates) -> TopicRows:
        self.found.look(candidates.table.payloads)
        judged, documents = self.labels.qrels[topic.id], self.labels.documents(candidates.points)
        weights = self.labels.weights(topic, documents, candidates.ranks).tolist()
        values = [
            [None if math.isnan(value) else value for value in row]
            for row in compute_features(self.features, candidates.table).tolist()
        ]
        rows = tuple(
            (name, judged.get(name, 0), int(name in judged), weight, *row)
            for name, weight, row in zip(documents, weights, values, strict=True)
            if weight
        )
        found = [document for document, rank in zip(documents, candidates.ranks, strict=True) if rank > 0]
        return TopicRows(topic.id, rows, tuple(self.labels.find_missed(topic, found)), int(np.isnan(candidates.ranks).sum()))


def check_computable(features: Known, formula: Formula, topics: Sequence[Topic], target: Target) -> None:
    """Refuse features that can't be computed here as an engine would.

    Raises StrategyError where one reads the score of a candidate that isn't there (the message lists the candidates), has a
    condition that can't be decided here, or reads a request-time value that no topic brings along.
    """
    candidates = [ScoreSource(stage.title) for stage in formula.candidates]
    for name, expression in ((name, one.expression) for name, one in features.items() if isinstance(one, Feature)):
        for read in candidate_scores(expression):
            try:
                score_index(read, candidates)
            except StrategyError as error:
                hint = did_you_mean(read.name or "", [stage.title or "" for stage in formula.candidates])
                raise StrategyError(f"the feature {name!r}: {error}{hint}") from None
        needed = feature_names(expression) | map_names(expression) | dict.fromkeys(place_names(expression), True)
        for value in (value for value, has_no_default in needed.items() if has_no_default):
            if not any(value in topic.params for topic in topics):
                raise StrategyError(
                    f"the feature {name!r} reads the request-time value {value!r}, which none of the {len(topics)} judged "
                    'topics brings along: give it in Topic.params, in a file as "params" (of a line of JSON, or a '
                    f'column of CSV): {{"{value}": …}}'
                )
        for condition in conditions(expression):
            if why := undecidable_reason(condition, target.view):
                raise StrategyError(f"the feature {name!r}: {why}")


_SHOWN: Final = 5  # points whose keys a warning lists


@dataclass
class FoundKeys:
    """The payload keys that features read and any candidate so far had a value of the right kind at (`there`).

    `others` says of keys what was there instead.
    """

    features: Known
    there: set[PayloadKey] = field(default_factory=set[PayloadKey])
    others: dict[PayloadKey, str] = field(default_factory=dict[PayloadKey, str])

    def look(self, payloads: Payloads) -> None:
        """Look at the candidates of one topic."""
        for key in self._keys.keys() - self.there:
            if any(has(payload, key) for payload in payloads):
                self.there.add(key)
            elif key not in self.others and (found := instead(key, payloads)):
                self.others[key] = found

    def warnings(self, executor: Executor, stored: Payloads, resumed: bool) -> Iterator[Lint]:
        """A warning for each feature that is the same for all candidates because none has what it reads.

        If the log was `resumed`, nobody looked at its first candidates: then the `stored` payloads of random points must agree.
        """
        absent = {key: names for key, names in self._keys.items() if key not in self.there}
        if resumed:
            absent = {key: names for key, names in absent.items() if find_missing([key], stored) == 1.0}
        there = _stored_keys(executor) if absent else []
        for key, names in absent.items():
            other = self.others.get(key) or instead(key, stored)
            listed = ", ".join(map(repr, there))
            hint = f" but {other}" if other else f"; there are {listed}{did_you_mean(key.key, there)}" if there else ""
            yield Lint(
                "absent-field",
                f"the feature {', '.join(map(repr, names))} reads {key.key!r}, but no candidate has a {kind_of(key)} "
                f"there{hint}. It counts as missing in every row, so that nothing can be learned of it",
            )

    @cached_property
    def _keys(self) -> dict[PayloadKey, list[str]]:
        """The keys that features read, with the features' names."""
        found: dict[PayloadKey, list[str]] = {}
        for name, feature in self.features.items():
            for key in keys_read(feature):
                found.setdefault(key, []).append(name)
        return found


def _stored_keys(executor: Executor) -> list[str]:
    [points] = executor.search(Search([models.QueryRequest(limit=_SHOWN, with_payload=True)]))
    return sorted({key for point in points for key in leaves(point.payload or {})})  # gRPC's have no order


@dataclass(frozen=True)
class Negatives:
    """How many candidates without a judgment are logged for each topic; judged ones are all logged.

    Attributes:
        hard: the best-ranked ones, each for itself: what a model has most trouble with.
        random: drawn from the others; each stands for as many as it was drawn from (inverse probability weights), so that
            probabilities learned from the sample hold for all candidates.
        strata: into how many parts the others are split by rank; `random / strata` are drawn from each.

    Raises:
        StrategyError: a number is negative, or there are more strata than drawn candidates.
    """

    hard: int = 10
    random: int = 20
    strata: int = 1

    def __post_init__(self) -> None:
        check_counts(0, hard=self.hard, random=self.random)
        if not is_whole(self.strata, 1) or self.strata > max(1, self.random):
            raise StrategyError(f"strata must be a whole number from 1 to random ({self.random}), got {self.strata!r}")

    def weights(self, ranks: NDArray[np.float64], judged: NDArray[np.bool_], topic: str, seed: int) -> NDArray[np.float64]:
        """How many candidates each stands for, by its best rank and whether it was judged, shapes (n,); 0 leaves it out.

        The draw depends on the topic's id and the seed alone.
        """
        found = np.where(judged, 1.0, 0.0)
        rest = np.flatnonzero(~judged)
        rest = rest[np.argsort(ranks[rest], kind="stable")]
        found[rest[: self.hard]] = 1.0
        generator = np.random.default_rng([seed, zlib.crc32(topic.encode())])
        for number, stratum in enumerate(np.array_split(rest[self.hard :], self.strata)):
            wanted = self.random // self.strata + (number < self.random % self.strata)
            size = min(wanted, len(stratum))
            if size:
                found[generator.choice(stratum, size, replace=False)] = len(stratum) / size
        return found
