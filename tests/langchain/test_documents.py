"""What documents hold: text and metadata by the payload mapping, ids, scores; nothing lost, nothing mutated."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from qdrant_client import models

from langchain_qdrant_rerank import QdrantRerankRetriever
from langchain_qdrant_rerank._internals import to_documents
from qdrant_rerank import PayloadMapping, PlanWarning, SearchOptions
from qdrant_rerank._internals import PRESETS
from qdrant_rerank.errors import PayloadError
from tests.engines import open_client
from tests.langchain.support import QUERY, ids, make

UUID = "7d444840-9dc0-11d1-b245-5ffdce74fad2"


def point(id: int | str, payload: dict[str, Any] | None, score: float = 0.5) -> models.ScoredPoint:
    return models.ScoredPoint(id=id, version=0, score=score, payload=payload)


def documents(*points: models.ScoredPoint, **options: Any) -> list[Document]:
    """Documents of langchain-qdrant's payload."""
    return to_documents(
        list(points), **{"collection": "docs", "mapping": PRESETS["langchain"], "score_key": "score", **options}
    )


def retriever_over(*payloads: dict[str, Any] | None, **settings: Any) -> QdrantRerankRetriever:
    """A retriever over points with these payloads, ids from 1, nearest first."""
    client = open_client()
    client.create_collection("docs", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    points = [models.PointStruct(id=n, vector=[1.0 / n, 0.0], payload=payload) for n, payload in enumerate(payloads, 1)]
    client.upsert("docs", points)
    return QdrantRerankRetriever(client=client, collection_name="docs", encoders={"": lambda text: [1.0, 0.0]}, **settings)


def test_a_document_holds_text_metadata_ids_and_score() -> None:
    [document] = documents(point(7, {"page_content": "text", "metadata": {"year": 2024}}, score=1))
    assert document == Document(
        id="7", page_content="text", metadata={"year": 2024, "_id": 7, "_collection_name": "docs", "score": 1.0}
    )


def test_the_score_is_a_plain_float() -> None:
    found = models.ScoredPoint.model_construct(id=1, version=0, score=np.float32(0.5), payload={"page_content": "t"})
    assert type(documents(found)[0].metadata["score"]) is float


def test_metadata_is_a_copy() -> None:
    found = point(1, {"page_content": "text", "metadata": {"tags": ["a"]}})
    before = copy.deepcopy(found)
    [document] = documents(found)
    document.metadata["tags"].append("b")
    document.metadata["more"] = 1
    assert found == before


def test_stored_payload_stays_as_it_was_written() -> None:
    payload = {"page_content": "text", "metadata": {"tags": ["a"]}}
    retriever = retriever_over(payload)
    retriever.invoke("q")[0].metadata["tags"].append("b")
    assert retriever.client is not None
    assert retriever.client.retrieve("docs", [1])[0].payload == {"page_content": "text", "metadata": {"tags": ["a"]}}


def test_metadata_can_be_written_as_json() -> None:
    assert json.loads(json.dumps([document.metadata for document in make(k=24).invoke(QUERY)]))


def test_int_and_uuid_ids_come_as_text_and_as_they_are() -> None:
    found = documents(*(point(id, {"page_content": "t"}) for id in (3, UUID)))
    assert ids(found) == ["3", UUID]
    assert [document.metadata["_id"] for document in found] == [3, UUID]


@pytest.mark.parametrize(("score_key", "keys"), [("relevance", {"relevance"}), (None, set())])
def test_the_score_is_where_score_key_says(score_key: str | None, keys: set[str]) -> None:
    [document] = documents(point(1, {"page_content": "t"}), score_key=score_key)
    assert document.metadata.keys() - {"_id", "_collection_name"} == keys


def test_metadata_under_the_score_key_is_kept_and_the_scores_of_this_answer_go_elsewhere() -> None:
    with pytest.warns(PlanWarning, match="metadata of their own under 'score'.* under '_score'; set score_key"):
        own, other = documents(
            point(1, {"page_content": "t", "metadata": {"score": 4}}, 0.9), point(2, {"page_content": "t"}, 0.8)
        )
    assert (own.metadata["score"], own.metadata["_score"]) == (4, 0.9)
    assert "score" not in other.metadata  # or one key would hold two meanings
    assert other.metadata["_score"] == 0.8


def test_metadata_under_every_key_for_the_score_is_kept() -> None:
    with pytest.warns(PlanWarning, match="under '__score'"):
        [document] = documents(point(1, {"page_content": "t", "metadata": {"score": 4, "_score": 5}}, 0.9))
    assert document.metadata.keys() >= {"score", "_score", "__score"}
    assert document.metadata["__score"] == 0.9


def test_metadata_that_the_points_id_hides_is_warned_about() -> None:
    with pytest.warns(PlanWarning, match="metadata of their own under '_id', which the point's hides"):
        [document] = documents(point(1, {"page_content": "t", "metadata": {"_id": "b-17"}}))
    assert document.metadata["_id"] == 1


def test_a_document_that_was_stored_again_under_its_id_is_not_warned_about() -> None:
    [document] = documents(point(1, {"page_content": "t", "metadata": {"_id": 1, "_collection_name": "docs"}}))
    assert document.metadata["_id"] == 1


def test_a_point_in_several_groups_comes_once_at_its_best_rank() -> None:
    tags = [{"page_content": "a", "metadata": {"tag": ["x", "y"]}}, {"page_content": "b", "metadata": {"tag": ["y"]}}]
    found = retriever_over(*tags).invoke("q", options=SearchOptions(group_by="metadata.tag[]", group_size=2))
    assert ids(found) == ["1", "2"]
    twice = documents(point(1, {"page_content": "t"}, 0.9), point(1, {"page_content": "t"}, 0.8))
    assert [document.metadata["score"] for document in twice] == [0.9]


def test_a_point_without_payload_or_with_null_text_has_empty_text_and_is_warned_about() -> None:
    retriever = retriever_over({"page_content": "text"}, None, {"page_content": None, "metadata": {"year": 2024}})
    with pytest.warns(PlanWarning, match="points without text in 'docs': 2, 3; their text is empty"):
        found = retriever.invoke("q")
    assert [document.page_content for document in found] == ["text", "", ""]
    assert found[2].metadata["year"] == 2024


def test_text_under_another_key_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(PayloadError, match=r"none of the 1 points found in 'docs' has text under 'page_content'.*'body', 'n'"):
        retriever_over({"body": "text", "n": 1}).invoke("q")


def test_without_payload_documents_have_ids_and_scores_and_no_text() -> None:
    options = SearchOptions(with_payload=False)
    [(document, score)] = retriever_over({"page_content": "text"}, options=options).search_with_scores("q")
    assert document == Document(id="1", page_content="", metadata={"_id": 1, "_collection_name": "docs"})
    assert score == 1.0


def test_a_part_of_the_payload_may_be_fetched() -> None:
    payload = {"page_content": "text", "metadata": {"a": 1, "b": 2}}
    [document] = retriever_over(payload, options=SearchOptions(with_payload=["page_content", "metadata.a"])).invoke("q")
    assert (document.page_content, document.metadata["a"], "b" in document.metadata) == ("text", 1, False)


def _by_function(payload: Any) -> tuple[str, dict[str, Any]]:
    return payload["title"].upper(), {"length": len(payload["title"])}


NODE = {"_node_content": json.dumps({"text": "in the node"}), "_node_type": "TextNode", "doc_id": "d", "author": "me"}


@pytest.mark.parametrize(
    ("payload", "mapping", "text", "metadata"),
    [
        ({"text": "t", "a": 1}, "flat", "t", {"a": 1}),
        ({"title": "T", "body": "B", "a": 1}, PayloadMapping(text=("title", "body"), joiner="\n"), "T\nB", {"a": 1}),
        ({"doc": {"body": "B"}, "facts": {"a": 1}}, PayloadMapping(text="doc.body", metadata="facts"), "B", {"a": 1}),
        (NODE, "llama_index", "in the node", {"author": "me"}),
        ({"title": "abc"}, _by_function, "ABC", {"length": 3}),
    ],
    ids=["flat", "several keys", "dotted", "llama_index", "function"],
)
def test_payload_says_where_text_and_metadata_are(payload: Any, mapping: Any, text: str, metadata: dict[str, Any]) -> None:
    [document] = retriever_over(payload, payload=mapping).invoke("q")
    own = {key: value for key, value in document.metadata.items() if key not in ("_id", "_collection_name", "score")}
    assert (document.page_content, own) == (text, metadata)


def test_ids_of_both_kinds_in_one_collection_are_found() -> None:
    client = open_client()
    client.create_collection("docs", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    names: list[int | str] = [1, str(uuid.UUID(UUID))]
    client.upsert("docs", [models.PointStruct(id=id, vector=[1.0, 0.0], payload={"page_content": "t"}) for id in names])
    retriever = QdrantRerankRetriever(client=client, collection_name="docs", encoders={"": lambda text: [1.0, 0.0]})
    assert {document.metadata["_id"] for document in retriever.invoke("q")} == set(names)
