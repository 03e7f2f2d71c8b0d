"""From a matplotlib figure to SVG inside a page."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final

from ...errors import MissingExtra

__all__ = ["FAINT", "INK", "WIDTH", "drawn", "undressed"]

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


def drawn(key: str, height: float, draw: Callable[[Any], None]) -> str:
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


def undressed(axes: Any, grid: str = "both") -> None:
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
