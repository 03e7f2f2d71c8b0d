"""`from_edge`: a retriever over a folder, which the Rust engine searches in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import PlanError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError
from tests.edge.support import patient_engine
from tests.engines import open_client
from tests.langchain.support import DOCS, QUERY, STRATEGIES, assert_same, fill_docs, make, settings, shared_client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with EdgeClient(tmp_path / "qdrant") as client:
        fill_docs(client)
    return tmp_path / "qdrant"


def parts(**changes: Any) -> dict[str, Any]:
    """Everything that a retriever needs but the client and the collection."""
    return {name: value for name, value in settings().items() if name not in ("client", "collection_name")} | changes


@pytest.fixture
def retriever(folder: Path) -> Iterator[QdrantRerankRetriever]:
    made = QdrantRerankRetriever.from_edge(folder, DOCS, **parts(strategy=STRATEGIES["formula_two_candidates"], k=3))
    yield made
    assert made.client is not None
    made.client.close()


async def test_it_finds_what_local_mode_finds(retriever: QdrantRerankRetriever) -> None:
    expected = make(client=fill_docs(open_client("local")), strategy=retriever.strategy, k=3).invoke(QUERY)
    assert len(expected) == 3
    assert_same(retriever.invoke(QUERY), expected)
    assert_same(await retriever.ainvoke(QUERY), expected)
    [found] = await retriever.asearch_batch([QUERY], explanations=True)
    assert [document.id for document in found] == [document.id for document in expected]
    assert sum(found[0].metadata["_explanation"]["terms"].values()) == pytest.approx(found[0].metadata["score"], abs=1e-5)


def test_a_folder_has_one_owner_until_its_client_is_closed(retriever: QdrantRerankRetriever, folder: Path) -> None:
    retriever.invoke(QUERY)
    second = QdrantRerankRetriever.from_edge(folder, DOCS, **parts())
    with pytest.raises(ClientError, match=r"one owner at a time.*an earlier run: call its close\(\)"):
        second.invoke(QUERY)
    shared = QdrantRerankRetriever(client=retriever.client, collection_name=DOCS, **parts())
    assert shared.invoke(QUERY)
    assert retriever.client is not None
    retriever.client.close()
    assert second.invoke(QUERY)
    assert second.client is not None
    second.client.close()


def test_a_collection_that_isn_t_there_is_named_with_those_that_are(folder: Path) -> None:
    made = QdrantRerankRetriever.from_edge(folder, "dosc", **parts())
    with pytest.raises(PlanError, match="there is no collection 'dosc'; this Qdrant has 'docs': did you mean 'docs'"):
        made.invoke(QUERY)


def test_wrong_arguments_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the retriever has no field 'kk'"):
        QdrantRerankRetriever.from_edge(folder, DOCS, kk=3)
    with pytest.raises(TypeError, match="multiple values for keyword argument 'client'"):
        QdrantRerankRetriever.from_edge(folder, DOCS, client=shared_client())
    (tmp_path / "file").touch()
    with pytest.raises(ClientError, match="is a file; an EdgeClient takes a folder"):
        QdrantRerankRetriever.from_edge(tmp_path / "file", DOCS)
    QdrantClient(path=str(tmp_path / "local")).close()
    with pytest.raises(ClientError, match="was written by qdrant-client's local mode, which qdrant-edge can't read"):
        QdrantRerankRetriever.from_edge(tmp_path / "local", DOCS)


async def test_the_event_loop_goes_on_between_the_queries_of_a_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EdgeClient(folder) as client:
        made = QdrantRerankRetriever(client=client, collection_name=DOCS, **parts(strategy=STRATEGIES["nested"]))
        queries = patient_engine(monkeypatch)
        answers = await made.asearch_batch([QUERY] * 12)
    assert len(answers) == 12
    assert len(queries) >= 12
