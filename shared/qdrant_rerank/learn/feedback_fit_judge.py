"""Whether feedback helps: held-out queries, judged by the feedback model itself and, where there are judgments, by those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import models

from ..evaluate.intervals import bootstrap_interval
from ..evaluate.measures import per_topic
from ..evaluate.results import Interval
from ..executor import Executor
from ..feedback.coefficients import Coefficients, Mode, Verdict
from ..feedback.folding import Column
from ..feedback.strategy import RelevanceFeedback
from ..payload import value_at
from ..query import Query, Scope
from ..rescore import Rescore
from .feedback_fit_data import Example, Examples
from .feedback_fit_train import formula_scores
from .metrics import ndcg_of_one

__all__ = ["Judged", "agreement", "disagreement", "judged", "measured", "unseen", "verdict"]

_DEPTH = 10
_DEEPEST = 100
_MEASURES = ("nDCG@10", "R@10", "R@100")

Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Judged:
    """One measure of plain search, plain reranking and feedback, on the same held-out queries.

    Attributes:
        measure: e.g. "nDCG@10"; "agreement" is nDCG@10 by the feedback model's own scores, "unseen" that of points which
            aren't seeds.
        plain, rerank, feedback: the means.
        over_plain, over_rerank: how much better feedback is, with bootstrap intervals; reranking reads as many documents.
        rerank_over_plain: how much better reranking is.
    """

    measure: str
    plain: float
    rerank: float
    feedback: float
    over_plain: Interval
    over_rerank: Interval
    rerank_over_plain: Interval

    def __str__(self) -> str:
        return (
            f"{self.measure}: plain {self.plain:.3f}, rerank {self.rerank:.3f}, feedback {self.feedback:.3f}; feedback over "
            f"plain {_signed(self.over_plain)}, over rerank {_signed(self.over_rerank)}"
        )


def _signed(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:+.3f}"
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def judged(measure: str, values: Values) -> Judged:
    """The means and differences of a measure's values, one for each query, by system."""
    plain, rerank, feedback = (np.asarray(values[name], np.float64) for name in ("plain", "rerank", "feedback"))
    return Judged(
        measure,
        plain=float(plain.mean()),
        rerank=float(rerank.mean()),
        feedback=float(feedback.mean()),
        over_plain=bootstrap_interval(list(feedback - plain)),
        over_rerank=bootstrap_interval(list(feedback - rerank)),
        rerank_over_plain=bootstrap_interval(list(rerank - plain)),
    )


def verdict(found: Judged) -> Verdict:
    """Which of the three to use: feedback only if it beats both others beyond noise, else the cheaper of what is left."""
    if _above_noise(found.over_plain) and _above_noise(found.over_rerank):
        return "feedback"
    return "rerank" if _above_noise(found.rerank_over_plain) else "plain"


def _above_noise(interval: Interval) -> bool:
    return interval.low is not None and interval.low > 0.0


def disagreement(examples: Sequence[Example]) -> float:
    """The share of queries in which the feedback model likes another point best than the search does."""
    return float(np.mean([example.scores.max() > example.scores[0] for example in examples]))


def agreement(examples: Sequence[Example], coefficients: Coefficients, mode: Mode, reads: int) -> dict[str, list[float]]:
    """nDCG@10 of the deep search's points by the feedback model's scores, scaled to 0..1 in each query; by system.

    Reranking reads as many documents as feedback: it puts the first `reads` in the model's order.
    """
    found: dict[str, list[float]] = {"plain": [], "rerank": [], "feedback": []}
    for example in examples:
        scores, seeds, formula = example.scores, len(example.to_seeds), _formula(example, coefficients)
        by_search = np.arange(len(scores))
        if mode == "precision":
            steered = np.argsort(-formula, kind="stable")
        else:
            rest = seeds + np.argsort(-formula[seeds:], kind="stable")
            steered = _model_first(np.concatenate([by_search[:seeds], rest]), scores, reads)
        for name, order in (("plain", by_search), ("rerank", _model_first(by_search, scores, reads)), ("feedback", steered)):
            found[name].append(_ndcg(scores, order))
    return found


def unseen(examples: Sequence[Example], coefficients: Coefficients) -> dict[str, list[float]]:
    """nDCG@10, as `agreement`, of the points that aren't seeds alone, by system.

    It shows whether the seeds' scores say anything of other points; of the seeds themselves they say it by definition.
    """
    found: dict[str, list[float]] = {"plain": [], "rerank": [], "feedback": []}
    for example in examples:
        seeds = len(example.to_seeds)
        rest = example.scores[seeds:]
        by_search = np.arange(len(rest))
        found["plain"].append(_ndcg(rest, by_search))
        found["rerank"].append(_ndcg(rest, by_search))  # of as many documents: the seeds
        found["feedback"].append(_ndcg(rest, np.argsort(-_formula(example, coefficients)[seeds:], kind="stable")))
    return found


def _formula(example: Example, coefficients: Coefficients) -> Column:
    scores: Column = formula_scores(Examples.of([example]), coefficients.a, coefficients.b, coefficients.c)[0]
    return scores


def _model_first(order: Any, scores: Column, reads: int) -> Any:
    """An order whose first `reads` the model has put into its own."""
    first = order[:reads]
    return np.concatenate([first[np.argsort(-scores[first], kind="stable")], order[reads:]])


def _ndcg(scores: Column, order: Any) -> float:
    low, high = float(scores.min()), float(scores.max())
    gains = (scores - low) / (high - low) if high > low else np.ones(len(scores))
    return ndcg_of_one(gains, order, _DEPTH)


def measured(
    executor: Executor,
    strategy: RelevanceFeedback,
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    doc_id: str | None,
    filter: models.Filter | None = None,
) -> list[Judged]:
    """Plain search, plain reranking and feedback as they are served, judged by qrels; the latter two read as many documents.

    Args:
        executor: with the feedback model.
        strategy: the fitted one.
        queries: id → text, held out.
        qrels: query id → document id → grade.
        doc_id: the payload key of a document's id; the point's id if None.
        filter: for all searches.
    """
    reads = strategy.reads or strategy.seed_count
    rankings: dict[str, dict[str, dict[str, float]]] = {}
    for name, system, limit in (
        ("plain", strategy.seeds, _DEEPEST),
        ("rerank", Rescore(limit=reads).over(strategy.seeds), min(_DEEPEST, reads)),
        ("feedback", strategy, min(_DEEPEST, strategy.most or _DEEPEST)),
    ):
        answers = executor.retrieve_batch(system, [Query(text) for text in queries.values()], Scope(limit=limit, filter=filter))
        rankings[name] = {
            query: _ranking([_id(point, doc_id) for point in points], rankings.get("plain", {}).get(query, ()))
            for query, points in zip(queries, answers, strict=True)
        }
    grades = {query: qrels[query] for query in queries}
    values = {name: per_topic(_MEASURES, grades, found) for name, found in rankings.items()}
    return [judged(each, {name: list(values[name][each].values()) for name in values}) for each in _MEASURES]


def _ranking(documents: Sequence[str], plain: Iterable[str]) -> dict[str, float]:
    """Document → a number that descends; behind what was ranked comes the rest of the plain search, in its order."""
    return {document: 1.0 / rank for rank, document in enumerate(dict.fromkeys([*documents, *plain]), 1)}


def _id(point: models.ScoredPoint, doc_id: str | None) -> str:
    return str(point.id if doc_id is None else value_at(point.payload or {}, doc_id, point.id))
