"""Configurations: those that families propose, each with its costs; and the result of a tuning, with each one's worth, the
strategy to use, and why in plain words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from .. import Strategy, save
from .._internals import Services, Verdict
from ..evaluate import Interval, Qrels
from ..evaluate._internals import SAME, SYNTHETIC_NOTE, Plain, ThreeWays, frame, write_p
from ..planning import Schema, Target
from ..stages import Stage
from .gathering import Spent, Spread, TopicHits, key_of

Parameter: TypeAlias = "float | int | str"
DEFAULT: Final = "default"
"""What tables call the baseline and its family."""


@dataclass(frozen=True)
class Option:
    """One strategy to try.

    Attributes:
        name: what tables call it, and no other option.
        strategy: the strategy itself, as it would be used.
        family: its family's name.
        parameters: the varied values, by name; for curves and frames.
        complexity: how many settings differ from Qdrant's own; it decides between options of the same mean.
        by_topic: topic → the strategy that ranks it, learned from other topics; empty where `strategy` ranks all.
        note: what its users should know.
        must_fit: whether it is an error if the strategy doesn't fit the collection; else it is left out.
    """

    name: str
    strategy: Strategy
    family: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    complexity: int = 0
    by_topic: Mapping[str, Strategy] = field(default_factory=dict[str, Strategy], repr=False)
    note: str = ""
    must_fit: bool = False

    def of(self, topic: str) -> Option:
        """The option with the strategy that ranks this topic.

        Raises:
            KeyError: other topics have one of their own, this one hasn't.
        """
        return replace(self, strategy=self.by_topic[topic]) if self.by_topic else self


@dataclass(frozen=True)
class Setting:
    """What families propose strategies for.

    Attributes:
        candidates: the plain searches to combine, without limits.
        depths: how many points a candidate may hand on, ascending.
        limit: how many results the measure looks at.
        baseline: the strategy to beat.
        schema: the collection's.
        has_reranker: whether the executor has a model that reads texts.
        queries: the topics' texts.
        spreads: how the candidates' scores lie, by `key_of` the candidate; empty until the candidates were searched. Families
            are asked before and after, and must propose the same plain searches both times.
    """

    candidates: tuple[Stage, ...]
    depths: tuple[int, ...]
    limit: int
    baseline: Strategy
    schema: Schema
    has_reranker: bool = False
    queries: tuple[str, ...] = ()
    spreads: Mapping[str, Spread] = field(default_factory=dict)

    def spread(self, candidate: Stage) -> Spread:
        """How a candidate's scores lie."""
        return self.spreads.get(key_of(candidate), Spread(0.0, 1.0))

    def title(self, candidate: Stage) -> str:
        """What names call a candidate."""
        return candidate.title or "the unnamed vector"

    def is_distance(self, candidate: Stage) -> bool:
        """Whether a candidate's scores are distances: lower is better."""
        return self.schema.vectors[candidate.vector or ""].is_distance

    @property
    def has_distances(self) -> bool:
        """Whether any candidate's scores are distances."""
        return any(map(self.is_distance, self.candidates))

    @property
    def deepest(self) -> int:
        return self.depths[-1]

    def deep(self, depth: int) -> tuple[Stage, ...]:
        """The candidates, each handing on `depth` points."""
        return tuple(replace(candidate, limit=depth) for candidate in self.candidates)


