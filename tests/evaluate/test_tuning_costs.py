"""What `tune` does with a model, with strategies that have to be asked, and with those of one's own; all within the budget."""

from __future__ import annotations

from typing import Any

from qdrant_rerank import Executor, Formula, Mmr, Nearest, Rerank, score
from qdrant_rerank.tune import Budget, Dbsf, Diverse, Grid, Reranked, Rrf, SingleCandidates, Space, WeightedSum, tune
from tests.evaluate.tuning_worlds import Reader, formula_searches, mmr_searches, world

SPACE = Space((SingleCandidates(), Rrf(ks=(2, 61)), Dbsf(), WeightedSum(4)), depths=(20, 50))


# A model

READ = Budget(model_texts=None)


def read(executor: Executor) -> list[tuple[str, str]]:
    """The pairs of query and text that the model has read."""
    assert isinstance(executor.reranker, Reader)
    return executor.reranker.read


def test_a_model_that_helps_is_found_and_reads_each_text_once() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    tuning = tune(executor, topics, qrels, space=SPACE.plus(Reranked(depths=(10, 20))), budget=READ)
    assert len(read(executor)) == len(set(read(executor))) == tuning.spent.model_texts
    assert tuning.recommended
    assert isinstance(tuning.strategy, Rerank)
    assert tuning.strategy.reads == 20
    assert "It costs more than the default" in tuning.recommendation


def test_a_model_that_does_not_help_is_not_recommended() -> None:
    executor, topics, qrels = world((0.2, 0.2))
    executor.reranker = Reader({topic.text: "nothing" for topic in topics})
    tuning = tune(executor, topics, qrels, space=SPACE.plus(Reranked(depths=(10,))), budget=READ)
    assert not isinstance(tuning.strategy, Rerank)
    assert tuning["reranker reads 10 of DBSF"].mean < tuning["default"].mean


def test_a_model_reads_nothing_unless_the_budget_says_so() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    tuning = tune(executor, topics, qrels, space=Space((Reranked(depths=(10,)),), depths=(50,)))
    assert read(executor) == []
    assert "would have to read 400 texts: allow it with Budget(model_texts=…)" in tuning.left_out[0].reason


def test_the_model_reads_no_more_than_the_budget_and_what_is_left_out_is_told() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    space = SPACE.plus(Reranked(depths=(10, 20)))
    tuning = tune(executor, topics, qrels, space=space, budget=Budget(model_texts=500))
    assert len(read(executor)) == tuning.spent.model_texts <= 500
    assert "reranker reads 10 of the default" in tuning.values
    left = {each.name: each.reason for each in tuning.left_out}
    assert "of the budget are left" in left["reranker reads 20 of the default"]
    assert "configurations were left out, e.g. " in tuning.recommendation


def test_with_no_time_left_nothing_is_read_or_asked_but_the_candidates() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    space = Space((Reranked(depths=(10,)), Diverse((0.1,), using="a")))
    tuning = tune(executor, topics, qrels, space=space, budget=Budget(milliseconds=0.001, model_texts=None))
    assert tuning.spent.requests == 80
    assert tuning.spent.model_texts == 0
    assert [row.name for row in tuning.configurations] == ["default"]
    assert all("milliseconds were over" in each.reason for each in tuning.left_out)


def test_a_model_whose_scores_depend_on_the_list_reads_every_list() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    executor.reranker.independent = False  # type: ignore[union-attr]
    tuning = tune(executor, topics, qrels, space=Space((Reranked(depths=(10,)),), depths=(50,)), budget=READ)
    assert tuning.spent.model_texts == 3 * 10 * len(topics) == len(read(executor))
    assert tuning.spent.requests == (2 + 3) * len(topics)  # two candidates, three strategies


# What can't be recomputed


def test_mmr_is_put_to_qdrant_within_the_budget() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    space, each = Space((Diverse((0.1, 0.5), using="a"),), depths=(50,)), 2 + mmr_searches()  # two candidates
    tuning = tune(executor, topics, qrels, space=space, budget=Budget(requests=each * len(topics)))
    client: Any = executor.clients.sync()
    assert client.searches == tuning.spent.requests == each * len(topics)
    assert "MMR 0.1 over the default" in tuning.values
    [left] = tuning.left_out
    assert left.name == "MMR 0.5 over the default"
    assert f"it takes {40 * (each - 2)} requests, and 0 of the budget are left" in left.reason


def test_a_baseline_that_has_to_be_asked_takes_one_search_more_for_each_topic() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    baseline = Mmr("a", diversity=0.1).over(Nearest("a", limit=50))
    tuning = tune(executor, topics, qrels, baseline=baseline, space=SPACE)
    sums = [name for name in tuning.values if name.startswith("sum ")]
    assert tuning.spent.requests == (2 + mmr_searches() + formula_searches(len(sums))) * len(topics)
    assert tuning["default"].strategy == baseline


def test_a_grid_of_ones_own_is_tried_value_by_value() -> None:
    executor, topics, qrels = world((1.0, 1.0))

    def liked(weight: float) -> Formula:
        return Formula(score() + weight * field_likes()).over(Nearest("a", limit=50))

    tuning = tune(executor, topics, qrels, space=Space((Grid("likes", liked, {"weight": [0.0, 0.1]}),)))
    assert tuning["likes weight=0.1"].parameters == {"weight": 0.1}
    assert tuning["likes weight=0.1"].mean != tuning["likes weight=0.0"].mean
    assert tuning.spent.requests == (2 + formula_searches(2)) * len(topics)


def field_likes() -> Any:
    from qdrant_rerank import field

    return field("likes", default=0.0)


def test_what_does_not_fit_the_collection_or_fails_is_left_out_with_the_reason() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    from qdrant_rerank import field

    makers: dict[str, Any] = {
        "missing vector": lambda: Nearest("c"),
        "missing payload": lambda: Formula(field("stars")).over(Nearest("a", limit=50)),
        "too large": lambda: Formula(1e38 * field("likes", default=0.0) * 1e10).over(Nearest("a", limit=50)),
    }
    grids = [Grid(name, make, {"n": [1]}) for name, make in ((n, lambda n=1, m=m: m()) for n, m in makers.items())]
    tuning = tune(executor, topics, qrels, space=Space((*grids, SingleCandidates())))
    left = {each.name: each.reason for each in tuning.left_out}
    assert "no vector named 'c'" in left["missing vector n=1"]
    assert "reads 'stars' without a default" in left["missing payload n=1"]
    assert "isn't finite" in left["too large n=1"]
