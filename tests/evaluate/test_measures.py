"""Measures are ir-measures' and pytrec_eval's, whatever the run: ties, unjudged documents, missing topics."""

from __future__ import annotations

import random

import ir_measures
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from qdrant_rerank import StrategyError
from qdrant_rerank.evaluate import Answer, Qrels, Ranked, Run, Topics, evaluate, per_topic
from qdrant_rerank.evaluate.measures import deepest
from tests.evaluate.worlds import run_of
from tests.support import refused

MEASURES = ("nDCG@10", "R@100", "RR", "P(rel=2)@5", "AP", "Judged@10")


def _judgments(seed: int) -> Qrels:
    drawn = random.Random(seed)
    grades = {
        f"q{topic}": {f"d{number}": drawn.choice([0, 0, 1, 2, 3]) for number in drawn.sample(range(30), drawn.randint(1, 12))}
        for topic in range(12)
    }
    grades["q0"] = {"d0": 1}
    return Qrels(grades)


def _run(seed: int) -> Run:
    """Rankings with many equal scores, unjudged documents, topics without results, and topics that nobody judged."""
    drawn = random.Random(seed)
    answers: dict[str, Answer] = {}
    for topic in range(2, 14):
        found = drawn.sample(range(40), drawn.randint(0, 25))
        scores = sorted((float(drawn.randint(0, 4)) for _ in found), reverse=True)
        answers[f"q{topic}"] = Answer(tuple(Ranked(f"d{number}", score) for number, score in zip(found, scores, strict=True)))
    return Run("random", answers)


@pytest.mark.parametrize("seed", range(6))
def test_values_equal_those_of_pytrec_eval_on_the_same_order(seed: int) -> None:
    qrels, run = _judgments(seed), _run(seed + 100)
    topics = Topics(dict.fromkeys(qrels, "a query"))
    mine = evaluate(run, topics, qrels, ("nDCG@10", "R@100", "RR", "AP")).values
    judged = {topic: dict(found) for topic, found in qrels.items()}
    ordered = {
        topic: {result.doc_id: 1000.0 - rank for rank, result in enumerate(answer.ranking)} for topic, answer in run.items()
    }
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.100", "recip_rank", "map"})
    theirs = evaluator.evaluate(ordered)
    names = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "RR": "recip_rank", "AP": "map"}
    assert len(theirs) < len(judged)  # some judged topics have no results, which pytrec_eval leaves out
    for measure, name in names.items():
        expected = {topic: theirs.get(topic, {}).get(name, 0.0) for topic in judged}
        assert mine[measure] == pytest.approx(expected, abs=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_values_and_means_equal_those_of_ir_measures(seed: int) -> None:
    qrels, run = _judgments(seed), _run(seed + 1)
    evaluation = evaluate(run, Topics(dict.fromkeys(qrels, "a query")), qrels, MEASURES)
    judged = [ir_measures.Qrel(topic, document, grade) for topic, found in qrels.items() for document, grade in found.items()]
    scored = [
        ir_measures.ScoredDoc(topic, result.doc_id, 1 / (rank + 1))
        for topic, answer in run.items()
        for rank, result in enumerate(answer.ranking)
    ]
    theirs = ir_measures.calc_aggregate([ir_measures.parse_measure(name) for name in MEASURES], judged, scored)
    means = {name: mean.estimate for name, mean in evaluation.means.items()}
    expected = {str(measure): value for measure, value in theirs.items()}
    del expected["Judged@10"], means["Judged@10"]  # ir-measures leaves topics without results out of this one's mean
    assert means == pytest.approx(expected, abs=1e-12)


def test_equal_scores_are_measured_in_the_order_of_the_results() -> None:
    qrels = Qrels({"q": {"a": 1}})
    first, last = Run("a first", {"q": _tied("a", "z")}), Run("a last", {"q": _tied("z", "a")})
    topics = Topics({"q": "text"})
    assert evaluate(first, topics, qrels, ["RR"]).values["RR"]["q"] == 1.0
    assert evaluate(last, topics, qrels, ["RR"]).values["RR"]["q"] == 0.5


def _tied(*documents: str) -> Answer:
    return Answer(tuple(Ranked(document, 0.7) for document in documents))


def test_rising_scores_are_measured_in_the_order_of_the_results() -> None:
    answer = Answer((Ranked("a", 0.1), Ranked("b", 0.9)))
    evaluation = evaluate(Run("mmr", {"q": answer}), Topics({"q": "text"}), Qrels({"q": {"a": 1}}), ["RR"])
    assert evaluation.values["RR"]["q"] == 1.0


def test_a_measure_may_be_any_expression_of_ir_measures() -> None:
    grades, rankings = {"q": {"a": 2, "b": 1}}, {"q": {"b": 2.0, "a": 1.0, "c": 0.0}}
    values = per_topic(["P(rel=2)@2", "RR(rel=2)", "Judged@3", "nDCG(gains={1:1,2:7})@2"], grades, rankings)
    assert values["P(rel=2)@2"]["q"] == 0.5
    assert values["RR(rel=2)"]["q"] == 0.5
    assert values["Judged@3"]["q"] == pytest.approx(2 / 3)
    assert len(values) == 4


def test_measures_have_the_names_that_ir_measures_gives_them() -> None:
    assert per_topic([str(ir_measures.nDCG @ 10)], {"q": {"a": 1}}, {"q": {"a": 1.0}}) == {"nDCG@10": {"q": 1.0}}
    assert per_topic(["RR"], {"q": {"a": 1}}, {"q": {}}) == {"RR": {"q": 0.0}}


def test_one_measure_may_be_given_as_text_alone() -> None:
    evaluation = evaluate(run_of({"q": ["a"]}), Topics({"q": "text"}), Qrels({"q": {"a": 1}}), "RR")
    assert evaluation.measures == ("RR",)


@pytest.mark.parametrize(
    ("measures", "depth"), [(["nDCG@5"], 10), (["nDCG@10", "R@50"], 50), (["RR"], 100), (["AP", "P@3"], 100)]
)
def test_measures_say_how_many_results_they_look_at(measures: list[str], depth: int) -> None:
    assert deepest(measures) == depth


@pytest.mark.parametrize(
    ("measure", "parts"),
    [
        ("nDGC@10", ("no measure 'nDGC@10'", "did you mean 'nDCG'?")),
        ("P", ("'P' can't be used", "cutoff, as in P@10")),
        ("nDCG@", ("'nDCG@' can't be used", "Measure")),
        ("alpha_nDCG@10", ("can't be used", "pyndeval")),
    ],
)
def test_a_measure_that_cannot_be_used_is_refused_with_the_reason(measure: str, parts: tuple[str, ...]) -> None:
    with refused(StrategyError, *parts):
        per_topic([measure], {"q": {"a": 1}}, {})


def test_no_measure_at_all_is_refused() -> None:
    with refused(StrategyError, "measures= is empty"):
        per_topic([], {"q": {"a": 1}}, {})
