"""What a server is sent for one search: how many requests, and how many bytes. Counts, which don't wobble as times do.

Who makes a request longer sees it here, and raises a bound for a reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Coefficients,
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    Strategy,
    decay_exp,
    field,
    param,
    score,
    sigmoid,
    when,
)
from tests.stub_qdrant import StubQdrant, collection

HYBRID = Nearest("dense", limit=50), Nearest("bm25", limit=50)
NEW = models.FieldCondition(key="category", match=models.MatchValue(value="new"))
TERMS = sum((0.125 * field(f"x{number}", default=0.0) for number in range(19)), 0.5 * score("dense"))
STRATEGIES: dict[str, tuple[Strategy, int, int]] = {
    "nearest": (Nearest("dense"), 1, 110),
    "hybrid": (Fusion.rrf().over(*HYBRID), 1, 250),
    "hybrid, weighted": (Fusion.rrf(k=61, weights=[2, 1]).over(*HYBRID), 1, 270),
    "formula over hybrid": (Formula(0.5 * score("dense") + 0.25 * field("stars", default=3.0)).over(*HYBRID), 1, 500),
    "six kinds of terms over hybrid": (
        Formula(
            sigmoid(0.5 * score("dense") + 0.25 * score("bm25"))
            + when(NEW, 0.25)
            + decay_exp(field("age", default=0.0), scale=30.0)
            + param("budget") * field("price", default=1.0)
        ).over(*HYBRID),
        1,
        800,
    ),
    "20 terms": (Formula(TERMS).over(Nearest("dense", limit=50)), 1, 1_900),
    "mmr": (Mmr("dense", diversity=0.5, candidates_limit=50), 1, 160),
    "rescoring": (Nearest("dense").over(Nearest("bm25", limit=50)), 1, 210),
    "rerank": (Rerank(reads=2).over(Nearest("dense")), 1, 110),
    "relevance feedback": (
        RelevanceFeedback(seeds=Nearest("dense", limit=2), coefficients=Coefficients(1.0, 0.5, 0.5), trust=True),
        2,
        280,
    ),
}
QUERY = Query(
    "a query",
    {"dense": [0.5, 0.25, 0.125, 1.0], "bm25": models.SparseVector(indices=[1, 2], values=[0.5, 1.0])},
    {"budget": 2.0},
)
ASKED = SearchOptions(limit=2)


@pytest.fixture
def stub() -> Iterator[StubQdrant]:
    points = [
        {"id": n, "score": 0.5 - n / 8, "payload": {"text": "a text"}, "vector": {"dense": [1.0, 0.0, 0.0, n]}} for n in (1, 2)
    ]
    with StubQdrant(points, {"docs": collection({"dense": 4}, ["bm25"])}) as stub:
        yield stub


def sent(stub: StubQdrant) -> list[int]:
    """The bytes of each search that it received."""
    return [int(request.headers["content-length"]) for request in stub.received if "/points/query" in request.path]


@pytest.mark.parametrize("name", STRATEGIES)
async def test_a_search_has_so_many_requests_and_bytes(stub: StubQdrant, name: str) -> None:
    strategy, requests, most = STRATEGIES[name]
    client = QdrantClient(url=stub.url, check_compatibility=False)
    executor = Executor(client, "docs", reranker=lambda query, texts: [0.5 - n / 8 for n in range(len(texts))])
    asynchronous = AsyncExecutor(client, "docs", reranker=executor.reranker)
    executor.retrieve(strategy, QUERY, ASKED)
    await asynchronous.retrieve(strategy, QUERY, ASKED)  # the first, which read the schema and what points tell
    stub.received.clear()
    executor.retrieve(strategy, QUERY, ASKED)
    once = list(stub.received)
    assert len(once) == requests
    assert sum(sent(stub)) <= most
    await asynchronous.retrieve(strategy, QUERY, ASKED)
    assert [(each.path, each.body) for each in stub.received[requests:]] == [(each.path, each.body) for each in once]
    await asynchronous.aclose()
    client.close()
