"""What the fit of relevance feedback learns from: queries, a search for each with its vectors, and the reranker's scores."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ... import AsyncExecutor, Executor, Query, SearchOptions, StrategyError
from ..._internals import (
    Column,
    Embed,
    Flow,
    Points,
    Score,
    Scores,
    check_whole,
    in_batches,
    plan_on,
    read_vector,
    run,
    similarities,
    together,
    value_at,
    warn,
)
from ...errors import FitError
from ...evaluate import DocId, Qrels, Topic, Topics
from ...evaluate._internals import aliases, first_sentence, other_ids, read_ranking, stable
from ...feedback import RelevanceFeedback
from ...planning import Plan, Target
from ..candidates import draw_points
from .score_file import ScoreFile

__all__ = [
    "BATCH",
    "SYNTHETIC_WARNING",
    "Documents",
    "Example",
    "Examples",
    "Gathered",
    "Grades",
    "Queries",
    "collect_examples",
    "first_search",
    "gather_examples",
    "is_sampled",
    "query_texts",
    "replace_reranker",
    "sample_queries",
]

Queries: TypeAlias = Topics | Mapping[str, str] | Sequence[str | Topic | Query]
"""`Topics`, e.g. of `read_topics`; or id → text; or texts, topics or queries in a list.

A topic's id is its own; that of a text or a `Query` in a list is its number from 0 on: "0", "1", ….
"""


def query_texts(queries: Queries) -> dict[str, str]:
    """Query id → text. A `PlanWarning` says how many come with more than text, which isn't used.

    Raises:
        StrategyError: they are something else, or two have the same id.
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
    check_whole(1, count=count, max_words=max_words)
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

    Attributes:
        grades: query text → document id → grade; empty if judgments aren't used.
        doc_id: where a point's document id is, see `evaluate.DocId`.
        found: the ids of all documents noted.
        keys: payload keys of a point that was noted, for error messages.
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

E = TypeVar("E", Executor, AsyncExecutor)


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
    options = stable(
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

    Each query is searched once, in batches; the points' vectors come back with it. If there are judgments, nothing is scored
    until a judged document is found.

    Args:
        strategy: whose seeds are the first search; resolved.
        target: the collection.
        queries: different texts.
        candidates: how many points each search is asked for.
        scores: answers `Score` steps, and counts documents that need no score.
        filter: for all searches.
        documents: notes what is found.

    Raises:
        PlanError: the seeds' search can't hand on so many points.
        StrategyError: no document found has judgments.
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


def collect_examples(
    executor: Executor,
    strategy: RelevanceFeedback,
    queries: Sequence[str],
    candidates: int,
    scores: ScoreFile,
    filter: models.Filter | None = None,
) -> list[Example]:
    """The examples of `gather_examples`, by an executor; `scores` is what scores."""
    target = executor.target()
    flow = gather_examples(strategy.resolve(target.schema), target, queries, candidates, scores, filter)
    return run(flow, replace_reranker(executor, scores)).examples


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
