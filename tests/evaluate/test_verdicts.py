"""Verdicts in words, where numbers are missing or extreme; and values as plain data."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace

import pytest
from qdrant_client import models

from qdrant_rerank import Nearest
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.evaluate import Interval, randomisation_p
from qdrant_rerank.evaluate._internals import Numbers, decide, plain, write_verdict
from tests.support import refused

NUMBERS = Numbers(
    name="new",
    baseline="old",
    measure="RR",
    difference=Interval(0.02, -0.01, 0.05),
    p_adjusted=0.2,
    topics=100,
    detectable=0.04,
    topics_needed=400,
    alpha=0.05,
    power=0.8,
    compared=1,
    wins=30,
    ties=50,
    losses=20,
)


def test_a_verdict_says_all_that_is_known() -> None:
    assert write_verdict(NUMBERS) == (
        "Keep old: new shows no difference that can be told from chance: +0.0200 RR (95% interval -0.0100 to +0.0500), "
        "p = 0.200, 30 better, 50 same, 20 worse. 100 topics show true differences from about 0.040 up (80% of the time); "
        "one of 0.0200 would take about 400."
    )
    assert write_verdict(replace(NUMBERS, p_adjusted=0.0004)) == (
        "new is better than old: +0.0200 RR (95% interval -0.0100 to +0.0500), p < 0.001, 30 better, 50 same, 20 worse."
    )


def test_a_verdict_leaves_out_what_is_not_known() -> None:
    assert write_verdict(replace(NUMBERS, detectable=None)).endswith("20 worse.")
    assert write_verdict(replace(NUMBERS, topics_needed=None)).endswith("(80% of the time).")
    assert "+0.0200 RR, takes" in write_verdict(replace(NUMBERS, topics=1, difference=Interval(0.02, None, None)))


def test_a_verdict_on_a_single_topic_speaks_of_one() -> None:
    one = write_verdict(replace(NUMBERS, topics=1, topics_needed=None))
    assert one == "No claim about new: 1 topic is too few; any claim needs at least 25."
    assert "2 topics are too few" in write_verdict(replace(NUMBERS, topics=2))


LIMITS = [(0.05, 25, "better"), (0.051, 25, "no difference"), (0.01, 24, "too few topics")]


@pytest.mark.parametrize(("p", "topics", "finding"), LIMITS)
def test_findings_change_at_the_limits_that_are_documented(p: float, topics: int, finding: str) -> None:
    assert decide(replace(NUMBERS, p_adjusted=p, topics=topics)) == finding


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
