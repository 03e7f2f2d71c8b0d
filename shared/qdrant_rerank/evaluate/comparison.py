"""`compare`: systems beside a baseline, what chance alone could do, and a verdict that claims no more than that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .. import StrategyError
from .._internals import as_table, did_you_mean
from .data import Plain, frame
from .evaluation import Evaluation
from .statistics import (
    LEAST_TOPICS,
    SAME,
    Interval,
    bootstrap_interval,
    detectable_difference,
    holm,
    randomisation_p,
    topics_needed,
    write_p,
)

Finding: TypeAlias = Literal["better", "worse", "no difference", "too few topics"]
"""What can be said of a system beside its baseline."""


@dataclass(frozen=True)
class TopicChange(Plain):
    """One topic that two systems answer differently.

    Attributes:
        topic: its id.
        text: the query.
        before: the baseline's value.
        after: the other's value.
        ranking_before: the baseline's first documents, best first.
        ranking_after: the other's.
        relevant: the relevant documents with their grades, best first.
        why_before, why_after: why each ranked so, a text for each result; empty unless explanations were asked for.
    """

    topic: str
    text: str
    before: float
    after: float
    ranking_before: tuple[str, ...] = ()
    ranking_after: tuple[str, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict)
    why_before: tuple[str, ...] = ()
    why_after: tuple[str, ...] = ()

    @property
    def change(self) -> float:
        """How much better the other is; negative where it is worse."""
        return self.after - self.before


@dataclass(frozen=True)
class Difference(Plain):
    """One system beside the baseline, on the same topics.

    Attributes:
        name: the system.
        mean, baseline_mean: its mean and the baseline's.
        difference: mean of the topics' differences, with its paired bootstrap interval.
        p: of the two-sided paired randomisation (sign-flip) test.
        p_adjusted: `p` after Holm's correction for all systems that are compared with the baseline.
        wins, ties, losses: on how many topics it is better than the baseline, as good, and worse.
        detectable: the smallest true difference that these topics would show with the comparison's power; None with too few.
        topics_needed: how many topics would show a true difference as large as the observed one; None if none was observed.
        finding: what can be said.
        verdict: the same in plain words.
        changes: the topics with the largest changes, largest first.
    """

    name: str
    mean: float
    baseline_mean: float
    difference: Interval
    p: float
    p_adjusted: float
    wins: int
    ties: int
    losses: int
    detectable: float | None
    topics_needed: int | None
    finding: Finding
    verdict: str
    changes: tuple[TopicChange, ...] = ()


@dataclass(frozen=True)
class Comparison(Plain):
    """Systems beside a baseline, by one measure.

    Attributes:
        measure: its name.
        baseline: the baseline's name.
        differences: one for each other system, in the order given.
        evaluations: all systems, the baseline included.
        topics: how many there are.
        alpha: how often a difference may be claimed where there is none, over all comparisons together.
        power: how often a true difference of the detectable size would be found.
        frontiers: cost (`p50_ms`, `round_trips`, `model_texts`) → the systems that no other beats in quality and in that
            cost at once, cheapest first. A cost that isn't known of every system is left out.
        synthetic: whether the queries were made from documents.
    """

    measure: str
    baseline: str
    differences: tuple[Difference, ...]
    evaluations: tuple[Evaluation, ...]
    topics: int
    alpha: float
    power: float
    frontiers: Mapping[str, tuple[str, ...]]
    synthetic: bool = False

    def __getitem__(self, name: str) -> Difference:
        """The system of this name beside the baseline. Raises KeyError."""
        return {difference.name: difference for difference in self.differences}[name]

    def to_frame(self) -> Any:
        """A `pandas.DataFrame` with a row for each system beside the baseline. Raises ImportError without pandas."""
        left_out = "changes", "difference"
        return frame(
            {key: value for key, value in row.as_dict().items() if key not in left_out}
            | {"difference": row.difference.estimate, "low": row.difference.low, "high": row.difference.high}
            for row in self.differences
        )

    @property
    def _caption(self) -> str:
        return f"{self.measure} on {self.topics} topics, beside {self.baseline}"

    def __str__(self) -> str:
        return "\n".join([f"{self._caption}:", *self.verdicts])

    def _repr_html_(self) -> str:
        rows = [
            (row.name, row.mean, f"{row.difference.estimate:+.4f}", row.p_adjusted, row.wins, row.losses, row.finding)
            for row in self.differences
        ]
        head = ("system", "mean", "difference", "p, corrected", "better on", "worse on", "finding")
        return as_table(self._caption, head, rows, below="\n".join(self.verdicts))

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What can be said of each system, in plain words."""
        return tuple(difference.verdict for difference in self.differences)


