"""Explanations where candidates tie: an engine orders them anew in each search, and sums equal scores all the same."""

from __future__ import annotations

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, Query, SearchOptions, field, score, sigmoid
from qdrant_rerank._internals import UNKNOWN, Explained
from qdrant_rerank.stages import Stage
from tests.engines import Engine, open_client

QUERY = Query(vectors={"a": [1.0, 0, 0, 0], "b": [0, 1.0, 0, 0]})
A, B = Nearest("a", limit=15), Nearest("b", limit=25)  # both are cut off among points that tie


@pytest.fixture(scope="module")
def executor(engine: Engine) -> Executor:
    """40 points: ten times each of four vectors "a", and twice each of twenty vectors "b"."""
    random = np.random.default_rng(0)
    same = {"a": random.normal(size=(4, 4)).tolist(), "b": random.normal(size=(20, 4)).tolist()}
    client = open_client()
    params = models.VectorParams(size=4, distance=models.Distance.COSINE)
    client.create_collection("c", {"a": params, "b": params})
    points = [
        models.PointStruct(id=n, vector={"a": same["a"][n % 4], "b": same["b"][n % 20]}, payload={"n": n % 7})
        for n in range(40)
    ]
    client.upsert("c", points)
    return Executor(client, "c")


KNOWN: list[Stage] = [
    Fusion.rrf().over(A, B),
    Fusion.rrf(k=61, weights=[2.0, 0.7]).over(A, B),
    Fusion.rrf().over(A, B, Nearest("a", limit=7)),
    Fusion.dbsf().over(A, B),
    Fusion.rrf().over(Nearest("a").over(Nearest("b")), Nearest("b")),
    Formula(score() + field("n", default=0)).over(A),
    Formula(score("a", default=-2.0) - 3 * score("b", default=0.7) + field("n", default=0)).over(A, B),
    Formula(sigmoid(score("a", default=-2.0) + score("b", default=0.7) - 1)).over(A, B),
    Formula(score("x") + field("n", default=0)).over(Formula(2 * score(), name="x", limit=15).over(A)),
    Nearest("a").over(B),
]
UNSEEN: list[Stage] = [  # what ties below a candidate shifts all that it ranks, which its sum can prove at times
    Formula(score("rrf") + 0.1 * field("n", default=0)).over(Fusion.rrf(limit=20).over(A, B)),
    Fusion.rrf().over(Nearest("b", limit=15).over(A), B),
]


def unknown(found: Explained) -> bool:
    return any(term.text == UNKNOWN for reason in found.reasons for term in reason.terms)


def assert_sums(found: Explained) -> None:
    assert found.reasons
    for reason in found.reasons:
        total = 1 / (1 + np.exp(-reason.total)) if reason.link == "sigmoid" else reason.total
        assert total == pytest.approx(reason.score, abs=1e-4)
        assert sum(term.value for term in reason.terms) == pytest.approx(reason.total)


@pytest.mark.parametrize(
    "options", [SearchOptions(12), SearchOptions(8, stable_ties=True), SearchOptions(5, offset=6)], ids=repr
)
@pytest.mark.parametrize("strategy", [*KNOWN, *UNSEEN], ids=repr)
def test_sums_equal_scores_whatever_ties(executor: Executor, strategy: Stage, options: SearchOptions) -> None:
    for _ in range(4):  # each call orders ties anew
        found = executor.explain(strategy, QUERY, options)
        assert_sums(found)
        assert strategy in UNSEEN or not unknown(found)


def test_mmr_has_no_sum_to_be_wrong(executor: Executor) -> None:
    found = executor.explain(Mmr("a").over(A, B), QUERY, SearchOptions(5))
    assert [reason.terms for reason in found.reasons] == [()] * 5
