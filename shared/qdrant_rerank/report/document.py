"""`report` checks its arguments and makes a `Report`, which writes HTML, Markdown or JSON.

Templates lay out the results as they are, with the tables and figures that are made of them here.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any, Final

from .. import StrategyError, __version__
from .._internals import load_extra
from ..errors import FormatError
from ..evaluate import Comparison, Evaluation, compare
from ..evaluate._internals import plain, write_p
from .figures import (
    COST_NAMES,
    Curve,
    choose_costs,
    curves_of,
    draw_costs,
    draw_curve,
    draw_gains,
    draw_reliability,
    list_varied_costs,
)
from .story import (
    Calibration,
    Contents,
    GivenCoefficients,
    System,
    amount,
    as_coefficients,
    count,
    explain_measure,
    foremost,
    give_verdict,
    is_synthetic,
    story_of,
    systems_in,
)

_COSTS: Final = {
    "p50_ms": "median ms",
    "p95_ms": "95 % below ms",
    "round_trips": "round trips",
    "searches": "searches",
    "embeddings": "embeddings",
    "model_calls": "model calls",
    "model_texts": "texts read by a model",
    "bytes_sent": "bytes sent",
    "bytes_received": "bytes received",
}
_FRONTS: Final = {"p50_ms": "time", "round_trips": "round trips", "model_texts": "texts read"}
_SHOWN_FAILURES: Final = 10
_SHOWN_CONFIGURATIONS: Final = 12


@dataclass(frozen=True)
class Figure:
    """A figure (no `svg` where nothing is drawn), its content for those who can't see it, and the text below it."""

    alt: str
    caption: str
    svg: str = ""


def _lay_out(report: Contents, draw: bool) -> dict[str, Any]:
    """The values that templates read; figures are drawn if `draw`, else described only."""
    comparison, evaluations, tuning, systems = report.comparison, report.evaluations, report.tuning, systems_in(report)
    measures = list(dict.fromkeys(name for one in evaluations for name in one.measures))
    measure = comparison.measure if comparison else measures[0] if measures else tuning.measure
    topics = len(evaluations[0].coverage.measured if evaluations else tuning.topics)
    curves = list(curves_of(tuning))
    about: dict[str, Any] = {
        "report": report,
        "comparison": comparison,
        "evaluations": evaluations,
        "tuning": tuning,
        "calibration": report.calibration,
        "story": story_of(report),
        "subtitle": f"{measure} on {count(topics)}{', which are synthetic' if is_synthetic(report) else ''}",
        "systems": systems,
        "lettered": any(system.label != name for name, system in systems.items()),
        "measure": measure,
        "measures": measures,
        "meanings": [(name, text) for name in measures if (text := explain_measure(name))],
        "level": f"{evaluations[0].means[measure].level:.0%}" if evaluations else "",
        "costs": {cost: _COSTS[cost] for cost in _COSTS if any(getattr(one.costs, cost) is not None for one in evaluations)},
        "cost_figures": [_draw_costs(comparison, one, systems, draw) for one in choose_costs(comparison)] if comparison else [],
        "failures": _failures(evaluations),
        "shown_failures": _SHOWN_FAILURES,
        "left_out": _left_out(evaluations),
        "tuning_figures": [
            Figure(describe_curve(one), sum_up_curve(one), draw_curve(one, curves, f"tuning-{number}") if draw else "")
            for number, one in enumerate(curves)
        ],
        "tuning_caption": introduce_curves(curves),
        "reliability": _draw_reliability(report.calibration, draw) if report.calibration else None,
        "coefficients": report.coefficients,
        "coefficient_whiskers": _scale([(one.value, one.low, one.high) for one in report.coefficients]),
    }
    if tuning:
        about |= {"tried": _list_tried(tuning), "tuning_numbers": list(_tuning_numbers(tuning))}
    if comparison:
        best, by_mean = foremost(comparison), sorted(comparison.differences, key=lambda row: -row.mean)
        others = [row for row in comparison.differences if row is not best]
        about |= {
            "baseline": systems[comparison.baseline],
            "by_mean": by_mean,
            "by_name": {one.name: one for one in evaluations},
            "whiskers": _scale([(row.difference.estimate, row.difference.low, row.difference.high) for row in by_mean]),
            "fronts": [(_FRONTS[cost], comparison.frontiers[cost]) for cost in list_varied_costs(comparison)],
            "changed": [(row, systems[row.name], give_verdict(comparison, row, systems)) for row in (best, *others)],
            "gains": _draw_gains(comparison, systems, draw),
        }
    return about


