"""Relevance feedback's rarer ends: distances other than the cosine, overflow, a candidate out of place, gaps in data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    Coefficients,
    Executor,
    Nearest,
    Query,
    RelevanceFeedback,
    ScoringError,
    SearchOptions,
    StrategyError,
)
from qdrant_rerank._internals import OfficialFeedback
from qdrant_rerank.errors import FormatError, MissingExtra
from qdrant_rerank.feedback import FeedbackCandidates, Provenance
from qdrant_rerank.learn._internals import Example, Examples, ScoreFile, WayComparison, formula_scores, train
from qdrant_rerank.models import Encoders
from tests.engines import open_client
from tests.support import SCHEMA, question, refused

from .support import COEFFICIENTS, PRECISION, SEEDS, Numbers, asked, collect_examples, executor

DISTANCES = pytest.mark.parametrize("distance", list(models.Distance), ids=lambda distance: str(distance.value))
TRUSTED = Coefficients(1.0, 0.7, 0.4)


def spread(distance: models.Distance, mute: Sequence[int] = (), bare: Sequence[int] = ()) -> Executor:
    """An executor over 30 points whose text ends in their id; some are without text, some without the vector."""
    drawn = np.random.default_rng(5)
    client = open_client()
    client.create_collection("c", vectors_config={"dense": models.VectorParams(size=6, distance=distance)})
    points = []
    for number in range(30):
        vector: Any = {"dense": drawn.standard_normal(6).tolist()}
        text = "" if number in mute else f"n{number}"
        points.append(models.PointStruct(id=number, vector={} if number in bare else vector, payload={"text": text}))
    client.upsert("c", points)
    encoder = Encoders.of({"dense": lambda text: np.random.default_rng(len(text)).standard_normal(6).tolist()})
    return Executor(client, "c", encoders=encoder, reranker=Numbers())


# Distances


@DISTANCES
def test_a_result_s_share_of_the_query_is_what_its_score_would_be_without_feedback(distance: models.Distance) -> None:
    runner = spread(distance)
    strategy = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(0.5, 0.7, 1e-9), trust=True)
    explained = runner.explain(strategy, Query("who"), SearchOptions(limit=30))
    assert len(explained.points) == 30
    for point, reason in zip(explained.points, explained.reasons, strict=True):
        own, feedback = reason.terms
        assert own.value == pytest.approx(point.score, rel=1e-4, abs=1e-5)
        assert feedback.value == pytest.approx(0.0, abs=1e-4)


@DISTANCES
def test_a_fit_learns_from_the_formula_that_is_served_for_every_distance(distance: models.Distance) -> None:
    runner = spread(distance)
    strategy = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=TRUSTED, trust=True)
    plain = runner.plan(strategy).strategy
    assert isinstance(plain, RelevanceFeedback)
    [example] = collect_examples(runner, plain, ["who"], 30, ScoreFile(Numbers()))
    served = {point.id: point.score for point in runner.retrieve(strategy, Query("who"), SearchOptions(limit=30))}
    first = runner.retrieve(Nearest("dense"), Query("who"), SearchOptions(limit=30))
    scores = formula_scores(Examples.of([example]), TRUSTED.a, TRUSTED.b, TRUSTED.c)[0]
    assert scores == pytest.approx([served[point.id] for point in first], rel=1e-4, abs=1e-4)


# What strategies and coefficients refuse


def test_weights_that_overflow_only_in_their_sum_are_an_error_of_scoring() -> None:
    steep = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 0.0, 1e308), trust=True)
    with refused(ScoringError, "the seeds' scores differ by 4.0, too much for Coefficients(a=1.0, b=0.0, c=1e+308"):
        asked(steep, [SEEDS], [5.0, 1.0, 1.0, 2.0, 3.0])


def test_a_feedback_candidate_alone_is_refused_with_where_it_belongs(toy: QdrantClient) -> None:
    with refused(
        StrategyError, "FeedbackCandidates('dense', name='feedback')", "has a place only in RelevanceFeedback(within=…)"
    ):
        executor(toy).retrieve(FeedbackCandidates("dense"), question(), SearchOptions(limit=3))


def test_a_provenance_has_one_of_two_modes() -> None:
    with refused(StrategyError, "the mode of a provenance is 'precision' or 'recall'; got 'both'"):
        Provenance(mode="both", seeds=5)  # type: ignore[arg-type]


def test_a_provenance_that_knows_no_model_passes_with_any_and_does_not_ask_for_its_name(toy: QdrantClient) -> None:
    class Unnamed(Numbers):
        @property
        def fingerprint(self) -> str:  # type: ignore[override]
            raise AssertionError("a gigabyte was read")

    unknown = replace(PRECISION, coefficients=COEFFICIENTS.with_provenance(reranker=None))
    assert executor(toy, Unnamed()).plan(unknown).strategy == unknown.resolve(SCHEMA)
    with pytest.raises(AssertionError, match="gigabyte"):
        executor(toy, Unnamed()).plan(PRECISION)


def test_json_that_is_too_deep_or_too_long_is_refused_with_the_file(tmp_path: Path) -> None:
    for text in ("[" * 100_000, "1" * 5_000):
        (tmp_path / "c.json").write_text(text)
        with refused(FormatError, "c.json:1: not JSON"):
            Coefficients.load(tmp_path / "c.json")


def test_what_can_not_score_is_no_official_feedback() -> None:
    with refused(StrategyError, "not a Feedback: dict has no score(query, responses)"):
        OfficialFeedback({}, name="mine")


def test_all_vectors_come_back_if_the_call_wants_them(toy: QdrantClient) -> None:
    points = executor(toy).retrieve(PRECISION, question(), SearchOptions(limit=4, with_vectors=True))
    assert [sorted(point.vector) for point in points if isinstance(point.vector, dict)] == [["bm25", "colbert", "dense"]] * 4


# The fit


def test_points_without_text_or_vector_are_not_learned_from_but_counted_as_done() -> None:
    runner = spread(models.Distance.COSINE, mute=(3, 8, 9), bare=(4,))
    strategy = runner.plan(RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1, 0, 0))).strategy
    assert isinstance(strategy, RelevanceFeedback)
    reader = Numbers()
    scores = ScoreFile(reader)
    [example] = collect_examples(runner, strategy, ["who"], 30, scores)
    assert len(example.scores) == 26
    assert set(map(int, example.scores)) == set(range(30)) - {3, 4, 8, 9}
    assert (scores.done, scores.asked) == (29, 26)  # the point without the vector isn't found


def test_a_judgement_of_one_query_is_told_without_intervals() -> None:
    found = WayComparison.of({"plain": [0.25], "rerank": [0.5], "feedback": [0.75]}, measure="nDCG@10")
    assert str(found) == (
        "nDCG@10: plain 0.250, rerank 0.500, feedback 0.750; feedback over plain +0.500, over rerank +0.250; rerank over plain "
        "+0.250"
    )
    several = WayComparison.of({"plain": [0.25, 0.0], "rerank": [0.5, 0.0], "feedback": [0.75, 0.0]}, measure="nDCG@10")
    assert "over plain +0.250 [" in str(several)


def test_a_file_of_scores_whose_last_line_is_whole_but_not_ended_is_gone_on_with(tmp_path: Path) -> None:
    path, model = tmp_path / "s.jsonl", Numbers()
    ScoreFile(model, path).score("q", ["n1", "n2"])
    path.write_text(path.read_text().rstrip("\n"))
    again = ScoreFile(model, path)
    assert again.score("q", ["n1", "n2", "n3"]) == [1.0, 2.0, 3.0]
    assert model.calls == [["n1", "n2"], ["n3"]]
    assert len(path.read_text().splitlines()) == 1 + 3  # the header, and a line for each score
    assert ScoreFile(model, path).score("q", ["n3", "n1"]) == [3.0, 1.0]
    assert len(model.calls) == 2


def test_a_file_of_scores_is_known_by_its_models_fingerprint(tmp_path: Path) -> None:
    class Other(Numbers):
        fingerprint = "other"

    ScoreFile(Numbers(), tmp_path / "s.jsonl").score("q", ["n1"])
    other = Other()
    file = ScoreFile(other, tmp_path / "s.jsonl")
    assert file.fingerprint == "other"
    assert file.score("q", ["n1"]) == [1.0]
    assert other.calls == [["n1"]]


def examples() -> list[Example]:
    """Queries whose feedback scores are all of a taste of their own."""
    drawn = np.random.default_rng(2)
    stored, queries, taste = drawn.standard_normal((12, 4)), drawn.standard_normal((8, 4)), drawn.standard_normal(4)
    return [Example(str(n), stored @ query, stored[:3] @ stored.T, stored @ taste) for n, query in enumerate(queries)]


def test_a_fit_without_scipy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with refused(MissingExtra, "fit_feedback needs", "pip install 'qdrant-rerank[learn]'"):
        train(examples(), "precision")


def test_a_fit_finds_the_same_without_threadpoolctl(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(examples(), "precision")
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    found = train(examples(), "precision")
    assert found.c > 0
    assert (found.a, found.b, found.c) == pytest.approx((expected.a, expected.b, expected.c))
