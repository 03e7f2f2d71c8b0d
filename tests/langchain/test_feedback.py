"""`RelevanceFeedback` in the retriever: like any strategy, sync, async and in batches; its notes are in the metadata."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.documents import Document

from qdrant_rerank import (
    Coefficients,
    Fusion,
    Nearest,
    PayloadMapping,
    PlanError,
    PlanWarning,
    RelevanceFeedback,
    Strategy,
)
from qdrant_rerank._internals import TextSource
from qdrant_rerank.feedback import FeedbackCandidates
from tests.langchain.models import Chat, Down, Lengths, Tracer
from tests.langchain.support import QUERY, assert_same, counting_client, ids, make, must

PRECISION = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 0.0, 0.5), trust=True)
RECALL = replace(PRECISION, mode="recall", limit=10)
WITHIN = replace(PRECISION, within=Fusion.rrf().over(FeedbackCandidates(limit=20), Nearest("bm25", limit=20)))
NATIVE = replace(PRECISION, native=True)
STRATEGIES = {"precision": PRECISION, "recall": RECALL, "within": WITHIN, "native": NATIVE}
NOTES = ("surfaced_by_feedback", "documents_scored", "feedback_score")
KEY = "_explanation"


def noted(documents: list[Document]) -> list[tuple[Any, ...]]:
    return [tuple(document.metadata.get(name) for name in NOTES) for document in documents]


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_every_way_to_ask_gives_the_same(strategy: Strategy) -> None:
    retriever = make(strategy=strategy, reranker=Lengths(), k=6)
    queries = [QUERY, "lazy dog", QUERY]
    expected = [retriever.invoke(query) for query in queries]
    found: list[list[Document]] = [await retriever.ainvoke(query) for query in queries]
    for other in (found, retriever.search_batch(queries), await retriever.asearch_batch(queries), retriever.batch(queries)):
        for one, same in zip(other, expected, strict=True):
            assert_same(one, same)
    assert ids(expected[0]) != ids(make(strategy=Nearest("dense"), k=6).invoke(QUERY))


def test_the_seeds_are_read_and_nothing_else_and_the_notes_say_so() -> None:
    reader = Lengths()
    plain = make(strategy=Nearest("dense"), k=6).invoke(QUERY)
    found = make(strategy=PRECISION, reranker=reader, k=6).invoke(QUERY)
    assert reader.read == [(QUERY, [document.page_content for document in plain[:5]])]
    lengths = {document.id: float(len(document.page_content)) for document in plain[:5]}
    assert noted(found) == [(document.id not in ids(plain), 5, lengths.get(document.id)) for document in found]
    assert {surfaced for surfaced, *_ in noted(found)} == {True, False}


def test_in_mode_recall_all_results_are_read_and_in_the_models_order() -> None:
    reader = Lengths()
    found = make(strategy=RECALL, reranker=reader, k=10).invoke(QUERY)
    assert [len(texts) for _, texts in reader.read] == [5, 5]
    scores = [score for _, _, score in noted(found)]
    assert scores == [float(len(document.page_content)) for document in found] == sorted(scores, reverse=True)


async def test_a_batch_takes_as_many_round_trips_as_one_query() -> None:
    client = counting_client()
    retriever = make(client=client, strategy=PRECISION, reranker=Lengths())
    for queries in ([QUERY], [QUERY, "lazy dog", "river stone"]):
        retriever.search_batch(queries)
        await retriever.asearch_batch(queries)
        client.calls.clear()
        retriever.search_batch(queries)
        await retriever.asearch_batch(queries)
        assert len(client.calls) == 4
    assert set(client.calls) == {"query_batch_points"}


def test_filters_hold_for_both_searches() -> None:
    reader = Lengths()
    found = make(strategy=PRECISION, reranker=reader, k=8, filter=must("category", "news")).invoke(QUERY)
    assert {document.metadata["category"] for document in found} == {"news"}
    news = make(strategy=Nearest("dense"), k=24, filter=must("category", "news")).invoke(QUERY)
    assert reader.read == [(QUERY, [document.page_content for document in news[:5]])]


@pytest.mark.parametrize("strategy", [PRECISION, RECALL, WITHIN], ids=["precision", "recall", "within"])
async def test_explanations_say_what_the_feedback_added(strategy: Strategy) -> None:
    retriever = make(strategy=strategy, reranker=Lengths(), k=5)
    expected = retriever.invoke(QUERY)
    for found in (
        retriever.invoke(QUERY, explanations=True),
        await retriever.ainvoke(QUERY, explanations=True),
        retriever.search_batch([QUERY], explanations=True)[0],
        (await retriever.asearch_batch([QUERY], explanations=True))[0],
    ):
        told = [document.metadata.pop(KEY) for document in found]
        assert_same(found, expected)
        for rank, (document, reason) in enumerate(zip(found, told, strict=True), 1):
            assert (reason["rank"], reason["score"]) == (rank, document.metadata["score"])
            if strategy is PRECISION:
                assert list(reason["terms"]) == ["a * similarity", "feedback"]
                assert sum(reason["terms"].values()) == pytest.approx(reason["score"], abs=1e-5)


def test_a_failure_is_raised_or_leaves_the_first_search_with_a_note() -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        make(strategy=PRECISION, reranker=Down()).invoke(QUERY)
    retriever = make(strategy=replace(PRECISION, on_error="keep_order"), reranker=Down())
    with pytest.warns(PlanWarning, match="the model failed \\(TimeoutError\\)"):
        found = retriever.invoke(QUERY)
    assert ids(found) == ids(make(strategy=Nearest("dense")).invoke(QUERY))
    assert all("TimeoutError" in document.metadata["not_steered"] for document in found)


def test_equal_scores_leave_the_first_search_with_a_note() -> None:
    found = make(strategy=PRECISION, reranker=lambda query, texts: [1.0] * len(texts)).invoke(QUERY)
    assert ids(found) == ids(make(strategy=Nearest("dense")).invoke(QUERY))
    assert {document.metadata["not_steered"] for document in found} == {"the model gave all seeds the same score"}


def test_coefficients_of_another_model_are_refused() -> None:
    fitted = Coefficients(1.0, 0.0, 0.5).with_provenance(
        mode="precision", seeds=5, reranker="another", vector="dense", size=4, distance="Cosine"
    )
    with pytest.raises(PlanError, match="the reranker is 'lengths', was 'another'"):
        make(strategy=replace(PRECISION, coefficients=fitted, trust=False), reranker=Lengths()).invoke(QUERY)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "search_batch", "asearch_batch"])
async def test_a_chat_model_that_gives_feedback_is_a_child_of_the_retrievers_run(way: str) -> None:
    tracer = Tracer()
    retriever, config = make(strategy=PRECISION, reranker=Chat()), {"callbacks": [tracer]}
    asked: Any = QUERY if "invoke" in way else [QUERY, "lazy dog"]
    answer: Any = getattr(retriever, way)(asked, config)
    if way.startswith("a"):
        await answer
    expected = [QUERY] if "invoke" in way else ["lazy dog", QUERY]
    children = sorted(tracer.children())
    assert [query for _, query, _ in children] == expected
    assert all(f"rank for {query}" in shown for _, query, shown in children)


def test_coefficients_of_other_texts_are_refused_with_what_makes_the_texts_equal() -> None:
    def fitted(*keys: str) -> RelevanceFeedback:
        text = TextSource(keys=keys, joiner=" " if len(keys) > 1 else None)
        known = Coefficients(1.0, 0.0, 0.5).with_provenance(
            mode="precision", seeds=5, reranker="lengths", vector="dense", text=text
        )
        return replace(PRECISION, coefficients=known, trust=False)

    strategy = fitted("metadata.category", "page_content")
    remedy = "payload=PayloadMapping(text=('metadata.category', 'page_content'), joiner=' ')"
    with pytest.raises(PlanError, match="20 of 20 random points differ") as caught:
        make(strategy=strategy, reranker=Lengths()).invoke(QUERY)
    assert remedy in str(caught.value)
    equal = PayloadMapping(text=("metadata.category", "page_content"), joiner=" ", metadata="metadata")
    assert len(make(strategy=strategy, reranker=Lengths(), payload=equal).invoke(QUERY)) == 4
    # the command line's keys, of which only one is there
    assert len(make(strategy=fitted("title", "text", "page_content"), reranker=Lengths()).invoke(QUERY)) == 4


def test_what_the_fit_did_not_recommend_is_told_aloud_once() -> None:
    known = Coefficients(1.0, 0.0, 0.5).with_provenance(mode="precision", seeds=5, recommends="rerank")
    retriever = make(strategy=replace(PRECISION, coefficients=known), reranker=Lengths())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in (1, 2, 3):
            retriever.invoke(QUERY, k=k)
    [told] = [each for each in caught if each.category is PlanWarning]
    assert "plain reranking (Rerank) did as well or better" in str(told.message)
