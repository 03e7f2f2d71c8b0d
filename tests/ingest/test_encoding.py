from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import PlanError
from qdrant_rerank.errors import IngestError, MissingExtra
from qdrant_rerank.ingest import Document, ensure_collection, ingest
from tests.engines import open_client
from tests.ingest.tiny import Letters, Silent, Words, documents, stored


def test_an_encoder_that_fails_names_the_documents_of_its_batch(client: QdrantClient) -> None:
    given = [*documents(8), Document("bad", "poison")]

    with pytest.raises(IngestError) as failed:
        ingest(client, "docs", given, {"dense": Letters()}, batch_size=9)

    assert str(failed.value) == (
        "the encoder for 'dense' failed on a batch of 9 documents: 'd0', 'd1', 'd2', 'd3', 'd4' and 4 more: "
        "RuntimeError: can't read this"
    )
    assert failed.value.ids == (*(f"d{number}" for number in range(8)), "bad")
    assert isinstance(failed.value.__cause__, RuntimeError)
    assert stored(client) == {}


def test_an_encoder_that_is_set_up_wrongly_says_so_itself(client: QdrantClient) -> None:
    class Unusable(Letters):
        def encode_documents(self, texts: Any) -> list[Any]:
            raise MissingExtra("Unusable", "fastembed")

    with pytest.raises(MissingExtra):
        ingest(client, "docs", documents(2), {"dense": Unusable()})


def test_an_encoder_that_makes_too_few_vectors_is_an_error(client: QdrantClient) -> None:
    class Short(Letters):
        def encode_documents(self, texts: Any) -> list[Any]:
            return super().encode_documents(texts)[1:]

    with pytest.raises(IngestError, match="made 1 vectors of 2 texts, on a batch of 2 documents: 'd0', 'd1'"):
        ingest(client, "docs", documents(2), {"dense": Short()})


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        ([1.0, 2.0], "is dense, 2 numbers, but the collection's is dense 4-d, Cosine"),
        ([[1.0] * 4], "is multi, 4 numbers a row, but the collection's is dense 4-d, Cosine"),
        (models.SparseVector(indices=[1], values=[1.0]), "is sparse, but the collection's is dense 4-d, Cosine"),
        ([1.0, 2.0, float("nan"), 0.0], "holds numbers that aren't finite"),
        ("dense", "is no vector, but 'dense'"),
        ([], "is no vector, but []"),
    ],
)
def test_a_vector_that_does_not_fit_is_an_error_with_its_document(client: QdrantClient, vector: Any, problem: str) -> None:
    with pytest.raises(IngestError) as failed:
        ingest(client, "docs", documents(1), {"dense": Silent(vector)})

    assert str(failed.value) == f"the vector 'dense' of document 'd0' {problem}"
    assert failed.value.ids == ("d0",)


def test_numbers_that_are_not_finite_are_found_in_every_kind_of_vector() -> None:
    client = open_client()
    ensure_collection(client, "docs", {"colbert": Silent([[1.0, 2.0]]), "bm25": Words()})

    for name, vector in (
        ("colbert", [[1.0, 2.0], [float("inf"), 1.0]]),
        ("bm25", models.SparseVector(indices=[1], values=[float("nan")])),
    ):
        with pytest.raises(IngestError, match=f"the vector '{name}' of document 1 holds numbers that aren't finite"):
            ingest(client, "docs", [Document(1, "text", vectors={name: vector})], {})


def test_vectors_that_documents_bring_are_not_embedded_again() -> None:
    client = open_client()
    ensure_collection(client, "docs", {"dense": Letters(), "bm25": Words()})
    dense, sparse = Letters(), Words()
    mine = models.SparseVector(indices=[9], values=[4.0])

    ingest(
        client,
        "docs",
        [Document(1, "one", vectors={"dense": [1.0, 0.0, 0.0, 0.0]}), Document(2, "two", vectors={"bm25": mine})],
        {"dense": dense, "bm25": sparse},
    )

    found = {record.id: record.vector for record in client.retrieve("docs", [1, 2], with_vectors=True)}
    assert dense.texts == ["two"]
    assert found[1] == {"dense": [1.0, 0.0, 0.0, 0.0], "bm25": sparse.vector}
    assert found[2]["bm25"] == mine  # type: ignore[index,call-overload]


def test_documents_with_all_their_vectors_need_neither_text_nor_encoder(client: QdrantClient) -> None:
    ingest(client, "docs", [Document(1, "", vectors={"dense": [1.0, 0.0, 0.0, 0.0]})], {"dense": Letters()}, text_key=None)
    ingest(client, "docs", [Document(2, "", vectors={"dense": [1.0, 0.0, 0.0, 0.0]})], {}, text_key=None)

    assert stored(client) == {1: {"_id": 1}, 2: {"_id": 2}}


def test_numpy_arrays_are_vectors_too() -> None:
    client = open_client()
    ensure_collection(client, "docs", {"dense": Silent(np.ones(3)), "colbert": Silent([np.ones(2), np.ones(2)])})

    report = ingest(client, "docs", documents(1), {"dense": Silent(np.ones(3)), "colbert": Silent([np.ones(2), np.zeros(2)])})

    assert report.written == 1


def test_a_document_without_text_is_an_error_where_it_has_to_be_embedded(client: QdrantClient) -> None:
    with pytest.raises(IngestError, match="documents without text can't be embedded: 'x', 5"):
        ingest(client, "docs", [Document("x", " "), Document(1, "fine"), Document(5, "")], {"dense": Letters()})


def test_a_vector_that_the_collection_lacks_is_an_error(client: QdrantClient) -> None:
    with pytest.raises(PlanError, match=r"no vector named 'dens'; the collection 'docs' has 'dense'.*did you mean 'dense'"):
        ingest(client, "docs", documents(1), {"dens": Letters()})
    with pytest.raises(
        IngestError, match="document 1 brings a vector 'dens', which the collection doesn't have; it has 'dense'"
    ):
        ingest(client, "docs", [Document(1, "text", vectors={"dens": [1.0]})], {"dense": Letters()})
