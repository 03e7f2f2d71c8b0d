"""Rerankers for the LangChain tests: tiny, or asking a chat model; and a tracer that keeps what it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

QUERY = "quick brown fox"


class Lengths:
    """The longer a text, the better; notes what it reads."""

    fingerprint = "lengths"

    def __init__(self) -> None:
        self.read: list[tuple[str, list[str]]] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.read.append((query, list(texts)))
        return [float(len(text)) for text in texts]


class Down:
    """Can't be reached."""

    fingerprint = "down"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        raise TimeoutError("no answer")


class Chat:
    """Asks a chat model once for each query; scores by length."""

    fingerprint = "chat"

    def __init__(self) -> None:
        self.llm = FakeListChatModel(responses=["fine"])

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.llm.invoke(f"rank for {query}")
        return [float(len(text)) for text in texts]


class AsyncChat(Chat):
    """As `Chat`, awaited."""

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        await self.llm.ainvoke(f"rank for {query}")
        return [float(len(text)) for text in texts]


class LongestFirst(BaseDocumentCompressor):
    """A compressor of another's making, which asks a chat model."""

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> Sequence[Document]:
        FakeListChatModel(responses=["fine"]).invoke(f"rank for {query}")
        ranked = sorted(documents, key=lambda each: -len(each.page_content))
        return [
            Document(each.page_content, metadata={**each.metadata, "relevance_score": float(len(each.page_content))})
            for each in ranked
        ]


class Tracer(BaseTracer):
    """Keeps every run with its parents and children."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)

    def children(self) -> Iterator[tuple[str, str, str]]:
        """The type of each outermost run, its query, and what the chat model below it was asked."""
        for run in self.runs:
            [child] = run.child_runs
            assert child.parent_run_id == run.id
            yield run.run_type, run.inputs["query"], str(child.inputs)
