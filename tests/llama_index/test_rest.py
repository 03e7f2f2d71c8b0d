"""Over HTTP: native async, one request for each query, and what is sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from llama_index_qdrant_rerank import QdrantRerankPostprocessor, QdrantRerankRetriever
from qdrant_rerank import Formula, Nearest, field, score, to_json
from qdrant_rerank.expressions import when
from tests.llama_index.stores import QUERY, TinyEmbedding, node, node_id, ranking
from tests.stub_qdrant import Received, StubQdrant

POINTS = [{"id": node_id(n), "score": 1.0 - n / 10, "payload": node_to_metadata_dict(node(n))} for n in range(3)]
META = ["GET /", "GET /collections/docs"]
SEARCH = "POST /collections/docs/points/query"


class Stub(StubQdrant):
    """Answers a search alone as well as batches."""

    def answer(self, request: Received) -> tuple[int, Any]:
        if request.path.endswith("/points/query"):
            return 200, {"result": {"points": self.points[: request.body["limit"]]}, "status": "ok", "time": 0.0}
        return super().answer(request)

    @property
    def asked(self) -> list[str]:
        """The requests so far; a batch of searches and one alone are both a round trip."""
        return [path.removesuffix("/batch") for path in self.paths]

    @property
    def bodies(self) -> list[Any]:
        """The searches so far."""
        sent = [request.body for request in self.received if request.body is not None]
        return [search for body in sent for search in body.get("searches", [body])]


def async_client(stub: Stub) -> AsyncQdrantClient:
    return AsyncQdrantClient(url=stub.url, check_compatibility=False)


async def test_an_async_query_is_one_request_with_an_async_client_alone() -> None:
    with Stub(POINTS) as stub:
        client = async_client(stub)
        own = QdrantRerankRetriever(async_client=client, collection_name="docs", embed_model=TinyEmbedding(), timeout=7)
        found = await own.aretrieve(QUERY)
        await own.aretrieve(QUERY)
        await client.close()
    assert ranking(found) == [(node_id(0), 1.0), (node_id(1), 0.9)]
    assert stub.asked == [*META, SEARCH, SEARCH]
    assert stub.received[-1].parameters == {"timeout": "7"}


def test_a_large_formula_is_computed_here_in_one_request() -> None:
    early = [models.FieldCondition(key="number", range=models.Range(lte=bound / 1000)) for bound in range(1000)]
    large = Formula(sum((when(each, -0.001) for each in early), score())).over(Nearest(limit=50))
    with Stub(POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        own = QdrantRerankRetriever(client=client, collection_name="docs", embed_model=TinyEmbedding(), strategy=large)
        found = own.retrieve(QUERY)
        client.close()
    assert stub.asked == [*META, SEARCH]
    [body] = stub.bodies
    assert (body["limit"], [type(number) for number in body["query"]]) == (50, [float] * len(body["query"]))
    assert ranking(found) == [(node_id(0), 1.0), (node_id(1), 0.9)]


def test_a_function_makes_an_async_client_for_each_event_loop() -> None:
    with Stub(POINTS) as stub:
        made: list[AsyncQdrantClient] = []

        def make() -> AsyncQdrantClient:
            made.append(async_client(stub))
            return made[-1]

        own = QdrantRerankRetriever(async_client=make, collection_name="docs", embed_model=TinyEmbedding())

        async def twice() -> None:
            await own.aretrieve(QUERY)
            await own.aretrieve(QUERY)
            await made[-1].close()

        asyncio.run(twice())
        asyncio.run(twice())
    assert len(made) == 2
    assert stub.asked == [*META, SEARCH, SEARCH, SEARCH, SEARCH]


async def test_a_batch_is_one_request() -> None:
    with Stub(POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        own = QdrantRerankRetriever(client=client, collection_name="docs", embed_model=TinyEmbedding())
        found = await asyncio.to_thread(own.retrieve_batch, [QUERY, "dog", "fox"])
        client.close()
    assert [len(each) for each in found] == [2, 2, 2]
    assert stub.asked == [*META, SEARCH]


async def test_rescoring_asks_for_the_nodes_points_and_no_payload() -> None:
    with Stub(POINTS) as stub:
        client = async_client(stub)
        own = QdrantRerankPostprocessor(
            Formula(score() + field("popularity", default=0)),
            async_client=client,
            collection_name="docs",
            embed_model=TinyEmbedding(),
        )
        given = [NodeWithScore(node=TextNode(id_=each), score=0.1) for each in (node_id(1), node_id(0), "other")]
        found = await own.apostprocess_nodes(given, query_str=QUERY)
        await client.close()
    assert ranking(found) == [(node_id(0), 1.0), (node_id(1), 0.9), ("other", None)]
    [search] = stub.bodies
    assert search["filter"] == {"must": [{"has_id": [node_id(1), node_id(0)]}]}
    assert search["limit"] == 2
    assert search["with_payload"] is False
    assert search["prefetch"][0]["limit"] == 100
    assert "query" in search["prefetch"][0]


async def test_a_formula_without_score_sends_no_vector_and_the_nodes_scores_go_with_their_ids() -> None:
    with Stub(POINTS) as stub:
        client = async_client(stub)
        given = [NodeWithScore(node=TextNode(id_=node_id(n)), score=s) for n, s in ((0, 0.5), (1, 0.25), (2, 0.5))]
        for strategy, source in ((Formula(field("popularity", default=0)), "qdrant"), (Formula(2 * score()), "nodes")):
            settings = {"strategy": json.loads(to_json(strategy)), "collection_name": "docs", "score_source": source}
            own = QdrantRerankPostprocessor.from_dict(settings, async_client=client)
            await own.apostprocess_nodes(given)
        await client.close()
    listed, scored = stub.bodies
    assert listed["prefetch"] == [{"limit": 100}]
    has = [{"has_id": [node_id(0), node_id(2)]}, {"has_id": [node_id(1)]}]
    terms = [{"mult": [has[0], 0.5]}, {"mult": [has[1], 0.25]}]
    [inner] = scored["prefetch"]
    assert (inner["prefetch"], inner["limit"], inner["query"]["formula"]) == ([{"limit": 100}], 100, {"sum": terms})
    assert scored["query"]["formula"] == {"mult": [2.0, "$score"]}
