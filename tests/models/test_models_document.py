"""The code of docs/models.md runs as it stands, against small models and a server on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from qdrant_rerank._internals import CacheCounts
from tests.docs import worlds
from tests.docs.blocks import blocks, untested
from tests.models.stub_cohere import StubCohere
from tests.models.tiny_cross_encoder import cross_encoder_folder


class Tokens:
    """A token vector for each word."""

    def encode_query(self, text: str) -> list[list[float]]:
        rows: list[list[float]] = [np.random.default_rng(list(word.encode())).normal(size=4).tolist() for word in text.split()]
        return rows

    def encode_documents(self, texts: Sequence[str]) -> list[list[list[float]]]:
        return [self.encode_query(text) for text in texts]


def test_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = {**worlds.core(), "folder": cross_encoder_folder(tmp_path / "model"), "token_encoder": Tokens()}
    with StubCohere() as server:
        monkeypatch.setenv("CO_API_KEY", "a-key")
        monkeypatch.setenv("CO_API_URL", server.url)
        exec(compile(blocks("docs/models.md")["models"], "docs/models.md", "exec"), options)
        options["reranker"].close()
        options["encoder"].close()

    assert [request.body["model"] for request in server.requests] == ["rerank-v3.5", "embed-v4.0", "embed-v4.0", "rerank-v3.5"]
    assert len(options["document"]) == 512
    assert len(options["points"]) == 3
    assert "bikes" in options["points"][0].payload["text"].lower()
    assert str(CacheCounts(hits=0, misses=2, size=2)) in capsys.readouterr().out


def test_every_python_block_is_run() -> None:
    assert untested("docs/models.md") == 0
