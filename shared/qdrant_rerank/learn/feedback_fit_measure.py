"""Plain search, plain reranking and feedback as they are served, by judgments: each query by coefficients it wasn't part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from qdrant_client import models

from .. import Query, Rerank, SearchOptions, Strategy
from .._internals import Flow, planned, shortfalls, together
from ..evaluate import per_topic
from ..evaluate._internals import stable
from ..feedback import RelevanceFeedback
from ..planning import Plan, Target
from .feedback_fit_cross import CrossFit
from .feedback_fit_documents import Documents, Grades
from .feedback_fit_judge import TOP, Judged, judged

__all__ = ["JUDGED_AT_ONCE", "LEAST_JUDGED", "Judging", "judgments_of"]

JUDGED_AT_ONCE: Final = 10
"""How many queries share a request while they are judged: each takes three searches, up to 100 deep, one with vectors."""
LEAST_JUDGED: Final = 20
"""Fewer queries with judgments say nothing for certain, and aren't used."""
_DEEPEST: Final = 100


def judgments_of(texts: Mapping[str, str], qrels: Grades | None) -> dict[str, dict[str, int]]:
    """Judgments by the queries' texts, those of a text that has several ids together; the higher grade where they differ.

    Args:
        texts: query id → text.
        qrels: query id → document id → grade.
    """
    found: dict[str, dict[str, int]] = {}
    for query, text in texts.items():
        for document, grade in ((qrels or {}).get(query) or {}).items():
            own = found.setdefault(text, {})
            own[str(document)] = max(grade, own.get(str(document), grade))
    return found


@dataclass(frozen=True)
class Judging:
    """What is judged, and by what.

    Attributes:
        strategy: resolved; its coefficients don't count.
        target: the collection.
        documents: the judgments, and where a document's id is.
        filter: for all searches.
    """

    strategy: RelevanceFeedback
    target: Target
    documents: Documents
    filter: models.Filter | None = None

    @property
    def reads(self) -> int:
        """How many documents the model reads of each query, for reranking and feedback alike."""
        return self.strategy.reads or self.strategy.seed_count

    @property
    def depth(self) -> int:
        """How deep results are judged: to 100, or as deep as the first search reaches and the strategy returns."""
        seeds, deepest = self.strategy.seeds, min(_DEEPEST, self.strategy.most or _DEEPEST)
        return next(depth for depth in range(deepest, 0, -1) if not any(shortfalls(seeds, depth, "")))

    def flow(self, crossed: CrossFit, queries: Mapping[str, Query]) -> Flow[list[Judged]]:
        """The three ways by nDCG@10 and recall.

        Args:
            crossed: whose coefficients serve the queries that they weren't fitted to.
            queries: those with judgments, with their vectors, by text.
        """
        strategy, depth = self.strategy, self.depth
        plain = self._plan(strategy.seeds, depth)
        rerank = self._plan(Rerank(limit=self.reads).over(strategy.seeds), min(depth, self.reads))
        feedback = [self._plan(replace(strategy, coefficients=each, trust=True), depth) for each in crossed.folds]
        rankings: dict[str, dict[str, dict[str, float]]] = {"plain": {}, "rerank": {}, "feedback": {}}
        texts = list(queries)
        for start in range(0, len(texts), JUDGED_AT_ONCE):
            batch = texts[start : start + JUDGED_AT_ONCE]
            plans = [(plain, rerank, feedback[crossed.unseen_by[text]]) for text in batch]
            flows = [plan.flow(queries[text]) for text, three in zip(batch, plans, strict=True) for plan in three]
            answers = yield from together(flows)
            for row, text in enumerate(batch):
                found, read, steered = map(self.documents.of, answers[3 * row : 3 * row + 3])
                rankings["plain"][text] = _ranking(found)
                rankings["rerank"][text] = _ranking([*read, *found])  # what isn't read comes behind, as `Rerank` has it
                rankings["feedback"][text] = _ranking(steered)
        return self._judged(rankings, texts)

    def _plan(self, strategy: Strategy, limit: int) -> Plan:
        return planned(strategy, self.target, stable(strategy, SearchOptions(limit=limit, filter=self.filter)))

    def _judged(self, rankings: Mapping[str, Mapping[str, Mapping[str, float]]], texts: Sequence[str]) -> list[Judged]:
        top = min(TOP, self.depth)
        measures = list(dict.fromkeys((f"nDCG@{top}", f"R@{top}", f"R@{self.depth}")))
        grades = {text: self.documents.grades[text] for text in texts}
        values = {name: per_topic(measures, grades, found) for name, found in rankings.items()}
        return [
            judged(each, {name: [found[each][text] for text in texts] for name, found in values.items()}) for each in measures
        ]


def _ranking(documents: Iterable[str]) -> dict[str, float]:
    """Document → a number that descends."""
    return {document: 1.0 / rank for rank, document in enumerate(dict.fromkeys(documents), 1)}
