"""Queries that don't compare vectors; search parameters, batches, and limits that aren't given."""

from __future__ import annotations

import datetime as dt
from typing import Any

from qdrant_client import QdrantClient, models

from qdrant_rerank.edge import EdgeClient
from tests.edge.support import NAME, SIZE, awkward_points, pairs, query_vectors
from tests.edge.test_queries import EVERY, FILTERS, P


def test_points_are_ordered_by_an_indexed_payload_key(edge: EdgeClient, local: QdrantClient) -> None:
    edge.create_payload_index(NAME, "number", models.PayloadSchemaType.FLOAT)
    edge.create_payload_index(NAME, "time", models.PayloadSchemaType.DATETIME)
    down = models.OrderBy(key="number", direction=models.Direction.DESC, start_from=30)
    since = models.OrderBy(key="time", start_from=dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
    for order, limit in (("number", 7), (down, 7), (since, SIZE)):
        request: dict[str, Any] = {"query": models.OrderByQuery(order_by=order), "limit": limit}
        found, expected = edge.query_points(NAME, **request).points, local.query_points(NAME, **request).points
        assert [point.order_value for point in found] == [point.order_value for point in expected]
        assert {point.id for point in found} == {point.id for point in expected}
    listed = edge.scroll(NAME, order_by=down, limit=4)[0]
    assert [record.order_value for record in listed] == [29.5, 28.5, 27.5, 26.5]


def test_a_sample_is_of_different_points_each_time(edge: EdgeClient) -> None:
    request: dict[str, Any] = {
        "query": models.SampleQuery(sample=models.Sample.RANDOM),
        "query_filter": FILTERS["few"],
        "limit": 5,
    }
    samples = [frozenset(point.id for point in edge.query_points(NAME, **request).points) for _ in range(20)]
    assert {len(sample) for sample in samples} == {5}
    assert len(set(samples)) > 1
    few = {point.id for point in awkward_points() if (point.payload or {})["number"] < 9}
    assert frozenset().union(*samples) <= few


def test_search_parameters_reach_the_engine(edge: EdgeClient) -> None:
    v = query_vectors()
    plain = pairs(edge.query_points(NAME, query=v["idf"], using="idf").points)
    params = models.SearchParams(
        hnsw_ef=64,
        exact=True,
        quantization=models.QuantizationSearchParams(ignore=True, rescore=True, oversampling=2.0),
        acorn=models.AcornSearchParams(enable=True, max_selectivity=0.4),
    )
    assert pairs(edge.query_points(NAME, query=v["idf"], using="idf", search_params=params).points) == plain
    few = FILTERS["few"]
    assert few is not None
    corpus = models.SearchParams(idf=models.IdfCorpusParams(corpus=few))
    found = edge.query_points(NAME, query=v["idf"], using="idf", search_params=corpus).points
    assert pairs(found) != plain  # other frequencies


def test_many_requests_are_answered_in_their_order(edge: EdgeClient) -> None:
    v = query_vectors()
    requests = [models.QueryRequest(query=v[name], using=name, limit=3) for name in EVERY]
    answers = [pairs(answer.points) for answer in edge.query_batch_points(NAME, requests)]
    assert answers == [pairs(edge.query_points(NAME, query=v[name], using=name, limit=3).points) for name in EVERY]
    assert all(point.payload is None for answer in edge.query_batch_points(NAME, requests) for point in answer.points)


def test_without_a_limit_ten_points_are_found(edge: EdgeClient) -> None:
    v = query_vectors()
    plain = models.QueryRequest(query=v["dense"], using="dense")
    leaf = P(query=v["dense"], using="dense")
    over = models.QueryRequest(query=v["dot"], using="dot", prefetch=leaf, limit=SIZE)
    assert [len(answer.points) for answer in edge.query_batch_points(NAME, [plain, over])] == [10, 10]
