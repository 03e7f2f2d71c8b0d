from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Fusion, Nearest, PlanError
from qdrant_rerank.ingest import ensure_collection
from qdrant_rerank.planning import VectorInfo, read_schema
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters, Silent, Words

TOKENS = Silent([[1.0, 2.0], [0.5, 0.5], [0.0, 1.0]])
COSINE = models.Distance.COSINE


def test_an_absent_collection_is_made_with_the_vectors_that_the_encoders_make(empty: QdrantClient) -> None:
    done = ensure_collection(
        empty, "docs", {"dense": Letters(6), "bm25": Words(), "colbert": TOKENS, "other": lambda text: [1.0]}
    )

    assert read_schema(empty, "docs").vectors == {
        "dense": VectorInfo("dense", 6, COSINE),
        "colbert": VectorInfo("multi", 2, COSINE),
        "other": VectorInfo("dense", 1, COSINE),
        "bm25": VectorInfo("sparse", idf=True),
    }
    assert done == [
        "made the collection 'docs' with 'dense' (dense 6-d, Cosine), 'bm25' (sparse, IDF), "
        "'colbert' (multivector of 2-d, Cosine), 'other' (dense 1-d, Cosine)"
    ]


def test_an_encoder_that_says_its_kind_and_size_embeds_nothing_for_it(empty: QdrantClient) -> None:
    encoder = Letters()

    ensure_collection(empty, "docs", {"dense": encoder})

    assert encoder.texts == []


def test_sparse_encoders_that_do_not_ask_for_idf_get_none(empty: QdrantClient) -> None:
    ensure_collection(empty, "docs", {"splade": Silent(models.SparseVector(indices=[1], values=[1.0]))})

    assert read_schema(empty, "docs").vectors == {"splade": VectorInfo("sparse", idf=False)}


def test_the_request_to_a_server_says_all_that_was_asked_for(stub: FillableStub) -> None:
    ensure_collection(
        client_of(stub),
        "new",
        {"dense": Letters(), "colbert": TOKENS, "bm25": Words()},
        distance=models.Distance.DOT,
        on_disk=True,
        shard_number=2,
    )

    assert stub.written == [
        (
            "/collections/new",
            {
                "vectors": {
                    "dense": {"size": 4, "distance": "Dot", "on_disk": True},
                    "colbert": {
                        "size": 2,
                        "distance": "Dot",
                        "hnsw_config": {"m": 0},
                        "on_disk": True,
                        "multivector_config": {"comparator": "max_sim"},
                    },
                },
                "sparse_vectors": {"bm25": {"index": {"on_disk": True}, "modifier": "idf"}},
                "shard_number": 2,
            },
        )
    ]


def test_a_vector_without_a_name_is_made_without_one(stub: FillableStub) -> None:
    ensure_collection(client_of(stub), "new", {"": Letters(3)})

    assert stub.written == [("/collections/new", {"vectors": {"size": 3, "distance": "Cosine"}})]


def test_a_collection_that_fits_is_left_as_it_is(empty: QdrantClient) -> None:
    encoders: dict[str, Any] = {"dense": Letters(), "bm25": Words(), "colbert": TOKENS}
    ensure_collection(empty, "docs", encoders)
    before = empty.get_collection("docs")

    done = ensure_collection(empty, "docs", {"dense": Letters()})

    assert done[0].startswith("the collection 'docs' is there, with 'dense' (dense 4-d, Cosine)")
    assert empty.get_collection("docs") == before


def test_every_difference_of_an_existing_collection_is_listed_at_once(empty: QdrantClient) -> None:
    plain = models.SparseVectorParams()
    empty.create_collection(
        "docs",
        vectors_config={
            "dense": models.VectorParams(size=384, distance=COSINE),
            "colbert": models.VectorParams(size=2, distance=COSINE),
        },
        sparse_vectors_config={"bm25": plain, "words": models.SparseVectorParams(modifier=models.Modifier.IDF), "loose": plain},
    )
    no_idf = Words()
    no_idf.idf = False
    encoders: dict[str, Any] = {
        "dense": Letters(),
        "colbert": TOKENS,
        "bm25": Words(),
        "words": no_idf,
        "lose": Words(),
        "loose": Letters(),
    }

    with pytest.raises(PlanError) as refused:
        ensure_collection(empty, "docs", encoders)

    dense, colbert, bm25, words, lose, loose = refused.value.problems
    assert dense == "the vector 'dense' of 'docs' is dense 384-d, Cosine, but its encoder makes dense, 4 numbers"
    assert colbert == "the vector 'colbert' of 'docs' is dense 2-d, Cosine, but its encoder makes multi, 2 numbers a row"
    assert "the vector 'bm25' of 'docs' is without the IDF modifier, which its encoder needs" in bm25
    assert "the vector 'words' of 'docs' is with the IDF modifier, which its encoder must not have" in words
    assert lose.startswith("no vector named 'lose'; the collection 'docs' has 'colbert'")
    assert lose.endswith("did you mean 'loose'?")
    assert loose == "the vector 'loose' of 'docs' is sparse, but its encoder makes dense, 4 numbers"


def test_the_remedy_for_a_missing_idf_modifier_works(empty: QdrantClient) -> None:
    empty.create_collection("docs", vectors_config={}, sparse_vectors_config={"bm25": models.SparseVectorParams()})
    with pytest.raises(PlanError) as refused:
        ensure_collection(empty, "docs", {"bm25": Words()})

    remedy = refused.value.problems[0].split("needs: ")[1]
    eval(remedy, {"client": empty, "models": models})

    assert ensure_collection(empty, "docs", {"bm25": Words()})[0].startswith("the collection 'docs' is there")


def test_a_strategy_that_the_collection_could_not_run_is_refused_before_it_is_made(empty: QdrantClient) -> None:
    strategy = Fusion.rrf().over(Nearest("dense"), Nearest("bm52"))

    with pytest.raises(PlanError, match=r"no vector named 'bm52'.*did you mean 'bm25'"):
        ensure_collection(empty, "docs", {"dense": Letters(), "bm25": Words()}, strategy=strategy)

    assert not empty.collection_exists("docs")
