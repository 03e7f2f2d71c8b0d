"""A node of a cluster is away: the first schema is then what another node knows, and never less than what was known before.

What the server answers is what Qdrant 1.18.3 answered, of a collection with a shard key on each of two nodes.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from qdrant_rerank import AsyncExecutor, Executor, Nearest, PlanError, PlanWarning, Query, SearchOptions
from qdrant_rerank._internals import ask_node_schema, run_calls
from qdrant_rerank.planning import Schema, VectorInfo
from tests.stub_grpc import StubGrpc
from tests.stub_qdrant import Received, StubQdrant, collection

AWAY = (
    "Service internal error: 1 of 1 read operations failed:\n  Service internal error: Tonic status error: code: 'The service "
    'is currently unavailable\', message: "Failed to connect to http://127.0.0.1:7145/, error: transport error"'
)
ONE_NODE = "doesn't answer, so that the schema of '(docs|alias)' is what one node knows: without the number of points"
QUERY, OF_A = Query(vectors={"": [1.0, 0.5]}), SearchOptions(limit=1, shard_key_selector="a")
NEAREST = Nearest()


class Cluster(StubQdrant):
    """One node of two, the other of which is away: it can't answer for the whole collection."""

    def __init__(self) -> None:
        docs = collection(2, points=20, distance="Euclid")
        docs["config"]["params"]["sharding_method"] = "custom"
        docs["config"]["strict_mode_config"] = {"enabled": True, "unindexed_filtering_retrieve": False}
        docs["payload_schema"] = {"kind": {"data_type": "keyword", "points": 10}}
        super().__init__([{"id": 1, "score": 1.0}], {"docs": docs, "alias": docs})
        self.docs = docs
        self.away = True
        self.status = 500
        self.held_here = True
        """Whether this node holds a shard of the collection."""
        self.telemetry: tuple[int, Any] | None = None
        """What it answers in the place of its telemetry."""

    def answer(self, request: Received) -> tuple[int, Any]:
        match request.method, request.path:
            case "GET", "/collections/docs" | "/collections/alias" if self.away:
                return self.status, {"status": {"error": AWAY}, "time": 0.0}
            case "GET", "/collections/docs/cluster":
                return 403, {"status": {"error": "forbidden"}, "time": 0.0}
            case "GET", "/aliases":
                aliases = [{"alias_name": "alias", "collection_name": "docs"}]
                return 200, {"result": {"aliases": aliases}, "status": "ok", "time": 0.0}
            case "GET", "/telemetry":
                assert request.parameters == {"details_level": "4"}
                return self.telemetry or (200, {"result": self._telemetry(), "status": "ok", "time": 0.0})
            case _:
                return super().answer(request)

    def _telemetry(self) -> Any:
        index = {"kind": {"data_type": "keyword", "points": 10}}
        local = {"segments": [{"info": {"index_schema": index}}, {"info": {"index_schema": index}}]}
        shards = [{"id": 1, "key": "a", "local": local if self.held_here else None}, {"id": 2, "key": "b", "local": None}]
        docs = {"id": "docs", "config": self.docs["config"], "shards": shards}
        other = {"id": "other", "config": collection(3)["config"], "shards": [{"id": 0, "key": None, "local": None}]}
        return {"id": "1", "collections": {"number_of_collections": 2, "collections": [other, docs]}}


@pytest.fixture
def node() -> Iterator[Cluster]:
    with Cluster() as stub:
        yield stub


def client_of(stub: StubQdrant) -> QdrantClient:
    return QdrantClient(url=stub.url, check_compatibility=False)


def retrieved(kind: str, stub: StubQdrant, name: str = "docs", **options: Any) -> tuple[list[Any], Schema | None]:
    """The ids that a fresh executor finds with the shard key, and the schema that it then knows."""
    if kind == "sync":
        executor = Executor(client_of(stub), name)
        points, target = (
            executor.retrieve(NEAREST, QUERY, SearchOptions(limit=1, shard_key_selector="a", **options)),
            executor._target,
        )
    else:

        async def ask() -> tuple[Any, Any]:
            client = AsyncQdrantClient(url=stub.url, check_compatibility=False)
            asked = AsyncExecutor(async_client=client, collection=name)
            found = (
                await asked.retrieve(NEAREST, QUERY, SearchOptions(limit=1, shard_key_selector="a", **options)),
                asked._target,
            )
            await client.close()
            return found

        points, target = asyncio.run(ask())
    return [point.id for point in points], None if target is None else target.schema


BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


@BOTH
@pytest.mark.parametrize("timeout", [None, 20.0])
@pytest.mark.parametrize("name", ["docs", "alias"])
def test_the_first_search_by_a_shard_key_works_while_another_key_s_node_is_away(
    node: Cluster, kind: str, name: str, timeout: float | None
) -> None:
    with pytest.warns(PlanWarning, match=ONE_NODE):
        found, schema = retrieved(kind, node, name, timeout=timeout)
    assert found == [1]
    assert schema is not None
    assert schema.collection == name
    assert schema.vectors == {"": VectorInfo("dense", 2, models.Distance.EUCLID)}
    assert schema.indexes == {"kind": models.PayloadSchemaType.KEYWORD}
    assert (schema.shard_keys, schema.shards, schema.points) == ({"a": 1, "b": 1}, 2, None)
    assert schema.strict is not None
    assert schema.strict.unindexed_filtering_retrieve is False


