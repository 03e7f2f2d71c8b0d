"""Runs in LangChain's traces for a batch: `invoke` makes one for its query, a batch search makes one for each of its."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list

from qdrant_rerank import Query

from .child_runs import Parents

__all__ = ["Configs", "Runs", "atraced", "traced"]

Configs: TypeAlias = RunnableConfig | Sequence[RunnableConfig] | None
"""One config for all queries, or one for each."""


@dataclass(frozen=True)
class Runs:
    """The runs of a batch.

    Attributes:
        parents: where the runs of a model that scores are to be put.
        answers: the documents for each query, to be filled in.
    """

    parents: Parents
    answers: list[list[Document]] = field(default_factory=list)


@contextmanager
def traced(
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
async def atraced(
    retriever: BaseRetriever, queries: Sequence[str | Query], config: Configs, facts: Mapping[str, Any]
) -> AsyncGenerator[Runs]:
    """As `traced`, with async callbacks."""
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
