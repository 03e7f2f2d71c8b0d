"""On several shards, `tune` recomputes what one shard computes alike, and asks Qdrant for the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, Rerank, score
from qdrant_rerank._internals import Points, Search
from qdrant_rerank.evaluate import Qrels, Topics
from qdrant_rerank.planning import Target
from qdrant_rerank.stages import ClientFormula
from qdrant_rerank.tune import Budget, Grid, Learned, Space, tune
from qdrant_rerank.tune._internals import effort_of, is_recomputable
from tests.engines import current
from tests.evaluate.learned_worlds import PAIRWISE, STARS, starred
from tests.evaluate.learned_worlds import space as space_of
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


def test_what_mmr_takes_more_there_counts() -> None:
    space = Space(
        (
            Grid(
                "MMR",
                lambda diversity: Mmr("dense", diversity=diversity).over(replace(CANDIDATE, limit=20)),
                {"diversity": [0.5]},
            ),
        )
    )
    given: Any = {"candidates": [Nearest("dense")], "space": space, "splits": 2, "budget": Budget(requests=2 * len(TOPICS))}
    executor = OnShards(client(), "notes", encoders=encoders())
    [left] = tune(executor, TOPICS, JUDGED, **given).left_out
    assert "it takes 56 requests, and 28 of the budget are left" in left.reason  # its candidates, then MMR
    assert executor.searches == 28
    executor.shards = 1
    executor.refresh()
    tuning = tune(executor, TOPICS, JUDGED, **given)
    assert tuning.spent.requests == 56
    schema = executor.target().schema
    mmr = tuning["MMR diversity=0.5"].strategy
    assert [effort_of(mmr, 10, replace(schema, shards=shards)).round_trips for shards in (1, 3)] == [1, 2]


class Shards(Executor):
    """The world's collection, which says that it has three shards."""

    def target(self) -> Target:
        found = super().target()
        return replace(found, schema=replace(found.schema, shards=3))


def test_a_learned_formula_is_computed_on_the_client_there() -> None:
    executor, topics, qrels = starred()
    spread = Shards(executor.clients.sync(), "world")
    one, three = (tune(each, topics, qrels, space=space_of(Learned(STARS)))[PAIRWISE] for each in (executor, spread))
    assert isinstance(three.strategy, ClientFormula)
    assert three.mean == pytest.approx(one.mean)
    weights = {name: value for name, value in one.parameters.items() if name.startswith("weight of ")}
    assert len(weights) == 3
    assert {name: three.parameters[name] for name in weights} == pytest.approx(weights)
    assert "computed on the client, as each shard would hand Qdrant's formula its own candidates" in three.note
    assert "on the client" not in one.note or current().shards > 1
