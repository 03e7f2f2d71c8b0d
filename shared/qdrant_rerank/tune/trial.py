"""Measuring every option on every topic: recomputed from its candidates where that is possible, else by Qdrant in the budget.

Law (tested on local mode and the embedded engine): for a strategy that `is_local`, `recompute` ranks as Qdrant does, but for
points that tie, whose order is random on the engine. Reranking is recomputed too: the model reads each text once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
from qdrant_client import models

from .. import Executor, QdrantRerankError, Query, ScoringError, SearchOptions, Strategy
from .._internals import (
    Affinity,
    DatetimeField,
    Field,
    Flow,
    GeoDistance,
    Points,
    Raw,
    Score,
    Scores,
    Search,
    Step,
    Table,
    Vectors,
    When,
    in_batches,
    run,
    scores_by_candidate,
    tell_error,
    together,
    walk,
    watch,
)
from ..errors import MeasurementError
from ..evaluate import Qrels, Topic, per_topic
from ..evaluate._internals import ends_measuring, is_setup_error, prepare_options, read_ranking, scorings
from ..planning import Schema, Target
from ..stages import Formula, Stage
from .configurations import Family, LeftOut, Option, Scorer, effort_of
from .gathering import Access, Hit, Meter, TopicHits, key_of

_PAYLOAD = Affinity | DatetimeField | Field | GeoDistance | Raw | When


def is_local(strategy: Strategy) -> bool:
    """Whether a strategy can be recomputed from its plain searches.

    It can if it is made of plain searches, fusions and formulas, nested in any way, if only the plain searches have filters,
    thresholds and search parameters of their own, and formulas hold nothing that only an engine can compute.
    """
    if not isinstance(strategy, Stage):
        return False
    if not strategy.candidates:
        return strategy.is_search
    own = strategy.filter, strategy.score_threshold, strategy.search_params
    return strategy.is_computable and all(value is None for value in own) and all(map(is_local, strategy.candidates))


def is_recomputable(strategy: Strategy, schema: Schema) -> bool:
    """Whether a strategy `is_local` and ranks the same on the collection's shards.

    Several shards each hand a formula their own candidates, other than those of the plain search over the collection: there
    Qdrant has to be asked.
    """
    return is_local(strategy) and isinstance(strategy, Stage) and strategy.alike_on_shards(schema)


def reads_payload(strategy: Strategy) -> bool:
    """Whether ranking reads the points' payload."""
    expressions = (expression for stage in strategy.stages() for expression in stage.own_expressions())
    nodes = (node for expression in expressions for node in walk(expression))
    return strategy.model_use == "rank" or any(isinstance(node, _PAYLOAD) for node in nodes)


def recompute(stage: Stage, topic_hits: TopicHits, target: Target, limit: int) -> list[Hit]:
    """The first `limit` points of `stage` for the topic, best first.

    Args:
        stage: one that `is_local`; its plain searches must be in the hits, as deep as it needs.
        topic_hits: the topic's candidates.
        target: the collection.
        limit: how many points the call asks for.

    Raises:
        PlanError: a point lacks a payload key that a formula reads without a default; Qdrant would refuse, too.
        ScoringError: a formula isn't finite for some point; likewise.
    """
    if not stage.candidates:  # alone, its ties are settled; below a fusion the engine's own order of them counts
        groups = groupby(topic_hits.candidates[key_of(stage)], key=lambda hit: hit.score)
        return [hit for _, ties in groups for hit in sorted(ties, key=lambda hit: topic_hits.places[hit.id])][:limit]
    return _rank_points(stage, limit, limit, topic_hits, target)


def read_by(formula: Formula, topic_hits: TopicHits, target: Target, limit: int) -> tuple[list[Hit], Table]:
    """The points that a formula ranks, each once, and the table to compute it from; arguments as of `recompute`."""
    union, found = _candidates(formula, limit, topic_hits, target)
    scores = scores_by_candidate(formula.candidates, [hit.id for hit in union], found, target.schema)
    return union, replace(_table(union, topic_hits, target), scores=scores)


def _rank_points(stage: Stage, limit: int, needed: int, topic_hits: TopicHits, target: Target) -> list[Hit]:
    """The first `limit` points of a stage whose candidates have to find `needed`."""
    if not stage.candidates:
        return list(topic_hits.candidates[key_of(stage)][:limit])
    union, found = _candidates(stage, needed, topic_hits, target)
    if not union:
        return []
    with np.errstate(all="ignore"):  # as engines give them: what ties there must tie here
        rounded = stage.compute_scores(found, _table(union, topic_hits, target), target.schema).astype(np.float32)
    if not np.isfinite(rounded).all():
        worst = union[int(np.flatnonzero(~np.isfinite(rounded))[0])]
        raise ScoringError(f"the formula isn't finite for point {worst.id!r}, and Qdrant would refuse the query")
    rows = _first(rounded, limit)
    places = np.array([topic_hits.places[union[row].id] for row in rows], np.int64)
    order = rows[np.lexsort((places, -rounded[rows]))][:limit]
    return [Hit(union[row].id, float(rounded[row])) for row in order]


