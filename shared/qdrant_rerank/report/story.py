"""A report: what it is made of, and what it says of that in plain words: summary, warnings, what to do next, names of systems.

It recommends a system only where the comparison finds it "better". A tuning is read by its plain attributes, so that this
package needs nothing of the tuner. Numbers, measures and systems are written the same everywhere, and short enough for tables
and figures.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from .. import StrategyError
from ..evaluate import LEAST_TOPICS, Comparison, Difference, Evaluation, Interval
from ..evaluate._internals import SYNTHETIC_NOTE, Plain, write_p, write_verdict


@dataclass(frozen=True)
class Bin(Plain):
    """Results with about the same predicted probability.

    Attributes:
        predicted: the mean of their predicted probabilities, from 0 to 1.
        observed: the share of them that are relevant, from 0 to 1.
        count: how many there are.
        low, high: the ends of an interval for `observed`; None if there is none.

    Raises:
        StrategyError: a share isn't between 0 and 1, or the count isn't positive.
    """

    predicted: float
    observed: float
    count: int
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("predicted", "observed", "low", "high"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise StrategyError(f"{name} of a bin must be between 0 and 1, got {value!r}")
        if self.count < 1:
            raise StrategyError(f"a bin holds at least one result, got count={self.count!r}: leave empty bins out")


@dataclass(frozen=True)
class Calibration(Plain):
    """Predicted probabilities of relevance beside what was observed, on data that the calibration wasn't fitted to.

    Attributes:
        bins: the bins that hold results, by rising `predicted`.
        ece: expected calibration error: the mean distance of `predicted` and `observed`, weighed by the bins' counts.
        brier: Brier score: the mean squared distance of each probability from 0 or 1.
        name: what was calibrated, e.g. a system's name.

    Raises:
        StrategyError: there are no bins.
    """

    bins: tuple[Bin, ...]
    ece: float
    brier: float
    name: str = ""

    def __post_init__(self) -> None:
        if not self.bins:
            raise StrategyError("a calibration needs at least one bin with results in it")

    @property
    def count(self) -> int:
        """How many results all bins hold."""
        return sum(one.count for one in self.bins)


@dataclass(frozen=True)
class Coefficient(Plain):
    """One number that was learned.

    Attributes:
        name: what it weighs, e.g. `score('dense')`.
        value: the estimate.
        low, high: the ends of its interval; None if there is none.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None


GivenCoefficients: TypeAlias = Sequence[Coefficient] | Mapping[str, float | Interval]


def as_coefficients(given: GivenCoefficients | None) -> tuple[Coefficient, ...]:
    """The coefficients as one tuple. Raises StrategyError where one isn't a coefficient, or isn't finite."""
    given = given or ()
    found = tuple(_as_coefficient(str(name), value) for name, value in given.items()) if isinstance(given, Mapping) else given
    for one in found:
        if not isinstance(one, Coefficient):
            raise StrategyError(f"coefficients= takes Coefficient values, or a mapping from name to number, got {one!r}")
        if not all(math.isfinite(value) for value in (one.value, one.low, one.high) if value is not None):
            raise StrategyError(f"the coefficient {one.name!r} must be finite, got {one.value!r} ({one.low!r} to {one.high!r})")
    return tuple(found)


def _as_coefficient(name: str, value: float | Interval) -> Coefficient:
    if isinstance(value, Interval):
        return Coefficient(name, value.estimate, value.low, value.high)
    return Coefficient(name, float(value))


@dataclass(frozen=True)
class Contents(Plain):
    """What a report is made of.

    Attributes:
        title: its heading.
        evaluations: of the systems, the baseline among them; empty in a report on a tuning alone.
        comparison: of these; None where there is but one.
        tuning: what `tune` returned, or None.
        calibration: predicted probabilities beside observed ones, or None.
        coefficients: what was learned.
        made: how it was made, e.g. versions: name → text.
    """

    title: str
    evaluations: tuple[Evaluation, ...]
    comparison: Comparison | None = None
    tuning: Any = None
    calibration: Calibration | None = None
    coefficients: tuple[Coefficient, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)


_MEANINGS: Final = {
    "nDCG": "how near the first {k} results are to the best possible order; 1 is perfect",
    "R": "the share of the relevant documents that is among the first {k} results",
    "RR": "one divided by the rank of the first relevant result, 0 if there is none",
    "P": "the share of the first {k} results that is relevant",
    "AP": "the mean of the precision at each relevant document",
    "Success": "whether a relevant document is among the first {k} results",
    "Judged": "the share of the first {k} results that was judged at all",
}


