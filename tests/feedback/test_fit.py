"""The fit: it finds a gain that is there, says when there is none, and asks the model for nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    Coefficients,
    Encoders,
    Executor,
    FitError,
    FormatError,
    Nearest,
    PlanError,
    Query,
    RelevanceFeedback,
    Scope,
    StrategyError,
    plan,
)
from qdrant_rerank.learn.feedback_fit import FeedbackFit, Progress, estimate, fit_feedback
from qdrant_rerank.learn.feedback_fit_data import Example, Examples
from qdrant_rerank.learn.feedback_fit_judge import agreement
from qdrant_rerank.learn.feedback_fit_scores import ScoreFile
from qdrant_rerank.learn.feedback_fit_train import formula_scores, trained
from tests.support import refused

from .support import Numbers

POINTS, SIZE, QUERIES = 300, 16, 50
RANDOM = np.random.default_rng(11)
VECTORS = RANDOM.standard_normal((POINTS, SIZE))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
WISHES = RANDOM.standard_normal((QUERIES, SIZE))  # what is really meant
ASKED = WISHES + 1.6 * RANDOM.standard_normal((QUERIES, SIZE))  # what the embedding model makes of it
TEXTS = [f"query {number}" for number in range(QUERIES)]


def encode(text: str) -> list[float]:
    vector: list[float] = ASKED[int(text.split()[1]) % QUERIES].tolist()
    return vector


class Knowing(Numbers):
    """A model that knows what is meant."""

    fingerprint = "knowing"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.calls.append(list(texts))
        wish = WISHES[int(query.split()[1]) % QUERIES]
        return [float(VECTORS[int(text)] @ wish) * 4 for text in texts]


class Noise(Numbers):
    """A model that knows nothing."""

    fingerprint = "noise"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        random = np.random.default_rng([int(query.split()[1]), *map(int, texts[:3])])
        return [float(number) for number in random.standard_normal(len(texts))]


@pytest.fixture(scope="module")
def client() -> Iterator[QdrantClient]:
    made = QdrantClient(":memory:")
    made.create_collection("c", vectors_config={"dense": models.VectorParams(size=SIZE, distance=models.Distance.COSINE)})
    points = [
        models.PointStruct(id=n, vector={"dense": VECTORS[n].tolist()}, payload={"text": str(n), "_id": f"d{n}"})
        for n in range(POINTS)
    ]
    made.upsert("c", points)
    yield made
    made.close()


def executor(client: QdrantClient, model: Any) -> Executor:
    return Executor(client, "c", encoders=Encoders.of({"dense": encode}), model=model)


@cache
def qrels() -> dict[str, dict[str, int]]:
    """The 10 points that are nearest to what is really meant."""
    best = np.argsort(-(WISHES @ VECTORS.T), axis=1)[:, :10]
    return {text: {f"d{n}": 1 for n in row} for text, row in zip(TEXTS, best, strict=True)}


@pytest.mark.parametrize("mode", ["precision", "recall"])
def test_a_gain_that_is_there_is_found_and_recommended(client: QdrantClient, mode: Any, tmp_path: Path) -> None:
    runner = executor(client, Knowing())
    queries = dict(zip(TEXTS, TEXTS, strict=True))
    fit = fit_feedback(runner, queries, mode=mode, reads=15, qrels=qrels(), doc_id="_id", cache=tmp_path / "scores.jsonl")
    agreed, _, precise, *_ = fit.judgements
    assert fit.coefficients.c > 0
    assert fit.coefficients.b >= 0
    assert fit.signal
    assert (agreed.measure, precise.measure) == ("agreement", "nDCG@10")
    assert precise.over_plain.low is not None
    assert precise.over_plain.low > 0
    assert (precise.feedback, precise.rerank) > (precise.plain, precise.plain)
    assert fit.disagreement > 0.5
    assert fit.queries == (30, 20)
    assert precise.over_rerank.low is not None
    assert precise.over_rerank.low > 0
    assert fit.recommends == "feedback"
    assert "Use relevance feedback" in str(fit)
    fit.save(tmp_path / "feedback.json")
    strategy = RelevanceFeedback.load(tmp_path / "feedback.json")
    assert strategy == fit.strategy
    assert len(runner.retrieve(strategy, Query("query 3"), Scope(limit=5))) == 5
    with refused(PlanError, "the feedback model is 'noise', was 'knowing'"):
        executor(client, Noise()).plan(strategy)


def test_noise_is_called_no_signal_and_is_not_saved_as_good(client: QdrantClient, tmp_path: Path) -> None:
    fit = fit_feedback(executor(client, Noise()), TEXTS, candidates=30)
    assert fit.recommends != "feedback"
    assert not fit.signal
    assert "There is no signal" in str(fit)
    assert "the feedback model's own opinion" in str(fit)
    with refused(FitError, "not saved", "anyway=True"):
        fit.save(tmp_path / "feedback.json")
    assert not (tmp_path / "feedback.json").exists()
    fit.save(tmp_path / "feedback.json", anyway=True)
    strategy = RelevanceFeedback.load(tmp_path / "feedback.json")
    target = executor(client, Noise()).target()
    made = plan(strategy, target.schema, target.capabilities)
    assert [warning.code for warning in made.warnings] == ["not-recommended"]


def test_a_query_is_one_search_and_its_scores_are_asked_for_once(client: QdrantClient, tmp_path: Path) -> None:
    first, again = Knowing(), Knowing()
    seen: list[Progress] = []
    fit = fit_feedback(executor(client, first), TEXTS, candidates=30, cache=tmp_path / "s.jsonl", progress=seen.append)
    assert sum(map(len, first.calls)) == QUERIES * 30
    assert (seen[-1].done, seen[-1].total, seen[-1].asked) == (1500, 1500, 1500)
    assert seen[0].seconds_left is not None
    assert (
        fit_feedback(executor(client, again), TEXTS, candidates=30, cache=tmp_path / "s.jsonl").coefficients == fit.coefficients
    )
    assert again.calls == []


def test_a_crash_costs_nothing_twice(client: QdrantClient, tmp_path: Path) -> None:
    class Crashing(Knowing):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            if len(self.calls) == 10:
                raise TimeoutError
            return super().score(query, texts)

    path = tmp_path / "s.jsonl"
    with pytest.raises(TimeoutError):
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
    assert estimate(60, candidates=30).documents == 1800
    made = estimate(100, candidates=50, judged_queries=100, reads=25, seconds_per_document=0.06)
    assert (made.requests, made.documents) == (9, 7000)
    assert made.seconds == pytest.approx(420)
    assert str(made) == "100 queries, 9 requests to Qdrant, up to 7000 documents to score, about 7 minutes of the model"


@pytest.mark.parametrize(
    ("queries", "options", "error", "parts"),
    [
        (TEXTS[:19], {}, FitError, ["there are 19 different queries", "at least 20"]),
        (["query 1"] * 50, {}, FitError, ["there are 1 different queries"]),
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
    with refused(StrategyError, "make the executor with model="):
        fit_feedback(Executor(client, "c", encoders=Encoders.of({"dense": encode})), TEXTS)


# The parts


def planted(queries: int, b: float, c: float, seed: int = 0) -> list[Example]:
    """Examples whose feedback scores of what isn't a seed are the formula's own, with these coefficients."""
    random = np.random.default_rng(seed)
    examples = []
    for number in range(queries):
        stored = random.standard_normal((30, 8))
        query = random.standard_normal(8)
        given = np.concatenate([random.exponential(2.0, 5), np.zeros(25)])
        example = Example(str(number), stored @ query, stored[:5] @ stored.T, given)
        formula = formula_scores(Examples.of([example]), 1.0, b, c)[0]
        examples.append(Example(example.query, example.similarity, example.to_seeds, np.concatenate([given[:5], formula[5:]])))
    return examples


@pytest.mark.parametrize(("b", "c"), [(0.0, 0.5), (1.0, 0.2)])
def test_coefficients_that_made_the_scores_are_found_again(b: float, c: float) -> None:
    found = trained(planted(40, b, c), "recall")
    assert found.a == 1.0
    assert found.b == pytest.approx(b, abs=0.1)
    assert found.c == pytest.approx(c, rel=0.15)
    unseen = planted(20, b, c, seed=1)
    assert np.mean(agreement(unseen, found, "recall", 15)["feedback"]) > np.mean(
        agreement(unseen, found, "recall", 15)["plain"]
    )


def test_what_is_learned_from_is_the_formula_that_is_served(client: QdrantClient) -> None:
    """The scores that the fit ranks by are those that Qdrant gives."""
    coefficients = Coefficients(1.0, 0.7, 0.4)
    runner = executor(client, Knowing())
    strategy = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=coefficients, trust=True)
    served = {
        point.payload["text"]: point.score
        for point in runner.retrieve(strategy, Query("query 7"), Scope(limit=POINTS))
        if point.payload
    }
    from qdrant_rerank.learn.feedback_fit_data import gathered

    plain = runner.plan(strategy).strategy
    assert isinstance(plain, RelevanceFeedback)
    [example] = gathered(runner, plain, ["query 7"], 40, ScoreFile(Knowing()))
    first = runner.retrieve(Nearest("dense"), Query("query 7"), Scope(limit=40))
    scores = formula_scores(Examples.of([example]), 1.0, 0.7, 0.4)[0]
    assert scores == pytest.approx([served[point.payload["text"]] for point in first if point.payload], abs=1e-5)


def test_reranking_reads_as_many_documents_as_feedback() -> None:
    example = Example("q", np.zeros(12), np.zeros((5, 12)), np.arange(12.0))
    found = agreement([example], Coefficients(1, 0, 0), "precision", 5)
    assert found["plain"] < found["rerank"]
    assert agreement([example], Coefficients(1, 0, 0), "recall", 12)["rerank"] == [pytest.approx(1.0)]


def test_what_was_fitted_says_what_it_was_fitted_to(client: QdrantClient) -> None:
    fit: FeedbackFit = fit_feedback(executor(client, Knowing()), TEXTS, candidates=20, seeds=Nearest("dense", limit=3))
    fitted = fit.coefficients.provenance
    assert fitted is not None
    assert (fitted.mode, fitted.seeds, fitted.model, fitted.vector, fitted.size) == ("precision", 3, "knowing", "dense", SIZE)
    assert (fitted.distance, fitted.recommends) == ("Cosine", fit.recommends)
    assert "encode" in (fitted.encoder or "")
    assert fitted.metrics["agreement: feedback"] == fit.judgements[0].feedback
    assert {"qdrant", "numpy", "scipy"} < set(fitted.versions)
