"""The figures, as SVG to be put into a page: no ids that clash, no fonts to load, colours that follow the page's."""

from __future__ import annotations

import io
import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .._internals import is_finite, load_extra
from ..evaluate import Comparison, Evaluation
from .story import Calibration, System, count

_INK: Final = "#010203"
"""Stands for the colour of text and lines: the page's own, also where it is dark."""
_FAINT: Final = "#040506"
"""Stands for the colour of the grid: the page's, likewise."""
_DASHES: Final = (0, (4, 3))
_BLUE: Final = "#0072B2"
_RED: Final = "#D55E00"
_WIDTH: Final = 4.7
"""Inches: about 450 pixels, so that text stays legible on a phone of 390."""
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text: read aloud, searched, shown in the page's font
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the layout is the same on every machine
    "font.size": 9.5,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": False,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "axes.formatter.use_mathtext": False,
}
_ALONE = threading.Lock()  # matplotlib's settings are global while they are changed


def _draw_svg(key: str, height: float, draw: Callable[[Any], None]) -> str:
    """A figure as an `<svg>` element, `height` inches high, drawn by `draw` on an empty `matplotlib.figure.Figure`.

    `key` begins the ids, so that they differ from others on the page. Raises MissingExtra where there is no matplotlib.
    """
    what = "the figures of a report"
    mpl, figures = load_extra("matplotlib", what, "learn"), load_extra("matplotlib.figure", what, "learn")
    text = io.StringIO()
    with _ALONE, mpl.rc_context({**_SETTINGS, "svg.hashsalt": key}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's fonts may have what this one lacks
        figure = figures.Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _embed(text.getvalue(), key)


def _undress(axes: Any, grid: str = "both") -> None:
    """Take off the upper and right frame, and put a faint grid below the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=_FAINT, lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)


def _embed(svg: str, key: str) -> str:
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
    svg = svg.replace(_INK, "currentColor").replace(_FAINT, "var(--grid)")
    return re.sub(r"\n\s*", "\n", svg).strip()


COST_NAMES: Final = {
    "p50_ms": "median time of a query in milliseconds",
    "round_trips": "round trips to Qdrant for a query",
    "model_texts": "texts that a model reads for a query",
}


def choose_costs(comparison: Comparison) -> tuple[str, ...]:
    """Up to two costs worth a figure: known of every system, and not the same for all."""
    return list_varied_costs(comparison)[:2] or tuple(comparison.frontiers)[:1]


def list_varied_costs(comparison: Comparison) -> tuple[str, ...]:
    """The costs that are known of every system and not the same for all."""
    return tuple(cost for cost in comparison.frontiers if len({_cost_of(one, cost) for one in comparison.evaluations}) > 1)


def _cost_of(evaluation: Evaluation, cost: str) -> float:
    return float(getattr(evaluation.costs, cost))


def draw_costs(comparison: Comparison, cost: str, systems: Mapping[str, System], key: str) -> str:
    """Quality over cost, as `<svg>`: a marker for each system, a line for its interval, steps along the front."""
    points = {one.name: (_cost_of(one, cost), one.means[comparison.measure]) for one in comparison.evaluations}
    front = comparison.frontiers[cost]

    def draw(figure: Any) -> None:
        axes: Any = figure.add_subplot()
        if len(front) > 1:
            steps = [points[name][0] for name in front], [points[name][1].estimate for name in front]
            axes.plot(*steps, drawstyle="steps-post", color=_INK, lw=1.1, ls=_DASHES, zorder=1)
        for name, (spent, mean) in points.items():
            system = systems[name]
            if mean.low is not None and mean.high is not None:
                axes.plot([spent, spent], [mean.low, mean.high], color=system.colour, lw=1.4, alpha=0.75, zorder=2)
            filled = system.colour if name in front else "none"
            marker = {"ms": 9, "mfc": filled, "mec": system.colour, "mew": 1.8, "ls": "none"}
            label = f" {system.label}"  # the space, as legends hide what begins with `_`
            axes.plot(spent, mean.estimate, system.marker, label=label, zorder=3, clip_on=False, **marker)
        _undress(axes)
        _scale_costs(axes, [spent for spent, _ in points.values()])
        axes.margins(y=0.12)
        axes.set_xlabel(COST_NAMES[cost])
        axes.set_ylabel(comparison.measure)
        longest = max(len(systems[name].label) for name in points)
        figure.legend(loc="outside lower center", ncols=max(1, min(4, 60 // (longest + 8))), frameon=False)

    return _draw_svg(key, 3.6 + 0.1 * len(points), draw)


def _scale_costs(axes: Any, spent: Sequence[float]) -> None:
    """Scale by ratios; from 0, where something is free."""
    from matplotlib.ticker import LogLocator, NullFormatter

    least, most = min(spent), max(spent)
    if least > 0:
        room = max((most / least) ** 0.18, 1.3)
        axes.set_xscale("log")
        axes.set_xlim(least / room, most * room)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most < 100 * least else (1.0,)))
    else:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(-0.4, max(most * 2, 1.5))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)


_SINGLE: Final = 80  # topics; of more, bars touch each other


def draw_gains(gains: Sequence[float], measure: str, better: str, baseline: str, key: str) -> str:
    """Bars of the differences to the baseline, topic by topic, as `<svg>`; upwards they speak for the system `better`."""
    ordered = np.sort(gains)[::-1]
    places = np.arange(1, len(ordered) + 1)
    reach = (float(np.abs(ordered).max()) or 1.0) * 1.12  # some room where nothing differs

    def draw(figure: Any) -> None:
        axes: Any = figure.add_subplot()
        for values, colour in ((np.maximum(ordered, 0), _BLUE), (np.minimum(ordered, 0), _RED)):
            if len(ordered) <= _SINGLE:
                axes.bar(places[values != 0], values[values != 0], width=0.72, color=colour)
            else:
                axes.stairs(values, np.append(places, len(ordered) + 1) - 0.5, fill=True, color=colour, lw=0)
        axes.axhline(0, color=_INK, lw=0.9)
        _undress(axes, "y")
        axes.set_ylim(-reach, reach)
        axes.set_xlim(0.3, len(ordered) + 0.7)
        axes.set_xlabel(f"{count(len(ordered))}, from the largest gain to the largest loss")
        axes.set_ylabel(f"difference in {measure}")
        axes.text(0.99, 0.97, f"▲ {better} better", transform=axes.transAxes, ha="right", va="top")
        axes.text(0.01, 0.03, f"▼ {baseline} better", transform=axes.transAxes, ha="left", va="bottom")
        if len(ordered) > 3:
            axes.locator_params(axis="x", nbins=6, integer=True)
        else:
            axes.set_xticks(places)

    return _draw_svg(key, 2.9, draw)


_TICKS: Final = 7
_WIDE: Final = 20.0  # the largest number over the smallest, from which equal steps stand for equal ratios


@dataclass(frozen=True)
class Curve:
    """A family's configurations over one number.

    Attributes:
        parameter: the number that takes most values in it.
        points: (number, mean) of each configuration.
        best: the highest mean at each number, by rising number.
        chosen: (number, mean) of the configuration that tuning picks, if it is of this family.
        default: the mean of the strategy to beat.
    """

    family: str
    measure: str
    parameter: str
    points: tuple[tuple[float, float], ...]
    best: tuple[tuple[float, float], ...]
    chosen: tuple[float, float] | None
    default: float


def curves_of(tuning: Any) -> Iterator[Curve]:
    """A curve for each family with a number that takes at least two values, in the order tried; none without a tuning."""
    if tuning is None:
        return
    first, chosen = tuning.configurations[0], tuning[tuning.chosen]
    default = first.mean - first.difference
    for family, tried in tuning.curves.items():
        parameter = _find_varied([point.parameters for point in tried])
        if parameter is None:
            continue
        points = tuple((float(point.parameters[parameter]), point.mean) for point in tried)
        best = tuple(sorted(dict(sorted(points)).items()))  # of equal numbers, the last is the highest mean
        place = (float(chosen.parameters[parameter]), chosen.mean) if chosen.family == family else None
        yield Curve(family, tuning.measure, parameter, points, best, place, default)


def _find_varied(parameters: list[Mapping[str, Any]]) -> str | None:
    """The parameter with most values, of those that are numbers in all configurations; the first of equals."""
    values = {name: {each.get(name) for each in parameters} for name in parameters[0]}
    numbers = {name: len(found) for name, found in values.items() if len(found) > 1 and all(map(is_finite, found))}
    return max(numbers, key=numbers.__getitem__) if numbers else None


def draw_curve(curve: Curve, among: Sequence[Curve], key: str) -> str:
    """The means of a family over the number that it varies, as `<svg>`, on the same upright axis as those `among` it."""

    def draw(figure: Any) -> None:
        axes: Any = figure.add_subplot()
        axes.plot(*zip(*curve.points, strict=True), "o", ms=4.5, mfc="none", mec=_BLUE, mew=1.1, alpha=0.75, zorder=2)
        axes.plot(*zip(*curve.best, strict=True), color=_BLUE, lw=1.4, zorder=3)
        if curve.chosen is not None:
            axes.plot(*curve.chosen, "D", ms=8, color=_RED, zorder=4, clip_on=False, label="picked")
        axes.axhline(curve.default, color=_INK, lw=1.1, ls=_DASHES, zorder=1, label="default")
        axes.legend(frameon=False, fontsize=8.5)
        _undress(axes)
        numbers = [number for number, _ in curve.best]
        if numbers[0] > 0 and numbers[-1] / numbers[0] >= _WIDE:
            axes.set_xscale("log")
        axes.set_xticks(numbers[:: math.ceil(len(numbers) / _TICKS)])  # ticks at numbers that were tried
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.margins(x=0.06)
        axes.set_ylim(*_heights(among))
        axes.set_xlabel(f"{curve.parameter} ({curve.family})")
        axes.set_ylabel(f"mean {curve.measure}")

    return _draw_svg(key, 2.6, draw)


def _heights(among: Sequence[Curve]) -> tuple[float, float]:
    """Both ends of the upright axis, with some room even where all means are the same."""
    means = [mean for curve in among for _, mean in curve.points] + [curve.default for curve in among]
    room = max(0.08 * (max(means) - min(means)), 0.005)
    return min(means) - room, max(means) + room


def draw_reliability(calibration: Calibration, key: str) -> str:
    """A reliability diagram, and how many results each bin holds, as `<svg>`."""
    bins = calibration.bins

    def draw(figure: Any) -> None:
        upper: Any
        lower: Any
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=_INK, lw=1, ls=_DASHES)
        upper.annotate("as predicted", (0.78, 0.78), xytext=(6, -12), textcoords="offset points", fontsize=8.5)
        for one in bins:
            if one.low is not None and one.high is not None:
                upper.plot([one.predicted] * 2, [one.low, one.high], color=_BLUE, lw=1.6, alpha=0.7)
        upper.plot([one.predicted for one in bins], [one.observed for one in bins], "-o", color=_BLUE, lw=1.2, ms=6)
        upper.set_ylim(-0.03, 1.03)
        upper.set_xlim(-0.03, 1.03)
        upper.set_ylabel("share that is relevant")
        _undress(upper)
        lower.vlines([one.predicted for one in bins], 0, [one.count for one in bins], color=_BLUE, lw=5)
        lower.set_ylim(0, max(one.count for one in bins) * 1.15)
        lower.set_ylabel("results")
        lower.set_xlabel("predicted probability of relevance")
        lower.locator_params(axis="y", nbins=3, integer=True)
        _undress(lower, "y")

    return _draw_svg(key, 4.4, draw)
