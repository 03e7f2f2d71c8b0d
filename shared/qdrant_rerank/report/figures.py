"""The figures, as SVG to be put into a page: no ids that clash, no fonts to load, colours that follow the page's."""

from __future__ import annotations

import io
import math
import random
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import hypot
from typing import Any, Final, Literal, TypeAlias

from ..errors import MissingExtra
from ..evaluate import Comparison
from .parts import Calibration
from .tuning import Curve
from .words import System, count

__all__ = [
    "COST_NAMES",
    "FAINT",
    "INK",
    "WIDTH",
    "Box",
    "Point",
    "choose_costs",
    "draw_svg",
    "draw_gains",
    "gap",
    "draw_curve",
    "place_labels",
    "draw_costs",
    "draw_reliability",
    "undress",
    "list_varied_costs",
    "width_of",
]

INK: Final = "#010203"
"""The colour of text and lines: the page's own, also where it is dark."""
FAINT: Final = "#040506"
"""The colour of the grid: the page's, likewise."""
WIDTH: Final = 4.7
"""Inches: about 450 pixels, so that text stays legible on a phone of 390."""
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text: read aloud, searched, shown in the page's font
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the layout is the same on every machine
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": False,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "axes.formatter.use_mathtext": False,
}
_ALONE = threading.Lock()  # matplotlib's settings are global while they are changed


def draw_svg(key: str, height: float, draw: Callable[[Any], None]) -> str:
    """What `draw` draws on a figure, as an `<svg>` element.

    Args:
        key: tells the figure's ids from those of others on the page.
        height: in inches.
        draw: given an empty `matplotlib.figure.Figure`.

    Raises:
        MissingExtra: matplotlib isn't installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("the figures of a report", "learn") from error
    text = io.StringIO()
    with _ALONE, mpl.rc_context({**_SETTINGS, "svg.hashsalt": key}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's fonts may have what this one lacks
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _embedded(text.getvalue(), key)


def undress(axes: Any, grid: str = "both") -> None:
    """Without the upper and right frame, with a faint grid below the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=FAINT, lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)


