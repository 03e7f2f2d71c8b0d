"""How much each topic gains or loses: one bar a topic, sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..words import count
from .svg import INK, drawn, undressed

__all__ = ["gains_by_topic"]

_GAIN: Final = "#0072B2"
_LOSS: Final = "#D55E00"
_SINGLE: Final = 80  # topics; of more, bars touch each other


def gains_by_topic(gains: Sequence[float], measure: str, better: str, baseline: str, key: str) -> str:
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
        undressed(axes, "y")
        axes.set_ylim(-reach, reach)
        axes.set_xlim(0.3, len(ordered) + 0.7)
        axes.set_xlabel(f"{count(len(ordered), 'query', 'queries')}, from the largest gain to the largest loss")
        axes.set_ylabel(f"difference in {measure}")
        axes.text(0.99, 0.97, f"▲ {better} better", transform=axes.transAxes, ha="right", va="top")
        axes.text(0.01, 0.03, f"▼ {baseline} better", transform=axes.transAxes, ha="left", va="bottom")
        _whole(axes, len(ordered))

    return drawn(key, 2.9, draw)


def _whole(axes: Any, topics: int) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    if topics <= 3:
        axes.xaxis.set_major_locator(FixedLocator(list(range(1, topics + 1))))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