class Scorer(Services, Protocol):
    """Scores of the model, for families that need some; `steps.run` takes it for the executor."""

    @property
    def independent(self) -> bool:
        """Whether a text's score is the same whatever texts it is read with, and can be used again."""
        ...

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text; the model reads each pair of query and text only once, within the budget."""
        ...


@runtime_checkable
class Family(Protocol):
    """Strategies of one kind, and how to recompute them.

    To add a kind of strategy to tuning, write a class with these three and put it into the space. Strategies learned from
    judgments must be learned from other topics than those that judge them: see `Learner`.
    """

    @property
    def name(self) -> str:
        """What tables call the family."""
        ...

    def options(self, setting: Setting) -> Iterable[Option]:
        """The strategies to try, the cheapest first: the budget leaves out the last."""
        ...

    def rank(self, option: Option, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        """The first `limit` points (anything with an `id`) that Qdrant would return for the topic.

        None if the candidates don't tell: Qdrant then runs the strategy for every topic, within the budget.
        """
        ...


@dataclass(frozen=True)
class TrainingTopics:
    """What to learn from.

    Attributes:
        hits: what the candidates found for each topic.
        qrels: the judgments.
        target: the collection.
        seed: of random draws.
    """

    hits: Sequence[TopicHits]
    qrels: Qrels
    target: Target
    seed: int = 0


@runtime_checkable
class Learner(Family, Protocol):
    """A family whose strategies hold numbers that are learned from judgments.

    Its `options` have the strategies' form before the learning, with the plain searches and payload keys that they read.
    """

    def learn(self, option: Option, setting: Setting, data: TrainingTopics) -> Option:
        """The option with the learned strategies: from all topics in `strategy`, from other topics in `by_topic`.

        Raises:
            FitError: there is too little to learn from; the option is left out for that reason.
        """
        ...


@dataclass(frozen=True, order=True)
class Effort:
    """The cost of a query, the dearest first: efforts compare in this order.

    Attributes:
        model_texts: texts that a model reads.
        round_trips: requests to Qdrant, one after the other.
        searches: plain searches in them.
        candidates: points that these hand on.
    """

    model_texts: int
    round_trips: int
    searches: int
    candidates: int


def effort_of(strategy: Strategy, limit: int, schema: Schema) -> Effort:
    """The cost of one query for `limit` results, with the round trips of several shards, e.g. of MMR for its candidates."""
    leaves = [stage for stage in strategy.stages() if not stage.candidates]
    alone = isinstance(strategy, Stage) and not strategy.candidates
    handed_on = limit if alone else sum(leaf.reach(limit) for leaf in leaves)
    trips = strategy.cost.round_trips + strategy.shard_round_trips(schema)
    return Effort(strategy.cost.reads, trips, len(leaves), handed_on)


@dataclass(frozen=True)
class Configuration(Plain):
    """One strategy that was tried.

    Attributes:
        name: what tables call it.
        family: its family's name.
        strategy: the strategy itself.
        parameters: the varied values, by name.
        mean: over all topics. The best of many means is too good to be true: see `held_out`.
        difference: of the mean to the baseline's.
        effort: the cost of a query.
        chosen: in how many splits it was chosen.
        held_in: its mean on the halves that it was chosen on; None if it never was.
        held_out: its mean on the other halves; None likewise.
        note: what its users should know.
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
class LeftOut(Plain):
    """A strategy that was not measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Ceiling(Plain):
    """The worth of the best possible order of the candidates.

    Attributes:
        value: the mean of the measure if all points found were in the order of their grades.
        perfect: the mean if all relevant documents were found and in that order.
        recall: the share of the relevant documents that was found, mean over topics that have some.
        candidate_recall: the same for each candidate alone.
        depth: how many points each candidate was asked for.
        advice: whether candidates or their order hold the measure down.
    """

    value: float
    perfect: float
    recall: float
    candidate_recall: Mapping[str, float]
    depth: int
    advice: str


@dataclass(frozen=True)
class AtBudget(ThreeWays):
    """Plain search, plain reranking and relevance feedback, where a model scores as many documents for the latter two.

    Where there are several of a kind, e.g. from several first searches, one half of the topics chooses among them, and the
    other half judges: all figures are of topics held out.

    Attributes:
        scored: how many documents the model scores for a query.
        best: "feedback" if it beats both others beyond chance, else "rerank" if that beats plain search, else "plain".
        configurations: of each of the three, the configuration with the best mean over all topics.
        results: how many results the measure looks at; beyond `scored`, the rest of the first search follows the reranked.
    """

    scored: int
    best: Verdict
    configurations: Mapping[Verdict, str]
    results: int


@dataclass(frozen=True)
class Tuning(Plain):
    """The configurations tried, their figures, and what to do.

    Attributes:
        measure: its name.
        topics: their ids.
        baseline: the strategy to beat, called "default" in tables.
        configurations: all that were tried, best mean first.
        chosen: the name of the configuration that the rule chooses with all topics.
        recommended: whether to use it: whether choosing was worth something on topics held out.
        strategy: the strategy to use: the chosen one if it is recommended, else the baseline.
        gain: over the baseline, on topics held out, with its interval: what choosing like this is worth.
        p: of the paired randomisation test on the held-out gains.
        split_gains: the held-out gain of each split.
        topic_gains: the held-out gain of each topic.
        detectable: the smallest true gain that so many topics would show with `power`; None if nothing ever differs.
        ceiling: what reordering could reach at all.
        left_out: strategies that were not measured, and why.
        failed: topic → the error of its search; in no mean.
        spent: what the tuning took.
        reasons: the recommendation's reasons in plain words.
        values: configuration → topic → value, in the order tried.
        alpha: how often a gain may be claimed where there is none.
        power: how sure a gain of the detectable size would be found.
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
    left_out: tuple[LeftOut, ...]
    failed: Mapping[str, str]
    spent: Spent
    reasons: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]] = field(repr=False)
    alpha: float = 0.05
    power: float = 0.8
    splits: int = 20
    synthetic: bool = False
    at_budget: tuple[AtBudget, ...] = ()

    def __getitem__(self, name: str) -> Configuration:
        """The configuration of this name. Raises KeyError."""
        return {configuration.name: configuration for configuration in self.configurations}[name]

    @property
    def curves(self) -> dict[str, tuple[Configuration, ...]]:
        """Family → its configurations, in the order tried."""
        found: dict[str, list[Configuration]] = {}
        for row in map(self.__getitem__, self.values):
            found.setdefault(row.family, []).append(row)
        return {family: tuple(rows) for family, rows in found.items()}

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
        """A `pandas.DataFrame` with a row for each configuration, best mean first. Raises ImportError without pandas."""
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


