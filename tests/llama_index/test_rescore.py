"""`Rerank` in the retriever: a model reads the nodes' texts, sync, async and in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from qdrant_client import models

from llama_index_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Nearest, PayloadMapping, PlanWarning, Rerank, SearchOptions, StrategyError, score
from qdrant_rerank.errors import ClientError, PayloadError
from qdrant_rerank.expressions import rerank_score
from tests.engines import open_client
from tests.llama_index.stores import COLLECTION, QUERY, TinyEmbedding, numbers, ranking, store
from tests.waiting import Patient

RESCORE = Rerank(reads=8).over(Nearest())


class Lengths:
    """The longer a text, the better; notes what it reads."""

    fingerprint = "lengths"

    def __init__(self) -> None:
        self.read: list[str] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.read.extend(texts)
        return [float(len(text)) for text in texts]


class Down:
    """Can't be reached."""

    fingerprint = "down"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        raise TimeoutError("no answer")


class LongestFirst(BaseNodePostprocessor):
    """A postprocessor of another's making."""

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        scored = [NodeWithScore(node=each.node, score=float(len(each.node.get_content()))) for each in nodes]
        return sorted(scored, key=lambda each: -each.get_score())


def retriever(strategy: Any = RESCORE, **arguments: Any) -> QdrantRerankRetriever:
    given: dict[str, Any] = {"strategy": strategy, "similarity_top_k": 4, **arguments}
    return QdrantRerankRetriever.from_vector_store(store(), TinyEmbedding(), **given)


def embedded(found: Sequence[NodeWithScore]) -> list[str]:
    return [each.node.get_content(MetadataMode.EMBED) for each in found]


def test_the_model_reads_what_embedding_models_are_shown_and_its_scores_count() -> None:
    reader = Lengths()
    plain = retriever(Nearest(), similarity_top_k=8).retrieve(QUERY)
    found = retriever(reranker=reader).retrieve(QUERY)
    assert reader.read == embedded(plain)
    assert any("popularity: " in text for text in reader.read)
    lengths = sorted(map(len, embedded(plain)), reverse=True)
    assert [each.score for each in found] == lengths[:4]
    before = dict(ranking(plain))
    for each in found:
        assert each.metadata["relevance_score"] == each.score
        assert each.metadata["retrieval_score"] == pytest.approx(before[each.node.node_id])
        assert "relevance_score" not in each.node.get_content(MetadataMode.LLM)


async def test_every_way_to_ask_gives_the_same() -> None:
    of = retriever(Rerank(reads=8, blend=0.1 * rerank_score() + score()).over(Nearest()), reranker=Lengths())
    queries = [QUERY, "lazy dog", QUERY]
    expected = [ranking(of.retrieve(query)) for query in queries]
    assert [ranking(await of.aretrieve(query)) for query in queries] == expected
    assert list(map(ranking, of.retrieve_batch(queries))) == expected
    assert list(map(ranking, await of.aretrieve_batch(queries))) == expected
    assert [place for place, _ in expected[0]] != [place for place, _ in ranking(retriever(Nearest()).retrieve(QUERY))]


def test_filters_and_thresholds_hold() -> None:
    topic = models.Filter(must=[models.FieldCondition(key="topic", match=models.MatchValue(value="animals"))])
    found = retriever(reranker=Lengths(), filter=topic).retrieve(QUERY)
    assert {each.metadata["topic"] for each in found} == {"animals"}
    threshold = found[1].get_score()
    assert numbers(retriever(reranker=Lengths(), filter=topic, score_threshold=threshold).retrieve(QUERY)) == numbers(found[:2])


def test_explanations_say_what_the_model_added() -> None:
    [best, *_] = retriever(reranker=Lengths(), explanations=True).retrieve(QUERY)
    assert sum(best.metadata["_explanation"]["terms"].values()) == best.score


