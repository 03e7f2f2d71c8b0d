"""What stands in a report, ready to be laid out, and its layout by the templates as HTML or Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import MissingExtra
from ..evaluate import Comparison
from .figures import COST_NAMES, choose_costs, draw_costs, draw_curve, draw_gains, draw_reliability, list_varied_costs
from .parts import Calibration, Contents
from .story import Story, story_of, systems_in
from .tables import (
    Changed,
    CostTable,
    CoverageRow,
    Failure,
    Mean,
    QualityRow,
    Whisker,
    all_changed,
    costs,
    coverage,
    failures,
    means,
    measure_names,
    qualities,
    whiskers,
)
from .tuning import Curve, Tuned, curves_of, describe_curve, introduce_curves, sum_up_curve, summarise_tuning
from .words import System, amount, count, explain_measure

__all__ = ["Figure", "Learned", "Page", "render_html", "render_markdown", "page_of"]


@dataclass(frozen=True)
class Figure:
    """A figure, what it shows for those who can't see it, and what stands below it; no `svg` where nothing is drawn."""

    alt: str
    caption: str
    svg: str = ""


@dataclass(frozen=True)
class Learned:
    """One coefficient: its name, value and interval as text, and the picture of it."""

    name: str
    value: str
    interval: str
    whisker: Whisker


@dataclass(frozen=True)
class Page:
    """All of a report; empty where it has no such part."""

    title: str
    subtitle: str
    story: Story
    systems: tuple[System, ...]
    full: tuple[tuple[System, str], ...]
    comparison: Comparison | None
    level: str
    measure: str
    meanings: tuple[tuple[str, str], ...]
    qualities: tuple[QualityRow, ...]
    measures: tuple[str, ...]
    means: tuple[tuple[System, list[Mean | None]], ...]
    costs: CostTable
    cost_figures: tuple[Figure, ...]
    changed: tuple[Changed, ...]
    gains: Figure | None
    coverage: tuple[CoverageRow, ...]
    left_out: str
    failures: tuple[Failure, ...]
    more_failures: int
    tuning: Tuned | None
    tuning_figures: tuple[Figure, ...]
    tuning_caption: str
    calibration: Calibration | None
    reliability: Figure | None
    coefficients: tuple[Learned, ...]
    made: Mapping[str, str]


def page_of(report: Contents, draw: bool) -> Page:
    """The report's page.

    Args:
        report: what there is.
        draw: whether to draw the figures; else they are described only.
    """
    comparison, evaluations, systems = report.comparison, report.evaluations, systems_in(report)
    measure = comparison.measure if comparison else evaluations[0].measures[0] if evaluations else report.tuning.measure
    names = measure_names(evaluations)
    changed = tuple(all_changed(comparison, systems)) if comparison else ()
    shown, more = failures(evaluations, systems)
    curves = list(curves_of(report.tuning))
    fronts = {cost: comparison.frontiers[cost] for cost in list_varied_costs(comparison)} if comparison else {}
    return Page(
        title=report.title,
        subtitle=_subtitle(measure, report),
        story=story_of(report),
        systems=tuple(systems.values()),
        full=tuple((systems[one.name], one.run.system) for one in evaluations if one.run.system),
        comparison=comparison,
        level=f"{evaluations[0].means[measure].level:.0%}" if evaluations else "",
        measure=measure,
        meanings=tuple((name, explain_measure(name)) for name in names if explain_measure(name)),
        qualities=tuple(qualities(comparison, systems)) if comparison else (),
        measures=tuple(names),
        means=tuple(means(evaluations, systems)),
        costs=costs(
            evaluations,
            systems,
            fronts,
        ),
        cost_figures=tuple(_cost_figures(comparison, systems, draw)) if comparison else (),
        changed=changed,
        gains=_gains(changed, comparison, systems, draw) if comparison else None,
        coverage=tuple(coverage(evaluations, systems)),
        left_out=_left_out(report),
        failures=tuple(shown),
        more_failures=more,
        tuning=summarise_tuning(report.tuning),
        tuning_figures=tuple(_tuning_figures(curves, draw)),
        tuning_caption=introduce_curves(curves),
        calibration=report.calibration,
        reliability=_reliability(report.calibration, draw) if report.calibration else None,
        coefficients=tuple(_learned(report)),
        made=report.made,
    )


