"""A family of a tuning: each configuration's mean over the number that varies, and a line through the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

from ..curves import Curve
from .svg import INK, drawn, undressed

__all__ = ["mean_over_parameter"]

_TRIED: Final = "#0072B2"
_CHOSEN: Final = "#D55E00"
_TICKS: Final = 7
_WIDE: Final = 20.0  # the largest number over the smallest, from which equal steps stand for equal ratios


def mean_over_parameter(curve: Curve, among: Sequence[Curve], key: str) -> str:
    """The figure, as an `<svg>` element.

    Args:
        curve: what is drawn.
        among: all curves of the report, which get the same upright axis.
        key: tells the figure's ids from others'.
    """

    def draw(figure: Any) -> None:
        axes: Any = figure.add_subplot()
        axes.plot(*zip(*curve.points, strict=True), "o", ms=4.5, mfc="none", mec=_TRIED, mew=1.1, alpha=0.75, zorder=2)
        axes.plot(*zip(*curve.best, strict=True), color=_TRIED, lw=1.4, zorder=3)
        if curve.chosen is not None:
            axes.plot(*curve.chosen, "D", ms=8, color=_CHOSEN, zorder=4, clip_on=False)
        axes.axhline(curve.default, color=INK, lw=1.1, ls=(0, (4, 3)), zorder=1)
        low, high = _heights(among)
        at, side = _emptier(curve, curve.default + 0.04 * (high - low))
        axes.text(at, curve.default, "default", transform=axes.get_yaxis_transform(), ha=side, va="bottom", fontsize=8.5)
        undressed(axes)
        _across(axes, [number for number, _ in curve.best])
        axes.set_ylim(low, high)
        axes.set_xlabel(f"{curve.parameter} ({curve.family})")
        axes.set_ylabel(f"mean {curve.measure}")

    return drawn(key, 2.6, draw)


def _emptier(curve: Curve, height: float) -> tuple[float, Literal["left", "right"]]:
    """The end of the level axis, and its name, at which the points are further from a height."""
    ends = curve.best[0][0], curve.best[-1][0]
    left, right = (min(abs(mean - height) for number, mean in curve.points if number == end) for end in ends)
    return (0.005, "left") if left > right else (0.995, "right")


def _across(axes: Any, numbers: Sequence[float]) -> None:
    """The level axis, with ticks at numbers that were tried."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    if numbers[0] > 0 and numbers[-1] / numbers[0] >= _WIDE:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(numbers[:: math.ceil(len(numbers) / _TICKS)])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.06)


def _heights(among: Sequence[Curve]) -> tuple[float, float]:
    """Both ends of the upright axis: all means, with some room even where they are all the same."""
    means = [mean for curve in among for _, mean in curve.points] + [curve.default for curve in among]
    room = max(0.08 * (max(means) - min(means)), 0.005)
    return min(means) - room, max(means) + room
