"""Retrievers of other makers are measured as they are: by what they return to a text."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_qdrant import QdrantVectorStore
from llama_index.core.base.base_retriever import BaseRetriever as LlamaIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from qdrant_client import models

from langchain_qdrant_rerank import QdrantRerankRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as NodeRetriever
from qdrant_rerank import StrategyError
from qdrant_rerank.evaluate import Qrels, Topic, TopicFunction, Topics, evaluate
from qdrant_rerank.ingest import point_id
from qdrant_rerank.models import HashedNgrams
from tests.engines import open_client
from tests.evaluate.worlds import DENSE, NOTES, QUESTIONS, client, executor, qrels, topics
from tests.support import refused

ENCODERS = {"dense": HashedNgrams(size=64)}


class Fixed(BaseRetriever):
    """A LangChain retriever that always finds these documents."""

    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.documents


class FixedNodes(LlamaIndexRetriever):
    """A LlamaIndex retriever that always finds these nodes."""

    def __init__(self, nodes: list[NodeWithScore]) -> None:
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.nodes


def test_a_langchain_retriever_is_told_apart_by_metadata_or_document_id() -> None:
    documents = [Document("x", metadata={"_id": "ferry"}), Document("y", id="train"), Document("z", metadata={"_id": "ferry"})]
    evaluation = evaluate(Fixed(documents=documents), topics(), qrels(), ["RR"])
    assert evaluation.run["q1"].doc_ids == ("ferry", "train")
    assert evaluation.values["RR"] == {"q1": 1.0, "q2": 0.0, "q3": 1.0, "q4": 0.0}
    assert evaluation.coverage.duplicates == 4
    assert "4 results left out: their document was in the ranking already" in str(evaluation)
    assert evaluation.costs.round_trips is None
    assert evaluation.costs.p50_ms is not None
    assert evaluation.name.endswith("Fixed")


def test_a_llama_index_retriever_is_told_apart_by_metadata_or_node_id() -> None:
    nodes = [
        NodeWithScore(node=TextNode(text="x", metadata={"_id": "hut"}), score=0.75),
        NodeWithScore(node=TextNode(text="y", id_="loop"), score=0.5),
    ]
    evaluation = evaluate(FixedNodes(nodes), topics(), qrels(), ["RR"], name="fixed")
    assert evaluation.run["q4"].ranking == (("hut", 0.75), ("loop", 0.5))
    assert evaluation.values["RR"]["q4"] == 0.5


@pytest.mark.parametrize("doc_id", ["note", lambda document: document.metadata["note"]])
def test_where_the_id_is_can_be_said(doc_id: Any) -> None:
    retriever = Fixed(documents=[Document("x", id="1", metadata={"note": "train", "_id": "ferry"})])
    assert evaluate(retriever, topics(), qrels(), doc_id=doc_id).run["q1"].doc_ids == ("train",)


def test_the_id_may_be_an_attribute_of_the_result_or_of_its_node() -> None:
    node = TextNode(text="y", id_="chunk", metadata={"_id": "other"})
    assert evaluate(Fixed(documents=[Document("train")]), topics(), qrels(), doc_id="page_content").run["q1"].doc_ids == (
        "train",
    )
    by_text = evaluate(FixedNodes([NodeWithScore(node=TextNode(text="hut"))]), topics(), qrels(), doc_id="text")
    assert by_text.run["q1"].doc_ids == ("hut",)
    with refused(StrategyError, "none of the 1 documents found", "'chunk'"):
        evaluate(FixedNodes([NodeWithScore(node=node)]), topics(), qrels(), doc_id="node_id")


def test_ids_that_match_no_judgment_are_an_error_that_tells_of_doc_id() -> None:
    retriever = Fixed(documents=[Document("x", id="chunk-7"), Document("y", id="chunk-8")])
    with refused(StrategyError, "none of the 2 documents found", "'chunk-7', 'chunk-8'", "'ferry', 'hut'", "doc_id="):
        evaluate(retriever, topics(), qrels())


def test_a_key_that_a_result_lacks_is_told_with_those_it_has() -> None:
    retriever = Fixed(documents=[Document("x", metadata={"source": "a"})])
    with refused(StrategyError, "doc_id='note'", "Document with 'source'"):
        evaluate(retriever, topics(), qrels(), doc_id="note")
    with refused(StrategyError, "no document id in the result Document with 'source'"):
        evaluate(retriever, topics(), qrels())


@pytest.mark.parametrize("results", ["train", {"train": 1.0}, 5, None])
def test_results_that_are_no_list_are_refused(results: Any) -> None:
    with refused(StrategyError, "return its results in a list", type(results).__name__):
        evaluate(lambda text: results, topics(), qrels())


def test_a_function_may_return_ids_pairs_points_or_mappings() -> None:
    found: list[Any] = ["hut", ("train", 0.9), {"_id": "loop", "score": 1}, models.ScoredPoint(id=7, version=0, score=0.1)]
    evaluation = evaluate(lambda text: iter(found), topics(), qrels(), ["RR"])
    assert evaluation.run["q1"].ranking == (("hut", 0.0), ("train", 0.9), ("loop", 1.0), ("7", 0.1))


def test_pairs_may_hold_results_and_the_first_place_of_a_document_counts() -> None:
    found = [(Document("x", metadata={"note": "hut"}), 0.9), (Document("y", metadata={"note": "hut"}), 0.5)]
    evaluation = evaluate(lambda text: found, topics(), qrels(), doc_id="note")
    assert evaluation.run["q2"].ranking == (("hut", 0.9),)
    assert evaluation.coverage.duplicates == 4


def test_judgments_of_ids_that_ingest_could_not_store_are_no_obstacle() -> None:
    judged = Qrels({**qrels(), "q2": {"hut": 1, " ": 1}})
    assert evaluate(lambda text: ["hut"], topics(), judged, ["R@10"]).values["R@10"]["q2"] == 0.5


def test_only_as_many_results_are_looked_at_as_is_asked() -> None:
    evaluation = evaluate(lambda text: ["sleep", "train", "ferry"], topics(), qrels(), ["RR"], limit=2)
    assert evaluation.run["q3"].doc_ids == ("sleep", "train")
    assert evaluation.values["RR"]["q3"] == 0.0


def test_topics_with_more_than_a_text_are_put_to_functions_that_take_topics_only() -> None:
    rich = Topics([Topic("q1", "x", {"budget": 3}), Topic("q2", "y")])
    with refused(StrategyError, "topic 'q1' (1 of 2)", "TopicFunction(lambda topic: …)"):
        evaluate(lambda text: ["train"], rich, qrels())
    seen: list[Any] = []

    def search(topic: Topic) -> list[str]:
        seen.append(topic.params)
        return ["train"]

    assert evaluate(TopicFunction(search), rich, qrels(), ["RR"]).values["RR"]["q1"] == 1.0
    assert seen == [{"budget": 3}, {}]


def test_a_foreign_retriever_that_fails_on_some_topics_counts_zero_there() -> None:
    def search(text: str) -> list[str]:
        if "hut" in text:
            raise LookupError("no route")
        return ["train", "ferry", "loop"]

    evaluation = evaluate(search, topics(), qrels(), ["RR"], concurrency=3, on_error="count")
    assert evaluation.coverage.failed == {"q2": "LookupError: no route"}
    assert evaluation.values["RR"]["q2"] == 0.0
    with refused(LookupError, "no route"):
        evaluate(search, topics(), qrels(), on_error="raise")


def test_our_own_retrievers_of_both_frameworks_find_what_the_strategy_finds() -> None:
    made = client()
    strategy = evaluate(DENSE, topics(), qrels(), executor=executor(made))
    documents = QdrantRerankRetriever(
        client=made, collection_name="notes", strategy=DENSE, encoders=ENCODERS, payload="flat", k=6
    )
    nodes = NodeRetriever(
        client=made, collection_name="notes", strategy=DENSE, encoders=ENCODERS, payload="flat", similarity_top_k=6
    )
    for retriever in (documents, nodes):
        other = evaluate(retriever, topics(), qrels())
        assert other.values == strategy.values
        assert {id: answer.doc_ids for id, answer in other.run.items()} == {id: a.doc_ids for id, a in strategy.run.items()}


def test_points_that_ingest_named_are_recognised_by_their_ids() -> None:
    made = open_client()
    made.create_collection("store", vectors_config=models.VectorParams(size=8, distance=models.Distance.COSINE))
    store = QdrantVectorStore(client=made, collection_name="store", embedding=DeterministicFakeEmbedding(size=8))
    store.add_texts(list(NOTES.values()), ids=[str(point_id(id)) for id in NOTES])
    evaluation = evaluate(store.as_retriever(search_kwargs={"k": 6}), topics(), qrels())
    assert set(evaluation.run["q1"].doc_ids) == set(NOTES) - {"shop"} | {str(point_id("shop"))}  # nobody judged the shop


def test_any_vector_store_of_langchain_can_be_compared_with() -> None:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_texts(list(NOTES.values()), ids=list(NOTES))
    evaluation = evaluate(store.as_retriever(search_kwargs={"k": 3}), topics(), qrels())
    assert all(len(answer.ranking) == 3 for answer in evaluation.run.values())
    assert list(evaluation.run) == list(QUESTIONS)