def reasons_of(tuning: Tuning, real: bool) -> Iterator[str]:
    """The sentences of a recommendation, where the held-out gain is `real` beyond chance or not."""
    yield from _switch(tuning) if tuning.recommended else _keep(tuning, real)
    for compared in tuning.at_budget:
        yield from _at_budget(compared, tuning.measure)
    yield tuning.ceiling.advice
    if left_out := tuning.left_out:
        several = f"{len(left_out)} configurations were left out, e.g."
        were = "1 configuration was left out," if len(left_out) == 1 else several
        yield f"{were} {left_out[0].name}: {left_out[0].reason}."
    if count := len(tuning.failed):
        topics, are = (f"{count} topics", "are") if count > 1 else ("1 topic", "is")
        yield f"{topics} could not be searched for and {are} left out of everything."
    if tuning.synthetic:
        yield f"But these results are {SYNTHETIC_NOTE}."


def _switch(tuning: Tuning) -> Iterator[str]:
    chosen, base, best = tuning[tuning.chosen], tuning[DEFAULT], tuning.configurations[0]
    yield (
        f"Use {chosen.name}: choosing like this is worth {tuning.gain.as_gain(tuning.measure)} over the default, on topics "
        f"that played no part in the choice ({write_p(tuning.p)}, {len(tuning.topics)} topics)."
    )
    better = sum(gain > 0 for gain in tuning.split_gains)
    yield (
        f"With all topics it reaches {chosen.mean:.4f}, the default {base.mean:.4f}; it was chosen in {chosen.chosen} of "
        f"{len(tuning.split_gains)} splits, and what was chosen did better in {better} of them."
    )
    if chosen.note:
        yield chosen.note
    if best is not chosen:
        yield (
            f"{best.name} has a mean that is {best.mean - chosen.mean:.4f} higher, which is within one standard error: "
            "the cheaper one is preferred."
        )
    if chosen.effort > base.effort:
        yield f"It costs more than the default: {_effort(chosen.effort)} a query instead of {_effort(base.effort)}."


def _keep(tuning: Tuning, real: bool) -> Iterator[str]:
    best, ahead, tried = tuning.configurations[0], tuning.configurations[0].difference, len(tuning.configurations)
    if ahead <= SAME:
        yield f"Keep the default: none of {tried - 1} other configurations has a higher mean {tuning.measure} on these topics."
    elif real:
        yield (
            "Keep the default: other configurations were ahead in some splits, but with all topics the default can't be told "
            "from the best, and is as cheap as any."
        )
    else:
        yield (
            f"Keep the default: the best of {tried} configurations, {best.name}, is ahead by {ahead:.4f} {tuning.measure} on "
            f"the topics it was picked on, but choosing like this is worth {tuning.gain.as_gain(tuning.measure)} on topics "
            f"held out ({write_p(tuning.p)}), which can't be told from nothing."
        )
    if tuning.detectable is not None:
        yield (
            f"{len(tuning.topics)} topics show true gains from about {tuning.detectable:.3f} up ({tuning.power:.0%} of the "
            "time): a smaller one may be there, and would take more judged topics to show."
        )


def _at_budget(found: AtBudget, measure: str) -> Iterator[str]:
    steered, over_rerank = found.over_plain.as_gain(measure), found.over_rerank.as_gain(measure)
    reranked = found.rerank_over_plain.as_gain(measure)
    yield (
        f"With {found.scored} documents scored for a query, on topics held out: plain search {found.plain:.4f}, reranking "
        f"{found.rerank:.4f}, feedback {found.feedback:.4f}."
    )
    if found.best == "feedback":
        yield f"Feedback wins: it is worth {steered} over plain search, and {over_rerank} over reranking as many."
        return
    if found.best == "rerank":
        yield (
            f"Reranking wins: it is worth {reranked} over plain search, and feedback isn't better than it for certain, "
            f"{over_rerank}."
        )
    else:
        yield (
            f"None of them wins for certain: reranking is worth {reranked} over plain search, feedback {steered}, and "
            f"{over_rerank} over reranking as many; plain search is the cheapest."
        )


def _effort(effort: Effort) -> str:
    read = f", {effort.model_texts} texts read by the model" if effort.model_texts else ""
    searches = f"{effort.searches} search{'' if effort.searches == 1 else 'es'} with {effort.candidates} candidates"
    trips = f", {effort.round_trips} round trips" if effort.round_trips > 1 else ""
    return searches + trips + read