def decide(difference: float, p_adjusted: float, topics: int, alpha: float) -> Finding:
    """What can be said: with fewer than `LEAST_TOPICS` topics nothing, else what the corrected test says."""
    if topics < LEAST_TOPICS:
        return "too few topics"
    if p_adjusted > alpha or not difference:
        return "no difference"
    return "better" if difference > 0 else "worse"


def write_verdict(comparison: Comparison, row: Difference, labels: Mapping[str, str] = MappingProxyType({})) -> str:
    """The finding on one system in plain words, with the numbers behind it; `labels` are names other than systems' own."""
    name, base = (labels.get(name, name) for name in (row.name, comparison.baseline))
    measure, found = comparison.measure, row.difference
    topics = f"{comparison.topics} topic{'' if comparison.topics == 1 else 's'}"
    seen, compared = found.as_gain(measure), len(comparison.differences)
    corrected = f" after correction for {compared} comparisons" if compared > 1 else ""
    seen_and_tested = f"{seen}, {write_p(row.p_adjusted)}{corrected}, {row.wins} better, {row.ties} same, {row.losses} worse."
    match row.finding:
        case "too few topics":
            few = f"{topics} {'is' if comparison.topics == 1 else 'are'} too few"
            text = f"No claim about {name}: {few}; any claim needs at least {LEAST_TOPICS}."
            if row.topics_needed is not None:
                text += f" To show a difference as large as the one seen, {seen}, takes about {row.topics_needed:,}."
        case "better":
            text = f"{name} is better than {base}: {seen_and_tested}"
        case "worse":
            text = f"Keep {base}: {name} is worse, {seen_and_tested}"
        case "no difference" if row.ties == comparison.topics:
            text = f"Keep {base}: {name} scores the same {measure} on every one of {topics}."
        case _:  # no difference
            text = f"Keep {base}: {name} shows no difference that can be told from chance: {seen_and_tested}"
            if row.detectable is not None:
                text += (
                    f" {topics} show true differences from about {row.detectable:.3f} up ({comparison.power:.0%} of the time)"
                )
                needed = row.topics_needed
                text += f"; one of {abs(found.estimate):.4f} would take about {needed:,}." if needed else "."
    if comparison.synthetic:
        text += " But the queries are synthetic, cut from the documents: this says nothing about real users."
    return text


def frontier(points: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """The names that no other beats: none is at least as good at no higher cost, and better in one of the two.

    Args:
        points: name → (cost, quality). Less cost is better, more quality is better.

    Returns:
        The names, cheapest first.
    """

    def beaten(name: str) -> bool:
        cost, quality = points[name]
        return any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points.values())

    return tuple(sorted((name for name in points if not beaten(name)), key=lambda name: points[name]))


def _frontiers(evaluations: Sequence[Evaluation], measure: str) -> dict[str, tuple[str, ...]]:
    """The front for each cost that is known of every system."""
    found: dict[str, tuple[str, ...]] = {}
    for cost in ("p50_ms", "round_trips", "model_texts"):
        points = {one.name: (getattr(one.costs, cost), one.means[measure].estimate) for one in evaluations}
        if all(spent is not None for spent, _ in points.values()):
            found[cost] = frontier(points)
    return found


