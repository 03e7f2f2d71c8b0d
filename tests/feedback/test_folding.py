"""The folded form is Qdrant's relevance feedback: same points, same order, same scores, in local mode and on the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from qdrant_rerank import Coefficients, Executor, Nearest, Query, RelevanceFeedback, SearchOptions
from qdrant_rerank._internals import Points, fold, pairs_of, weights_of
from tests.engines import compared, open_client

POINTS, SIZE = 80, 8
DISTANCES = {"cosine": models.Distance.COSINE, "dot": models.Distance.DOT}


def fill(client: QdrantClient) -> QdrantClient:
    random = np.random.default_rng(3)
    client.create_collection(
        "points", vectors_config={name: models.VectorParams(size=SIZE, distance=d) for name, d in DISTANCES.items()}
    )
    points = []
    for number in range(1, POINTS + 1):
        vector: Any = {name: (random.standard_normal(SIZE) * 2).tolist() for name in DISTANCES}
        points.append(models.PointStruct(id=number, vector=vector, payload={"text": str(number)}))
    client.upsert("points", points)
    return client


@pytest.fixture(scope="module", params=compared())
def client(request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    made = fill(open_client(request.param))
    yield made
    made.close()


def same(first: Points, second: Points, tolerance: float) -> bool:
    """Whether two answers are the same but for the last digits of scores and the order of points that tie."""
    if len(first) != len(second):
        return False
    if any(abs(one.score - other.score) > tolerance for one, other in zip(first, second, strict=True)):
        return False
    scores = {point.id: point.score for point in first}
    edge = first[-1].score if first else 0.0
    return all(abs(scores.get(point.id, edge) - point.score) <= tolerance for point in second)


@settings(max_examples=40)
@given(
    using=st.sampled_from(sorted(DISTANCES)),
    seeds=st.integers(2, 7),
    mode=st.sampled_from(["precision", "recall"]),
    a=st.floats(0.1, 2),
    b=st.floats(0, 2),
    c=st.floats(-0.5, 2),
    scores=st.lists(st.floats(-5, 5) | st.sampled_from([0.0, 1.0]), min_size=POINTS, max_size=POINTS),
    query=st.integers(0, 1000),
    odd=st.booleans(),
)
def test_native_and_folded_return_the_same_points(client: QdrantClient, **drawn: Any) -> None:
    using, scores = drawn["using"], drawn["scores"]
    coefficients = Coefficients(drawn["a"], drawn["b"], drawn["c"])
    seeds, mode = Nearest(using, limit=drawn["seeds"]), drawn["mode"]
    strategy = RelevanceFeedback(seeds=seeds, coefficients=coefficients, mode=mode, limit=POINTS, trust=True)
    vector = np.random.default_rng(drawn["query"]).standard_normal(SIZE).tolist()
    runner = Executor(client, "points", reranker=lambda query, texts: [scores[int(text) - 1] for text in texts])
    query = Query("q", {using: vector})
    few = models.Filter(must=[models.HasIdCondition(has_id=list(range(1, POINTS, 2)))]) if drawn["odd"] else None
    fold = runner.retrieve(strategy, query, SearchOptions(limit=20, filter=few))
    native = runner.retrieve(replace(strategy, native=True), query, SearchOptions(limit=20, filter=few))
    size = max(1.0, *(abs(point.score) for point in native))
    if mode == "precision":
        assert same(native, fold, 1e-5 * size)
    else:  # scores are the model's, so that ties are real; the order of the second search doesn't count
        assert [point.score for point in native] == pytest.approx([point.score for point in fold], abs=1e-5)


@given(
    st.lists(st.floats(-10, 10, allow_subnormal=False), min_size=1, max_size=8),
    st.floats(0, 3),
)
def test_the_weight_of_a_seed_is_the_sum_over_its_pairs(scores: list[float], b: float) -> None:
    expected = np.zeros(len(scores))
    for pair in pairs_of(scores, Coefficients(1.0, b, 1.0)):
        expected[pair.better] += pair.weight
        expected[pair.worse] -= pair.weight
    assert weights_of(np.array(scores), b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_folded_vector_is_of_unit_vectors_for_cosine_and_of_stored_ones_for_dot() -> None:
    coefficients = Coefficients(2.0, 1.0, 0.5)
    cosine = fold([3.0, 0.0], [[0.0, 4.0], [5.0, 0.0]], [3.0, 1.0], coefficients, cosine=True)
    assert cosine.scale == pytest.approx(2**0.5)  # 2·(1, 0) + 0.5·2·((0, 1) - (1, 0)) = (1, 1)
    assert cosine.vector == pytest.approx([0.5**0.5, 0.5**0.5])
    dot = fold([3.0, 0.0], [[0.0, 4.0], [5.0, 0.0]], [3.0, 1.0], coefficients, cosine=False)
    assert (dot.vector, dot.scale) == ([1.0, 4.0], 1.0)


def test_pairs_come_most_confident_first_and_equal_scores_make_none() -> None:
    pairs = pairs_of([1.0, 3.0, 1.0], Coefficients(1.0, 2.0, 0.5))
    assert [(pair.better, pair.worse, pair.confidence, pair.weight) for pair in pairs] == [(1, 0, 2.0, 2.0), (1, 2, 2.0, 2.0)]
