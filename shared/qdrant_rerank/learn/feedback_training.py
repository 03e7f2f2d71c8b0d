"""What the fit of relevance feedback learns from, and how it learns the three coefficients.

Examples are queries, a search for each with its points' vectors, and the reranker's scores. The loss is pairwise and logistic,
as in RankNet (Burges et al., "Learning to rank using gradient descent", ICML 2005): for each two points of a query with
different scores `log(1 + exp(f(worse) - f(better)))`, weighed by the scores' difference; each query counts the same. `f` is the
formula as it is served, over all pairs of seeds. In mode "recall" the seeds are no targets, as the second search leaves them
out. Bounded L-BFGS-B minimises it.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .. import AsyncExecutor, Executor, Query, SearchOptions, StrategyError
from .._internals import (
    Column,
    Embed,
    Flow,
    Mode,
    Points,
    Score,
    Scores,
    check_counts,
    in_batches,
    load_extra,
    normalise_text,
    plan_on,
    read_vector,
    similarities,
    together,
    value_at,
    warn,
    weights_of,
)
from ..errors import FitError, MissingExtra
from ..evaluate import DocId, Qrels, Topic, Topics
from ..evaluate._internals import aliases, first_sentence, other_ids, read_ranking, with_stable_ties
from ..feedback import Coefficients, RelevanceFeedback
from ..planning import Plan, Target
from .features import draw_points
from .feedback_scores import ScoreFile
from .solver import one_thread

Queries: TypeAlias = Topics | Mapping[str, str] | Sequence[str | Topic | Query]
"""`Topics`, e.g. of `read_topics`; or id → text; or texts, topics or queries in a list.

A topic's id is its own; that of a text or a `Query` in a list is its number from 0 on: "0", "1", ….
"""


def query_texts(queries: Queries) -> dict[str, str]:
    """Query id → text. A `PlanWarning` says how many come with more than text, which isn't used.

    Raises StrategyError where they are something else, or two have the same id.
    """
    given: Any = queries  # untyped callers may pass anything
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise StrategyError(
            f"the queries of a fit are Topics, a mapping of ids to texts, or a list of texts or topics; got {given!r:.200}"
        )
    found: dict[str, str] = {}
    more = 0
    for number, item in enumerate(given.items() if isinstance(given, Mapping) else given):
        id, query = item if isinstance(given, Mapping) else (item.id if isinstance(item, Topic) else str(number), item)
        text = query.text if isinstance(query, Topic | Query) else query
        if id in found:
            raise StrategyError(f"the query id {id!r} is there twice: give each query an id of its own")
        if not isinstance(text, str):
            raise StrategyError(f"query {id!r} must be a text, a Topic or a Query; got {type(query).__name__} {query!r:.200}")
        found[id] = text
        if isinstance(query, Topic | Query):
            more += bool(query.vectors or query.params or query.now or getattr(query, "filter", None))
    if more:
        warn(
            f"{more} of the {len(found)} queries come with filters, params, vectors or a time; the fit uses nothing but "
            "their text"
        )
    return found


SAMPLED: Final = "sampled:"
"""The beginning of such queries' ids, by which they are known wherever they are kept."""
SYNTHETIC_WARNING: Final = (
    "the queries are made of stored documents (titles, first sentences): they mislead, as each finds its own document and none "
    "is asked as people ask; take what is fitted to them as a trial, and fit again with 50 to 200 real queries before using it"
)
_TITLES: Final = ("title", "metadata.title")
_SPARE: Final = 2  # as some points have no text, or that of another


def sample_queries(
    executor: Executor, count: int, *, filter: models.Filter | None = None, max_words: int = 12
) -> dict[str, str]:
    """Up to `count` different queries, each the title or the first sentence of a stored point; id → text.

    Qdrant draws the points at random, others each time. A `PlanWarning` says that such queries mislead.

    Args:
        executor: on the collection; its payload mapping says where the text is.
        count: how many queries.
        filter: which points they may be made of.
        max_words: where longer ones are cut.

    Raises:
        StrategyError: `count` or `max_words` isn't a whole number of at least 1.
        FitError: no point that was drawn has a title or a text.
    """
    check_counts(1, count=count, max_words=max_words)
    mapping = executor.target().payload
    found: dict[str, str] = {}
    points = draw_points(executor, True, _SPARE * count, filter)
    for point in points:
        payload = point.payload or {}
        text = " ".join(_opening(payload, mapping.content(payload).text).split()[:max_words])
        if text and text not in found.values() and len(found) < count:
            found[f"{SAMPLED}{point.id}"] = text
    if not found:
        raise FitError(
            f"no queries can be made of {executor.collection!r}: none of the {len(points)} points drawn from it has a title or "
            "a text where the payload mapping says"
        )
    warn(SYNTHETIC_WARNING)
    return found


