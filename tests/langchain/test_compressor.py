"""The compressor: documents of any retriever ranked by a model, as `Rerank` would rank them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ValidationError
from qdrant_client import models

from langchain_qdrant_rerank import QdrantRerankCompressor
from qdrant_rerank import Nearest, PlanWarning, QueryError, Rerank, ScoringError, field, score, sigmoid, when
from qdrant_rerank.expressions import Expression, rerank_score
from tests.langchain.models import AsyncChat, Chat, Down, Lengths, LongestFirst, Tracer
from tests.langchain.support import QUERY, ids, make
from tests.waiting import Patient

BLEND = 0.9 * sigmoid(0.1 * rerank_score()) + 0.5 * field("metadata.rating", default=3.0) + score()
TEXTS = ("bb", "dddd", "a", "ccc")


def documents(*texts: str, **metadata: Any) -> list[Document]:
    return [Document(id=text, page_content=text, metadata={"nested": {"a": 1}, **metadata}) for text in texts or TEXTS]


def texts(found: Any) -> list[str]:
    return [document.page_content for document in found]


async def both(compressor: QdrantRerankCompressor, given: list[Document]) -> list[Document]:
    """The answer, which must be the same sync and async."""
    found = list(compressor.compress_documents(given, QUERY))
    assert list(await compressor.acompress_documents(given, QUERY)) == found
    return found


class Fixed(BaseRetriever):
    """Finds the same documents always."""

    found: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.found


async def test_documents_come_back_in_the_models_order_and_keep_what_they_had() -> None:
    given = documents(score=0.5)
    found = await both(QdrantRerankCompressor(reranker=Lengths()), given)
    assert texts(found) == ["dddd", "ccc", "bb", "a"]
    assert ids(found) == texts(found)
    assert found[0].metadata == {"nested": {"a": 1}, "score": 0.5, "relevance_score": 4.0}


async def test_the_documents_that_come_in_stay_as_they_are() -> None:
    given = documents()
    found = await both(QdrantRerankCompressor(reranker=Lengths()), given)
    found[0].metadata["nested"]["a"] = 2
    assert given == documents()


@pytest.mark.parametrize(
    "rescoring", [{}, {"blend": BLEND}, {"top_n": 3}, {"blend": 2 * rerank_score() - 100 * score(), "top_n": 7}], ids=str
)
async def test_the_order_is_that_of_rescore_over_the_same_candidates(rescoring: dict[str, Any]) -> None:
    strategy = Nearest("dense")
    candidates = make(strategy=strategy, k=20).invoke(QUERY)
    expected = make(strategy=Rerank(reads=20, **rescoring).over(strategy), reranker=Lengths(), k=rescoring.get("top_n", 20))
    found = await both(QdrantRerankCompressor(reranker=Lengths(), **rescoring), candidates)
    ranked = expected.invoke(QUERY)
    assert ids(found) == ids(ranked)
    final = "blended_score" if "blend" in rescoring else "relevance_score"
    assert [each.metadata[final] for each in found] == pytest.approx([each.metadata["score"] for each in ranked])
    assert [each.metadata["relevance_score"] for each in found] == [each.metadata["relevance_score"] for each in ranked]


async def test_it_works_in_a_contextual_compression_retriever() -> None:
    compressor = QdrantRerankCompressor(reranker=Lengths(), top_n=2)
    retriever = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=Fixed(found=documents()))
    assert texts(retriever.invoke(QUERY)) == ["dddd", "ccc"]
    assert texts(await retriever.ainvoke(QUERY)) == ["dddd", "ccc"]


@pytest.mark.parametrize("reader", [Chat(), AsyncChat(), LongestFirst()], ids=["sync", "async", "compressor"])
async def test_what_the_model_runs_is_a_child_of_the_compression(reader: Any) -> None:
    compressor = QdrantRerankCompressor(reranker=reader)
    retriever = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=Fixed(found=documents()))
    for is_async in (False, True):
        tracer = Tracer()
        config: Any = {"callbacks": [tracer]}
        assert texts(await retriever.ainvoke(QUERY, config) if is_async else retriever.invoke(QUERY, config))[0] == "dddd"
        [run] = tracer.runs
        assert sorted(child.run_type for child in run.child_runs) == ["llm", "retriever"]


async def test_handlers_may_be_passed_as_a_list() -> None:
    tracer = Tracer()
    QdrantRerankCompressor(reranker=Chat()).compress_documents(documents(), QUERY, [tracer])
    await QdrantRerankCompressor(reranker=Chat()).acompress_documents(documents(), QUERY, [tracer])
    assert [run.run_type for run in tracer.runs] == ["llm", "llm"]


async def test_no_documents_are_no_work() -> None:
    reader = Lengths()
    assert await both(QdrantRerankCompressor(reranker=reader), []) == []
    assert reader.read == []


@pytest.mark.parametrize(
    ("policy", "expected"), [("last", ["dddd", "bb", "", "  "]), ("drop", ["dddd", "bb"]), ("raise", None)]
)
async def test_documents_without_text_follow_the_policy(policy: Any, expected: list[str] | None) -> None:
    compressor, given = QdrantRerankCompressor(reranker=Lengths(), missing_text=policy), documents("", "bb", "  ", "dddd")
    if expected is None:
        with pytest.raises(ScoringError, match="2 of 4 candidates have no text"):
            compressor.compress_documents(given, QUERY)
        return
    found = await both(compressor, given)
    assert texts(found) == expected
    assert [document.metadata.get("not_reranked") for document in found] == [None, None, "no text", "no text"][: len(found)]


async def test_min_score_is_about_the_final_score() -> None:
    assert texts(await both(QdrantRerankCompressor(reranker=Lengths(), min_score=3), documents())) == ["dddd", "ccc"]
    blended = QdrantRerankCompressor(reranker=Lengths(), min_score=-2, blend=-1 * rerank_score())
    assert texts(await both(blended, documents())) == ["a", "bb"]


async def test_a_failure_is_raised_or_leaves_the_order() -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        QdrantRerankCompressor(reranker=Down()).compress_documents(documents(), QUERY)
    with pytest.raises(TimeoutError, match="no answer"):
        await QdrantRerankCompressor(reranker=Down()).acompress_documents(documents(), QUERY)
    with pytest.warns(PlanWarning, match="TimeoutError"):
        found = await both(QdrantRerankCompressor(reranker=Down(), on_error="keep_order", top_n=3), documents(score=0.5))
    assert texts(found) == list(TEXTS[:3])
    assert found[0].metadata == {"nested": {"a": 1}, "score": 0.5, "not_reranked": "TimeoutError"}


async def test_an_earlier_failure_is_forgotten_once_a_model_has_read_the_text() -> None:
    [found] = await both(QdrantRerankCompressor(reranker=Lengths()), documents("a", not_reranked="TimeoutError"))
    assert "not_reranked" not in found.metadata


async def test_scores_go_where_score_key_says() -> None:
    [found] = await both(
        QdrantRerankCompressor(reranker=Lengths(), score_key="rank_score"), documents("a", relevance_score=0.7)
    )
    assert found.metadata == {"nested": {"a": 1}, "relevance_score": 0.7, "rank_score": 1.0}


def test_a_blend_that_reads_a_score_which_is_not_there_says_where_it_looked() -> None:
    with pytest.raises(QueryError, match=r"no number under 'score' .*'nested'.* set retrieval_score_key"):
        QdrantRerankCompressor(reranker=Lengths(), blend=rerank_score() + score()).compress_documents(documents(), QUERY)


@pytest.mark.parametrize(
    ("blend", "many", "told"),
    [
        (field("rating", default=3.0), 1, "none of 1 results has 'rating'; did you mean 'metadata.rating'?"),
        (when(models.FieldCondition(key="metadata.ratng", match=models.MatchValue(value=3))), 1, "mean 'metadata.rating'?"),
        (field("metadata.price", default=3.0), 20, "none of 20 results has 'metadata.price'. The blend takes the default"),
        (field("metadata.price", default=3.0), 19, ""),
        (field("metadata.rating", default=3.0), 20, ""),
        (when(models.IsEmptyCondition(is_empty=models.PayloadField(key="metadata.rating_"))), 20, ""),
    ],
)
def test_a_key_of_a_blend_that_no_document_has_is_told(blend: Expression, many: int, told: str) -> None:
    given = documents(*map(str, range(many)), rating=2)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        QdrantRerankCompressor(reranker=Lengths(), blend=rerank_score() + blend).compress_documents(given, QUERY)
    assert [told in str(warning.message) for warning in found] == [True] * bool(told)


def test_a_blend_may_be_written_as_text_and_is_dumped_as_such() -> None:
    compressor = QdrantRerankCompressor(reranker=Lengths(), blend="rerank_score() + score()", retrieval_score_key="before")  # type: ignore[arg-type]
    [found] = compressor.compress_documents(documents("a", before=2), QUERY)
    assert found.metadata["blended_score"] == 3.0
    dumped = compressor.model_dump()
    assert "reranker" not in dumped
    assert QdrantRerankCompressor(reranker=Lengths(), **dumped).model_dump() == dumped


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"reranker": None}, "a reranker is needed"),
        ({"reranker": 3}, "int has no score"),
        ({"topn": 3}, "the compressor has no field 'topn'.*did you mean 'top_n'"),
        ({"top_n": 0}, "top_n of Rerank must be a whole number"),
        ({"min_score": float("nan")}, "min_score must be a finite number"),
        ({"blend": score()}, "doesn't read rerank_score"),
        ({"on_error": "ignore"}, "keep_order"),
    ],
)
def test_what_can_not_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        QdrantRerankCompressor(**{"reranker": Lengths(), **wrong})


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(QueryError, match="query's text is empty"):
        QdrantRerankCompressor(reranker=Lengths()).compress_documents(documents(), " ")


async def test_a_slow_sync_model_does_not_block_the_event_loop() -> None:
    found = await QdrantRerankCompressor(reranker=Patient()).acompress_documents(documents(), QUERY)
    assert texts(list(found))[0] == "dddd"
