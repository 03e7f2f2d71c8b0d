"""The retriever as a Runnable: chains, configuration, copies, tools, traces, many calls at a time."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any, cast

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from qdrant_client import AsyncQdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import AsyncExecutor, Nearest
from tests.engines import open_async_client
from tests.langchain.support import DOCS, QUERY, STRATEGIES, WordEmbeddings, assert_same, counting_client, ids, make, must


def texts(documents: list[Document]) -> str:
    return "\n".join(document.page_content for document in documents)


async def test_it_works_in_a_chain() -> None:
    prompt = PromptTemplate.from_template("{context}\n\n{question}")
    chain = {"context": make(k=2) | texts, "question": RunnablePassthrough()} | prompt
    expected = texts(make(k=2).invoke(QUERY)) + "\n\n" + QUERY
    assert chain.invoke(QUERY).to_string() == expected
    assert (await chain.ainvoke(QUERY)).to_string() == expected


async def test_it_streams_its_answer_in_one_piece() -> None:
    retriever = make()
    [found] = list(retriever.stream(QUERY, k=2))
    assert_same(found, retriever.invoke(QUERY, k=2))
    [found] = [piece async for piece in retriever.astream(QUERY, k=2)]
    assert len(found) == 2


def test_bound_options_reach_every_call() -> None:
    bound = make().bind(k=2, filter=must("category", "news"))
    assert [document.metadata["category"] for document in bound.invoke(QUERY)] == ["news", "news"]


def test_fields_can_be_configured_for_each_call() -> None:
    retriever = make().configurable_fields(k=ConfigurableField(id="k"), strategy=ConfigurableField(id="strategy"))
    assert len(retriever.invoke(QUERY)) == 4
    assert len(retriever.invoke(QUERY, {"configurable": {"k": 2}})) == 2
    sparse: Any = {"configurable": {"strategy": STRATEGIES["sparse"]}}
    assert ids(retriever.with_config(sparse).invoke(QUERY)) == ids(make(strategy=STRATEGIES["sparse"]).invoke(QUERY))


async def test_a_configured_call_is_one_round_trip_although_the_retriever_is_made_anew() -> None:
    client = counting_client()
    retriever = make(client=client).configurable_fields(k=ConfigurableField(id="k"))
    retriever.invoke(QUERY)
    await retriever.ainvoke(QUERY)
    client.calls.clear()
    retriever.invoke(QUERY, {"configurable": {"k": 2}})
    await retriever.ainvoke(QUERY, {"configurable": {"k": 2}})
    assert client.calls == ["query_points"] * 2


def test_a_configured_collection_is_read_once_and_not_mistaken_for_the_other() -> None:
    client = counting_client()
    client.create_collection("other", **_one_vector())
    client.upsert("other", [_one_point()])
    client.calls.clear()
    retriever = make(client=client).configurable_fields(collection_name=ConfigurableField(id="collection"))
    other: Any = {"configurable": {"collection": "other"}}
    for _ in range(2):
        assert len(retriever.invoke(QUERY)) == 4
        assert [document.page_content for document in retriever.invoke(QUERY, other)] == ["only one"]
    assert client.calls.count("get_collection") == 2


def _one_vector() -> dict[str, Any]:
    return {"vectors_config": {"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)}}


def _one_point() -> Any:
    return models.PointStruct(id=1, vector={"dense": [1.0, 0, 0, 0]}, payload={"page_content": "only one"})


def test_a_copy_keeps_what_was_read_and_follows_its_own_fields() -> None:
    client = counting_client()
    retriever = make(client=client)
    retriever.invoke(QUERY)
    client.calls.clear()
    assert len(retriever.model_copy(update={"k": 2}).invoke(QUERY)) == 2
    assert client.calls == ["query_points"]
    with pytest.raises(ValueError, match="there is no collection 'other'"):
        retriever.model_copy(update={"collection_name": "other"}).invoke(QUERY)


def test_a_field_that_is_set_later_counts() -> None:
    retriever = make(encoders={})
    retriever.invoke(QUERY)
    embeddings = WordEmbeddings()
    retriever.embedding = embeddings
    retriever.invoke(QUERY)
    assert embeddings.calls == ["embed_query"]


def test_a_mapping_that_is_changed_later_does_not_change_the_retriever() -> None:
    encoders: dict[str, Any] = {"dense": WordEmbeddings()}
    retriever = make(encoders=encoders)
    encoders.clear()
    assert list(cast(dict[str, Any], retriever.encoders)) == ["dense"]


def test_retrievers_with_the_same_settings_are_equal() -> None:
    retriever = make()
    assert retriever == QdrantRerankRetriever(
        **{
            name: getattr(retriever, name)
            for name in ("client", "collection_name", "embedding", "encoders", "sparse_embedding", "score_key")
        }
    )
    assert retriever != retriever.model_copy(update={"k": 5})


def test_making_a_retriever_asks_nothing() -> None:
    client = counting_client()
    embeddings = WordEmbeddings()
    make(client=client, embedding=embeddings)
    assert client.calls == []
    assert embeddings.calls == []


def test_refresh_reads_the_collection_again() -> None:
    client = counting_client()
    retriever = make(client=client)
    retriever.invoke(QUERY)
    client.calls.clear()
    retriever.refresh()
    retriever.invoke(QUERY)
    assert client.calls == ["info", "get_collection", "query_points"]


def test_explain_shows_the_request_and_what_it_costs() -> None:
    explanation = make(strategy=STRATEGIES["rrf"]).describe(k=7, filter=must("category", "news"))
    assert explanation.round_trips == 1
    [request] = explanation.requests
    assert request["limit"] == 7
    assert request["filter"]["must"][0]["key"] == "metadata.category"
    assert "Fusion.rrf(k=61" in str(explanation)


def test_explain_shows_the_vectors_that_it_is_given() -> None:
    for vectors in ([0.5, 0.25, 0.0, 1.0], {"dense": [0.5, 0.25, 0.0, 1.0]}):
        [request] = make().describe(vectors=vectors).requests
        assert "[0.5, 0.25, 0.0, 1.0]" in str(request["query"])


async def test_it_becomes_a_tool_for_agents() -> None:
    tool = create_retriever_tool(make(k=2), "search_docs", "Searches the documents.")
    expected = "\n\n".join(document.page_content for document in make(k=2).invoke(QUERY))
    assert tool.invoke({"query": QUERY}) == expected
    assert await tool.ainvoke({"query": QUERY}) == expected


async def test_many_calls_at_a_time_each_find_their_own() -> None:
    queries = [f"word number {number}" for number in range(40)]
    retriever = make(strategy=STRATEGIES["formula"])
    expected = [ids(retriever.invoke(query)) for query in queries]
    fresh = make(strategy=STRATEGIES["formula"])
    assert [ids(found) for found in await fresh.abatch(queries)] == expected
    assert [ids(found) for found in fresh.batch(queries, {"max_concurrency": 8})] == expected
    assert [ids(found) for found in await asyncio.gather(*map(fresh.ainvoke, queries))] == expected


def test_one_retriever_serves_several_event_loops() -> None:
    retriever = make()
    for _ in range(2):
        assert len(asyncio.run(retriever.ainvoke(QUERY))) == 4


async def test_an_async_client_alone_is_enough_for_async_calls() -> None:
    client = open_async_client()
    await client.create_collection(DOCS, **_one_vector())
    await client.upsert(DOCS, [_one_point()])
    retriever = QdrantRerankRetriever(async_client=client, collection_name=DOCS, embedding=WordEmbeddings())
    assert [document.page_content for document in await retriever.ainvoke(QUERY)] == ["only one"]
    assert [document.page_content for document in (await retriever.asearch_batch([QUERY]))[0]] == ["only one"]


def _async_client() -> AsyncQdrantClient:
    return open_async_client()


def test_what_is_kept_between_calls_is_not_pickled() -> None:
    retriever = QdrantRerankRetriever(async_client=_async_client, collection_name=DOCS, embedding=WordEmbeddings(), k=3)
    retriever._executor(AsyncExecutor)
    copy = pickle.loads(pickle.dumps(retriever))
    assert (copy.k, copy.collection_name, copy.strategy) == (3, DOCS, Nearest())
    assert copy.executors is not retriever.executors


class Metadata(BaseCallbackHandler):
    """Keeps the metadata and tags of retriever runs."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Any, Any]] = []

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self.seen.append((kwargs["metadata"], kwargs["tags"], kwargs["parent_run_id"]))


def test_traces_say_which_store_and_which_embeddings() -> None:
    seen = Metadata()
    make(tags=["docs"]).invoke(QUERY, {"callbacks": [seen]})
    [(metadata, tags, _)] = seen.seen
    assert metadata["ls_retriever_name"] == "qdrantrerank"
    assert metadata["ls_vector_store_provider"] == "QdrantVectorStore"
    assert metadata["ls_embedding_provider"] == "WordEmbeddings"
    assert tags == ["docs"]


def test_traces_of_sparse_search_name_the_sparse_embeddings() -> None:
    assert make(embedding=None)._get_ls_params()["ls_embedding_provider"] == "WordSparse"
    assert "ls_embedding_provider" not in make(embedding=None, sparse_embedding=None, encoders={})._get_ls_params()


async def test_batch_runs_have_the_surrounding_run_as_parent() -> None:
    seen = Metadata()
    retriever = make()
    chain: Any = RunnableLambda(lambda queries: retriever.search_batch(queries))
    chain.invoke([QUERY], {"callbacks": [seen]})
    assert seen.seen[0][2] is not None
