"""`RelevanceFeedback` in the retriever: like any strategy, sync, async and in batches; its notes are in the metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core.schema import MetadataMode, NodeWithScore
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Fusion,
    Nearest,
    PayloadMapping,
    PlanError,
    PlanWarning,
    RelevanceFeedback,
    Strategy,
    StrategyError,
)
from qdrant_rerank._internals import TextSource
from qdrant_rerank.feedback import FeedbackCandidates
from tests.llama_index.stores import QUERY, numbers, ranking
from tests.llama_index.test_rescore import Down, Lengths, embedded
from tests.llama_index.test_rescore import retriever as of_store
from tests.llama_index.test_retriever import retriever as of_client
from tests.support import CountingClient, fill_toy

PRECISION = RelevanceFeedback(seeds=Nearest(limit=3), coefficients=Coefficients(1.0, 0.0, 0.2), trust=True)
RECALL = replace(PRECISION, mode="recall", limit=6)
NATIVE = replace(PRECISION, native=True)
NOTES = ("surfaced_by_feedback", "documents_scored", "feedback_score")
KEY = "_explanation"


class Shortest(Lengths):
    """The shorter a text, the better."""

    fingerprint = "shortest"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return [-length for length in super().score(query, texts)]


def noted(found: list[NodeWithScore]) -> list[tuple[Any, ...]]:
    return [tuple(each.metadata.get(name) for name in NOTES) for each in found]


def retriever(strategy: Strategy = PRECISION, **arguments: Any) -> Any:
    return of_store(strategy, **{"reranker": Lengths(), **arguments})


@pytest.fixture
def counting() -> Iterator[CountingClient]:
    client = CountingClient()
    fill_toy(client)
    yield client
    client.close()


@pytest.mark.parametrize("strategy", [PRECISION, RECALL, NATIVE], ids=["precision", "recall", "native"])
async def test_every_way_to_ask_gives_the_same(strategy: Strategy) -> None:
    of = retriever(strategy)
    queries = [QUERY, "lazy dog", QUERY]
    expected = [of.retrieve(query) for query in queries]
    for found in (
        [await of.aretrieve(query) for query in queries],
        of.retrieve_batch(queries),
        await of.aretrieve_batch(queries),
    ):
        for one, same in zip(found, expected, strict=True):
            assert numbers(one) == numbers(same)
            assert noted(one) == noted(same)
            assert [each.score for each in one] == pytest.approx([each.score for each in same], abs=1e-6)
    assert numbers(expected[0]) != numbers(retriever(Nearest(), reranker=None).retrieve(QUERY))


def test_the_seeds_are_read_and_nothing_else_and_the_notes_say_so() -> None:
    reader = Shortest()
    plain = retriever(Nearest(), reranker=None, similarity_top_k=3).retrieve(QUERY)
    found = retriever(reranker=reader, similarity_top_k=2).retrieve(QUERY)
    assert reader.read == embedded(plain)
    scores = {number: -float(len(text)) for number, text in zip(numbers(plain), reader.read, strict=True)}
    assert noted(found) == [(number not in numbers(plain)[:2], 3, scores.get(number)) for number in numbers(found)]
    assert {surfaced for surfaced, *_ in noted(found)} == {True, False}


def test_in_mode_recall_all_results_are_read_and_in_the_models_order() -> None:
    reader = Lengths()
    found = retriever(RECALL, reranker=reader, similarity_top_k=6).retrieve(QUERY)
    assert len(reader.read) == 6
    assert [each.score for each in found] == sorted(map(float, map(len, reader.read)), reverse=True)
    assert [score for _, _, score in noted(found)] == [each.score for each in found]


def test_models_are_not_shown_the_notes() -> None:
    for each in retriever().retrieve(QUERY):
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert not any(name in each.node.get_content(mode) for name in NOTES)


async def test_a_batch_takes_as_many_round_trips_as_one_query(counting: CountingClient) -> None:
    within = replace(PRECISION, within=Fusion.rrf().over(FeedbackCandidates(limit=20), Nearest("bm25", limit=20)))
    for strategy in (replace(PRECISION, seeds=Nearest("dense", limit=3)), replace(within, seeds=Nearest("dense", limit=3))):
        of = of_client(counting, strategy=strategy, reranker=Lengths(), similarity_top_k=4)
        queries = [QUERY, "lazy dog", "river stone"]
        of.retrieve_batch(queries)
        await of.aretrieve_batch(queries)
        counting.calls.clear()
        of.retrieve_batch(queries)
        await of.aretrieve_batch(queries)
        assert counting.calls == ["query_batch_points"] * 4


def test_filters_hold_for_both_searches() -> None:
    topic = models.Filter(must=[models.FieldCondition(key="topic", match=models.MatchValue(value="animals"))])
    found = retriever(filter=topic).retrieve(QUERY)
    assert {each.metadata["topic"] for each in found} == {"animals"}


@pytest.mark.parametrize("strategy", [PRECISION, RECALL], ids=["precision", "recall"])
async def test_explanations_say_what_the_feedback_added(strategy: Strategy) -> None:
    of = retriever(strategy)
    expected = of.retrieve(QUERY)
    explaining = of.with_options(explanations=True)
    for found in (
        explaining.retrieve(QUERY),
        await explaining.aretrieve(QUERY),
        explaining.retrieve_batch([QUERY])[0],
        (await explaining.aretrieve_batch([QUERY]))[0],
    ):
        assert [id for id, _ in ranking(found)] == [id for id, _ in ranking(expected)]
        assert noted(found) == noted(expected)
        for rank, each in enumerate(found, 1):
            reason = each.metadata[KEY]
            assert (reason["rank"], reason["score"]) == (rank, each.score)
            if strategy is PRECISION:
                assert list(reason["terms"]) == ["a * similarity", "feedback"]
                assert sum(reason["terms"].values()) == pytest.approx(each.score, abs=1e-5)


def test_a_failure_is_raised_or_leaves_the_first_search_with_a_note() -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        retriever(reranker=Down()).retrieve(QUERY)
    with pytest.warns(PlanWarning, match="the model failed \\(TimeoutError\\)"):
        found = retriever(replace(PRECISION, on_error="keep_order"), reranker=Down()).retrieve(QUERY)
    assert numbers(found) == numbers(retriever(Nearest(), reranker=None).retrieve(QUERY))
    assert all("TimeoutError" in each.metadata["not_steered"] for each in found)


def test_equal_scores_leave_the_first_search_with_a_note() -> None:
    found = retriever(reranker=lambda query, texts: [1.0] * len(texts)).retrieve(QUERY)
    assert numbers(found) == numbers(retriever(Nearest(), reranker=None).retrieve(QUERY))
    assert {each.metadata["not_steered"] for each in found} == {"the model gave all seeds the same score"}


def test_coefficients_of_another_model_are_refused() -> None:
    fitted = Coefficients(1.0, 0.0, 0.5).with_provenance(mode="precision", seeds=3, reranker="another", vector="")
    with pytest.raises(PlanError, match="the reranker is 'lengths', was 'another'"):
        retriever(replace(PRECISION, coefficients=fitted, trust=False)).retrieve(QUERY)


NODES = TextSource(keys=("title", "text", "page_content"), joiner="\n\n", nodes=True)  # what the command line reads


def fitted(text: TextSource | None) -> RelevanceFeedback:
    known = Coefficients(1.0, 0.0, 0.5).with_provenance(mode="precision", seeds=3, reranker="lengths", vector="", text=text)
    return replace(PRECISION, coefficients=known, trust=False)


def test_metadata_that_the_fit_did_not_read_is_refused_and_can_be_left_out() -> None:
    with pytest.raises(PlanError, match=r"with a LlamaIndex node's metadata .'embed'.*7 of 8 random points differ") as caught:
        retriever(fitted(NODES)).retrieve(QUERY)
    assert "with payload='llama_index', metadata_mode=MetadataMode.NONE, or fit again" in str(caught.value)
    reader = Lengths()
    found = retriever(fitted(NODES), reranker=reader, metadata_mode=MetadataMode.NONE).retrieve(QUERY)
    assert len(found) == 4
    assert not any("popularity" in text for text in reader.read)


def test_a_fit_that_read_the_metadata_serves_who_reads_it_and_others_are_told_aloud() -> None:
    source = TextSource(keys=("text",), nodes=True, metadata="embed")
    assert len(retriever(fitted(source)).retrieve(QUERY)) == 4
    with pytest.warns(PlanWarning, match="may read other texts"):
        retriever(fitted(source), metadata_mode=MetadataMode.NONE).retrieve(QUERY)


def test_with_another_payload_its_keys_are_compared(counting: CountingClient) -> None:
    known = fitted(TextSource(keys=("category", "text"), joiner=" "))
    known = replace(known, coefficients=known.weights.with_provenance(vector="dense"), seeds=Nearest("dense", limit=3))
    mapping = PayloadMapping(text=("category", "text"), joiner=" ")
    with pytest.raises(PlanError, match=r"PayloadMapping\(text=.*, joiner=' '\), metadata_mode=MetadataMode.NONE"):
        of_client(counting, strategy=known, reranker=Lengths(), payload=mapping).retrieve(QUERY)
    of = of_client(counting, strategy=known, reranker=Lengths(), payload=mapping, metadata_mode=MetadataMode.NONE)
    assert len(of.retrieve(QUERY)) == 2


def test_a_mode_of_metadata_that_is_none_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"metadata_mode is one of MetadataMode.ALL, .*; got 'some'"):
        retriever(metadata_mode="some")
