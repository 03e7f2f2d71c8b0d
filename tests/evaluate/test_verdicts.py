"""Verdicts in words, where numbers are missing or extreme; and values as plain data."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Nearest
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.evaluate import Comparison, Difference, Interval, randomisation_p
from qdrant_rerank.evaluate._internals import decide, plain, write_verdict
from tests.support import refused

ROW = Difference(
    name="new",
    mean=0.52,
    baseline_mean=0.5,
    difference=Interval(0.02, -0.01, 0.05),
    p=0.2,
    p_adjusted=0.2,
    wins=30,
    ties=50,
    losses=20,
    detectable=0.04,
    topics_needed=400,
    finding="no difference",
    verdict="",
)


def verdict(topics: int = 100, **changes: Any) -> str:
    """What is said of ROW with such changes, on so many topics."""
    row = replace(ROW, **changes)
    row = replace(row, finding=decide(row.difference.estimate, row.p_adjusted, topics, 0.05))
    return write_verdict(Comparison("RR", "old", (row,), (), topics, 0.05, 0.8, {}), row)


def test_a_verdict_says_all_that_is_known() -> None:
    assert verdict() == (
        "Keep old: new shows no difference that can be told from chance: +0.0200 RR (95% interval -0.0100 to +0.0500), "
        "p = 0.200, 30 better, 50 same, 20 worse. 100 topics show true differences from about 0.040 up (80% of the time); "
        "one of 0.0200 would take about 400."
    )
    assert verdict(p_adjusted=0.0004) == (
        "new is better than old: +0.0200 RR (95% interval -0.0100 to +0.0500), p < 0.001, 30 better, 50 same, 20 worse."
    )


def test_a_verdict_leaves_out_what_is_not_known() -> None:
    assert verdict(detectable=None).endswith("20 worse.")
    assert verdict(topics_needed=None).endswith("(80% of the time).")
    assert "+0.0200 RR, takes" in verdict(topics=1, difference=Interval(0.02, None, None))


def test_a_verdict_on_a_single_topic_speaks_of_one() -> None:
    assert verdict(topics=1, topics_needed=None) == "No claim about new: 1 topic is too few; any claim needs at least 25."
    assert "2 topics are too few" in verdict(topics=2)


LIMITS = [(0.05, 25, "better"), (0.051, 25, "no difference"), (0.01, 24, "too few topics")]


@pytest.mark.parametrize(("p", "topics", "finding"), LIMITS)
def test_findings_change_at_the_limits_that_are_documented(p: float, topics: int, finding: str) -> None:
    assert decide(0.02, p, topics, 0.05) == finding


def test_a_test_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with refused(MissingExtra, "[learn]"):
        randomisation_p([0.1, 0.2, 0.3])


def test_plain_data_is_made_of_what_json_has() -> None:
    day = dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
    value = {1: (Nearest("dense"), day), "filter": models.Filter(must=[models.HasIdCondition(has_id=[1])]), "none": None}
    assert plain(value) == {
        "1": ["Nearest('dense')", "2025-01-02 00:00:00+00:00"],
        "filter": {"must": [{"has_id": [1]}]},
        "none": None,
    }
