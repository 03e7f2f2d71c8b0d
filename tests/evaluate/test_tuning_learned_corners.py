"""What a formula is learned from while tuning, where nothing can be learned, and learners of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Fusion, Nearest, StrategyError, field, param, score
from qdrant_rerank.evaluate import Topics
from qdrant_rerank.expressions import max_sim
from qdrant_rerank.learn import Category, Feature
from qdrant_rerank.planning import Target
from qdrant_rerank.tune import Learned, Learner, LeftOut, Option, Scorer, Setting, Space, TopicHits, TrainingTopics, tune
from tests.evaluate.learned_worlds import (
    PAIRWISE,
    STARS,
    reasons,
    space,
    starred,
)
from tests.evaluate.tuning_worlds import world
from tests.support import refused

# What it learns from, and what it doesn't


def test_the_candidates_scores_are_weighed_beside_the_features_unless_one_of_these_reads_them() -> None:
    executor, topics, qrels = starred()
    both = tune(executor, topics, qrels, space=space(Learned()))
    assert set(both[PAIRWISE].parameters) == {"loss", "folds", "depth", "weight of a", "weight of b"}
    own = Learned({"mine": score("a", default=-0.5), "b": field("stars", default=0.0)})
    other = tune(executor, topics, qrels, space=space(own))[PAIRWISE]
    assert set(other.parameters) == {"loss", "folds", "depth", "weight of score of b", "weight of mine", "weight of b"}
    assert "score('a', default=-0.5)" in repr(other.strategy)
    alone = tune(executor, topics, qrels, [Nearest("a")], space=space(Learned({"one": score(), **STARS})))[PAIRWISE]
    assert "weight of a" not in alone.parameters


def test_one_candidate_alone_has_nothing_to_weigh() -> None:
    executor, topics, qrels = starred()
    assert set(tune(executor, topics, qrels, [Nearest("a")], space=space(Learned())).values) == {"default"}


def test_distances_are_weighed_too() -> None:
    executor, topics, qrels = world((0.7, 3.0), count=50, distance=models.Distance.EUCLID)
    tuning = tune(executor, topics, qrels, space=space(Learned(losses=("pointwise",))))
    told: Any = tuning["learned, pointwise"].parameters
    assert told["weight of a"] > 3 * told["weight of b"] > 0
    assert tuning["learned, pointwise"].mean > tuning["default"].mean


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        (
            Learned(least_topics=61),
            "topics have a relevant document among the candidates, and learning weights takes at least 61",
        ),
        (Learned({"one": 0.0 * field("stars", default=0.0)}), "'one' (always 0): the same in all rows"),
        (Learned({"one": param("budget")}), "QueryError: the formula needs the request-time value 'budget'"),
        (Learned({"one": max_sim("a")}), "it doesn't fit: "),
    ],
)
def test_where_nothing_can_be_learned_it_is_left_out_with_the_reason(family: Learned, reason: str) -> None:
    executor, topics, qrels = starred()
    tuning = tune(executor, topics, qrels, space=space(family, depth=15))
    assert reason in reasons(tuning)[PAIRWISE]
    assert set(tuning.values) == {"default"}
    assert f"1 configuration was left out, {PAIRWISE}: " in tuning.recommendation


def test_topics_without_a_relevant_candidate_do_not_count() -> None:
    executor, topics, qrels = world((9.0, 9.0), count=60)
    baseline = Nearest("a")
    tuning = tune(executor, topics, qrels, baseline=baseline, space=space(Learned(), depth=10))
    found = round(tuning.ceiling.recall * 60)
    assert 5 < found < 50
    assert reasons(tuning)[PAIRWISE].startswith(f"{found} of 60 topics have a relevant document")


def test_a_feature_that_reads_another_candidate_is_refused() -> None:
    executor, topics, qrels = starred()
    with refused(StrategyError, "no candidate is named 'c'; there are 'a', 'b'"):
        tune(executor, topics, qrels, space=space(Learned({"one": score("c")})))


def test_without_scikit_learn_it_is_left_out_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, topics, qrels = starred()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert "qdrant-rerank[learn]" in reasons(tune(executor, topics, qrels, space=space(Learned())))[PAIRWISE]


def test_the_default_space_learns_from_50_topics_on() -> None:
    executor, topics, qrels = world((0.3, 0.3), count=50)
    assert PAIRWISE in tune(executor, topics, qrels, space=Space(depths=(20,))).values
    few = tune(executor, Topics(list(topics)[1:]), qrels, space=Space(depths=(20,)))
    reason = "49 of 49 topics have a relevant document among the candidates, and learning weights takes at least 50"
    assert few.left_out == (LeftOut(PAIRWISE, reason),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": ()}, "losses are 'pairwise' and 'pointwise', got ()"),
        ({"losses": ("listwise",)}, "got ('listwise',)"),
        ({"c": 0}, "c is a number above 0, got 0"),
        ({"folds": 1}, "folds is at least 2"),
        ({"least_topics": 4}, "least_topics at least that, got 5 and 4"),
        ({"features": {"one": Category("kind", ["a"])}}, "the feature 'one': a formula weighs numbers that are always there"),
        ({"features": {"one": Feature(field("x"), missing="nan")}}, "write field(key, default=…)"),
        ({"features": {"one": field("x")}}, "has no default"),
        ({"features": ["x"]}, "features is a map of name to expression"),
    ],
)
def test_what_can_not_be_learned_is_refused(arguments: dict[str, Any], message: str) -> None:
    with refused(StrategyError, message):
        Learned(**arguments)


# A learner of one's own


@dataclass(frozen=True)
class Elsewhere:
    """A learner whose strategies can't be recomputed."""

    name: str = "elsewhere"

    def options(self, setting: Setting) -> Iterable[Option]:
        yield Option("elsewhere", Fusion.rrf(k=7).over(*setting.deep(20)), self.name)

    def learn(self, option: Option, setting: Setting, data: TrainingTopics) -> Option:
        return replace(option, by_topic=dict.fromkeys((topic_hits.topic.id for topic_hits in data.hits), option.strategy))

    def rank(self, option: Option, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        return None


def test_a_learner_whose_strategies_can_not_be_recomputed_is_left_out_rather_than_judged_on_what_it_learned_from() -> None:
    executor, topics, qrels = starred()
    assert isinstance(Elsewhere(), Learner)
    tuning = tune(executor, topics, qrels, space=space(Elsewhere()))
    assert "it can't be recomputed from the candidates, which what is learned" in reasons(tuning)["elsewhere"]


def test_a_topic_without_a_strategy_of_its_own_is_not_ranked_by_the_one_that_learned_from_it() -> None:
    option = Option("x", Nearest("a"), "x", by_topic={"t1": Nearest("b")})
    assert option.of("t1").strategy == Nearest("b")
    with pytest.raises(KeyError):
        option.of("t2")
