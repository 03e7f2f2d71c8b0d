"""A reliability diagram: what was predicted, and what was observed, bin by bin."""

from __future__ import annotations

from typing import Any, Final

from ..parts import Calibration
from .svg import INK, drawn, undressed

__all__ = ["reliability"]

_DATA: Final = "#0072B2"


def reliability(calibration: Calibration, key: str) -> str:
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
        undressed(upper)
        lower.vlines([one.predicted for one in bins], 0, [one.count for one in bins], color=_DATA, lw=5)
        lower.set_ylim(0, max(one.count for one in bins) * 1.15)
        lower.set_ylabel("results")
        lower.set_xlabel("predicted probability of relevance")
        lower.locator_params(axis="y", nbins=3, integer=True)
        undressed(lower, "y")

    return drawn(key, 4.4, draw)
