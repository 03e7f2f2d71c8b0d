"""Retrievers and postprocessors make their requests again where they are told to."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse

from llama_index_qdrant_rerank import QdrantRerankPostprocessor, QdrantRerankRetriever, RerankerPostprocessor
from qdrant_rerank import Formula, Nearest, Retries, StrategyError, score
from tests.llama_index.stores import QUERY, TinyEmbedding, node, node_id
from tests.stub_qdrant import Received, StubQdrant
from tests.support import refused

POINTS = [{"id": node_id(n), "score": 1.0 - n / 10, "payload": node_to_metadata_dict(node(n))} for n in range(3)]


class Busy(StubQdrant):
    """Refuses the first searches, as a server does that starts."""

    refusals = 0

    def answer(self, request: Received) -> tuple[int, Any]:
        if "/points/query" in request.path and self.refusals:
            self.refusals -= 1
            return 503, {"status": {"error": "Service is starting"}, "time": 0.0}
        return super().answer(request)


async def test_requests_are_made_again_where_they_are_told_to() -> None:
    pauses: list[float] = []

    async def later(seconds: float) -> None:
        pauses.append(seconds)

    policy = Retries(2, sleep=pauses.append, asleep=later)
    with Busy(POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        place: dict[str, Any] = {"client": client, "collection_name": "docs"}
        retriever = QdrantRerankRetriever(**place, embed_model=TinyEmbedding(), strategy=Nearest(), retries=policy)
        stub.refusals = 2
        assert len(retriever.retrieve(QUERY)) == 2
        stub.refusals = 2
        assert len(await retriever.aretrieve(QUERY)) == 2
        ranker = QdrantRerankPostprocessor(Formula(score()), **place, embed_model=TinyEmbedding(), retries=policy)
        stub.refusals = 2
        nodes = [NodeWithScore(node=TextNode(id_=node_id(n), text="x")) for n in range(3)]
        assert len(ranker.postprocess_nodes(nodes, query_str=QUERY)) == 3
        assert len(pauses) == 6
        stub.refusals = 1
        with pytest.raises(UnexpectedResponse):
            QdrantRerankRetriever(**place, embed_model=TinyEmbedding(), strategy=Nearest()).retrieve(QUERY)
        client.close()


def test_odd_numbers_of_retries_are_refused() -> None:
    place: dict[str, Any] = {"client": QdrantClient(":memory:"), "collection_name": "docs"}
    with refused(StrategyError, "retries must be a whole number of at least 0, got -1"):
        QdrantRerankRetriever(**place, retries=-1)
    with refused(StrategyError, "retries"):
        QdrantRerankPostprocessor(Formula(score()), **place, retries=-1)
    with refused(TypeError, "retries"):
        RerankerPostprocessor(lambda query, texts: [1.0] * len(texts), retries=1)  # type: ignore[call-arg]
