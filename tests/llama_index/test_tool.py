"""The retriever as an agent's search tool: agents, hostile calls, and tenants kept apart."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any
from uuid import UUID

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.schema import TextNode
from llama_index.core.tools import ToolOutput
from llama_index.core.tools.calling import acall_tool, call_tool
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import models

from llama_index_qdrant_rerank import QdrantRerankPostprocessor, QdrantRerankRetriever, QdrantSearchTool, search_tool
from llama_index_qdrant_rerank import asearch_tool as make_async
from qdrant_rerank import Formula, Mmr, Nearest, PlanWarning, StrategyError, field, score
from qdrant_rerank._internals import Trained
from qdrant_rerank.expressions import sigmoid
from tests.engines import open_client
from tests.hostile_calls import TENANTS, hostile
from tests.llama_index.stores import COLLECTION, QUERY, TinyEmbedding, hybrid_arguments, numbers, store
from tests.support import dense

BY_POPULARITY = Formula(score() + 100 * field("popularity", default=0))
FILTERS = ["topic", "year"]


def must(key: str, value: Any) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchValue(value=value))])


@pytest.fixture
def two() -> QdrantVectorStore:
    """Two tenants' nodes, in one collection that LlamaIndex wrote."""
    made = QdrantVectorStore(COLLECTION, client=open_client(), **hybrid_arguments(False))
    made.add(
        [
            TextNode(
                id_=str(UUID(int=number + 1)),
                text=f"{tenant}-TEXT quick fox {number}",
                metadata={"tenant": tenant, "topic": f"{tenant}-topic-{number % 3}", "year": number, "note": "hidden words"},
                excluded_llm_metadata_keys=["note"],
                embedding=dense(f"quick fox {number}"),
            )
            for tenant, numbers in TENANTS.items()
            for number in numbers
        ]
    )
    return made


def over(vector_store: QdrantVectorStore, **arguments: Any) -> QdrantRerankRetriever:
    settings: dict[str, Any] = {"embed_model": TinyEmbedding(), "similarity_top_k": 5} | arguments
    return QdrantRerankRetriever.from_vector_store(vector_store, **settings)


def tenants(output: ToolOutput) -> set[str]:
    return {each.node.metadata["tenant"] for each in output.raw_output}


def test_what_a_model_is_told_is_typed_by_the_tenants_payload_alone(two: QdrantVectorStore) -> None:
    tool = search_tool(over(two, fixed_filter=must("tenant", "A")), filters=FILTERS, name="guide", description="The guide.")
    told = tool.metadata.to_openai_tool()["function"]
    assert (told["name"], told["description"], told["parameters"]["required"]) == ("guide", "The guide.", ["query"])
    properties = told["parameters"]["properties"]
    assert list(properties) == ["query", "k", "topic", "min_year", "max_year"]
    assert properties["topic"]["anyOf"][0]["items"]["enum"] == ["A-topic-0", "A-topic-1", "A-topic-2"]
    assert "about 0 to 39" in properties["min_year"]["description"]
    assert "tenant" not in str(told)
    assert all((name == "query") != ({"type": "null"} in each.get("anyOf", [])) for name, each in properties.items())
    assert len(tool.call(query="quick fox", topic=None, min_year=None, max_year=None, k=None).raw_output) == 5
    with pytest.raises(StrategyError, match="which a model must not name"):
        search_tool(over(two, fixed_filter=must("tenant", "A")), filters=["tenant"])


async def test_k_is_at_most_what_the_strategy_can_give_and_the_schema_says_so(two: QdrantVectorStore) -> None:
    own = over(two, strategy=Mmr(diversity=0.3).over(Nearest(limit=3)), similarity_top_k=2)
    for tool in (search_tool(own), await make_async(own)):
        assert tool.metadata.to_openai_tool()["function"]["parameters"]["properties"]["k"]["anyOf"][0]["maximum"] == 3
        assert len(tool.call(query="quick fox", k=8).raw_output) == 3


def test_what_came_after_the_tool_was_made_is_found_by_it(two: QdrantVectorStore) -> None:
    tool = search_tool(over(two), filters=FILTERS)
    assert "No document was found with topic='drone'" in tool.call(query="quick fox", topic=["drone"]).content
    two.add([TextNode(id_=str(UUID(int=999)), text="A drone", metadata={"topic": "drone"}, embedding=dense("quick fox"))])
    assert [each.node.get_content() for each in tool.call(query="quick fox", topic=["drone"]).raw_output] == ["A drone"]


