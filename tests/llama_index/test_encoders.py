"""`encoders=Encoders.of(…)`: an executor's encoders serve the retriever as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from llama_index_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Fusion, Nearest, Strategy, StrategyError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.models import Encoders
from tests.llama_index.stores import ranking
from tests.llama_index.test_retriever import retriever
from tests.support import COLLECTION, QUERY, bm25, colbert, dense, fill_toy

ENCODERS = Encoders.of({"colbert": colbert}, dense=dense, sparse=bm25)
STRATEGIES = {
    "dense": Nearest("dense"),
    "rrf": Fusion.rrf().over(Nearest("dense", limit=20), Nearest("bm25", limit=20)),
    "colbert": Nearest("colbert").over(Nearest("dense", limit=20)),
}


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_encoders_of_an_executor_embed_for_all_vectors(toy: QdrantClient, strategy: Strategy) -> None:
    expected = ranking(retriever(toy, strategy=strategy).retrieve(QUERY))
    made = QdrantRerankRetriever(client=toy, collection_name=COLLECTION, payload="flat", strategy=strategy, encoders=ENCODERS)
    assert ranking(made.retrieve(QUERY)) == expected
    assert ranking(await made.aretrieve(QUERY)) == expected


def test_from_edge_takes_them_too(tmp_path: Path, toy: QdrantClient) -> None:
    with EdgeClient(tmp_path / "qdrant") as client:
        fill_toy(client)
    arguments: dict[str, Any] = {"payload": "flat", "strategy": Nearest("dense"), "encoders": ENCODERS}
    made = QdrantRerankRetriever.from_edge(tmp_path / "qdrant", COLLECTION, **arguments)
    expected = ranking(retriever(toy, strategy=Nearest("dense")).retrieve(QUERY))
    assert [id for id, _ in ranking(made.retrieve(QUERY))] == [id for id, _ in expected]
    assert made.client is not None
    made.client.close()


def test_what_they_leave_open_the_embedding_model_embeds(toy: QdrantClient) -> None:
    expected = ranking(retriever(toy, strategy=STRATEGIES["rrf"]).retrieve(QUERY))
    assert ranking(retriever(toy, strategy=STRATEGIES["rrf"], encoders=Encoders.of(sparse=bm25)).retrieve(QUERY)) == expected


def test_what_are_no_encoders_are_refused(toy: QdrantClient) -> None:
    with pytest.raises(StrategyError, match="encoders takes encoders by vector name, or Encoders, got list"):
        retriever(toy, encoders=[dense])


def test_a_file_s_name_is_no_strategy_and_what_loads_it_is_said(toy: QdrantClient) -> None:
    with pytest.raises(StrategyError, match=r"pass load\('feedback.json'\)"):
        retriever(toy, strategy="feedback.json").retrieve(QUERY)