def explain_measure(measure: str) -> str:
    """A measure in plain words; "" for one that isn't common."""
    found = re.fullmatch(r"(\w+)(?:\([^)]*\))?(?:@(\d+))?", measure)
    if found is None or found[1] not in _MEANINGS:
        return ""
    return _MEANINGS[found[1]].replace("first {k} results", f"first {found[2]} results" if found[2] else "results")


def amount(value: float | None) -> str:
    """A cost, with about three digits; a dash where it isn't known."""
    if value is None:
        return "–"
    digits = 0 if value == round(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def count(number: int, what: str = "query") -> str:
    """A number of things: `1 query`, `2 queries`, `3 searches`."""
    several = f"{what[:-1]}ies" if what.endswith("y") else f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{number:,} {what if number == 1 else several}"


def join_words(words: Sequence[str]) -> str:
    """One or more words as a sentence lists them: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def shorten(text: str, longest: int = 70) -> str:
    """The text on one line, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


_LONGEST: Final = 24
"""Longer names don't fit into tables and figures; letters stand for them."""
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The palette of Okabe and Ito (jfly.uni-koeln.de/color, 2008) but for yellow, which is too faint on white."""
_SHAPES: Final = {
    "o": "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12z",
    "s": "M3 3h10v10H3z",
    "^": "M8 2l6.5 11.5h-13z",
    "D": "M8 1l7 7-7 7-7-7z",
    "v": "M8 14L1.5 2.5h13z",
    "P": "M5.5 1.5h5v4h4v5h-4v4h-5v-4h-4v-5h4z",
    "X": "M4.5 1L8 4.5 11.5 1 15 4.5 11.5 8l3.5 3.5-3.5 3.5L8 11.5 4.5 15 1 11.5 4.5 8 1 4.5z",
}
"""matplotlib's name of each marker, and the same shape as a path in a square of 16."""


@dataclass(frozen=True)
class System:
    """How one system appears.

    Attributes:
        label: its name in tables, figures and sentences: the name, or a letter if names are too long.
        colour: of its marker, which tells systems apart without it.
        marker, shape: the marker's name in matplotlib, and as an SVG path in a square of 16.
    """

    name: str
    label: str
    colour: str
    marker: str
    shape: str
    is_baseline: bool


def systems_of(names: Sequence[str], baseline: str | None) -> dict[str, System]:
    """Name → how the system appears; letters for all if one name is too long, so that all are alike."""
    is_lettered = any(len(name) > _LONGEST for name in names)
    looks = zip(names, itertools.cycle(_COLOURS), itertools.cycle(_SHAPES.items()), strict=False)  # 42 pairs before one repeats
    return {
        name: System(name, _letters(number) if is_lettered else name, colour, marker, shape, name == baseline)
        for number, (name, colour, (marker, shape)) in enumerate(looks)
    }


def _letters(number: int) -> str:
    """A, B, …, Z, AA, AB, … as in spreadsheets."""
    before, rest = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + rest)


_PRICES: Final = {"p50_ms": "ms at the median", "round_trips": "round trips", "model_texts": "texts read by a model"}
_UNEVEN: Final = 0.1  # of the first ten results; such a gap can turn a comparison round


@dataclass(frozen=True)
class Story:
    """A report in words: what was measured, what is best and whether that is real, what to do; warnings, and steps to take."""

    measured: str
    found: str
    next: str
    warnings: tuple[str, ...]
    steps: tuple[str, ...]


def story_of(report: Contents) -> Story:
    """The report in words."""
    systems, tuning = systems_in(report), report.tuning
    warnings = tuple(_warnings(report, systems))
    if not report.evaluations:
        return Story(*_sum_up_tuning(tuning), warnings, tuple(_steps_of_tuning(tuning)))
    if report.comparison:
        measured, found, then = _sum_up_comparison(report.comparison, systems)
    else:
        measured, found, then = _sum_up_one(report.evaluations[0], systems)
    mention = ""
    if tuning:
        default = f"its default, {shorten(repr(tuning.baseline))}"
        mention = f"tuning recommends {tuning.chosen} over {default}" if tuning.recommended else f"tuning keeps {default}"
    steps = tuple(_steps(report, systems, then))
    return Story(measured, found, f"{then.rstrip('.')}; {mention}." if mention else then, warnings, steps)


