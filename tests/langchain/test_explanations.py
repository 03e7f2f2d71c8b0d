"""Explanations in documents' metadata: what they say, what they cost, and who doesn't see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.tools import create_retriever_tool
from qdrant_client import models

from langchain_qdrant_rerank._internals import to_documents
from qdrant_rerank import (
    Formula,
    Nearest,
    PlanWarning,
    QueryError,
    RankedPoint,
    SearchOptions,
    Strategy,
    StrategyError,
    field,
    param,
    score,
)
from qdrant_rerank._internals import PRESETS, ResultReason, Term
from tests.langchain.support import CANDIDATES, QUERY, STRATEGIES, assert_same, counting_client, make, must

QUERIES = [QUERY, "lazy dog"]
LEARNED = Formula(score("dense") + 0.1 * score("bm25") - field("metadata.popularity", default=0) / 50).over(*CANDIDATES)
KEY = "_explanation"


def told(documents: list[Document]) -> list[dict[str, Any]]:
    return [document.metadata[KEY] for document in documents]


def without(documents: list[Document]) -> list[Document]:
    """The documents without their explanations."""
    rest = [{key: value for key, value in document.metadata.items() if key != KEY} for document in documents]
    return [document.model_copy(update={"metadata": own}) for document, own in zip(documents, rest, strict=True)]


@pytest.mark.parametrize("strategy", [LEARNED, STRATEGIES["rrf"], STRATEGIES["dense"], STRATEGIES["nested"]])
async def test_the_terms_add_up_to_the_score_and_the_documents_are_the_same(strategy: Strategy) -> None:
    retriever = make(strategy=strategy, k=5)
    expected = retriever.invoke(QUERY)
    for found in (retriever.invoke(QUERY, explanations=True), await retriever.ainvoke(QUERY, explanations=True)):
        assert_same(without(found), expected)
        for rank, (document, reason) in enumerate(zip(found, told(found), strict=True), 1):
            assert (reason["rank"], reason["score"]) == (rank, document.metadata["score"])
            assert sum(reason["terms"].values()) == pytest.approx(reason["score"], abs=1e-5)


def test_an_explanation_names_each_term_and_each_candidate() -> None:
    [reason] = told(make(strategy=LEARNED, k=1, explanations=True).invoke(QUERY))
    assert list(reason["terms"]) == [
        "score('dense')",
        "0.1 * score('bm25')",
        "-(field('metadata.popularity', default=0) / 50.0)",
    ]
    assert reason["candidates"].keys() == {"dense", "bm25"}


def test_terms_that_read_alike_are_added_up() -> None:
    popularity = field("metadata.popularity", default=0)
    twice = Formula(score() + 0.1 * popularity + 0.1 * popularity).over(Nearest("dense"))
    [document] = make(strategy=twice, k=1, explanations=True).invoke(QUERY)
    assert sum(document.metadata[KEY]["terms"].values()) == pytest.approx(document.metadata["score"], abs=1e-5)


async def test_batches_explain_each_query_as_a_call_does_in_one_round_trip() -> None:
    client = counting_client()
    retriever = make(client=client, strategy=LEARNED, explanations=True)
    expected = [retriever.invoke(query) for query in QUERIES]
    await retriever.ainvoke(QUERY)
    client.calls.clear()
    for answers in (retriever.search_batch(QUERIES), await retriever.asearch_batch(QUERIES)):
        for found, alone in zip(answers, expected, strict=True):
            assert [reason["terms"].keys() for reason in told(found)] == [reason["terms"].keys() for reason in told(alone)]
            assert_same(without(found), without(alone))
    retriever.invoke(QUERY)
    await retriever.ainvoke(QUERY)
    assert client.calls == ["query_batch_points"] * 4


def test_a_call_decides_over_the_retrievers_setting() -> None:
    assert KEY not in make(strategy=LEARNED, explanations=True).invoke(QUERY, explanations=False)[0].metadata
    assert KEY not in make(strategy=LEARNED).invoke(QUERY)[0].metadata
    assert KEY in make(strategy=LEARNED).search_batch([QUERY], explanations=True)[0][0].metadata


def plain_types(value: Any) -> set[type]:
    if isinstance(value, dict):
        return {kind for key, item in value.items() for kind in {type(key)} | plain_types(item)}
    return {type(value)}


def test_explanations_are_plain_values_that_json_holds() -> None:
    for reason in told(make(strategy=LEARNED, k=24, explanations=True).invoke(QUERY)):
        assert plain_types(reason) <= {str, int, float, type(None)}
        assert json.loads(json.dumps(reason)) == reason


def test_the_key_is_the_users_choice() -> None:
    [document] = make(strategy=LEARNED, k=1, explanations=True, explanation_key="why").invoke(QUERY)
    assert document.metadata["why"]["rank"] == 1
    assert KEY not in document.metadata


@pytest.mark.parametrize("key", ["", "_id", None, 3])
def test_a_key_that_can_t_be_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="explanation_key takes a metadata key other than '_id'"):
        make(explanation_key=key)


def test_an_explanation_never_hides_what_a_document_has() -> None:
    reason = ResultReason(1, 1, 0.5, (), (Term("a", 0.5),), 0.5)
    point = models.ScoredPoint(id=1, version=0, score=0.5, payload={"page_content": "t", "metadata": {KEY: "own"}})
    with pytest.warns(PlanWarning, match=f"under '{KEY}'.*their explanations are under '_{KEY}'; set explanation_key"):
        [document] = to_documents([point], collection="docs", mapping=PRESETS["langchain"], reasons=[reason])
    assert (document.metadata[KEY], document.metadata[f"_{KEY}"]) == ("own", reason.as_dict())


def test_the_payload_that_was_asked_for_comes_whatever_the_terms_read() -> None:
    settings: dict[str, Any] = {
        "strategy": LEARNED,
        "k": 3,
        "options": SearchOptions(with_payload=["page_content", "metadata.category"]),
    }
    retriever = make(**settings)
    expected = retriever.invoke(QUERY)
    found = retriever.invoke(QUERY, explanations=True)
    assert "popularity" not in found[0].metadata
    assert_same(without(found), expected)
    bare = make(strategy=LEARNED, k=1, options=SearchOptions(with_payload=False), explanations=True).invoke(QUERY)
    assert (bare[0].page_content, bare[0].metadata[KEY]["rank"]) == ("", 1)


def test_vectors_filters_offsets_and_features_reach_what_is_explained() -> None:
    strategy = Formula(score() + param("bonus", default=0)).over(Nearest("dense", limit=20))
    options: dict[str, Any] = {"filter": must("category", "news"), "offset": 1, "params": {"bonus": 2.0}, "k": 2}
    retriever = make(strategy=strategy)
    found = retriever.invoke(QUERY, explanations=True, **options)
    assert_same(without(found), retriever.invoke(QUERY, **options))
    assert [reason["rank"] for reason in told(found)] == [2, 3]
    assert told(found)[0]["terms"]["param('bonus', default=0)"] == 2.0
    with_vector = retriever.invoke("", vectors=[1.0, 0.0, 0.0, 0.0], explanations=True)
    assert told(with_vector)[0]["rank"] == 1


async def test_what_can_t_be_explained_is_refused_with_the_reason() -> None:
    retriever = make(strategy=LEARNED, explanations=True)
    with pytest.raises(StrategyError, match="results of a group query can't be explained: leave out group_by"):
        retriever.invoke(QUERY, options=SearchOptions(group_by="metadata.doc"))
    with pytest.raises(QueryError, match="explanations must be True or False, got 'yes'"):
        await retriever.ainvoke(QUERY, explanations="yes")


def test_mmr_has_no_terms_to_explain() -> None:
    [reason, *_] = told(make(strategy=STRATEGIES["mmr"], explanations=True).invoke(QUERY))
    assert reason["terms"] == {}


def test_models_are_not_shown_explanations() -> None:
    retriever = make(strategy=LEARNED, k=2, explanations=True)
    shown = create_retriever_tool(retriever, "search", "Searches.").invoke({"query": QUERY})
    assert shown == "\n\n".join(document.page_content for document in retriever.invoke(QUERY))


def ranked(number: int, metadata: dict[str, Any], **notes: Any) -> models.ScoredPoint:
    payload = {"page_content": f"text {number}", "metadata": metadata}
    return RankedPoint(id=number, version=0, score=0.5, payload=payload, notes=notes)


def documents(*points: models.ScoredPoint, **settings: Any) -> list[Document]:
    return to_documents(list(points), collection="docs", mapping=PRESETS["langchain"], **{"score_key": "score", **settings})


def test_what_reranking_notes_is_in_the_metadata() -> None:
    first, second, third = documents(
        ranked(1, {}, retrieval_score=0.3, relevance_score=0.9), ranked(2, {}, not_reranked="no text"), ranked(3, {})
    )
    assert first.metadata.items() >= {"score": 0.5, "retrieval_score": 0.3, "relevance_score": 0.9}.items()
    assert second.metadata["not_reranked"] == "no text"
    assert third.metadata.keys() == {"_id", "_collection_name", "score"}


def test_a_note_never_hides_what_a_document_has() -> None:
    with pytest.warns(PlanWarning, match="under 'relevance_score': it is kept, and what reranking notes is under '_relev"):
        own, other = documents(ranked(1, {"relevance_score": 7}, relevance_score=0.9), ranked(2, {}, relevance_score=0.8))
    assert (own.metadata["relevance_score"], own.metadata["_relevance_score"]) == (7, 0.9)
    assert (other.metadata["_relevance_score"], "relevance_score" in other.metadata) == (0.8, False)


def test_a_note_never_hides_the_score_or_the_id() -> None:
    with pytest.warns(PlanWarning, match="what reranking notes is under"):
        [document] = documents(ranked(1, {}, score=0.1, _id="x"))
    assert document.metadata.items() >= {"score": 0.5, "_score": 0.1, "_id": 1, "__id": "x"}.items()