def _left_out(evaluations: Sequence[Evaluation]) -> str:
    if not evaluations:
        return ""
    found = evaluations[0].coverage
    parts = [f"{count(len(found.unjudged))} without judgments"] if found.unjudged else []
    if found.unasked:
        parts.append(f"{count(len(found.unasked), 'judged query')} not among the topics")
    return f"Left out: {' and '.join(parts)}." if parts else ""


def _failures(evaluations: Sequence[Evaluation]) -> list[tuple[str, str, list[str]]]:
    """(system, error, topics) for each error, the most frequent first."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in evaluations:
        for topic, error in one.coverage.failed.items():
            found.setdefault((one.name, error), []).append(topic)
    return [(*key, topics) for key, topics in sorted(found.items(), key=lambda item: -len(item[1]))]


@dataclass(frozen=True)
class Whisker:
    """An interval on a scale from 0 to 100: the estimate, both ends (the estimate where there are none), and where 0 is."""

    value: float
    low: float
    high: float
    zero: float


def _scale(rows: Sequence[tuple[float, float | None, float | None]]) -> list[Whisker]:
    """(estimate, low, high) of each row → its whisker; the scale holds all of them, and 0."""
    ends = [0.0, *(end for row in rows for end in row if end is not None)]
    least, span = min(ends), (max(ends) - min(ends)) or 1.0

    def at(value: float) -> float:
        return round(4 + 92 * (value - least) / span, 2)  # 4 on either side for the marker

    return [
        Whisker(at(value), at(value if low is None else low), at(value if high is None else high), at(0.0))
        for value, low, high in rows
    ]


def _draw_costs(comparison: Comparison, cost: str, systems: Mapping[str, System], draw: bool) -> Figure:
    measure, what = comparison.measure, COST_NAMES[cost]
    points = [
        f"{systems[one.name].label} {one.means[measure].estimate:.4f} at {amount(getattr(one.costs, cost))}"
        for one in comparison.evaluations
    ]
    front = ", ".join(systems[name].label for name in comparison.frontiers[cost])
    return Figure(
        alt=f"{measure} over {what}. {'; '.join(points)}. None is better and cheaper than {front}.",
        caption=f"{measure} over the {what}. Filled markers, on the dashed line: no other system is at least as good for as "
        "little. Vertical lines are the intervals of the means.",
        svg=draw_costs(comparison, cost, systems, f"cost-{cost.replace('_', '-')}") if draw else "",
    )


def _draw_gains(comparison: Comparison, systems: Mapping[str, System], draw: bool) -> Figure:
    row, measure = foremost(comparison), comparison.measure
    label, base = systems[row.name].label, systems[comparison.baseline].label
    values = {one.name: one.values[measure] for one in comparison.evaluations}
    gains = [value - values[comparison.baseline][topic] for topic, value in values[row.name].items()]
    text = f"{label} is better on {row.wins}, the same on {row.ties} and worse on {count(row.losses)}"
    return Figure(
        alt=f"Differences in {measure} between {label} and {base}, query by query. {text}; the largest gain is "
        f"{max(gains):+.4f}, the largest loss {min(gains):+.4f}.",
        caption=f"{label} beside {base}, query by query: {text}.",
        svg=draw_gains(gains, measure, label, base, "gains") if draw else "",
    )


def introduce_curves(curves: Sequence[Curve]) -> str:
    """The text above the figures of a tuning."""
    diamond = "; the diamond is the one that tuning picks" if any(curve.chosen for curve in curves) else ""
    return (
        "Each circle is a configuration, over the number that its family varies most, and the line joins the best ones"
        f"{diamond}. The upright axis is the same in all figures."
    )


def describe_curve(curve: Curve) -> str:
    """The figure's content for those who can't see it."""
    values = ", ".join(f"{mean:.4f} at {number:g}" for number, mean in curve.best)
    what = f"Mean {curve.measure} over {curve.parameter}, {curve.family}"
    return f"{what}. The best at each: {values}. The default: {curve.default:.4f}."


def sum_up_curve(curve: Curve) -> str:
    """The text below the figure."""
    number, mean = max(curve.best, key=lambda point: point[1])
    tried = count(len(curve.points), "configuration")
    return f"{curve.family}, {tried}: the best mean is {mean:.4f}, with {curve.parameter} {number:g}."


def _draw_reliability(calibration: Calibration, draw: bool) -> Figure:
    points = "; ".join(
        f"predicted {one.predicted:.2f}, observed {one.observed:.2f} of {one.count:,}" for one in calibration.bins
    )
    return Figure(
        alt=f"Reliability diagram. {points}.",
        caption="On the dashed line, of results given a probability of 0.7, 7 in 10 are relevant. Above it they are relevant "
        "more often than predicted, below less often. The bars are how many results there are.",
        svg=draw_reliability(calibration, "reliability") if draw else "",
    )


def _list_tried(tuning: Any) -> list[tuple[Any, str]]:
    """The configurations with the best means, the chosen one and the default, each with a remark."""
    defaults = {row.name for row in tuning.configurations if row.strategy == tuning.baseline}
    signs = {tuning.chosen: "chosen"}
    if not tuning.recommended:
        signs = {tuning.chosen: "picked, but not shown to be better"} | dict.fromkeys(defaults, "kept")
    return [
        (row, signs.get(row.name, ""))
        for place, row in enumerate(tuning.configurations)
        if place < _SHOWN_CONFIGURATIONS or row.name in signs or row.name in defaults
    ]


def _tuning_numbers(tuning: Any) -> Iterator[tuple[str, str]]:
    ceiling, spent = tuning.ceiling, tuning.spent
    yield "held-out gain of choosing like this", f"{tuning.gain.as_gain(tuning.measure)}, {write_p(tuning.p)}"
    if tuning.detectable is not None:
        yield "smallest gain that so many queries would show", f"{tuning.detectable:.4f}"
    yield "best possible order of the same candidates", f"{ceiling.value:.4f}"
    yield "relevant documents among the candidates", f"{ceiling.recall:.1%} (points of each candidate: {ceiling.depth})"
    for candidate, recall in ceiling.candidate_recall.items():
        yield f"of these found by {candidate}", f"{recall:.1%}"
    took = f"{amount(float(spent.requests))} searches in {amount(float(spent.round_trips))} round trips"
    yield "the tuning took", f"{took}, {amount(float(spent.model_texts))} texts read by a model"


def _effort(effort: Any) -> str:
    """The cost of a query: `2 round trips, 50 texts read`; a dash where it isn't known."""
    parts = (("round_trips", "round trip"), ("searches", "search"), ("model_texts", "text"))
    found = [(getattr(effort, name, None), what) for name, what in parts]
    return ", ".join(count(number, what) + (" read" if what == "text" else "") for number, what in found if number) or "–"