def systems_in(report: Contents) -> dict[str, System]:
    """Name → how the system appears in this report."""
    names = [one.name for one in report.evaluations]
    return systems_of(names, report.comparison.baseline if report.comparison else None)


def is_synthetic(report: Contents) -> bool:
    """Whether any of the queries were made from documents."""
    return any(one.synthetic for one in report.evaluations) or bool(getattr(report.tuning, "synthetic", False))


def foremost(comparison: Comparison) -> Difference:
    """The system that the report shows in full: the best of those better than the baseline, else the best of the others."""
    better = [row for row in comparison.differences if row.finding == "better"]
    return max(better or comparison.differences, key=lambda row: row.mean)


def give_verdict(comparison: Comparison, row: Difference, systems: Mapping[str, System]) -> str:
    """The comparison's verdict, with letters for names that are too long."""
    return write_verdict(comparison, row, {name: system.label for name, system in systems.items()})


def _sum_up_comparison(comparison: Comparison, systems: Mapping[str, System]) -> tuple[str, str, str]:
    """What was measured, what was found, and what to do."""
    best, base = foremost(comparison), systems[comparison.baseline].label
    label, queries = systems[best.name].label, "synthetic query" if comparison.synthetic else "query"
    measured = (
        f"{len(systems)} systems were asked the same {count(comparison.topics, queries)} with known relevant documents and "
        f"measured by {comparison.measure}, with {base} as the baseline."
    )
    found = give_verdict(comparison, best, systems)
    others = [systems[row.name].label for row in comparison.differences if row.finding == best.finding and row is not best]
    keep = f"Keep the default, {base}"
    if best.finding == "better":
        found += f" {join_words(others)} {'is' if len(others) == 1 else 'are'} better than {base} too." if others else ""
        then = f"Use {label}{_price(comparison, best)}"
    elif best.finding == "too few topics":
        needed = f", and about {best.topics_needed:,} to show a difference this large" if best.topics_needed else ""
        then = f"{keep}, until more queries are judged: at least {LEAST_TOPICS}{needed}"
    else:
        found = f"No system is shown to be better than {base}. {found}" if len(comparison.differences) > 1 else found
        then = keep
    but = "; but first ask queries of real users, as these are synthetic" if comparison.synthetic else ""
    return measured, found, f"{then}{but}."


def _price(comparison: Comparison, row: Difference) -> str:
    """The better system's costs beside the baseline's; "" where they are the same or unknown."""
    costs = {one.name: one.costs for one in comparison.evaluations}
    parts: list[str] = []
    for cost, what in _PRICES.items():
        before, after = (getattr(costs[name], cost) for name in (comparison.baseline, row.name))
        if None not in (before, after) and amount(before) != amount(after):
            parts.append(f"{amount(after)} instead of {amount(before)} {what}")
    return f", if its price is right: {join_words(parts)} for each query" if parts else ""


def _sum_up_one(one: Evaluation, systems: Mapping[str, System]) -> tuple[str, str, str]:
    """The same of a system alone."""
    label, measure = systems[one.name].label, one.measures[0]
    mean, asked = one.means[measure], count(len(one.coverage.measured), "synthetic query" if one.synthetic else "query")
    within = f" ({mean.level:.0%} interval {mean.ends()})" if mean.ends() else ""
    return (
        f"{label} was asked {asked} with known relevant documents and measured by {measure}.",
        f"{label} reaches a mean {measure} of {mean.estimate:.4f}{within}; alone, that says neither good nor bad.",
        "Evaluate what you could use instead on the same queries, and compare both before you change anything.",
    )


def _sum_up_tuning(tuning: Any) -> tuple[str, str, str]:
    """The same of a tuning alone."""
    tried = len(tuning.configurations)
    real = "chance alone would seldom do that" if tuning.recommended else "that is no reason to leave the default"
    return (
        f"{count(tried, 'configuration')} {'was' if tried == 1 else 'were'} tried on {count(len(tuning.topics))} with known "
        f"relevant documents and measured by {tuning.measure}, each choice judged on queries that had no part in it.",
        f"Choosing by such queries is worth {tuning.gain.as_gain(tuning.measure)} ({write_p(tuning.p)}) over the default on "
        f"others, and {real}.",
        tuning.reasons[0],
    )


