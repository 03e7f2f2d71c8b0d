"""Retriever, postprocessor and tool in LlamaIndex's own query engines, tools, evaluators and traces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.evaluation import RetrieverEvaluator
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import IndexNode, QueryBundle, TextNode
from llama_index.core.settings import Settings
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.span_handlers import SimpleSpanHandler
from pydantic import Field

from llama_index_qdrant_rerank import ParamsQueryBundle, QdrantRerankPostprocessor, QdrantRerankRetriever
from qdrant_rerank import Formula, Nearest, field, param, score
from tests.engines import EngineClient, current
from tests.llama_index.stores import QUERY, TinyEmbedding, node_id, numbers, ranking, store
from tests.waiting import let_turn

BY_POPULARITY = Formula(score() + 100 * field("popularity", default=0))


def retriever(**arguments: Any) -> QdrantRerankRetriever:
    settings: dict[str, Any] = {"embed_model": TinyEmbedding(), "similarity_top_k": 4} | arguments
    return QdrantRerankRetriever.from_vector_store(store(), **settings)


def postprocessor(**arguments: Any) -> QdrantRerankPostprocessor:
    settings: dict[str, Any] = {"strategy": BY_POPULARITY, "embed_model": TinyEmbedding(), "top_n": 2} | arguments
    return QdrantRerankPostprocessor.from_vector_store(store(), **settings)


async def test_a_query_engine_retrieves_and_reranks_sync_and_async() -> None:
    own, rescore = retriever(), postprocessor()
    engine = RetrieverQueryEngine.from_args(own, llm=MockLLM(), node_postprocessors=[rescore])
    answer = await asyncio.to_thread(engine.query, QUERY)
    expected = rescore.postprocess_nodes(own.retrieve(QUERY), query_str=QUERY)
    assert ranking(answer.source_nodes) == ranking(expected)
    assert len(expected) == 2
    assert ranking((await engine.aquery(QUERY)).source_nodes) == ranking(expected)


async def test_features_reach_the_retriever_and_the_postprocessor_through_a_query_engine() -> None:
    strategy = Formula(score() + param("weight") * field("popularity", default=0))
    own = retriever(strategy=strategy.over(Nearest(limit=8)), params={"weight": 0.0})
    engine = RetrieverQueryEngine.from_args(own, llm=MockLLM(), node_postprocessors=[postprocessor(strategy=strategy)])
    bundle = ParamsQueryBundle(QUERY, params={"weight": 100.0})
    assert numbers((await engine.aquery(bundle)).source_nodes) == [6, 5]


async def test_it_is_one_of_several_retrievers_in_a_fusion() -> None:
    fused = QueryFusionRetriever([retriever(), retriever()], llm=MockLLM(), num_queries=1, use_async=True, similarity_top_k=3)
    assert numbers(await fused.aretrieve(QUERY)) == numbers(retriever().retrieve(QUERY))[:3]


async def test_the_evaluator_calls_the_sync_postprocessor_in_a_running_event_loop() -> None:
    evaluator = RetrieverEvaluator.from_metric_names(
        ["hit_rate", "mrr"], retriever=retriever(similarity_top_k=8), node_postprocessors=[postprocessor()]
    )
    result = await evaluator.aevaluate(QUERY, expected_ids=[node_id(5)])
    assert result.retrieved_ids == [node_id(6), node_id(5)]
    assert result.metric_vals_dict == {"hit_rate": 1.0, "mrr": 0.5}


class TestTools:
    async def test_llama_indexs_retriever_tool_works_with_the_query_that_it_makes(self) -> None:
        model = TinyEmbedding()
        tool = RetrieverTool.from_defaults(retriever(embed_model=model), node_postprocessors=[postprocessor()])
        output = await tool.acall(input="hello")
        assert "async query \ninput is hello\n" in model.asked
        assert len(output.raw_output) == 2
        assert tool.call(input="hello").content == output.content

    async def test_query_engine_tools_work(self) -> None:
        engine = RetrieverQueryEngine.from_args(retriever(), llm=MockLLM(), node_postprocessors=[postprocessor()])
        tool = QueryEngineTool.from_defaults(engine, name="docs", description="The documents.")
        assert len((await tool.acall(input=QUERY)).raw_output.source_nodes) == 2


class TestObjects:
    def test_a_node_that_leads_to_an_object_is_replaced_by_it(self) -> None:
        target = TextNode(id_="target", text="found")
        objects = [IndexNode(text="", index_id="more", obj=target)]
        own = retriever(objects=objects, similarity_top_k=8)
        assert "target" in [each.node.node_id for each in own.retrieve(QUERY)]
        assert "target" in [each.node.node_id for each in own.retrieve_batch([QUERY])[0]]

    async def test_also_in_async_calls(self) -> None:
        own = retriever(object_map={"more": TextNode(id_="target", text="found")}, similarity_top_k=8)
        assert "target" in [each.node.node_id for each in await own.aretrieve(QUERY)]
        assert "target" in [each.node.node_id for each in (await own.aretrieve_batch([QUERY]))[0]]


class Events(BaseEventHandler):
    """Keeps the events it is handed."""

    kept: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.kept.append(event)

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.kept if isinstance(event, kinds)]


@pytest.fixture
def events() -> Iterator[Events]:
    handler, root = Events(), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


class TestTraces:
    async def test_reranking_is_reported_as_events(self, events: Events) -> None:
        own, given_nodes = postprocessor(), retriever().retrieve(QUERY)
        found = own.postprocess_nodes(given_nodes, query_str=QUERY)
        await own.apostprocess_nodes(given_nodes, query_str=QUERY)
        starts, ends = events.of(ReRankStartEvent), events.of(ReRankEndEvent)
        told = [(start.query.query_str, start.top_n, start.model_name, start.nodes) for start in starts]
        assert told == [(QUERY, 2, "Qdrant Formula", given_nodes)] * 2
        assert [end.nodes for end in ends] == [found, found]

    def test_reranking_without_a_query_or_top_n_is_reported_too(self, events: Events) -> None:
        given_nodes = retriever().retrieve(QUERY)
        postprocessor(strategy=Formula(field("popularity", default=0)), top_n=None).postprocess_nodes(given_nodes)
        [start] = events.of(ReRankStartEvent)
        assert (start.query, start.top_n) == (None, 4)

    def test_reranking_is_reported_to_callbacks(self) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        given_nodes = retriever().retrieve(QUERY)
        found = postprocessor(callback_manager=CallbackManager([debug])).postprocess_nodes(given_nodes, query_str=QUERY)
        [(start, end)] = debug.get_event_pairs(CBEventType.RERANKING)
        assert start.payload == {
            EventPayload.NODES: given_nodes,
            EventPayload.MODEL_NAME: "Qdrant Formula",
            EventPayload.QUERY_STR: QUERY,
            EventPayload.TOP_K: 2,
        }
        assert end.payload == {EventPayload.NODES: found}

    async def test_each_query_of_a_batch_is_reported_as_a_retrieval(self, events: Events) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        own = retriever(callback_manager=CallbackManager([debug]))
        found = own.retrieve_batch([QUERY, "dog"])
        assert [event.str_or_query_bundle.query_str for event in events.of(RetrievalStartEvent)] == [QUERY, "dog"]
        assert [event.nodes for event in events.of(RetrievalEndEvent)] == found
        told = [end.payload for _, end in debug.get_event_pairs(CBEventType.RETRIEVE)]
        assert sorted(told, key=repr) == sorted(({EventPayload.NODES: nodes} for nodes in found), key=repr)
        await own.aretrieve_batch([QUERY])
        assert len(debug.get_event_pairs(CBEventType.RETRIEVE)) == 3

    def test_without_a_manager_it_is_the_embedding_model_s_or_that_of_the_settings(self) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        model = TinyEmbedding(callback_manager=CallbackManager([debug]))
        assert retriever(embed_model=model).callback_manager is model.callback_manager
        assert retriever(embed_model=None).callback_manager is Settings.callback_manager
        own = CallbackManager()
        assert retriever(embed_model=model, callback_manager=own).callback_manager is own

    async def test_retrieval_is_a_span_sync_and_async(self) -> None:
        spans, root = SimpleSpanHandler(), get_dispatcher()
        root.add_span_handler(spans)
        try:
            own = retriever()
            own.retrieve(QUERY)
            await own.aretrieve(QueryBundle(QUERY))
            await postprocessor().apostprocess_nodes(own.retrieve(QUERY), query_str=QUERY)
        finally:
            root.span_handlers.remove(spans)
        names = {span.id_.split("-")[0] for span in spans.completed_spans}
        expected = {"QdrantRerankRetriever._retrieve", "QdrantRerankRetriever._aretrieve"}
        assert expected | {"QdrantRerankPostprocessor._apostprocess_nodes"} <= names


async def test_async_calls_leave_the_event_loop_free() -> None:
    loop, searches = asyncio.get_running_loop(), list[str]()

    class PatientClient(EngineClient):
        """Searches only while the event loop goes on."""

        def query_points(self, *args: Any, **kwargs: Any) -> Any:
            let_turn(loop)
            searches.append("single")
            return super().query_points(*args, **kwargs)

        def query_batch_points(self, *args: Any, **kwargs: Any) -> Any:
            let_turn(loop)
            searches.append("batch")
            return super().query_batch_points(*args, **kwargs)

    own = QdrantRerankRetriever.from_vector_store(store(PatientClient()), TinyEmbedding())
    await own.aretrieve(QUERY)
    await own.aretrieve_batch([QUERY, "lazy dog"])
    # a server is asked by an AsyncQdrantClient with the same options; other engines by the client itself, in a thread
    assert searches == ([] if current().kind == "server" else ["single", "batch"])
