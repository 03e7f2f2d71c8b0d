"""Whether feedback helps, by the reranker's own scores and by judgments; each query by coefficients fitted without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Final

import numpy as np
from qdrant_client import models

from .. import Query, Rerank, SearchOptions, Strategy
from .._internals import Column, Flow, Mode, Verdict, in_batches, plan_on, together
from ..errors import FitError
from ..evaluate import Interval, per_topic
from ..evaluate._internals import ThreeWays, with_stable_ties
from ..feedback import Coefficients, RelevanceFeedback
from ..planning import Plan, Target
from .calibration import ndcg_of_one
from .feedback_training import Documents, Example, Examples, FoldCoefficients, Grades, formula_scores

TOP: Final = 10
"""How deep results are judged; less where the strategy returns less."""


@dataclass(frozen=True)
class WayComparison(ThreeWays):
    """One measure of plain search, plain reranking and feedback, on the same queries, each held out in turn.

    It is e.g. "nDCG@10"; "agreement" is nDCG@10 by the reranker's own scores, "unseen" that of points that aren't seeds.
    """

    measure: str

    def numbers(self) -> dict[str, float]:
        """Means, differences and the ends of their intervals, by name."""
        found: dict[str, float | None] = {"plain": self.plain, "rerank": self.rerank, "feedback": self.feedback}
        for name in ("over_plain", "over_rerank", "rerank_over_plain"):
            interval: Interval = getattr(self, name)
            found |= {name: interval.estimate, f"{name} low": interval.low, f"{name} high": interval.high}
        return {name: value for name, value in found.items() if value is not None}

    def __str__(self) -> str:
        return (
            f"{self.measure}: plain {self.plain:.3f}, rerank {self.rerank:.3f}, feedback {self.feedback:.3f}; feedback over "
            f"plain {show_gain(self.over_plain)}, over rerank {show_gain(self.over_rerank)}; rerank over plain "
            f"{show_gain(self.rerank_over_plain)}"
        )


def show_gain(interval: Interval) -> str:
    """A difference with its interval, if there is one."""
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:+.3f}"
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def verdict(found: WayComparison, own: WayComparison) -> Verdict:
    """Which of the three to use, by the measure `found`.

    Feedback if it is better than plain search beyond noise, and better than reranking: beyond noise, or just so where
    reranking isn't proven better than plain search. Reranking if it or feedback, which reads as many documents, is better than
    plain search beyond noise: nothing then shows that more than the reading helps. Without signal in `own`, "unseen", it isn't
    the second search that helps, and feedback isn't recommended.
    """
    steered, reranked = found.over_plain.is_positive, found.rerank_over_plain.is_positive
    over_rerank = found.over_rerank.is_positive or (not reranked and found.over_rerank.estimate > 0)
    if steered and over_rerank and own.over_plain.is_positive:
        return "feedback"
    return "rerank" if reranked or steered else "plain"


def disagreement(examples: Sequence[Example]) -> float:
    """The share of queries in which the reranker likes another point best than the search does."""
    return float(np.mean([example.scores.max() > example.scores[0] for example in examples]))


def agreement(examples: Sequence[Example], weights: Sequence[Coefficients], mode: Mode, reads: int) -> dict[str, list[float]]:
    """nDCG@10 of the deep search's points by the reranker's scores, scaled to 0..1 in each query; by system.

    `weights` are the coefficients that judge each example. Reranking puts the first `reads` documents, as many as feedback
    reads, into the model's order. In mode "recall" feedback returns no more, and all three are judged no deeper than that.
    """
    found: list[tuple[float, ...]] = []
    depth = min(TOP, reads) if mode == "recall" else TOP
    for example, coefficients in zip(examples, weights, strict=True):
        scores, seeds, formula = example.scores, len(example.to_seeds), _formula(example, coefficients)
        by_search = np.arange(len(scores))
        if mode == "precision":
            steered = np.argsort(-formula, kind="stable")
        else:
            rest = seeds + np.argsort(-formula[seeds:], kind="stable")
            steered = _model_first(np.concatenate([by_search[:seeds], rest]), scores, reads)
        reranked = _model_first(by_search, scores, reads)
        found.append(tuple(_ndcg(scores, order, depth) for order in (by_search, reranked, steered)))
    return _by_system(found)


def unseen(examples: Sequence[Example], weights: Sequence[Coefficients]) -> dict[str, list[float]]:
    """nDCG@10, as `agreement`, of the points that aren't seeds: whether the seeds' scores say anything of other points."""
    found: list[tuple[float, ...]] = []
    for example, coefficients in zip(examples, weights, strict=True):
        seeds = len(example.to_seeds)
        rest = example.scores[seeds:]
        plain = _ndcg(rest, np.arange(len(rest)))  # reranking reads as many documents: the seeds
        found.append((plain, plain, _ndcg(rest, np.argsort(-_formula(example, coefficients)[seeds:], kind="stable"))))
    return _by_system(found)


def _by_system(values: Sequence[tuple[float, ...]]) -> dict[str, list[float]]:
    """Of each query (plain, rerank, feedback) → the values of each system."""
    return {name: [three[place] for three in values] for place, name in enumerate(("plain", "rerank", "feedback"))}


def _formula(example: Example, coefficients: Coefficients) -> Column:
    scores: Column = formula_scores(Examples.of([example]), coefficients.a, coefficients.b, coefficients.c)[0]
    return scores


def _model_first(order: Any, scores: Column, reads: int) -> Any:
    """An order with its first `reads` in the model's."""
    first = order[:reads]
    return np.concatenate([first[np.argsort(-scores[first], kind="stable")], order[reads:]])