def is_sampled(queries: Mapping[str, str]) -> bool:
    """Whether any of the queries was made by `sample_queries`, as its id says."""
    return any(query.startswith(SAMPLED) for query in queries)


def _opening(payload: Mapping[str, Any], text: str) -> str:
    """The title, or the first sentence of the first line."""
    for key in _TITLES:
        title = value_at(payload, key)
        if isinstance(title, str) and title.strip():
            return title
    return first_sentence(text.strip().partition("\n")[0])


Grades = Mapping[str, Mapping[str, int]]


@dataclass
class Documents:
    """The documents of points, by their ids, and those that were found so far.

    `grades` are query text → document id → grade, empty if judgments aren't used; `doc_id` says where a point's document id is
    (`evaluate.DocId`); `keys` are payload keys of a point that was noted, for error messages.
    """

    grades: Grades = field(default_factory=dict[str, Mapping[str, int]])
    doc_id: DocId = None
    found: set[str] = field(default_factory=set[str])
    keys: tuple[str, ...] = ()

    @cached_property
    def judged(self) -> frozenset[str]:
        """The ids of all documents that have judgments."""
        return Qrels(self.grades).documents if self.grades else frozenset()

    @cached_property
    def _names(self) -> dict[str, str]:
        return aliases(Qrels(self.grades))

    def of(self, points: Points) -> list[str]:
        """The points' documents, best first. Raises StrategyError where a point has no id."""
        return [ranked.doc_id for ranked in read_ranking(points, self.doc_id, self._names)[0]]

    def note(self, answers: Sequence[Points]) -> None:
        """Remember the documents found, if there are judgments. Raises StrategyError where a point has no id."""
        if not self.judged:
            return
        for points in answers:
            self.found.update(self.of(points))
            self.keys = self.keys or tuple(sorted((points[0].payload or {}) if points else ()))  # gRPC's have no order

    @property
    def recognised(self) -> bool:
        """Whether any document found was judged, or there are no judgments."""
        return not self.judged or not self.judged.isdisjoint(self.found)

    def check(self) -> None:
        """Refuse judgments of other documents than those found, as their ids are others. Raises StrategyError."""
        if self.recognised or not self.found:
            return
        payload = f"; a point's payload has {', '.join(map(repr, self.keys[:12]))}" if self.keys else ""
        raise StrategyError(
            f"{other_ids(sorted(self.found), self.judged)} (--doc-id) where a result's document id is{payload}; if the ids "
            "are right, the search finds nothing that was judged: candidates= (--candidates) makes it deeper"
        )


BATCH = 32
"""How many searches go into one request."""

E = TypeVar("E", bound=Executor | AsyncExecutor)


@dataclass(frozen=True)
class Example:
    """One query: n points of a deep search, the seeds first, in the order of the search.

    Attributes:
        query: its text.
        similarity: of each point to the query, shape (n,).
        to_seeds: of each point to each of the k seeds, shape (k, n).
        scores: what the reranker gave each point, shape (n,).
    """

    query: str
    similarity: Column
    to_seeds: Column
    scores: Column


@dataclass(frozen=True)
class Examples:
    """Examples of the same number of points, stacked; shapes (queries, …), padded points with `there` False."""

    similarity: Column
    to_seeds: Column
    scores: Column
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Examples:
        """Examples one above the other."""
        longest = max(len(example.scores) for example in examples)

        def padded(array: Column) -> Column:
            return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, longest - array.shape[-1])])

        return cls(
            np.stack([padded(example.similarity) for example in examples]),
            np.stack([padded(example.to_seeds) for example in examples]),
            np.stack([padded(example.scores) for example in examples]),
            np.stack([np.arange(longest) < len(example.scores) for example in examples]),
        )

    @property
    def seed_scores(self) -> Column:
        """Shape (queries, k)."""
        return self.scores[:, : self.to_seeds.shape[1]]


class Gathered(NamedTuple):
    """The examples of the queries that found enough, and all queries with their vectors, by text."""

    examples: list[Example]
    queries: dict[str, Query]


def first_search(strategy: RelevanceFeedback, target: Target, candidates: int, filter: models.Filter | None = None) -> Plan:
    """The search for examples by a resolved strategy. Raises PlanError if it can't hand on so many points."""
    options = with_stable_ties(
        strategy.seeds, replace(strategy.seed_options(SearchOptions(limit=candidates, filter=filter)), limit=candidates)
    )
    return plan_on(strategy.seeds, target, options)


