"""The retriever as an agent's search tool: what a model may ask is typed and capped, a tenant's filter is out of reach."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.tools.types import AsyncBaseTool, ToolMetadata, ToolOutput
from qdrant_client import models

from qdrant_rerank import SearchOptions
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
    ask_filters,
    cap_k,
    check_retriever,
    name_arguments,
    narrow,
    pick_threshold,
    share_arguments,
)

from .retriever import QdrantRerankRetriever

__all__ = ["QdrantSearchTool", "RuntimeFilter", "asearch_tool", "search_tool"]

RuntimeFilter: TypeAlias = Callable[[], models.Filter]
"""Gives the filter that every node has to meet, e.g. from a `ContextVar`; called in each call of the tool."""

_LOG: Final = logging.getLogger(__name__)


class QdrantSearchTool(AsyncBaseTool):
    """A retriever as a tool; made by `search_tool`. Its output's text is for the model, its `raw_output` the nodes.

    It raises nothing that a model could cause: what can't be comes back as text that says what to send instead, also a search
    that failed (the error is logged). LlamaIndex's `RetrieverTool` searches for `"\\ninput is hello\\n"` where an agent's input
    is "hello"; here what the agent asks is the query.

    Args:
        retriever: what is searched; its `fixed_filter` and `filter` hold in every call.
        spec: the arguments and caps.
        name: the tool's name.
        description: tells the model what it finds here.
        runtime_filter: gives the filter that every node has to meet: a tenant that is known at run time.
        node_postprocessors: what changes the nodes that were found.
    """

    def __init__(
        self,
        retriever: QdrantRerankRetriever,
        spec: ToolSpec,
        name: str = TOOL_NAME,
        description: str = TOOL_DESCRIPTION,
        runtime_filter: RuntimeFilter | None = None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
    ) -> None:
        self.spec = spec
        self._retriever = retriever
        self._runtime_filter = runtime_filter
        self._postprocessors = tuple(node_postprocessors)
        self._metadata = ToolMetadata(description, name, spec.model())

    @property
    def metadata(self) -> ToolMetadata:
        return self._metadata

    # `self` by position, as a model may send an argument of that name
    def __call__(self, /, *args: Any, **kwargs: Any) -> ToolOutput:
        return self.call(*args, **kwargs)

    def call(self, /, *args: Any, **kwargs: Any) -> ToolOutput:
        arguments = name_arguments(args, kwargs)
        call = self.spec.read(arguments)
        if isinstance(call, str):
            return self._output(arguments, call, [], is_error=True)
        try:
            nodes = self._narrow(call).retrieve(call.query)
            for postprocessor in self._postprocessors:
                nodes = postprocessor.postprocess_nodes(nodes, QueryBundle(call.query))
            return self._output(arguments, self.spec.answer(call, _hits(nodes)), nodes)
        except Exception as error:
            return self._fail(arguments, error)

    async def acall(self, /, *args: Any, **kwargs: Any) -> ToolOutput:
        arguments = name_arguments(args, kwargs)
        call = self.spec.read(arguments)
        if isinstance(call, str):
            return self._output(arguments, call, [], is_error=True)
        try:
            nodes = await self._narrow(call).aretrieve(call.query)
            for postprocessor in self._postprocessors:
                nodes = await postprocessor.apostprocess_nodes(nodes, QueryBundle(call.query))
            return self._output(arguments, self.spec.answer(call, _hits(nodes)), nodes)
        except Exception as error:
            return self._fail(arguments, error)

    def _narrow(self, call: ToolCall) -> QdrantRerankRetriever:
        return self._retriever.with_options(similarity_top_k=call.k, filter=narrow(call, self._runtime_filter))

    def _output(
        self, arguments: Mapping[str, Any], content: str, nodes: list[NodeWithScore], *, is_error: bool = False
    ) -> ToolOutput:
        return ToolOutput(
            self.metadata.get_name(), content, raw_input={"kwargs": dict(arguments)}, raw_output=nodes, is_error=is_error
        )

    def _fail(self, arguments: Mapping[str, Any], error: Exception) -> ToolOutput:
        _LOG.warning("the search of the tool %r failed", self.metadata.name, exc_info=error)
        return self._output(arguments, self.spec.fail(error), [], is_error=True)


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
    node_postprocessors: Sequence[BaseNodePostprocessor] = (),
) -> QdrantSearchTool:
    """A search tool for agents, whose arguments are typed by the payload that the retriever may see.

    With `filters` it reads a sample of the payload, through the retriever's filters (see `payload_schema`). With a
    `fixed_filter` or a filter of the retriever's it warns of keys there that no point has.

    Args:
        retriever: what is searched; its `fixed_filter` is the place for a tenant, which the model neither sees nor changes.
        filters: payload keys that the model may filter by, e.g. `["category", "year"]`; or key → type, where None has
            the type looked up.
        max_k: the most nodes of a call, or as many as the strategy can give if that is fewer; without the model's word it is
            the retriever's `similarity_top_k`.
        name: the tool's name.
        description: tells the model what it finds here; say which documents they are.
        max_tokens: how long an answer may be, estimated as three bytes of UTF-8 a token.
        low_confidence: the score below which the best node is said to be doubtful (for Euclid and Manhattan minus a
            distance, e.g. -0.5); "auto" is 0.5 where the strategy's scores are calibrated to probabilities and no postprocessor
            changes them, and none elsewhere; None for none.
        runtime_filter: gives a filter that every node has to meet, for a tenant that is known only in a call. The model then
            sees types alone: values and ranges may be another tenant's.
        node_postprocessors: what changes the nodes that were found.

    Raises:
        StrategyError: a key isn't there, can't be filtered by, or is in the fixed filter; or a number can't be.
    """
    check_retriever(retriever, QdrantRerankRetriever)
    picked = filters
    if not isinstance(picked, PickedFilters):
        executor = retriever._source.executor()  # pyright: ignore[reportPrivateUsage]  # of this package
        picked = ask_filters(executor, picked, _options(retriever).filter, only_types=runtime_filter is not None)
    threshold = pick_threshold(None if low_confidence == "auto" and node_postprocessors else low_confidence, retriever.strategy)
    most = cap_k(max_k, retriever.strategy, _options(retriever))
    spec = ToolSpec(picked, most, retriever.similarity_top_k, max_tokens, threshold)
    return QdrantSearchTool(retriever, spec, name, description, runtime_filter, node_postprocessors)


@share_arguments(search_tool)
async def asearch_tool(retriever: QdrantRerankRetriever, **settings: Any) -> QdrantSearchTool:
    """As `search_tool`, without blocking the event loop."""
    check_retriever(retriever, QdrantRerankRetriever)
    executor = retriever._source.async_executor()  # pyright: ignore[reportPrivateUsage]  # of this package
    filters, only_types = settings.get("filters", ()), settings.get("runtime_filter") is not None
    settings["filters"] = await aask_filters(executor, filters, _options(retriever).filter, only_types=only_types)
    return search_tool(retriever, **settings)


def _options(retriever: QdrantRerankRetriever) -> SearchOptions:
    return retriever._options.search_options  # pyright: ignore[reportPrivateUsage]


def _hits(nodes: Sequence[NodeWithScore]) -> list[ToolHit]:
    """The nodes as the model is shown them: with the metadata that they don't hide from it, and no other."""
    return [ToolHit(each.node.node_id, each.score, each.node.get_content(MetadataMode.LLM), {}) for each in nodes]
