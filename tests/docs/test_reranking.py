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
    options = {**world(), "reranker": SharedWords()}
    exec(compile(blocks("docs/reranking.md")[name], f"docs/reranking.md ({name})", "exec"), options)
    assert len(options["best"]) == 2
    if name == "langchain":
        first, second = (document.metadata["relevance_score"] for document in options["best"])
        assert first >= second
        assert len(options["documents"]) == 3
        assert options["documents"][0].metadata["score"] != options["documents"][0].metadata["relevance_score"]
        assert float(capsys.readouterr().out.split()[0]) > 0
        assert len(options["retriever"].model_copy(update={"strategy": options["careful"]}).invoke("bikes")) == 3
    else:
        assert [node.score for node in options["nodes"]] == sorted((node.score for node in options["nodes"]), reverse=True)
        assert options["best"][0].metadata["retrieval_score"] == options["nodes"][0].score


def test_every_python_block_is_run() -> None:
    assert untested("docs/reranking.md") == 0
