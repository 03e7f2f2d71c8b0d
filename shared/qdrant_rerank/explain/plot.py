"""A picture of what each term adds to each result's score: `draw`. Needs matplotlib, which the extra `learn` brings."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, MissingExtra, QueryError, StrategyError, warn
from ..expressions.text import brief_term
from .results import Explained, ResultReason, term_columns

_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""The palette of Okabe and Ito (jfly.uni-koeln.de/color, 2008), which people with any colour vision tell apart."""
_OTHERS: Final = "#999999"
_LINE: Final = "#222222"
_LONGEST_NAME: Final = 38
_LONGEST_TERM: Final = 110
_MOST: Final = 200  # results; a picture of more is too high to be looked at, and to be written
_WIDTH: Final = 9.6  # inches
_BAR: Final = 0.36  # inches for each result
_LEGEND_LINE: Final = 0.22  # inches for each term
_REST: Final = 1.0  # inches for the title and the axis


def check_picture(path: str | PathLike[str]) -> Path:
    """Check, before the work, that a picture can be written there.

    Raises FormatError: the file's name ends neither in .svg nor in .png, or its folder isn't there. Raises MissingExtra:
    matplotlib isn't installed.
    """
    target = Path(path)
    if target.suffix.lower() not in (".svg", ".png"):
        raise FormatError(
            f"a picture is written as .svg or .png, not as {target.suffix or 'a file without a suffix'!r}", target
        )
    if not target.parent.is_dir():
        raise FormatError(f"there is no folder {str(target.parent)!r} to write it to", target)
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("a picture of an explanation", "learn")
    return target


def draw(explained: Explained, path: str | PathLike[str], names: Sequence[str] | None = None, title: str = "") -> None:
    """Draw the terms of each result's score as one row of stacked bars: what adds goes right of zero, what subtracts left.

    A line marks where the terms of a row add up to, and the score is written at its end. Of more than seven terms, those
    that add or subtract least are drawn together.

    Args:
        explained: as `Executor.explain` returns it.
        path: the file, .svg or .png.
        names: what to call each result; its id if None.
        title: what stands above, e.g. the query's text.

    Raises FormatError: see `check_picture`. Raises QueryError: there are no results, more than 200, or not as many names as
    results. Raises StrategyError: the scores have no terms, as those of MMR. Raises MissingExtra: matplotlib isn't installed.
    """
    target = check_picture(path)
    reasons = explained.reasons
    if not reasons:
        raise QueryError("there are no results to draw")
    if len(reasons) > _MOST:
        raise QueryError(f"a picture holds up to {_MOST} results, and there are {len(reasons)}: ask for fewer")
    if not any(reason.terms for reason in reasons):
        raise StrategyError("there are no terms to draw: the scores of MMR don't come about by adding")
    called = [str(reason.id) for reason in reasons] if names is None else list(names)
    if len(called) != len(reasons):
        raise QueryError(f"names must have a name for each of the {len(reasons)} results, got {len(called)}")
    _save(_figure(reasons, called, title), target)


class _Bars(NamedTuple):
    """An entry of the legend, with what its terms add to each result: shape (terms, results)."""

    text: str
    colour: str
    columns: NDArray[np.float64]


def _bars(reasons: Sequence[ResultReason]) -> Iterator[_Bars]:
    found = term_columns(reasons)
    columns = np.array([column for _, column in found], np.float64)
    columns[np.isnan(columns)] = 0.0
    largest = np.argsort(-np.abs(columns).sum(axis=1), kind="stable")
    drawn = sorted(largest[: len(_COLOURS)].tolist())
    for colour, number in zip(_COLOURS, drawn, strict=False):
        yield _Bars(brief_term(found[number][0], _LONGEST_TERM), colour, columns[[number]])
    if len(rest := np.delete(columns, drawn, axis=0)):
        yield _Bars(f"{len(rest)} other terms", _OTHERS, rest)


def _shorten(text: str, longest: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def _figure(reasons: Sequence[ResultReason], names: Sequence[str], title: str) -> Any:
    from matplotlib.figure import Figure

    bars = list(_bars(reasons))
    height = _REST + _BAR * len(reasons) + _LEGEND_LINE * len(bars)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes: Any = figure.add_subplot()
    right, left = np.zeros(len(reasons)), np.zeros(len(reasons))
    for entry in bars:
        for values, ends in ((np.maximum(entry.columns, 0), right), (np.minimum(entry.columns, 0), left)):
            width = values.sum(axis=0)
            axes.barh(range(len(reasons)), width, left=ends, height=0.72, color=entry.colour, edgecolor="white", lw=0.6)
            ends += width
    _write_scores(axes, reasons, right.tolist())
    _dress(axes, reasons, names, title)
    _legend(figure, bars, "score" if reasons[0].link == "identity" else "sum")
    return figure


def _write_scores(axes: Any, reasons: Sequence[ResultReason], right: Sequence[float]) -> None:
    """A line where each row's terms add up to, and the score at the row's end."""
    for row, reason in enumerate(reasons):
        axes.plot([reason.total, reason.total], [row - 0.42, row + 0.42], color=_LINE, lw=2, solid_capstyle="butt")
        score = (
            f"{reason.score:.4g}" if reason.link == "identity" else f"{reason.link}({reason.total:.4g}) = {reason.score:.4g}"
        )
        at = max(right[row], reason.total, 0.0), row
        axes.annotate(score, at, xytext=(6, 0), textcoords="offset points", va="center", fontsize=9, annotation_clip=False)


def _dress(axes: Any, reasons: Sequence[ResultReason], names: Sequence[str], title: str) -> None:
    axes.axvline(0, color=_LINE, lw=0.8)
    labels = [f"{reason.rank}  {_shorten(name, _LONGEST_NAME)}" for reason, name in zip(reasons, names, strict=True)]
    axes.set_yticks(range(len(reasons)), labels, fontsize=9)
    axes.set_ylim(len(reasons) - 0.4, -0.6)  # best first
    axes.margins(x=0.12)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    what = "score" if reasons[0].link == "identity" else f"sum of the terms; the score is its {reasons[0].link}"
    axes.set_xlabel(what, fontsize=9)
    heading = axes.set_title(_shorten(title, 90), fontsize=11, loc="left")
    for text in (heading, *axes.get_yticklabels()):
        text.set_parse_math(False)  # a dollar in a text is a dollar


def _legend(figure: Any, bars: Sequence[_Bars], line: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [*(Patch(color=entry.colour, label=entry.text) for entry in bars), Line2D([], [], color=_LINE, lw=2, label=line)]
    legend = figure.legend(handles=handles, loc="outside lower left", frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _save(figure: Any, target: Path) -> None:
    import matplotlib as mpl

    # text in an .svg stays text, which the reader's own fonts show
    with mpl.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(target, dpi=150, metadata={"Date": None} if target.suffix.lower() == ".svg" else None)
    if target.suffix.lower() == ".png" and any("Glyph" in str(each.message) for each in caught):
        message = f"the font of {target} lacks some characters, which are boxes there: an .svg shows them"
        warn(message)
