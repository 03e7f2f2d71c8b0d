"""What the demo measures: rankings, the time they take, the requests and model calls they make, and nDCG."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from .. import Executor, Query, SearchOptions
from .._internals import Points, Search, Vectors
from ..evaluate._internals import stable
from .guide import TODAY, Entry, Question

__all__ = ["DEPTH", "CountingExecutor", "DemoOutcome", "documents", "ask", "measure_ndcg"]

DEPTH: Final = 10
"""How many results are judged: nDCG@10."""


class CountingExecutor(Executor):
    """An executor that counts what it is asked for: the demo shows what happened, not what is promised."""

    def reset(self) -> None:
        """Start counting anew."""
        self.requests = self.embeddings = self.model_calls = 0

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        self.embeddings += len(texts) * len(using)
        return super().embed(texts, using)

    def search(self, step: Search) -> list[Points]:
        self.requests += 1
        return super().search(step)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.model_calls += len(texts)
        return super().score(query, texts)


@dataclass(frozen=True)
class DemoOutcome:
    """What one strategy made of one question.

    Attributes:
        points: the best 10, best first.
        milliseconds: the median time of a query, embedding included.
        requests: round trips to Qdrant.
        embeddings: vectors that the question was embedded as.
        model_calls: texts that a reranking model read.
        ndcg: nDCG@10; None where nobody judged.
    """

    points: Points
    milliseconds: float
    requests: int
    embeddings: int
    model_calls: int
    ndcg: float | None

    @property
    def documents(self) -> list[str]:
        """The documents' ids in the data, best first."""
        return documents(self.points)


def documents(points: Points) -> list[str]:
    """The ids in the data of the documents that were found."""
    return [str((point.payload or {})["_id"]) for point in points]


def ask(executor: CountingExecutor, entry: Entry, question: Question, runs: int) -> DemoOutcome:
    """Ask `question` by the strategy `entry`, `runs` times."""
    query = Query(question.text, params=entry.params, now=TODAY)
    options = stable(entry.strategy, SearchOptions(limit=DEPTH, with_payload=["_id", "title"]))
    executor.plan(entry.strategy, options)  # checked once for each collection, not for each query
    executor.reset()
    points: Points = []
    times: list[float] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="more than .* have the same score")  # of texts without a word of the query
        for _ in range(runs):
            start = time.perf_counter()
            points = executor.retrieve(entry.strategy, query, options)
            times.append(1000 * (time.perf_counter() - start))
    return DemoOutcome(
        points=points,
        milliseconds=median(times),
        requests=executor.requests // runs,
        embeddings=executor.embeddings // runs,
        model_calls=executor.model_calls // runs,
        ndcg=measure_ndcg(documents(points), question.judgments) if question.judgments else None,
    )


def measure_ndcg(ranking: Sequence[str], judgments: Mapping[str, int], depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain of the first `depth` documents, between 0 and 1.

    The sum of grade / log2(rank + 1), over the same sum for the best possible ranking: Järvelin and Kekäläinen,
    "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20 (2002), with the discount of trec_eval.
    """
    gained = sum(judgments.get(document, 0) / math.log2(rank + 1) for rank, document in enumerate(ranking[:depth], 1))
    best = sorted(judgments.values(), reverse=True)[:depth]
    return gained / sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, 1))