def gather_examples(
    strategy: RelevanceFeedback,
    target: Target,
    queries: Sequence[str],
    candidates: int,
    scores: ScoreFile,
    filter: models.Filter | None = None,
    documents: Documents | None = None,
) -> Flow[Gathered]:
    """An example for each query that finds more points with text and vector than there are seeds.

    Each query is searched once, in batches, by the seeds of the resolved strategy; the points' vectors come back with it. If
    there are judgments, nothing is scored until a judged document is found. `scores` counts documents that need no score, and
    `documents` notes what is found. Raises PlanError where the seeds' search can't hand on so many points, StrategyError where
    no document found has judgments.
    """
    plan = first_search(strategy, target, candidates, filter)
    documents = documents or Documents()
    found = Gathered([], {})
    waiting: list[tuple[Query, list[tuple[str, list[float]]]]] = []
    for texts in in_batches(queries, BATCH):
        vectors = yield from Embed(texts, strategy.needs())
        asked = [Query(text, vectors=own) for text, own in zip(texts, vectors, strict=True)]
        answers = yield from together([plan.flow(query) for query in asked])
        documents.note(answers)
        found.queries.update(zip(texts, asked, strict=True))
        kept = [_readable(strategy, points, target) for points in answers]
        enough = [len(rows) > strategy.seed_count + 1 for rows in kept]
        scores.skip(sum(len(points) - len(rows) * use for points, rows, use in zip(answers, kept, enough, strict=True)))
        waiting += [(query, rows) for query, rows, use in zip(asked, kept, enough, strict=True) if use]
        if not documents.recognised:
            continue  # perhaps the judgments' ids are others: find out before the model is paid
        given = yield from Scores([Score(query.text, [text for text, _ in rows]) for query, rows in waiting])
        for (query, rows), one in zip(waiting, given, strict=True):
            if isinstance(one, Exception):
                raise one
            found.examples.append(_example(strategy, query, [vector for _, vector in rows], one, target))
        waiting.clear()
    documents.check()
    return found


def replace_reranker(executor: E, scores: ScoreFile) -> E:
    """The same executor with `scores` as its model."""
    made = copy.copy(executor)
    made.reranker = scores
    return made


def _readable(strategy: RelevanceFeedback, points: Points, target: Target) -> list[tuple[str, list[float]]]:
    """Text and vector of each point that has both."""
    rows = [(target.payload.content(each.payload or {}).text, read_vector(each, strategy.compared)) for each in points]
    return [(text, vector) for text, vector in rows if text.strip() and vector is not None]


def _example(
    strategy: RelevanceFeedback, query: Query, vectors: Sequence[Sequence[float]], scores: Sequence[float], target: Target
) -> Example:
    stored = np.array(vectors, np.float64)
    own: Any = query.vectors[strategy.compared]
    distance = target.schema.vectors[strategy.compared].distance
    [similarity] = similarities(np.asarray(own, np.float64)[None], stored, distance)
    return Example(query.text, similarity, similarities(stored[: strategy.seed_count], stored, distance), np.array(scores))


_MOST_B = 4.0
_MOST = 200.0  # of a and c, in units of the similarities' spread: beyond it, rankings don't change
_EXACT: Any = {"ftol": 1e-13, "gtol": 1e-8}  # so that last digits of similarities, which engines differ in, stay last digits
# for a given b the loss is convex in a and c: starts that differ in those gain nothing
_STARTS = tuple((1.0, b, 0.3) for b in (0.0, 0.5, 1.0, 2.0))


def formula_scores(data: Examples, a: float, b: float, c: float) -> Column:
    """The formula's score of every point, shape (queries, n)."""
    weights = weights_of(data.seed_scores, b)
    found: Column = a * data.similarity + c * np.einsum("qk,qkn->qn", weights, data.to_seeds)
    return found


def train(examples: Sequence[Example], mode: Mode) -> Coefficients:
    """The best coefficients of several starts; a is 1 unless the query has no weight at all. Raises MissingExtra without scipy.

    Where the model gave the points of each query the same score, they are 1, 0, 0: plain search.
    """
    minimize = load_extra("scipy.optimize", "fit_feedback", "learn").minimize
    data = Examples.of(examples)
    spread = float(np.std(data.scores[data.there])) or 1.0  # so that b doesn't change how large c has to be
    near = float(np.mean([np.std(example.similarity) for example in examples])) or 1.0
    scaled = Examples(data.similarity / near, data.to_seeds / near, data.scores / spread, data.there)
    loss = _Loss(scaled, mode)
    if not len(loss.weights):
        return Coefficients(1.0, 0.0, 0.0)
    bounds = [(0.0, _MOST), (0.0, _MOST_B), (0.0, _MOST)]
    with _one_thread():
        found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=_EXACT) for start in _STARTS]
    a, b, c = (float(value) for value in min(found, key=lambda each: float(each.fun)).x)
    c /= spread**b
    return Coefficients(1.0, b, c / a) if a > 1e-6 else Coefficients(0.0, b, 1.0)


