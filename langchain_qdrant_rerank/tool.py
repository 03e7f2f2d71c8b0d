"""The retriever as an agent's search tool: what a model may ask is typed and capped, a tenant's filter is out of reach."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from pydantic import ConfigDict, Field
from qdrant_client import models

from qdrant_rerank import AsyncExecutor, Executor
from qdrant_rerank._internals import (
    TOOL_DESCRIPTION,
    TOOL_NAME,
    LowConfidence,
    PickedFilters,
    ToolCall,
    ToolFilters,
    ToolHit,
    ToolSpec,
    aask_filters,
    as_mapping,
    ask_filters,
    cap_k,
    check_retriever,
    name_arguments,
    narrow,
    pick_threshold,
    share_arguments,
    value_at,
)

from .retriever import QdrantRerankRetriever

__all__ = ["QdrantSearchTool", "RuntimeFilter", "asearch_tool", "search_tool"]

RuntimeFilter: TypeAlias = Callable[[RunnableConfig], models.Filter]
"""From a run's config to the filter that every document has to meet."""

_LOG: Final = logging.getLogger(__name__)


class QdrantSearchTool(BaseTool):
    """A retriever as a tool; made by `search_tool`. Its answer is text for the model, its artifact the documents.

    It raises nothing that a model could cause: what can't be comes back as text that says what to send instead, and so does a
    search that failed (the error is logged). The tool message's status is then "error", and its artifact None.

    Attributes:
        retriever: what is searched; its `fixed_filter` and `filter` hold in every call.
        spec: the arguments and caps.
        runtime_filter: from a run's config to the filter that every document has to meet: a tenant that is known at run time.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)

    name: str = TOOL_NAME
    description: str = TOOL_DESCRIPTION
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    retriever: QdrantRerankRetriever = Field(exclude=True, repr=False)
    spec: ToolSpec = Field(exclude=True, repr=False)
    runtime_filter: RuntimeFilter | None = Field(default=None, exclude=True, repr=False)

    def __init__(self, **settings: Any) -> None:
        spec: Any = settings.get("spec")
        refuse = {} if spec is None else {"handle_validation_error": lambda error: spec.read({})}
        super().__init__(**{"handle_tool_error": True, **refuse, **settings})

    # `self` by position, as a model may send an argument of that name. LangChain puts the run's config in the place of the
    # argument whose type is RunnableConfig, and a run manager in that of one called run_manager, whatever the model sent there:
    # so the first has a name that no model guesses, and there is no second (the context has the callbacks)
    def _run(self, /, *args: Any, config_of_the_run: RunnableConfig, **arguments: Any) -> tuple[str, list[Document]]:
        call = self.spec.read(name_arguments(args, arguments))
        if isinstance(call, str):
            raise ToolException(call)
        try:
            options = self._options(call, config_of_the_run)
            return self._answer(call, self.retriever.search_with_scores(call.query, **options))
        except Exception as error:
            raise self._failure(error) from error

    async def _arun(self, /, *args: Any, config_of_the_run: RunnableConfig, **arguments: Any) -> tuple[str, list[Document]]:
        call = self.spec.read(name_arguments(args, arguments))
        if isinstance(call, str):
            raise ToolException(call)
        try:
            options = self._options(call, config_of_the_run)
            return self._answer(call, await self.retriever.asearch_with_scores(call.query, **options))
        except Exception as error:
            raise self._failure(error) from error

    def _options(self, call: ToolCall, config: RunnableConfig) -> dict[str, Any]:
        runtime_filter = None if self.runtime_filter is None else partial(self.runtime_filter, config)
        return {"k": call.k, "filter": narrow(call, runtime_filter)}

    def _answer(self, call: ToolCall, found: list[tuple[Document, float]]) -> tuple[str, list[Document]]:
        mapping = as_mapping(self.retriever.payload)
        prefix = f"{metadata}." if (metadata := getattr(mapping, "metadata", None)) else ""
        hits: list[ToolHit] = []
        for document, score in found:
            values = {each.name: value_at(document.metadata, each.key.removeprefix(prefix)) for each in self.spec.filters}
            hits.append(ToolHit(str(document.id), score, document.page_content, values))
            document.metadata.setdefault("score", score)
        return self.spec.answer(call, hits), [document for document, _ in found]

    def _failure(self, error: Exception) -> ToolException:
        _LOG.warning("the search of the tool %r failed", self.name, exc_info=error)
        return ToolException(self.spec.fail(error))


def search_tool(
    retriever: QdrantRerankRetriever,
    *,
    filters: ToolFilters = (),
    max_k: int = 10,
    name: str = TOOL_NAME,
    description: str = TOOL_DESCRIPTION,
    max_tokens: int = 2_000,
    low_confidence: LowConfidence = "auto",
    runtime_filter: RuntimeFilter | None = None,
) -> QdrantSearchTool:
    """A search tool for agents, whose arguments are typed by the payload that the retriever may see.

    With `filters` it reads a sample of the payload, through the retriever's filters (see `payload_schema`). With a
    `fixed_filter` or a filter of the retriever's it warns of keys there that no point has.

    Args:
        retriever: what is searched; its `fixed_filter` is the place for a tenant, which the model neither sees nor changes.
        filters: payload keys that the model may filter by, e.g. `["metadata.category", "metadata.year"]`; or key → type, where
            None has the type looked up.
        max_k: the most documents of a call, or as many as the strategy can give if that is fewer; without the model's word it
            is the retriever's `k`.
        name: the tool's name.
        description: tells the model what it finds here; say which documents they are.
        max_tokens: how long an answer may be, estimated as three bytes of UTF-8 a token.
        low_confidence: the score below which the best document is said to be doubtful (for Euclid and Manhattan minus a
            distance, e.g. -0.5); "auto" is 0.5 where the strategy's scores are calibrated to probabilities, and none elsewhere;
            None for none.
        runtime_filter: from a run's config to a filter that every document has to meet, for a tenant that is known only then.
            The model then sees types alone: values and ranges may be another tenant's.

    Raises:
        StrategyError: a key isn't there, can't be filtered by, or is in the fixed filter; or a number can't be.
    """
    check_retriever(retriever, QdrantRerankRetriever)
    picked = filters
    if not isinstance(picked, PickedFilters):
        executor = retriever._executor(Executor)  # pyright: ignore[reportPrivateUsage]  # of this package
        picked = ask_filters(executor, picked, retriever.filter, only_types=runtime_filter is not None)
    most = cap_k(max_k, retriever.strategy, retriever.options)
    spec = ToolSpec(picked, most, retriever.k, max_tokens, pick_threshold(low_confidence, retriever.strategy))
    return QdrantSearchTool(
        name=name,
        description=description,
        args_schema=spec.model(),
        retriever=retriever,
        spec=spec,
        runtime_filter=runtime_filter,
    )


@share_arguments(search_tool)
async def asearch_tool(retriever: QdrantRerankRetriever, **settings: Any) -> QdrantSearchTool:
    """As `search_tool`, without blocking the event loop."""
    check_retriever(retriever, QdrantRerankRetriever)
    executor = retriever._executor(AsyncExecutor)  # pyright: ignore[reportPrivateUsage]  # of this package
    filters, only_types = settings.get("filters", ()), settings.get("runtime_filter") is not None
    settings["filters"] = await aask_filters(executor, filters, retriever.filter, only_types=only_types)
    return search_tool(retriever, **settings)
