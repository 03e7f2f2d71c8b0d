"""`Rerank` in the retriever: a model reads the documents' texts, sync, async and in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.documents import Document
from pydantic import ValidationError
from qdrant_client import models

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Fusion, Nearest, PlanWarning, Query, Rerank, SearchOptions, score
from qdrant_rerank.errors import ClientError
from qdrant_rerank.expressions import rerank_score
from tests.engines import open_client
from tests.langchain.models import AsyncChat, Chat, Down, Lengths, LongestFirst, Tracer
from tests.langchain.support import DOCS, QUERY, assert_same, ids, make, must, settings
from tests.waiting import Patient

RESCORE = Rerank(reads=10).over(Nearest("dense"))


def lengths(documents: Sequence[Document]) -> list[float]:
    return [float(len(document.page_content)) for document in documents]


def notes(document: Document) -> dict[str, Any]:
    return {key: document.metadata[key] for key in ("score", "relevance_score", "retrieval_score")}


def test_the_model_reads_the_text_of_the_candidates_and_its_scores_count() -> None:
    reader = Lengths()
    plain = make(strategy=Nearest("dense"), k=10).invoke(QUERY)
    found = make(strategy=RESCORE, reranker=reader, k=3).invoke(QUERY)
    assert reader.read == [(QUERY, [document.page_content for document in plain])]
    assert lengths(found) == sorted(lengths(plain), reverse=True)[:3]
    before = {document.id: document.metadata["score"] for document in plain}
    for document, length in zip(found, lengths(found), strict=True):
        expected = {"score": length, "relevance_score": length, "retrieval_score": before[document.id]}
        assert notes(document) == pytest.approx(expected)


async def test_every_way_to_ask_gives_the_same() -> None:
    strategy = Rerank(reads=12, blend=rerank_score() + score()).over(Fusion.rrf().over(Nearest("dense"), Nearest("bm25")))
    retriever = make(strategy=strategy, reranker=Lengths(), k=4)
    queries = [QUERY, "lazy dog", QUERY]
    expected = [retriever.invoke(query) for query in queries]
    found: list[list[Document]] = [await retriever.ainvoke(query) for query in queries]
    for other in (found, retriever.search_batch(queries), await retriever.asearch_batch(queries), retriever.batch(queries)):
        for one, same in zip(other, expected, strict=True):
            assert_same(one, same)
    assert ids(expected[0]) != ids(make(strategy=strategy.below, k=4).invoke(QUERY))


def test_filters_and_thresholds_hold() -> None:
    retriever = make(strategy=RESCORE, reranker=Lengths(), k=10, filter=must("category", "news"))
    found = retriever.invoke(QUERY)
    assert {document.metadata["category"] for document in found} == {"news"}
    threshold = sorted(lengths(found))[len(found) // 2]
    above = retriever.invoke(QUERY, score_threshold=threshold)
    assert lengths(above) == [length for length in lengths(found) if length >= threshold]
    assert 0 < len(above) < len(found)


def test_explanations_say_what_the_model_added() -> None:
    [best, *_] = make(strategy=RESCORE, reranker=Lengths(), explanations=True).invoke(QUERY)
    told = best.metadata["_explanation"]
    assert told["score"] == best.metadata["score"] == sum(told["terms"].values())


def test_a_function_and_a_compressor_are_models() -> None:
    expected = make(strategy=RESCORE, reranker=Lengths()).invoke(QUERY)
    for other in (lambda query, texts: [len(text) for text in texts], LongestFirst()):
        assert ids(make(strategy=RESCORE, reranker=other).invoke(QUERY)) == ids(expected)


def test_the_text_is_where_payload_says() -> None:
    reader = Lengths()
    make(strategy=RESCORE, reranker=reader, payload=lambda payload: (f"id: {payload['page_content']}", {})).invoke(QUERY)
    assert all(text.startswith("id: ") for text in reader.read[0][1])


def test_a_failure_is_raised_or_leaves_the_order_of_the_search() -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        make(strategy=RESCORE, reranker=Down()).invoke(QUERY)
    retriever = make(strategy=Rerank(reads=10, on_error="keep_order").over(Nearest("dense")), reranker=Down())
    with pytest.warns(PlanWarning, match="the model failed \\(TimeoutError\\)"):
        found = retriever.invoke(QUERY)
    assert ids(found) == ids(make(strategy=Nearest("dense")).invoke(QUERY))
    assert {document.metadata["not_reranked"] for document in found} == {"TimeoutError"}


def test_without_a_model_the_error_says_what_to_pass() -> None:
    with pytest.raises(ClientError, match="pass reranker="):
        make(strategy=RESCORE).invoke(QUERY)


@pytest.mark.parametrize(("wrong", "message"), [(3, "int has no score"), (Lengths, "the class Lengths: pass an object")])
def test_what_is_no_model_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(reranker=wrong)


def test_copies_with_another_model_use_it() -> None:
    retriever = make(strategy=RESCORE, reranker=Lengths())
    shortest = retriever.model_copy(update={"reranker": lambda query, texts: [-len(text) for text in texts]})
    assert lengths(retriever.invoke(QUERY)) == sorted(lengths(retriever.invoke(QUERY)), reverse=True)
    assert lengths(shortest.invoke(QUERY)) == sorted(lengths(shortest.invoke(QUERY)))


async def test_a_slow_sync_model_does_not_block_the_event_loop() -> None:
    patient = Patient()
    retriever = make(strategy=RESCORE, reranker=patient)
    await asyncio.gather(retriever.ainvoke(QUERY), retriever.ainvoke("lazy dog"))
    assert patient.scorings == 2


@pytest.mark.parametrize("model", [Chat(), AsyncChat(), LongestFirst()], ids=["sync", "async", "compressor"])
async def test_a_chat_model_is_a_child_of_the_retrievers_run(model: Any) -> None:
    retriever, queries = make(strategy=RESCORE, reranker=model), [QUERY, "lazy dog", QUERY]

    async def traced(way: str) -> list[tuple[str, str, str]]:
        tracer = Tracer()
        config: Any = {"callbacks": [tracer]}
        match way:
            case "invoke":
                retriever.invoke(QUERY, config)
            case "ainvoke":
                await retriever.ainvoke(QUERY, config)
            case "search_batch":
                retriever.search_batch(queries, config)
            case _:
                await retriever.asearch_batch(queries, config)
        return sorted(tracer.children())

    for way in ("invoke", "ainvoke"):
        [(kind, query, asked)] = await traced(way)
        assert (kind, query) == ("retriever", QUERY)
        assert f"rank for {QUERY}" in asked
    for way in ("search_batch", "asearch_batch"):
        children = await traced(way)
        assert [query for _, query, _ in children] == sorted(queries)
        assert all(f"rank for {query}" in asked for _, query, asked in children)


def test_a_query_object_of_a_batch_is_traced_too() -> None:
    tracer = Tracer()
    make(strategy=RESCORE, reranker=Chat()).search_batch([Query("lazy dog")], {"callbacks": [tracer]})
    assert [query for _, query, _ in tracer.children()] == ["lazy dog"]


def test_stable_ties_are_in_the_order_of_ids() -> None:
    client = open_client()
    client.create_collection(DOCS, vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)})
    points = [
        models.PointStruct(id=id, vector={"dense": [1.0, 0, 0, 0]}, payload={"page_content": "x"}) for id in range(9, 0, -1)
    ]
    client.upsert(DOCS, points)
    given = {**settings(), "client": client, "strategy": Nearest("dense")}
    expected = ["1", "2", "3", "4"]
    assert ids(QdrantRerankRetriever(**given, options=SearchOptions(stable_ties=True)).invoke(QUERY)) == expected
    assert ids(QdrantRerankRetriever(**given).invoke(QUERY, options=SearchOptions(stable_ties=True))) == expected
    client.close()