def _embedded(svg: str, key: str) -> str:
    """The `<svg>` element alone: no prolog, no metadata, no foreign addresses, ids of its own, the page's font and colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(
        r'<svg\b[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true" focusable="false">', svg, count=1
    )
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', svg)
    svg = svg.replace("xlink:href=", "href=").replace('href="#', f'href="#{key}-').replace("url(#", f"url(#{key}-")
    svg = re.sub(r"\bfont: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"\bfont-family: [^;\"]*;? ?", "", svg)
    svg = svg.replace(INK, "currentColor").replace(FAINT, "var(--grid)")
    return re.sub(r"\n\s*", "\n", svg).strip()


Box: TypeAlias = tuple[float, float, float, float]
Point: TypeAlias = tuple[float, float]
_LETTER: Final = 6.1  # mean width; a little more than most, as the reader's font isn't known
_HEIGHT: Final = 12.0
_MARKER: Final = 6.5  # half of it
_ORDERS: Final = 12
_AMBIGUOUS: Final = 150.0  # as bad as covering so many square points: the label seems to be of another system


def place_labels(
    where: Mapping[str, Point], labels: Mapping[str, str], frame: Box, lines: Sequence[Box] = ()
) -> dict[str, tuple[float, float]]:
    """Name → how far from its point the label's left middle is.

    Label after label goes where it covers least of what is there already; as the first ones take the best places, this is
    tried in several orders, and the best outcome counts. The same input gives the same places.

    Args:
        where: name → (x, y) of the point.
        labels: name → text.
        frame: left, lower, right and upper end of where labels may be.
        lines: left, lower, right and upper end of lines that labels should not cross.
    """
    taken = [_thick(line) for line in lines]
    taken += [(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in where.values()]
    order, drawn = sorted(where, key=lambda name: (-where[name][1], where[name][0], name)), random.Random(0)
    tries = []
    for _ in range(_ORDERS):
        tries.append(_in_order(order, where, labels, frame, taken))
        order = drawn.sample(order, len(order))
    return min(tries, key=lambda found: found[0])[1]


def _in_order(
    order: Sequence[str], where: Mapping[str, Point], labels: Mapping[str, str], frame: Box, taken: Sequence[Box]
) -> tuple[float, dict[str, tuple[float, float]]]:
    """What all labels cost, and where they are."""
    taken, total, found = list(taken), 0.0, dict[str, tuple[float, float]]()
    for name in order:
        x, y = where[name]
        width = width_of(labels[name])
        others = [point for other, point in where.items() if other != name]
        costs = []
        for rank, (dx, dy) in enumerate(_places(width)):
            box = _box(x + dx, y + dy, width)
            costs.append((_cost(box, taken, frame, rank) + _AMBIGUOUS * _is_nearer(box, others, (x, y)), (dx, dy)))
        cost, found[name] = min(costs)
        total += cost
        taken.append(_box(x + found[name][0], y + found[name][1], width))
    return total, found


def width_of(label: str) -> float:
    """About how wide a label is."""
    return _LETTER * len(label)


def _places(width: float) -> Iterator[tuple[float, float]]:
    """Right, left, askew, above, below, then askew further away."""
    yield from ((9, 0), (-9 - width, 0))
    for far in (11.0, 15.0, 26.0, 40.0):
        for sideways in (6 + far / 4, -6 - far / 4 - width, -width / 2):
            yield sideways, far
            yield sideways, -far


def _box(x: float, y: float, width: float) -> Box:
    return x, y - _HEIGHT / 2, x + width, y + _HEIGHT / 2


def _thick(line: Box) -> Box:
    return line[0] - 2.5, line[1] - 2.5, line[2] + 2.5, line[3] + 2.5


def _cost(box: Box, taken: Sequence[Box], frame: Box, rank: int) -> float:
    covered = sum(_shared(box, other) for other in taken)
    inside = _shared(box, frame)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
    return covered + 2 * outside + 0.5 * rank


def _is_nearer(box: Box, others: Iterable[tuple[float, float]], own: tuple[float, float]) -> bool:
    """Whether the label is as near to another point as to its own."""
    return any(gap(box, other) < gap(box, own) + 2 for other in others if other != own)


def gap(box: Box, point: Point) -> float:
    """How far a point is from a box; 0 within."""
    x, y = point
    return hypot(max(box[0] - x, 0.0, x - box[2]), max(box[1] - y, 0.0, y - box[3]))


def _shared(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


COST_NAMES: Final = {
    "p50_ms": "median time of a query in milliseconds",
    "round_trips": "round trips to Qdrant for a query",
    "model_texts": "texts that a model reads for a query",
}


def choose_costs(comparison: Comparison) -> tuple[str, ...]:
    """The costs worth a figure: known of every system, and not the same for all; two at most."""
    return list_varied_costs(comparison)[:2] or tuple(comparison.frontiers)[:1]


def list_varied_costs(comparison: Comparison) -> tuple[str, ...]:
    """The costs that are known of every system and not the same for all."""
    return tuple(cost for cost in comparison.frontiers if len({_spent(one, cost) for one in comparison.evaluations}) > 1)


def draw_costs(comparison: Comparison, cost: str, systems: Mapping[str, System], key: str) -> str:
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

    return draw_svg(key, 3.6, draw)


def _spent(evaluation: Any, cost: str) -> float:
    return float(getattr(evaluation.costs, cost))


def _frontier(axes: Any, front: Sequence[tuple[float, float]]) -> None:
    """Steps: what the best quality is for at most so much cost."""
    if len(front) > 1:
        xs, ys = zip(*front, strict=True)
        axes.plot(xs, ys, drawstyle="steps-post", color=INK, lw=1.1, ls=(0, (4, 3)), zorder=1)


def _axes(axes: Any, spent: Sequence[float], cost: str, measure: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    undress(axes)
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
    for name, (dx, dy) in place_labels(where, labels, frame, _lines(axes, scale)).items():
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


_GAIN: Final = "#0072B2"
_LOSS: Final = "#D55E00"
_SINGLE: Final = 80  # topics; of more, bars touch each other


def draw_gains(gains: Sequence[float], measure: str, better: str, baseline: str, key: str) -> str:
    """The figure, as an `<svg>` element.

    Args:
        gains: how much better than the baseline each topic is answered.
        measure: what by.
        better: the label of the system that bars upwards speak for.
        baseline: the label of the baseline.
        key: tells the figure's ids from others'.
    """
    ordered = sorted(gains, reverse=True)
    reach = (max(map(abs, ordered)) or 1.0) * 1.12  # some room where nothing differs

    def draw(figure: Any) -> None:
        axes: Any = figure.add_subplot()
        for values, colour in (
            ([max(gain, 0.0) for gain in ordered], _GAIN),
            ([min(gain, 0.0) for gain in ordered], _LOSS),
        ):
            if len(ordered) <= _SINGLE:
                shown = [(place, value) for place, value in enumerate(values, 1) if value]
                if shown:
                    axes.bar(*zip(*shown, strict=True), width=0.72, color=colour)
            else:
                axes.stairs(values, [place + 0.5 for place in range(len(values) + 1)], fill=True, color=colour, lw=0)
        axes.axhline(0, color=INK, lw=0.9)
        undress(axes, "y")
        axes.set_ylim(-reach, reach)
        axes.set_xlim(0.3, len(ordered) + 0.7)
        axes.set_xlabel(f"{count(len(ordered), 'query', 'queries')}, from the largest gain to the largest loss")
        axes.set_ylabel(f"difference in {measure}")
        axes.text(0.99, 0.97, f"▲ {better} better", transform=axes.transAxes, ha="right", va="top")
        axes.text(0.01, 0.03, f"▼ {baseline} better", transform=axes.transAxes, ha="left", va="bottom")
        _whole(axes, len(ordered))

    return draw_svg(key, 2.9, draw)


def _whole(axes: Any, topics: int) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    if topics <= 3:
        axes.xaxis.set_major_locator(FixedLocator(list(range(1, topics + 1))))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


_TRIED: Final = "#0072B2"
_CHOSEN: Final = "#D55E00"
_TICKS: Final = 7
_WIDE: Final = 20.0  # the largest number over the smallest, from which equal steps stand for equal ratios


def draw_curve(curve: Curve, among: Sequence[Curve], key: str) -> str:
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
        undress(axes)
        _across(axes, [number for number, _ in curve.best])
        axes.set_ylim(low, high)
        axes.set_xlabel(f"{curve.parameter} ({curve.family})")
        axes.set_ylabel(f"mean {curve.measure}")

    return draw_svg(key, 2.6, draw)


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


_DATA: Final = "#0072B2"


def draw_reliability(calibration: Calibration, key: str) -> str:
    """The figure, as an `<svg>` element."""
    bins = calibration.bins

    def draw(figure: Any) -> None:
        upper: Any
        lower: Any
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=INK, lw=1, ls=(0, (4, 3)))
        upper.annotate("as predicted", (0.78, 0.78), xytext=(6, -12), textcoords="offset points", fontsize=8.5)
        for one in bins:
            if one.low is not None and one.high is not None:
                upper.plot([one.predicted] * 2, [one.low, one.high], color=_DATA, lw=1.6, alpha=0.7)
        upper.plot([one.predicted for one in bins], [one.observed for one in bins], "-o", color=_DATA, lw=1.2, ms=6)
        upper.set_ylim(-0.03, 1.03)
        upper.set_xlim(-0.03, 1.03)
        upper.set_ylabel("share that is relevant")
        undress(upper)
        lower.vlines([one.predicted for one in bins], 0, [one.count for one in bins], color=_DATA, lw=5)
        lower.set_ylim(0, max(one.count for one in bins) * 1.15)
        lower.set_ylabel("results")
        lower.set_xlabel("predicted probability of relevance")
        lower.locator_params(axis="y", nbins=3, integer=True)
        undress(lower, "y")

    return draw_svg(key, 4.4, draw)
