"""`Report`: what a report is made of, and the three ways to write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..evaluate import Comparison, Evaluation
from ..evaluate._internals import Plain, plain
from .parts import Calibration, Coefficient

__all__ = ["Report", "check_target"]


@dataclass(frozen=True)
class Report(Plain):
    """A report, not yet written.

    Attributes:
        title: what stands above.
        evaluations: of the systems, the baseline among them; empty in a report on a tuning alone.
        comparison: of these; None where there is but one.
        tuning: what `tune` returned, or None.
        calibration: predicted probabilities beside what was observed, or None.
        coefficients: what was learned.
        made: how it was made, e.g. versions: name → text.
    """

    title: str
    evaluations: tuple[Evaluation, ...]
    comparison: Comparison | None = None
    tuning: Any = None
    calibration: Calibration | None = None
    coefficients: tuple[Coefficient, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)

    def html(self) -> str:
        """The report as one HTML page that needs no other file, no network and no JavaScript.

        Raises:
            MissingExtra: jinja2 or matplotlib isn't installed.
        """
        from .writing import html

        return html(self)

    def markdown(self) -> str:
        """The report as Markdown, with tables and texts; it says what the HTML page draws.

        Raises:
            MissingExtra: jinja2 isn't installed.
        """
        from .writing import markdown

        return markdown(self)

    def json(self) -> str:
        """The report's data as JSON: every value per topic, every ranking, and what the report says of them."""
        return self.to_json()

    def as_dict(self) -> dict[str, Any]:
        """What `json` writes, as dicts, lists, texts and numbers."""
        from .advice import story_of

        told = story_of(self)
        results: dict[str, Any] = (
            {"comparison": plain(self.comparison)} if self.comparison else {"evaluations": plain(self.evaluations)}
        )
        return {
            "title": self.title,
            "summary": [told.measured, told.found, told.next],
            "warnings": list(told.warnings),
            "what_to_do_next": list(told.steps),
            **results,
            "tuning": plain(self.tuning),
            "calibration": plain(self.calibration),
            "coefficients": plain(self.coefficients),
            "made": dict(self.made),
        }

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the report to a file; its suffix says how: .html, .md or .json. A file that is there is replaced.

        Returns:
            The path.

        Raises:
            FormatError: the suffix is another, or the folder isn't there.
            MissingExtra: see `html` and `markdown`.
        """
        target = check_target(path)
        writers = {".html": self.html, ".htm": self.html, ".md": self.markdown, ".json": self.json}
        writer = writers[target.suffix.lower()]
        target.write_text(writer(), "utf-8", newline="\n")
        return target


def check_target(path: str | PathLike[str]) -> Path:
    """The path, if a report can be written there; for programs that want to know before they measure for minutes.

    Raises:
        FormatError: the suffix is none of .html, .md and .json, the folder isn't there, or it is a folder itself.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm", ".md", ".json"):
        suffix = repr(target.suffix) if target.suffix else "a file without a suffix"
        raise FormatError(f"a report is written as .html, .md or .json, not as {suffix}", target)
    if not target.parent.is_dir():
        raise FormatError(f"there is no folder {str(target.parent)!r} to write the report to", target)
    if target.is_dir():
        raise FormatError("this is a folder: name a file in it, e.g. report.html", target)
    return target
