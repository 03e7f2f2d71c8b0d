"""Measures are ir-measures' and pytrec_eval's, whatever the run: ties, unjudged documents, missing topics."""

from __future__ import annotations

import json
import random
from typing import Any

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from qdrant_rerank import StrategyError
from qdrant_rerank.errors import FormatError
from qdrant_rerank.evaluate import Answer, Qrels, Ranked, Run, Topics, evaluate, per_topic
from qdrant_rerank.evaluate._internals import deepest
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


TABLE = (
    *("nDCG@10", "nDCG", "nDCG(dcg='exp-log2')@10", "ERR@10", "AP", "AP@5", "P@5", "P(rel=2)@2", "R@3", "RR", "RR@2", "Rprec"),
    *("Success@1", "Judged@10", "Bpref", "infAP", "IPrec@0.1", "SetP", "SetR", "SetF", "SetAP", "NumRet", "NumRel", "Compat"),
    *("Accuracy", "nDCG(judged_only=True)@10", "nDCG(gains={1: 3})@10"),
)
SHAPES = {
    "numbers": ("7", "00012"),
    "with a minus": ("PLAIN-1", "PLAIN-2"),
    "negative": ("-1", "-2"),
    "with spaces": ("a topic", " b\t"),
    "with line ends": ("a\nb", "c\u2028d"),
    "in other scripts": ("자전거", "größe"),
    "like the names that it goes under": ("2", "1"),
    "like means": ("amean", "all"),
    "with commas and quotes": ('a,b"', "'"),
    "long": ("x" * 3000, "y" * 3000),
}


@pytest.mark.parametrize("measure", TABLE)
def test_ids_of_any_form_have_the_values_of_plain_ones(measure: str) -> None:
    def values(first: str, second: str) -> dict[str, dict[str, float]]:
        grades = {first: {first: 2, second: 1, "c": 0}, second: {second: 1, "d 1": 0, "d2": 0}}
        rankings = {first: {"c": 9.5, first: 3.25, "unjudged": 3.0}, second: {second: 1.0, "d2": 0.5, "d 1": -4.0}}
        return per_topic([measure], grades, rankings)

    [(name, plain)] = values("q1", "q2").items()
    assert plain["q1"] != plain["q2"] or measure in ("NumRet", "Judged@10", "Success@1", "SetP", "P@5", "RR@2")
    for shape, (first, second) in SHAPES.items():
        assert values(first, second) == {name: {first: plain["q1"], second: plain["q2"]}}, shape


@pytest.mark.parametrize("name", ["nDCG", "P", "AP", "R", "RR", "Success", "Judged", "ERR", "Accuracy", "nDCG(dcg='exp-log2')"])
@pytest.mark.parametrize("cutoff", ["0", "1000001", "-1"])
def test_cutoffs_that_would_end_the_process_are_refused(name: str, cutoff: str) -> None:
    text = f"{name}@{cutoff}"
    with refused(StrategyError, f"the measure {text!r} can't be used"):
        deepest([text])


@pytest.mark.parametrize(
    ("measure", "says"),
    [
        ("P(rel=0)@5", "Argument relevance_level should be positive"),
        ("P(rel=1000001)@5", "its rel must be a grade from 1 to 1,000,000, got 1000001"),
        ("nDCG(gains={2: 2.5})@5", "its gains must be whole numbers by grade"),
        ("Compat(p=1.5)", "its p must be a number between 0 and 1, got 1.5"),
        ("SetF(beta=0.0)", "its beta must be a number above 0, got 0.0"),
        ("IPrec@1.5", "its recall must be a number from 0 to 1, got 1.5"),
    ],
)
def test_what_a_measure_cannot_take_is_refused(measure: str, says: str) -> None:
    with refused(StrategyError, f"the measure {measure!r} can't be used: {says}"):
        deepest([measure])


@pytest.mark.parametrize("measure", ["ERR@10", "nDCG(dcg='exp-log2')@10"])
def test_grades_that_a_measure_cannot_take_are_told_before_anything_is_asked(measure: str) -> None:
    def search(text: str) -> list[str]:
        raise AssertionError(text)

    topics = Topics({"q1": "a", "q2": "b"})
    with refused(StrategyError, "takes grades up to 4, and document 'd' has 5 for topic 'q2'; nDCG@10 takes larger ones"):
        evaluate(search, topics, Qrels({"q1": {"d": 4}, "q2": {"d": 5}}), [measure])
    with refused(StrategyError, "nDCG@10 takes grades up to 1,000,000"):
        evaluate(search, topics, Qrels({"q1": {"d": 2**31 - 1}}), ["nDCG@10"])
    with refused(StrategyError, "all that are judged for topic 'q1' are relevant: it is undefined there"):
        evaluate(search, topics, Qrels({"q1": {"d": 1}, "q2": {"d": 0}}), ["Accuracy"])


def test_a_measure_that_has_no_value_for_a_ranking_is_an_error_and_no_zero() -> None:
    with refused(StrategyError, "the measure Accuracy has no value for these rankings and judgments (ZeroDivisionError"):
        per_topic(["Accuracy"], {"q": {"a": 1, "b": 0}}, {"q": {"a": 1.0}})


@pytest.mark.parametrize("grades", [{1: {"d": 1}}, {"q": {3: 1}}])
def test_ids_of_judgments_are_text(grades: Any) -> None:
    with refused(FormatError, "in judgments must be text, got"):
        Qrels(grades)


def test_grades_of_numpy_are_whole_numbers() -> None:
    numbers: Any = {"d": np.int64(2), "e": np.uint8(0)}
    qrels = Qrels({"q": numbers})
    assert qrels == Qrels({"q": {"d": 2, "e": 0}})
    assert json.dumps(qrels.grades)
    with refused(FormatError, "must be a whole number, got np.float64(1.5)" if np.__version__ >= "2" else "must be a whole"):
        Qrels({"q": {"d": np.float64(1.5)}})  # type: ignore[dict-item]
    with refused(FormatError, "must be a whole number, got True"):
        Qrels({"q": {"d": True}})
