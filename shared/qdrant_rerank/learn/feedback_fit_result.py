"""What a fit of relevance feedback costs, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Final

from ..errors import FitError
from ..feedback.coefficients import Coefficients, Verdict
from ..feedback.strategy import RelevanceFeedback
from .feedback_fit_judge import Judged

__all__ = ["FeedbackEstimate", "FeedbackFit"]

_SAID: Final[Mapping[Verdict, str]] = {
    "feedback": "Use relevance feedback: on queries that it didn't learn from, it is better than plain search and better than "
    "plain reranking of as many documents.",
    "rerank": "Use plain reranking (Rescore): it is better than plain search, and relevance feedback isn't better than it for "
    "certain where both score as many documents.",
    "plain": "Use plain search: on queries that they didn't learn from, neither reranking nor relevance feedback is better "
    "for certain.",
}
_OWN: Final = (
    " This is the feedback model's own opinion, as there were no judgments (qrels): it can't tell whether the model is right."
)


@dataclass(frozen=True)
class FeedbackEstimate:
    """What a fit costs, before it begins.

    Attributes:
        queries: how many it learns from and is judged on.
        requests: to Qdrant, for what it learns from; each holds up to 32 searches.
        documents: that the model scores at most; those whose scores are kept in a file cost nothing.
        seconds: for the model, if its speed is given; else None.
    """

    queries: int
    requests: int
    documents: int
    seconds: float | None = None

    def __str__(self) -> str:
        time = "" if self.seconds is None else f", about {self.seconds / 60:.0f} minutes of the model"
        return f"{self.queries} queries, {self.requests} requests to Qdrant, up to {self.documents} documents to score{time}"


@dataclass(frozen=True)
class FeedbackFit:
    """Fitted coefficients, and what they are worth.

    Attributes:
        strategy: the relevance feedback that was fitted, with its coefficients.
        recommends: "plain" search, plain reranking ("rerank") or "feedback".
        judgements: on held-out queries: the feedback model's own, "agreement" and "unseen"; then those by qrels, if any.
        disagreement: the share of queries in which the model likes another point best than the search does.
        queries: how many it learned from, and was judged on.
        skipped: how many found too few points.
    """

    strategy: RelevanceFeedback
    recommends: Verdict
    judgements: tuple[Judged, ...]
    disagreement: float
    queries: tuple[int, int]
    skipped: int

    @property
    def coefficients(self) -> Coefficients:
        """The fitted ones."""
        return self.strategy.weights

    @property
    def signal(self) -> bool:
        """Whether the seeds' scores say anything of other points: beyond noise, they rank them more as the model does."""
        low = next(each for each in self.judgements if each.measure == "unseen").over_plain.low
        return low is not None and low > 0.0

    def __str__(self) -> str:
        fitted = self.coefficients
        own = "" if any(each.measure == "nDCG@10" for each in self.judgements) else _OWN
        lines = [
            _SAID[self.recommends] + own,
            "There is signal." if self.signal else "There is no signal: the seeds' scores say nothing of other points.",
            f"The model likes another point best than the search in {self.disagreement:.0%} of the queries.",
            *map(str, self.judgements),
            f"a={fitted.a:.4g}, b={fitted.b:.4g}, c={fitted.c:.4g}; learned from {self.queries[0]} queries, judged on "
            f"{self.queries[1]} others" + (f"; {self.skipped} found too few points" if self.skipped else ""),
        ]
        return "\n".join(lines)

    def save(self, path: str | PathLike[str], *, anyway: bool = False) -> None:
        """Write the strategy, with coefficients and provenance, to one JSON file for `RelevanceFeedback.load`.

        Raises:
            FitError: feedback isn't recommended, and `anyway` isn't set; the file then still says what is recommended.
        """
        from ..serialise import save

        if self.recommends != "feedback" and not anyway:
            raise FitError(f"not saved: {_SAID[self.recommends]} Save it nevertheless with anyway=True")
        save(self.strategy, path)
