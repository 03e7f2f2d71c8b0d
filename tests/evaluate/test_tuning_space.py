"""What the families propose, for which collections, and how a new one joins in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import Formula, Fusion, Nearest, Rerank
from qdrant_rerank.planning import Schema, Target, VectorInfo
from qdrant_rerank.tune import (
    Dbsf,
    Diverse,
    Hit,
    Option,
    Reranked,
    Rrf,
    Scorer,
    Setting,
    SingleCandidates,
    Space,
    Spread,
    TopicHits,
    WeightedSum,
    recompute,
    tune,
)
from qdrant_rerank.tune._internals import key_of, spreads
from tests.evaluate.tuning_worlds import world

DENSE, SPARSE, FAR = Nearest("dense"), Nearest("words"), Nearest("far")
SCHEMA = Schema(
    "c",
    {
        "dense": VectorInfo("dense", 4, models.Distance.COSINE),
        "words": VectorInfo("sparse", idf=True),
        "far": VectorInfo("dense", 4, models.Distance.EUCLID),
    },
)


def setting(*candidates: Nearest, **others: Any) -> Setting:
    settings: dict[str, Any] = {"depths": (20, 100), "limit": 10, "baseline": Fusion.rrf().over(*candidates), "schema": SCHEMA}
    return Setting(candidates, **(settings | others))


def test_rrf_tries_every_k_at_every_depth_and_every_weighting_at_the_deepest() -> None:
    options = list(Rrf(ks=(2, 61)).options(setting(DENSE, SPARSE)))
    assert len(options) == 2 * 2 + 2 * 4
    by_name = {option.name: option for option in options}
    assert by_name["RRF k=2, 20 a candidate"].strategy == Fusion.rrf().over(replace(DENSE, limit=20), replace(SPARSE, limit=20))
    weighted = by_name["RRF k=61, weights 1:3, 100 a candidate"]
    assert weighted.strategy == Fusion.rrf(61, (1.0, 3.0)).over(replace(DENSE, limit=100), replace(SPARSE, limit=100))
    assert weighted.parameters == {"k": 61, "weights": "1:3", "depth": 100}
    assert (
        weighted.complexity
        > by_name["RRF k=61, 20 a candidate"].complexity
        > by_name["RRF k=2, 20 a candidate"].complexity
        == 0
    )


def test_fusions_need_two_candidates_and_dbsf_no_distances() -> None:
    alone, far = setting(DENSE), setting(DENSE, FAR)
    assert not [option for family in (Rrf(), Dbsf(), WeightedSum()) for option in family.options(alone)]
    assert [option.name for option in SingleCandidates().options(alone)] == ["dense alone"]
    assert not list(Dbsf().options(far))
    assert list(Rrf().options(far))


def test_a_weighted_sum_brings_the_candidates_to_one_scale_and_gives_missing_points_a_low_score() -> None:
    spread = {key_of(DENSE): Spread(0.21, 0.05), key_of(SPARSE): Spread(0.0, 2.5)}
    [low, middle, high] = WeightedSum(4).options(setting(DENSE, SPARSE, spreads=spread))
    assert low.name == "sum 0.25 dense + 0.75 words"
    assert isinstance(middle.strategy, Formula)
    assert repr(middle.strategy.expression) == "0.5 * score('dense', default=0.21) + 0.01 * score('words')"
    assert high.parameters == {"weight of dense": 0.75, "weight of words": 0.25, "depth": 100}


def test_a_weighted_sum_of_three_candidates_covers_the_triangle_and_gives_distances_a_default_below_0() -> None:
    options = list(WeightedSum(10).options(setting(DENSE, SPARSE, FAR)))
    assert len(options) == 6  # 3 parts of 5 steps, none empty
    assert "score('far', default=-1e-06)" in repr(options[0].strategy)


def test_a_model_reads_candidates_only_where_there_is_one_and_the_rest_follows_where_the_measure_looks_at_more() -> None:
    assert not list(Reranked().options(setting(DENSE, SPARSE)))
    options = list(Reranked(depths=(10, 20)).options(setting(DENSE, SPARSE, has_reranker=True)))
    assert [option.parameters["of"] for option in options[:3]] == ["the default", "dense alone", "DBSF"]
    assert options[-1].strategy == Rerank(reads=20).over(Fusion.dbsf().over(DENSE, SPARSE))
    deep = list(Reranked(depths=(20,)).options(setting(DENSE, has_reranker=True, limit=50)))
    assert deep[-1].strategy == Rerank(reads=20, unread="last").over(DENSE)
    far = list(Reranked(depths=(10,)).options(setting(FAR, DENSE, has_reranker=True)))
    assert far[-1].name == "reranker reads 10 of RRF"
    twice = list(Reranked().options(setting(DENSE, has_reranker=True, baseline=Rerank().over(DENSE))))
    assert {option.parameters["of"] for option in twice} == {"dense alone"}  # a model over a model is not tried


def test_mmr_runs_over_the_baseline_unless_that_calls_a_model() -> None:
    [option] = Diverse((0.2,), "dense").options(setting(DENSE, SPARSE))
    assert repr(option.strategy).startswith("Mmr('dense', diversity=0.2).over(Fusion.rrf()")
    assert not list(Diverse().options(setting(DENSE, baseline=Rerank().over(DENSE))))


def test_the_spread_of_scores_is_a_median_over_topics_higher_is_better() -> None:
    def topic_hits(*scores: float) -> Any:
        hits = [Hit(row, score) for row, score in enumerate(scores)]
        return TopicHits(None, None, {"a": hits}, {})  # type: ignore[arg-type]

    all_hits = [topic_hits(3.0, 1.0), topic_hits(5.0, 3.0), topic_hits(2.0, 0.0), topic_hits()]
    dense, sparse, far = SCHEMA.vectors["dense"], SCHEMA.vectors["words"], SCHEMA.vectors["far"]
    assert spreads(all_hits, {"a": (dense, 2)}) == {"a": Spread(1.0, 1.0)}
    assert spreads(all_hits, {"a": (sparse, 3)}) == {"a": Spread(0.0, 1.0)}  # it ran out: what isn't found scores 0
    assert spreads(all_hits, {"a": (dense, 3)}) == {"a": Spread(1.0, 1.0)}
    assert spreads(all_hits, {"a": (far, 2)}) == {"a": Spread(-3.0, 1.0)}
    assert spreads([topic_hits()], {"a": (dense, 2)}) == {"a": Spread(0.0, 1.0)}


@dataclass(frozen=True)
class Shallow:
    """A family as one would write it: the first candidate at several depths, in DBSF's order."""

    name: str = "shallow"

    def options(self, setting: Setting) -> Iterable[Option]:
        for depth in (11, 12):
            yield Option(
                f"first {depth}", Fusion.dbsf().over(replace(setting.candidates[0], limit=depth)), self.name, {"depth": depth}
            )

    def rank(self, option: Option, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        return recompute(option.strategy, topic_hits, target, limit)  # type: ignore[arg-type]


def test_a_family_of_ones_own_joins_the_space() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    tuning = tune(executor, topics, qrels, space=Space((SingleCandidates(),)).plus(Shallow()))
    assert tuning.curves["shallow"][1].parameters == {"depth": 12}
    assert tuning["first 12"].mean == pytest.approx(tuning["a alone"].mean)
    assert tuning.spent.requests == 2 * len(topics)


def test_candidates_of_distances_are_tuned_too() -> None:
    executor, topics, qrels = world((0.5, 0.5), distance=models.Distance.EUCLID)
    tuning = tune(executor, topics, qrels, space=Space((SingleCandidates(), Rrf((2,)), Dbsf(), WeightedSum(4)), depths=(50,)))
    assert "DBSF, 50 a candidate" not in tuning.values
    even = tuning["sum 0.5 a + 0.5 b"]
    assert even.mean > tuning["a alone"].mean
    mine = np.mean(list(tuning.values[even.name].values()))
    assert mine == pytest.approx(even.mean)
