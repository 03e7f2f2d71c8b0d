"""`compare`: systems beside a baseline, on the same topics and judgments; and `check`, which fails a build."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import StrategyError
from .._internals import did_you_mean
from .comparisons import Change, Comparison, Difference
from .frontier import frontiers
from .intervals import bootstrap_interval
from .results import Evaluation
from .significance import detectable_difference, holm, randomisation_p, topics_needed
from .verdicts import Numbers, finding_of, verdict_of

__all__ = ["check", "compare"]

_SAME = 1e-12


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

    For each: the mean difference with its paired bootstrap interval, a paired randomisation test, corrected by Holm's
    method for all systems compared, what difference these topics could show at all, and a verdict in plain words. With
    fewer than 25 topics there is no claim.

    Args:
        evaluations: two or more, of the same topics and judgments, with names of their own.
        baseline: the name of the one that the others are compared with; the first if None.
        measure: which measure; the first that all have if None. Say it beforehand: the best of several is no finding.
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
    gaps = {other.name: _gaps(base, other, chosen) for other in others}
    ps = [randomisation_p(gap, seed=seed) for gap in gaps.values()]
    adjusted = dict(zip(gaps, holm(ps), strict=True))
    rows: list[Difference] = []
    for other, p in zip(others, ps, strict=True):
        gap = gaps[other.name]
        settings = {"alpha": alpha, "power": power}
        numbers = Numbers(
            name=other.name,
            baseline=base.name,
            measure=chosen,
            difference=bootstrap_interval(gap, level=1 - alpha, seed=seed),
            p_adjusted=adjusted[other.name],
            topics=len(gap),
            detectable=detectable_difference(gap, comparisons=len(others), **settings),
            topics_needed=topics_needed(gap, comparisons=len(others), **settings),
            compared=len(others),
            wins=sum(value > _SAME for value in gap),
            ties=sum(abs(value) <= _SAME for value in gap),
            losses=sum(value < -_SAME for value in gap),
            **settings,
        )
        rows.append(_row(numbers, p, base, other, _changes(base, other, chosen, changes, explain)))
    return Comparison(
        measure=chosen,
        baseline=base.name,
        differences=tuple(rows),
        evaluations=tuple(evaluations),
        topics=len(base.values[chosen]),
        alpha=alpha,
        power=power,
        frontiers=frontiers(evaluations, chosen),
        synthetic=any(one.synthetic for one in evaluations),
    )


def check(
    result: Evaluation | Comparison, *, fail_under: float | None = None, measure: str | None = None, fail_worse: bool = False
) -> tuple[str, ...]:
    """What is not good enough, one sentence each; nothing if all is well. For builds that must fail.

    Args:
        result: an evaluation, or a comparison; of the latter, the systems beside the baseline are checked.
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


def _gaps(base: Evaluation, other: Evaluation, measure: str) -> list[float]:
    return [value - base.values[measure][topic] for topic, value in other.values[measure].items()]


def _changes(base: Evaluation, other: Evaluation, measure: str, count: int, explain: bool) -> tuple[Change, ...]:
    before, after = base.values[measure], other.values[measure]
    changed = [topic for topic in before if abs(after[topic] - before[topic]) > _SAME]
    changed.sort(key=lambda topic: (-abs(after[topic] - before[topic]), topic))
    return tuple(_change(topic, base, other, before[topic], after[topic], explain) for topic in changed[:count])


def _change(topic: str, base: Evaluation, other: Evaluation, before: float, after: float, explain: bool) -> Change:
    def ranking(one: Evaluation) -> tuple[str, ...]:
        return one.run[topic].doc_ids[:10] if topic in one.run else ()

    def why(one: Evaluation) -> tuple[str, ...]:
        return one.why(topic)[:10] if explain and one.why is not None else ()

    return Change(
        topic=topic,
        text=base.texts.get(topic, ""),
        before=before,
        after=after,
        ranking_before=ranking(base),
        ranking_after=ranking(other),
        relevant=base.relevant.get(topic, {}),
        why_before=why(base),
        why_after=why(other),
    )


def _row(numbers: Numbers, p: float, base: Evaluation, other: Evaluation, changes: tuple[Change, ...]) -> Difference:
    return Difference(
        name=other.name,
        mean=other.means[numbers.measure].estimate,
        baseline_mean=base.means[numbers.measure].estimate,
        difference=numbers.difference,
        p=p,
        p_adjusted=numbers.p_adjusted,
        wins=numbers.wins,
        ties=numbers.ties,
        losses=numbers.losses,
        detectable=numbers.detectable,
        topics_needed=numbers.topics_needed,
        finding=finding_of(numbers),
        verdict=verdict_of(numbers) + (f" {_synthetic()}" if base.synthetic or other.synthetic else ""),
        changes=changes,
    )


def _synthetic() -> str:
    return "But the queries are synthetic, cut from the documents: this says nothing about real users."