def _candidates(stage: Stage, needed: int, topic_hits: TopicHits, target: Target) -> tuple[list[Hit], list[list[Hit]]]:
    """All points that the candidates find, each once, and those of each candidate."""
    found = [_rank_points(each, each.reach(needed), each.needs_points(needed), topic_hits, target) for each in stage.candidates]
    return list({hit.id: hit for hits in found for hit in hits}.values()), found


def _first(scores: Any, limit: int) -> Any:
    """The rows of the `limit` highest scores, and of all that tie with the last of them."""
    if len(scores) <= limit:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, -limit)[-limit])


def _table(union: Sequence[Hit], topic_hits: TopicHits, target: Target) -> Table:
    ids = [hit.id for hit in union]
    return Table(
        payloads=[topic_hits.payloads.get(id, {}) for id in ids],
        ids=ids,
        params=topic_hits.topic.params,
        now=topic_hits.now,
        tokens=topic_hits.tokens,
        view=target.view,
    )


class BudgetSpent(QdrantRerankError):
    """The model would have to read more than the budget allows."""


def recompute_any(
    strategy: Strategy, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer
) -> Sequence[Any] | None:
    """The first `limit` points of any strategy, recomputed; None if Qdrant has to be asked."""
    if isinstance(strategy, Stage):
        return recompute(strategy, topic_hits, target, limit) if is_recomputable(strategy, target.schema) else None
    return recompute_reranking(strategy, topic_hits, target, limit, scorer)


def recompute_reranking(strategy: Strategy, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer) -> Points | None:
    """`Rerank` of recomputed candidates, by its own code; None if its candidates or the model's scores can't be had again."""
    below = strategy.first_search
    if strategy.model_use != "rank" or not isinstance(below, Stage) or not is_recomputable(below, target.schema):
        return None
    if not scorer.independent:
        return None
    found = recompute(below, topic_hits, target, strategy.candidate_options(SearchOptions(limit=limit)).limit)
    points: Points = [
        models.ScoredPoint.model_construct(id=hit.id, version=0, score=hit.score, payload=topic_hits.payloads.get(hit.id, {}))
        for hit in found
    ]
    topic = topic_hits.topic
    query = Query(topic.text, topic.vectors, topic.params, topic_hits.now)
    return run(strategy.rank(points, query, SearchOptions(limit=limit), target), scorer)


class _NoQdrant:
    """Scorers refuse all but scoring: recomputing asks nothing of Qdrant."""

    independent = True

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        raise NotImplementedError("a ranking is recomputed from what the candidates found, without embedding anything")

    def search(self, step: Search) -> list[Points]:
        raise NotImplementedError("a ranking is recomputed from what the candidates found, without searching anything")


@dataclass
class ScoreBook(_NoQdrant):
    """The scores of the executor's model so far, by query and text; the meter counts the texts that it reads."""

    executor: Executor
    meter: Meter
    scores: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.independent = bool(getattr(self.executor.reranker, "independent", True))

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text; those of independent texts are kept.

        Raises BudgetSpent: the budget's texts or time are used up.
        """
        if not self.independent:
            return self._read(query, texts)
        missing = [text for text in dict.fromkeys(texts) if (query, text) not in self.scores]
        if missing:
            self.scores |= {(query, text): number for text, number in zip(missing, self._read(query, missing), strict=True)}
        return [self.scores[query, text] for text in texts]

    def _read(self, query: str, texts: Sequence[str]) -> list[float]:
        if refusal := self.meter.refusal(model_texts=len(texts)):
            raise BudgetSpent(refusal)
        self.meter.model_texts += len(texts)
        return self.executor.score(query, texts)

    def check(self, asked: Sequence[Score]) -> None:
        """Refuse scorings that the budget doesn't cover together. Raises BudgetSpent."""
        pairs = [(one.query, text) for one in asked for text in one.texts]
        count = len(set(pairs).difference(self.scores)) if self.independent else len(pairs)
        if count and (refusal := self.meter.refusal(model_texts=count)):
            raise BudgetSpent(refusal)

    def least(self, all_hits: Sequence[TopicHits], reads: int) -> int:
        """How many texts a model must read at least to score `reads` documents for each topic.

        It counts as if all texts read for a query so far were among them, and no two documents had the same text.
        """
        counts = sorted((min(reads, len(topic_hits.documents)), topic_hits.topic.text) for topic_hits in all_hits)
        if not self.independent:
            return sum(count for count, _ in counts)
        known = Counter(query for query, _ in self.scores)
        most = {query: count for count, query in counts}  # topics with the same text share what is read
        return sum(max(0, count - known[query]) for query, count in most.items())


