"""Every change, and every way to ask, that the engine has: as qdrant-client's local mode does it, errors' kinds included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import QueryError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError, EngineError
from tests.edge.support import NAME, assert_agree, query_vectors

VECTORS: dict[str, Any] = {
    "vectors_config": {
        "dense": models.VectorParams(size=2, distance=models.Distance.DOT),
        "other": models.VectorParams(size=2, distance=models.Distance.EUCLID),
    },
    "sparse_vectors_config": {"words": models.SparseVectorParams()},
}
FIRST = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=3))])
UNNAMED = models.VectorParams(size=2, distance=models.Distance.DOT)


def points(ids: range = range(1, 6), **payload: Any) -> list[models.PointStruct]:
    return [
        models.PointStruct(
            id=i, vector={"dense": [1.0, i], "other": [i, 2.0]}, payload={"n": i, "deep": {"a": i, "b": [i]}, **payload}
        )
        for i in ids
    ]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[QdrantClient, QdrantClient]]:
    local = QdrantClient(":memory:")
    with EdgeClient(tmp_path) as edge:
        for client in (edge, local):
            client.create_collection("c", **VECTORS)
            client.upsert("c", points())
        yield edge, local
    local.close()


def state(client: QdrantClient) -> Any:
    records, _ = client.scroll("c", limit=100, with_vectors=True)
    return [(record.id, record.payload, _plain(record.vector)) for record in records]


def _plain(vector: Any) -> Any:
    return {name: one if isinstance(one, list) else one.model_dump() for name, one in sorted((vector or {}).items())}


def columns(**arrays: Any) -> Any:
    """Vectors by name, an array for each."""
    return arrays


by_ids = models.PointIdsList(points=[1, 2])
by_filter = models.FilterSelector(filter=FIRST)
OPERATIONS: list[Any] = [
    models.UpsertOperation(upsert=models.PointsList(points=points(range(5, 9), new=True))),
    models.UpsertOperation(
        upsert=models.PointsBatch(batch=models.Batch(ids=[11], vectors={"dense": [[3.0, 4.0]]}, payloads=[{"n": 11}]))
    ),
    models.SetPayloadOperation(set_payload=models.SetPayload(payload={"x": 1}, points=[1], key="deep")),
    models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"y": 1}, filter=FIRST)),
    models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["n"], points=[5])),
    models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[4])),
    models.UpdateVectorsOperation(
        update_vectors=models.UpdateVectors(points=[models.PointVectors(id=3, vector={"dense": [9.0, 9.0]})])
    ),
    models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[2], vector=["other"])),
    models.DeleteOperation(delete=models.PointIdsList(points=[6])),
]
CHANGES: dict[str, Callable[[QdrantClient], Any]] = {
    "set by ids": lambda c: c.set_payload("c", {"new": 1}, [1, 2]),
    "set by filter": lambda c: c.set_payload("c", {"new": 1}, FIRST),
    "set at a key": lambda c: c.set_payload("c", {"new": 1}, by_ids, key="deep"),
    "overwrite by ids": lambda c: c.overwrite_payload("c", {"new": 1}, by_ids),
    "overwrite by filter": lambda c: c.overwrite_payload("c", {"new": 1}, FIRST),
    "delete by ids": lambda c: c.delete_payload("c", ["n", "deep.a"], [1, 2]),
    "delete by filter": lambda c: c.delete_payload("c", ["deep.b[]", "absent"], by_filter),
    "clear by ids": lambda c: c.clear_payload("c", [1, 2]),
    "clear by filter": lambda c: c.clear_payload("c", FIRST),
    "vectors": lambda c: c.update_vectors(
        "c",
        [
            models.PointVectors(id=1, vector={"dense": [5.0, 6.0]}),
            models.PointVectors(id=2, vector={"words": models.SparseVector(indices=[1], values=[2.0])}),
        ],
    ),
    "vectors under a condition": lambda c: c.update_vectors(
        "c", [models.PointVectors(id=i, vector={"dense": [5.0, 6.0]}) for i in (1, 4)], update_filter=FIRST
    ),
    "less vectors by ids": lambda c: c.delete_vectors("c", ["other"], [1, 2]),
    "less vectors by filter": lambda c: c.delete_vectors("c", ["other", "words"], FIRST),
    "upsert": lambda c: c.upsert("c", points(range(4, 8), new=1), update_mode=models.UpdateMode.UPSERT),
    "insert only": lambda c: c.upsert("c", points(range(4, 8), new=1), update_mode=models.UpdateMode.INSERT_ONLY),
    "update only": lambda c: c.upsert("c", points(range(4, 8), new=1), update_mode=models.UpdateMode.UPDATE_ONLY),
    "uploaded": lambda c: c.upload_points("c", points(range(4, 8), new=1), update_mode=models.UpdateMode.INSERT_ONLY),
    "collection": lambda c: c.upload_collection(
        "c", columns(dense=np.ones((3, 2)), other=np.zeros((3, 2))), [{"n": 1}, {"n": 2}, {}], [7, 8, 9]
    ),
    "rows": lambda c: c.upload_collection("c", [{"dense": [1.0, 2.0]}, {"dense": [1.0, 3.0]}], ids=[7, 8]),
    "a batch": lambda c: c.batch_update_points("c", OPERATIONS),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changes_are_those_of_local_mode(both: tuple[QdrantClient, QdrantClient], what: str) -> None:
    edge, local = both
    found, expected = (CHANGES[what](client) for client in (edge, local))
    assert type(found) is type(expected)
    assert state(edge) == state(local)


def test_nothing_to_change_is_nothing_done(both: tuple[QdrantClient, QdrantClient]) -> None:
    edge, local = both
    edge.update_vectors("c", [])
    edge.upsert("c", [])
    assert state(edge) == state(local)
    assert edge.recreate_collection("c", **VECTORS)
    assert state(edge) == []


def test_points_without_ids_get_ones(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", UNNAMED)
        client.upload_collection("c", np.ones((3, 2)))
        assert client.count("c").count == 3


WRONG: dict[str, Callable[[QdrantClient], Any]] = {
    "not there": lambda c: c.count("d"),
    "there already": lambda c: c.create_collection("c", **VECTORS),
    "vector's name": lambda c: c.delete_vectors("c", ["othr"], [1]),
    "new vector's name": lambda c: c.update_vectors("c", [models.PointVectors(id=1, vector={"othr": [1.0, 2.0]})]),
    "new vector's size": lambda c: c.update_vectors("c", [models.PointVectors(id=1, vector={"dense": [1.0]})]),
    "query's size": lambda c: c.query_points("c", query=[1.0], using="dense"),
    "query's vector": lambda c: c.query_points("c", query=[1.0, 2.0], using="dens"),
    "no example": lambda c: c.query_points("c", query=recommend([], []), using="dense"),
    "no example at all": lambda c: c.query_points("c", query=recommend([], [], "best_score"), using="dense"),
    "no such example": lambda c: c.query_points("c", query=recommend([77], []), using="dense"),
    "examples of two sizes": lambda c: c.query_points("c", query=recommend([[1.0, 2.0], [1.0]], []), using="dense"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_a_value_error_in_both(both: tuple[QdrantClient, QdrantClient], what: str) -> None:
    for client in both:
        with pytest.raises(ValueError):  # the words differ
            WRONG[what](client)


def test_errors_of_collections_are_ours_and_in_qdrant_client_s_words(both: tuple[QdrantClient, QdrantClient]) -> None:
    edge, _ = both
    with pytest.raises(EngineError, match=r"^Collection d not found"):
        edge.get_collection("d")
    with pytest.raises(EngineError, match=r"^Collection c already exists"):
        edge.create_collection("c", **VECTORS)
    with pytest.raises(QueryError, match="update_mode is one of 'upsert', 'insert_only', 'update_only', got 'replace'"):
        edge.upsert("c", points(), update_mode="replace")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="No point with id 99"):
        edge.set_payload("c", {"a": 1}, [99])
    with pytest.raises(ClientError, match="has no change int"):
        edge.batch_update_points("c", [5])  # type: ignore[list-item]


def recommend(positive: list[Any], negative: list[Any], strategy: str | None = None) -> models.RecommendQuery:
    chosen = None if strategy is None else models.RecommendStrategy(strategy)
    return models.RecommendQuery(recommend=models.RecommendInput(positive=positive, negative=negative, strategy=chosen))


def pairs_of(*examples: Any) -> list[models.ContextPair]:
    return [models.ContextPair(positive=one, negative=other) for one, other in zip(examples[::2], examples[1::2], strict=True)]


def ask(using: str) -> dict[str, Any]:
    """Queries by examples, given as vectors and as points."""
    a, b, c = (query_vectors(seed)[using] for seed in (1, 2, 3))
    return {
        "average": recommend([a, b], []),
        "average with negatives": recommend([a, b], [c]),
        "average of points": recommend([1, a], [3]),
        "best score": recommend([a], [b], "best_score"),
        "sum": recommend([a, 1], [b], "sum_scores"),
        "negatives alone": recommend([], [b, 3], "best_score"),
        "discover": models.DiscoverQuery(discover=models.DiscoverInput(target=a, context=pairs_of(b, c))),
        "discover by points": models.DiscoverQuery(discover=models.DiscoverInput(target=1, context=pairs_of(3, 5)[0])),
        "context": models.ContextQuery(context=pairs_of(a, b, 1, 3)),
        "one pair": models.ContextQuery(context=pairs_of(a, b)[0]),
    }


@pytest.mark.parametrize("using", ["dense", "dot", "euclid", "late", "idf"])
def test_queries_by_examples_are_those_of_local_mode(edge: EdgeClient, local: QdrantClient, using: str) -> None:
    for query in ask(using).values():
        for limit, offset in ((60, 0), (5, 3)):
            request: dict[str, Any] = {"query": query, "using": using, "limit": limit, "offset": offset}
            found, expected = (client.query_points(NAME, **request).points for client in (edge, local))
            assert_agree(found, expected, limit, offset, 1e-5)


def test_candidates_may_be_found_by_examples(edge: EdgeClient, local: QdrantClient) -> None:
    v = query_vectors()
    for name, query in ask("dot").items():
        if "context" in name or "pair" in name:  # of whose equal scores only some are candidates
            continue
        leaf = models.Prefetch(query=query, using="dot", limit=20)
        found, expected = (
            client.query_points(NAME, query=v["dense"], using="dense", prefetch=leaf, limit=20).points
            for client in (edge, local)
        )
        assert_agree(found, expected, 20)


def test_facets_are_those_of_local_mode(both: tuple[QdrantClient, QdrantClient]) -> None:
    edge, local = both
    payloads: list[dict[str, Any]] = [{"k": ["x", "y"]}, {"k": "x"}, {"k": "z", "b": True}, {"k": None, "b": False}, {}]
    for client in both:
        for number, payload in enumerate(payloads, 1):
            client.set_payload("c", payload, [number])
    with pytest.raises(EngineError, match="No appropriate index for faceting: `k`"):
        edge.facet("c", "k")
    for key, kind in (
        ("k", models.PayloadSchemaType.KEYWORD),
        ("b", models.PayloadSchemaType.BOOL),
        ("n", models.PayloadSchemaType.INTEGER),
    ):
        edge.create_payload_index("c", key, kind)
        options: list[dict[str, Any]] = [{}, {"limit": 2}, {"facet_filter": FIRST, "exact": True}]
        for asked in options:
            assert edge.facet("c", key, **asked) == local.facet("c", key, **asked)
    with pytest.raises(QueryError, match="limit must be a whole number of at least 1, got 0"):
        edge.facet("c", "k", limit=0)
    with pytest.raises(ClientError, match="not asked by TextQuery"):
        edge.query_points("c", query=models.TextQuery(text="x"))
    with pytest.raises(QueryError, match="refused a facet of 'a b'"):
        edge.facet("c", "a b")


def test_a_collection_may_have_no_vectors(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        configs: list[Any] = [None, {}]
        for config in configs:
            client.recreate_collection("c", config)
            client.upsert("c", [models.PointStruct(id=i, vector={}, payload={"n": i}) for i in (1, 2)])
            params = client.get_collection("c").config.params
            assert (params.vectors, params.sparse_vectors) == ({}, None)
            assert client.scroll("c", FIRST, with_vectors=True)[0][0].vector == {}
            assert [point.id for point in client.query_points("c", query_filter=FIRST).points] == [1, 2]
            with pytest.raises(QueryError, match="brings a vector ''; the collection has no vectors"):
                client.upsert("c", [models.PointStruct(id=3, vector=[1.0])])
    with EdgeClient(tmp_path) as client:
        assert client.count("c").count == 2


def test_mmr_brings_the_vectors_that_were_asked_for_and_no_others(edge: EdgeClient, local: QdrantClient) -> None:
    v = query_vectors()
    mmr = models.NearestQuery(nearest=v["dense"], mmr=models.Mmr(diversity=0.5, candidates_limit=20))
    for asked in (False, True, ["dot"], ["dense", "late"], []):
        request: dict[str, Any] = {"query": mmr, "using": "dense", "limit": 3, "with_vectors": asked}
        found, expected = (client.query_points(NAME, **request).points for client in (edge, local))
        for one, other in zip(found, expected, strict=True):
            assert sorted(one.vector or {}) == sorted(other.vector or {})
    with EdgeClient(edge._folder.path.parent / "unnamed") as client:
        client.create_collection("c", UNNAMED)
        client.upsert("c", [models.PointStruct(id=1, vector=[1.0, 2.0])])
        asked_for: dict[Any, Any] = {False: None, True: [1.0, 2.0]}
        for with_vectors, expected_vector in asked_for.items():
            [point] = client.query_points(
                "c", query=models.NearestQuery(nearest=[1.0, 1.0], mmr=models.Mmr()), with_vectors=with_vectors
            ).points
            assert point.vector == expected_vector


def test_parameters_may_be_a_dict_and_a_random_choice_has_no_beginning_to_skip(edge: EdgeClient) -> None:
    request: dict[str, Any] = {"query": query_vectors()["dense"], "using": "dense"}
    plain = edge.query_points(NAME, **request, search_params=models.SearchParams(exact=True)).points
    assert edge.query_points(NAME, **request, search_params={"exact": True}).points == plain  # type: ignore[arg-type]
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    for limit, offset, expected in ((10, 5, 10), (60, 20, 60), (10, 58, 10), (70, 60, 60)):  # as on a server
        found = edge.query_points(NAME, query=sample, limit=limit, offset=offset).points
        assert (len(found), len({point.id for point in found})) == (expected, expected)


def test_whole_numbers_of_numpy_are_whole_numbers_and_floats_are_not(both: tuple[QdrantClient, QdrantClient]) -> None:
    edge, _ = both
    one: Any = np.int64(1)
    two: Any = np.uint8(2)
    seven: Any = np.int32(7)
    none: Any = np.int64(0)
    edge.upsert("c", [models.PointStruct.model_construct(id=np.int32(7), vector={}, payload=None)])
    assert [record.id for record in edge.retrieve("c", [one, two, seven])] == [1, 2, 7]
    has = models.HasIdCondition.model_construct(has_id=[one, two])
    found = edge.query_points("c", query_filter=models.Filter(must=[has]), limit=two, offset=none).points
    assert sorted(point.id for point in found) == [1, 2]
    assert len(edge.query_points("c", query=one, using="dense", limit=3).points) == 3
    edge.set_payload("c", {"seen": np.int64(3)}, [one])
    edge.delete("c", [two])
    assert edge.count("c").count == 5
    for wrong in (1.0, np.float64(1.0), True, np.bool_(True), "1", "no id", -1, 2**64, None):
        for call in (
            lambda id: edge.retrieve("c", [id]),
            lambda id: edge.delete("c", [id]),
            lambda id: edge.count("c", models.Filter(must_not=[models.HasIdCondition.model_construct(has_id=[1, id])])),
            lambda id: edge.upsert("c", [models.PointStruct.model_construct(id=id, vector={}, payload=None)]),
            lambda id: edge.set_payload("c", {"a": 1}, [id]),
        ):
            with pytest.raises(QueryError, match=r"a point's id is a whole number from 0 to 2.*64 - 1 or a UUID"):
                call(wrong)
    with pytest.raises(QueryError, match=r"limit must be a whole number of at least 1, got np.float64"):
        edge.query_points("c", limit=np.float64(2))  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=r"limit must be less than 2\*\*63"):
        edge.query_points("c", limit=10**20)
    with pytest.raises(QueryError, match=r"a condition on 9223372036854775813 can't be met: Qdrant matches whole numbers from"):
        edge.count("c", models.Filter(must=[models.FieldCondition(key="n", match=models.MatchValue(value=2**63 + 5))]))
    with pytest.raises(QueryError, match="refused a condition: invalid JSON path a b"):
        edge.count("c", models.Filter(must=[models.IsNullCondition(is_null=models.PayloadField(key="a b"))]))
