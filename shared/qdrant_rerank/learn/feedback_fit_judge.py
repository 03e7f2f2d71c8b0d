"""Whether feedback helps: queries judged by the reranker's own scores, each by coefficients that it had no part in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..evaluate import Interval, bootstrap_interval
from ..feedback import Coefficients
from ..feedback._internals import Column, Mode, Verdict
from .feedback_fit_data import Example, Examples
from .feedback_fit_train import formula_scores
from .metrics import ndcg_of_one

__all__ = ["TOP", "Judged", "above_noise", "agreement", "disagreement", "judged", "unseen", "verdict"]

TOP: Final = 10
"""How deep the best results are judged; less where the strategy returns less."""

Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Judged:
    """One measure of plain search, plain reranking and feedback, on the same queries, each held out in turn.

    Attributes:
        measure: e.g. "nDCG@10"; "agreement" is nDCG@10 by the reranker's own scores, "unseen" that of points which
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

    def numbers(self) -> dict[str, float]:
        """All of it by name; without the ends of intervals that there are none of."""
        found: dict[str, float | None] = {"plain": self.plain, "rerank": self.rerank, "feedback": self.feedback}
        for name in ("over_plain", "over_rerank", "rerank_over_plain"):
            interval: Interval = getattr(self, name)
            found |= {name: interval.estimate, f"{name} low": interval.low, f"{name} high": interval.high}
        return {name: value for name, value in found.items() if value is not None}

    def __str__(self) -> str:
        return (
            f"{self.measure}: plain {self.plain:.3f}, rerank {self.rerank:.3f}, feedback {self.feedback:.3f}; feedback over "
            f"plain {_signed(self.over_plain)}, over rerank {_signed(self.over_rerank)}; rerank over plain "
            f"{_signed(self.rerank_over_plain)}"
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


def verdict(found: Judged, own: Judged) -> Verdict:
    """Which of the three to use.

    Feedback if it is better than plain search beyond noise, and than reranking too; or seems better than reranking where
    that isn't proven better than plain search. Reranking if it is better than plain search beyond noise, or feedback is, which
    reads as many documents: nothing then shows that more than the reading helps.

    Args:
        found: the measure to go by.
        own: "unseen": without signal it isn't the second search that helps, and feedback isn't recommended.
    """
    steered, reranked = above_noise(found.over_plain), above_noise(found.rerank_over_plain)
    over_rerank = above_noise(found.over_rerank) or (not reranked and found.over_rerank.estimate > 0)
    if steered and over_rerank and above_noise(own.over_plain):
        return "feedback"
    return "rerank" if reranked or steered else "plain"


def above_noise(interval: Interval) -> bool:
    """Whether all of the interval is above 0."""
    return interval.low is not None and interval.low > 0.0


def disagreement(examples: Sequence[Example]) -> float:
    """The share of queries in which the reranker likes another point best than the search does."""
    return float(np.mean([example.scores.max() > example.scores[0] for example in examples]))


def agreement(examples: Sequence[Example], weights: Sequence[Coefficients], mode: Mode, reads: int) -> dict[str, list[float]]:
    """nDCG@10 of the deep search's points by the reranker's scores, scaled to 0..1 in each query; by system.

    Reranking reads as many documents as feedback: it puts the first `reads` in the model's order. In mode "recall" feedback
    returns no more than it reads; all three are judged no deeper than that.

    Args:
        examples: the queries.
        weights: for each example the coefficients that it is judged by.
        mode: as they will be used.
        reads: how many documents the model reads.
    """
    found: dict[str, list[float]] = {"plain": [], "rerank": [], "feedback": []}
    depth = min(TOP, reads) if mode == "recall" else TOP
    for example, coefficients in zip(examples, weights, strict=True):
        scores, seeds, formula = example.scores, len(example.to_seeds), _formula(example, coefficients)
        by_search = np.arange(len(scores))
        if mode == "precision":
            steered = np.argsort(-formula, kind="stable")
        else:
            rest = seeds + np.argsort(-formula[seeds:], kind="stable")
            steered = _model_first(np.concatenate([by_search[:seeds], rest]), scores, reads)
        for name, order in (("plain", by_search), ("rerank", _model_first(by_search, scores, reads)), ("feedback", steered)):
            found[name].append(_ndcg(scores, order, depth))
    return found


def unseen(examples: Sequence[Example], weights: Sequence[Coefficients]) -> dict[str, list[float]]:
    """nDCG@10, as `agreement`, of the points that aren't seeds alone, by system.

    It shows whether the seeds' scores say anything of other points; of the seeds themselves they say it by definition.
    """
    found: dict[str, list[float]] = {"plain": [], "rerank": [], "feedback": []}
    for example, coefficients in zip(examples, weights, strict=True):
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


def _ndcg(scores: Column, order: Any, depth: int = TOP) -> float:
    low, high = float(scores.min()), float(scores.max())
    gains = (scores - low) / (high - low) if high > low else np.ones(len(scores))
    return ndcg_of_one(gains, order, depth)
