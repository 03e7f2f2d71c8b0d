"""What a reranker calls (a chat model, another reranker) as child runs of the retriever's run in LangChain's traces."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from typing import Any

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables.config import patch_config, set_config_context

from qdrant_rerank import AsyncExecutor, Executor, Query
from qdrant_rerank._internals import Points, Search, Vectors

__all__ = ["AsyncTraced", "Parents", "Traced", "child_of"]


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
    """An executor whose model runs within a retriever's run; a search without a model costs nothing more."""

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