@dataclass
class Rehearsal(_NoQdrant):
    """Notes the pairs of query and text that the book doesn't have, and the model would have to read."""

    book: ScoreBook
    missing: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.independent = self.book.independent

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """A number for each text: the score where it is there."""
        pairs = [(query, text) for text in texts]
        self.missing.update(pair for pair in pairs if pair not in self.book.scores)
        return [self.book.scores.get(pair, 0.0) for pair in pairs]


Rankings = dict[str, list[str]]


class _Unmeasured(Exception):
    """An option can't be measured; the text says why."""


@dataclass
class Trial:
    """The measuring of options, by a measure that looks at `limit` results; `values` is option → topic → value."""

    access: Access
    all_hits: Sequence[TopicHits]
    qrels: Qrels
    measure: str
    limit: int
    left_out: list[LeftOut] = field(default_factory=list)
    values: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book = ScoreBook(self.access.executor, self.access.meter)

    def measure_all(self, proposed: Sequence[tuple[Family, Option]]) -> None:
        """Measure the options, those without a model first, then by how much the model reads."""
        for family, option in sorted(proposed, key=lambda pair: pair[1].strategy.cost.reads):
            try:
                rankings = self._rank(family, option)
            except (_Unmeasured, BudgetSpent) as error:
                self.left_out.append(LeftOut(option.name, str(error)))
                continue
            self.values[option.name] = measure_rankings(self.measure, self.qrels, rankings)

    def _rank(self, family: Family, option: Option) -> Rankings:
        if option.strategy.cost.reads and self.book.independent:
            rehearsal = Rehearsal(self.book)  # so that an option is read as a whole or not at all
            self._recompute(family, option, rehearsal)
            if rehearsal.missing and (refusal := self.access.meter.refusal(model_texts=len(rehearsal.missing))):
                raise _Unmeasured(refusal)
        found = self._recompute(family, option, self.book)
        return self._ask(option) if found is None else found

    def _recompute(self, family: Family, option: Option, scorer: Scorer) -> Rankings | None:
        target = self.access.executor.target()
        found: Rankings = {}
        for topic_hits in self.all_hits:
            try:
                ranking = family.rank(option.of(topic_hits.topic.id), topic_hits, target, self.limit, scorer)
            except BudgetSpent:
                raise
            except Exception as error:  # a formula that can't be computed, or whatever a model raises
                if is_setup_error(error):
                    raise
                raise _Unmeasured(f"it fails on topic {topic_hits.topic.id!r}: {tell_error(error)}") from error
            if ranking is None:
                return None
            found[topic_hits.topic.id] = topic_hits.list_documents(ranking, self.limit)
        return found

    def _ask(self, option: Option) -> Rankings:
        """The rankings that Qdrant gives itself."""
        if option.by_topic:
            raise _Unmeasured("it can't be recomputed from the candidates, which what is learned from the topics has to be")
        topics, access = [topic_hits.topic for topic_hits in self.all_hits], self.access
        effort = effort_of(option.strategy, self.limit, access.executor.target().schema)
        texts = self.book.least(self.all_hits, effort.model_texts)
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
        """Refuse to go on without the baseline's values. Raises QdrantRerankError where it could not be measured."""
        reason = next((each.reason for each in self.left_out if each.name == name), None)
        if reason is not None:
            raise QdrantRerankError(f"there is nothing to compare with, as the baseline could not be measured: {reason}")


@dataclass
class Serving:
    """Answers the steps of strategies: Qdrant and the encoders by the executor, the model by the book, within the budget."""

    access: Access
    book: ScoreBook

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        return self.access.executor.embed(texts, using)

    def search(self, step: Search) -> list[Points]:
        """The points of each request, `batch_size` requests in a round trip. Raises BudgetSpent: the budget's time is over."""
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

        Raises BudgetSpent: the model would have to read more than the budget allows, and hasn't begun that round.
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
        if ends_measuring(error) and not isinstance(asked[-1], Score | Scores):  # a model's failures are its own
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
