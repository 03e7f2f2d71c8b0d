"""Late interaction that keeps the candidates which lack the multivector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import (
    Executor,
    Formula,
    Fusion,
    Nearest,
    Query,
    SearchOptions,
    StrategyError,
    from_json,
    late_interaction,
    score,
    to_json,
)
from qdrant_rerank.planning import Capabilities, plan
from tests.engines import compared, current, open_client
from tests.support import SCHEMA, refused, target

POINTS, WITHOUT = 30, frozenset({2, 3, 5, 8, 13, 21})


@pytest.fixture(params=compared())
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Points of which some have no multivector."""
    if request.param == "local" and not hasattr(models, "MaxExpression"):  # before 1.20
        pytest.skip("this local mode fails wherever a point lacks its multivector")
    client = open_client(request.param)
    multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    client.create_collection(
        "some",
        {
            "dense": models.VectorParams(size=4, distance=models.Distance.DOT),
            "colbert": models.VectorParams(size=3, distance=models.Distance.COSINE, multivector_config=multi),
        },
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    client.upsert("some", [point(number) for number in range(POINTS)])
    yield client
    client.close()


def point(number: int) -> models.PointStruct:
    made = np.random.default_rng(number)
    vectors: dict[str, Any] = {"dense": (5 * made.standard_normal(4)).tolist()}
    if number not in WITHOUT:
        vectors["colbert"] = made.standard_normal((3, 3)).tolist()
    if number % 2:
        vectors["words"] = models.SparseVector(indices=[1, 2], values=made.random(2).tolist())
    return models.PointStruct(id=number, vector=vectors, payload={})


def query(tokens: int = 5) -> Query:
    made = np.random.default_rng(99)
    late = made.standard_normal((tokens, 3)).tolist()
    words = models.SparseVector(indices=[1, 2], values=[9.0, 30.0])
    return Query(vectors={"dense": [1.0, -2.0, 0.5, 3.0], "colbert": late, "words": words})


@pytest.mark.parametrize("tokens", [1, 5, 32])
def test_candidates_with_the_vector_come_first_the_others_in_their_own_order(client: Any, tokens: int) -> None:
    some = POINTS if current().shards > 1 else 25  # each shard hands on as many: there only all are the same candidates
    executor, dense = Executor(client, "some"), Nearest("dense", limit=some)
    first = executor.retrieve(Nearest("colbert", limit=some).over(dense), query(tokens), SearchOptions(some))
    own = [point.id for point in executor.retrieve(dense, query(tokens), SearchOptions(some))]
    found = executor.retrieve(late_interaction("colbert", dense), query(tokens), SearchOptions(some))
    last = [id for id in own if id in WITHOUT]
    assert [point.id for point in found] == [*(point.id for point in first), *last]
    assert len(last) > 2
    assert [point.score for point in found[: len(first)]] == pytest.approx([p.score / tokens for p in first], abs=1e-6)
    assert all(-1 <= point.score <= 1 for point in found[: len(first)])
    assert all(-3.5 < point.score < -1.5 for point in found[len(first) :])


def test_several_candidates_can_be_rescored(client: Any) -> None:
    strategy = late_interaction("colbert", Nearest("dense", limit=8), Nearest("words", limit=8))
    found = Executor(client, "some").retrieve(
        strategy, query(), SearchOptions(POINTS)
    )  # shards may find more than 16, if not worse
    without = [point.id in WITHOUT for point in found]
    assert without == sorted(without)
    assert True in without
    assert all(point.score < -1.5 for point in found if point.id in WITHOUT)


def test_it_is_explained_and_serialised_like_any_formula(client: Any) -> None:
    strategy = late_interaction("colbert", Nearest("dense", limit=25))
    assert from_json(to_json(strategy)) == strategy
    for reason in Executor(client, "some").explain(strategy, query(), SearchOptions(25)).reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-6)


def test_before_1_20_it_is_compiled_without_max() -> None:
    made = plan(late_interaction("colbert", Nearest("dense")), SCHEMA, Capabilities.of("1.17.0"))
    assert "'max'" not in str(made.describe().requests)


def test_candidates_must_be_there_and_have_names() -> None:
    fused = late_interaction("colbert", Fusion.rrf().over(Nearest("dense"), Nearest("bm25")))
    plan(fused, SCHEMA, target().capabilities)
    with refused(StrategyError, "needs candidates", "late_interaction('colbert', Nearest('dense'))"):
        late_interaction("colbert")
    with refused(StrategyError, "needs candidates with names"):
        late_interaction("colbert", Nearest())


def test_a_rescoring_that_loses_points_says_so_in_the_plan() -> None:
    late = plan(Nearest("colbert").over(Nearest("dense")), SCHEMA, target().capabilities).warnings
    assert [(warning.code, str(warning)) for warning in late] == [
        (
            "vanishing-points",
            "candidates without the vector 'colbert' vanish from this rescoring: "
            "late_interaction('colbert', …) keeps them, last",
        )
    ]
    dense = plan(Formula(score()).over(Nearest("dense").over(Nearest("bm25"))), SCHEMA, target().capabilities).warnings
    assert [str(warning) for warning in dense if warning.code == "vanishing-points"] == [
        "candidates without the vector 'dense' vanish from this rescoring"
    ]
    assert not plan(Nearest("colbert"), SCHEMA, target().capabilities).warnings
