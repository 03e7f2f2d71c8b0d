"""What tuning says: every configuration with what it is worth and costs, what to use, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import Strategy, save
from ..evaluate import Interval
from ..evaluate._internals import Plain, frame
from ..feedback._internals import Verdict
from .configurations import Effort, Parameter
from .gathering import Spent

__all__ = ["AtBudget", "Ceiling", "Configuration", "CurvePoint", "LeftOut", "Tuning"]


@dataclass(frozen=True)
class Configuration(Plain):
    """One strategy that was tried.

    Attributes:
        name: what tables call it.
        family: which family it is of.
        strategy: the strategy itself.
        parameters: what was varied.
        mean: over all topics. The best of many means is too good to be true: see `held_out`.
        difference: of the mean to the baseline's.
        effort: what a query by it takes.
        chosen: in how many splits it was chosen.
        held_in: its mean on the halves that it was chosen on; None if it never was.
        held_out: its mean on the other halves; None likewise.
        note: what whoever uses it should know.
    """

    name: str
    family: str
    strategy: Strategy
    parameters: Mapping[str, Parameter]
    mean: float
    difference: float
    effort: Effort
    chosen: int = 0
    held_in: float | None = None
    held_out: float | None = None
    note: str = ""


@dataclass(frozen=True)
class CurvePoint(Plain):
    """A family's configuration as a point of a curve.

    Attributes:
        parameters: what was varied.
        mean: over all topics.
    """

    parameters: Mapping[str, Parameter]
    mean: float


@dataclass(frozen=True)
class LeftOut(Plain):
    """A strategy that was not measured.

    Attributes:
        name: what tables would call it.
        reason: why.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Ceiling(Plain):
    """What the best possible order of the candidates' candidates would be worth.

    Attributes:
        value: the mean of the measure if all candidates of all candidates were in the order of their grades.
        perfect: the mean if all relevant documents were found and in that order.
        recall: the share of the relevant documents that is among the candidates, mean over topics that have some.
        candidate_recall: the same for each candidate alone.
        depth: how many candidates each candidate was asked for.
        advice: whether candidates or their order hold the measure down.
    """

    value: float
    perfect: float
    recall: float
    candidate_recall: Mapping[str, float]
    depth: int
    advice: str


@dataclass(frozen=True)
class AtBudget(Plain):
    """Plain search, plain reranking and relevance feedback, where a model scores as many documents for the latter two.

    Where there are several of a kind, e.g. from several first searches, one half of the topics chooses among them, and the
    other half judges; so all that is said here comes from topics held out.

    Attributes:
        scored: how many documents the model scores for a query.
        plain, rerank, feedback: the means on topics held out.
        over_plain, over_rerank: how much better feedback is, with intervals.
        rerank_over_plain: how much better reranking is.
        best: "feedback" if it beats both others beyond chance, else "rerank" if that beats plain search, else "plain".
        configurations: of each of the three, the configuration with the best mean over all topics.
        results: how many results the measure looks at. If that is more than `scored`, the rest of the first search follows
            what was reranked.
    """

    scored: int
    plain: float
    rerank: float
    feedback: float
    over_plain: Interval
    over_rerank: Interval
    rerank_over_plain: Interval
    best: Verdict
    configurations: Mapping[str, str]
    results: int


@dataclass(frozen=True)
class Tuning(Plain):
    """What was tried, what came out, and what to do.

    Attributes:
        measure: by which measure.
        topics: the ids of the topics that it is about.
        baseline: the strategy that was to beat, called "default" in tables.
        configurations: all that was tried, best mean first.
        chosen: the name of the configuration that the rule chooses with all topics.
        recommended: whether to use it: whether its choice was worth something on topics that it was chosen without.
        strategy: the strategy to use: the chosen one if it is recommended, else the baseline.
        gain: over the baseline, on topics held out, with its interval: what choosing like this is worth.
        p: of the paired randomisation test on the held-out gains.
        split_gains: the held-out gain of each split.
        topic_gains: the held-out gain of each topic.
        detectable: the smallest true gain that so many topics would show most of the time; None if it can't be told.
        ceiling: what reordering could reach at all.
        curves: family → its configurations, in the order tried.
        left_out: what was not measured, and why.
        failed: topics that no candidate could be searched for, with the error; left out of all means.
        spent: what the tuning took.
        reasons: the recommendation's reasons in plain words.
        values: configuration → topic → value; also of those that are only compared with others, in `at_budget`.
        alpha: how often a gain may be claimed where there is none.
        splits: how many splits there were.
        synthetic: whether the queries were made from documents.
        at_budget: plain search, reranking and feedback, for each number of scored documents; see `Feedback`.
    """

    measure: str
    topics: tuple[str, ...]
    baseline: Strategy
    configurations: tuple[Configuration, ...]
    chosen: str
    recommended: bool
    strategy: Strategy
    gain: Interval
    p: float
    split_gains: tuple[float, ...]
    topic_gains: Mapping[str, float] = field(repr=False)
    detectable: float | None
    ceiling: Ceiling
    curves: Mapping[str, tuple[CurvePoint, ...]] = field(repr=False)
    left_out: tuple[LeftOut, ...]
    failed: Mapping[str, str]
    spent: Spent
    reasons: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]] = field(repr=False)
    alpha: float = 0.05
    splits: int = 20
    synthetic: bool = False
    at_budget: tuple[AtBudget, ...] = ()

    def __getitem__(self, name: str) -> Configuration:
        """The configuration of this name.

        Raises:
            KeyError: there is none.
        """
        for configuration in self.configurations:
            if configuration.name == name:
                return configuration
        raise KeyError(name)

    @property
    def recommendation(self) -> str:
        """What to do and why, in plain words."""
        return " ".join(self.reasons)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the strategy to use as JSON, which `qdrant_rerank.load` and the command line read.

        Raises:
            OSError: the file can't be written.
        """
        save(self.strategy, path)

    def to_frame(self) -> Any:
        """A `pandas.DataFrame` with a row for each configuration, best mean first.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame(
            {key: value for key, value in row.as_dict().items() if key not in ("effort", "parameters")}
            | row.effort.__dict__
            | dict(row.parameters)
            for row in self.configurations
        )

    def __str__(self) -> str:
        rows = [f"{self.measure} of {len(self.configurations)} configurations on {len(self.topics)} topics:"]
        rows += [f"  {row.mean:.4f} {row.difference:+.4f}  {row.name}" for row in self.configurations[:10]]
        return "\n".join([*rows, *self.reasons])
