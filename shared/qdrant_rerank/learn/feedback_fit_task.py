"""The steps of a fit, which `fit_feedback` and `afit_feedback` share: all but asking the collection and the model."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Final

from qdrant_client import models

from .. import SearchOptions, StrategyError
from .._internals import Flow, is_whole
from ..errors import FitError
from ..evaluate import DocId
from ..feedback import Coefficients, Provenance, RelevanceFeedback
from ..feedback._internals import READ, SEEDS, Mode, hashes_of, same
from ..models import Reranker
from ..planning import Plan, Target
from ..stages import Nearest, Stage
from .feedback_fit_checks import LEAST_QUERIES, check_candidates, check_judged, check_queries, check_seeds
from .feedback_fit_cost import ahead
from .feedback_fit_cross import CrossFit, cross_fitted
from .feedback_fit_data import Gathered, gathering
from .feedback_fit_documents import Documents
from .feedback_fit_judge import Judged, agreement, disagreement, judged, unseen, verdict
from .feedback_fit_measure import LEAST_JUDGED, Judging, judgments_of
from .feedback_fit_queries import Queries, query_texts
from .feedback_fit_result import FeedbackFit
from .feedback_fit_scores import Progress, ScoreFile

__all__ = ["Learned", "Task"]

_PACKAGES: Final = ("qdrant-rerank", "qdrant-client", "numpy", "scipy")


@dataclass(frozen=True)
class Learned:
    """What the first searches and the model's scores came to.

    Attributes:
        gathered: what was learned from.
        crossed: the coefficients.
        own: the reranker's own judgements.
        strategy: with the coefficients of all queries, and what they were fitted to.
    """

    gathered: Gathered
    crossed: CrossFit
    own: tuple[Judged, Judged]
    strategy: RelevanceFeedback


@dataclass(frozen=True)
class Task:
    """What is to be fitted; the arguments are those of `fit_feedback`.

    Raises:
        FitError: there are too few queries.
        StrategyError: an argument is wrong.
    """

    queries: Queries
    mode: Mode = "precision"
    seeds: Stage | None = None
    using: str | None = None
    reads: int = READ
    candidates: int = 50
    qrels: Mapping[str, Mapping[str, int]] | None = None
    doc_id: DocId = None
    filter: models.Filter | None = None
    cache: str | PathLike[str] | None = None
    progress: Callable[[Progress], object] | None = None
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        check_queries(self.distinct)
        if not is_whole(self.folds, 2):
            raise StrategyError(f"folds must be a whole number of at least 2, got {self.folds!r}")
        check_candidates(self.plain, self.candidates)
        check_judged(self.texts, self.qrels)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Query id → text."""
        return query_texts(self.queries)

    @cached_property
    def distinct(self) -> list[str]:
        """The different texts."""
        return list(dict.fromkeys(text for text in self.texts.values() if text.strip()))

    @cached_property
    def plain(self) -> RelevanceFeedback:
        """What will be fitted, while it still is plain search."""
        return RelevanceFeedback(
            seeds=self.seeds or Nearest(self.using, limit=SEEDS),
            coefficients=Coefficients(1.0, 0.0, 0.0),
            mode=self.mode,
            limit=self.reads if self.mode == "recall" else None,
            using=self.using,
        )

    @property
    def options(self) -> SearchOptions:
        """The least that the strategy can be asked for, to see whether it fits the collection."""
        return SearchOptions(limit=1, filter=self.filter)

    @cached_property
    def grades(self) -> dict[str, dict[str, int]]:
        """Judgments by the query's text."""
        return {text: found for text, found in judgments_of(self.texts, self.qrels).items() if text.strip()}

    @cached_property
    def documents(self) -> Documents:
        """What is found, and its judgments if there are enough to be used."""
        return Documents(self.grades if len(self.grades) >= LEAST_JUDGED else {}, self.doc_id)

    def scores(self, reranker: Reranker | None, concurrency: int = 1) -> ScoreFile:
        """The reranker with its file of scores.

        Raises:
            StrategyError: there is no model. FormatError: the file is one of something else.
        """
        if reranker is None:
            raise StrategyError("fit_feedback needs the reranker: make the executor with reranker=…")
        work = ahead(
            len(self.distinct), len(self.documents.grades), self.mode, self.plain.seed_count, self.reads, self.candidates
        )
        return ScoreFile(reranker, self.cache, self.progress, work, concurrency)

    def gathering(self, plan: Plan, scores: ScoreFile) -> Flow[Gathered]:
        """One search for each query, and the model's scores of what it finds."""
        strategy, target = _resolved(plan), plan.target
        return gathering(strategy, target, self.distinct, self.candidates, scores, self.filter, self.documents)

    def learned(self, plan: Plan, gathered: Gathered) -> Learned:
        """The coefficients, and what the reranker thinks of them.

        Raises:
            FitError: too few queries found enough to learn from.
        """
        strategy, examples = _resolved(plan), gathered.examples
        if len({same(example.query) for example in examples}) < LEAST_QUERIES:
            raise FitError(
                f"only {len(examples)} of {len(self.distinct)} queries find more points with text and vector than there are "
                f"seeds ({strategy.seed_count}); the fit needs {LEAST_QUERIES}"
            )
        crossed = cross_fitted(examples, self.mode, self.folds, self.seed)
        fitted = self._with_provenance(crossed.coefficients, strategy, plan.target)
        weights = [crossed.for_query(example.query) for example in examples]
        own = agreement(examples, weights, self.mode, fitted.reads or fitted.seed_count)
        return Learned(gathered, crossed, (judged("agreement", own), judged("unseen", unseen(examples, weights))), fitted)

    def judging(self, plan: Plan, learned: Learned, scores: ScoreFile) -> Flow[list[Judged]]:
        """What the judgments say; nothing if there are too few."""
        scores.reached(scores.ahead.learning)
        known = {text: query for text, query in learned.gathered.queries.items() if text in self.judged(learned)}
        found: list[Judged] = []
        if len(known) >= LEAST_JUDGED:
            work = Judging(learned.strategy, plan.target, self.documents, self.filter)
            found = yield from work.flow(learned.crossed, known)
        scores.reached(scores.ahead.learning + scores.ahead.judging)
        return found

    def judged(self, learned: Learned) -> set[str]:
        """The queries that were learned from and have judgments."""
        return self.grades.keys() & learned.crossed.unseen_by.keys()

    def result(self, learned: Learned, by_qrels: Sequence[Judged]) -> FeedbackFit:
        """All of it."""
        examples, fitted = learned.gathered.examples, learned.strategy
        agreed, signal = learned.own
        recommends = verdict(by_qrels[0] if by_qrels else agreed, signal)
        judgements = (agreed, signal, *by_qrels)
        metrics = {f"{each.measure}: {name}": value for each in judgements for name, value in each.numbers().items()}
        metrics |= {"queries": float(len(examples)), "folds": float(len(learned.crossed.folds))}
        noted = fitted.weights.with_provenance(recommends=recommends, metrics=metrics)
        return FeedbackFit(
            strategy=replace(fitted, coefficients=noted),
            recommends=recommends,
            judgements=judgements,
            disagreement=disagreement(examples),
            queries=len(examples),
            judged_queries=len(self.judged(learned)),
            skipped=len(self.distinct) - len(examples),
            folds=learned.crossed.folds,
        )

    def _with_provenance(self, found: Coefficients, strategy: RelevanceFeedback, target: Target) -> RelevanceFeedback:
        info = target.schema.vectors[strategy.compared]
        provenance = Provenance(
            mode=strategy.mode,
            seeds=strategy.seed_count,
            reranker=target.fingerprints.reranker(),
            vector=strategy.compared,
            size=info.size,
            distance=None if info.distance is None else info.distance.value,
            encoder=target.fingerprints.encoder(strategy.compared),
            text=target.payload.source,
            data=hashlib.sha256(json.dumps(self.distinct).encode()).hexdigest()[:16],
            queries=hashes_of(self.distinct),
            versions={"qdrant": str(target.capabilities), **{name: importlib.metadata.version(name) for name in _PACKAGES}},
            date=dt.datetime.now(dt.UTC).date().isoformat(),
        )
        return replace(strategy, coefficients=replace(found, provenance=provenance))


def _resolved(plan: Plan) -> RelevanceFeedback:
    assert isinstance(plan.strategy, RelevanceFeedback)
    return plan.strategy
