"""What the fit does with judgments, and what it says of what it found."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Formula,
    Nearest,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    score,
)
from qdrant_rerank.evaluate import Interval, Qrels, Topic, Topics, evaluate, per_topic
from qdrant_rerank.learn import FeedbackFit, fit_feedback
from qdrant_rerank.learn._internals import ScoreFile, fit_folds, judgments_of, verdict
from tests.engines import open_client
from tests.support import CountingClient, near

from .support import collect_examples
from .worlds import BY_NAME, FEW, QUERIES, TEXTS, Knowing, Noise, executor, fill, qrels

TOPICS = Topics(tuple(Topic(text, text) for text in TEXTS))


@pytest.fixture(scope="module")
def fit(client: CountingClient) -> FeedbackFit:
    return fit_feedback(executor(client, Knowing()), BY_NAME, candidates=30, qrels=qrels(), doc_id="_id")


def test_each_query_is_served_by_coefficients_that_have_not_seen_it(client: CountingClient, fit: FeedbackFit) -> None:
    """The judgement is that of the folds' coefficients, not of those that are written."""
    runner = executor(client, Knowing())
    crossed = fit_folds(collect_examples(runner, fit.strategy, TEXTS, 30, ScoreFile(Knowing())), "precision")
    assert near(crossed.folds) == near(fit.folds)
    assert near(crossed.coefficients) == near(Coefficients(fit.coefficients.a, fit.coefficients.b, fit.coefficients.c))
    rankings: dict[str, dict[str, float]] = {}
    for text in TEXTS:
        strategy = replace(fit.strategy, coefficients=crossed.for_query(text), trust=True)
        found = runner.retrieve(strategy, Query(text), SearchOptions(limit=100))
        rankings[text] = {point.payload["_id"]: -float(rank) for rank, point in enumerate(found) if point.payload}
    expected = per_topic(["nDCG@10"], qrels(), rankings)["nDCG@10"]
    [told] = [each for each in fit.comparisons if each.measure == "nDCG@10"]
    assert told.feedback == pytest.approx(sum(expected.values()) / QUERIES)


@pytest.mark.parametrize(("reads", "top"), [(25, 10), (8, 8)])
def test_what_is_reported_of_mode_recall_is_what_the_saved_strategy_gets(
    client: CountingClient, tmp_path: Path, reads: int, top: int
) -> None:
    """In mode "recall" it returns what it reads: nothing that only a plain search would find further down counts as found."""
    runner, names = executor(client, Knowing()), [f"nDCG@{top}", f"R@{top}", f"R@{reads}"]
    fit = fit_feedback(runner, BY_NAME, mode="recall", reads=reads, candidates=35, qrels=qrels(), doc_id="_id")
    fit.save(tmp_path / "feedback.json", anyway=True)
    saved = RelevanceFeedback.load(tmp_path / "feedback.json")
    crossed = fit_folds(collect_examples(runner, saved, TEXTS, 35, ScoreFile(Knowing())), "recall")
    got: dict[str, list[float]] = {name: [] for name in names}
    for fold, weights in enumerate(crossed.folds):
        topics = Topics(tuple(Topic(text, text) for text in TEXTS if crossed.unseen_by[text] == fold))
        own = Qrels({topic.id: qrels()[topic.id] for topic in topics})
        served = replace(saved, coefficients=weights, trust=True)
        found = evaluate(served, topics, own, names, executor=runner, doc_id="_id", batch_size=10)
        for name in dict.fromkeys(names):
            got[name] += found.values[name].values()
    plain = evaluate(
        replace(saved.seeds, limit=None), TOPICS, Qrels(qrels()), names, executor=runner, doc_id="_id", batch_size=10
    )
    reread = Rerank(reads=reads).over(Nearest("dense"))
    reranked = evaluate(reread, TOPICS, Qrels(qrels()), names, executor=runner, doc_id="_id", batch_size=10)
    assert [each.measure for each in fit.comparisons[2:]] == list(dict.fromkeys(names))
    for each in fit.comparisons[2:]:
        assert each.feedback == pytest.approx(sum(got[each.measure]) / QUERIES)
        assert each.plain == pytest.approx(plain.means[each.measure].estimate)
        assert each.rerank == pytest.approx(reranked.means[each.measure].estimate)
    assert fit.by_qrels
    assert saved.most == reads


def test_too_few_judgments_are_not_used_and_that_is_said(client: CountingClient) -> None:
    some = {text: qrels()[text] for text in TEXTS[:19]}
    client.calls.clear()
    fit = fit_feedback(executor(client, Knowing()), BY_NAME, candidates=30, qrels=some, doc_id="_id")
    assert [each.measure for each in fit.comparisons] == ["agreement", "unseen"]
    assert (fit.judged_queries, fit.by_qrels) == (19, False)
    assert "own opinion, as only 19 queries have judgments (qrels)" in str(fit)
    assert client.calls.count("query_batch_points") == 2
    enough = fit_feedback(
        executor(client, Knowing()), TEXTS[:20], candidates=30, qrels={str(n): {"d7": 1} for n in range(20)}, doc_id="_id"
    )
    assert (enough.judged_queries, enough.by_qrels) == (20, True)
    assert "own opinion" not in str(enough)


