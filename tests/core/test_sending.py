"""A request that is there already goes to a server as it is; through the client's own methods where that may differ."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Formula, Fusion, Mmr, Nearest, Query, SearchOptions, Strategy, field, score
from qdrant_rerank.models import ServerInference
from tests.stub_qdrant import StubQdrant, collection, meaning

pytestmark = pytest.mark.filterwarnings(
    "ignore::qdrant_rerank.PlanWarning"
)  # of the strategies, on collections with shard keys
POINTS = [{"id": number, "version": 0, "score": 1 / number, "payload": {"text": f"text {number}"}} for number in (1, 2, 3)]
ASKED = Query(vectors={"dense": [0.1, 1e-7, 3.0, -2.5e10], "sparse": models.SparseVector(indices=[1, 7], values=[0.5, 1.0])})
QUIET: Any = {"check_compatibility": False}
LEAVES = Nearest("dense", limit=9), Nearest("sparse", limit=9)
RUSSIAN = models.Filter(must=[models.FieldCondition(key="lang", match=models.MatchValue(value="ру"))])
STRATEGIES: dict[str, Strategy] = {
    "dense": Nearest("dense", filter=RUSSIAN),
    "sparse": Nearest("sparse"),
    "rrf": Fusion.rrf().over(*LEAVES),
    "dbsf": Fusion.dbsf().over(*LEAVES),
    "mmr": Mmr("dense", diversity=0.3).over(LEAVES[0]),
    "formula": Formula(score() + 0.3 * field("stars", default=1)).over(Fusion.rrf().over(*LEAVES)),
}
OPTIONS = {
    "few": SearchOptions(limit=2),
    "all": SearchOptions(
        limit=2,
        offset=1,
        filter=RUSSIAN,
        score_threshold=-1e9,
        search_params=models.SearchParams(exact=True),
        with_payload=["text"],
        consistency=models.ReadConsistencyType.MAJORITY,
        timeout=9.0,
        shard_key_selector="a",
    ),
}


class Own(QdrantClient):
    """A user's client, whose methods may be anything."""


class OwnAsync(AsyncQdrantClient):
    """The same, awaited."""


