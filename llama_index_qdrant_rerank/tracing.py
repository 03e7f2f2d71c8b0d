"""Events for what LlamaIndex's own methods don't report: batches of queries, and reranking."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

__all__ = ["dispatcher", "report_reranking", "report_retrievals"]

dispatcher = get_dispatcher(__name__)


@contextmanager
def report_retrievals(retriever: BaseRetriever, bundles: Sequence[QueryBundle]) -> Generator[list[list[NodeWithScore]]]:
    """Report one retrieval for each query, as `retrieve` would; the answers are put into the list that it gives."""
    answers: list[list[NodeWithScore]] = []
    manager = retriever.callback_manager
    with ExitStack() as stack:
        events = []
        for bundle in bundles:
            dispatcher.event(RetrievalStartEvent(str_or_query_bundle=bundle))
            stack.enter_context(manager.as_trace("query"))
            query: dict[str, Any] = {EventPayload.QUERY_STR: bundle.query_str}
            events.append(stack.enter_context(manager.event(CBEventType.RETRIEVE, payload=query)))
        yield answers
        for event, nodes in zip(events, answers, strict=True):
            event.on_end(payload={EventPayload.NODES: nodes})
    for bundle, nodes in zip(bundles, answers, strict=True):
        dispatcher.event(RetrievalEndEvent(str_or_query_bundle=bundle, nodes=nodes))


@contextmanager
def report_reranking(
    manager: CallbackManager, nodes: list[NodeWithScore], bundle: QueryBundle | None, top_n: int, model_name: str
) -> Generator[list[NodeWithScore]]:
    """Report a reranking; the ranked nodes are put into the list that it gives."""
    ranked: list[NodeWithScore] = []
    dispatcher.event(ReRankStartEvent(query=bundle, nodes=nodes, top_n=top_n, model_name=model_name))
    payload: dict[str, Any] = {
        EventPayload.NODES: nodes,
        EventPayload.MODEL_NAME: model_name,
        EventPayload.QUERY_STR: "" if bundle is None else bundle.query_str,
        EventPayload.TOP_K: top_n,
    }
    with manager.event(CBEventType.RERANKING, payload=payload) as event:
        yield ranked
        event.on_end(payload={EventPayload.NODES: ranked})
    dispatcher.event(ReRankEndEvent(nodes=ranked))
