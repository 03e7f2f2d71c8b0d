"""A comparison claims what the numbers bear: better, worse, no difference, or too few topics to say."""

from __future__ import annotations

import json

import pytest

from qdrant_rerank import Nearest, StrategyError
from qdrant_rerank.evaluate import Comparison, Evaluation, Qrels, Run, Topics, check, compare, evaluate, frontier
from tests.evaluate.worlds import DENSE, FUSED, SPARSE, executor, many, qrels, run_of, shuffled, topics
from tests.support import refused

MEASURES = ["nDCG@10", "RR"]


def _systems(count: int = 150, **skills: float) -> list[Evaluation]:
    asked, judged = many(count)
    runs = [shuffled(asked, judged, skill, seed, name) for seed, (name, skill) in enumerate(skills.items())]
    return [evaluate(run, asked, judged, MEASURES) for run in runs]


@pytest.fixture(scope="module")
def compared() -> Comparison:
    return compare(_systems(base=0.4, good=0.8, same=0.4, bad=0.05), measure="RR")


def test_a_planted_gain_is_found_and_a_planted_loss(compared: Comparison) -> None:
    good, bad = compared["good"], compared["bad"]
    assert (good.finding, bad.finding) == ("better", "worse")
    assert good.verdict.startswith("good is better than base: +0.")
    assert bad.verdict.startswith("Keep base: bad is worse, -0.")
    assert good.difference.low is not None
    assert good.difference.low > 0
    assert good.difference.estimate == pytest.approx(good.mean - good.baseline_mean)


def test_no_difference_is_called_that_with_what_could_be_seen(compared: Comparison) -> None:
    same = compared["same"]
    assert same.finding == "no difference"
    assert same.verdict.startswith("Keep base: same shows no difference that can be told from chance")
    assert f"150 topics show true differences from about {same.detectable:.3f} up (80% of the time)" in same.verdict
    assert f"would take about {same.topics_needed:,}." in same.verdict
    assert same.topics_needed is not None
    assert same.topics_needed > 150


def test_wins_ties_and_losses_are_counted_by_topic(compared: Comparison) -> None:
    base, good = compared.evaluations[0].values["RR"], compared.evaluations[1].values["RR"]
    row = compared["good"]
    assert row.wins == sum(good[topic] > base[topic] for topic in base)
    assert row.losses == sum(good[topic] < base[topic] for topic in base)
    assert row.wins + row.ties + row.losses == 150


def test_p_values_are_corrected_for_all_systems_compared(compared: Comparison) -> None:
    assert [row.p_adjusted >= row.p for row in compared.differences] == [True] * 3
    smallest = min(compared.differences, key=lambda row: row.p)
    assert smallest.p_adjusted == pytest.approx(3 * smallest.p)
    assert "after correction for 3 comparisons" in compared["good"].verdict
    alone = compare(compared.evaluations[:2], measure="RR")
    assert alone["good"].p_adjusted == alone["good"].p
    assert "correction" not in alone["good"].verdict


def test_false_alarms_are_rare_where_nothing_differs() -> None:
    asked, judged = many(40)
    alarms = 0
    for seed in range(60):
        systems = [evaluate(shuffled(asked, judged, 0.5, 5 * seed + one, f"s{one}"), asked, judged, ["RR"]) for one in range(3)]
        alarms += any(row.finding != "no difference" for row in compare(systems, changes=0).differences)
    assert alarms <= 8  # of 60 at 5 %, two differences together


def test_the_largest_changes_come_with_both_rankings(compared: Comparison) -> None:
    changes = compared["good"].changes
    assert len(changes) == 5
    sizes = [abs(change.change) for change in changes]
    assert sizes == sorted(sizes, reverse=True)
    first = changes[0]
    [relevant] = first.relevant
    assert first.before == pytest.approx(1 / (1 + list(compared.evaluations[0].run[first.topic].doc_ids).index(relevant)))
    assert first.ranking_after == compared.evaluations[1].run[first.topic].doc_ids[:10]
    assert first.text == f"question {first.topic}"


def test_too_few_topics_make_no_claim_and_say_how_many_are_needed() -> None:
    row = compare(_systems(12, base=0.0, good=1.0))["good"]
    assert row.finding == "too few topics"
    assert row.verdict.startswith("No claim about good: 12 topics are too few; any claim needs at least 25.")
    assert f"takes about {row.topics_needed}" in row.verdict


def test_systems_that_score_the_same_everywhere_are_told_so() -> None:
    [one] = _systems(30, base=0.5)
    other = evaluate(one.run.rename("twin"), *many(30), MEASURES)
    row = compare([one, other])["twin"]
    assert (row.p, row.ties, row.topics_needed) == (1.0, 30, None)
    assert row.verdict == "Keep base: twin scores the same nDCG@10 on every one of 30 topics."