@pytest.fixture
def stub() -> Iterator[StubQdrant]:
    docs = collection({"dense": 4}, ["sparse"])
    docs["config"]["params"]["sharding_method"] = "custom"
    with StubQdrant(POINTS, {"docs": docs}) as server:
        yield server


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of clients that were called, as a tracer writes them down."""
    made: list[str] = []

    def traced(kind: Any, name: str) -> Callable[..., Any]:
        method = getattr(kind, name)

        @functools.wraps(method)
        def call(self: Any, *args: Any, **options: Any) -> Any:
            made.append(name)
            return method(self, *args, **options)

        return call

    for kind in (QdrantClient, AsyncQdrantClient):
        for name in ("query_points", "query_batch_points"):
            monkeypatch.setattr(kind, name, traced(kind, name))
    return made


def last_sent(stub: StubQdrant) -> tuple[str, Any, Any]:
    sent = [each for each in stub.received if "/points/query" in each.path][-1]
    parameters: dict[str, Any] = dict(sent.parameters)
    if "timeout" in parameters:  # whole seconds of what is left: on a busy machine a second passes before the first request
        parameters["timeout"] = 4 <= int(parameters["timeout"]) <= 9
    return sent.path, parameters, meaning(sent.body.get("searches", [sent.body]))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_sent_is_what_the_clients_own_methods_send(stub: StubQdrant, strategy: str, options: str) -> None:
    way, found = {}, {}
    for client in (QdrantClient(url=stub.url, **QUIET), Own(url=stub.url, **QUIET)):
        executor = Executor(client, "docs")
        alone = executor.retrieve(STRATEGIES[strategy], ASKED, OPTIONS[options])
        sent_alone = last_sent(stub)
        batch = executor.retrieve_batch(STRATEGIES[strategy], [ASKED, ASKED], OPTIONS[options])
        way[type(client)], found[type(client)] = (sent_alone, last_sent(stub)), (alone, batch)
        client.close()
    assert (
        sum("with_vector" in each for each in stub.searches) == len(stub.searches) // 6
    )  # lone ones of `Own`, not its batches
    assert way[QdrantClient] == way[Own]
    assert all("'nearest': [" not in str(each) or "mmr" in str(each) for each in stub.searches[:3])
    assert found[QdrantClient] == found[Own]


async def test_async_clients_send_the_same(stub: StubQdrant) -> None:
    way, found = [], []
    for client in (
        AsyncQdrantClient(url=stub.url, **QUIET),
        OwnAsync(url=stub.url, **QUIET),
    ):
        executor = AsyncExecutor(async_client=client, collection="docs")
        alone = await executor.retrieve(STRATEGIES["formula"], ASKED, OPTIONS["all"])
        sent_alone = last_sent(stub)
        batch = await executor.retrieve_batch(STRATEGIES["formula"], [ASKED, ASKED], OPTIONS["all"])
        way.append((sent_alone, last_sent(stub)))
        found.append((alone, batch))
        await client.close()
    assert way[0] == way[1]
    assert found[0] == found[1]


def test_who_traces_the_clients_methods_sees_all_calls(stub: StubQdrant, called: list[str]) -> None:
    with Executor(QdrantClient(url=stub.url, **QUIET), "docs") as executor:
        executor.retrieve(STRATEGIES["dense"], ASKED)
        executor.retrieve_batch(STRATEGIES["dense"], [ASKED, ASKED])
    assert called == ["query_points", "query_batch_points"]


async def test_who_traces_async_methods_sees_all_calls(stub: StubQdrant, called: list[str]) -> None:
    async with AsyncExecutor(QdrantClient(url=stub.url, **QUIET), "docs") as executor:
        await executor.retrieve(STRATEGIES["dense"], ASKED)
        await executor.retrieve_batch(STRATEGIES["dense"], [ASKED, ASKED])
    assert called == ["query_points", "query_batch_points"]


def test_a_method_of_ones_own_on_a_client_is_called(stub: StubQdrant) -> None:
    client: Any = QdrantClient(url=stub.url, **QUIET)
    made = []
    query_points = client.query_points

    def counted(*args: Any, **options: Any) -> Any:
        made.append(1)
        return query_points(*args, **options)

    client.query_points = counted
    Executor(client, "docs").retrieve(STRATEGIES["dense"], ASKED)
    assert made == [1]


@pytest.mark.parametrize("strategy", ["dense", "rrf", "formula"])
def test_text_that_may_have_to_be_embedded_goes_through_the_clients_methods(stub: StubQdrant, strategy: str) -> None:
    encoders = {"dense": ServerInference("model", kind="dense", size=4), "sparse": ServerInference("bm25", kind="sparse")}
    ways = []
    for kind in (QdrantClient, Own):
        executor = Executor(kind(url=stub.url, **QUIET, cloud_inference=True), "docs", encoders=encoders)
        executor.retrieve(STRATEGIES[strategy], Query("text"))
        ways.append(last_sent(stub))
    assert ways[0] == ways[1]
    assert "'text': 'text'" in str(ways[0])


def test_queries_that_are_no_vectors_go_through_the_clients_methods(stub: StubQdrant) -> None:
    class Recommend(Nearest):
        """A user's kind of search: like a point, by its id."""

        def request(self, inputs: Any, options: SearchOptions) -> Any:
            query = models.RecommendQuery(recommend=models.RecommendInput(positive=[1]))
            return super().request(inputs, options).model_copy(update={"query": query})

    for kind in (QdrantClient, Own):
        Executor(kind(url=stub.url, **QUIET), "docs").retrieve(Recommend("dense"), ASKED)
    assert stub.searches[0] == stub.searches[1]
    assert stub.searches[0]["query"] == {"recommend": {"positive": [1]}}


def test_threads_that_leave_together_send_the_requests_as_they_are(stub: StubQdrant) -> None:
    async def searches(client: Any) -> None:
        executor = AsyncExecutor(async_client=client, collection="docs")
        await executor.retrieve(STRATEGIES["formula"], ASKED)
        await asyncio.gather(*(executor.retrieve(STRATEGIES["formula"], ASKED) for _ in range(12)))
        await client.close()

    asyncio.run(searches(AsyncQdrantClient(url=stub.url, **QUIET)))
    asyncio.run(searches(OwnAsync(url=stub.url, **QUIET)))
    assert len(stub.searches) == 26
    assert all(meaning(each) == meaning(stub.searches[0]) for each in stub.searches)
    assert any(path.endswith("/batch") for path in stub.paths)


def test_what_a_client_copies_is_copied_no_deeper_than_it_writes(stub: StubQdrant) -> None:
    class Noting(QdrantClient):
        def query_batch_points(self, collection_name: str, requests: Any, *args: Any, **options: Any) -> Any:
            self.lent = list(requests)
            return super().query_batch_points(collection_name, requests, *args, **options)

    client = Noting(url=stub.url, **QUIET)
    Executor(client, "docs").retrieve_batch(STRATEGIES["dense"], [ASKED, ASKED])
    lent = client.lent[0]
    assert isinstance(lent, models.QueryRequest)
    first = copy.deepcopy(lent)
    assert type(first) is models.QueryRequest
    assert first.model_dump_json(exclude_unset=True) == lent.model_dump_json(exclude_unset=True)
    assert first.query is lent.query
    assert copy.deepcopy(first).query is not lent.query  # as the client copies what it embeds itself
    first.query = None
    assert lent.query is not None


