"""What can be said of a difference, and how it is said: never more than the numbers bear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from .comparisons import Finding
from .results import Interval
from .significance import LEAST_TOPICS

__all__ = ["Numbers", "finding_of", "verdict_of"]


@dataclass(frozen=True)
class Numbers:
    """What a verdict rests on; see `Difference` for the parts."""

    name: str
    baseline: str
    measure: str
    difference: Interval
    p_adjusted: float
    topics: int
    detectable: float | None
    topics_needed: int | None
    alpha: float
    power: float
    compared: int
    wins: int
    ties: int
    losses: int


def finding_of(numbers: Numbers) -> Finding:
    """What can be said: with fewer than `LEAST_TOPICS` topics nothing, else what the corrected test says."""
    if numbers.topics < LEAST_TOPICS:
        return "too few topics"
    if numbers.p_adjusted > numbers.alpha or not numbers.difference.estimate:
        return "no difference"
    return "better" if numbers.difference.estimate > 0 else "worse"


def verdict_of(numbers: Numbers) -> str:
    """The finding in plain words, with the numbers behind it."""
    finding = finding_of(numbers)
    match finding:
        case "too few topics":
            return _too_few(numbers)
        case "better":
            return f"{numbers.name} is better than {numbers.baseline}: {_difference(numbers)}, {_test(numbers)}."
        case "worse":
            return f"Keep {numbers.baseline}: {numbers.name} is worse, {_difference(numbers)}, {_test(numbers)}."
        case "no difference":
            return _none(numbers)
    assert_never(finding)


def _too_few(numbers: Numbers) -> str:
    few = f"{_topics(numbers.topics)} {'is' if numbers.topics == 1 else 'are'} too few"
    text = f"No claim about {numbers.name}: {few}; any claim needs at least {LEAST_TOPICS}."
    if numbers.topics_needed is None:
        return text
    return (
        f"{text} To show a difference as large as the one seen, {_difference(numbers)}, takes about {numbers.topics_needed:,}."
    )


def _none(numbers: Numbers) -> str:
    if numbers.ties == numbers.topics:
        return (
            f"Keep {numbers.baseline}: {numbers.name} scores the same {numbers.measure} on every one of "
            f"{_topics(numbers.topics)}."
        )
    parts = [
        f"Keep {numbers.baseline}: {numbers.name} shows no difference that can be told from chance: "
        f"{_difference(numbers)}, {_test(numbers)}."
    ]
    if numbers.detectable is not None:
        parts.append(f"{_topics(numbers.topics)} show true differences from about {numbers.detectable:.3f} up")
        parts[-1] += f" ({numbers.power:.0%} of the time)"
        needed = numbers.topics_needed
        parts[-1] += f"; one of {abs(numbers.difference.estimate):.4f} would take about {needed:,}." if needed else "."
    return " ".join(parts)


def _difference(numbers: Numbers) -> str:
    found = numbers.difference
    text = f"{found.estimate:+.4f} {numbers.measure}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({found.level:.0%} interval {found.low:+.4f} to {found.high:+.4f})"


def _test(numbers: Numbers) -> str:
    corrected = f" after correction for {numbers.compared} comparisons" if numbers.compared > 1 else ""
    value = f"p = {numbers.p_adjusted:.3f}" if numbers.p_adjusted >= 0.001 else "p < 0.001"
    return f"{value}{corrected}, {numbers.wins} better, {numbers.ties} same, {numbers.losses} worse"


def _topics(count: int) -> str:
    return f"{count} topic{'' if count == 1 else 's'}"
