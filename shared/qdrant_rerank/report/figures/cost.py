"""Quality over cost: one point for each system, a line through those that no other beats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from ...evaluate import Comparison
from ..labels import System
from .placing import placed, width_of
from .svg import INK, drawn, undressed

__all__ = ["COST_NAMES", "costs_drawn", "quality_over_cost", "varied"]

COST_NAMES: Final = {
    "p50_ms": "median time of a query in milliseconds",
    "round_trips": "round trips to Qdrant for a query",
    "model_texts": "texts that a model reads for a query",
}


def costs_drawn(comparison: Comparison) -> tuple[str, ...]:
    """The costs worth a figure: known of every system, and not the same for all; two at most."""
    return varied(comparison)[:2] or tuple(comparison.frontiers)[:1]


def varied(comparison: Comparison) -> tuple[str, ...]:
    """The costs that are known of every system and not the same for all."""
    return tuple(cost for cost in comparison.frontiers if len({_spent(one, cost) for one in comparison.evaluations}) > 1)


def quality_over_cost(comparison: Comparison, cost: str, systems: Mapping[str, System], key: str) -> str:
    """The figure, as an `<svg>` element."""
    points = {one.name: (_spent(one, cost), one.means[comparison.measure]) for one in comparison.evaluations}
    front = comparison.frontiers[cost]

    def draw(figure: Any) -> None:
        axes: Any = figure.add_subplot()
        _frontier(axes, [(points[name][0], points[name][1].estimate) for name in front])
        for name, (spent, mean) in points.items():
            system, ends = systems[name], (mean.low, mean.high)
            if ends[0] is not None and ends[1] is not None:
                axes.plot([spent, spent], ends, color=system.colour, lw=1.6 if len(points) < 5 else 1.1, alpha=0.75, zorder=2)
            filled = system.colour if name in front else "none"
            axes.plot(
                [spent], [mean.estimate], system.marker, ms=9, mfc=filled, mec=system.colour, mew=1.8, zorder=3, clip_on=False
            )
        _axes(axes, [spent for spent, _ in points.values()], cost, comparison.measure)
        figure.draw_without_rendering()  # fixes the layout, so that labels know where the points are
        _label(axes, {name: (spent, mean.estimate) for name, (spent, mean) in points.items()}, systems)

    return drawn(key, 3.6, draw)


def _spent(evaluation: Any, cost: str) -> float:
    return float(getattr(evaluation.costs, cost))


def _frontier(axes: Any, front: Sequence[tuple[float, float]]) -> None:
    """Steps: what the best quality is for at most so much cost."""
    if len(front) > 1:
        xs, ys = zip(*front, strict=True)
        axes.plot(xs, ys, drawstyle="steps-post", color=INK, lw=1.1, ls=(0, (4, 3)), zorder=1)


def _axes(axes: Any, spent: Sequence[float], cost: str, measure: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    undressed(axes)
    least, most = min(spent), max(spent)
    if least > 0:
        axes.set_xscale("log")
        room = max(math.log(most / least) * 0.18, 0.25)
        axes.set_xlim(least / math.exp(room), most * math.exp(room))
        axes.set_xticks(_ticks(least / math.exp(room), most * math.exp(room)) if most > least else [least])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.tick_params(axis="x", which="minor", length=0)
    else:
        axes.set_xscale("symlog", linthresh=1)  # 0, then equal steps for equal ratios
        axes.set_xlim(-0.4, max(most * 2, 1.5))
        axes.set_xticks([0, *_ticks(1, max(most * 2, 1.5))])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(y=0.12)
    axes.set_xlabel(COST_NAMES[cost])
    axes.set_ylabel(measure)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, … within the ends; every power of ten alone where these would be too many; what there is if too few."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**exponent for exponent in exponents for step in steps if low <= step * 10.0**exponent <= high]
        if 2 <= len(found) <= 7:
            return found
    return (
        found if len(found) > 7 else [float(f"{value:.2g}") for value in (low * (high / low) ** 0.2, low * (high / low) ** 0.8)]
    )


def _label(axes: Any, points: Mapping[str, tuple[float, float]], systems: Mapping[str, System]) -> None:
    """Each point's label beside it, where it covers neither another label nor another point."""
    scale = 72 / axes.figure.dpi
    where = {name: _scaled(axes.transData.transform(point), scale) for name, point in points.items()}
    box = axes.get_window_extent()
    frame = scale * box.x0, scale * box.y0, scale * box.x1, scale * box.y1
    labels = {name: systems[name].label for name in points}
    for name, (dx, dy) in placed(where, labels, frame, _lines(axes, scale)).items():
        width = width_of(labels[name])
        at = ("left", 0.0) if dx > 0 else ("right", 1.0) if dx <= -width else ("center", 0.5)  # the side next to the point
        axes.annotate(
            labels[name],
            points[name],
            xytext=(dx + at[1] * width, dy),
            textcoords="offset points",
            va="center",
            ha=at[0],
            zorder=4,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": systems[name].colour, "lw": 1, "shrinkB": 6} if abs(dy) > 13 else None,
        )


def _scaled(point: Any, scale: float) -> tuple[float, float]:
    return float(point[0]) * scale, float(point[1]) * scale


def _lines(axes: Any, scale: float) -> list[tuple[float, float, float, float]]:
    """The upright and level parts of all lines drawn so far: the steps of the front, the intervals."""
    boxes = []
    for line in axes.get_lines():
        ends = [_scaled(point, scale) for point in line.get_path().transformed(line.get_transform()).vertices]
        if line.get_drawstyle() == "steps-post":
            ends = [corner for (x, y), (right, upper) in pairwise(ends) for corner in ((x, y), (right, y), (right, upper))]
        boxes += [(min(x, u), min(y, v), max(x, u), max(y, v)) for (x, y), (u, v) in pairwise(ends)]
    return boxes
