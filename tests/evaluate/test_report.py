"""Reports say what the comparison says, completely, in three forms, the same each time."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest

from qdrant_rerank.evaluate import compare
from qdrant_rerank.report import report

from . import reports
from .reports import text_of

SECTIONS = ("Quality", "Quality and cost", "Query by query", "What is missing", "What to do next", "How this was made")


@pytest.mark.parametrize("case", ["two", "failing", "few", "long_names"])
def test_html_and_markdown_have_all_sections(case: str) -> None:
    made = report(getattr(reports, case)())
    html, markdown = made.html(), made.markdown()
    for section in SECTIONS:
        assert f"<h2>{section}</h2>" in html
        assert f"\n## {section}\n" in markdown
    assert "<h2>Tuning</h2>" not in html
    assert "Calibration" not in markdown
    assert "Coefficients" not in html


def test_the_numbers_are_those_of_the_comparison() -> None:
    comparison = reports.six()
    html, markdown = text_of(report(comparison).html()), report(comparison).markdown()
    for evaluation in comparison.evaluations:
        for mean in evaluation.means.values():
            assert f"{mean.estimate:.4f} {mean.low:.4f} to {mean.high:.4f}" in html
            assert f"{mean.estimate:.4f} ({mean.low:.4f} to {mean.high:.4f})" in markdown
        assert f"{evaluation.costs.bytes_received:,.0f}" in html
    for row in comparison.differences:
        gap = f"{row.difference.estimate:+.4f} {row.difference.low:+.4f} to {row.difference.high:+.4f}"
        p = f"{row.p_adjusted:.3f}" if row.p_adjusted >= 0.001 else "< 0.001"
        sign = {"better": "▲ ", "worse": "▼ ", "no difference": "≈ "}[row.finding]
        assert f"{gap} {sign}{row.finding} {p} {row.wins} / {row.ties} / {row.losses}" in html
        assert row.verdict in html
        for change in row.changes:
            assert f"{change.topic} {change.text}" in html
            assert f"{change.before:.4f}, {row.name} {change.after:.4f}: {change.change:+.4f}" in html


def test_a_better_system_is_recommended_with_what_it_costs() -> None:
    comparison = reports.two()
    measured, found, then = report(comparison).as_dict()["summary"]
    assert measured.startswith("2 systems were asked the same 60 queries")
    assert found.startswith(f"fused is better than dense: {comparison['fused'].difference.estimate:+.4f} nDCG@10")
    assert then.startswith("Use fused, if its price is right: ")
    assert "ms at the median" in then


def test_a_cheaper_system_that_is_better_too_is_pointed_out() -> None:
    steps = " ".join(report(reports.six()).as_dict()["what_to_do_next"])
    assert "Consider late interaction, which is better than the baseline too" in steps
    assert "baseline='late interaction'" in steps


def test_where_nothing_is_found_the_default_is_kept() -> None:
    comparison = reports.nothing()
    assert comparison["fused"].finding == "no difference"
    _, found, then = report(comparison).as_dict()["summary"]
    assert found.startswith("Keep dense: fused shows no difference that can be told from chance")
    assert found.endswith(f" would take about {comparison['fused'].topics_needed:,}.")
    assert then == "Keep the default, dense."
    assert "Use fused" not in report(comparison).html()


def test_a_worse_system_keeps_the_default_too() -> None:
    topics, qrels = reports.world(60)
    pair = [reports.system(topics, qrels, "good", 0.9), reports.system(topics, qrels, "bad", 0.2, seed=3)]
    _, found, then = report(compare(pair)).as_dict()["summary"]
    assert found.startswith("Keep good: bad is worse, ")
    assert then == "Keep the default, good."


def test_of_several_that_are_not_better_the_report_says_so_of_all() -> None:
    _, found, then = report(reports.long_names()).as_dict()["summary"]
    assert found.startswith("No system is shown to be better than A. Keep A: C shows no difference")
    assert then == "Keep the default, A."


def test_equal_systems_are_said_to_be_equal() -> None:
    topics, qrels = reports.world(30)
    same = reports.system(topics, qrels, "a", 0.5)
    made = report(compare([same, replace(same, name="b")]))
    assert made.as_dict()["summary"][1] == "Keep a: b scores the same nDCG@10 on every one of 30 topics."
    assert "Both answer every query alike." in made.html()
    assert "Both answer every query alike." in made.markdown()


def test_too_few_queries_make_no_claim() -> None:
    _, found, then = report(reports.few()).as_dict()["summary"]
    assert found.startswith("No claim about fused: 12 topics are too few; any claim needs at least 25.")
    assert then.startswith("Keep the default, dense, until more queries are judged: at least 25")


def test_failures_and_synthetic_queries_stand_at_the_top_and_in_the_steps() -> None:
    made = report(reports.failing())
    warnings = made.as_dict()["warnings"]
    assert warnings[0].startswith("All results are made with synthetic queries")
    assert warnings[1].startswith("reranked: 7 topics failed and count as 0")
    assert sum("synthetic" in warning for warning in warnings) == 1
    steps = made.as_dict()["what_to_do_next"]
    assert steps[0].startswith("Find out why 7 queries failed with reranked")
    assert "but first ask queries of real users" in steps[1]
    html = text_of(made.html())
    assert html.index("synthetic queries cut from") < html.index("Mean nDCG@10")
    assert "reranked 7 q003 ResponseHandlingException: timed out after 5 s" in html
    assert "| reranked | 7 | q003 | ResponseHandlingException: timed out after 5 s |" in made.markdown()


def test_systems_judged_unevenly_are_warned_about() -> None:
    comparison = reports.two()
    uneven = tuple(
        replace(one, coverage=replace(one.coverage, judged_at_10=share))
        for one, share in zip(comparison.evaluations, (0.9, 0.4), strict=True)
    )
    warnings = report(replace(comparison, evaluations=uneven)).as_dict()["warnings"]
    assert any(
        "puts fused at a disadvantage: 40% of its first 10 results were judged, against 90% of dense's" in w for w in warnings
    )
    even = tuple(replace(one, coverage=replace(one.coverage, judged_at_10=1.0)) for one in comparison.evaluations)
    assert not any("nobody judged" in w for w in report(replace(comparison, evaluations=even)).as_dict()["warnings"])


def test_long_names_get_letters_and_are_said_in_full_once() -> None:
    comparison = reports.long_names()
    made = report(comparison)
    html, told = text_of(made.html()), made.as_dict()
    assert told["summary"][0].endswith("with A as the baseline.")
    for letter, evaluation in zip("ABC", comparison.evaluations, strict=True):
        assert f"{letter} {evaluation.name}" in html.replace(" baseline ", " ")
        assert f"| {letter} |" in made.markdown() or f"| {letter} (baseline) |" in made.markdown()
    assert all(len(sentence) < 400 for sentence in told["summary"])
    assert "Keep A: B shows no difference" in html


def test_a_verdict_with_letters_says_what_the_comparison_says() -> None:
    comparison = reports.long_names()
    html = text_of(report(comparison).html())
    for row, letter in zip(comparison.differences, "BC", strict=True):
        said = row.verdict.replace(row.name, letter).replace(comparison.baseline, "A")
        assert said in html


def test_evaluations_are_compared_and_one_alone_is_shown_alone() -> None:
    comparison = reports.two()
    assert report(comparison.evaluations).comparison == compare(list(comparison.evaluations))
    alone = report(reports.one())
    assert alone.comparison is None
    assert alone.as_dict()["summary"][1].startswith("dense reaches a mean nDCG@10 of ")
    assert "Query by query" not in alone.html()
    assert alone.html() == report([reports.one()], seed=None).html().replace("<dt>seed of the resampling</dt><dd>0</dd>\n", "")
    assert "## Quality" in alone.markdown()


def test_json_is_the_data_as_it_is() -> None:
    comparison = reports.two()
    made = report(comparison, calibration=reports.calibration(), coefficients=reports.coefficients())
    read = json.loads(made.json())
    assert read == made.as_dict()
    assert read["comparison"] == comparison.as_dict()
    assert read["calibration"]["bins"][1]["count"] == 203
    assert read["coefficients"][0] == {"name": "score('dense')", "value": 3.412, "low": 2.61, "high": 4.2}
    assert json.loads(report(reports.one()).json())["evaluations"][0]["name"] == "dense"


def test_the_same_input_gives_the_same_report() -> None:
    reports.failing.cache_clear()
    first = report(reports.failing(), calibration=reports.calibration())
    reports.failing.cache_clear()
    second = report(reports.failing(), calibration=reports.calibration())
    assert first.html() == second.html()
    assert first.markdown() == second.markdown()
    assert first.json() == second.json()


def test_how_it_was_made_is_said() -> None:
    made = report(reports.nothing(), date=dt.date(2026, 11, 21), seed=7, details={"corpus": "notes", "documents": 40})
    html = text_of(made.html())
    for expected in ("corpus notes", "documents 40", "date 2026-11-21", "seed of the resampling 7", "versions qdrant-rerank"):
        assert expected in html
    assert "- date: 2026-11-21" in made.markdown()
    assert "date" not in report(reports.nothing()).made


def test_calibration_and_coefficients_are_shown() -> None:
    made = report(reports.nothing(), calibration=reports.calibration(), coefficients=reports.coefficients())
    html = text_of(made.html())
    assert "Calibration of cross-encoder" in html
    assert "off by 0.0312 on average" in html
    assert "0.620 0.700 0.570 to 0.800 61" in html
    assert "score('bm25') 0.0871 0.051 to 0.12" in html
    assert "constant -2.2 –" in html
    assert "| 0.620 | 0.700 (0.570 to 0.800) | 61 |" in made.markdown()
    assert "| constant | -2.2 | – |" in made.markdown()


def test_a_higher_mean_that_chance_could_do_is_not_put_first() -> None:
    comparison = reports.six()
    unsure = tuple(
        replace(row, finding="no difference") if row.name == "cross-encoder" else row for row in comparison.differences
    )
    found = report(replace(comparison, differences=unsure)).as_dict()["summary"][1]
    assert found.startswith("late interaction is better than plain dense")
