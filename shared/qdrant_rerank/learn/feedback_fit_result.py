"""What a fit of relevance feedback came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Final

from ..errors import FitError
from ..feedback import Coefficients, RelevanceFeedback
from ..feedback._internals import Verdict
from .feedback_fit_judge import Judged, above_noise

__all__ = ["FeedbackFit"]

# by the verdict, and whether all of it is certain
_SAID: Final[Mapping[tuple[Verdict, bool], str]] = {
    (
        "feedback",
        True,
    ): "Use relevance feedback: on queries that it didn't learn from, it is better than plain search and better "
    "than plain reranking of as many documents.",
    ("feedback", False): "Use relevance feedback: on queries that it didn't learn from, it is better than plain search for "
    "certain, which plain reranking of as many documents isn't; that it is better than reranking is likely, not certain.",
    (
        "rerank",
        True,
    ): "Use plain reranking (Rerank): it is better than plain search, and relevance feedback isn't better than it "
    "for certain where both score as many documents.",
    (
        "rerank",
        False,
    ): "Use plain reranking (Rerank): relevance feedback, which scores as many documents, is better than plain "
    "search, but nothing shows that it is better than reranking, which is simpler.",
    ("plain", True): "Use plain search: on queries that they didn't learn from, neither reranking nor relevance feedback is "
    "better for certain.",
}
_OWN: Final = " This is the reranker's own opinion, as {why}: it can't tell whether the model is right."
_OWN_JUDGEMENTS: Final = 2  # "agreement" and "unseen"; those by judgments come after them, nDCG first
_CHANCE: Final = " Feedback seems better, but as the seeds' scores say nothing of other points, that is chance."


@dataclass(frozen=True)
class FeedbackFit:
    """Fitted coefficients, and what they are worth.

    The coefficients are fitted to all queries. The judgements are by cross-fitting: each query by coefficients that were
    fitted without it, to the queries of the other folds.

    Attributes:
        strategy: the relevance feedback that was fitted, with its coefficients.
        recommends: "plain" search, plain reranking ("rerank") or "feedback".
        judgements: the reranker's own, "agreement" and "unseen"; then those by qrels, if there are enough.
        disagreement: the share of queries in which the model likes another point best than the search does.
        queries: how many it learned from, and was judged on.
        judged_queries: how many of them have judgments; fewer than 20 aren't used.
        skipped: how many found too few points.
        folds: the coefficients that each fold was judged by: how much they differ shows how sure they are.
    """

    strategy: RelevanceFeedback
    recommends: Verdict
    judgements: tuple[Judged, ...]
    disagreement: float
    queries: int
    judged_queries: int
    skipped: int
    folds: tuple[Coefficients, ...]

    @property
    def coefficients(self) -> Coefficients:
        """The fitted ones."""
        return self.strategy.weights

    @property
    def signal(self) -> bool:
        """Whether the seeds' scores say anything of other points: beyond noise, they rank them more as the model does."""
        return above_noise(self._measure("unseen").over_plain)

    @property
    def by_qrels(self) -> bool:
        """Whether judgments had a say; else it is the reranker's own opinion."""
        return len(self.judgements) > _OWN_JUDGEMENTS

    @property
    def seems_better(self) -> bool:
        """Whether feedback beats both others beyond noise; without signal that is chance, and it isn't recommended."""
        return above_noise(self._decisive.over_plain) and above_noise(self._decisive.over_rerank)

    @property
    def _decisive(self) -> Judged:
        return self.judgements[_OWN_JUDGEMENTS] if self.by_qrels else self._measure("agreement")

    @property
    def _said(self) -> str:
        better = {"feedback": self._decisive.over_rerank, "rerank": self._decisive.rerank_over_plain}.get(self.recommends)
        return _SAID[self.recommends, better is None or above_noise(better)]

    def _measure(self, name: str) -> Judged:
        return next(each for each in self.judgements if each.measure == name)

    def __str__(self) -> str:
        fitted, few = self.coefficients, self.judged_queries
        why = f"only {few} queries have judgments (qrels)" if few else "there were no judgments (qrels)"
        said = self._said + (_CHANCE if self.seems_better and not self.signal else "")
        smallest, largest = min(each.c for each in self.folds), max(each.c for each in self.folds)
        skipped = f"; {self.skipped} found too few points" if self.skipped else ""
        lines = [
            said + ("" if self.by_qrels else _OWN.format(why=why)),
            "There is signal." if self.signal else "There is no signal: the seeds' scores say nothing of other points.",
            f"The model likes another point best than the search in {self.disagreement:.0%} of the queries.",
            *map(str, self.judgements),
            f"a={fitted.a:.4g}, b={fitted.b:.4g}, c={fitted.c:.4g}; learned from {self.queries} queries, each judged by "
            f"coefficients of {len(self.folds) - 1} other folds (c from {smallest:.4g} to {largest:.4g}){skipped}",
        ]
        return "\n".join(lines)

    def save(self, path: str | PathLike[str], *, anyway: bool = False) -> None:
        """Write the strategy, with coefficients and provenance, to one JSON file for `RelevanceFeedback.load`.

        Raises:
            FitError: feedback isn't recommended, and `anyway` isn't set; the file then still says what is recommended.
        """
        from .. import save

        if self.recommends != "feedback" and not anyway:
            raise FitError(f"not saved: {self._said} Save it nevertheless with anyway=True")
        save(self.strategy, path)
