"""`report` checks its arguments and makes a `Report`, which writes HTML, Markdown or JSON."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any, Final

from .. import StrategyError, __version__
from ..errors import FormatError
from ..evaluate import Comparison, Evaluation, compare
from ..evaluate._internals import plain
from .page import render_html, render_markdown
from .parts import Calibration, Contents, GivenCoefficients, as_coefficients
from .story import story_of

__all__ = ["Report", "check_target", "report"]


class Report(Contents):
    """A report, not yet written."""

    def html(self) -> str:
        """The report as one HTML page that needs no other file, no network and no JavaScript.

        Raises:
            MissingExtra: jinja2 or matplotlib isn't installed.
        """
        return render_html(self)

    def markdown(self) -> str:
        """The report as Markdown, with tables, and texts for figures.

        Raises:
            MissingExtra: jinja2 isn't installed.
        """
        return render_markdown(self)

    def json(self) -> str:
        """The report's data as JSON: every topic's values and rankings, and the report's words."""
        return self.to_json()

    def as_dict(self) -> dict[str, Any]:
        """What `json` writes, as dicts, lists, texts and numbers."""
        story, what = story_of(self), "comparison" if self.comparison else "evaluations"
        return {
            "title": self.title,
            "summary": [story.measured, story.found, story.next],
            "warnings": list(story.warnings),
            "what_to_do_next": list(story.steps),
            **{name: plain(getattr(self, name)) for name in (what, "tuning", "calibration", "coefficients")},
            "made": dict(self.made),
        }

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the report to a file as its suffix says: .html, .md or .json. A file that is there is replaced.

        Returns:
            The path.

        Raises:
            FormatError: the suffix is another, or the folder isn't there.
            MissingExtra: see `html` and `markdown`.
        """
        target = check_target(path)
        written = (self.html, self.html, self.markdown, self.json)
        write = {str(suffix): way for suffix, way in zip(_SUFFIXES, written, strict=True)}[target.suffix.lower()]
        target.write_text(write(), "utf-8", newline="\n")
        return target


def check_target(path: str | PathLike[str]) -> Path:
    """The path, if a report can be written there, for programs to check before they measure for minutes.

    Raises:
        FormatError: the suffix is none of .html, .md and .json, the folder isn't there, or it is a folder itself.
    """
    target = Path(path)
    if target.suffix.lower() not in _SUFFIXES:
        suffix = repr(target.suffix) if target.suffix else "a file without a suffix"
        raise FormatError(f"a report is written as .html, .md or .json, not as {suffix}", target)
    if not target.parent.is_dir():
        raise FormatError(f"there is no folder {str(target.parent)!r} to write the report to", target)
    if target.is_dir():
        raise FormatError("this is a folder: name a file in it, e.g. report.html", target)
    return target


_TUNING: Final = ("topics", "reasons", "configurations", "chosen", "gain", "curves", "ceiling", "spent")
"""Attributes that only the result of `tune` has."""
_SUFFIXES: Final = (".html", ".htm", ".md", ".json")
_LIBRARIES: Final = ("qdrant-client", "ir-measures", "numpy", "scipy", "matplotlib")


def report(
    result: Comparison | Evaluation | Sequence[Evaluation] | None = None,
    tuning: Any = None,
    calibration: Calibration | None = None,
    coefficients: GivenCoefficients | None = None,
    *,
    title: str = "Which strategy should I use?",
    date: dt.date | str | None = None,
    seed: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Report:
    """A report on a comparison, an evaluation or a tuning: `.save("report.html")`, `.html()`, `.markdown()`, `.json()`.

    The same input gives the same report: nothing looks at the clock.

    Args:
        result: what `compare` returned; or evaluations, of which the first is the baseline of the others; or one evaluation;
            or None, for a report on the tuning alone.
        tuning: what `tune` returned.
        calibration: predicted probabilities beside observed ones.
        coefficients: what was learned, as `Coefficient`s or as a mapping from name to number or `Interval`.
        title: its heading.
        date: when the measurements were made; not shown if None.
        seed: of `compare`'s resampling; with evaluations, the one to compare them with (0 if None).
        details: more on how it was made, e.g. `{"corpus": "SciFact", "machine": "2 cores"}`.

    Raises:
        StrategyError: an argument is something else, or the evaluations can't be compared.
        MissingExtra: evaluations are to be compared, and scipy isn't installed.
    """
    if absent := [name for name in _TUNING if tuning is not None and not hasattr(tuning, name)]:
        raise StrategyError(
            f"tuning= takes what tune() returned, got {type(tuning).__name__}, which has no {', '.join(map(repr, absent))}"
        )
    if calibration is not None and not isinstance(calibration, Calibration):
        raise StrategyError(f"calibration= takes a Calibration, got {type(calibration).__name__}")
    if not isinstance(title, str) or not title.strip():
        raise StrategyError(f"title= must be text that isn't empty, got {title!r}")
    if not isinstance(result, Comparison | Evaluation | None) and seed is None:
        seed = 0
    if result is None and tuning is None:
        raise StrategyError("there is nothing to report: pass what compare(), evaluate() or tune() returned")
    comparison, evaluations = (None, ()) if result is None else _results(result, seed or 0)
    made = _made(date, seed, details or {})
    return Report(title, evaluations, comparison, tuning, calibration, as_coefficients(coefficients), made)


def _results(result: Any, seed: int) -> tuple[Comparison | None, tuple[Evaluation, ...]]:
    if isinstance(result, Comparison):
        return result, result.evaluations
    listed: list[Any] = list(result) if isinstance(result, Sequence) and not isinstance(result, str) else [result]
    if wrong := [type(item).__name__ for item in listed if not isinstance(item, Evaluation)]:
        raise StrategyError(
            f"a report is made of what compare() or evaluate() returned, or of a list of evaluations, got {wrong[0]}"
        )
    if not listed:
        raise StrategyError("there is nothing to report: the list of evaluations is empty")
    if len(listed) == 1:
        return None, (listed[0],)
    comparison = compare(listed, seed=seed)
    return comparison, comparison.evaluations


def _made(date: dt.date | str | None, seed: int | None, details: Mapping[str, Any]) -> dict[str, str]:
    made = {str(name): str(value) for name, value in details.items()}
    if date is not None:
        made["date"] = date.isoformat() if isinstance(date, dt.date) else date
    if seed is not None:
        made["seed of the resampling"] = str(seed)
    versions = {name: _version(name) for name in _LIBRARIES}
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    python = ".".join(map(str, sys.version_info[:3]))
    return made | {"versions": f"qdrant-rerank {__version__}, {found}, Python {python}"}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
