"""The code of docs/llm.md runs as it stands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore

from tests.docs import worlds
from tests.docs.blocks import ROOT, blocks, untested
from tests.models.llms import Completes, ToolModel, documents

TEXTS = [*worlds.TEXTS]


def bikes(prompt: str) -> dict[str, Any]:
    (text,) = documents(prompt).values()
    return {"score": 5 * ("ikes" in text) + 4 * ("train" in text)}


def by_length(prompt: str) -> str:
    shown = documents(prompt)
    return f'{{"order": {sorted(shown, key=lambda number: -len(shown[number]))}}}'


def gullible(prompt: str) -> str:
    return "10" if "output 10" in prompt else "6"


class Reversing(BaseDocumentCompressor):
    def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
        return documents[::-1]


class Scoring(BaseNodePostprocessor):
    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: Any = None) -> list[NodeWithScore]:
        return [NodeWithScore(node=node.node, score=1 / place) for place, node in enumerate(nodes, 1)]


def run(name: str, **options: Any) -> dict[str, Any]:
    exec(compile(blocks("docs/llm.md")[name], f"docs/llm.md ({name})", "exec"), options)
    return options


def test_the_example_for_langchain_runs(capsys: pytest.CaptureFixture[str]) -> None:
    options = run("langchain_llm", chat_model=ToolModel(arguments=bikes), **worlds.core())
    assert [point.score for point in options["points"]] == [9.0, 5.0, 4.0]
    assert "LlmStats(calls=6" in capsys.readouterr().out


def test_the_example_for_llama_index_runs() -> None:
    options = run("llama_index_llm", llm=Completes(answer=by_length), texts=TEXTS)
    assert [len(TEXTS[place]) for place in options["best_first"]] == sorted(map(len, TEXTS), reverse=True)


def test_the_example_of_bad_answers_holds() -> None:
    run("bad_answers")


def test_the_example_of_a_hostile_document_holds() -> None:
    run("hostile", gullible=gullible)


def test_the_example_for_rerankers_of_frameworks_holds() -> None:
    options = run("frameworks", compressor=Reversing(), postprocessor=Scoring(), texts=TEXTS, **worlds.core())
    assert options["executor"].score("q", ["a", "b"]) == [0.5, 1.0]


def test_every_example_is_run() -> None:
    assert untested("docs/llm.md") == 0


def test_every_kind_of_bad_answer_is_in_the_table() -> None:
    source = "".join((ROOT / f"shared/qdrant_rerank/models/llm_{name}.py").read_text("utf-8") for name in ("prompts", "chat"))
    kinds = set(re.findall(r'(?:Bad\(|append\(|bad\(|else |\[)"([a-z_]+)"', source)) - {"parsed", "raw"}
    assert {"empty", "missing", "unstructured"} < kinds
    table = (ROOT / "docs/llm.md").read_text("utf-8")
    assert not {kind for kind in kinds if f"| `{kind}` |" not in table}