def test_judgments_go_by_text_where_a_text_has_several_ids() -> None:
    texts = {"1": "a", "2": "a", "3": "b", "4": "c"}
    given = {"1": {"x": 1, "y": 0, "w": 3}, "2": {"x": 2, "z": 1, "w": 1}, "3": {}, "9": {"x": 1}}
    assert judgments_of(texts, given) == {"a": {"x": 2, "y": 0, "z": 1, "w": 3}}
    assert judgments_of(texts, None) == {}


def test_noise_is_not_recommended_by_judgments_either(client: CountingClient) -> None:
    fit = fit_feedback(executor(client, Noise()), BY_NAME, candidates=30, qrels=qrels(), doc_id="_id")
    assert (fit.recommends, fit.signal) == ("plain", False)
    assert "neither reranking nor relevance feedback is better" in str(fit)


def test_what_was_measured_is_in_the_artefact(fit: FeedbackFit, tmp_path: Path) -> None:
    fit.save(tmp_path / "feedback.json", anyway=True)
    known = RelevanceFeedback.load(tmp_path / "feedback.json").weights.provenance
    assert known is not None
    precise, _, deep = fit.comparisons[2:]
    assert known.metrics["nDCG@10: over_rerank low"] == precise.over_rerank.low
    assert (known.metrics["queries"], known.metrics["folds"]) == (50, 5)
    assert [each.measure for each in fit.comparisons] == ["agreement", "unseen", "nDCG@10", "R@10", "R@100"]
    assert deep.rerank == deep.plain  # behind the five that it reads come the others
    assert deep.feedback != deep.plain


@pytest.mark.parametrize("deep", [40, 200])
def test_a_first_search_that_hands_on_less_than_100_is_judged_as_deep_as_it_goes(client: CountingClient, deep: int) -> None:
    seeds = Formula(score() * 1.0, limit=5).over(Nearest("dense", limit=deep))
    fit = fit_feedback(executor(client, Knowing()), FEW, seeds=seeds, candidates=30, qrels=qrels(), doc_id="_id")
    assert [each.measure for each in fit.comparisons][2:] == ["nDCG@10", "R@10", f"R@{min(deep, 100)}"]


def test_where_feedback_only_seems_better_it_is_said_to_be_chance(fit: FeedbackFit) -> None:
    assert fit.seems_better
    assert "that is chance" not in str(fit)
    agreed, own, precise, *others = fit.comparisons
    unsure = replace(own, over_plain=Interval(0.01, -0.01, 0.03, 0.95))
    seeming = replace(fit, comparisons=(agreed, unsure, precise, *others), recommends=verdict(precise, unsure))
    assert seeming.recommends == "rerank"
    assert "Feedback seems better, but as the seeds' scores say nothing of other points, that is chance." in str(seeming)


@pytest.mark.parametrize(
    ("over_rerank", "rerank_over_plain", "said"),
    [
        (
            0.01,
            0.01,
            "Use relevance feedback: on queries that it didn't learn from, it is better than plain search and better than",
        ),
        (-0.01, -0.01, "Use relevance feedback: .* that it is better than reranking is likely, not certain"),
        (
            -0.01,
            0.01,
            "Use plain reranking .*: it is better than plain search, and relevance feedback isn't better than it for",
        ),
        (-0.03, -0.01, "Use plain reranking .*: relevance feedback, .* better than plain search, but nothing shows that it is"),
    ],
)
def test_what_is_said_is_no_more_than_what_was_found(
    fit: FeedbackFit, over_rerank: float, rerank_over_plain: float, said: str
) -> None:
    def interval(low: float) -> Interval:
        return Interval(low + 0.02, low, low + 0.04, 0.95)

    agreed, own, precise, *others = fit.comparisons
    found = replace(precise, over_rerank=interval(over_rerank), rerank_over_plain=interval(rerank_over_plain))
    other = replace(fit, comparisons=(agreed, own, found, *others), recommends=verdict(found, own))
    assert re.match(said, str(other))


def test_points_without_vector_or_text_are_left_out_of_what_is_learned(tmp_path: Path) -> None:
    made = fill(open_client())
    made.delete_vectors("c", ["dense"], points=list(range(50)))
    made.set_payload("c", {"text": " "}, points=list(range(50, 80)))
    model = Knowing()
    fit = fit_feedback(executor(made, model), FEW, candidates=30)
    assert fit.queries == len(FEW)
    assert {int(text) for call in model.calls for text in call} <= set(range(80, 300))
    made.close()


def test_duplicated_documents_are_scored_and_judged_like_others() -> None:
    made = open_client()
    fill(made)
    points, _ = made.scroll("c", limit=40, with_vectors=True)
    copies = [
        models.PointStruct(id=1000 + int(point.id), vector=point.vector, payload=point.payload)  # type: ignore[arg-type]
        for point in points
    ]
    made.upsert("c", copies)
    model = Knowing()
    fit = fit_feedback(executor(made, model), FEW, candidates=30, qrels=qrels(), doc_id="_id")
    assert fit.queries == len(FEW)
    assert all(len(set(call)) == len(call) for call in model.calls)  # a text is read once
    made.close()
