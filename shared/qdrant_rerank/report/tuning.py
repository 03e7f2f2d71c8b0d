"""What a report says of a tuning: the answer, its reasons, what was tried, and the mean over what each family varies.

Read from the plain attributes of `tune`'s result, so that this package needs nothing of the tuner's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import StrategyError
from .._internals import is_finite
from .words import amount, count, interval, quality, shorten, write_difference, write_p

__all__ = [
    "Curve",
    "Tried",
    "Tuned",
    "introduce_curves",
    "answer_of_tuning",
    "mention_tuning",
    "check_tuning",
    "curves_of",
    "describe_curve",
    "sum_up_tuning",
    "describe_tuning",
    "list_tuning_steps",
    "sum_up_curve",
    "summarise_tuning",
]

_NEEDED: Final = (
    "topics",
    "reasons",
    "recommended",
    "strategy",
    "measure",
    "configurations",
    "chosen",
    "gain",
    "p",
    "curves",
    "ceiling",
    "baseline",
    "detectable",
    "spent",
)
_SHOWN: Final = 12


@dataclass(frozen=True)
class Tried:
    """One configuration that was tried, as texts; `sign` says what it is, where it is special."""

    name: str
    sign: str
    mean: str
    difference: str
    chosen: str
    held_in: str
    held_out: str
    effort: str


@dataclass(frozen=True)
class Tuned:
    """A tuning as the report shows it.

    Attributes:
        answer: what to do, in a sentence.
        reasons: why, and what else to know.
        strategy: the strategy to use.
        measure: what by.
        tried: the configurations with the best means, and those that matter wherever they are.
        more: how many others there are.
        numbers: name → value, as text.
    """

    answer: str
    reasons: tuple[str, ...]
    strategy: str
    measure: str
    tried: tuple[Tried, ...]
    more: int
    numbers: tuple[tuple[str, str], ...]


def check_tuning(tuning: Any) -> None:
    """Refuse what isn't the result of `tune`.

    Raises:
        StrategyError: an attribute that is read isn't there.
    """
    absent = [name for name in _NEEDED if tuning is not None and not hasattr(tuning, name)]
    if absent:
        raise StrategyError(
            f"tuning= takes what tune() returned, got {type(tuning).__name__}, which has no {', '.join(map(repr, absent))}"
        )


def answer_of_tuning(tuning: Any) -> str:
    """What tuning says to do, in a sentence; "" without a tuning."""
    return str(tuning.reasons[0]) if tuning is not None and tuning.reasons else ""


def mention_tuning(tuning: Any) -> str:
    """The same in a clause beside what else the report says, with the default that tuning was to beat; "" likewise."""
    if tuning is None:
        return ""
    default = f"its default, {shorten(repr(tuning.baseline), 70)}"
    return f"tuning recommends {tuning.chosen} over {default}" if tuning.recommended else f"tuning keeps {default}"


def describe_tuning(tuning: Any) -> str:
    """What was measured on what, for a report on the tuning alone."""
    tried, topics = count(len(tuning.configurations), "configuration"), count(len(tuning.topics), "query", "queries")
    were = "was" if len(tuning.configurations) == 1 else "were"
    return (
        f"{tried} {were} tried on {topics} with known relevant documents and measured by {tuning.measure}, each choice judged "
        "on queries that had no part in it."
    )


def sum_up_tuning(tuning: Any) -> str:
    """What came out, and whether that is real, for a report on the tuning alone."""
    real = "chance alone would seldom do that" if tuning.recommended else "that is no reason to leave the default"
    return f"Choosing by such queries is worth {_gain(tuning)} over the default on others, and {real}."


def list_tuning_steps(tuning: Any) -> tuple[str, ...]:
    """What to do next, for a report on the tuning alone."""
    if tuning.recommended:
        then = "Save it with tuning.save(…), and look at a few of your own queries before you switch."
    else:
        then = f"Look first at what holds the measure down: {tuning.ceiling.advice}"
    return answer_of_tuning(tuning), then


def summarise_tuning(tuning: Any) -> Tuned | None:
    """The tuning as the report shows it; None without one."""
    if tuning is None:
        return None
    rows = list(tuning.configurations)
    special = _signs(tuning)
    shown = [row for place, row in enumerate(rows) if place < _SHOWN or row.name in special or row.strategy == tuning.baseline]
    return Tuned(
        answer=answer_of_tuning(tuning),
        reasons=tuple(map(str, tuning.reasons[1:])),
        strategy=repr(tuning.strategy),
        measure=str(tuning.measure),
        tried=tuple(_tried(row, special.get(row.name, "")) for row in shown),
        more=len(rows) - len(shown),
        numbers=tuple(_numbers(tuning)),
    )


def _signs(tuning: Any) -> dict[str, str]:
    """Configuration → what it is, beside its name, where it is special."""
    if tuning.recommended:
        return {tuning.chosen: "chosen"}
    kept = {row.name: "kept" for row in tuning.configurations if row.strategy == tuning.baseline}
    return {tuning.chosen: "picked, but not shown to be better"} | kept


def _equals(p: float) -> str:
    return write_p(p) if p < 0.001 else f"= {write_p(p)}"


def _tried(row: Any, sign: str) -> Tried:
    return Tried(
        name=str(row.name),
        sign=sign,
        mean=quality(row.mean),
        difference=write_difference(row.difference),
        chosen=str(row.chosen),
        held_in="–" if row.held_in is None else quality(row.held_in),
        held_out="–" if row.held_out is None else quality(row.held_out),
        effort=_effort(getattr(row, "effort", None)),
    )


def _effort(effort: Any) -> str:
    """What a query takes, as far as it is said: `2 round trips, 50 texts read`."""
    parts = (("round_trips", "round trip"), ("searches", "search"), ("model_texts", "text read"))
    found = [(getattr(effort, name, None), what) for name, what in parts]
    several = {"search": "searches", "text read": "texts read"}
    return ", ".join(count(number, what, several.get(what, "")) for number, what in found if number)


def _numbers(tuning: Any) -> Iterator[tuple[str, str]]:
    ceiling = tuning.ceiling
    yield "held-out gain of choosing like this", _gain(tuning)
    if tuning.detectable is not None:
        yield "smallest gain that so many queries would show", quality(tuning.detectable)
    yield "best possible order of the same candidates", quality(ceiling.value)
    yield "relevant documents among the candidates", f"{ceiling.recall:.1%} (candidates of each candidate: {ceiling.depth})"
    for candidate, recall in ceiling.candidate_recall.items():
        yield f"of these found by {candidate}", f"{recall:.1%}"
    spent = tuning.spent
    took = f"{amount(float(spent.requests))} searches in {amount(float(spent.round_trips))} round trips"
    yield "the tuning took", f"{took}, {amount(float(spent.model_texts))} texts read by a model"


def _gain(tuning: Any) -> str:
    """The held-out gain with its interval and p value."""
    within = interval(tuning.gain, sign=True)
    return f"{write_difference(tuning.gain.estimate)} {tuning.measure}" + (
        f" ({tuning.gain.level:.0%} interval {within}), p {_equals(tuning.p)}" if within else ""
    )


@dataclass(frozen=True)
class Curve:
    """A family's configurations over one number.

    Attributes:
        family: its name.
        measure: what the means are of.
        parameter: the number that takes most values in it.
        points: (number, mean) of each configuration.
        best: the highest mean at each number, by rising number.
        chosen: (number, mean) of the configuration that tuning chooses, if it is of this family.
        default: the mean of the strategy that was to beat.
    """

    family: str
    measure: str
    parameter: str
    points: tuple[tuple[float, float], ...]
    best: tuple[tuple[float, float], ...]
    chosen: tuple[float, float] | None
    default: float


def curves_of(tuning: Any) -> Iterator[Curve]:
    """A curve for each family in which some number takes at least two values, in the order tried; none without a tuning."""
    if tuning is None:
        return
    first, chosen = tuning.configurations[0], tuning[tuning.chosen]
    default = first.mean - first.difference
    for family, tried in tuning.curves.items():
        parameter = _varied([point.parameters for point in tried])
        if parameter is None:
            continue
        points = tuple((float(point.parameters[parameter]), point.mean) for point in tried)
        best: dict[float, float] = {}
        for number, mean in points:
            best[number] = max(mean, best.get(number, mean))
        place = (float(chosen.parameters[parameter]), chosen.mean) if chosen.family == family else None
        yield Curve(family, tuning.measure, parameter, points, tuple(sorted(best.items())), place, default)


def _varied(parameters: list[Mapping[str, Any]]) -> str | None:
    """The parameter with most values, of those that are numbers in all configurations; the first of equals."""
    values = {name: {each.get(name) for each in parameters} for name in parameters[0]}
    numbers = {name: len(found) for name, found in values.items() if len(found) > 1 and all(map(is_finite, found))}
    return max(numbers, key=numbers.__getitem__) if numbers else None


def introduce_curves(curves: Sequence[Curve]) -> str:
    """What stands above the figures."""
    diamond = "; the diamond is the one that tuning picks" if any(curve.chosen for curve in curves) else ""
    return (
        "Each circle is a configuration, over the number that its family varies most, and the line joins the best ones"
        f"{diamond}. The upright axis is the same in all figures."
    )


def describe_curve(curve: Curve) -> str:
    """The figure's content for those who can't see it."""
    values = ", ".join(f"{mean:.4f} at {number:g}" for number, mean in curve.best)
    what = f"Mean {curve.measure} over {curve.parameter}, {curve.family}"
    return f"{what}. The best at each: {values}. The default: {curve.default:.4f}."


def sum_up_curve(curve: Curve) -> str:
    """What stands below the figure."""
    number, mean = max(curve.best, key=lambda point: point[1])
    tried = count(len(curve.points), "configuration")
    return f"{curve.family}, {tried}: the best mean is {quality(mean)}, with {curve.parameter} {number:g}."
