"""Filters of a call and of stages: all must be met, at every level, whatever their clauses are."""

from __future__ import annotations

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, Query, SearchOptions, field
from qdrant_rerank._internals import both
from qdrant_rerank.stages import Stage
from tests.support import COLLECTION, QUERY, alike, encoders, ids

QUESTION = Query(QUERY)


def category(*names: str) -> list[models.Condition]:
    return [models.FieldCondition(key="category", match=models.MatchValue(value=name)) for name in names]


def has(*points: int) -> models.Condition:
    return models.HasIdCondition(has_id=list(points))


NEWS = models.Filter(should=category("news"))  # points 3, 6, 9, …
LOW = models.Filter(should=[has(*range(1, 13)), has(20)])
EARLY = models.Filter(should=[has(1, 2, 3), has(4, 5, 6)])
FEW = models.Filter(min_should=models.MinShould(conditions=[has(1, 2, 3), has(2, 3, 4)], min_count=2))  # 2, 3

STRATEGIES: dict[str, Stage] = {
    "a lone stage": Nearest("dense", filter=EARLY),
    "rescored": Nearest("colbert").over(Nearest("dense", filter=EARLY)),
    "fused with its own filter": Fusion.rrf(filter=EARLY).over(Nearest("dense"), Nearest("colbert")),
    "fused over a filtered candidate": Fusion.dbsf().over(Nearest("dense", filter=EARLY), Nearest("colbert", filter=EARLY)),
    "a formula over a filtered candidate": Formula(field("popularity", default=0)).over(Nearest("dense", filter=EARLY)),
    "mmr over a filtered fusion": Mmr().over(Fusion.rrf(filter=EARLY).over(Nearest("dense"), Nearest("colbert", filter=LOW))),
    "three levels": Fusion.rrf().over(Nearest("dense", filter=EARLY).over(Nearest("colbert", filter=LOW))),
    "a fusion that is a candidate": Mmr().over(Fusion.rrf(filter=LOW).over(Nearest("dense", filter=EARLY))),
}


@pytest.mark.parametrize("group_by", [None, "doc"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_alternatives_of_one_filter_do_not_become_alternatives_of_another(
    executor: Executor, name: str, group_by: str | None
) -> None:
    found = executor.retrieve(STRATEGIES[name], QUESTION, SearchOptions(24, NEWS, group_by=group_by))
    assert set(ids(found)) == {3, 6}


@pytest.mark.parametrize("name", STRATEGIES)
def test_counted_alternatives_stay_apart_too(executor: Executor, name: str) -> None:
    assert set(ids(executor.retrieve(STRATEGIES[name], QUESTION, SearchOptions(24, FEW)))) == {2, 3}


def test_a_candidate_without_a_filter_keeps_to_the_calls(executor: Executor) -> None:
    strategy = Fusion.rrf().over(Nearest("dense", filter=EARLY), Nearest("colbert"))
    assert set(ids(executor.retrieve(strategy, QUESTION, SearchOptions(24, NEWS)))) == {3, 6, 9, 12, 15, 18, 21, 24}


@pytest.mark.parametrize("own", [None, NEWS])
@pytest.mark.parametrize("call", [None, EARLY])
def test_both_filters_are_asked_for(toy: QdrantClient, own: models.Filter | None, call: models.Filter | None) -> None:
    def matching(filter: models.Filter | None) -> set[object]:
        return {point.id for point in toy.scroll(COLLECTION, filter, limit=100)[0]}

    assert matching(both(own, call)) == matching(own) & matching(call)


def test_an_empty_filter_lets_everything_through(toy: QdrantClient) -> None:
    executor = Executor(toy, COLLECTION, encoders=encoders())
    assert (
        len(executor.retrieve(Nearest("dense", filter=models.Filter(must=[])), QUESTION, SearchOptions(24, models.Filter())))
        == 24
    )


def test_thresholds_of_candidates_and_of_the_call_both_hold(executor: Executor) -> None:
    scores = {point.id: point.score for point in executor.retrieve(Nearest("dense"), QUESTION, SearchOptions(24))}
    near = Nearest("colbert").over(Nearest("dense", score_threshold=0.2))
    assert set(ids(executor.retrieve(near, QUESTION, SearchOptions(24)))) == {
        point for point, score in scores.items() if score >= 0.2
    }
    every = executor.retrieve(near, QUESTION, SearchOptions(24))
    threshold = (every[5].score + every[6].score) / 2
    assert alike(executor.retrieve(near, QUESTION, SearchOptions(24, score_threshold=threshold)), every[:6])
