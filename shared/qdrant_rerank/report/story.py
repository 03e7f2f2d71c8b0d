"""What a report says in plain words: the summary's three sentences, the warnings, and what to do next.

Never more than the comparison's findings bear: a system is recommended only where it is "better" there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from ..evaluate import LEAST_TOPICS, Comparison, Difference, Evaluation
from ..evaluate._internals import SYNTHETIC_NOTE
from .parts import Contents
from .tuning import answer_of_tuning, describe_tuning, list_tuning_steps, mention_tuning, sum_up_tuning
from .words import System, amount, count, interval, join_words, quality, shorten, systems_of, write_difference, write_p

__all__ = ["Story", "foremost", "steps_of", "story_of", "systems_in", "warnings_of"]


@dataclass(frozen=True)
class Story:
    """A report in words.

    Attributes:
        measured: what was measured on what.
        found: what is best, and whether that is real.
        next: what to do.
        warnings: what must be known beside the numbers.
        steps: what to do, in order.
    """

    measured: str
    found: str
    next: str
    warnings: tuple[str, ...]
    steps: tuple[str, ...]


def story_of(report: Contents) -> Story:
    """All that the report says in words."""
    systems, comparison = systems_in(report), report.comparison
    if comparison is None and not report.evaluations:
        found, then = sum_up_tuning(report.tuning), answer_of_tuning(report.tuning)
    elif comparison is None:
        [one] = report.evaluations
        found, then = _of_one(one, systems[one.name])
    else:
        found, then = _found(comparison, systems), _next(comparison, systems)
    best = foremost(comparison) if comparison else None
    return Story(
        measured=_measured(report, systems) if report.evaluations else describe_tuning(report.tuning),
        found=found,
        next=_with_tuning(then, report) if report.evaluations else then,
        warnings=warnings_of(report, systems),
        steps=steps_of(report, systems, best, then),
    )


def _with_tuning(then: str, report: Contents) -> str:
    """What to do, with what tuning says beside; its default need not be the comparison's baseline."""
    said = mention_tuning(report.tuning)
    return f"{then.rstrip('.')}; {said}." if said else then


def systems_in(report: Contents) -> dict[str, System]:
    """Name → how the system appears in this report."""
    names = [one.name for one in report.evaluations]
    return systems_of(names, report.comparison.baseline if report.comparison else None)


def foremost(comparison: Comparison) -> Difference:
    """The system that the report shows in full: of those better than the baseline the best, else the best of the others."""
    better = [row for row in comparison.differences if row.finding == "better"]
    return max(better or comparison.differences, key=lambda row: row.mean)


def _measured(report: Contents, systems: dict[str, System]) -> str:
    first, comparison = report.evaluations[0], report.comparison
    measure = comparison.measure if comparison else first.measures[0]
    queries = count(len(first.coverage.measured), "synthetic query" if first.synthetic else "query")
    queries = queries.replace("querys", "queries")
    who = systems[first.name].label if len(systems) == 1 else f"{len(systems)} systems"
    asked = (
        f"{who} {'was' if len(systems) == 1 else 'were'} asked the same {queries}"
        if comparison
        else f"{who} was asked {queries}"
    )
    beside = f", with {systems[comparison.baseline].label} as the baseline" if comparison else ""
    return f"{asked} with known relevant documents and measured by {measure}{beside}."


def _of_one(one: Evaluation, system: System) -> tuple[str, str]:
    measure = one.measures[0]
    mean = one.means[measure]
    within = f" ({mean.level:.0%} interval {interval(mean)})" if interval(mean) else ""
    found = (
        f"{system.label} reaches a mean {measure} of {quality(mean.estimate)}{within}; alone, that says neither good nor bad."
    )
    return found, "Evaluate what you could use instead on the same queries, and compare both before you change anything."


