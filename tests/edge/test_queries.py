"""Queries of every kind rank the same points in the Rust engine as in local mode, with the same scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from qdrant_rerank.edge import EdgeClient
from tests.edge.support import NAME, SIZE, TOLERANCE, assert_agree, point_id, query_vectors

Vectors = dict[str, Any]
P = models.Prefetch
DENSE = ("dense", "dot", "euclid", "manhattan")
EVERY = (*DENSE, "late", "words", "idf")


def rrf(k: int | None = None, weights: list[float] | None = None) -> models.RrfQuery:
    return models.RrfQuery(rrf=models.Rrf(k=k, weights=weights))


def fusion(kind: str) -> models.FusionQuery:
    return models.FusionQuery(fusion=models.Fusion(kind))


def candidates(v: Vectors, limit: int = 20) -> list[models.Prefetch]:
    return [P(query=v["dense"], using="dense", limit=limit), P(query=v["idf"], using="idf", limit=limit)]


def mmr(vector: Any, **settings: Any) -> models.NearestQuery:
    return models.NearestQuery(nearest=vector, mmr=models.Mmr(**settings))


def feedback(v: Vectors, using: str, *scores: float) -> models.RelevanceFeedbackQuery:
    items = [models.FeedbackItem(example=query_vectors(seed + 50)[using], score=score) for seed, score in enumerate(scores)]
    naive = models.NaiveFeedbackStrategy(naive=models.NaiveFeedbackStrategyParams(a=1.2, b=0.7, c=0.4))
    return models.RelevanceFeedbackQuery(
        relevance_feedback=models.RelevanceFeedbackInput(target=v[using], feedback=items, strategy=naive)
    )


def added(*terms: Any) -> models.FormulaQuery:
    return models.FormulaQuery(formula=models.SumExpression(sum=list(terms)))


Shape = Callable[[Vectors], dict[str, Any]]
SHAPES: dict[str, Shape] = {
    **{f"nearest {name}": lambda v, name=name: {"query": v[name], "using": name} for name in EVERY},  # type: ignore[misc]
    "nearest query": lambda v: {"query": models.NearestQuery(nearest=v["dense"]), "using": "dense"},
    "rescoring by multivector": lambda v: {"query": v["late"], "using": "late", "prefetch": candidates(v)[0]},
    "rescoring by distance": lambda v: {"query": v["euclid"], "using": "euclid", "prefetch": candidates(v)},
    "rescoring twice": lambda v: {
        "query": v["late"],
        "using": "late",
        "prefetch": P(query=v["dot"], using="dot", limit=12, prefetch=candidates(v)),
    },
    "rrf": lambda v: {"query": fusion("rrf"), "prefetch": candidates(v)},
    "rrf without k": lambda v: {"query": rrf(), "prefetch": candidates(v)},
    "rrf with k and weights": lambda v: {"query": rrf(61, [3.0, 0.5]), "prefetch": candidates(v)},
    "dbsf": lambda v: {"query": fusion("dbsf"), "prefetch": candidates(v)},
    "fusion of fusions": lambda v: {
        "query": rrf(10),
        "prefetch": [
            P(query=fusion("dbsf"), prefetch=candidates(v), limit=15, score_threshold=0.7),
            P(query=v["late"], using="late", limit=18),
        ],
    },
    "mmr": lambda v: {"query": mmr(v["dense"], diversity=0.4, candidates_limit=30), "using": "dense"},
    "mmr by default": lambda v: {"query": mmr(v["dot"]), "using": "dot"},
    "mmr of distances": lambda v: {"query": mmr(v["euclid"], diversity=0.7, candidates_limit=20), "using": "euclid"},
    "mmr of multivectors": lambda v: {"query": mmr(v["late"], candidates_limit=20), "using": "late"},
    "mmr over candidates": lambda v: {
        "query": mmr(v["dense"], diversity=0.3, candidates_limit=40),
        "using": "dense",
        "prefetch": candidates(v),
    },
    "formula": lambda v: {"query": added("$score", models.MultExpression(mult=[0.1, "number"])), "prefetch": candidates(v)[0]},
    "formula over two": lambda v: {
        "query": models.FormulaQuery(
            formula=models.SumExpression(sum=["$score[0]", models.MultExpression(mult=[0.3, "$score[1]"])]),
            defaults={"$score[1]": -1.5},
        ),
        "prefetch": candidates(v),
    },
    "formula over a formula": lambda v: {
        "query": added(models.NegExpression(neg="$score"), 1.0),
        "prefetch": P(query=added("$score", "number"), prefetch=candidates(v), limit=15),
    },
    "feedback": lambda v: {"query": feedback(v, "dense", 0.9, 0.5, 0.1), "using": "dense"},
    "feedback of distances": lambda v: {"query": feedback(v, "euclid", 0.9, 0.1), "using": "euclid"},
    "feedback over candidates": lambda v: {"query": feedback(v, "dot", 0.9, 0.5), "using": "dot", "prefetch": candidates(v)},
    "no query": lambda v: {},
}
FILTERS: dict[str, models.Filter | None] = {
    "all": None,
    "some": models.Filter(must_not=[models.FieldCondition(key="third", match=models.MatchValue(value=1))]),
    "few": models.Filter(must=[models.FieldCondition(key="number", range=models.Range(lt=9))]),
    "none": models.Filter(must=[models.HasIdCondition(has_id=[1000])]),
}
CLAUSES: dict[str, dict[str, Any]] = {
    "limit": {"limit": 7},
    "offset": {"limit": 5, "offset": 3},
    "beyond": {"limit": 100, "offset": 55},
    "threshold": {"limit": 60, "score_threshold": 0.3},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_query_ranks_the_same(shape: str, edge: EdgeClient, local: QdrantClient) -> None:
    for seed in range(3):
        for asked in FILTERS.values():
            for clauses in CLAUSES.values():
                if shape == "no query" and "score_threshold" in clauses:
                    continue  # it has no scores
                request = SHAPES[shape](query_vectors(seed)) | clauses | {"query_filter": asked}
                found = edge.query_points(NAME, **request).points
                assert_agree(found, local.query_points(NAME, **request).points, clauses["limit"], clauses.get("offset", 0))


def test_the_filters_of_the_test_above_leave_points_to_rank(edge: EdgeClient) -> None:
    counts = [edge.count(NAME, asked).count for asked in FILTERS.values()]
    assert counts == [60, 40, 9, 0]


@settings(max_examples=80)
@given(
    st.integers(min_value=0, max_value=10**6),
    st.lists(st.sampled_from(EVERY), min_size=1, max_size=3),
    st.sampled_from(["dense", "euclid", "late", "rrf", "dbsf", "formula", "mmr"]),
    st.sampled_from(list(FILTERS)),
    st.sampled_from(list(FILTERS)),
    st.integers(min_value=1, max_value=70),
)
def test_random_trees_rank_the_same(
    edge: EdgeClient, local: QdrantClient, seed: int, names: list[str], root: str, outer: str, inner: str, limit: int
) -> None:
    v = query_vectors(seed)
    leaves = [P(query=v[name], using=name, limit=limit + place, filter=FILTERS[inner]) for place, name in enumerate(names)]
    roots: dict[str, dict[str, Any]] = {
        "rrf": {"query": rrf(seed % 60 + 1)},
        "dbsf": {"query": fusion("dbsf")},
        "formula": {"query": added(*(f"$score[{place}]" for place in range(len(names))))},
        "mmr": {"query": mmr(v["dense"], diversity=(seed % 10) / 10, candidates_limit=limit), "using": "dense"},
    }
    request = roots.get(root) or {"query": v[root], "using": root}
    request |= {"prefetch": leaves, "limit": limit, "query_filter": FILTERS[outer]}
    found = edge.query_points(NAME, **request).points
    tolerance = 1e-5 if root == "dbsf" else TOLERANCE  # it divides by a spread, which may be small
    assert_agree(found, local.query_points(NAME, **request).points, limit, tolerance=tolerance)


def test_a_root_filter_reaches_the_candidates(edge: EdgeClient) -> None:
    v = query_vectors()
    leaf = P(query=v["dense"], using="dense", limit=3)
    found = edge.query_points(NAME, query=v["dot"], using="dot", prefetch=leaf, query_filter=FILTERS["few"]).points
    assert len(found) == 3
    assert all((point.payload or {})["number"] < 9 for point in found)


def test_a_point_s_id_asks_for_what_is_nearest_to_it(edge: EdgeClient, local: QdrantClient) -> None:
    for name in (*DENSE, "late", "idf"):
        for asked in (5, point_id(4), models.NearestQuery(nearest=5), mmr(5, candidates_limit=30)):
            if name == "idf" and isinstance(asked, models.NearestQuery) and asked.mmr is not None:
                continue
            request: dict[str, Any] = {"query": asked, "using": name, "limit": SIZE}
            found = edge.query_points(NAME, **request).points
            assert_agree(found, local.query_points(NAME, **request).points)
            assert 5 not in {point.id for point in found} or asked == point_id(4)


def test_arrays_are_vectors_too(edge: EdgeClient) -> None:
    v = query_vectors()
    for name in ("dense", "late"):
        found = edge.query_points(NAME, query=np.array(v[name], dtype=np.float32), using=name).points
        assert_agree(found, edge.query_points(NAME, query=v[name], using=name).points, 10)


def test_a_prefetch_may_ask_by_id_and_leaves_that_point_out(edge: EdgeClient, local: QdrantClient) -> None:
    request: dict[str, Any] = {
        "query": query_vectors()["dot"],
        "using": "dot",
        "prefetch": P(query=5, using="dense", limit=6, filter=FILTERS["some"]),
    }
    found = edge.query_points(NAME, **request).points
    assert_agree(found, local.query_points(NAME, **request).points)
    assert 5 not in {point.id for point in found}


def test_feedback_by_ids_leaves_those_points_out(edge: EdgeClient, local: QdrantClient) -> None:
    query = feedback(query_vectors(), "dense", 0.9, 0.2)
    for item, example in zip(query.relevance_feedback.feedback, (7, point_id(8)), strict=True):
        item.example = example
    query.relevance_feedback.target = 9
    found = edge.query_points(NAME, query=query, using="dense", limit=SIZE).points
    assert_agree(found, local.query_points(NAME, query=query, using="dense", limit=SIZE).points)
    assert not {7, point_id(8), 9} & {point.id for point in found}
