"""What a server says when it refuses, in its own words: each comes to the kind of failure that it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank._internals import read_failure
from tests.replayed.collections import QUERY
from tests.replayed.connections import Connection

pytestmark = [
    pytest.mark.vcr,
    pytest.mark.block_network(allowed_hosts=["127.0.0.1"]),
    pytest.mark.engines("local", reason="plays back what a server said"),
]


class Asked(NamedTuple):
    """A request, and the failure that it ends in."""

    kind: str
    request: Callable[[QdrantClient], Any]
    key: str | None = None
    client: str | None = "all"


def formula(collection: str, expression: Any, **defaults: Any) -> Callable[[QdrantClient], Any]:
    """Scores all points by a formula."""
    query = models.FormulaQuery(formula=expression, defaults=defaults)
    prefetch = models.Prefetch(query=QUERY, limit=10)
    return lambda client: client.query_points(f"recorded_{collection}", query=query, prefetch=prefetch)


def search(collection: str, **request: Any) -> Callable[[QdrantClient], Any]:
    """Searches, by `QUERY` unless told otherwise."""
    return lambda client: client.query_points(f"recorded_{collection}", **{"query": QUERY} | request)


def batch(collection: str, size: int) -> Callable[[QdrantClient], Any]:
    """Searches several times in one request."""
    requests = [models.QueryRequest(query=QUERY, limit=1)] * size
    return lambda client: client.query_batch_points(f"recorded_{collection}", requests)


def matching(*values: str) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key="text", match=models.MatchValue(value=value)) for value in values])


DATE = models.DatetimeKeyExpression(datetime_key="x")
PLACE = models.GeoDistance(geo_distance=models.GeoDistanceParams(origin=models.GeoPoint(lat=0.0, lon=0.0), to="x"))
INFINITE = models.DivExpression(div=models.DivParams(left=1.0, right=models.SumExpression(sum=["x", -4.0])))
FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)
POINT = models.PointStruct(id=9, vector=[1.0, 0.0])

ASKED = {
    "a list for a number": Asked("not a number", formula("lists", "x", x=0.0), "x"),
    "text for a number": Asked("not a number", formula("texts", "x", x=0.0), "x"),
    "nothing for a number": Asked("no value", formula("numbers", "x"), "x"),
    "a list for a date": Asked("not a date", formula("dates", DATE, x="2020-01-01T00:00:00Z"), "x"),
    "a list for a place": Asked("not a place", formula("places", PLACE, x={"lat": 0.0, "lon": 0.0}), "x"),
    "a place out of range": Asked("not a place", formula("far_places", PLACE, x={"lat": 0.0, "lon": 0.0}), "x"),
    "a division by zero": Asked("not finite", formula("numbers", INFINITE, x=0.0)),
    "a collection that isn't there": Asked("not found", search("nothing")),
    "a vector of another size": Asked("wrong dimension", search("numbers", query=[1.0, 2.0, 3.0])),
    "a vector of another name": Asked("wrong vector", search("numbers", using="colbret")),
    "a collection that is there": Asked(
        "already there",
        lambda client: client.create_collection("recorded_numbers", FLAT),
    ),
    "a limit of 0": Asked("bad request", search("numbers", limit=0)),
    "strict: too many": Asked("strict mode", search("strict", limit=11)),
    "strict: exact": Asked("strict mode", search("strict", search_params=models.SearchParams(exact=True))),
    "strict: ef": Asked("strict mode", search("strict", search_params=models.SearchParams(hnsw_ef=100))),
    "strict: oversampling": Asked(
        "strict mode",
        search("strict", search_params=models.SearchParams(quantization=models.QuantizationSearchParams(oversampling=3.0))),
    ),
    "strict: a filter without an index": Asked("strict mode", search("strict", query_filter=matching("one"))),
    "strict: many conditions": Asked("strict mode", search("strict", query_filter=matching("one", "two", "three"))),
    "strict: a large batch": Asked("strict mode", batch("strict", 3)),
    "strict: a long timeout": Asked("strict mode", search("strict", timeout=20)),
    "strict: a formula without an index": Asked("strict mode", formula("strict", "x", x=0.0)),
    "no key": Asked("unauthorized", search("numbers"), client=None),
    "a wrong key": Asked("unauthorized", search("numbers"), client="wrong"),
    "a key for another collection": Asked("forbidden", search("lists"), client="one collection"),
    "a key without the right to write": Asked(
        "forbidden", lambda client: client.upsert("recorded_numbers", [POINT]), client="one collection"
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_refusal_comes_to_its_kind(server: Connection, name: str) -> None:
    asked = ASKED[name]
    client = server.client(asked.client)
    with pytest.raises(Exception) as caught:  # qdrant-client's and grpc's have nothing in common
        asked.request(client)
    found = read_failure(caught.value)
    assert (found.kind, found.key, found.engine) == (asked.kind, asked.key, "server"), found
    assert not found.passes


def test_a_rate_limit_says_how_long_to_wait(server: Connection) -> None:
    client, name = server.client(), "limited_grpc" if server.is_grpc else "limited_rest"
    with pytest.raises(Exception) as caught:
        [search(name, limit=1)(client) for _ in range(9)]
    found = read_failure(caught.value)
    assert (found.kind, found.passes) == ("rate limit", True), found
    assert found.wait is not None
    assert 0 < found.wait <= 60
    with pytest.raises(Exception) as caught:
        batch(name, 5)(client)
    assert (read_failure(caught.value).kind, read_failure(caught.value).passes) == ("too large", False), caught.value


def test_a_condition_that_the_server_doesn_t_know_is_refused_over_rest_and_dropped_over_grpc(server: Connection) -> None:
    """Which is why a plan refuses what the server's version doesn't have."""
    half = models.Filter(must=[models.SliceCondition(slice=models.Slice(total=2, index=0))])
    request = search("numbers", query_filter=half)
    if server.is_grpc:
        assert len(request(server.client()).points) == 7
    else:
        with pytest.raises(UnexpectedResponse) as caught:
            request(server.client())
        assert read_failure(caught.value).kind == "bad request"