def _found(comparison: Comparison, systems: dict[str, System]) -> str:
    row = foremost(comparison)
    label, base = systems[row.name].label, systems[comparison.baseline].label
    seen = f"{write_difference(row.difference.estimate)} {comparison.measure}"
    within = interval(row.difference, sign=True)
    seen += f" ({row.difference.level:.0%} interval {within})" if within else ""
    corrected = f" after correction for {len(comparison.differences)} comparisons" if len(comparison.differences) > 1 else ""
    match row.finding:
        case "too few topics":
            return (
                f"Nothing can be claimed from {count(comparison.topics, 'query', 'queries')}, as any claim needs at least "
                f"{LEAST_TOPICS}; the difference seen between {label} and {base} is {seen}."
            )
        case "better":
            others = [systems[one.name].label for one in comparison.differences if one.finding == "better" and one is not row]
            also = f"; {join_words(others)} {'is' if len(others) == 1 else 'are'} better than {base} too" if others else ""
            return (
                f"{label} is better than {base}, by {seen}, and chance alone would seldom do that "
                f"(p {_equals(row.p_adjusted)}{corrected}){also}."
            )
        case "worse":
            return f"{_all(comparison)} worse than {base}, beyond what chance does: even the best of them, {label}, by {seen}."
        case "no difference":
            if row.ties == comparison.topics:
                return f"{label} scores the same as {base} on every query, and no other system is better."
            return (
                f"No system is shown to be better than {base}: the best of the others, {label}, differs from it by {seen}, "
                f"which chance alone would often do (p {_equals(row.p_adjusted)}{corrected})."
            )
    assert_never(row.finding)


def _all(comparison: Comparison) -> str:
    return "The other system is" if len(comparison.differences) == 1 else "All other systems are"


def _equals(p: float) -> str:
    return write_p(p) if p < 0.001 else f"= {write_p(p)}"


def _next(comparison: Comparison, systems: dict[str, System]) -> str:
    row = foremost(comparison)
    label, base = systems[row.name].label, systems[comparison.baseline].label
    but = "; but first ask queries of real users, as these are synthetic" if comparison.synthetic else ""
    match row.finding:
        case "better":
            return f"Use {label}{_price(comparison, row)}{but}."
        case "worse":
            return f"Keep the default, {base}{but}."
        case "too few topics":
            needed = f", and about {row.topics_needed:,} to show a difference this large" if row.topics_needed else ""
            return f"Keep the default, {base}, until more queries are judged: at least {LEAST_TOPICS}{needed}{but}."
        case "no difference":
            needed = f"; about {row.topics_needed:,} queries would settle a difference this small" if row.topics_needed else ""
            return f"Keep the default, {base}{needed}{but}."
    assert_never(row.finding)


def _price(comparison: Comparison, row: Difference) -> str:
    """What the better system costs more, or less, than the baseline; "" where that isn't known."""
    costs = {one.name: one.costs for one in comparison.evaluations}
    ours, theirs = costs[row.name], costs[comparison.baseline]
    parts = [
        f"{amount(after)} instead of {amount(before)} {what}"
        for after, before, what in (
            (ours.p50_ms, theirs.p50_ms, "ms at the median"),
            (ours.round_trips, theirs.round_trips, "round trips"),
            (ours.model_texts, theirs.model_texts, "texts read by a model"),
        )
        if after is not None and before is not None and amount(after) != amount(before)
    ]
    return f", if its price is right: {join_words(parts)} for each query" if parts else ""


def steps_of(report: Contents, systems: dict[str, System], best: Difference | None, then: str) -> tuple[str, ...]:
    """The steps, a sentence or two each.

    Args:
        report: what there is.
        systems: how they appear.
        best: the system shown in full beside the baseline, if there are several.
        then: what follows from the comparison alone.
    """
    steps = list(_mending(report, systems))
    if not report.evaluations:
        return list_tuning_steps(report.tuning)
    steps.append(then)
    if answer := answer_of_tuning(report.tuning):
        default = shorten(repr(report.tuning.baseline), 70)
        steps.append(f"Read what tuning says, whose default is {default}: {answer}")
    if report.comparison is not None and best is not None:
        steps += _looking(report.comparison, best, systems)
    return tuple(steps)


def _mending(report: Contents, systems: dict[str, System]) -> Iterator[str]:
    for one in report.evaluations:
        if failed := one.coverage.failed:
            failures = count(len(failed), "query", "queries")
            yield f"Find out why {failures} failed with {systems[one.name].label}: they count as 0, which hides what it can do."


