"""Reports of what is rare: a single query, values without intervals, costs close together or far apart, nothing to choose."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import metadata

import pytest

from qdrant_rerank.evaluate import Answer, Comparison, Qrels, Ranked, Run, Topics, compare, evaluate
from qdrant_rerank.report import Bin, Calibration, report
from qdrant_rerank.report._internals import draw_costs, draw_gains, draw_reliability, explain_measure, systems_of
from qdrant_rerank.tune import Budget, Diverse, Space, tune

from . import reports
from .reports import text_of
from .tuning_worlds import world


@cache
def single() -> Comparison:
    """Two systems on one query."""
    topics, qrels = reports.world(1)
    return compare([reports.system(topics, qrels, "plain", 0.5), reports.system(topics, qrels, "other", 1.0, seed=3)])


def texts(svg: str) -> list[str]:
    """The texts in a figure."""
    return re.findall(r">([^<>\n]+)</text>", svg)


def over_time(comparison: Comparison, milliseconds: Mapping[str, float] | None = None) -> str:
    """The figure of quality over time, of systems that took so long."""
    took = milliseconds or {}
    changed = tuple(
        replace(one, costs=replace(one.costs, p50_ms=took.get(one.name, one.costs.p50_ms))) for one in comparison.evaluations
    )
    systems = systems_of([one.name for one in changed], comparison.baseline)
    return draw_costs(replace(comparison, evaluations=changed), "p50_ms", systems, "cost")


def labels(svg: str) -> list[float]:
    """The numbers below a figure of quality over time."""
    found = texts(svg)
    return [float(text) for text in found[: found.index("median time of a query in milliseconds")]]


def test_the_difference_of_a_single_query_is_told_without_an_interval() -> None:
    made = report(single())
    measured, found, then = made.as_dict()["summary"]
    assert "asked the same 1 query" in measured
    assert found == "No claim about other: 1 topic is too few; any claim needs at least 25."
    assert then == "Keep the default, plain, until more queries are judged: at least 25."
    assert "None" not in text_of(made.html())


def test_the_figure_of_a_single_query_counts_one_query() -> None:
    assert "1 query, from the largest gain to the largest loss" in texts(draw_gains([0.5], "RR", "b", "a", "gains"))
    assert "other is better on 1, the same on 0 and worse on 0 queries" in text_of(report(single()).html())
    turned = replace(single(), differences=tuple(replace(row, wins=0, losses=1) for row in single().differences))
    assert "worse on 1 query." in text_of(report(turned).html())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_axis_of_up_to_three_queries_names_each_once(count: int) -> None:
    found = texts(draw_gains([0.5, 0.0, -0.5][:count], "RR", "b", "a", "gains"))
    assert found[:count] == ["1", "2", "3"][:count]
    assert "from the largest gain" in found[count]


def test_a_mean_without_an_interval_is_drawn_without_its_line() -> None:
    def without_ends(comparison: Comparison) -> Comparison:
        bare = tuple(
            replace(one, means={name: replace(mean, low=None, high=None) for name, mean in one.means.items()})
            for one in comparison.evaluations
        )
        return replace(comparison, evaluations=bare)

    assert over_time(reports.two()).count("stroke-opacity: 0.75") == 2
    assert over_time(without_ends(reports.two())).count("stroke-opacity: 0.75") == 0


def test_costs_that_are_close_together_get_numbers_between_those_of_the_usual_steps() -> None:
    found = labels(over_time(reports.two(), {"dense": 6.2, "fused": 7.1}))
    assert len(found) > 1
    assert 6.2 / 1.4 < found[0] < found[-1] < 7.1 * 1.4


def test_costs_that_are_far_apart_get_powers_of_ten_alone() -> None:
    found = labels(over_time(reports.two(), {"dense": 0.01, "fused": 1e6}))
    assert 3 < len(found) < 12
    assert {math.log10(number) % 1 for number in found} == {0.0}


def test_what_is_free_is_drawn_at_zero() -> None:
    assert labels(over_time(reports.two(), {"dense": 0.0, "fused": 40.0})) == [0.0, 1.0, 10.0]


def test_a_name_that_begins_with_an_underscore_stands_in_the_legend_too() -> None:
    topics, qrels = reports.world(3)
    pair = compare([reports.system(topics, qrels, "_a", 0.5), reports.system(topics, qrels, "b", 1.0, seed=3)])
    assert {"_a", "b"} < {text.strip() for text in texts(over_time(pair))}


def test_bins_without_intervals_are_drawn_without_their_lines() -> None:
    whole = reports.calibration()
    bare = replace(whole, bins=tuple(replace(one, low=None, high=None) for one in whole.bins))
    mixed = replace(whole, bins=(*bare.bins[:3], *whole.bins[3:]))
    lines = [draw_reliability(one, "reliability").count("stroke-opacity: 0.7") for one in (whole, mixed, bare)]
    assert lines == [5, 2, 0]


def test_a_calibration_counts_the_results_in_all_its_bins() -> None:
    assert Calibration((Bin(0.1, 0.2, 30), Bin(0.6, 0.5, 12)), 0.1, 0.2).count == 42


def test_queries_that_are_left_out_are_counted() -> None:
    topics, qrels = reports.world(30)
    grades = {topic: dict(qrels[topic]) for topic in topics.ids}
    asked = Topics([topic for topic in topics if topic.id not in ("q001", "q002")])
    judged = Qrels({topic: found for topic, found in grades.items() if topic != "q003"})

    def left_out(topics: Topics, qrels: Qrels) -> str:
        run = reports.system(topics, Qrels(grades), "dense", 0.5).run
        return text_of(report(evaluate(run, topics, qrels, measures=("RR",))).html())

    both = "Left out: 1 query without judgments and 2 judged queries not among the topics."
    assert both in left_out(asked, judged)
    assert "Left out: 1 query without judgments." in left_out(topics, judged)
    assert "Left out: 2 judged queries not among the topics." in left_out(asked, qrels)
    assert "Left out" not in left_out(topics, qrels)


@pytest.mark.parametrize(("errors", "more"), [(11, "And 1 other error, which"), (12, "And 2 other errors, which")])
def test_errors_beyond_the_ten_most_frequent_are_counted(errors: int, more: str) -> None:
    topics, qrels = reports.world(errors + 1)
    answers = {topic: Answer(error=f"Error {number}") for number, topic in enumerate(topics.ids)}
    answers[topics.ids[0]] = Answer((Ranked(next(iter(qrels[topics.ids[0]])), 1.0),))
    run = Run("dense", answers)
    made = report(evaluate(run, topics, qrels))
    assert more in text_of(made.html())
    assert more in made.markdown()


def test_a_measure_that_is_not_common_is_shown_without_a_meaning() -> None:
    assert explain_measure("Rprec") == ""
    assert explain_measure("R@10").endswith("among the first 10 results")
    alone = reports.one()
    renamed = replace(alone, means={"Rprec": alone.means["RR"]}, values={"Rprec": alone.values["RR"]})
    assert "Rprec" in text_of(report(renamed).html())


def test_a_library_that_is_not_installed_is_left_out_of_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = report(reports.one()).made["versions"]
    installed = metadata.version

    def without_scipy(name: str) -> str:
        if name == "scipy":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "version", without_scipy)
    assert f", scipy {installed('scipy')}" in whole
    assert report(reports.one()).made["versions"] == whole.replace(f", scipy {installed('scipy')}", "")


def test_a_tuning_that_keeps_the_default_says_to_look_at_what_holds_the_measure_down() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    tuning = tune(executor, topics, qrels, space=Space((Diverse((0.1,), "a"),)), budget=Budget(requests=80))
    made = report(tuning=tuning)
    first, second = made.as_dict()["what_to_do_next"]
    assert first == tuning.reasons[0]
    assert second == f"Look first at what holds the measure down: {tuning.ceiling.advice}"
    shown = text_of(made.html())
    assert "1 configuration was tried on 40 queries" in shown
    assert "1 configuration was left out, MMR 0.1 over the default: it can't be recomputed" in shown
    assert "the tuning took 80 searches in 2 round trips, 0 texts read by a model" in shown
    assert tuning.detectable is None
    assert "smallest gain that so many queries would show" not in shown
