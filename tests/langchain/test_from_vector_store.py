"""Collections that langchain-qdrant wrote are searched with `from_vector_store` alone."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Formula, Fusion, Nearest, PayloadMapping, field, score
from tests.engines import current, options
from tests.langchain.support import QUERY, WordEmbeddings, WordSparse, assert_same, ids
from tests.support import toy_points

TEXTS = [(point.payload or {})["text"] for point in toy_points()]
METADATA: list[dict[str, Any]] = [{"number": number, "rating": number / 2, "tags": ["a", "b"]} for number in range(len(TEXTS))]
IDS: list[str | int] = [
    number if number % 2 else str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(len(TEXTS))
]
MODES = list(RetrievalMode)


def store_of(mode: RetrievalMode, **arguments: Any) -> QdrantVectorStore:
    """A store with all texts, as its users make it."""
    return QdrantVectorStore.from_texts(
        TEXTS,
        embedding=None if mode == RetrievalMode.SPARSE else WordEmbeddings(),
        sparse_embedding=None if mode == RetrievalMode.DENSE else WordSparse(),
        retrieval_mode=mode,
        metadatas=METADATA,
        ids=IDS,
        collection_name="written",
        **(options() | arguments),
    )


def as_store_returns(documents: Sequence[Document]) -> list[tuple[str, dict[str, Any]]]:
    """The documents without what only we add: ids, and the score in the metadata."""
    return [
        (document.page_content, {key: value for key, value in document.metadata.items() if key != "score"})
        for document in documents
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_documents_are_those_of_the_store_with_ids_and_scores(mode: RetrievalMode) -> None:
    store = store_of(mode)
    theirs = store.similarity_search_with_score(QUERY, k=len(TEXTS))
    retriever = QdrantRerankRetriever.from_vector_store(store, k=len(TEXTS), score_key="score")
    ours = retriever.invoke(QUERY)
    assert as_store_returns(ours) == as_store_returns([document for document, _ in theirs])
    assert [document.metadata["score"] for document in ours] == pytest.approx([score for _, score in theirs], abs=1e-6)
    assert ids(ours) == [str(document.metadata["_id"]) for document, _ in theirs]
    assert {type(document.metadata["_id"]) for document in ours} == {int, str}
    assert_same(await retriever.ainvoke(QUERY), ours)


def test_hybrid_search_with_the_stores_few_candidates_equals_the_store() -> None:
    store = store_of(RetrievalMode.HYBRID)
    few = Fusion.rrf().over(Nearest("", limit=4), Nearest("langchain-sparse", limit=4))
    ours = as_store_returns(QdrantRerankRetriever.from_vector_store(store, strategy=few, k=8).invoke(QUERY))
    theirs = as_store_returns(store.similarity_search(QUERY, k=4))
    if current().kind == "local":
        assert ours[:4] == theirs
    else:  # two that are first and second in either search tie, in any order, and so at the end
        assert all(document in ours for document in theirs)


def test_hybrid_search_has_enough_candidates_by_default() -> None:
    retriever = QdrantRerankRetriever.from_vector_store(store_of(RetrievalMode.HYBRID), k=2)
    [request] = retriever.describe().requests
    assert [candidate["limit"] for candidate in request["prefetch"]] == [100, 100]
    assert retriever.strategy == Fusion.rrf().over(Nearest(""), Nearest("langchain-sparse"))


@pytest.mark.parametrize("mode", MODES)
def test_names_and_payload_keys_of_the_store_are_taken_over(mode: RetrievalMode) -> None:
    store = store_of(
        mode,
        vector_name="meaning",
        sparse_vector_name="words",
        content_payload_key="body",
        metadata_payload_key="facts",
    )
    retriever = QdrantRerankRetriever.from_vector_store(store, k=len(TEXTS))
    assert retriever.payload == PayloadMapping(text="body", metadata="facts")
    assert as_store_returns(retriever.invoke(QUERY)) == as_store_returns(store.similarity_search(QUERY, k=len(TEXTS)))


def test_a_distance_other_than_cosine_is_the_collections_own() -> None:
    store = store_of(RetrievalMode.DENSE, distance=models.Distance.EUCLID)
    found = QdrantRerankRetriever.from_vector_store(store, k=5).search_with_scores(QUERY)
    assert as_store_returns([document for document, _ in found]) == as_store_returns(store.similarity_search(QUERY, k=5))
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 0


def test_settings_go_before_what_the_store_says() -> None:
    strategy = Formula(score() + 10 * field("metadata.rating", default=0)).over(Nearest(limit=100))
    filter = models.Filter(must=[models.FieldCondition(key="metadata.number", range=models.Range(lt=10))])
    retriever = QdrantRerankRetriever.from_vector_store(
        store_of(RetrievalMode.DENSE), strategy=strategy, filter=filter, k=3, payload="langchain"
    )
    assert retriever.payload == "langchain"
    documents = retriever.invoke(QUERY)
    assert [document.metadata["number"] for document in documents] == [9, 8, 7]
    assert all("score" not in document.metadata for document in documents)


def test_tags_are_those_of_as_retriever_after_the_users_own() -> None:
    store = store_of(RetrievalMode.DENSE)
    assert QdrantRerankRetriever.from_vector_store(store, tags=["mine"]).tags == ["mine", *(store.as_retriever().tags or [])]


def test_a_store_that_is_no_qdrant_vector_store_is_refused() -> None:
    with pytest.raises(TypeError) as caught:
        QdrantRerankRetriever.from_vector_store(InMemoryVectorStore(WordEmbeddings()))
    message = str(caught.value)
    assert (
        "takes a langchain_qdrant.QdrantVectorStore, got InMemoryVectorStore, which lacks client, collection_name," in message
    )
    assert "QdrantRerankRetriever(client=…, collection_name=…, embedding=…)" in message


def test_a_client_in_place_of_the_store_is_refused() -> None:
    with pytest.raises(TypeError, match="got QdrantClient, which lacks"):
        QdrantRerankRetriever.from_vector_store(QdrantClient(":memory:"))


def test_the_class_in_place_of_a_store_is_refused() -> None:
    with pytest.raises(TypeError, match="got the class QdrantVectorStore"):
        QdrantRerankRetriever.from_vector_store(QdrantVectorStore)


def test_a_mode_that_is_unknown_needs_a_strategy() -> None:
    store = store_of(RetrievalMode.DENSE)
    store.retrieval_mode = "telepathic"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="retrieval_mode 'telepathic' is none of dense, sparse, hybrid: pass strategy=…"):
        QdrantRerankRetriever.from_vector_store(store)
    assert QdrantRerankRetriever.from_vector_store(store, strategy=Nearest(), k=3).invoke(QUERY)


def test_the_adapter_imports_no_package_that_it_does_not_need() -> None:
    code = (
        "import sys, qdrant_client, langchain_core.retrievers; before = set(sys.modules); import langchain_qdrant_rerank; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before if name in sys.modules}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"langchain_qdrant", "langchain", "langchain_classic", "llama_index", "sklearn", "torch", "typer", "rich"}
    assert "langchain_qdrant_rerank" in found.stdout.split()
    assert not unwanted & set(found.stdout.split())


def test_from_existing_collection_makes_the_client(tmp_path: Path) -> None:
    with_path = QdrantVectorStore.from_texts(
        TEXTS, WordEmbeddings(), METADATA, IDS, collection_name="written", path=str(tmp_path)
    )
    expected = as_store_returns(with_path.similarity_search(QUERY, k=3))
    with_path.client.close()
    retriever = QdrantRerankRetriever.from_existing_collection(
        "written", path=str(tmp_path), embedding=WordEmbeddings(), strategy=Nearest(), k=3
    )
    assert as_store_returns(retriever.invoke(QUERY)) == expected
    assert retriever.client is not None
    retriever.client.close()


def test_a_misspelt_setting_does_not_leave_the_folder_locked(tmp_path: Path) -> None:
    errors = []  # kept, as a notebook keeps the last one: its traceback holds on to the client
    for _ in range(2):
        with pytest.raises(ValueError, match=r"no field 'embeddings'.*did you mean 'embedding'") as caught:
            QdrantRerankRetriever.from_existing_collection("written", path=str(tmp_path), embeddings=WordEmbeddings())
        errors.append(caught.value)
    assert len(errors) == 2