CLIENTS: dict[str, dict[str, Any]] = {
    "a key": {"url": "http://qdrant:6333", "api_key": "secret"},
    "headers": {"url": "http://qdrant:6333", "headers": {"x-tenant": "a", "accept-encoding": "identity"}, "timeout": 7},
    "a prefix": {"host": "qdrant", "prefix": "behind/a proxy"},
    "a user in the address": {"url": "http://user:word@qdrant:6333"},
    "authentication": {"url": "http://qdrant:6333", "auth": httpx.BasicAuth("user", "word")},
    "cookies": {"url": "http://qdrant:6333", "cookies": {"route": "node-1"}},
    "parameters": {"url": "http://qdrant:6333", "params": {"token": "a b"}},
}


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection:UserWarning")
@pytest.mark.parametrize("seconds", [None, 3.95])  # sent in whole seconds: nearly one may pass
@pytest.mark.parametrize("options", CLIENTS)
def test_what_a_client_says_of_its_requests_is_said_of_these(options: str, seconds: float | None) -> None:
    sent: dict[type, list[Any]] = {QdrantClient: [], Own: []}

    def answering(kind: type) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            if "/points/query" in request.url.path:
                length = {"content-length": "", "user-agent": ""}
                timeout = request.extensions["timeout"]
                sent[kind].append((request.method, str(request.url), {**request.headers, **length}, timeout))
                found: Any = {"points": POINTS}
                return httpx.Response(200, json={"result": [found, found] if request.url.path.endswith("batch") else found})
            if "/collections/" in request.url.path:
                return httpx.Response(200, json={"result": collection({"dense": 4}, ["sparse"])})
            return httpx.Response(200, json={"title": "qdrant", "version": "1.20.0"}, headers={"set-cookie": "seen=1"})

        return httpx.MockTransport(answer)

    for kind in (QdrantClient, Own):
        executor = Executor(kind(**CLIENTS[options], **QUIET, transport=answering(kind)), "docs")
        asked = SearchOptions(timeout=seconds)
        executor.retrieve(STRATEGIES["dense"], ASKED, asked)
        executor.retrieve_batch(STRATEGIES["dense"], [ASKED, ASKED], asked)
    assert sent[QdrantClient] == sent[Own]
    assert len(sent[Own]) == 2
    assert "seen=1" in sent[Own][0][2]["cookie"]


def test_a_function_of_somebodys_in_the_place_of_a_method_is_called(stub: StubQdrant, monkeypatch: pytest.MonkeyPatch) -> None:
    original, made = QdrantClient.query_points, list[Any]()

    def own(self: QdrantClient, *args: Any, **options: Any) -> Any:
        made.append(options)
        return original(self, *args, **options)

    monkeypatch.setattr(QdrantClient, "query_points", own)
    Executor(QdrantClient(url=stub.url, **QUIET), "docs").retrieve(STRATEGIES["dense"], ASKED)
    assert len(made) == 1


@pytest.mark.parametrize("part", [lambda client: client._client, lambda client: client.http.search_api])
def test_a_double_beneath_a_client_is_called(stub: StubQdrant, part: Callable[[QdrantClient], Any]) -> None:
    client = QdrantClient(url=stub.url, **QUIET)
    executor = Executor(client, "docs")
    executor.retrieve(STRATEGIES["dense"], ASKED)
    beneath, made = part(client), list[Any]()
    original = beneath.query_points

    def counted(*args: Any, **options: Any) -> Any:
        made.append(options)
        return original(*args, **options)

    beneath.query_points = counted
    executor.retrieve(STRATEGIES["dense"], ASKED)
    assert len(made) == 1


def test_a_connection_that_is_replaced_is_used_from_then_on(stub: StubQdrant) -> None:
    client = QdrantClient(url=stub.url, **QUIET)
    executor = Executor(client, "docs")
    executor.retrieve(STRATEGIES["dense"], ASKED)
    client.http.client._client.close()
    client.http.client._client = httpx.Client(headers={"x-route": "b"}, timeout=3)
    executor.retrieve(STRATEGIES["dense"], ASKED)
    assert "x-route" not in stub.received[-2].headers
    assert stub.received[-1].headers["x-route"] == "b"
    client.close()
