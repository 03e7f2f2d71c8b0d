"""Collections compared by distance: whatever is made of the nodes, the nearest come first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import MockEmbedding
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from qdrant_client import QdrantClient, models

from llama_index_qdrant_rerank import QdrantRerankPostprocessor, QdrantRerankRetriever, RerankerPostprocessor, search_tool
from qdrant_rerank import Formula, field, score
from qdrant_rerank.errors import PlanWarning
from qdrant_rerank.expressions import rerank_score
from tests.llama_index.stores import ranking

HERE = QueryBundle("here", embedding=[0.0, 0.0])
FALLING = [("0", 0.0), ("1", -1.0), ("2", -2.0), ("3", -3.0)]
OVER_NODES = Formula(score() + 0.1 * field("popularity", default=0))


@pytest.fixture(params=[models.Distance.EUCLID, models.Distance.MANHATTAN])
def client(request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    client.create_collection("places", vectors_config=models.VectorParams(size=2, distance=request.param))
    payloads = {n: {"text": f"d{n}", "popularity": 0.0} for n in range(5)}
    client.upsert("places", [models.PointStruct(id=n, vector=[n, 0.0], payload=payload) for n, payload in payloads.items()])
    yield client
    client.close()


def retriever(client: QdrantClient, **settings: Any) -> QdrantRerankRetriever:
    place: dict[str, Any] = {"client": client, "collection_name": "places", "embed_model": MockEmbedding(embed_dim=2)}
    return QdrantRerankRetriever(**place, payload="flat", similarity_top_k=4, **settings)


def over_nodes(client: QdrantClient, source: Any) -> QdrantRerankPostprocessor:
    embedding = MockEmbedding(embed_dim=2)
    return QdrantRerankPostprocessor(
        OVER_NODES, client=client, collection_name="places", embed_model=embedding, score_source=source
    )


def reranking(client: QdrantClient | None = None, source: Any = None) -> RerankerPostprocessor:
    return RerankerPostprocessor(reranker=lambda query, texts: [0.0] * len(texts), blend=rerank_score() + score())


def test_nodes_are_scored_by_minus_the_distance(client: QdrantClient) -> None:
    assert ranking(retriever(client).retrieve(HERE)) == FALLING
    [found] = retriever(client).retrieve_batch([HERE])
    assert ranking(found) == FALLING
    explained = retriever(client, explanations=True).retrieve(HERE)
    assert [each.metadata["_explanation"]["score"] for each in explained] == [0.0, -1.0, -2.0, -3.0]
    near = SimilarityPostprocessor(similarity_cutoff=-1.0).postprocess_nodes(explained)  # LlamaIndex's own
    assert [each.text for each in near] == ["d0", "d1"]


@pytest.mark.parametrize("make", [over_nodes, reranking])
@pytest.mark.parametrize("source", ["qdrant", "nodes"])
def test_postprocessors_read_minus_the_distance(client: QdrantClient, make: Any, source: str) -> None:
    found = make(client, source).postprocess_nodes(retriever(client).retrieve(HERE), query_bundle=HERE)
    assert ranking(found) == FALLING


def test_a_tool_is_in_doubt_of_what_is_far(client: QdrantClient) -> None:
    far = retriever(client)
    assert "Low confidence" in search_tool(far, low_confidence=-0.5).call(query="far").content  # MockEmbedding is 0.5, 0.5
    assert "Low confidence" not in search_tool(far, low_confidence=-1.5).call(query="near").content


@pytest.mark.parametrize("make", [over_nodes, reranking])
def test_scores_of_others_that_rise_as_distances_do_are_warned_of(client: QdrantClient, make: Any) -> None:
    given = [NodeWithScore(node=TextNode(id_=str(n), text=f"d{n}"), score=float(n)) for n in range(4)]
    with pytest.warns(PlanWarning, match=r"rise from the first result \(0\) to the last \(3\)"):
        make(client, "nodes").postprocess_nodes(given, query_bundle=HERE)
