"""The fit of relevance feedback: the coefficients for one collection and one model, and whether to use them at all."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import importlib.metadata
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Final

from qdrant_client import models

from ..errors import FitError, StrategyError
from ..executor import Executor
from ..feedback.coefficients import Coefficients, Mode, Provenance
from ..feedback.strategy import READ, SEEDS, RelevanceFeedback
from ..schema import VectorInfo
from ..stages import Nearest
from ..strategies import Stage
from .feedback_fit_data import Example, gathered
from .feedback_fit_judge import Judged, agreement, disagreement, judged, measured, unseen, verdict
from .feedback_fit_result import FeedbackEstimate, FeedbackFit
from .feedback_fit_scores import Progress, ScoreFile
from .feedback_fit_train import trained

__all__ = ["FeedbackEstimate", "FeedbackFit", "Progress", "estimate", "fit_feedback"]

LEAST_QUERIES: Final = 20
_BATCH: Final = 32


def estimate(
    queries: int,
    *,
    candidates: int = 50,
    judged_queries: int = 0,
    reads: int = READ,
    seconds_per_document: float | None = None,
) -> FeedbackEstimate:
    """What `fit_feedback` will ask for.

    Args:
        queries: how many there are.
        candidates: as for the fit.
        judged_queries: how many of them have judgments; the held-out 40 % are searched again, by all three ways.
        reads: the documents scored for one query as it is served.
        seconds_per_document: the model's speed.
    """
    held_out = math.ceil(0.4 * judged_queries)
    documents = queries * candidates + 2 * held_out * reads
    requests = math.ceil(queries / _BATCH) + (5 if judged_queries else 0)
    return FeedbackEstimate(queries, requests, documents, seconds_per_document and documents * seconds_per_document)


def fit_feedback(
    executor: Executor,
    queries: Mapping[str, str] | Sequence[str],
    *,
    mode: Mode = "precision",
    seeds: Stage | None = None,
    using: str | None = None,
    reads: int = READ,
    candidates: int = 50,
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    doc_id: str | None = None,
    filter: models.Filter | None = None,
    cache: str | PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    seed: int = 0,
) -> FeedbackFit:
    """Fit the coefficients of relevance feedback, and find out whether it is worth using.

    Each query is searched once, in batches, for `candidates` points with their vectors; the executor's model scores them all.
    From 60 % of the queries the coefficients are learned, as they will be served: in this mode, with this many seeds, over all
    pairs. The others show what they are worth: in agreement with the feedback model, and by `qrels` if there are any.

    Args:
        executor: on the collection, with encoders and the feedback model.
        queries: real ones, 50 to 200: id → text, or texts. (Queries made of stored documents mislead.)
        mode: as it will be used.
        seeds: the first search; the best 5 of the plain one if None. Its limit is the number of seeds.
        using: the dense vector, as for `RelevanceFeedback`.
        reads: how many documents are scored for one query in mode "recall".
        candidates: how deep the first search goes for learning.
        qrels: query id → document id → grade; at least 8 held-out queries must have some, or they are not used.
        doc_id: the payload key that holds a document's id; the point's id if None.
        filter: for all searches.
        cache: a file that keeps the model's scores, so that they are asked for only once.
        progress: called after each query.
        seed: of the split into halves.

    Raises:
        FitError: there are fewer than 20 different queries that find enough points.
        StrategyError: an argument is wrong. PlanError: the strategy doesn't fit the collection.
        MissingExtra: scipy or ir-measures isn't installed.
    """
    texts = dict(queries) if isinstance(queries, Mapping) else {str(number): text for number, text in enumerate(queries)}
    plain = RelevanceFeedback(
        seeds=seeds or Nearest(using, limit=SEEDS),
        coefficients=Coefficients(1.0, 0.0, 0.0),
        mode=mode,
        limit=reads if mode == "recall" else None,
        using=using,
    )
    distinct = list(dict.fromkeys(text for text in texts.values() if text.strip()))
    _check(distinct, plain, candidates)
    strategy = executor.plan(plain).strategy
    assert isinstance(strategy, RelevanceFeedback)
    if executor.model is None:
        raise StrategyError("fit_feedback needs the feedback model: make the executor with model=…")
    scores = ScoreFile(executor.model, cache, progress, total=len(distinct) * candidates)
    examples = gathered(executor, strategy, distinct, candidates, scores, filter)
    if len(examples) < LEAST_QUERIES:
        raise FitError(
            f"only {len(examples)} of {len(distinct)} queries find more points with text and vector than there are seeds "
            f"({strategy.seed_count}); the fit needs {LEAST_QUERIES}"
        )
    learning, held_out = _split(examples, seed)
    found = trained(learning, mode)
    reading = copy.copy(executor)
    reading.model, scores.progress = scores, None
    fitted = _with_provenance(found, strategy, executor, distinct)
    own = agreement(held_out, found, mode, fitted.reads or fitted.seed_count)
    judgements = [judged("agreement", own), judged("unseen", unseen(held_out, found))]
    names = {example.query for example in held_out}
    known = {query: text for query, text in texts.items() if text in names and (qrels or {}).get(query)}
    if qrels and len(known) >= 8:
        judgements += measured(reading, fitted, known, qrels, doc_id, filter)
    recommends = verdict(next((each for each in judgements if each.measure == "nDCG@10"), judgements[0]))
    metrics = {f"{each.measure}: {name}": value for each in judgements for name, value in _numbers(each).items()}
    noted = fitted.weights.with_provenance(recommends=recommends, metrics=metrics)
    return FeedbackFit(
        replace(fitted, coefficients=noted),
        recommends,
        tuple(judgements),
        disagreement(examples),
        (len(learning), len(held_out)),
        len(distinct) - len(examples),
    )


def _check(queries: Sequence[str], strategy: RelevanceFeedback, candidates: int) -> None:
    if len(queries) < LEAST_QUERIES:
        raise FitError(
            f"there are {len(queries)} different queries; the fit needs at least {LEAST_QUERIES}, and 50 to 200 are better"
        )
    least = max(strategy.reads, strategy.seed_count) + 10
    if candidates < least:
        raise StrategyError(
            f"candidates={candidates} leaves too few points to learn from beside those that are scored in use: at least {least}"
        )


def _split(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """60 % to learn from, the others to judge by; shuffled. Queries of the same text are one example already."""
    shuffled = list(examples)
    random.Random(seed).shuffle(shuffled)
    cut = round(0.6 * len(shuffled))
    return shuffled[:cut], shuffled[cut:]


def _with_provenance(
    found: Coefficients, strategy: RelevanceFeedback, executor: Executor, queries: Sequence[str]
) -> RelevanceFeedback:
    target = executor.target()
    info: VectorInfo = target.schema.vectors[strategy.compared]
    provenance = Provenance(
        mode=strategy.mode,
        seeds=strategy.seed_count,
        model=target.fingerprints.model(),
        vector=strategy.compared,
        size=info.size,
        distance=None if info.distance is None else info.distance.value,
        encoder=target.fingerprints.encoder(strategy.compared),
        data=hashlib.sha256(json.dumps(list(queries)).encode()).hexdigest()[:16],
        versions={
            "qdrant": str(target.capabilities),
            **{name: importlib.metadata.version(name) for name in ("qdrant-rerank", "qdrant-client", "numpy", "scipy")},
        },
        date=dt.datetime.now(dt.UTC).date().isoformat(),
    )
    return replace(strategy, coefficients=replace(found, provenance=provenance))


def _numbers(each: Judged) -> dict[str, float]:
    numbers: dict[str, Any] = {"plain": each.plain, "rerank": each.rerank, "feedback": each.feedback}
    for name in ("over_plain", "over_rerank"):
        interval = getattr(each, name)
        numbers |= {name: interval.estimate, f"{name} low": interval.low, f"{name} high": interval.high}
    return {name: float(value) for name, value in numbers.items() if value is not None}
