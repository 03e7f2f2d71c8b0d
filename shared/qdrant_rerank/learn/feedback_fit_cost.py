"""What a fit of relevance feedback will cost, before it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..feedback._internals import READ, SEEDS, Mode
from .feedback_fit_data import BATCH
from .feedback_fit_measure import JUDGED_AT_ONCE, LEAST_JUDGED
from .feedback_fit_scores import Ahead

__all__ = ["FeedbackEstimate", "ahead", "duration", "estimate"]


@dataclass(frozen=True)
class FeedbackEstimate:
    """What a fit costs, before it begins.

    Attributes:
        queries: how many it learns from and is judged on.
        requests: to Qdrant; each holds many searches.
        documents: that the model scores at most; those whose scores are kept in a file cost nothing.
        seconds: for the model, if its speed is given; else None.
    """

    queries: int
    requests: int
    documents: int
    seconds: float | None = None

    def __str__(self) -> str:
        time = "" if self.seconds is None else f", which takes the model about {duration(self.seconds)}"
        return (
            f"{_count(self.queries, 'query', 'queries')}, {_count(self.requests, 'request', 'requests')} to Qdrant, up to "
            f"{_count(self.documents, 'document', 'documents')} to score{time}"
        )


def estimate(
    queries: int,
    *,
    mode: Mode = "precision",
    seeds: int = SEEDS,
    reads: int = READ,
    candidates: int = 50,
    judged_queries: int = 0,
    seconds_per_document: float | None = None,
) -> FeedbackEstimate:
    """What `fit_feedback` will ask for, at most.

    Args:
        queries: how many there are.
        mode: as for the fit.
        seeds: how many documents the model scores before the second search.
        reads: how many it scores for one query in mode "recall".
        candidates: as for the fit.
        judged_queries: how many of them have judgments; they are searched again, by all three ways.
        seconds_per_document: the model's speed.
    """
    judged = judged_queries if judged_queries >= LEAST_JUDGED else 0
    work = ahead(queries, judged, mode, seeds, reads, candidates)
    documents = work.learning + work.new
    requests = math.ceil(queries / BATCH) + 2 * math.ceil(judged / JUDGED_AT_ONCE)
    return FeedbackEstimate(queries, requests, documents, seconds_per_document and documents * seconds_per_document)


def ahead(queries: int, judged: int, mode: Mode, seeds: int, reads: int, candidates: int) -> Ahead:
    """How many documents have to be scored: `candidates` for each query, and for judged ones those that are served.

    Reranking reads nothing that wasn't scored to learn from, nor does the first round; only what the second search of mode
    "recall" finds may be new.
    """
    served = reads if mode == "recall" else seeds
    return Ahead(queries * candidates, 2 * judged * served, judged * (served - seeds))


def duration(seconds: float) -> str:
    """A time to read, e.g. `40 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