def compare(
    evaluations: Sequence[Evaluation],
    baseline: str | None = None,
    measure: str | None = None,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    changes: int = 5,
    explain: bool = False,
    seed: int = 0,
) -> Comparison:
    """Each system beside the baseline, topic by topic.

    Each gets its mean difference with a paired bootstrap interval, a paired randomisation test (corrected by Holm's method
    for all systems compared), the difference that these topics could show at all, and a verdict in plain words. With fewer
    than 25 topics there is no claim.

    Args:
        evaluations: two or more, of the same topics and judgments, with names of their own.
        baseline: the name of the one that the others are compared with; the first if None.
        measure: which measure; the first that all have if None. Choose it beforehand: the best of several is no finding.
        alpha: how often a difference may be claimed where there is none, over all systems together.
        power: how sure a difference should be found, for `detectable` and `topics_needed`.
        changes: how many topics with the largest changes to show for each system.
        explain: whether to ask Qdrant why the results of these topics are where they are, for strategies that can be
            explained: one request for each ranking shown.
        seed: of the resampling.

    Raises:
        StrategyError: the evaluations can't be compared, or an argument is wrong.
        MissingExtra: scipy isn't installed.
    """
    base, others, chosen = _chosen(list(evaluations), baseline, measure)
    if not 0 < alpha < 1 or not 0 < power < 1:
        raise StrategyError(f"alpha and power must be between 0 and 1, got {alpha!r} and {power!r}")
    gaps = [[value - base.values[chosen][topic] for topic, value in other.values[chosen].items()] for other in others]
    ps = [randomisation_p(gap, seed=seed) for gap in gaps]
    comparison = Comparison(
        measure=chosen,
        baseline=base.name,
        differences=tuple(
            Difference(
                name=other.name,
                mean=other.means[chosen].estimate,
                baseline_mean=base.means[chosen].estimate,
                difference=(found := bootstrap_interval(gap, level=1 - alpha, seed=seed)),
                p=p,
                p_adjusted=adjusted,
                wins=sum(value > SAME for value in gap),
                ties=sum(abs(value) <= SAME for value in gap),
                losses=sum(value < -SAME for value in gap),
                detectable=detectable_difference(gap, comparisons=len(others), alpha=alpha, power=power),
                topics_needed=topics_needed(gap, comparisons=len(others), alpha=alpha, power=power),
                finding=decide(found.estimate, adjusted, len(gap), alpha),
                verdict="",
                changes=_changes(base, other, chosen, changes, explain),
            )
            for other, gap, p, adjusted in zip(others, gaps, ps, holm(ps), strict=True)
        ),
        evaluations=tuple(evaluations),
        topics=len(base.values[chosen]),
        alpha=alpha,
        power=power,
        frontiers=_frontiers(evaluations, chosen),
        synthetic=any(one.synthetic for one in evaluations),
    )
    rows = comparison.differences
    return replace(comparison, differences=tuple(replace(row, verdict=write_verdict(comparison, row)) for row in rows))


@dataclass(frozen=True)
class ThreeWays(Plain):
    """Plain search, plain reranking and relevance feedback on the same topics, none judged by what it was made from.

    Attributes:
        plain, rerank, feedback: the means.
        over_plain, over_rerank: how much better feedback is, with bootstrap intervals; reranking reads as many documents.
        rerank_over_plain: how much better reranking is.
    """

    plain: float
    rerank: float
    feedback: float
    over_plain: Interval
    over_rerank: Interval
    rerank_over_plain: Interval

    @classmethod
    def of(cls, values: Mapping[str, ArrayLike], *, alpha: float = 0.05, seed: int = 0, **more: Any) -> Self:
        """Systems by their values ("plain", "rerank" and "feedback" → one for each topic); `more` are other attributes."""
        plain, rerank, feedback = (np.asarray(values[name], np.float64) for name in ("plain", "rerank", "feedback"))
        over_plain, over_rerank, reranked = (
            bootstrap_interval(gaps.tolist(), level=1 - alpha, seed=seed)
            for gaps in (feedback - plain, feedback - rerank, rerank - plain)
        )
        means = float(plain.mean()), float(rerank.mean()), float(feedback.mean())
        return cls(*means, over_plain, over_rerank, reranked, **more)