def _ndcg(scores: Column, order: Any, depth: int = TOP) -> float:
    low, high = float(scores.min()), float(scores.max())
    gains = (scores - low) / (high - low) if high > low else np.ones(len(scores))
    return ndcg_of_one(gains, order, depth)


JUDGED_AT_ONCE: Final = 10
"""How many queries share a request while they are judged: each takes three searches, up to 100 deep, one with vectors."""
LEAST_JUDGED: Final = 20
"""Fewer queries with judgments say nothing for certain: they aren't used."""
_DEEPEST: Final = 100


def judgments_of(texts: Mapping[str, str], qrels: Grades | None) -> dict[str, dict[str, int]]:
    """Judgments by query text, those of a text with several ids together; the higher grade where they differ."""
    found: dict[str, dict[str, int]] = {}
    for query, text in texts.items():
        for document, grade in ((qrels or {}).get(query) or {}).items():
            own = found.setdefault(text, {})
            own[str(document)] = max(grade, own.get(str(document), grade))
    return found


@dataclass(frozen=True)
class Judging:
    """Judging a resolved strategy, whose coefficients don't count, by the judgments of `documents`."""

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
        """How deep results are judged: 100, or as deep as the first search reaches and the strategy returns."""
        seeds, deepest = self.strategy.seeds, min(_DEEPEST, self.strategy.most or _DEEPEST)
        return next(depth for depth in range(deepest, 0, -1) if not any(seeds.shortfalls(depth, "")))

    def flow(self, crossed: FoldCoefficients, queries: Mapping[str, Query]) -> Flow[list[WayComparison]]:
        """The three ways by nDCG@10 and recall, for judged queries with their vectors by text, and coefficients by fold."""
        strategy, depth = self.strategy, self.depth
        plain = self._plan(strategy.seeds, depth)
        rerank = self._plan(Rerank(reads=self.reads).over(strategy.seeds), min(depth, self.reads))
        feedback = [self._plan(replace(strategy, coefficients=each, trust=True), depth) for each in crossed.folds]
        rankings: dict[str, dict[str, dict[str, float]]] = {"plain": {}, "rerank": {}, "feedback": {}}
        texts = list(queries)
        for batch in in_batches(texts, JUDGED_AT_ONCE):
            plans = [(plain, rerank, feedback[crossed.unseen_by[text]]) for text in batch]
            flows = [plan.flow(queries[text]) for text, three in zip(batch, plans, strict=True) for plan in three]
            answers = yield from together(flows)
            for row, text in enumerate(batch):
                found, read, steered = map(self.documents.of, answers[3 * row : 3 * row + 3])
                rankings["plain"][text] = _ranking(found)
                rankings["rerank"][text] = _ranking([*read, *found])  # the unread ones behind, as `Rerank` puts them
                rankings["feedback"][text] = _ranking(steered)
        top = min(TOP, self.depth)
        measures = list(dict.fromkeys((f"nDCG@{top}", f"R@{top}", f"R@{self.depth}")))
        grades = {text: self.documents.grades[text] for text in texts}
        values = {name: per_topic(measures, grades, found) for name, found in rankings.items()}
        return [
            WayComparison.of({name: [found[each][text] for text in texts] for name, found in values.items()}, measure=each)
            for each in measures
        ]

    def _plan(self, strategy: Strategy, limit: int) -> Plan:
        return plan_on(strategy, self.target, with_stable_ties(strategy, SearchOptions(limit=limit, filter=self.filter)))


def _ranking(documents: Iterable[str]) -> dict[str, float]:
    """Document → a number that descends."""
    return {document: 1.0 / rank for rank, document in enumerate(dict.fromkeys(documents), 1)}