def _steps_of_tuning(tuning: Any) -> Iterator[str]:
    yield tuning.reasons[0]
    if tuning.recommended:
        yield "Save it with tuning.save(…), and look at a few of your own queries before you switch."
    else:
        yield f"Look first at what holds the measure down: {tuning.ceiling.advice}"


def _steps(report: Contents, systems: Mapping[str, System], then: str) -> Iterator[str]:
    """What to do, a sentence or two each; `then` is what follows from the comparison alone."""
    for one in report.evaluations:
        if failed := one.coverage.failed:
            label = systems[one.name].label
            yield f"Find out why {count(len(failed))} failed with {label}: they count as 0, which hides what it can do."
    yield then
    if tuning := report.tuning:
        yield f"Read what tuning says, whose default is {shorten(repr(tuning.baseline))}: {tuning.reasons[0]}"
    if report.comparison is not None:
        yield from _steps_after(report.comparison, systems)


def _steps_after(comparison: Comparison, systems: Mapping[str, System]) -> Iterator[str]:
    best = foremost(comparison)
    label = systems[best.name].label
    if comparison.synthetic:
        yield "Collect queries of real users with judgments, a hundred or more, and compare again."
    if best.finding == "no difference" and best.detectable is not None:
        yield (
            f"Decide whether a smaller gain would be worth judging more queries for: these {comparison.topics} show true "
            f"differences from about {best.detectable:.4f} {comparison.measure} up, {comparison.power:.0%} of the time."
        )
    if best.finding != "better":
        return
    if best.losses:
        yield f"Read the {count(best.losses)} on which {label} lost: do they matter more to you?"
    yield from _cheaper(comparison, best, systems)
    if len(comparison.differences) > 1:
        yield (
            f"Confirm {label} on queries that had no part in choosing it: the best of {len(comparison.evaluations)} systems "
            "looks a little better on the queries it was chosen by than it is."
        )
    yield f"Once {label} is in use, run check(compare(…), fail_worse=True) in your builds, so that a loss is noticed."


def _cheaper(comparison: Comparison, best: Difference, systems: Mapping[str, System]) -> Iterator[str]:
    """A system that is better than the baseline too, and cheaper than the best."""
    costs = {one.name: one.costs for one in comparison.evaluations}
    for cost, what in _PRICES.items():
        spent = {row.name: getattr(costs[row.name], cost) for row in comparison.differences if row.finding == "better"}
        if cost not in comparison.frontiers or spent[best.name] is None:
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


def _warnings(report: Contents, systems: Mapping[str, System]) -> Iterator[str]:
    """The warnings, one or two sentences each."""
    if is_synthetic(report):
        yield f"All results are {SYNTHETIC_NOTE}."
    notes: dict[str, list[str]] = {}
    for one in report.evaluations:
        for note in one.notes:
            if SYNTHETIC_NOTE not in note and not note.startswith("The longest ranking"):  # both are said for all at once
                notes.setdefault(note, []).append(systems[one.name].label)
    for note, whose in sorted(notes.items(), key=lambda item: len(item[1]) == len(systems)):
        yield note if len(whose) == len(systems) else f"{join_words(whose)}: {note}"
    short = {systems[one.name].label: one.coverage for one in report.evaluations if one.coverage.depth < one.coverage.deepest}
    if short:
        ends, deepest = [f"{label} {one.depth}" for label, one in short.items()], max(one.deepest for one in short.values())
        yield f"The measures look at {deepest} results, and some rankings end before: {join_words(ends)}."
    yield from _describe_judgments(report, systems)


def _describe_judgments(report: Contents, systems: Mapping[str, System]) -> Iterator[str]:
    found = {systems[one.name].label: one.coverage.judged_at_10 for one in report.evaluations}
    shares = {label: share for label, share in found.items() if share is not None}
    if not shares:
        return
    least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    text = "Results that nobody judged count as not relevant"
    if shares[most] - shares[least] >= _UNEVEN:
        yield (
            f"{text}, which puts {least} at a disadvantage: {shares[least]:.0%} of its first 10 results were judged, against "
            f"{shares[most]:.0%} of {most}'s."
        )
    elif shares[least] < 0.995:
        low, high = f"{shares[least]:.0%}", f"{shares[most]:.0%}"
        yield f"{text}: of the first 10 results, {low if low == high else f'{low} to {high}'} were judged."
