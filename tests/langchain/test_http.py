"""The retriever over REST, against a loopback server that keeps what it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from langchain_qdrant_rerank import CallOptions, QdrantRerankRetriever
from qdrant_rerank import Executor, Formula, Nearest, PlanError, SearchOptions, ServerInference, field, score
from qdrant_rerank._internals import Inputs, Search, guard
from qdrant_rerank.expressions import when
from tests.langchain.support import QUERY, WordEmbeddings, WordSparse, ids, must
from tests.stub_qdrant import Received, StubQdrant, collection, meaning
from tests.support import bm25, dense

POINTS = [
    {"id": 3, "score": 0.9, "payload": {"page_content": "first", "metadata": {"year": 2024}}},
    {"id": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "score": 0.8, "payload": {"page_content": "second"}},
]
VECTOR = dense(QUERY)
NEWS = {"must": [{"key": "metadata.category", "match": {"value": "news"}}]}
STRATEGY = Formula(score() + 0.5 * field("metadata.rating", default=3.0)).over(Nearest("dense", limit=50))


@pytest.fixture
def stub() -> Iterator[StubQdrant]:
    with StubQdrant(POINTS, {"docs": collection({"dense": 4}, ["bm25"])}) as server:
        yield server


def over(stub: StubQdrant, **settings: Any) -> QdrantRerankRetriever:
    """A retriever over the stub, by URL alone."""
    defaults = {"embedding": WordEmbeddings(), "sparse_embedding": WordSparse()}
    return QdrantRerankRetriever.from_existing_collection("docs", url=stub.url, **{**defaults, **settings})


async def asked(retriever: QdrantRerankRetriever, is_async: bool, **options: Any) -> Any:
    return await retriever.ainvoke(QUERY, **options) if is_async else retriever.invoke(QUERY, **options)


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_body_is_the_request_filter_included(stub: StubQdrant, is_async: bool) -> None:
    retriever = over(stub, strategy=STRATEGY, filter=must("category", "news"), k=2)
    documents = await asked(retriever, is_async)
    assert stub.paths == ["GET /", "GET /collections/docs", "POST /collections/docs/points/query"]
    [body] = stub.searches
    assert (body["filter"], body["limit"], body["prefetch"][0]["limit"]) == (NEWS, 2, 50)
    plan = retriever._executor(Executor).plan(STRATEGY, SearchOptions(limit=2, filter=must("category", "news")))
    assert isinstance(plan.strategy, Formula)
    request = plan.strategy.request(Inputs(plan.target, {"dense": VECTOR}), plan.options)
    [request] = guard(Search([request], schema=plan.target.schema)).requests
    assert meaning(request.model_dump(mode="json", exclude_none=True)) == body
    assert ids(documents) == ["3", POINTS[1]["id"]]
    assert documents[0].metadata == {"year": 2024, "_id": 3, "_collection_name": "docs"}


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_query_after_the_first_is_one_http_request(stub: StubQdrant, is_async: bool) -> None:
    retriever = over(stub)
    await asked(retriever, is_async)
    stub.received.clear()
    await asked(retriever, is_async)
    assert stub.paths == ["POST /collections/docs/points/query"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_large_formula_is_computed_here_in_one_http_request(stub: StubQdrant, is_async: bool) -> None:
    later = [models.FieldCondition(key="metadata.year", range=models.Range(gte=year)) for year in range(1024, 2024)]
    large = Formula(sum((when(each, -0.001) for each in later), score())).over(Nearest("dense", limit=50))
    retriever = over(stub, strategy=large, k=2)
    documents = await asked(retriever, is_async)
    assert [request["query"] for request in stub.searches] == [VECTOR]
    assert stub.searches[0]["limit"] == 50
    assert ids(documents) == [POINTS[1]["id"], "3"]  # the first one is late
    found = await retriever.asearch_batch([QUERY, "b"]) if is_async else retriever.search_batch([QUERY, "b"])
    assert [ids(each) for each in found] == [[POINTS[1]["id"], "3"]] * 2
    assert stub.paths[-1] == "POST /collections/docs/points/query/batch"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_batch_is_one_http_request(stub: StubQdrant, is_async: bool) -> None:
    retriever = over(stub)
    await asked(retriever, is_async)
    stub.received.clear()
    found = await retriever.asearch_batch([QUERY, "b"]) if is_async else retriever.search_batch([QUERY, "b"])
    assert [ids(documents) for documents in found] == [["3", POINTS[1]["id"]]] * 2
    assert stub.paths == ["POST /collections/docs/points/query/batch"]
    assert len(stub.searches) == 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_groups_are_asked_of_their_own_endpoint(stub: StubQdrant, is_async: bool) -> None:
    documents = await asked(
        over(stub), is_async, options=SearchOptions(group_by="metadata.doc", group_size=2), filter=must("category", "news"), k=2
    )
    assert ids(documents) == ["3", POINTS[1]["id"]]
    assert stub.paths[-1] == "POST /collections/docs/points/query/groups"
    [body] = stub.searches
    assert (body["group_by"], body["group_size"], body["limit"], body["filter"]) == ("metadata.doc", 2, 2, NEWS)


OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "k": (7, {"limit": 7}),
    "filter": (must("category", "news"), {"filter": NEWS}),
    "score_threshold": (0.25, {"score_threshold": 0.25}),
    "offset": (5, {"offset": 5}),
    "vectors": ({"dense": [1.0, 2.0, 3.0, 4.0]}, {"query": [1.0, 2.0, 3.0, 4.0]}),
    "strategy": (Nearest("bm25"), {"using": "bm25"}),
}
FEW_NEED: dict[str, tuple[Any, dict[str, Any]]] = {
    "search_params": (models.SearchParams(exact=True, hnsw_ef=64), {"params": {"exact": True, "hnsw_ef": 64}}),
    "shard_key_selector": ("eu", {"shard_key": "eu"}),
    "group_by": ("metadata.doc", {"group_by": "metadata.doc", "group_size": 1}),
}
"""What goes into `options`."""
IN_OPTIONS = {key: (SearchOptions(**{key: value}), sent) for key, (value, sent) in FEW_NEED.items()}


OF_A_CALL = [(name, *example) for name, example in OPTIONS.items()]
OF_A_CALL += [("options", *example) for example in IN_OPTIONS.values()]


@pytest.mark.parametrize(("option", "value", "sent"), OF_A_CALL, ids=[*OPTIONS, *IN_OPTIONS])
async def test_an_option_of_a_call_is_sent(stub: StubQdrant, option: str, value: Any, sent: dict[str, Any]) -> None:
    retriever = over(stub)
    for is_async in (False, True):
        stub.received.clear()
        await asked(retriever, is_async, **{option: value})
        [body] = stub.searches
        assert {key: body.get(key) for key in sent} == sent


SETTINGS = [(key, *OPTIONS[key]) for key in ("k", "filter", "score_threshold")]
SETTINGS += [("options", *example) for example in IN_OPTIONS.values()]


@pytest.mark.parametrize(("setting", "value", "sent"), SETTINGS, ids=["k", "filter", "score_threshold", *IN_OPTIONS])
def test_a_setting_of_the_retriever_is_sent(stub: StubQdrant, setting: str, value: Any, sent: dict[str, Any]) -> None:
    over(stub, **{setting: value}).invoke(QUERY)
    [body] = stub.searches
    assert {key: body.get(key) for key in sent} == sent


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("by_call", [False, True])
async def test_consistency_and_timeout_are_sent(stub: StubQdrant, is_async: bool, by_call: bool) -> None:
    wanted: dict[str, Any] = {"options": SearchOptions(consistency=models.ReadConsistencyType.MAJORITY), "timeout": 3}
    if by_call:
        await asked(over(stub), is_async, **wanted)
    else:
        await asked(over(stub, **wanted), is_async)
    assert stub.received[-1].parameters == {"consistency": "majority", "timeout": "3"}


def test_the_options_that_are_tested_here_and_elsewhere_are_all() -> None:
    elsewhere = {"params", "verbose", "options", "timeout", "explanations"}
    assert OPTIONS.keys() | elsewhere == set(CallOptions.__annotations__)


@pytest.mark.parametrize("is_async", [False, True])
async def test_inference_by_the_server_needs_no_model_on_the_client(stub: StubQdrant, is_async: bool) -> None:
    encoders = {"bm25": ServerInference("qdrant/bm25", {"language": "english"})}
    retriever = over(stub, embedding=None, sparse_embedding=None, encoders=encoders, strategy=Nearest("bm25"))
    await asked(retriever, is_async)
    [body] = stub.searches
    assert body["query"]["nearest"] == {"text": QUERY, "model": "qdrant/bm25", "options": {"language": "english"}}


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_document_for_the_server_may_be_the_querys_vector(stub: StubQdrant, is_async: bool) -> None:
    retriever = over(stub, embedding=None, client_options={"cloud_inference": True})
    await asked(retriever, is_async, vectors={"dense": models.Document(text="other words", model="some/model")})
    [body] = stub.searches
    assert body["query"]["nearest"] == {"text": "other words", "model": "some/model"}


def test_sparse_embeddings_are_sent_as_a_sparse_vector(stub: StubQdrant) -> None:
    over(stub, strategy=Nearest("bm25")).invoke(QUERY)
    vector = bm25(QUERY)
    assert stub.searches[0]["query"] == {"indices": vector.indices, "values": vector.values}


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_key_and_headers_of_the_client_reach_the_server_under_async_too(stub: StubQdrant, is_async: bool) -> None:
    client = QdrantClient(url=stub.url, headers={"api-key": "k", "x-tenant": "t"}, check_compatibility=False)
    retriever = QdrantRerankRetriever(client=client, collection_name="docs", embedding=WordEmbeddings())
    await asked(retriever, is_async)
    assert {(request.headers.get("api-key"), request.headers.get("x-tenant")) for request in stub.received} == {("k", "t")}


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_collection_that_is_not_there_is_named_with_those_that_are(stub: StubQdrant, is_async: bool) -> None:
    retriever = over(stub)
    retriever.collection_name = "dosc"
    with pytest.raises(PlanError, match=r"no collection 'dosc'; this Qdrant has 'docs': did you mean 'docs'\?"):
        await asked(retriever, is_async)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_server_that_is_too_old_for_the_strategy_is_named(is_async: bool) -> None:
    with (
        StubQdrant(POINTS, {"docs": collection({"dense": 4})}, version="1.13.4") as stub,
        pytest.raises(PlanError, match=r"formula queries need Qdrant 1\.14; this is Qdrant 1\.13\.4"),
    ):
        await asked(over(stub, strategy=STRATEGY), is_async)
    assert stub.searches == []


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_error_of_the_server_passes_untouched(is_async: bool) -> None:
    class Refusing(StubQdrant):
        def answer(self, request: Received) -> tuple[int, Any]:
            if request.path.endswith("/points/query"):
                return 400, {"status": {"error": "too odd"}}
            return super().answer(request)

    with Refusing(POINTS, {"docs": collection({"dense": 4})}) as stub, pytest.raises(UnexpectedResponse, match="too odd"):
        await asked(over(stub), is_async)


def test_making_a_retriever_sends_nothing(stub: StubQdrant) -> None:
    over(stub)
    assert stub.received == []
