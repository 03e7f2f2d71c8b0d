"""Collections compared by distance: whatever is made of the documents, the nearest come first."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankCompressor, QdrantRerankRetriever, search_tool
from qdrant_rerank import Query
from qdrant_rerank.errors import PlanWarning
from qdrant_rerank.expressions import rerank_score, score

HERE = Query("here", vectors={"": [0.0, 0.0]})
BLEND = rerank_score() + score()


@pytest.fixture(params=[models.Distance.EUCLID, models.Distance.MANHATTAN])
def retriever(request: pytest.FixtureRequest) -> Iterator[QdrantRerankRetriever]:
    client = QdrantClient(":memory:")
    client.create_collection("places", vectors_config=models.VectorParams(size=2, distance=request.param))
    client.upsert("places", [models.PointStruct(id=n, vector=[n, 0.0], payload={"text": f"d{n}"}) for n in range(5)])
    yield QdrantRerankRetriever(
        client=client, collection_name="places", payload="flat", score_key="score", encoders={"": lambda text: [0.0, 0.0]}
    )
    client.close()


def compress(given: list[Document]) -> list[str]:
    compressor = QdrantRerankCompressor(reranker=lambda query, texts: [0.0] * len(texts), blend=BLEND)
    return [document.page_content for document in compressor.compress_documents(given, "here")]


def test_a_compressors_blend_reads_minus_the_distance(retriever: QdrantRerankRetriever) -> None:
    found = retriever.invoke("here")
    assert [document.metadata["score"] for document in found] == [0.0, -1.0, -2.0, -3.0]
    assert compress(found) == ["d0", "d1", "d2", "d3"]
    assert [number for _, number in retriever.search_with_scores(HERE)] == [0.0, -1.0, -2.0, -3.0]
    assert [document.metadata["score"] for document in retriever.search_batch([HERE])[0]] == [0.0, -1.0, -2.0, -3.0]


def test_an_explanation_says_the_same_score(retriever: QdrantRerankRetriever) -> None:
    second = retriever.invoke("here", explanations=True)[1]
    assert (second.metadata["score"], second.metadata["_explanation"]["score"]) == (-1.0, -1.0)


def test_the_threshold_is_a_distance(retriever: QdrantRerankRetriever) -> None:
    assert len(retriever.invoke("here", score_threshold=1.5)) == 2


def test_a_tool_is_in_doubt_of_what_is_far(retriever: QdrantRerankRetriever) -> None:
    tool = search_tool(retriever, low_confidence=-0.5)
    assert "Low confidence" not in tool.invoke({"query": "here"})
    far = retriever.model_copy(update={"encoders": {"": lambda text: [-9.0, 0.0]}})
    assert "the best score is -9.00, below -0.5" in search_tool(far, low_confidence=-0.5).invoke({"query": "far"})


@pytest.mark.parametrize(
    ("scores", "doubtful"),
    [([0, 1, 2, 3], True), ([0, 0, 0, 3], True), ([0, 1, 2], False), ([1, 1, 1, 1], False), ([0, 1, 3, 2], False)],
)
def test_scores_of_others_that_rise_as_distances_do_are_warned_of(scores: list[float], doubtful: bool) -> None:
    given = [Document(page_content=f"d{n}", metadata={"score": number}) for n, number in enumerate(scores)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        compress(given)
    assert [warning.category for warning in told] == [PlanWarning] * doubtful
    plain: Any = QdrantRerankCompressor(reranker=lambda query, texts: [0.0] * len(texts), blend=rerank_score() * 2)
    plain.compress_documents(given, "here")  # which doesn't read them
