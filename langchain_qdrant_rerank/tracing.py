"""Runs in LangChain's traces for a batch: `invoke` makes one for its query, a batch search makes one for each of its."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackManager, CallbackManager
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list, patch_config, set_config_context

from qdrant_rerank import AsyncExecutor, Executor, Query
from qdrant_rerank._internals import Points, Search, Vectors

__all__ = ["AsyncTraced", "Configs", "Parents", "Runs", "Traced", "atrace", "child_of", "trace"]


def child_of(callbacks: BaseCallbackManager) -> AbstractContextManager[Context]:
    """A context in which whatever LangChain runs is a child of these callbacks' run, unless it is given others."""
    return set_config_context(patch_config(None, callbacks=callbacks))


class Parents:
    """The retriever runs of some queries: which of them a scoring belongs to.

    Queries of a batch that have the same text take turns, in the order in which they are scored.
    """

    def __init__(self, queries: Iterable[str | Query], children: Iterable[Callable[[], BaseCallbackManager]]) -> None:
        self._by_text: dict[str, list[Callable[[], BaseCallbackManager]]] = {}
        for query, child in zip(queries, children, strict=True):
            text = str(query.text if isinstance(query, Query) else query)  # what is no text is refused elsewhere
            self._by_text.setdefault(text, []).append(child)
        self._scored: Counter[str] = Counter()

    def callbacks(self, text: str) -> BaseCallbackManager:
        """The callbacks for what scores texts against this query."""
        asked = text if text in self._by_text else next(iter(self._by_text))  # a strategy may have scored by a text of its own
        children = self._by_text[asked]
        turn = self._scored[asked]
        self._scored[asked] += 1
        return children[turn % len(children)]()


class Traced:
    """An executor whose reranker runs within a retriever's run."""

    def __init__(self, executor: Executor, parents: Parents) -> None:
        self._executor, self._parents = executor, parents

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        return self._executor.embed(texts, using)

    def search(self, step: Search) -> list[Points]:
        return self._executor.search(step)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        with child_of(self._parents.callbacks(query)) as context:
            return context.run(self._executor.score, query, texts)


class AsyncTraced:
    """As `Traced`, for async calls."""

    def __init__(self, executor: AsyncExecutor, parents: Parents) -> None:
        self._executor, self._parents = executor, parents

    async def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        return await self._executor.embed(texts, using)

    async def search(self, step: Search) -> list[Points]:
        return await self._executor.search(step)

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        with child_of(self._parents.callbacks(query)) as context:
            scoring: asyncio.Task[Any] = asyncio.create_task(self._executor.score(query, texts), context=context)
            scores: list[float] = await scoring  # cancelled along with this
            return scores


Configs: TypeAlias = RunnableConfig | Sequence[RunnableConfig] | None
"""One config for all queries, or one for each."""


@dataclass(frozen=True)
class Runs:
    """The runs of a batch.

    Attributes:
        parents: to whose runs those of a reranker belong.
        answers: the documents for each query, to be filled in.
    """

    parents: Parents
    answers: list[list[Document]] = field(default_factory=list)


@contextmanager
def trace(
    retriever: BaseRetriever, queries: Sequence[str | Query], config: Configs, facts: Mapping[str, Any]
) -> Generator[Runs]:
    """Start a retriever run for each query; end it with its answer, which the body adds.

    Args:
        retriever: whose tags and metadata the runs bear.
        queries: one for each run.
        config: LangChain's config.
        facts: further metadata of each run.
    """
    runs = [
        CallbackManager.configure(**options).on_retriever_start(None, text, **start)
        for text, options, start in _starts(retriever, queries, config, facts)
    ]
    batch = Runs(Parents(queries, [run.get_child for run in runs]))
    try:
        yield batch
    except Exception as error:
        for run in runs:
            run.on_retriever_error(error)
        raise
    for run, answer in zip(runs, batch.answers, strict=True):
        run.on_retriever_end(answer)


@asynccontextmanager
async def atrace(
    retriever: BaseRetriever, queries: Sequence[str | Query], config: Configs, facts: Mapping[str, Any]
) -> AsyncGenerator[Runs]:
    """As `trace`, with async callbacks."""
    runs = [
        await AsyncCallbackManager.configure(**options).on_retriever_start(None, text, **start)
        for text, options, start in _starts(retriever, queries, config, facts)
    ]
    batch = Runs(Parents(queries, [run.get_child for run in runs]))
    try:
        yield batch
    except Exception as error:
        for run in runs:
            await run.on_retriever_error(error)
        raise
    for run, answer in zip(runs, batch.answers, strict=True):
        await run.on_retriever_end(answer)


def _starts(
    retriever: BaseRetriever, queries: Sequence[str | Query], config: Configs, facts: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Of each run: the query's text, the callback manager's arguments, and the start's; as `BaseRetriever.invoke` has them."""
    for query, own in zip(queries, get_config_list(config, len(queries)), strict=True):
        options = {
            "inheritable_callbacks": own.get("callbacks"),
            "inheritable_tags": own.get("tags"),
            "local_tags": retriever.tags,
            "inheritable_metadata": {**(own.get("metadata") or {}), **facts},
            "local_metadata": retriever.metadata,
        }
        text = query.text if isinstance(query, Query) else query
        yield text, options, {"name": own.get("run_name") or retriever.get_name(), "run_id": own.get("run_id")}