def _describe_move(document: str, rank: int, before: Sequence[str]) -> str:
    """How a document moved from the baseline's ranking, in a word or two."""
    if document not in before:
        return "new"
    up = before.index(document) + 1 - rank
    return f"up {up}" if up > 0 else f"down {-up}" if up < 0 else ""


_SPECIAL = re.compile(r"([\\`*_\[\]|~#$])")


def _plain(value: Any) -> str:
    """A value as Markdown that shows it and does nothing else, on one line; `finalize` calls it for each."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _render(template: str, about: Mapping[str, Any], **settings: Any) -> str:
    jinja2 = load_extra("jinja2", "a report", "learn")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qdrant_rerank.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **settings,
    )
    ours: dict[str, Any] = {"amount": amount, "effort": _effort, "moved": _describe_move}
    ours["p"] = lambda p: write_p(p).removeprefix("p ").removeprefix("= ")
    environment.filters.update(ours)
    return str(environment.get_template(template).render(about))


class Report(Contents):
    """A report, not yet written."""

    def html(self) -> str:
        """The report as one HTML page that needs no other file, no network and no JavaScript.

        Raises:
            MissingExtra: jinja2 or matplotlib isn't installed.
        """
        return _render("report.html.j2", _lay_out(self, draw=True), autoescape=True)

    def markdown(self) -> str:
        """The report as Markdown, with tables, and texts for figures.

        Raises:
            MissingExtra: jinja2 isn't installed.
        """
        text = _render("report.md.j2", _lay_out(self, draw=False), autoescape=False, finalize=_plain)
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

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

    Raises FormatError: the suffix is none of .html, .md and .json, the folder isn't there, or it is a folder itself.
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
    made = _describe_making(date, seed, details or {})
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


def _describe_making(date: dt.date | str | None, seed: int | None, details: Mapping[str, Any]) -> dict[str, str]:
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
