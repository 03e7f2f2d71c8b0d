"""What to do next, in order: mend, decide, look, confirm, keep watch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..evaluate import Comparison, Difference
from . import tuned
from .labels import System
from .words import amount, count, quality, shortened

if TYPE_CHECKING:
    from .document import Report

__all__ = ["steps_of"]


def steps_of(report: Report, systems: dict[str, System], best: Difference | None, then: str) -> tuple[str, ...]:
    """The steps, a sentence or two each.

    Args:
        report: what there is.
        systems: how they appear.
        best: the system shown in full beside the baseline, if there are several.
        then: what follows from the comparison alone.
    """
    steps = list(_mending(report, systems))
    if not report.evaluations:
        return tuned.steps(report.tuning)
    steps.append(then)
    if answer := tuned.answer(report.tuning):
        default = shortened(repr(report.tuning.baseline), 70)
        steps.append(f"Read what tuning says, whose default is {default}: {answer}")
    if report.comparison is not None and best is not None:
        steps += _looking(report.comparison, best, systems)
    return tuple(steps)


def _mending(report: Report, systems: dict[str, System]) -> Iterator[str]:
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
                f"compare(…, baseline={shortened(cheapest, 40)!r}) tells."
            )
            return
