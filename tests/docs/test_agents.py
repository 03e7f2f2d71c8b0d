"""The code in docs/agents.md runs as it stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import models

from qdrant_rerank.models import Bm25
from tests.cli.support import DOCUMENTS, succeeds, write_corpus
from tests.engines import open_client

from .blocks import blocks, untested


def fill_articles(client: Any, embeddings: DeterministicFakeEmbedding) -> None:
    """Dense and keyword vectors, dates and categories, of one tenant."""
    client.create_collection(
        "articles",
        vectors_config={"dense": models.VectorParams(size=16, distance=models.Distance.COSINE)},
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    texts = [f"article {number} of bikes and trains" for number in range(30)]
    keywords = Bm25().encode_documents(texts)
    points = [
        models.PointStruct(
            id=number,
            vector={"dense": embeddings.embed_query(text), "bm25": keywords[number]},
            payload={
                "page_content": text,
                "metadata": {"tenant": "acme", "category": "rail", "published": f"2026-11-{number + 1:02}T00:00:00Z"},
            },
        )
        for number, text in enumerate(texts)
    ]
    client.upsert("articles", points, wait=True)


def test_the_blocks_for_langchain_run(capsys: pytest.CaptureFixture[str]) -> None:
    embeddings, client = DeterministicFakeEmbedding(size=16), open_client()
    client.create_collection("docs", vectors_config=models.VectorParams(size=16, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(
            id=number,
            vector=embeddings.embed_query(str(number)),
            payload={
                "page_content": f"text {number}",
                "metadata": {
                    "tenant": "acme" if number % 2 else "other",
                    "category": ("rail", "sea")[number % 4 // 2],
                    "year": 2000 + number,
                },
            },
        )
        for number in range(60)
    ]
    client.upsert("docs", points, wait=True)
    fill_articles(client, embeddings)
    reads: list[str] = []

    def reranker(query: str, texts: Sequence[str]) -> list[float]:
        reads.extend(texts)
        return [float(len(text)) for text in texts]

    options: dict[str, Any] = {"client": client, "embeddings": embeddings, "reranker": reranker}
    assert untested("docs/agents.md") == 0
    exec(compile(blocks("docs/agents.md")["agents"], "docs/agents.md", "exec"), options)
    out = capsys.readouterr().out
    assert "metadata.category  keyword" in out
    assert "5 documents were found" in out or "4 documents were found" in out
    assert len(reads) == 20
    assert "article" in options["news"].invoke({"query": "bikes", "category": ["rail"]})
    assert options["tool"].args_schema.model_json_schema()["properties"]["category"]["anyOf"][0]["items"]["enum"] == [
        "rail",
        "sea",
    ]


def test_the_blocks_for_llama_index_run(capsys: pytest.CaptureFixture[str]) -> None:
    model = MockEmbedding(embed_dim=4)
    vector_store = QdrantVectorStore("docs", client=open_client())
    vector_store.add(
        [
            TextNode(
                id_=str(UUID(int=number + 1)),
                text=f"text {number}",
                metadata={
                    "tenant": "acme" if number % 2 else "other",
                    "category": ("rail", "sea")[number % 4 // 2],
                    "year": 2000 + number,
                },
                embedding=[1.0, 0.5, 0.1, number / 60],
            )
            for number in range(60)
        ]
    )
    options: dict[str, Any] = {"vector_store": vector_store, "embed_model": model}
    exec(compile(blocks("docs/agents.md")["llama_index"], "docs/agents.md", "exec"), options)
    assert "tenant: other" not in (out := capsys.readouterr().out)
    assert out.count("4 documents were found") == 1
    assert out.count("2 documents were found") == 1
    properties = options["tool"].metadata.get_parameters_dict()["properties"]
    assert properties["category"]["anyOf"][0]["items"]["enum"] == ["rail", "sea"]


async def test_the_blocks_for_mcp_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [{**document, "_id": f"{document['_id']}-{n}"} for document in DOCUMENTS for n in range(8)]
    succeeds("index", write_corpus(tmp_path / "corpus.jsonl", documents), "--path", tmp_path / "db", "--dense", "hash")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    options: dict[str, Any] = {}
    assert untested("docs/mcp.md") == 0
    exec(compile(blocks("docs/mcp.md")["mcp"], "docs/mcp.md", "exec"), options)
    assert "3 documents were found" in await options["ask"]("bikes on the night train")
