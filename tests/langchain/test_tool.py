"""The retriever as an agent's search tool: LangChain's own suite, agents, hostile calls, and tenants kept apart."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import get_runtime
from qdrant_client import models

from langchain_qdrant_rerank import QdrantRerankRetriever, QdrantSearchTool, asearch_tool, search_tool
from qdrant_rerank import Mmr, Nearest, PlanWarning, Rerank, Strategy, StrategyError
from tests.engines import open_client
from tests.hostile_calls import TENANTS, fill_two_tenants, hostile
from tests.langchain.support import QUERY, STRATEGIES, WordEmbeddings, make, must
from tests.support import dense

FILTERS = ["metadata.category", "metadata.popularity", "metadata.published"]


class TestUnit(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        return search_tool(make(), filters=FILTERS)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": QUERY, "k": 2, "category": ["news"], "min_popularity": 2}


class TestIntegration(ToolsIntegrationTests):
    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        return search_tool(make(), filters=FILTERS)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": QUERY, "k": 2, "category": ["news"]}


def ask(tool: QdrantSearchTool, config: RunnableConfig | None = None, /, **arguments: Any) -> ToolMessage:
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}, config)
    assert isinstance(message, ToolMessage)
    return message


async def aask(tool: QdrantSearchTool, config: RunnableConfig | None = None, /, **arguments: Any) -> ToolMessage:
    message = await tool.ainvoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}, config)
    assert isinstance(message, ToolMessage)
    return message


def test_what_a_model_is_told_is_typed_by_the_payload() -> None:
    told = convert_to_openai_tool(search_tool(make(), filters=FILTERS, description="The guide."))["function"]
    assert (told["name"], told["description"]) == ("search_documents", "The guide.")
    parameters = told["parameters"]
    assert parameters["required"] == ["query"]
    assert parameters["properties"]["category"]["anyOf"][0]["items"]["enum"] == ["blog", "news", "paper"]
    assert "about 1.5 to 36" in parameters["properties"]["min_popularity"]["description"]
    assert list(parameters["properties"]) == [
        *("query", "k", "category", "min_popularity", "max_popularity", "min_published", "max_published"),
    ]


async def test_a_strict_schema_leaves_each_filter_out_by_null() -> None:
    tool = search_tool(make(), filters=FILTERS)
    strict = convert_to_openai_tool(tool, strict=True)["function"]
    assert strict["strict"] is True
    parameters = strict["parameters"]
    assert parameters["additionalProperties"] is False
    assert parameters["required"] == list(parameters["properties"])
    for name, each in parameters["properties"].items():
        assert (name == "query") != ({"type": "null"} in each.get("anyOf", []))
    nothing: dict[str, Any] = dict.fromkeys(parameters["required"])
    for said in (ask(tool, **nothing | {"query": QUERY}), await aask(tool, **nothing | {"query": QUERY})):
        assert len(said.artifact) == 4


@pytest.mark.parametrize(
    "limited", [Rerank(reads=3).over(Nearest("dense", limit=20)), Mmr(diversity=0.3).over(Nearest("dense", limit=3))]
)
async def test_k_is_at_most_what_the_strategy_can_give_and_the_schema_says_so(limited: Strategy) -> None:
    reranker = (lambda query, texts: [float(len(text)) for text in texts]) if isinstance(limited, Rerank) else None
    own = make(strategy=limited, reranker=reranker, k=2)
    for tool in (search_tool(own), await asearch_tool(own)):
        assert convert_to_openai_tool(tool)["function"]["parameters"]["properties"]["k"]["anyOf"][0]["maximum"] == 3
        assert len(ask(tool, query=QUERY, k=8).artifact) == 3


def test_what_came_after_the_tool_was_made_is_found_by_it() -> None:
    retriever = make()
    tool = search_tool(retriever, filters=FILTERS)
    assert "No document was found with category='drone'" in str(ask(tool, query=QUERY, category=["drone"]).content)
    payload = {"page_content": "A new drone manual", "metadata": {"category": "drone"}}
    assert retriever.client is not None
    vectors: Any = {"dense": dense("A new drone manual")}
    retriever.client.upsert(retriever.collection_name, [models.PointStruct(id=999, vector=vectors, payload=payload)], wait=True)
    found = ask(tool, query=QUERY, category=["drone"])
    assert [each.page_content for each in found.artifact] == ["A new drone manual"]
    assert "When this tool was made" not in str(found.content)


@pytest.mark.parametrize("strategy", ["dense", "formula_two_candidates", "mmr"])
async def test_an_answer_has_ids_and_scores_and_the_artifact_is_the_documents(strategy: str) -> None:
    tool = search_tool(make(strategy=STRATEGIES[strategy]), filters=FILTERS)
    said = ask(tool, query=QUERY, k=3, category="NEWS")
    found: list[Document] = said.artifact
    assert len(found) == 3
    assert {document.metadata["category"] for document in found} == {"news"}
    for number, document in enumerate(found, 1):
        assert f"[{number}] id={document.id} score={document.metadata['score']:.4g} category='news'" in said.content
        assert document.page_content in said.content
    assert [each.id for each in (await aask(tool, query=QUERY, k=3, category=["news"])).artifact] == [each.id for each in found]


def test_a_lone_text_is_the_query() -> None:
    assert "documents were found" in search_tool(make()).invoke(QUERY)


def test_the_search_is_a_child_of_the_tools_run() -> None:
    from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

    runs = RunCollectorCallbackHandler()
    ask(search_tool(make()), {"callbacks": [runs]}, query=QUERY)
    [run] = runs.traced_runs
    assert (run.run_type, [child.run_type for child in run.child_runs]) == ("tool", ["retriever"])


async def test_the_search_is_a_child_of_the_async_tools_run_too() -> None:
    from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

    runs = RunCollectorCallbackHandler()
    await aask(search_tool(make()), {"callbacks": [runs]}, query=QUERY)
    [run] = runs.traced_runs
    assert (run.run_type, [child.run_type for child in run.child_runs]) == ("tool", ["retriever"])


@pytest.mark.parametrize("name", ["config", "run_manager", "callbacks", "self", "args", "tool_call_id"])
async def test_an_argument_that_is_called_as_one_of_the_frameworks_is_told_like_any_other(name: str) -> None:
    tool = search_tool(make())
    for said in (ask(tool, **{"query": QUERY, name: {"a": 1}}), await aask(tool, **{"query": QUERY, name: {"a": 1}})):
        assert (said.status, f"There is no argument '{name}'" in str(said.content)) == ("error", True), said.content


async def test_the_async_maker_makes_the_same() -> None:
    made = await asearch_tool(make(), filters=FILTERS, max_k=5)
    assert convert_to_openai_tool(made) == convert_to_openai_tool(search_tool(make(), filters=FILTERS, max_k=5))
    assert (await asearch_tool(make())).spec.filters == ()


async def test_no_query_and_no_hit_and_a_failed_search_are_texts(caplog: pytest.LogCaptureFixture) -> None:
    tool = search_tool(make(), filters=FILTERS)
    for nothing in ({}, {"query": ""}, {"query": None}):
        for refused in (ask(tool, **nothing), await aask(tool, **nothing)):
            assert "The argument query is empty" in str(refused.content)
            assert (refused.status, refused.artifact) == ("error", None)
        assert "The argument query is empty" in tool.invoke(nothing)
    none = ask(tool, query=QUERY, min_popularity=999)
    assert "No document was found with min_popularity=999" in str(none.content)
    assert (none.status, none.artifact) == ("success", [])

    class Broken(WordEmbeddings):
        def embed_query(self, text: str) -> list[float]:
            raise RuntimeError("key sk-secret")

        async def aembed_query(self, text: str) -> list[float]:
            raise RuntimeError("key sk-secret")

    broken = search_tool(make(embedding=Broken()))
    for failed in (ask(broken, query=QUERY), await aask(broken, query=QUERY)):
        assert "The search failed (" in str(failed.content)
        assert "secret" not in str(failed.content)
        assert (failed.status, failed.artifact) == ("error", None)
    assert "failed" in caplog.text


def test_documents_keep_a_score_of_their_own() -> None:
    client = open_client()
    client.create_collection("own", vectors_config=models.VectorParams(size=len(dense("x")), distance=models.Distance.COSINE))
    payload = {"page_content": "text", "metadata": {"score": "mine"}}
    client.upsert("own", [models.PointStruct(id=1, vector=dense("text"), payload=payload)], wait=True)
    retriever = QdrantRerankRetriever(client=client, collection_name="own", embedding=WordEmbeddings())
    assert ask(search_tool(retriever), query="text").artifact[0].metadata["score"] == "mine"


# Tenants


@pytest.fixture
def shared() -> QdrantRerankRetriever:
    client = open_client()
    fill_two_tenants(
        client,
        lambda tenant, number: {
            "page_content": f"{tenant}-TEXT quick fox {number}",
            "metadata": {"tenant": tenant, "topic": f"{tenant}-topic-{number % 3}", "year": number},
        },
    )
    return QdrantRerankRetriever(client=client, collection_name="two", embedding=WordEmbeddings(), k=5)


def test_what_a_model_is_told_is_of_the_tenant_alone(shared: QdrantRerankRetriever) -> None:
    mine = shared.model_copy(update={"fixed_filter": must("tenant", "A")})
    told = str(convert_to_openai_tool(search_tool(mine, filters=["metadata.topic", "metadata.year"])))
    assert "A-topic-2" in told
    assert "B-topic" not in told
    assert "0 to 39" in told
    assert "tenant" not in told
    with pytest.raises(StrategyError, match="which a model must not name"):
        search_tool(mine, filters=["metadata.tenant"])


async def test_a_misspelt_key_in_a_filter_that_always_holds_is_told_when_the_tool_is_made(
    shared: QdrantRerankRetriever,
) -> None:
    fixed = models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value="A"))])
    for update, whose in (({"fixed_filter": fixed}, "The fixed_filter"), ({"filter": fixed}, "The retriever's filter")):
        mine = shared.model_copy(update=update)
        says = f"no point of 'two' has 'tenant'; did you mean 'metadata.tenant'. {whose} lets none of them through"
        with pytest.warns(PlanWarning, match=says) as told:
            search_tool(mine, filters=["metadata.year"])
        assert "B-" not in str([each.message for each in told])
        with pytest.warns(PlanWarning, match=says):
            await asearch_tool(mine)
        with (
            pytest.warns(PlanWarning, match="has 'tenant'"),
            pytest.raises(StrategyError, match=r"did you mean 'metadata\.topic'"),
        ):
            search_tool(mine, filters=["metadata.topicc"])
        with (
            pytest.warns(PlanWarning, match="has 'tenant'"),
            pytest.raises(StrategyError, match=r"did you mean 'metadata\.year'"),
        ):
            await asearch_tool(mine, filters=["year"])
    with pytest.warns(PlanWarning, match="no point of 'two' has 'tenant'.*The fixed_filter lets none"):
        assert await shared.model_copy(update={"fixed_filter": fixed}).ainvoke("fox") == []


def test_a_tenants_filter_that_is_right_is_not_told_of_nor_where_nothing_is_stored_or_can_be_asked() -> None:
    client = open_client()
    client.create_collection("empty", vectors_config=models.VectorParams(size=len(dense("x")), distance=models.Distance.COSINE))
    fixed = must("tenent", "A")
    for collection in ("empty", "nowhere"):
        own = QdrantRerankRetriever(client=client, collection_name=collection, embedding=WordEmbeddings(), fixed_filter=fixed)
        assert search_tool(own).spec.filters == ()
    search_tool(
        QdrantRerankRetriever(client=client, collection_name="empty", embedding=WordEmbeddings(), fixed_filter=fixed),
        filters=["metadata.anything"],
    )


async def test_two_hundred_hostile_calls_raise_nothing_and_find_no_other_tenants_documents(
    shared: QdrantRerankRetriever,
) -> None:
    for tool in (
        search_tool(
            shared.model_copy(update={"fixed_filter": must("tenant", "A")}), filters=["metadata.topic", "metadata.year"]
        ),
        search_tool(shared, filters=["metadata.topic", "metadata.year"], runtime_filter=lambda config: must("tenant", "A")),
    ):
        found = 0
        for number in range(200):
            said = await aask(tool, **hostile(number)) if number % 2 else ask(tool, **hostile(number))
            assert isinstance(said.content, str)
            assert len(said.content.encode()) <= 6000
            assert "B-TEXT quick fox 1" not in said.content
            documents = said.artifact or []
            assert {document.metadata["tenant"] for document in documents} <= {"A"}
            assert len(documents) <= 10
            found += bool(documents)
        assert found > 10


async def test_a_tenant_that_is_known_at_run_time_comes_from_the_config_and_no_values_are_told(
    shared: QdrantRerankRetriever,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def tenant_of(config: RunnableConfig) -> models.Filter:
        return must("tenant", config["configurable"]["tenant"])

    tool = search_tool(shared, filters=["metadata.topic", "metadata.year"], runtime_filter=tenant_of)
    told = str(convert_to_openai_tool(tool))
    assert "topic-" not in told
    assert "about" not in told
    nullable = (
        "{'anyOf': [{'type': 'integer'}, {'type': 'null'}], 'description': 'Only documents whose year is at least this.'}"
    )
    assert f"'min_year': {nullable}" in told
    for tenant in TENANTS:
        config: RunnableConfig = {"configurable": {"tenant": tenant}}
        for said in (ask(tool, config, query="quick fox", k=10), await aask(tool, config, query="quick fox", k=10)):
            assert {document.metadata["tenant"] for document in said.artifact} == {tenant}
    assert "Nothing was searched" in str(ask(tool, query="quick fox").content)
    assert "KeyError: 'tenant'" in caplog.text
    lax: Any = lambda config: None  # noqa: E731
    assert "Nothing was searched" in str(ask(search_tool(shared, runtime_filter=lax), query="quick fox").content)


# Agents

FILTERED = {"query": QUERY, "category": ["news"], "k": 2}


def scripted(calls: list[dict[str, Any]]) -> Any:
    """A chat model that calls the tool with these arguments, one call a turn, then ends."""

    class Scripted(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **options: Any) -> Any:
            return self

    turns = [
        AIMessage("", tool_calls=[{"name": "search_documents", "args": arguments, "id": str(number), "type": "tool_call"}])
        for number, arguments in enumerate(calls)
    ]
    return Scripted(messages=iter([*turns, AIMessage("done")]))


@pytest.mark.parametrize("sync", [True, False])
async def test_an_agent_searches_and_goes_on_after_what_cant_be(sync: bool) -> None:
    agent: Any = create_agent(
        scripted([{"query": ""}, {"query": QUERY, "k": "no"}, FILTERED]), [search_tool(make(), filters=FILTERS)]
    )
    asked = {"messages": [("user", "?")]}
    messages = (agent.invoke(asked) if sync else await agent.ainvoke(asked))["messages"]
    empty, odd, found = [each for each in messages if isinstance(each, ToolMessage)]
    assert "query is empty" in empty.content
    assert "k must be" in odd.content
    assert str(found.content).startswith("2 documents were found")
    assert messages[-1].content == "done"


def tenant_of_the_run(config: RunnableConfig) -> models.Filter:
    context: Any = get_runtime().context
    return must("tenant", context["tenant"])


@pytest.mark.parametrize("sync", [True, False])
async def test_an_agents_search_has_the_tenant_of_the_runs_context(shared: QdrantRerankRetriever, sync: bool) -> None:
    tool = search_tool(shared, filters={"metadata.year": "integer"}, runtime_filter=tenant_of_the_run)
    for tenant in TENANTS:
        agent: Any = create_agent(scripted([{"query": "quick fox", "max_year": 120}]), [tool], context_schema=dict)
        asked, context = {"messages": [("user", "?")]}, {"tenant": tenant}
        answer = agent.invoke(asked, context=context) if sync else await agent.ainvoke(asked, context=context)
        [found] = [each for each in answer["messages"] if isinstance(each, ToolMessage)]
        assert {document.metadata["tenant"] for document in found.artifact} == {tenant}


@pytest.mark.parametrize("sync", [True, False])
async def test_a_tool_node_runs_it_with_the_runs_context(shared: QdrantRerankRetriever, sync: bool) -> None:
    builder: Any = StateGraph(MessagesState, context_schema=dict)
    builder.add_node("tools", ToolNode([search_tool(shared, runtime_filter=tenant_of_the_run)]))
    builder.add_edge(START, "tools")
    graph = builder.compile()
    call = AIMessage(
        "", tool_calls=[{"name": "search_documents", "args": {"query": "quick fox"}, "id": "1", "type": "tool_call"}]
    )
    for tenant in TENANTS:
        asked, context = {"messages": [call]}, {"tenant": tenant}
        answer = graph.invoke(asked, context=context) if sync else await graph.ainvoke(asked, context=context)
        assert {document.metadata["tenant"] for document in answer["messages"][-1].artifact} == {tenant}


async def test_another_retriever_is_refused_with_how_to_make_ours() -> None:
    other: Any = object()
    says = r"made of a QdrantRerankRetriever, got object: .*from_vector_store\(store"
    with pytest.raises(TypeError, match=says):
        search_tool(other)
    with pytest.raises(TypeError, match=says):
        await asearch_tool(other)