@pytest.mark.parametrize(
    "strategy", [None, Formula(score() + field("year", default=0)).over(Nearest(limit=20)), Mmr(diversity=0.3)]
)
async def test_an_answer_has_ids_scores_and_what_nodes_show_to_models(two: QdrantVectorStore, strategy: Any) -> None:
    own = over(two, strategy=strategy, score_key="score", fixed_filter=must("tenant", "B"))
    tool = search_tool(own, filters=FILTERS)
    said = tool.call(query="quick fox", k=3, topic="b-TOPIC-1")
    assert not said.is_error
    assert len(said.raw_output) == 3
    for number, found in enumerate(said.raw_output, 1):
        assert f"[{number}] id={found.node.node_id} score={found.score:.4g}\n" in said.content
        assert found.node.text in said.content
    assert "year: " in said.content
    assert "hidden words" not in said.content
    assert "score: " not in said.content
    again = await tool.acall(query="quick fox", k=3, topic=["B-topic-1"])
    assert (again.content, numbers(again.raw_output)) == (said.content, numbers(said.raw_output))
    assert (again.tool_name, again.raw_input) == (
        "search_documents",
        {"kwargs": {"query": "quick fox", "k": 3, "topic": ["B-topic-1"]}},
    )


async def test_what_the_agent_asks_is_the_query() -> None:
    model = TinyEmbedding()
    tool = search_tool(QdrantRerankRetriever.from_vector_store(store(), embed_model=model))
    output = await tool.acall(query="hello")
    assert model.asked == ["async query hello"]
    assert tool("hello").content == output.content
    assert call_tool(tool, {"query": "hello"}).content == output.content
    assert (await acall_tool(tool, {"query": "hello"})).content == output.content


async def test_the_async_maker_makes_the_same(two: QdrantVectorStore) -> None:
    made = await make_async(over(two), filters=FILTERS, max_k=5)
    assert made.metadata.to_openai_tool() == search_tool(over(two), filters=FILTERS, max_k=5).metadata.to_openai_tool()
    assert (await make_async(over(two))).spec.filters == ()
    narrowed = search_tool(over(two, filter=must("topic", "A-topic-1")), filters=FILTERS)
    assert narrowed.spec.filters[0].values == () or narrowed.spec.filters[0].values == ("A-topic-1",)


