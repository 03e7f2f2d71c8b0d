"""A formula learned while tuning: judged on topics that it didn't learn from, and found where it helps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from benchmarks.tuning_nulls import Null, simulated
from qdrant_rerank import Executor, Formula, Nearest, field, load, score
from qdrant_rerank.evaluate import Qrels, Topics
from qdrant_rerank.learn import fit_logistic, log_features
from qdrant_rerank.tune import Learned, Option, Setting, Space, TrainingTopics, Tuning, tune
from qdrant_rerank.tune._internals import key_of, measure_rankings, spreads
from tests.evaluate.learned_worlds import (
    PAIRWISE,
    STARS,
    Watched,
    asked,
    rankings,
    reasons,
    remembering,
    space,
    starred,
)
from tests.evaluate.tuning_worlds import DOCUMENTS, formula_searches, world

# What it finds


class Told(NamedTuple):
    """A tuning of the starred world with two learned formulas, and what one of them was made of."""

    executor: Executor
    topics: Topics
    qrels: Qrels
    tuning: Tuning
    data: TrainingTopics
    option: Option


@pytest.fixture(scope="module")
def told() -> Told:
    executor, topics, qrels = starred()
    family = Watched(STARS, name="with stars")
    tuning = tune(executor, topics, qrels, space=Space(depths=(20, 50)).plus(family))
    [(data, option)] = family.seen
    return Told(executor, topics, qrels, tuning, data, option)


def test_a_gain_by_a_payload_feature_is_found_and_recommended_with_the_searches_of_the_candidates_alone(told: Told) -> None:
    tuning = told.tuning
    assert tuning.recommended
    assert tuning.chosen == "with stars, pairwise"
    assert tuning.gain.estimate > 0.05
    assert tuning[tuning.chosen].mean > tuning[PAIRWISE].mean + 0.03
    assert "each topic is ranked by weights learned without it (5 folds)" in tuning.recommendation
    assert tuning[tuning.chosen].parameters["weight of stars"] > 0.5  # type: ignore[operator]
    sums = formula_searches(len([each for each in tuning.configurations if each.family == "weighted sum"]))
    assert tuning.spent.requests == (2 + sums) * len(told.topics)  # payload comes along with the candidates
    assert tuning.left_out == ()


def test_the_saved_formula_ranks_in_qdrant_as_it_does_in_tuning(told: Told, tmp_path: Path) -> None:
    told.tuning.save(tmp_path / "strategy.json")
    strategy = load(tmp_path / "strategy.json")
    assert strategy == told.option.strategy
    found = asked(told.executor, told.topics, dict.fromkeys(told.topics.ids, strategy))
    assert found == rankings(told.option, told.data, whole=True)


def test_what_is_said_of_a_topic_is_what_qdrant_finds_by_the_formula_that_learned_without_it(told: Told) -> None:
    found = asked(told.executor, told.topics, told.option.by_topic)
    assert found == rankings(told.option, told.data, whole=False)
    assert told.tuning.values["with stars, pairwise"] == measure_rankings("nDCG@10", told.qrels, found)
    assert found != rankings(told.option, told.data, whole=True)


def test_the_weights_are_those_that_fit_logistic_finds() -> None:
    executor, topics, qrels = starred()
    family = Learned(STARS, ("pairwise", "pointwise"), c=1e4)
    tuning = tune(executor, topics, qrels, [Nearest("a")], space=space(family, depth=30))
    features = {"a": score("a"), **STARS}
    log = log_features(executor, [Nearest("a", limit=30)], topics, qrels, features)
    for loss in ("pairwise", "pointwise"):
        ranker = fit_logistic(log, loss=loss, C=1e4, bootstrap=0)
        one, other = (weight.weight for weight in ranker.weights)
        told: Any = tuning[f"learned, {loss}"].parameters
        assert told["weight of a"] / told["weight of stars"] == pytest.approx(one / other, rel=1e-3)


def test_useless_features_are_not_recommended() -> None:
    executor, topics, qrels = world((0.7, 0.7), count=60)
    baseline = Formula(score("a") + score("b")).over(Nearest("a", limit=50), Nearest("b", limit=50))
    useless = {"likes": field("likes", default=0.0)}
    tuning = tune(executor, topics, qrels, baseline=baseline, space=space(Learned(useless)))
    assert PAIRWISE in tuning.values
    assert not tuning.recommended


# Out of fold


def test_a_feature_that_remembers_each_topics_own_labels_gains_nothing() -> None:
    executor, topics, qrels, features = remembering(30)
    family = Watched(features, least_topics=30)
    tuning = tune(executor, topics, qrels, space=space(family, depth=DOCUMENTS))
    [(data, option)] = family.seen
    by_heart = measure_rankings("nDCG@10", qrels, rankings(option, data, whole=True))
    assert set(by_heart.values()) == {1.0}
    assert tuning.values[PAIRWISE] == measure_rankings("nDCG@10", qrels, rankings(option, data, whole=False))
    assert tuning[PAIRWISE].mean < 0.2
    assert not tuning.recommended


def test_what_generalises_of_such_features_gains() -> None:
    """One feature for all topics: what is learned of it from others holds for each."""
    executor, topics, qrels, features = remembering(30)
    family = Learned({"own": sum(features.values(), 0.13 * field("likes", default=0.0))}, least_topics=30)
    tuning = tune(executor, topics, qrels, space=space(family, depth=DOCUMENTS))
    assert tuning.recommended
    assert tuning[PAIRWISE].mean > 0.5


def test_a_feature_that_holds_the_label_is_left_out() -> None:
    executor, topics, qrels, features = remembering(30)
    family = Learned({"label": sum(features.values(), 0.0 * score("a"))}, least_topics=30)
    tuning = tune(executor, topics, qrels, space=space(family, depth=DOCUMENTS))
    assert "'label' alone tells relevant rows from all others without an error" in reasons(tuning)[PAIRWISE]


def test_each_topic_is_in_one_fold_and_folds_are_even(told: Told) -> None:
    assert set(told.option.by_topic) == set(told.topics.ids)
    assert Counter(map(repr, told.option.by_topic.values())).most_common()[-1][1] == 12  # 60 topics, 5 folds
    assert repr(told.option.strategy) not in set(map(repr, told.option.by_topic.values()))


def test_the_same_seed_learns_the_same_from_topics_in_any_order_and_another_seed_from_other_folds(told: Told) -> None:
    def made(data: TrainingTopics) -> Option:
        family, setting = Learned(STARS, name="with stars"), told_setting(told)
        [option] = family.options(setting)
        return family.learn(option, setting, data)

    again = made(replace(told.data, hits=told.data.hits[::-1]))
    other = made(replace(told.data, seed=5))
    assert again.strategy == told.option.strategy == other.strategy
    assert again.by_topic == told.option.by_topic != other.by_topic


def told_setting(told: Told) -> Setting:
    """What the tuning proposed strategies for."""
    schema, candidates = told.data.target.schema, (Nearest("a"), Nearest("b"))
    vectors = {key_of(candidate): schema.vectors[candidate.using or ""] for candidate in candidates}
    found = spreads(told.data.hits, {key: (vector, 50) for key, vector in vectors.items()})
    return Setting(candidates, (20, 50), 10, told.tuning.baseline, schema, spreads=found)


# Where nothing helps


def test_false_alarms_with_a_learned_formula_are_at_most_5_percent_of_200_nulls() -> None:
    """As in the first row that `benchmarks/tuning_nulls.py` prints."""
    for outcomes in simulated(Null(60, 20, 0), 200, ("all", "alone")).values():
        assert len(outcomes) == 200
        assert sum(each.alarm for each in outcomes) <= 10
        assert np.mean([each.gain for each in outcomes]) < 0.006  # the halves share a little
        assert any(each.gain > 0 for each in outcomes)