def test_a_function_and_a_postprocessor_are_models() -> None:
    expected = numbers(retriever(reranker=Lengths()).retrieve(QUERY))
    assert numbers(retriever(reranker=lambda query, texts: [len(text) for text in texts]).retrieve(QUERY)) == expected
    assert numbers(retriever(reranker=LongestFirst()).retrieve(QUERY)) == expected


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("langchain", "rating: 2\n\nhello"),
        (PayloadMapping("page_content"), "metadata: {'rating': 2}\n\nhello"),
        (lambda payload: (payload["page_content"].upper(), {}), "HELLO"),
    ],
    ids=["langchain", "mapping", "function"],
)
def test_the_text_is_that_of_the_node_that_the_point_becomes(payload: Any, text: str) -> None:
    client, reader = open_client(), Lengths()
    client.create_collection(COLLECTION, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    written = {"page_content": "hello", "metadata": {"rating": 2}}
    client.upsert(COLLECTION, [models.PointStruct(id=1, vector=[1.0, 0, 0, 0], payload=written)])
    of = QdrantRerankRetriever(
        client=client,
        collection_name=COLLECTION,
        embed_model=TinyEmbedding(),
        strategy=RESCORE,
        reranker=reader,
        payload=payload,
    )
    [node] = of.retrieve(QUERY)
    assert (
        reader.read
        == [text]
        == [TextNode(text=node.text, metadata=dict(list(node.metadata.items())[:-2])).get_content(MetadataMode.EMBED)]
    )
    client.close()


def test_points_that_llama_index_did_not_write_are_read_by_their_text_key() -> None:
    of, reader = store(), Lengths()
    of.client.upsert(COLLECTION, [models.PointStruct(id=1, vector=[1.0, 0, 0, 0], payload={"text": "x" * 500})])
    found = QdrantRerankRetriever.from_vector_store(
        of, TinyEmbedding(), strategy=Rerank(reads=9).over(Nearest()), reranker=reader, similarity_top_k=1
    ).retrieve(QUERY)
    assert [each.node.node_id for each in found] == ["1"]


def test_a_wrong_mapping_is_an_error_even_where_points_without_text_are_left_out() -> None:
    with pytest.raises(PayloadError, match="none of the 8 points"):
        retriever(
            Rerank(reads=8, missing_text="drop").over(Nearest()), reranker=Lengths(), payload=PayloadMapping("txt")
        ).retrieve(QUERY)


def test_a_failure_is_raised_or_leaves_the_order_of_the_search() -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        retriever(reranker=Down()).retrieve(QUERY)
    with pytest.warns(PlanWarning, match="the model failed \\(TimeoutError\\)"):
        found = retriever(Rerank(reads=8, on_error="keep_order").over(Nearest()), reranker=Down()).retrieve(QUERY)
    assert numbers(found) == numbers(retriever(Nearest()).retrieve(QUERY))
    assert {each.metadata["not_reranked"] for each in found} == {"TimeoutError"}


def test_without_a_model_the_error_says_what_to_pass() -> None:
    with pytest.raises(ClientError, match="pass reranker="):
        retriever().retrieve(QUERY)


@pytest.mark.parametrize(("wrong", "message"), [(3, "int has no score"), (Lengths, "the class Lengths: pass an object")])
def test_what_is_no_model_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        retriever(reranker=wrong)


async def test_a_slow_sync_model_does_not_block_the_event_loop() -> None:
    patient = Patient()
    of = retriever(reranker=patient)
    await asyncio.gather(of.aretrieve(QUERY), of.aretrieve("lazy dog"))
    assert patient.scorings == 2


def test_stable_ties_are_in_the_order_of_ids() -> None:
    client = open_client()
    client.create_collection(COLLECTION, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    points = [models.PointStruct(id=id, vector=[1.0, 0, 0, 0], payload={"text": "x"}) for id in range(9, 0, -1)]
    client.upsert(COLLECTION, points)
    given: dict[str, Any] = {"client": client, "collection_name": COLLECTION, "embed_model": TinyEmbedding(), "payload": "flat"}
    expected = ["1", "2"]
    stable = SearchOptions(stable_ties=True)
    own = QdrantRerankRetriever(**given, options=stable)
    assert [place for place, _ in ranking(own.retrieve(QUERY))] == expected
    changed = QdrantRerankRetriever(**given).with_options(options=stable)
    assert [place for place, _ in ranking(changed.retrieve(QUERY))] == expected
    client.close()