def _looking(comparison: Comparison, best: Difference, systems: dict[str, System]) -> Iterator[str]:
    label = systems[best.name].label
    if comparison.synthetic:
        yield "Collect queries of real users with judgments, a hundred or more, and compare again."
    if best.losses and best.finding == "better":
        yield f"Read the {count(best.losses, 'query', 'queries')} on which {label} lost: do they matter more to you?"
    elif best.finding == "no difference" and best.detectable is not None:
        yield (
            f"Decide whether a smaller gain would be worth judging more queries for: these {comparison.topics} show true "
            f"differences from about {quality(best.detectable)} {comparison.measure} up, {comparison.power:.0%} of the time."
        )
    if best.finding == "better":
        yield from _cheaper(comparison, best, systems)
    if best.finding == "better" and len(comparison.differences) > 1:
        yield (
            f"Confirm {label} on queries that had no part in choosing it: the best of {len(comparison.evaluations)} systems "
            "looks a little better on the queries it was chosen by than it is."
        )
    if best.finding == "better":
        yield f"Once {label} is in use, run check(compare(…), fail_worse=True) in your builds, so that a loss is noticed."


def _cheaper(comparison: Comparison, best: Difference, systems: dict[str, System]) -> Iterator[str]:
    """A system that is better than the baseline as well, and cheaper than the best."""
    costs = {one.name: one.costs for one in comparison.evaluations}
    for cost, what in (
        ("p50_ms", "ms at the median"),
        ("round_trips", "round trips"),
        ("model_texts", "texts read by a model"),
    ):
        spent = {row.name: getattr(costs[row.name], cost) for row in comparison.differences if row.finding == "better"}
        if cost not in comparison.frontiers or spent.get(best.name) is None:
            continue
        cheapest = min(spent, key=lambda name: (spent[name], name))
        if spent[cheapest] < 0.9 * spent[best.name]:
            ours, theirs = systems[cheapest].label, systems[best.name].label
            yield (
                f"Consider {ours}, which is better than the baseline too, at {amount(spent[cheapest])} instead of "
                f"{amount(spent[best.name])} {what}. Whether {theirs} is really better than {ours} was not tested: "
                f"compare(…, baseline={shorten(cheapest, 40)!r}) tells."
            )
            return


_UNEVEN: Final = 0.1  # of the first ten results; such a gap can turn a comparison round


def warnings_of(report: Contents, systems: dict[str, System]) -> tuple[str, ...]:
    """The warnings, one or two sentences each."""
    found = (
        [f"All results are {SYNTHETIC_NOTE}."]
        if any(one.synthetic for one in report.evaluations) or getattr(report.tuning, "synthetic", False)
        else []
    )
    notes: dict[str, list[str]] = {}
    for one in report.evaluations:
        for note in one.notes:
            if SYNTHETIC_NOTE not in note and note != _shallow_note(one):
                notes.setdefault(note, []).append(systems[one.name].label)
    common = [note for note, whose in notes.items() if len(whose) == len(systems)]
    own = [f"{join_words(whose)}: {note}" for note, whose in notes.items() if len(whose) < len(systems)]
    return (*found, *own, *common, *_shallow(report, systems), *_judged(report, systems))


def _shallow_note(one: Evaluation) -> str:
    return f"The longest ranking has {one.coverage.depth} results, and the measures look at {one.coverage.deepest}."


def _shallow(report: Contents, systems: dict[str, System]) -> list[str]:
    """The notes on short rankings as one, since they come together."""
    lengths = {one.name: one.coverage for one in report.evaluations if _shallow_note(one) in one.notes}
    if not lengths:
        return []
    found = join_words([f"{systems[name].label} {coverage.depth}" for name, coverage in lengths.items()])
    return [
        f"The measures look at {max(one.deepest for one in lengths.values())} results, and some rankings end before: {found}."
    ]


def _judged(report: Contents, systems: dict[str, System]) -> list[str]:
    shares = {
        systems[one.name].label: one.coverage.judged_at_10
        for one in report.evaluations
        if one.coverage.judged_at_10 is not None
    }
    if not shares:
        return []
    least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    text = "Results that nobody judged count as not relevant"
    if shares[most] - shares[least] >= _UNEVEN:
        return [
            f"{text}, which puts {least} at a disadvantage: {shares[least]:.0%} of its first 10 results were judged, against "
            f"{shares[most]:.0%} of {most}'s."
        ]
    if shares[least] >= 0.995:
        return []
    share = f"{shares[least]:.0%}" + (f" to {shares[most]:.0%}" if f"{shares[least]:.0%}" != f"{shares[most]:.0%}" else "")
    return [f"{text}: of the first 10 results, {share} were judged."]
