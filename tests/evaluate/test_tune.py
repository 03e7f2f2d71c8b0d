"""`tune`: finds what helps, keeps the default where nothing does, and asks Qdrant for each candidate once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Fusion, Nearest, PlanError, StrategyError, load
from qdrant_rerank.errors import FitError, FormatError
from qdrant_rerank.evaluate import Qrels, Topic, Topics
from qdrant_rerank.tune import Budget, Dbsf, Grid, Rrf, SingleCandidates, Space, TopicHits, WeightedSum, tune
from qdrant_rerank.tune._internals import HitsFile
from tests.evaluate.tuning_worlds import formula_searches, world
from tests.support import NOW, refused

HELPS = 0.3, 3.0  # `a` nearly finds the document, `b` is almost chance: their fusion loses
SPACE = Space((SingleCandidates(), Rrf(ks=(2, 61)), Dbsf(), WeightedSum(4)), depths=(20, 50))


def test_a_planted_gain_is_found_and_its_strategy_saved(tmp_path: Path) -> None:
    executor, topics, qrels = world(HELPS)
    tuning = tune(executor, topics, qrels, [Nearest("a"), Nearest("b")], space=SPACE)
    assert tuning.recommended
    assert tuning.gain.low is not None
    assert tuning.gain.low > 0.02
    assert tuning.p < 0.05
    assert tuning.strategy == Nearest("a")  # the cheapest of those that can't be told from the best
    assert tuning["a alone"].mean > tuning["default"].mean
    assert tuning.recommendation.startswith("Use a alone: choosing like this is worth +")
    tuning.save(tmp_path / "strategy.json")
    assert load(tmp_path / "strategy.json") == Nearest("a")


def test_where_nothing_helps_the_default_is_kept_and_the_smallest_gain_that_would_show_is_told() -> None:
    executor, topics, qrels = world((9.0, 9.0), seed=3)
    tuning = tune(executor, topics, qrels, [Nearest("a"), Nearest("b")], space=SPACE)
    assert not tuning.recommended
    assert tuning.strategy == tuning.baseline == Fusion.rrf().over(Nearest("a"), Nearest("b"))
    assert tuning.recommendation.startswith("Keep the default: ")
    assert tuning.detectable is not None
    assert f"true gains from about {tuning.detectable:.3f} up" in tuning.recommendation
    assert "the bottleneck" not in tuning.recommendation  # 100 of 120 documents are candidates


def test_each_candidate_is_searched_once_for_each_topic_whatever_is_tried() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    tuning = tune(executor, topics, qrels, [Nearest("a"), Nearest("b")])
    client: Any = executor.clients.sync()
    assert len(tuning.configurations) >= 50
    asked = formula_searches(len([each for each in tuning.configurations if each.family == "weighted sum"]))
    assert client.searches == tuning.spent.requests == (2 + asked) * len(topics)
    assert client.round_trips == tuning.spent.round_trips == 2 * (1 + asked)  # batches of 32


def test_the_same_seed_gives_the_same_result() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    one, same, other = (tune(executor, topics, qrels, [Nearest("a"), Nearest("b")], space=SPACE, seed=s) for s in (1, 1, 2))
    assert one.split_gains == same.split_gains
    assert one.split_gains != other.split_gains


def test_candidates_are_found_by_themselves_and_their_limits_are_depths() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    found = tune(executor, topics, qrels, space=SPACE)
    assert "b alone" in found.values
    deeper = tune(executor, topics, qrels, [Nearest("a", limit=70), Nearest("b")], space=SPACE)
    assert "RRF k=2, 70 a candidate" in deeper.values
    assert "RRF k=2, 70 a candidate" not in found.values
    assert deeper.ceiling.depth == 70


def test_a_configuration_that_does_what_the_default_does_is_tried_once() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    baseline = Fusion.rrf(k=61).over(Nearest("a", limit=50), Nearest("b", limit=50))
    tuning = tune(executor, topics, qrels, baseline=baseline, space=SPACE)
    assert "RRF k=61, 50 a candidate" not in tuning.values
    assert "RRF k=61, 20 a candidate" in tuning.values


def test_the_default_is_chosen_before_others_that_cost_the_same_and_are_ahead_by_less_than_a_standard_error() -> None:
    executor, topics, qrels = world((1.0, 1.0), seed=3)
    baseline = Fusion.dbsf().over(Nearest("a", limit=50), Nearest("b", limit=50))
    tuning = tune(executor, topics, qrels, baseline=baseline, space=Space((Rrf(ks=(2, 61)),), depths=(50,)))
    best = tuning.configurations[0]
    assert best.name == "RRF k=61, weights 2:1, 50 a candidate"
    assert best.difference > 0.01
    assert best.effort == tuning["default"].effort
    assert tuning.chosen == "default"


def test_the_table_says_how_often_each_was_chosen_and_what_it_was_worth_on_both_halves() -> None:
    executor, topics, qrels = world((1.0, 1.2))
    tuning = tune(executor, topics, qrels, space=SPACE, splits=10)
    assert sum(row.chosen for row in tuning.configurations) == 10 == len(tuning.split_gains)
    for row in tuning.configurations:
        assert (row.held_in is None) == (row.held_out is None) == (row.chosen == 0)
    means = [row.mean for row in tuning.configurations]
    assert means == sorted(means, reverse=True)
    assert set(tuning.curves) == {"default", "single candidates", "RRF", "DBSF", "weighted sum"}
    assert len(tuning.curves["weighted sum"]) == 3


def test_the_result_is_plain_data_and_a_frame() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    tuning = tune(executor, topics, qrels, space=SPACE)
    plain = tuning.as_dict()
    assert plain["strategy"] == repr(tuning.strategy)
    assert plain["spent"]["requests"] == (2 + formula_searches(3)) * 40
    assert "nDCG@10" in tuning.to_json()
    pytest.importorskip("pandas")
    table = tuning.to_frame()
    assert table["name"].iloc[0] == tuning.configurations[0].name
    assert {"k", "depth", "searches", "candidates"} <= set(table.columns)


# What was found is kept


def test_what_the_candidates_found_is_kept_in_a_file_and_not_asked_for_again(tmp_path: Path) -> None:
    executor, topics, qrels = world((1.0, 1.0))
    file = tmp_path / "candidates.jsonl"
    first = tune(executor, topics, qrels, space=SPACE, cache=file)
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:31]) + lines[31][:40], "utf-8")  # as if it had been interrupted
    again = tune(executor, topics, qrels, space=SPACE, cache=file)
    sums = formula_searches(3) * len(topics)  # what Qdrant ranks isn't kept, but asked for again
    assert again.spent.requests == 2 * 10 + sums
    assert again.values == first.values
    once_more = tune(executor, topics, qrels, space=SPACE, cache=file)
    assert once_more.spent.requests == sums
    with refused(StrategyError, "keeps what another tuning found: its candidates is"):
        tune(executor, topics, qrels, space=Space(depths=(110,)), cache=file)
    tenant = models.Filter(must_not=[models.HasIdCondition(has_id=[10**6])])
    with refused(StrategyError, "its setup (encoders, fixed filter) is", "has_id"):
        tune(Executor(executor.clients.sync(), "world", fixed_filter=tenant), topics, qrels, space=SPACE, cache=file)


def test_a_file_of_other_topics_too_gives_those_that_are_asked_for_and_one_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "candidates.jsonl"
    header = {"collection": "world", "candidates": "a", "payload": "", "topics": "t", "doc_id": "", "depends_on": {}}
    topic, topic_hits = Topic("q1", "one"), TopicHits(Topic("q2", "two"), NOW, {"a": ()}, {})
    with HitsFile(file, header) as kept:
        kept.keep(topic_hits)
    with HitsFile(file, header) as kept:
        assert len(kept.records) == 1
        assert kept.read([topic], NOW) == {}
    first, line = file.read_text("utf-8").splitlines()
    about = json.loads(first)
    del about["doc_id"]
    file.write_text(json.dumps(about) + "\n" + line + "\n", "utf-8")
    with refused(FormatError, f"{file}:1: not a line of what tune keeps"):
        HitsFile(file, header)


# The ceiling


def test_the_ceiling_says_that_candidates_are_the_bottleneck_where_they_are() -> None:
    executor, topics, qrels = world((3.0, 3.0))
    tuning = tune(executor, topics, qrels, space=Space((SingleCandidates(),), depths=(10,)), baseline=Nearest("a"))
    found = tuning.ceiling
    assert found.perfect == 1.0
    assert max(found.candidate_recall.values()) <= found.recall < 0.5
    assert found.value == pytest.approx(found.recall)  # one relevant document each: in the best order it comes first
    assert "candidates are the bottleneck" in tuning.recommendation


def test_the_ceiling_says_that_the_order_is_what_there_is_to_gain_from() -> None:
    executor, topics, qrels = world((2.0, 2.0))
    tuning = tune(executor, topics, qrels, space=Space((SingleCandidates(),), depths=(120,)))
    assert tuning.ceiling.recall == tuning.ceiling.value == 1.0
    assert "The order is what there is to gain from" in tuning.recommendation


# Bad input


def test_too_few_topics_are_refused_with_how_many_it_takes() -> None:
    executor, topics, qrels = world((1.0, 1.0), count=24)
    with refused(FitError, "24 topics with judgments are too few", "at least 25"):
        tune(executor, topics, qrels)


def test_topics_without_judgments_are_refused() -> None:
    executor, topics, _ = world((1.0, 1.0))
    with refused(StrategyError, "none of the 40 topics has judgments"):
        tune(executor, topics, Qrels({"other": {"d1": 1}}))


def test_judgments_of_other_documents_are_refused() -> None:
    executor, topics, _ = world((1.0, 1.0))
    with refused(StrategyError, "of the", "documents found is in the judgments", "doc_id="):
        tune(executor, topics, Qrels({id: {"elsewhere": 1} for id in topics.ids}))


def test_a_collection_without_encoders_has_no_candidates() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    with refused(StrategyError, "no candidates to tune", "'a' (dense 8-d, Cosine)", "encoders="):
        tune(executor, Topics(dict.fromkeys(topics.ids, "text")), qrels)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"candidates": []}, StrategyError, "candidates is empty"),
        ({"candidates": [Fusion.rrf()]}, StrategyError, "a candidate is a plain search"),
        ({"candidates": [Nearest("a"), Nearest("a")]}, StrategyError, "two candidates are called 'a'"),
        ({"candidates": [Nearest("c")]}, PlanError, "no vector named 'c'"),
        ({"baseline": Nearest("c")}, PlanError, "no vector named 'c'"),
        ({"baseline": "a"}, StrategyError, "the baseline must be a strategy"),
        ({"splits": 5}, StrategyError, "splits must be an even number"),
        ({"alpha": 1}, StrategyError, "alpha and power must be between 0 and 1"),
        ({"budget": Budget(requests=79)}, StrategyError, "2 candidates for 40 topics take 80; allow as many, or tune with 39"),
        ({"measure": "nDGC@10"}, StrategyError, "did you mean 'nDCG'"),
        ({"space": Space((SingleCandidates(), SingleCandidates()))}, StrategyError, "two configurations are called 'a alone'"),
    ],
)
def test_arguments_that_can_not_be_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    executor, topics, qrels = world((1.0, 1.0))
    with refused(error, message):
        tune(executor, topics, qrels, **arguments)


def test_a_budget_or_space_that_can_not_be_is_refused() -> None:
    with refused(StrategyError, "requests must be a whole number of at least 1, got 0"):
        Budget(requests=0)
    with refused(StrategyError, "milliseconds must be a number above 0, got -1"):
        Budget(milliseconds=-1)
    with refused(StrategyError, "has no families"):
        Space(())
    with refused(StrategyError, "is no family"):
        Space(("RRF",))  # type: ignore[arg-type]
    with refused(StrategyError, "depths must be whole numbers"):
        Space(depths=(0,))
    with refused(StrategyError, "'weight' needs a list of values, got []"):
        Grid("likes", lambda: Nearest(), {"weight": []})


def test_a_topic_that_can_not_be_asked_is_left_out_and_told() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    from dataclasses import replace

    broken = Topics([replace(topic, vectors={"a": [1.0], "b": [1.0]}) if topic.id == "t3" else topic for topic in topics])
    tuning = tune(executor, broken, qrels, space=SPACE)
    assert list(tuning.failed) == ["t3"]
    assert len(tuning.topics) == 39
    assert "1 topic could not be searched for and is left out" in tuning.recommendation
