"""Coefficients: their file, their origin, the official trainer's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdrant_rerank import Coefficients, Fusion, Nearest, RelevanceFeedback, StrategyError, load, save
from qdrant_rerank._internals import as_reranker
from qdrant_rerank.errors import FormatError
from qdrant_rerank.feedback import FeedbackCandidates, Provenance
from tests.support import refused

from .support import COEFFICIENTS, PRECISION, RECALL

WHOLE = COEFFICIENTS.with_provenance(
    encoder="e", recommends="feedback", metrics={"gain": 0.125}, data="ab", versions={"numpy": "2"}, date="2026-01-02"
)


@pytest.mark.parametrize("coefficients", [COEFFICIENTS, WHOLE, Coefficients(1, 0, 0)])
def test_a_file_gives_the_same_coefficients_back(tmp_path: Path, coefficients: Coefficients) -> None:
    coefficients.save(tmp_path / "c.json")
    assert Coefficients.load(tmp_path / "c.json") == coefficients


@pytest.mark.parametrize("strategy", [PRECISION, RECALL])
def test_a_strategy_s_file_is_loaded_by_all_who_load_strategies_or_coefficients(
    tmp_path: Path, strategy: RelevanceFeedback
) -> None:
    path = tmp_path / "feedback.json"
    save(strategy, path)
    assert load(path) == strategy
    assert RelevanceFeedback.load(path) == strategy
    assert Coefficients.load(path) == strategy.coefficients


def test_coefficients_alone_are_used_as_they_were_fitted(tmp_path: Path) -> None:
    coefficients = COEFFICIENTS.with_provenance(mode="recall", seeds=3)
    coefficients.save(tmp_path / "c.json")
    expected = RelevanceFeedback(seeds=Nearest("dense", limit=3), coefficients=coefficients, mode="recall")
    assert RelevanceFeedback.load(tmp_path / "c.json") == expected
    Coefficients(1, 0, 0).save(tmp_path / "c.json")
    with refused(FormatError, "c.json", "don't say what they were fitted to"):
        RelevanceFeedback.load(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{\n,", ["c.json:2: not JSON"]),
        ("[1]", ["not coefficients"]),
        ('{"a": 1,\n"b": 0}', ["c.json:1", "Field required", "(at c)"]),
        ('{"a": 1, "b": 0,\n"c": "2"}', ["c.json:2", "valid number", "(at c)"]),
        ('{"a": 1, "b": -1, "c": 2}', ["b of relevance feedback must be at least 0, got -1"]),
        ('{"a": 1, "b": 0, "c": 2,\n"d": 3}', ["c.json:2", "(at d)"]),
        ('{"a": 1, "b": 0, "c": 2, "provenance": {"mode": "recall",\n"seeds": 1}}', ["at least 2 seeds, got 1"]),
        ('{"a": 1, "b": 0, "c": 2, "provenance": {\n"mode": "both",\n"seeds": 5}}', ["c.json:2", "'precision' or 'recall'"]),
        ('{\n"kind": "nearest"}', ["c.json:2", "neither coefficients nor relevance feedback", "its kind is 'nearest'"]),
        ('{"kind": 3}', ["c.json:1", "its kind is no text"]),
        ('{"kind": "relevance_feedback", "coefficients": {"a": 1,\n "b": "x", "c": 0}}', ["c.json:2", "coefficients.b"]),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    (tmp_path / "c.json").write_text(text)
    with refused(FormatError, *parts):
        RelevanceFeedback.load(tmp_path / "c.json")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(b"\xff\xfe\x00")
    with refused(FormatError, "not UTF-8"):
        Coefficients.load(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        ((float("nan"), 0, 0), "coefficient a"),
        ((1, -0.1, 0), "b of relevance feedback must be at least 0, got -0.1"),
        ((1, 0, "x"), "coefficient c"),
        ((1, 0, True), "coefficient c"),
    ],
)
def test_numbers_that_qdrant_refuses_are_refused_here(numbers: Any, part: str) -> None:
    with refused(StrategyError, part):
        Coefficients(*numbers)


def test_a_provenance_must_make_sense() -> None:
    with refused(StrategyError, "recommends 'plain', 'rerank' or 'feedback'; got 'me'"):
        Provenance(mode="recall", seeds=5, recommends="me")  # type: ignore[arg-type]
    with refused(StrategyError, "must be a Provenance, got 5"):
        Coefficients(1, 0, 0, 5)  # type: ignore[arg-type]


# The official package


@pytest.mark.parametrize(
    "weights", [(1.5, 0.25, 2.0), [1.5, 0.25, 2.0], {"a": 1.5, "b": 0.25, "c": 2.0}, np.array([1.5, 0.25, 2.0])]
)
def test_what_the_official_trainer_returned_can_be_taken_over(weights: Any) -> None:
    fitted = Provenance(mode="precision", seeds=5)
    assert Coefficients.from_official(weights, fitted) == Coefficients(1.5, 0.25, 2.0, fitted)


def test_what_it_returns_amiss_is_refused() -> None:
    with refused(StrategyError, "at least 0, got -0.3"):
        Coefficients.from_official((1.0, -0.3, 1.0))
    for odd in ((1.0, 2.0), {"a": 1.0, "c": 2.0}, "abc", None):
        with refused(StrategyError, "expected the three coefficients"):
            Coefficients.from_official(odd)


def test_feedback_objects_of_the_official_package_are_feedback_models() -> None:
    base = type("Feedback", (), {"__module__": "qdrant_relevance_feedback.feedback.feedback"})

    class Lengths(base):  # type: ignore[valid-type,misc]
        _model_name = "lengths"

        def score(self, query: str, responses: list[str]) -> Any:
            return np.array([len(response) for response in responses])

    model = as_reranker(Lengths())
    assert str(model.fingerprint).endswith("Lengths:lengths")
    assert model.score("q", ["a", "bcd"]) == [1.0, 3.0]
    assert model.score("q", []) == []
    Lengths._model_name = ""
    with refused(StrategyError, "doesn't say which model it is", "name='…'"):
        as_reranker(Lengths())


def test_a_file_is_trusted_or_put_within_a_stage_where_it_is_loaded(tmp_path: Path) -> None:
    within = Fusion.rrf().over(FeedbackCandidates(limit=9), Nearest("bm25", limit=9))
    save(PRECISION, tmp_path / "s.json")
    COEFFICIENTS.save(tmp_path / "c.json")
    for file in ("s.json", "c.json"):
        found = RelevanceFeedback.load(tmp_path / file, trust=True, within=within)
        assert found == replace(PRECISION, trust=True, within=within)
        assert RelevanceFeedback.load(tmp_path / file) == PRECISION
        with refused(StrategyError, "one FeedbackCandidates in it"):
            RelevanceFeedback.load(tmp_path / file, within=Nearest("dense"))
    save(replace(PRECISION, trust=True, within=within), tmp_path / "s.json")
    assert RelevanceFeedback.load(tmp_path / "s.json") == replace(PRECISION, trust=True, within=within)


def test_numbers_of_unknown_origin_in_a_file_are_loaded_if_they_are_trusted(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('\n{"kind": "relevance_feedback",\n"coefficients": {"a": 1, "b": 0.5, "c": 2}}')
    with refused(FormatError, "don't say what they were fitted to"):
        RelevanceFeedback.load(tmp_path / "s.json")
    assert RelevanceFeedback.load(tmp_path / "s.json", trust=True).weights == Coefficients(1, 0.5, 2)
    (tmp_path / "s.json").write_text('{"kind": "relevance_feedback", "coefficients": {"a": 1, "b": 0, "c": 0}, "trust": false}')
    assert RelevanceFeedback.load(tmp_path / "s.json", trust=True).trust
    wrong = '{"kind": "relevance_feedback", "coefficients": {"a": 1, "b": 0, "c": 0},\n"mod": "recall"}'
    (tmp_path / "s.json").write_text(wrong)
    with refused(FormatError, "s.json:2", "no 'mod'"):
        RelevanceFeedback.load(tmp_path / "s.json", trust=True)
