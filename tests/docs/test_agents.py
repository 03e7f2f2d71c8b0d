"""The code in docs/agents.md runs as it stands."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from qdrant_client import models

from tests.engines import open_client

from .blocks import blocks, untested


def test_agents_runs(capsys: pytest.CaptureFixture[str]) -> None:
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
    options: dict[str, Any] = {"client": client, "embeddings": embeddings}
    assert untested("docs/agents.md") == 0
    exec(compile(blocks("docs/agents.md")["agents"], "docs/agents.md", "exec"), options)
    out = capsys.readouterr().out
    assert "metadata.category  keyword" in out
    assert "5 documents were found" in out or "4 documents were found" in out
    assert options["tool"].args_schema.model_json_schema()["properties"]["category"]["items"]["enum"] == ["rail", "sea"]