def test_an_index_that_the_node_can_t_know_of_is_not_missed(node: Cluster) -> None:
    node.held_here = False
    executor = Executor(client_of(node), "docs")
    with pytest.warns(PlanWarning, match="without the payload indexes and the number of points"):
        executor.target()
    kind = models.FieldCondition(key="kind", match=models.MatchValue(value="x"))
    options = SearchOptions(limit=1, filter=models.Filter(must=[kind]), shard_key_selector="a")
    assert [point.id for point in executor.retrieve(NEAREST, QUERY, options)] == [1]

    node.away = False
    executor.refresh()
    node.docs["payload_schema"] = {}
    with pytest.raises(PlanError, match="demands a payload index on 'kind'"):
        executor.retrieve(NEAREST, QUERY, options)


def test_without_strict_mode_neither(node: Cluster) -> None:
    del node.docs["config"]["strict_mode_config"]
    node.held_here = False
    with pytest.warns(PlanWarning, match="without the payload indexes and the number of points"):
        _, schema = retrieved("sync", node)
    assert schema is not None
    assert schema.strict is None


def test_the_whole_schema_is_read_soon_and_outlives_the_next_outage(node: Cluster) -> None:
    executor = Executor(client_of(node), "docs", schema_ttl=None)
    with pytest.warns(PlanWarning, match=ONE_NODE):
        executor.retrieve(NEAREST, QUERY, OF_A)
    executor.retrieve(NEAREST, QUERY, OF_A)
    assert node.paths.count("GET /telemetry") == 1

    executor._read_at -= 10  # read again, in vain: what was known stays, and nobody is told twice
    executor.retrieve(NEAREST, QUERY, OF_A)
    assert (node.paths.count("GET /collections/docs"), node.paths.count("GET /telemetry")) == (2, 1)

    node.away = False
    executor._read_at -= 10
    assert executor.target().schema.points == 20
    assert executor.target().schema.unknown == ()

    node.away = True
    executor._read_at -= 1e9  # never too old
    assert executor.target().schema.points == 20
    assert node.paths.count("GET /telemetry") == 1


def test_a_schema_that_never_is_too_old_is_not_asked_for_at_each_query_once_it_could_not_be_read(node: Cluster) -> None:
    node.away = False
    executor = Executor(client_of(node), "docs", schema_ttl=None)
    known = executor.target()
    node.away = True
    for _ in range(3):
        with pytest.raises(PlanError):
            executor.retrieve(Nearest("other"), QUERY, OF_A)
    asked = node.paths.count("GET /collections/docs")
    executor.retrieve(NEAREST, QUERY, OF_A)
    executor.retrieve(NEAREST, QUERY, OF_A)
    assert executor.target() is known
    assert node.paths.count("GET /collections/docs") == asked


@BOTH
@pytest.mark.parametrize(
    "telemetry",
    [
        (403, {"status": {"error": "Forbidden"}}),
        (200, {"result": {"collections": {"number_of_collections": 0, "collections": []}}}),
        (200, {"result": {"collections": {"number_of_collections": 1}}}),
        (200, []),
    ],
    ids=["forbidden", "not told of it", "too few details", "nonsense"],
)
def test_where_the_node_tells_nothing_the_first_failure_is_raised(node: Cluster, kind: str, telemetry: Any) -> None:
    node.telemetry = telemetry
    with pytest.raises(UnexpectedResponse, match="500") as error:
        retrieved(kind, node)
    assert "reading the schema of 'docs'" in error.value.__notes__[0]


@BOTH
def test_a_failure_of_another_kind_asks_no_node(node: Cluster, kind: str) -> None:
    node.status = 403
    with pytest.raises(UnexpectedResponse, match="403"):
        retrieved(kind, node)
    assert "GET /telemetry" not in node.paths


def test_a_server_that_is_not_there_is_not_asked_once_more() -> None:
    with Cluster() as stub:
        client = client_of(stub)
    with pytest.raises(ResponseHandlingException) as error:
        Executor(client, "docs").target()
    assert run_calls(ask_node_schema(client, "docs", error.value)) is None


def test_a_server_that_waits_for_a_node_in_vain_is_asked_what_it_knows(node: Cluster) -> None:
    waited = ResponseHandlingException(httpx.ReadTimeout("timed out"))
    schema = run_calls(ask_node_schema(client_of(node), "docs", waited))
    assert schema is not None
    assert schema.vectors == {"": VectorInfo("dense", 2, models.Distance.EUCLID)}


def test_over_grpc_the_node_is_asked_by_rest(node: Cluster) -> None:
    with StubGrpc(size=2) as grpc, warnings.catch_warnings():
        grpc.away = AWAY
        warnings.simplefilter("error")
        client = QdrantClient(url=node.url, grpc_port=grpc.port, prefer_grpc=True, check_compatibility=False)
        executor = Executor(client, "docs")
        with pytest.warns(PlanWarning, match=ONE_NODE):
            assert [point.id for point in executor.retrieve(NEAREST, QUERY, OF_A)] == [1]
        client.close()
