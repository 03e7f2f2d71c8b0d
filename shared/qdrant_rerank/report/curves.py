"""What a report says of a tuning's families: the mean over the number that each of them varies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._internals import is_finite
from .words import count, quality

__all__ = ["Curve", "above", "curves_of", "described", "summed_up"]


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


def above(curves: Sequence[Curve]) -> str:
    """What stands above the figures."""
    diamond = "; the diamond is the one that tuning picks" if any(curve.chosen for curve in curves) else ""
    return (
        "Each circle is a configuration, over the number that its family varies most, and the line joins the best ones"
        f"{diamond}. The upright axis is the same in all figures."
    )


def described(curve: Curve) -> str:
    """The figure's content for those who can't see it."""
    values = ", ".join(f"{mean:.4f} at {number:g}" for number, mean in curve.best)
    what = f"Mean {curve.measure} over {curve.parameter}, {curve.family}"
    return f"{what}. The best at each: {values}. The default: {curve.default:.4f}."


def summed_up(curve: Curve) -> str:
    """What stands below the figure."""
    number, mean = max(curve.best, key=lambda point: point[1])
    tried = count(len(curve.points), "configuration")
    return f"{curve.family}, {tried}: the best mean is {quality(mean)}, with {curve.parameter} {number:g}."
