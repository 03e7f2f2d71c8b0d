"""`from_edge`: a retriever over a folder, which the Rust engine searches in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from llama_index_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Formula, Nearest, PlanError, field, score
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError
from tests.edge.support import patient_engine
from tests.engines import open_client
from tests.llama_index.stores import TinyEmbedding, ranking
from tests.llama_index.test_retriever import retriever
from tests.support import COLLECTION, QUERY, fill_toy

STRATEGY = Formula(score() + 0.1 * field("popularity", default=0)).over(Nearest(limit=24))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with EdgeClient(tmp_path / "qdrant") as client:
        fill_toy(client)
    return tmp_path / "qdrant"


def made(folder: Path, collection: str = COLLECTION, **arguments: Any) -> QdrantRerankRetriever:
    parts: dict[str, Any] = {"embed_model": TinyEmbedding(), "payload": "flat", "strategy": STRATEGY}
    return QdrantRerankRetriever.from_edge(folder, collection, **parts | arguments)


@pytest.fixture
def edge(folder: Path) -> Iterator[QdrantRerankRetriever]:
    found = made(folder, similarity_top_k=3)
    yield found
    assert found.client is not None
    found.client.close()


async def test_it_finds_what_local_mode_finds(edge: QdrantRerankRetriever, toy: QdrantClient) -> None:
    expected = retriever(toy, strategy=STRATEGY, similarity_top_k=3).retrieve(QUERY)
    assert len(expected) == 3
    answers = [edge.retrieve(QUERY), await edge.aretrieve(QUERY), *await edge.aretrieve_batch([QUERY], explanations=True)]
    for found in answers:
        assert [id for id, _ in ranking(found)] == [id for id, _ in ranking(expected)]
        assert [each.score for each in found] == pytest.approx([each.score for each in expected], rel=1e-6)
    assert sum(answers[-1][0].metadata["_explanation"]["terms"].values()) == pytest.approx(expected[0].score, rel=1e-5)


def test_a_folder_has_one_owner_until_its_client_is_closed(edge: QdrantRerankRetriever, folder: Path) -> None:
    edge.retrieve(QUERY)
    second = made(folder)
    with pytest.raises(ClientError, match="a collection on disk has one owner at a time"):
        second.retrieve(QUERY)
    assert edge.client is not None
    assert retriever(edge.client, strategy=STRATEGY).retrieve(QUERY)
    edge.client.close()
    assert second.retrieve(QUERY)
    assert second.client is not None
    second.client.close()


def test_wrong_arguments_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="there is no collection 'tyo'; this Qdrant has 'toy': did you mean 'toy'"):
        made(folder, "tyo").retrieve(QUERY)
    with pytest.raises(TypeError, match="top_k"):
        made(folder, top_k=3)
    with pytest.raises(TypeError, match="multiple values for keyword argument 'client'"):
        made(folder, client=open_client())
    (tmp_path / "file").touch()
    with pytest.raises(ClientError, match="is a file; an EdgeClient takes a folder"):
        made(tmp_path / "file")


async def test_the_event_loop_goes_on_between_the_queries_of_a_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EdgeClient(folder) as client:
        queries = patient_engine(monkeypatch)
        answers = await retriever(client, strategy=STRATEGY).aretrieve_batch([QUERY] * 12)
    assert len(answers) == 12
    assert len(queries) >= 12
