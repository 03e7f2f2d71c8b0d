"""Drift: whether a collection's values have moved away from those that a ranker was trained on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank import Executor, PlanError, PlanWarning, Retries, StrategyError
from qdrant_rerank._internals import MOVED, Points, Reference, Search, by_chance, psi, shift
from qdrant_rerank.evaluate import Topics
from qdrant_rerank.learn import Drift, FeatureDrift, LearnedRanker, check_fields, drift, fit_logistic, log_features
from tests.engines import open_client
from tests.learn.logs import CANDIDATES, FEATURES, POINTS, asked, local, world
from tests.support import refused


@pytest.fixture(scope="module")
def ranker() -> LearnedRanker:
    executor, topics, qrels = local()
    return fit_logistic(log_features(executor, CANDIDATES, topics, qrels, FEATURES), bootstrap=0)


@pytest.fixture
def other() -> Executor:
    """A copy of the collection that a test may change."""
    return world(open_client())


def of(report: Drift, name: str) -> FeatureDrift:
    return next(one for one in report.features if one.name == name)


def every(executor: Executor) -> list[models.Record]:
    return executor.clients.sync().scroll("films", limit=POINTS)[0]


def test_the_index_is_that_of_the_books() -> None:
    assert psi([0.5, 0.5], [0.5, 0.5]) == 0
    assert psi([0.5, 0.5], [0.8, 0.2]) == pytest.approx(0.3 * math.log(1.6) - 0.3 * math.log(0.4))
    assert psi([0.5, 0.5], [1.0, 0.0]) == psi([1.0, 0.0], [0.5, 0.5]) < 10  # symmetric, and finite where a bin is empty


def test_nothing_has_moved_in_the_collection_of_the_training(ranker: LearnedRanker) -> None:
    report = drift(local()[0], ranker)
    assert report.is_stable
    assert report.points == POINTS
    assert {one.name for one in report.features} == {"popularity", "year"}
    assert report.left_out == ("dense", "bm25", "taste")
    assert of(report, "popularity").missing == of(report, "popularity").missing_then == pytest.approx(9 / 150)
    assert "'year' as in training (PSI 0.000)" in str(report)
    assert "not compared (give topics=): 'dense', 'bm25', 'taste'" in str(report)


def test_values_that_moved_a_little_or_far_are_told_apart(ranker: LearnedRanker, other: Executor) -> None:
    client = other.clients.sync()
    for point in every(other):
        payload = point.payload or {}
        if int(point.id) % 3 == 0:
            client.set_payload("films", {"year": payload["year"] + 20}, points=[point.id])
        if "popularity" in payload:
            client.set_payload("films", {"popularity": payload["popularity"] * 10}, points=[point.id])
    report = drift(other, ranker)
    assert of(report, "year").verdict == "moved"
    assert of(report, "popularity").verdict == "far"
    assert report.features[0].name == "popularity"
    assert not report.is_stable


def test_a_payload_key_that_is_gone_is_told_and_refused(ranker: LearnedRanker, other: Executor) -> None:
    check_fields(other, ranker)
    other.clients.sync().delete_payload("films", ["popularity"], points=models.Filter())
    assert of(drift(other, ranker), "popularity").verdict == "gone"
    assert "no point has it" in str(drift(other, ranker))
    with pytest.raises(PlanError, match=r"reads 'popularity' \(field\('popularity', default=1.0\)\), but none of 150 random"):
        check_fields(other, ranker)


def test_text_where_a_number_was_counts_as_missing_and_is_told_as_such(ranker: LearnedRanker, other: Executor) -> None:
    other.clients.sync().set_payload("films", {"year": [None, "four"]}, points=models.Filter())
    report = of(drift(other, ranker), "year")
    assert (report.verdict, report.missing, report.missing_then) == ("gone", 1.0, 0.0)
    said = "no point has a number at 'year' but text, e.g. 'four'"
    assert report.said == f"{said}: it counts as missing everywhere"
    with refused(PlanError, f"none of 150 random points of 'films' has it ({said}): it was learned on another collection"):
        check_fields(other, ranker)
    some = models.Filter(must=[models.HasIdCondition(has_id=list(range(60)))])
    other.clients.sync().set_payload("films", {"year": 1990}, points=some)
    assert of(drift(other, ranker), "year").missing == pytest.approx(0.6)


def test_a_ranker_may_be_given_as_its_file_but_a_strategy_is_none(ranker: LearnedRanker, tmp_path: Path) -> None:
    ranker.save(tmp_path / "ranker.json")
    executor = local()[0]
    assert drift(executor, str(tmp_path / "ranker.json")).points == POINTS
    check_fields(executor, tmp_path / "ranker.json")
    for check in (drift, check_fields):
        with refused(StrategyError, f"{check.__name__} takes a LearnedRanker or the path of its file, got a Formula"):
            check(executor, ranker.strategy)  # type: ignore[arg-type]


def test_a_ranker_that_reads_no_payload_fits_every_collection(ranker: LearnedRanker, other: Executor) -> None:
    scores = replace(ranker, features={"dense": ranker.features["dense"]})
    other.clients.sync().delete_payload("films", ["popularity", "year", "genre"], points=models.Filter())
    check_fields(other, scores)


def test_candidates_of_queries_show_drift_of_scores_and_of_what_users_send(ranker: LearnedRanker) -> None:
    executor = local()[0]
    same = drift(executor, ranker, topics=asked())
    assert same.is_stable
    assert same.left_out == ()
    assert same.compared == "candidates"
    assert "not compared" not in str(same)
    fond = Topics([replace(topic, params={"tastes": {"war": 5.0}}) for topic in asked()])
    moved = drift(executor, ranker, topics=fond)
    assert of(moved, "taste").verdict == "far"
    assert of(moved, "dense").verdict == "stable"


class Limited(Executor):
    """Reaches a rate limit at its first two searches."""

    failures = 2

    def search(self, step: Search) -> list[Points]:
        if self.failures:
            self.failures -= 1
            raise UnexpectedResponse(429, "Too many requests", b"", httpx.Headers({"retry-after": "7"}))
        return super().search(step)


@pytest.mark.parametrize("topics", [None, asked()], ids=["stored points", "candidates"])
def test_a_rate_limit_is_waited_for_as_often_as_is_told(ranker: LearnedRanker, topics: Topics | None) -> None:
    executor, pauses = local()[0], list[float]()
    limited = Limited(executor.clients.sync(), "films", encoders=executor.encoders)
    patient = Retries(2, sleep=pauses.append, spread=lambda: 0.0)
    assert drift(limited, ranker, topics=topics, retries=patient).is_stable
    assert pauses == [7.0, 7.0]
    limited.failures = 1
    with pytest.raises(UnexpectedResponse, match="Too many requests"):
        drift(limited, ranker, topics=topics, retries=0)


def test_what_cannot_be_compared_is_refused(ranker: LearnedRanker) -> None:
    executor = local()[0]
    with pytest.raises(StrategyError, match="doesn't know how its features were distributed: log features with sample="):
        drift(executor, replace(ranker, reference={}))
    with pytest.raises(StrategyError, match="sample must be a whole number of at least 1, got 0"):
        drift(executor, ranker, sample=0)
    empty = open_client()
    empty.create_collection("films", vectors_config={"dense": models.VectorParams(size=8, distance=models.Distance.COSINE)})
    with pytest.warns(PlanWarning, match="is empty"), pytest.raises(PlanError, match="nothing was found in 'films'"):
        drift(Executor(empty, "films"), ranker)


def test_a_reference_compares_other_values_in_its_own_bins() -> None:
    then = Reference.of(np.arange(100.0))
    assert psi(then.shares, then.shares_of(np.arange(100.0) + 0.1)) < 0.05
    assert then.shares_of(np.full(10, 1e6))[-1] == 1.0
    assert sum(then.shares_of(np.array([np.nan]))) == 0


@pytest.mark.parametrize("count", [10, 20, 50, 100, 500])
def test_few_values_of_the_same_distribution_have_not_moved_beyond_chance(count: int) -> None:
    random = np.random.default_rng(count)
    then = Reference.of(random.standard_exponential(2000))
    bound = max(MOVED, by_chance(then, count))
    moved = sum(shift(then, random.standard_exponential(count), 0.0, True) >= bound for _ in range(400))
    assert moved <= 16  # once in a hundred times, about
    assert shift(then, 3.0 + random.standard_exponential(count), 0.0, True) > bound or count < 50