def _one_thread() -> AbstractContextManager[object]:
    """Keep BLAS from starting threads for three numbers, which takes a hundred times as long on a busy machine."""
    try:
        return one_thread()
    except MissingExtra:  # it only takes longer
        return nullcontext()


class _Loss:
    def __init__(self, data: Examples, mode: Mode) -> None:
        self.data = data
        weights = _pair_weights(data, mode)
        query, better, worse = np.nonzero(weights)
        longest = weights.shape[-1]
        self.better, self.worse = query * longest + better, query * longest + worse  # places in all points, one after another
        self.weights = weights[query, better, worse] / len(weights)
        self.near = data.similarity.ravel()
        difference = data.seed_scores[:, :, None] - data.seed_scores[:, None, :]
        self.confident = difference > 0
        self.confidence = np.where(self.confident, difference, 1.0)

    def __call__(self, parameters: Any) -> tuple[float, Column]:
        a, b, c = parameters
        powers = self.confidence**b * self.confident
        feedback, steeper = self._feedback(powers), self._feedback(powers * np.log(self.confidence))
        scores = a * self.near + c * feedback
        gap = scores[self.better] - scores[self.worse]
        small = np.exp(-np.abs(gap))  # at most 1, so that nothing overflows
        loss = _dot(self.weights, np.log1p(small) + np.maximum(-gap, 0.0))
        slope = -self.weights * np.where(gap > 0, small, 1.0) / (1.0 + small)  # -w·sigmoid(-gap)
        by_score = _sums(self.better, slope, len(scores)) - _sums(self.worse, slope, len(scores))
        return loss, np.array([_dot(by_score, self.near), c * _dot(by_score, steeper), _dot(by_score, feedback)])

    def _feedback(self, powers: Column) -> Column:
        """The sum over the seeds' pairs, each counting `powers`, for each point."""
        weights = powers.sum(axis=-1) - powers.sum(axis=-2)
        found: Column = np.einsum("qk,qkn->qn", weights, self.data.to_seeds).ravel()
        return found


def _dot(first: Column, second: Column) -> float:
    """Not by BLAS, whose threads get in each other's way on a busy machine: measured, 40 times slower."""
    return float((first * second).sum())


def _sums(places: NDArray[np.intp], values: Column, size: int) -> Column:
    """Shape (size,): the sum of the values at each place."""
    return np.bincount(places, values, size).astype(np.float64)


def _pair_weights(data: Examples, mode: Mode) -> Column:
    """How much it counts for each two points that the first comes before the second; shape (queries, n, n)."""
    better = np.maximum(data.scores[:, :, None] - data.scores[:, None, :], 0.0)
    there = data.there.copy()
    if mode == "recall":
        there[:, : data.to_seeds.shape[1]] = False
    better *= there[:, :, None] & there[:, None, :]
    total = better.sum(axis=(1, 2), keepdims=True)
    weights: Column = better / np.where(total == 0, 1.0, total)
    return weights


@dataclass(frozen=True)
class FoldCoefficients:
    """Coefficients fitted to all queries, and to all but those of one fold each.

    `unseen_by` has for each query's text the number of its fold, whose coefficients weren't fitted to it.
    """

    coefficients: Coefficients
    folds: tuple[Coefficients, ...]
    unseen_by: Mapping[str, int]

    def for_query(self, text: str) -> Coefficients:
        """The coefficients that a query is judged by."""
        return self.folds[self.unseen_by[text]]


def fit_folds(examples: Sequence[Example], mode: Mode, folds: int = 5, seed: int = 0) -> FoldCoefficients:
    """The coefficients of all examples, and for each of at most so many folds those of the others. Raises as `train`."""
    groups = sorted({normalise_text(example.query) for example in examples})
    random.Random(seed).shuffle(groups)
    fold_of = {group: place % folds for place, group in enumerate(groups)}
    unseen_by = {example.query: fold_of[normalise_text(example.query)] for example in examples}
    fitted = [
        train([example for example in examples if unseen_by[example.query] != fold], mode)
        for fold in range(min(folds, len(groups)))
    ]
    return FoldCoefficients(train(examples, mode), tuple(fitted), unseen_by)