def test_strategies_tell_why_their_results_moved_when_asked() -> None:
    bound = executor()
    reading = Nearest("dense")
    systems = [evaluate(one, topics(), qrels(), ["nDCG@3"], executor=bound, limit=4) for one in (reading, FUSED)]
    asked = [evaluate(run_of({"q1": ["sleep"], "q2": ["hut"], "q3": ["ferry"], "q4": ["loop"]}), topics(), qrels(), ["nDCG@3"])]
    [row] = compare([*asked, systems[1]], explain=True).differences
    change = next(change for change in row.changes if change.topic == "q1")
    assert change.why_before == ()  # a finished run can't tell
    assert len(change.why_after) == 4
    assert change.why_after[0].startswith("score ")
    assert "dense: rank" in change.why_after[0]
    assert compare([*asked, systems[0]]).differences[0].changes[0].why_after == ()


def test_the_front_is_of_those_that_none_beats_in_quality_and_cost() -> None:
    points = {"cheap": (1.0, 0.5), "good": (3.0, 0.7), "beaten": (3.0, 0.6), "dear": (4.0, 0.7), "twin": (1.0, 0.5)}
    assert frontier(points) == ("cheap", "twin", "good")
    bound = executor()
    systems = [evaluate(one, topics(), qrels(), MEASURES, executor=bound) for one in (DENSE, SPARSE, FUSED)]
    comparison = compare(systems)
    assert set(comparison.frontiers) == {"p50_ms", "round_trips", "model_texts"}
    best = max(systems, key=lambda one: one.means["nDCG@10"].estimate)
    assert best.name in comparison.frontiers["round_trips"]
    unseen = evaluate(run_of({"q1": ["train"]}), topics(), qrels(), MEASURES)
    assert compare([*systems, unseen]).frontiers == {}


def test_synthetic_topics_are_told_with_every_verdict() -> None:
    asked, judged = many(30)
    made = Topics(asked.items, synthetic=True)
    systems = [evaluate(shuffled(asked, judged, skill, 1, name), made, judged) for name, skill in (("a", 0.1), ("b", 0.9))]
    comparison = compare(systems)
    assert comparison.synthetic
    assert all("queries are synthetic" in verdict for verdict in comparison.verdicts)


def test_a_comparison_is_plain_data(compared: Comparison) -> None:
    plain = json.loads(compared.to_json())
    assert plain["differences"][0]["finding"] == "better"
    assert str(compared).splitlines()[0] == "RR on 150 topics, beside base:"
    frame = pytest.importorskip("pandas") and compared.to_frame()
    assert list(frame["name"]) == ["good", "same", "bad"]
    assert frame["difference"][0] == compared["good"].difference.estimate
    with pytest.raises(KeyError):
        compared["nobody"]


def test_a_build_fails_below_the_least_mean_and_for_a_worse_system(compared: Comparison) -> None:
    assert check(compared) == ()
    assert check(compared, fail_under=0.0) == ()
    low = check(compared, fail_under=compared["same"].mean + 0.01)
    assert [problem.partition(":")[0] for problem in low] == ["same", "bad"]
    assert "which is under" in low[0]
    assert check(compared, fail_worse=True) == (compared["bad"].verdict,)
    base = compared.evaluations[0]
    assert check(base, fail_under=base.means["RR"].estimate, measure="RR") == ()
    assert len(check(base, fail_under=base.means["RR"].estimate + 1e-9, measure="RR")) == 1
    with refused(StrategyError, "'P@1'", "nDCG@10, RR"):
        check(base, fail_under=0.5, measure="P@1")
    with refused(StrategyError, "worse than what?"):
        check(base, fail_worse=True)
    with refused(StrategyError, "finite"):
        check(base, fail_under=float("nan"))


def test_what_cannot_be_compared_is_refused_with_the_reason() -> None:
    asked, judged = many(30)
    one, two = _systems(30, one=0.5, two=0.5)
    with refused(StrategyError, "at least two"):
        compare([one])
    with refused(StrategyError, "the name 'one'"):
        compare([one, one])
    with refused(StrategyError, "no evaluation 'tow'", "did you mean 'two'?"):
        compare([one, two], baseline="tow")
    with refused(StrategyError, "'nDGC@10'", "did you mean 'nDCG@10'?"):
        compare([one, two], measure="nDGC@10")
    with refused(StrategyError, "alpha and power"):
        compare([one, two], alpha=5)
    fewer = evaluate(Run("fewer", two.run.answers), asked.subset(asked.ids[:20]), judged, MEASURES)
    with refused(StrategyError, "different topics", "30 and 20"):
        compare([one, fewer])
    other = Qrels({**judged, "t0": {"d0": 2, "d1": 1}})
    with refused(StrategyError, "different judgments"):
        compare([one, evaluate(two.run, asked, other, MEASURES)])
    with refused(StrategyError, "no measure is common"):
        compare([one, evaluate(two.run, asked, judged, ["P@5"])])


def test_the_baseline_may_be_any_of_the_systems() -> None:
    one, two = _systems(30, one=0.2, two=0.9)
    forth, back = compare([one, two]), compare([one, two], baseline="two")
    assert (forth.baseline, back.baseline) == ("one", "two")
    assert back["one"].difference.estimate == pytest.approx(-forth["two"].difference.estimate)
    assert (forth["two"].finding, back["one"].finding) == ("better", "worse")
