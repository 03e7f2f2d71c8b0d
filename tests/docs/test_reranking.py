"""The code of docs/reranking.md runs as it stands, with a small model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from . import worlds
from .blocks import blocks, untested


class SharedWords:
    """The share of the query's words that a text has."""

    fingerprint = "shared-words"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        words = set(query.lower().split())
        return [len(words & set(text.lower().replace(";", " ").split())) / len(words) for text in texts]


@pytest.mark.parametrize(("name", "world"), [("langchain", worlds.langchain), ("llama_index", worlds.llama_index)])
def test_the_document_runs(name: str, world: Callable[[], dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    scope = {**world(), "reranker": SharedWords()}
    exec(compile(blocks("docs/reranking.md")[name], f"docs/reranking.md ({name})", "exec"), scope)
    assert len(scope["best"]) == 2
    if name == "langchain":
        first, second = (document.metadata["relevance_score"] for document in scope["best"])
        assert first >= second
        assert len(scope["documents"]) == 3
        assert scope["documents"][0].metadata["score"] != scope["documents"][0].metadata["relevance_score"]
        assert float(capsys.readouterr().out.split()[0]) > 0
        assert len(scope["retriever"].model_copy(update={"strategy": scope["careful"]}).invoke("bikes")) == 3
    else:
        assert [node.score for node in scope["nodes"]] == sorted((node.score for node in scope["nodes"]), reverse=True)
        assert scope["best"][0].metadata["retrieval_score"] == scope["nodes"][0].score


def test_every_python_block_is_run() -> None:
    assert untested("docs/reranking.md") == 0
