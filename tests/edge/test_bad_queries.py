"""Wrong queries are errors that name what is wrong, and never empty results."""

from __future__ import annotations

import math
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import QueryError
from qdrant_rerank.edge import EdgeClient, EngineError
from qdrant_rerank.errors import ClientError
from tests.edge.support import NAME, point_id, query_vectors

V = query_vectors()
DENSE: dict[str, Any] = {"query": V["dense"], "using": "dense"}
LEAF = models.Prefetch(**DENSE, limit=5)


def prefetched(**clauses: Any) -> dict[str, Any]:
    return {**DENSE, "prefetch": models.Prefetch.model_construct(**{**LEAF.__dict__, **clauses})}


def feedback(b: float) -> models.RelevanceFeedbackQuery:
    naive = models.NaiveFeedbackStrategy(naive=models.NaiveFeedbackStrategyParams(a=1, b=b, c=1))
    items = [models.FeedbackItem(example=V["dot"], score=1.0)]
    return models.RelevanceFeedbackQuery(
        relevance_feedback=models.RelevanceFeedbackInput(target=V["dense"], feedback=items, strategy=naive)
    )


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "limit": (DENSE | {"limit": 0}, "limit must be a whole number of at least 1, got 0"),
    "offset": (DENSE | {"offset": -1}, "offset must be a whole number of at least 0, got -1"),
    "prefetch limit": (prefetched(limit=0), "the limit of a prefetch must be a whole number of at least 1, got 0"),
    "nan": ({"query": [math.nan] * 8, "using": "dense"}, "the query's vector for 'dense' holds numbers that aren't finite"),
    "inf": ({"query": [[1.0] * 4, [math.inf] * 4], "using": "late"}, "aren't finite"),
    "twice": (
        {"query": models.SparseVector(indices=[3, 3], values=[1.0, 1.0]), "using": "idf"},
        "the query's vector for 'idf' has an index twice",
    ),
    "text": ({"query": "what?", "using": "dense"}, "must be a list of numbers.*got 'what\\?'"),
    "no such point": ({"query": 12345, "using": "dense"}, "there is no point 12345 in 'awkward'"),
    "no such vector of a point": ({"query": 7, "using": "late"}, "the point 7 of 'awkward' has no vector 'late'"),
    "no such vector": ({"query": 7, "using": "dens"}, "no vector named 'dens'; 'awkward' has .*did you mean 'dense'"),
    "filter": (DENSE | {"query_filter": {"must": []}}, r"filter must be a qdrant_client\.models\.Filter, got dict"),
    "parameters": (DENSE | {"search_params": {"exakt": True}}, r"(?s)search parameters are those of .*SearchParams.*exakt"),
    "no parameters": (DENSE | {"search_params": "exact"}, "search parameters must be a .*SearchParams, got 'exact'"),
    "threshold of nothing": ({"score_threshold": 0.5}, "score_threshold=0.5 needs a query that gives scores"),
    "threshold of an order": (
        {"query": models.OrderByQuery(order_by="number"), "score_threshold": 0.5},
        "needs a query that gives scores",
    ),
    "fusion of a vector": (
        {"query": models.FusionQuery(fusion=models.Fusion.DBSF), "prefetch": LEAF, "using": "dense"},
        "a fusion compares no vectors: leave out using='dense'",
    ),
    "k": ({"query": models.RrfQuery(rrf=models.Rrf(k=0)), "prefetch": LEAF}, "at least 1, got 0"),
    "diversity": (
        {"query": models.NearestQuery(nearest=V["dense"], mmr=models.Mmr(diversity=1.5)), "using": "dense"},
        "the diversity of MMR must be between 0 and 1, got 1.5",
    ),
    "feedback": ({"query": feedback(-1.0), "using": "dense"}, "b of relevance feedback must be at least 0, got -1.0"),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "wrong size": (
        {"query": [1.0, 2.0], "using": "dense"},
        "refused a query of 'awkward': Vector dimension error",
    ),
    "wrong name": ({"query": [1.0] * 8, "using": "dens"}, "Not existing vector name error: dens"),
    "weights": ({"query": models.RrfQuery(rrf=models.Rrf(weights=[1.0, 2.0])), "prefetch": LEAF}, "does not match number"),
    "nothing over candidates": ({"prefetch": LEAF}, "cannot have prefetches without a query"),
    "fusion of nothing": ({"query": models.FusionQuery(fusion=models.Fusion.RRF)}, "without prefetches"),
    "order without an index": ({"query": models.OrderByQuery(order_by="price.eur")}, "No range index for `order_by` key"),
}
IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "sparse mmr": (
        {"query": models.NearestQuery(nearest=V["idf"], mmr=models.Mmr()), "using": "idf"},
        "no maximal marginal relevance by a sparse vector, which 'idf' is",
    ),
    "inference": (
        {"query": models.Image(image="a", model="b"), "using": "dense"},
        "Image, which a server embeds",
    ),
    "inference by nearest": (
        {"query": models.NearestQuery(nearest=models.Document(text="a", model="b")), "using": "dense"},
        r"is a models\.Document",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_query_that_is_wrong_in_itself_is_an_error(edge: EdgeClient, what: str) -> None:
    request, message = WRONG[what]
    with pytest.raises(QueryError, match=message):
        edge.query_points(NAME, **request)


@pytest.mark.parametrize("what", REFUSED)
def test_a_query_that_the_engine_refuses_is_an_error(edge: EdgeClient, what: str) -> None:
    request, message = REFUSED[what]
    with pytest.raises(EngineError, match=message):
        edge.query_points(NAME, **request)


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_query_that_the_engine_has_no_means_for_is_an_error(edge: EdgeClient, what: str) -> None:
    request, message = IMPOSSIBLE[what]
    with pytest.raises(ClientError, match=message):
        edge.query_points(NAME, **request)


def test_a_wrong_scroll_is_an_error(edge: EdgeClient) -> None:
    with pytest.raises(QueryError, match="limit must be a whole number of at least 1, got 0"):
        edge.scroll(NAME, limit=0)
    with pytest.raises(QueryError, match=r"a point's id is a whole number .* or a UUID, got 'x'"):
        edge.scroll(NAME, offset="x")
    assert edge.scroll(NAME, offset=point_id(58), limit=9)[0][-1].id == point_id(58)
