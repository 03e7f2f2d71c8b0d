"""Group queries, done by asking for more until there are enough groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from qdrant_rerank import QueryError
from qdrant_rerank._internals import group_hits
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError
from tests.edge.support import NAME, SIZE, TOLERANCE, query_vectors
from tests.edge.test_queries import FILTERS, candidates, fusion, mmr


def flat(result: models.GroupsResult) -> list[tuple[Any, list[Any]]]:
    return [(group.id, [hit.id for hit in group.hits]) for group in result.groups]


def assert_same(found: models.GroupsResult, expected: models.GroupsResult) -> None:
    assert flat(found) == flat(expected)
    for one, other in zip(found.groups, expected.groups, strict=True):
        assert [hit.score for hit in one.hits] == pytest.approx([hit.score for hit in other.hits], abs=TOLERANCE)
        assert [hit.payload for hit in one.hits] == [hit.payload for hit in other.hits]


@pytest.mark.parametrize("key", ["doc", "third", "tag", "n", "price.eur", "items[].size", "absent"])
@pytest.mark.parametrize("using", ["dense", "euclid", "late", "idf"])
def test_groups_are_those_of_local_mode(edge: EdgeClient, local: QdrantClient, key: str, using: str) -> None:
    v = query_vectors(3)
    for limit, size in ((1, 1), (3, 1), (4, 3), (30, 4), (2, 50)):
        for asked in (None, FILTERS["some"]):
            request: dict[str, Any] = {"query": v[using], "using": using, "limit": limit, "group_size": size}
            request |= {"group_by": key, "query_filter": asked}
            assert_same(edge.query_points_groups(NAME, **request), local.query_points_groups(NAME, **request))


def test_groups_over_candidates_are_those_of_local_mode_where_all_points_are_candidates(
    edge: EdgeClient, local: QdrantClient
) -> None:
    v = query_vectors(3)
    leaf = models.Prefetch(query=v["dense"], using="dense", limit=SIZE)
    queries: list[dict[str, Any]] = [
        {"query": v["late"], "using": "late"},
        {"query": models.FormulaQuery(formula=models.SumExpression(sum=["$score", "number"]))},
        {"query": mmr(v["dense"], diversity=0.2, candidates_limit=SIZE), "using": "dense"},
    ]
    for query in queries:
        request: dict[str, Any] = {**query, "prefetch": leaf, "group_by": "doc", "limit": 5, "group_size": 2}
        assert_same(edge.query_points_groups(NAME, **request), local.query_points_groups(NAME, **request))


def test_candidates_are_as_many_for_each_hit_of_a_group_as_the_request_says(edge: EdgeClient) -> None:
    leaf = models.Prefetch(query=query_vectors()["dense"], using="dense", limit=6)
    formula = models.FormulaQuery(formula="number")
    for size in (1, 3):
        found = edge.query_points_groups(NAME, "third", query=formula, prefetch=leaf, limit=6, group_size=size)
        widened = leaf.model_copy(update={"limit": 6 * size})
        ranked = edge.query_points(NAME, query=formula, prefetch=widened, limit=100).points
        expected: dict[Any, list[Any]] = {}
        for point in ranked:
            expected.setdefault((point.payload or {})["third"], []).append(point.id)
        assert dict(flat(found)) == {key: ids[:size] for key, ids in expected.items()}
    assert leaf.limit == 6  # the caller's object is as it was


@pytest.mark.parametrize("indexed", [False, True])
def test_candidates_are_asked_for_again_until_there_are_enough_groups_and_each_is_full(tmp_path: Path, indexed: bool) -> None:
    """Twenty points of a rank first, then b's and a's in turn; one candidate list holds only the first few."""
    flat_vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
    points = [
        models.PointStruct(id=i, vector=[100.0 - i, 0.0], payload={"doc": "a" if i < 20 else "ab"[i % 2]}) for i in range(40)
    ]
    points += [models.PointStruct(id=i, vector=[41.0 - i, 0.0], payload={"doc": i - 40}) for i in (40, 41)]
    points += [models.PointStruct(id=50, vector=[2.0, 0.0], payload={"doc": ["a", "rare"]})]
    local = QdrantClient(":memory:")
    with EdgeClient(tmp_path) as edge:
        for client in (edge, local):
            client.create_collection("c", flat_vectors)
            client.upsert("c", points)
        if indexed:
            edge.create_payload_index("c", "doc", models.PayloadSchemaType.KEYWORD)
        for limit, size, candidates in ((2, 2, 11), (2, 30, 5), (3, 2, 1), (9, 1, 2), (3, 3, 50)):
            request: dict[str, Any] = {"query": [1.0, 0.0], "limit": limit, "group_size": size, "group_by": "doc"}
            request["prefetch"] = models.Prefetch(query=[1.0, 0.0], limit=candidates)
            assert_same(edge.query_points_groups("c", **request), local.query_points_groups("c", **request))
    local.close()


def test_the_best_groups_are_filled_however_many_others_there_are(tmp_path: Path) -> None:
    """As many rounds as a server makes would bring a point or two each."""
    points = [
        models.PointStruct(id=i, vector=[100.0 - i, 0.0], payload={"doc": "a" if i in (0, 40) else [i, "b"] if i == 39 else i})
        for i in range(41)
    ]
    local = QdrantClient(":memory:")
    with EdgeClient(tmp_path) as edge:
        for client in (edge, local):
            client.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
            client.upsert("c", points)
        for limit, size in ((2, 2), (41, 1)):
            request: dict[str, Any] = {"query": [1.0, 0.0], "limit": limit, "group_size": size, "group_by": "doc"}
            request["prefetch"] = models.Prefetch(query=[1.0, 0.0], limit=1)
            assert_same(edge.query_points_groups("c", **request), local.query_points_groups("c", **request))
    local.close()


def test_of_distances_the_lower_is_the_better_in_every_round(edge: EdgeClient, local: QdrantClient) -> None:
    v = query_vectors()
    for using in ("euclid", "manhattan"):
        request: dict[str, Any] = {"query": v[using], "using": using, "limit": 15, "group_size": 4, "group_by": "doc"}
        request["prefetch"] = models.Prefetch(query=v[using], using=using, limit=2)
        found, expected = (client.query_points_groups(NAME, **request) for client in (edge, local))
        assert flat(found) == flat(expected)
        averaged = models.RecommendQuery(recommend=models.RecommendInput(positive=[v[using]]))
        assert flat(edge.query_points_groups(NAME, **request | {"query": averaged})) == flat(expected)


def test_points_without_the_key_are_no_candidates(edge: EdgeClient) -> None:
    v = query_vectors(15)
    leaf = models.Prefetch(query=v["dense"], using="dense", limit=4)
    request: dict[str, Any] = {"query": v["dot"], "using": "dot", "prefetch": leaf}
    tags = [(point.payload or {}).get("tag") for point in edge.query_points(NAME, **request).points]
    assert tags == [None, [], ["blog"], ["news", "old"]]  # so that two candidates would be in no group
    found = edge.query_points_groups(NAME, "tag", **request, limit=4, group_size=1)
    assert {group.id for group in found.groups} == {"News", "blog", "news", "old"}


def test_fusions_and_prefetches_without_a_limit_are_grouped_too(edge: EdgeClient) -> None:
    v = query_vectors()
    found = edge.query_points_groups(NAME, "doc", query=fusion("dbsf"), prefetch=candidates(v), limit=3, group_size=2)
    assert len(found.groups) == 3
    leaf = models.Prefetch(query=v["dense"], using="dense")
    found = edge.query_points_groups(NAME, "doc", query=v["dot"], using="dot", prefetch=[leaf], limit=50, group_size=1)
    assert len(found.groups) == SIZE / 4


def test_mmr_chooses_among_as_many_as_there_are_hits(edge: EdgeClient) -> None:
    v = query_vectors()
    found = edge.query_points_groups(NAME, "doc", query=mmr(v["dense"], diversity=0.2), using="dense", limit=4, group_size=2)
    ranked = edge.query_points(NAME, query=mmr(v["dense"], diversity=0.2, candidates_limit=8), using="dense", limit=8).points
    hits = [hit.id for group in found.groups for hit in group.hits]
    assert set(hits) <= {point.id for point in ranked}
    assert len(hits) > 4


def test_hits_bring_the_payload_and_vectors_that_were_asked_for(edge: EdgeClient) -> None:
    request: dict[str, Any] = {"query": query_vectors()["dense"], "using": "dense", "limit": 2}
    [first, _] = edge.query_points_groups(NAME, "doc", **request, with_payload=["number"], with_vectors=["dot"]).groups
    assert first.hits[0].payload is not None
    assert set(first.hits[0].payload) == {"number"}
    assert set(first.hits[0].vector or {}) == {"dot"}
    [first, _] = edge.query_points_groups(NAME, "doc", **request, with_payload=False).groups
    assert (first.hits[0].payload, first.hits[0].vector) == (None, None)


class Ranking:
    """A fixed ranking with filters applied by hand, which notes how much is asked of it."""

    def __init__(self, keys: Sequence[Any]) -> None:
        self.points = [
            models.ScoredPoint(id=place, version=0, score=-float(place), payload={} if key is None else {"key": key})
            for place, key in enumerate(keys)
        ]
        self.asked: list[int] = []

    def __call__(self, request: models.QueryRequest) -> list[models.ScoredPoint]:
        assert request.limit is not None
        self.asked.append(request.limit)
        wanted = set(_wanted(request.filter))
        found = [point for point in self.points if point.payload and (not wanted or point.payload["key"] in wanted)]
        return found[: request.limit]


def _wanted(filter: models.Filter | None) -> Iterator[Any]:
    """The keys that a group query's filter narrows the points to."""
    for condition in (filter.must if filter else None) or []:
        if isinstance(condition, models.Filter):
            yield from _wanted(condition)
            for match in condition.should or []:
                assert isinstance(match, models.FieldCondition)
                assert isinstance(match.match, models.MatchAny)
                yield from match.match.any