_SAID: Final[Mapping[Verdict, tuple[str, str]]] = {  # what to say if all of it is certain, and if not
    "feedback": (
        "Use relevance feedback: on queries that it didn't learn from, it is better than plain search and better than plain "
        "reranking of as many documents.",
        "Use relevance feedback: on queries that it didn't learn from, it is better than plain search for certain, which plain "
        "reranking of as many documents isn't; that it is better than reranking is likely, not certain.",
    ),
    "rerank": (
        "Use plain reranking (Rerank): it is better than plain search, and relevance feedback isn't better than it for certain "
        "where both score as many documents.",
        "Use plain reranking (Rerank): relevance feedback, which scores as many documents, is better than plain search, but "
        "nothing shows that it is better than reranking, which is simpler.",
    ),
    "plain": (
        "Use plain search: on queries that they didn't learn from, neither reranking nor relevance feedback is better for "
        "certain.",
        "",
    ),
}
_OWN: Final = " This is the reranker's own opinion, as {why}: it can't tell whether the model is right."
_OWN_COMPARISONS: Final = 2  # "agreement" and "unseen"; those by judgments come after them, nDCG first
_CHANCE: Final = " Feedback seems better, but as the seeds' scores say nothing of other points, that is chance."


@dataclass(frozen=True)
class FeedbackFit:
    """Coefficients fitted to all queries, and what they are worth: each query is judged by coefficients of the other folds.

    Attributes:
        strategy: the relevance feedback that was fitted, with its coefficients.
        recommends: "plain" search, plain reranking ("rerank") or "feedback".
        comparisons: by the reranker's own scores, "agreement" and "unseen"; then by qrels, if there are enough.
        disagreement: the share of queries in which the model likes another point best than the search does.
        queries: how many it learned from, and was judged on.
        judged_queries: how many of them have judgments; fewer than 20 aren't used.
        skipped: how many found too few points.
        folds: the coefficients that judged each fold; the less they differ, the surer they are.
    """

    strategy: RelevanceFeedback
    recommends: Verdict
    comparisons: tuple[WayComparison, ...]
    disagreement: float
    queries: int
    judged_queries: int
    skipped: int
    folds: tuple[Coefficients, ...]

    @property
    def coefficients(self) -> Coefficients:
        return self.strategy.weights

    @property
    def signal(self) -> bool:
        """Whether the seeds' scores say anything of other points: beyond noise, they rank them more as the model does."""
        return self._measure("unseen").over_plain.is_positive

    @property
    def by_qrels(self) -> bool:
        """Whether judgments decided; else it is the reranker's own opinion."""
        return len(self.comparisons) > _OWN_COMPARISONS

    @property
    def seems_better(self) -> bool:
        """Whether feedback beats both others beyond noise; without signal that is chance."""
        return self._decisive.over_plain.is_positive and self._decisive.over_rerank.is_positive

    @property
    def _decisive(self) -> WayComparison:
        return self.comparisons[_OWN_COMPARISONS] if self.by_qrels else self._measure("agreement")

    @property
    def _conclusion(self) -> str:
        better = {"feedback": self._decisive.over_rerank, "rerank": self._decisive.rerank_over_plain}.get(self.recommends)
        certain, likely = _SAID[self.recommends]
        return certain if better is None or better.is_positive else likely

    def _measure(self, name: str) -> WayComparison:
        return next(each for each in self.comparisons if each.measure == name)

    def __str__(self) -> str:
        fitted, few = self.coefficients, self.judged_queries
        why = f"only {few} queries have judgments (qrels)" if few else "there were no judgments (qrels)"
        said = self._conclusion + (_CHANCE if self.seems_better and not self.signal else "")
        smallest, largest = min(each.c for each in self.folds), max(each.c for each in self.folds)
        skipped = f"; {self.skipped} found too few points" if self.skipped else ""
        lines = [
            said + ("" if self.by_qrels else _OWN.format(why=why)),
            "There is signal." if self.signal else "There is no signal: the seeds' scores say nothing of other points.",
            f"The model likes another point best than the search in {self.disagreement:.0%} of the queries.",
            *map(str, self.comparisons),
            f"a={fitted.a:.4g}, b={fitted.b:.4g}, c={fitted.c:.4g}; learned from {self.queries} queries, each judged by "
            f"coefficients of {len(self.folds) - 1} other folds (c from {smallest:.4g} to {largest:.4g}){skipped}",
        ]
        return "\n".join(lines)

    def save(self, path: str | PathLike[str], *, anyway: bool = False) -> None:
        """Write the strategy, with coefficients and provenance, to one JSON file for `RelevanceFeedback.load`.

        Raises:
            FitError: feedback isn't recommended, and `anyway` isn't set. Written anyway, the file says what is recommended.
        """
        from .. import save

        if self.recommends != "feedback" and not anyway:
            raise FitError(f"not saved: {self._conclusion} Save it nevertheless with anyway=True")
        save(self.strategy, path)
