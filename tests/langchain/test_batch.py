"""`search_batch`: many queries in one request; and what LangChain's own `batch` does with the retriever."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Formula, Nearest, PlanError, Query, QueryError, Strategy, param, score
from tests.langchain.support import QUERY, STRATEGIES, assert_same, counting_client, ids, make, must
from tests.support import dense

QUERIES = [QUERY, "lazy dog", "quiet night"]


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_a_batch_finds_what_each_query_finds(strategy: Strategy) -> None:
    retriever = make(strategy=strategy)
    expected = [retriever.invoke(query) for query in QUERIES]
    for answers in (retriever.search_batch(QUERIES), await retriever.asearch_batch(QUERIES)):
        assert len(answers) == len(expected)
        for found, alone in zip(answers, expected, strict=True):
            assert_same(found, alone)


async def test_a_batch_is_one_round_trip() -> None:
    client = counting_client()
    retriever = make(client=client, strategy=STRATEGIES["rrf"])
    retriever.search_batch(QUERIES)
    await retriever.asearch_batch(QUERIES)
    client.calls.clear()
    retriever.search_batch(QUERIES)
    await retriever.asearch_batch(QUERIES)
    assert client.calls == ["query_batch_points"] * 2


def test_a_batch_takes_the_options_of_a_call() -> None:
    retriever = make(strategy=STRATEGIES["dense"])
    options: dict[str, Any] = {"k": 3, "filter": must("category", "news"), "strategy": STRATEGIES["rrf"]}
    for found, query in zip(retriever.search_batch(QUERIES, **options), QUERIES, strict=True):
        assert_same(found, retriever.invoke(query, **options))


def test_each_query_of_a_batch_may_bring_vectors_and_features_of_its_own() -> None:
    strategy = Formula(score() + param("bonus", default=0)).over(Nearest("dense"))
    with_vector = Query(vectors={"dense": dense(QUERY)}, params={"bonus": 5})
    plain, raised = make(strategy=strategy).search_batch([QUERY, with_vector], params={"bonus": 1})
    assert ids(plain) == ids(raised)
    assert raised[0].metadata["score"] == pytest.approx(plain[0].metadata["score"] + 4)


async def test_no_queries_find_nothing_and_ask_nothing() -> None:
    client = counting_client()
    retriever = make(client=client)
    assert retriever.search_batch([]) == []
    assert await retriever.asearch_batch([]) == []
    assert client.calls == []


async def test_one_text_is_no_batch() -> None:
    with pytest.raises(TypeError, match="search_batch takes a list of queries; for a single one call invoke"):
        make().search_batch(QUERY)
    with pytest.raises(TypeError, match="takes a list of queries"):
        await make().asearch_batch(QUERY)


def test_vectors_for_all_queries_at_once_are_refused() -> None:
    with pytest.raises(QueryError, match=r"vectors would be the same for every query: pass queries=\[Query\(text, vectors="):
        make().search_batch(QUERIES, vectors=[dense(query) for query in QUERIES])


async def search(retriever: QdrantRerankRetriever, is_async: bool, *arguments: Any, **options: Any) -> Any:
    if is_async:
        return await retriever.asearch_batch(*arguments, **options)
    return retriever.search_batch(*arguments, **options)


class Recorder(BaseCallbackHandler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.starts: list[dict[str, Any]] = []

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self.events.append(("start", query))
        self.starts.append(kwargs)

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.events.append(("end", len(documents)))

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(("error", type(error)))


@pytest.mark.parametrize("is_async", [False, True])
async def test_each_query_of_a_batch_is_a_run_in_traces(is_async: bool) -> None:
    recorder = Recorder()
    retriever = make(tags=["own"], metadata={"team": "search"})
    config: Any = {"callbacks": [recorder], "tags": ["call"], "metadata": {"user": 7}, "run_name": "lookup"}
    await search(retriever, is_async, [QUERY, Query("lazy dog")], config, k=2)
    assert recorder.events == [("start", QUERY), ("start", "lazy dog"), ("end", 2), ("end", 2)]
    for start in recorder.starts:
        assert sorted(start["tags"]) == ["call", "own"]
        assert (
            start["metadata"].items() >= {"team": "search", "user": 7, "ls_vector_store_provider": "QdrantVectorStore"}.items()
        )
        assert start["name"] == "lookup"


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_error_ends_every_run_of_a_batch(is_async: bool) -> None:
    recorder = Recorder()
    retriever = make(strategy=Nearest("colbret"))
    with pytest.raises(PlanError):
        await search(retriever, is_async, QUERIES[:2], {"callbacks": [recorder]})
    assert [kind for kind, _ in recorder.events] == ["start", "start", "error", "error"]


async def test_langchains_batch_works_as_for_every_retriever() -> None:
    retriever = make()
    expected = [retriever.invoke(query, k=2) for query in QUERIES]
    for answers in (retriever.batch(QUERIES, k=2), await retriever.abatch(QUERIES, k=2)):
        for found, alone in zip(answers, expected, strict=True):
            assert_same(found, alone)


def test_langchains_batch_can_return_exceptions() -> None:
    found, refused = make().batch([QUERY, ""], return_exceptions=True)
    assert isinstance(found[0], Document)
    assert isinstance(refused, QueryError)