def _subtitle(measure: str, report: Contents) -> str:
    about: Any = report.evaluations[0] if report.evaluations else report.tuning
    topics = len(about.coverage.measured) if report.evaluations else len(about.topics)
    synthetic = any(one.synthetic for one in report.evaluations) or bool(getattr(report.tuning, "synthetic", False))
    return f"{measure} on {count(topics, 'query', 'queries')}{', which are synthetic' if synthetic else ''}"


def _left_out(report: Contents) -> str:
    if not report.evaluations:
        return ""
    found = report.evaluations[0].coverage
    parts = []
    if found.unjudged:
        parts.append(f"{count(len(found.unjudged), 'query', 'queries')} without judgments")
    if found.unasked:
        parts.append(f"{count(len(found.unasked), 'judged query', 'judged queries')} not among the topics")
    return f"Left out: {' and '.join(parts)}." if parts else ""


def _cost_figures(comparison: Comparison, systems: Mapping[str, System], draw: bool) -> Iterator[Figure]:
    for cost in choose_costs(comparison):
        points = [
            f"{systems[one.name].label} {one.means[comparison.measure].estimate:.4f} at {amount(getattr(one.costs, cost))}"
            for one in comparison.evaluations
        ]
        front = ", ".join(systems[name].label for name in comparison.frontiers[cost])
        yield Figure(
            alt=f"{comparison.measure} over {COST_NAMES[cost]}. {'; '.join(points)}. None is better and cheaper than {front}.",
            caption=(
                f"{comparison.measure} over the {COST_NAMES[cost]}. Filled markers, on the dashed line: no other system is at "
                "least as good for as little. Vertical lines are the intervals of the means."
            ),
            svg=draw_costs(comparison, cost, systems, f"cost-{cost.replace('_', '-')}") if draw else "",
        )


def _gains(all_of_them: Sequence[Changed], comparison: Comparison, systems: Mapping[str, System], draw: bool) -> Figure:
    changed = all_of_them[0]
    label, base = changed.system.label, systems[comparison.baseline].label
    losses = count(changed.losses, "query", "queries")
    text = f"{label} is better on {changed.wins}, the same on {changed.ties} and worse on {losses}"
    return Figure(
        alt=f"Differences in {comparison.measure} between {label} and {base}, query by query. {text}; the largest gain is "
        f"{max(changed.gains):+.4f}, the largest loss {min(changed.gains):+.4f}.",
        caption=f"{label} beside {base}, query by query: {text}.",
        svg=draw_gains(changed.gains, comparison.measure, label, base, "gains") if draw else "",
    )


def _tuning_figures(curves: Sequence[Curve], draw: bool) -> Iterator[Figure]:
    for number, curve in enumerate(curves):
        svg = draw_curve(curve, curves, f"tuning-{number}") if draw else ""
        yield Figure(describe_curve(curve), sum_up_curve(curve), svg)


def _reliability(calibration: Calibration, draw: bool) -> Figure:
    points = "; ".join(
        f"predicted {one.predicted:.2f}, observed {one.observed:.2f} of {one.count:,}" for one in calibration.bins
    )
    return Figure(
        alt=f"Reliability diagram. {points}.",
        caption="On the dashed line, of results given a probability of 0.7, 7 in 10 are relevant. Above it they are relevant "
        "more often than predicted, below less often. The bars are how many results there are.",
        svg=draw_reliability(calibration, "reliability") if draw else "",
    )


def _learned(report: Contents) -> Iterator[Learned]:
    rows = [(one.value, one.low, one.high) for one in report.coefficients]
    for one, drawn in zip(report.coefficients, whiskers(rows), strict=True):
        within = f"{one.low:.4g} to {one.high:.4g}" if one.low is not None and one.high is not None else ""
        yield Learned(one.name, f"{one.value:.4g}", within, drawn)


_SPECIAL = re.compile(r"([\\`*_\[\]|~#$])")


def render_html(report: Contents) -> str:
    """The report as an HTML page; every text is escaped by jinja2."""
    environment = _environment(autoescape=True)
    return str(environment.get_template("report.html.j2").render(page=page_of(report, draw=True)))


def render_markdown(report: Contents) -> str:
    """The report as Markdown; every value is escaped by `_plain`, as `finalize` is called for each."""
    environment = _environment(autoescape=False, finalize=_plain)
    text = str(environment.get_template("report.md.j2").render(page=page_of(report, draw=False)))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _plain(value: Any) -> str:
    """A value as Markdown that shows it and does nothing else, on one line."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _environment(**settings: Any) -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("a report", "learn") from error
    return jinja2.Environment(
        loader=jinja2.PackageLoader("qdrant_rerank.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **settings,
    )