async def test_no_query_and_no_hit_and_a_failed_search_are_texts(
    two: QdrantVectorStore, caplog: pytest.LogCaptureFixture
) -> None:
    tool = search_tool(over(two), filters=FILTERS)
    for nothing in ({}, {"query": ""}, {"query": None}):
        for said in (tool.call(**nothing), await tool.acall(**nothing)):
            assert said.is_error
            assert "The argument query is empty" in said.content
    none = tool.call(query="quick fox", min_year=999)
    assert "No document was found with min_year=999" in none.content
    assert not none.is_error

    class Broken(TinyEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            raise RuntimeError("key sk-secret")

        async def _aget_query_embedding(self, query: str) -> list[float]:
            raise RuntimeError("key sk-secret")

    broken = search_tool(over(two, embed_model=Broken()))
    for failed in (broken.call(query="fox"), await broken.acall(query="fox")):
        assert failed.is_error
        assert "The search failed" in failed.content
        assert "sk-secret" not in failed.content
    assert "sk-secret" in caplog.text


async def test_postprocessors_have_the_last_word() -> None:
    two_best = QdrantRerankPostprocessor.from_vector_store(
        store(), strategy=BY_POPULARITY, embed_model=TinyEmbedding(), top_n=2
    )
    tool = search_tool(
        QdrantRerankRetriever.from_vector_store(store(), embed_model=TinyEmbedding(), similarity_top_k=8),
        node_postprocessors=[two_best],
    )
    said = tool.call(query=QUERY)
    assert numbers(said.raw_output) == [6, 5]
    assert numbers((await tool.acall(query=QUERY)).raw_output) == [6, 5]


def test_low_confidence_is_told_by_itself_where_scores_are_calibrated(two: QdrantVectorStore) -> None:
    doubtful = Formula(sigmoid(score() - 9.0), trained=Trained(calibrated=True)).over(Nearest(limit=20))
    for strategy in (doubtful, doubtful.on_client()):
        tool = search_tool(over(two, strategy=strategy))
        assert "Low confidence: the best score is 0.00, below 0.5." in tool.call(query="quick fox").content
    postprocessor = QdrantRerankPostprocessor.from_vector_store(two, strategy=BY_POPULARITY, embed_model=TinyEmbedding())
    for silent in (
        search_tool(over(two, strategy=doubtful), low_confidence=None),
        search_tool(over(two, strategy=doubtful), node_postprocessors=[postprocessor]),
        search_tool(over(two, strategy=doubtful.uncheck())),
        search_tool(over(two)),
    ):
        assert "Low confidence" not in silent.call(query="quick fox").content
    assert "below 2" in search_tool(over(two), low_confidence=2).call(query="quick fox").content
    with pytest.raises(StrategyError, match="low_confidence must be a score such as"):
        search_tool(over(two), low_confidence="often")  # type: ignore[arg-type]


# Tenants

TENANT: ContextVar[str] = ContextVar("tenant")


def of_tenant() -> models.Filter:
    return must("tenant", TENANT.get())


async def test_a_misspelt_key_in_a_filter_that_always_holds_is_told_when_the_tool_is_made(two: QdrantVectorStore) -> None:
    for settings, whose in (
        ({"fixed_filter": must("tenent", "A")}, "The fixed_filter"),
        ({"filter": must("tenent", "A")}, "The retriever's filter"),
    ):
        says = f"has 'tenent'; did you mean 'tenant'. {whose} lets none of them through"
        with pytest.warns(PlanWarning, match=says) as told:
            search_tool(over(two, **settings), filters=["year"])
        assert "B-" not in str([each.message for each in told])
        with pytest.warns(PlanWarning, match=says):
            await make_async(over(two, **settings))
        with pytest.warns(PlanWarning, match="has 'tenent'"), pytest.raises(StrategyError, match="did you mean 'topic'"):
            search_tool(over(two, **settings), filters=["metadata.topic"])
    with pytest.warns(PlanWarning, match="has 'tenent'.*The fixed_filter lets none"):
        assert over(two, fixed_filter=must("tenent", "A")).retrieve("fox") == []


async def test_two_hundred_hostile_calls_raise_nothing_and_find_no_other_tenants_nodes(two: QdrantVectorStore) -> None:
    token = TENANT.set("A")
    for tool in (
        search_tool(over(two, fixed_filter=must("tenant", "A")), filters=FILTERS),
        search_tool(over(two), filters=FILTERS, runtime_filter=of_tenant),
    ):
        found = 0
        for number in range(200):
            said = await tool.acall(**hostile(number)) if number % 2 else tool(**hostile(number))
            assert len(said.content.encode()) <= 6000
            assert "B-TEXT quick fox 1" not in said.content
            assert tenants(said) <= {"A"}
            assert len(said.raw_output) <= 10
            found += bool(said.raw_output)
        assert found > 10
    TENANT.reset(token)


async def test_a_tenant_that_is_known_at_run_time_is_asked_for_in_each_call_and_no_values_are_told(
    two: QdrantVectorStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tool = search_tool(over(two), filters=FILTERS, runtime_filter=of_tenant)
    told = str(tool.metadata.to_openai_tool())
    assert "topic-" not in told
    assert "about" not in told
    assert "Nothing was searched" in (untold := tool.call(query="quick fox")).content
    assert untold.is_error
    assert "LookupError" in caplog.text
    for tenant in TENANTS:
        token = TENANT.set(tenant)
        for said in (tool.call(query="quick fox", k=10), await tool.acall(query="quick fox", k=10)):
            assert tenants(said) == {tenant}
        TENANT.reset(token)
    lax: Any = lambda: None  # noqa: E731
    assert "Nothing was searched" in search_tool(over(two), runtime_filter=lax).call(query="quick fox").content


# Agents

# LlamaIndex's workflows look at every member of an agent, deprecated ones as well
ITS_WARNINGS = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")


def scripted(calls: list[dict[str, Any]]) -> MockFunctionCallingLLM:
    """A model that calls the tool with these arguments, one call a turn, then ends."""
    turns = [
        ChatMessage(
            role="assistant",
            blocks=[ToolCallBlock(tool_call_id=str(number), tool_name="search_documents", tool_kwargs=arguments)],
        )
        for number, arguments in enumerate(calls)
    ]
    waiting = iter([*turns, ChatMessage("done", role="assistant")])
    return MockFunctionCallingLLM(response_generator=lambda messages, **options: next(waiting), is_chat_model=True)


CALLS: list[dict[str, Any]] = [
    {"query": ""},
    {"query": "quick fox", "k": "no"},
    {"query": "quick fox", "topic": ["B-topic-1"], "k": 2},
]


@ITS_WARNINGS
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("workflow", [False, True])
async def test_an_agent_searches_and_goes_on_after_what_cant_be(
    two: QdrantVectorStore, workflow: bool, streaming: bool
) -> None:
    tool = search_tool(over(two, fixed_filter=must("tenant", "B")), filters=FILTERS)
    agent: Any = FunctionAgent(tools=[tool], llm=scripted(CALLS), streaming=streaming)
    if workflow:
        agent = AgentWorkflow(agents=[agent])
    handler = agent.run(user_msg="?")
    empty, odd, found = [each.tool_output async for each in handler.stream_events() if isinstance(each, ToolCallResult)]
    assert "query is empty" in empty.content
    assert "k must be" in odd.content
    assert found.content.startswith("2 documents were found")
    assert tenants(found) == {"B"}
    assert str(await handler) == "done"


@ITS_WARNINGS
async def test_an_agents_run_has_the_tenant_of_the_context_that_it_was_started_in(two: QdrantVectorStore) -> None:
    tool: QdrantSearchTool = search_tool(over(two), runtime_filter=of_tenant)
    for tenant in TENANTS:
        token = TENANT.set(tenant)
        handler = AgentWorkflow.from_tools_or_functions([tool], llm=scripted([{"query": "quick fox"}])).run(user_msg="?")
        TENANT.reset(token)
        [found] = [each.tool_output async for each in handler.stream_events() if isinstance(each, ToolCallResult)]
        assert tenants(found) == {tenant}
        await handler


async def test_another_retriever_is_refused_with_how_to_make_ours() -> None:
    other: Any = object()
    says = r"made of a QdrantRerankRetriever, got object: .*from_vector_store\(store"
    with pytest.raises(TypeError, match=says):
        search_tool(other)
    with pytest.raises(TypeError, match=says):
        await make_async(other)