@settings(max_examples=200)
@given(
    st.lists(st.none() | st.integers(0, 6) | st.sampled_from("abc"), max_size=60),
    st.integers(1, 8),
    st.integers(1, 5),
)
def test_groups_are_exact_whatever_the_ranking(keys: list[Any], limit: int, size: int) -> None:
    ranking = Ranking(keys)
    found = group_hits(ranking, models.QueryRequest(query=[1.0]), "key", limit, size)
    expected: dict[Any, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            expected.setdefault(key, []).append(place)
    wanted = [(key, places[:size]) for key, places in list(expected.items())[:limit]]
    assert [(key, [hit.id for hit in hits]) for key, hits in found.items()] == wanted


def test_one_query_is_enough_for_one_hit_of_each_group_at_the_top() -> None:
    ranking = Ranking("abcdefgh" * 1000)
    group_hits(ranking, models.QueryRequest(query=[1.0]), "key", 5, 1)
    assert ranking.asked == [5]


def test_small_groups_are_completed_without_reading_the_whole_collection() -> None:
    ranking = Ranking(["rare", *"ab" * 5000, "rare"])
    found = group_hits(ranking, models.QueryRequest(query=[1.0]), "key", 3, 2)
    assert [len(hits) for hits in found.values()] == [2, 2, 2]
    assert max(ranking.asked) < 100


@pytest.mark.parametrize(("limit", "size"), [(0, 1), (1, 0), (1.5, 1), (True, 1)])
def test_a_wrong_size_is_an_error(edge: EdgeClient, limit: Any, size: Any) -> None:
    with pytest.raises(QueryError, match=r"(limit|group_size) must be a whole number of at least 1"):
        edge.query_points_groups(NAME, "doc", query=[1.0], limit=limit, group_size=size)


def test_a_lookup_is_refused(edge: EdgeClient) -> None:
    with pytest.raises(ClientError, match=r"can't honour with_lookup \(groups can't be joined"):
        edge.query_points_groups(NAME, "doc", query=[1.0], with_lookup="other")
