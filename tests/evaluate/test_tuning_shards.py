"""On several shards, `tune` recomputes what one shard computes alike, and asks Qdrant for the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qdrant_rerank import Executor, Formula, Fusion, Nearest, Rerank, score
from qdrant_rerank._internals import Points, Search
from qdrant_rerank.evaluate import Qrels, Topics
from qdrant_rerank.planning import Target
from qdrant_rerank.tune import Grid, Learned, Option, Space, tune
from qdrant_rerank.tune._internals import is_recomputable
from tests.evaluate.worlds import QUESTIONS, client, encoders

CANDIDATE = Nearest("dense", limit=6)
TOPICS = Topics({f"t{number}": text for number, text in enumerate(list(QUESTIONS.values()) * 7)})
JUDGED = Qrels({f"t{number}": {"train": 1, "hut": 0} for number in range(28)})


class OnShards(Executor):
    """A collection that says that it has so many shards."""

    shards = 3
    searches = 0

    def target(self) -> Target:
        found = super().target()
        return replace(found, schema=replace(found.schema, shards=self.shards))

    def search(self, step: Search) -> list[Points]:
        self.searches += len(step.requests)
        return super().search(step)


def weighted(weight: float) -> Formula:
    return Formula(weight * score("dense")).over(replace(CANDIDATE, limit=20))


def test_formulas_over_candidates_are_not_recomputed_on_shards() -> None:
    executor = OnShards(client(), "notes", encoders=encoders())
    schema = executor.target().schema
    alone = replace(schema, shards=1)
    fused, formula = Fusion.rrf().over(CANDIDATE, CANDIDATE), weighted(0.5)
    for strategy in (CANDIDATE, fused, formula, Formula(score()).over(fused)):
        assert is_recomputable(strategy, alone)
    assert is_recomputable(CANDIDATE, schema)
    assert is_recomputable(fused, schema)
    assert not is_recomputable(formula, schema)
    assert not is_recomputable(Formula(score()).over(fused), schema)
    assert not is_recomputable(Rerank().over(formula), alone)


@pytest.mark.filterwarnings("ignore:each of the 3 shards")
def test_what_shards_rank_otherwise_is_asked_of_qdrant() -> None:
    space = Space((Grid("weighted", weighted, {"weight": [0.5]}),))
    searches: dict[int, int] = {}
    for shards in (1, 3):
        executor = OnShards(client(), "notes", encoders=encoders())
        executor.shards = shards
        tuning = tune(executor, TOPICS, JUDGED, candidates=[Nearest("dense")], space=space, splits=2)
        searches[shards] = executor.searches
        assert not tuning.left_out
    assert searches == {1: 28, 3: 56}


def test_a_learned_formula_is_not_recomputed_there() -> None:
    executor: Any = OnShards(client(), "notes", encoders=encoders())
    option = Option("learned", weighted(0.5), "learned", {}, 1)
    anything: Any = None
    assert Learned().ranking(option, anything, executor.target(), 10, anything) is None