def check(
    result: Evaluation | Comparison, *, fail_under: float | None = None, measure: str | None = None, fail_worse: bool = False
) -> tuple[str, ...]:
    """What is not good enough, one sentence each, for builds that must fail.

    Args:
        result: an evaluation, or a comparison, whose systems beside the baseline are checked.
        fail_under: the least mean that is good enough.
        measure: of which measure; the comparison's, or an evaluation's first, if None.
        fail_worse: whether a system that is worse than the baseline, beyond chance, is not good enough.

    Raises:
        StrategyError: there is no such measure, or `fail_worse` without a comparison.
    """
    if isinstance(result, Evaluation):
        if fail_worse:
            raise StrategyError("fail_worse= needs a comparison: worse than what?")
        return tuple(_too_low([result], measure or result.measures[0], fail_under))
    judged = [one for one in result.evaluations if one.name != result.baseline]
    problems = _too_low(judged, measure or result.measure, fail_under)
    if fail_worse:
        problems += [row.verdict for row in result.differences if row.finding == "worse"]
    return tuple(problems)


def _too_low(evaluations: Sequence[Evaluation], measure: str, least: float | None) -> list[str]:
    if least is None:
        return []
    if not math.isfinite(least):
        raise StrategyError(f"fail_under must be a finite number, got {least!r}")
    found = [(one.name, _mean(one, measure)) for one in evaluations]
    return [f"{name}: {measure} is {mean:.4f}, which is under {least:g}" for name, mean in found if mean < least]


def _mean(evaluation: Evaluation, measure: str) -> float:
    if measure not in evaluation.means:
        raise StrategyError(f"{evaluation.name} was not measured by {measure!r}; there is {', '.join(evaluation.measures)}")
    return evaluation.means[measure].estimate


def _chosen(
    evaluations: list[Evaluation], baseline: str | None, measure: str | None
) -> tuple[Evaluation, list[Evaluation], str]:
    """The baseline, the others, and the measure; or why they can't be compared."""
    names = [one.name for one in evaluations]
    if len(names) < 2:
        raise StrategyError(f"a comparison takes at least two evaluations, got {len(names)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise StrategyError(f"two evaluations have the name {twice!r}: give each its own with evaluate(…, name='…')")
    if baseline is not None and baseline not in names:
        raise StrategyError(f"no evaluation {baseline!r}{did_you_mean(baseline, names)} (there are {', '.join(names)})")
    base = evaluations[0] if baseline is None else evaluations[names.index(baseline)]
    for other in evaluations:
        _check_alike(base, other)
    common = [name for name in base.measures if all(name in one.values for one in evaluations)]
    if not common:
        raise StrategyError(f"no measure is common to {', '.join(names)}: evaluate them with the same measures=")
    if measure is not None and measure not in common:
        raise StrategyError(f"not all were measured by {measure!r}{did_you_mean(measure, common)} (all: {', '.join(common)})")
    return base, [one for one in evaluations if one is not base], measure or common[0]


def _check_alike(base: Evaluation, other: Evaluation) -> None:
    for what, ours, theirs in (
        ("topics", base.topics_fingerprint, other.topics_fingerprint),
        ("judgments", base.qrels_fingerprint, other.qrels_fingerprint),
    ):
        if ours != theirs:
            raise StrategyError(
                f"{base.name} and {other.name} were evaluated with different {what} "
                f"({len(base.coverage.measured)} and {len(other.coverage.measured)} topics measured): only like can be compared"
            )


def _changes(base: Evaluation, other: Evaluation, measure: str, count: int, explain: bool) -> tuple[TopicChange, ...]:
    before, after = base.values[measure], other.values[measure]
    changed = [topic for topic in before if abs(after[topic] - before[topic]) > SAME]
    changed.sort(key=lambda topic: (-abs(after[topic] - before[topic]), topic))

    def rank(one: Evaluation, topic: str) -> tuple[str, ...]:
        return one.run[topic].doc_ids[:10] if topic in one.run else ()

    def why(one: Evaluation, topic: str) -> tuple[str, ...]:
        return one.why(topic)[:10] if explain and one.why is not None else ()

    return tuple(
        TopicChange(
            topic=topic,
            text=base.texts.get(topic, ""),
            before=before[topic],
            after=after[topic],
            ranking_before=rank(base, topic),
            ranking_after=rank(other, topic),
            relevant=base.relevant.get(topic, {}),
            why_before=why(base, topic),
            why_after=why(other, topic),
        )
        for topic in changed[:count]
    )
