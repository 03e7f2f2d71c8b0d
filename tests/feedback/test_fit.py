"""The fit: it finds a gain that is there, says when there is none, and asks the model for nothing twice."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    Coefficients,
    Executor,
    Nearest,
    PlanError,
    Query,
    RelevanceFeedback,
    SearchOptions,
    StrategyError,
)
from qdrant_rerank.errors import FitError, FormatError, MeasurementError
from qdrant_rerank.learn import FeedbackFit, estimate_feedback_fit, fit_feedback
from qdrant_rerank.learn._internals import Examples, Progress, ScoreFile, formula_scores
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import plan
from tests.engines import open_client
from tests.support import near, refused

from .support import collect_examples
from .worlds import POINTS, QUERIES, SIZE, TEXTS, Knowing, Noise, encode, executor, fill, qrels


@pytest.fixture(scope="module")
def client() -> Iterator[QdrantClient]:
    made = fill(open_client())
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["precision", "recall"])
def test_a_gain_that_is_there_is_found_and_recommended(client: QdrantClient, mode: Any, tmp_path: Path) -> None:
    runner = executor(client, Knowing())
    queries = dict(zip(TEXTS, TEXTS, strict=True))
    seeds = Nearest("dense", limit=8 if mode == "recall" else 5)
    fit = fit_feedback(runner, queries, mode=mode, seeds=seeds, reads=20, qrels=qrels(), doc_id="_id")
    agreed, _, precise, *_ = fit.comparisons
    assert fit.coefficients.c > 0
    assert fit.coefficients.b >= 0
    assert fit.signal
    assert (agreed.measure, precise.measure) == ("agreement", "nDCG@10")
    assert precise.over_plain.low is not None
    assert precise.over_plain.low > 0
    assert (precise.feedback, precise.rerank) > (precise.plain, precise.plain)
    assert fit.disagreement > 0.5
    assert (fit.queries, fit.judged_queries, len(fit.folds)) == (50, 50, 5)
    assert precise.over_rerank.low is not None
    assert precise.over_rerank.low > 0
    assert fit.recommends == "feedback"
    assert "Use relevance feedback" in str(fit)
    fit.save(tmp_path / "feedback.json")
    strategy = RelevanceFeedback.load(tmp_path / "feedback.json")
    assert strategy == fit.strategy
    assert len(runner.retrieve(strategy, Query("query 3"), SearchOptions(limit=5))) == 5
    with refused(PlanError, "the reranker is 'noise', was 'knowing'"):
        executor(client, Noise()).plan(strategy)


def test_noise_is_called_no_signal_and_is_not_saved_as_good(client: QdrantClient, tmp_path: Path) -> None:
    fit = fit_feedback(executor(client, Noise()), TEXTS, candidates=30)
    assert fit.recommends != "feedback"
    assert not fit.signal
    assert "There is no signal" in str(fit)
    assert "This is the reranker's own opinion, as there were no judgments (qrels)" in str(fit)
    with refused(FitError, "not saved", "anyway=True"):
        fit.save(tmp_path / "feedback.json")
    assert not (tmp_path / "feedback.json").exists()
    fit.save(tmp_path / "feedback.json", anyway=True)
    strategy = RelevanceFeedback.load(tmp_path / "feedback.json")
    target = executor(client, Noise()).target()
    made = plan(strategy, target.schema, target.capabilities)
    assert [warning.code for warning in made.warnings] == ["not-recommended"]


def test_a_model_that_tells_nothing_apart_leaves_plain_search(client: QdrantClient, tmp_path: Path) -> None:
    for flat in (lambda query, texts: [0.5] * len(texts), lambda query, texts: [float(len(query))] * len(texts)):
        fit = fit_feedback(
            executor(client, flat), dict(zip(TEXTS, TEXTS, strict=True)), candidates=20, qrels=qrels(), doc_id="_id"
        )
        assert (fit.recommends, fit.signal, fit.disagreement) == ("plain", False, 0.0)
        assert (fit.coefficients.a, fit.coefficients.b, fit.coefficients.c) == (1.0, 0.0, 0.0)
        for each in fit.comparisons:
            assert each.over_plain.estimate == each.over_rerank.estimate == 0.0
        with refused(FitError, "not saved: Use plain search"):
            fit.save(tmp_path / "feedback.json")


def test_a_query_is_one_search_and_its_scores_are_asked_for_once(client: QdrantClient, tmp_path: Path) -> None:
    first, again = Knowing(), Knowing()
    seen: list[Progress] = []
    fit = fit_feedback(executor(client, first), TEXTS, candidates=30, cache=tmp_path / "s.jsonl", progress=seen.append)
    assert sum(map(len, first.calls)) == QUERIES * 30
    assert (seen[-1].done, seen[-1].total, seen[-1].asked) == (1500, 1500, 1500)
    assert seen[0].seconds_left is not None
    rerun = fit_feedback(executor(client, again), TEXTS, candidates=30, cache=tmp_path / "s.jsonl")
    assert near(rerun.coefficients) == near(fit.coefficients)
    assert again.calls == []


def test_a_crash_costs_nothing_twice(client: QdrantClient, tmp_path: Path) -> None:
    class Crashing(Knowing):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            if len(self.calls) == 10:
                raise TimeoutError
            return super().score(query, texts)

    path = tmp_path / "s.jsonl"
    with pytest.raises(MeasurementError):
        fit_feedback(executor(client, Crashing()), TEXTS, candidates=30, cache=path)
    path.write_text(path.read_text() + '{"key": "ab')  # and the last line was cut short
    again = Knowing()
    fit_feedback(executor(client, again), TEXTS, candidates=30, cache=path)
    assert len(again.calls) == QUERIES - 10
    assert len(ScoreFile(again, path).known) == QUERIES * 30


def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"key": "a", "score": 1.0}\n[1]\n{"key": "b", "score": 1.0}\n')
    with refused(FormatError, "s.jsonl:2: not a line of a file of scores"):
        ScoreFile(Knowing(), tmp_path / "s.jsonl")


def test_the_cost_is_known_before() -> None:
    assert estimate_feedback_fit(60, candidates=30).documents == 1800
    made = estimate_feedback_fit(100, mode="recall", candidates=50, judged_queries=100, reads=25, seconds_per_document=0.06)
    assert (made.requests, made.documents) == (24, 7000)
    assert made.seconds == pytest.approx(420)
    text = "100 queries, 24 requests to Qdrant, up to 7,000 documents to score, which takes the model about 7 min"
    assert str(made) == text
    assert str(estimate_feedback_fit(1, candidates=1)) == "1 query, 1 request to Qdrant, up to 1 document to score"
    assert (
        estimate_feedback_fit(100, judged_queries=100).documents == 5000
    )  # in mode "precision" the model reads nothing new to judge
    assert estimate_feedback_fit(100, judged_queries=19) == estimate_feedback_fit(100)  # too few to judge by


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "less than 1 s"), (2.4, "2 s"), (60, "60 s"), (100, "2 min"), (7100, "118 min"), (7500, "2 h 5 min")],
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert str(estimate_feedback_fit(60, candidates=10, seconds_per_document=seconds / 600)).endswith(
        f"which takes the model about {text}"
    )


@pytest.mark.parametrize(
    ("queries", "options", "error", "parts"),
    [
        (TEXTS[:19], {}, FitError, ["there are 19 different queries", "at least 20"]),
        (["query 1"] * 50, {}, FitError, ["there are 1 different queries"]),
        (["query 1"], {}, FitError, ["there are 1 different queries", "at least 20"]),
        ([], {}, FitError, ["there are 0 different queries"]),
        ([" ", *(text.upper() for text in TEXTS[:19]), *TEXTS[:19]], {}, FitError, ["there are 19 different queries"]),
        (TEXTS, {"folds": 1}, StrategyError, ["folds must be a whole number of at least 2, got 1"]),
        (TEXTS, {"candidates": 20.5}, StrategyError, ["candidates=20.5"]),
        (TEXTS, {"candidates": 12}, StrategyError, ["candidates=12", "at least 15"]),
        (TEXTS, {"mode": "recall", "candidates": 30}, StrategyError, ["at least 35"]),
        (
            TEXTS,
            {"filter": models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 3])])},
            FitError,
            ["only 0 of 50 queries find more points"],
        ),
        (TEXTS, {"using": "dens"}, PlanError, ["no vector named 'dens'"]),
    ],
)
def test_too_little_to_learn_from_is_said(
    client: QdrantClient, queries: list[str], options: dict[str, Any], error: type[Exception], parts: list[str]
) -> None:
    with refused(error, *parts):
        fit_feedback(executor(client, Knowing()), queries, **options)


def test_a_missing_model_is_said(client: QdrantClient) -> None:
    with refused(StrategyError, "make the executor with reranker="):
        fit_feedback(Executor(client, "c", encoders=Encoders.of({"dense": encode})), TEXTS)


def test_what_is_learned_from_is_the_formula_that_is_served(client: QdrantClient) -> None:
    """The scores that the fit ranks by are those that Qdrant gives."""
    coefficients = Coefficients(1.0, 0.7, 0.4)
    runner = executor(client, Knowing())
    strategy = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=coefficients, trust=True)
    served = {
        point.payload["text"]: point.score
        for point in runner.retrieve(strategy, Query("query 7"), SearchOptions(limit=POINTS))
        if point.payload
    }
    plain = runner.plan(strategy).strategy
    assert isinstance(plain, RelevanceFeedback)
    [example] = collect_examples(runner, plain, ["query 7"], 40, ScoreFile(Knowing()))
    first = runner.retrieve(Nearest("dense"), Query("query 7"), SearchOptions(limit=40))
    scores = formula_scores(Examples.of([example]), 1.0, 0.7, 0.4)[0]
    assert scores == pytest.approx([served[point.payload["text"]] for point in first if point.payload], abs=1e-5)


def test_what_was_fitted_says_what_it_was_fitted_to(client: QdrantClient) -> None:
    fit: FeedbackFit = fit_feedback(executor(client, Knowing()), TEXTS, candidates=20, seeds=Nearest("dense", limit=3))
    fitted = fit.coefficients.provenance
    assert fitted is not None
    assert (fitted.mode, fitted.seeds, fitted.reranker, fitted.vector, fitted.size) == (
        "precision",
        3,
        "knowing",
        "dense",
        SIZE,
    )
    assert (fitted.distance, fitted.recommends) == ("Cosine", fit.recommends)
    assert "encode" in (fitted.encoder or "")
    assert fitted.metrics["agreement: feedback"] == fit.comparisons[0].feedback
    assert {"qdrant", "qdrant-client", "qdrant-rerank", "numpy", "scipy"} == set(fitted.versions)
    assert dt.date.fromisoformat(fitted.date or "") <= dt.datetime.now(dt.UTC).date()
    assert fitted.data == hashlib.sha256(json.dumps(TEXTS).encode()).hexdigest()[:16]
