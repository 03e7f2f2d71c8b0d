from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import ServerInference, StrategyError
from qdrant_rerank.ingest import ensure_collection
from qdrant_rerank.planning import VectorInfo, read_schema
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters, Silent, Words

TOKENS = Silent([[1.0, 2.0], [0.5, 0.5], [0.0, 1.0]])
COSINE = models.Distance.COSINE


def test_multivectors_makes_a_multivector_of_an_encoder_that_says_nothing(empty: QdrantClient) -> None:
    class Sized(Silent):
        size = 2

    ensure_collection(empty, "docs", {"colbert": Sized(TOKENS.vector)}, multivectors=["colbert"])

    assert read_schema(empty, "docs").vectors == {"colbert": VectorInfo("multi", 2, COSINE)}


@pytest.mark.parametrize(
    ("name", "encoder", "message"),
    [
        ("colbret", TOKENS, "multivectors names 'colbret', which has no encoder; there are 'colbert': did you mean 'colbert'?"),
        ("colbert", Letters(), "multivectors names 'colbert', but its encoder makes dense vectors: Letters"),
        ("colbert", Silent([1.0, 2.0]), "the vector 'colbert' is to be multi, but its encoder makes dense, 2 numbers"),
    ],
)
def test_multivectors_that_do_not_match_the_encoders_are_refused(
    empty: QdrantClient, name: str, encoder: Any, message: str
) -> None:
    with pytest.raises(StrategyError) as refused:
        ensure_collection(empty, "docs", {"colbert": encoder}, multivectors=[name])
    assert message in str(refused.value)


@pytest.mark.parametrize("vector", ["text", [], [[1.0], [1.0, 2.0]], 3.0])
def test_an_encoder_that_makes_no_vectors_is_refused(empty: QdrantClient, vector: Any) -> None:
    with pytest.raises(StrategyError, match="that is neither a list of numbers, nor a list of such lists"):
        ensure_collection(empty, "docs", {"dense": Silent(vector)})


def test_inference_by_the_server_has_to_say_what_comes_out(stub: FillableStub) -> None:
    client = client_of(stub)

    with pytest.raises(StrategyError, match=r"the encoder for 'bm25' leaves embedding to the server.*kind='sparse', idf=True"):
        ensure_collection(client, "new", {"dense": Letters(), "bm25": ServerInference("qdrant/bm25")})
    assert stub.written == []
    ensure_collection(client, "new", {"bm25": ServerInference("qdrant/bm25", kind="sparse", idf=True)})
    assert stub.written[0][1]["sparse_vectors"] == {"bm25": {"modifier": "idf"}}


def test_inference_by_the_server_is_trusted_where_the_collection_is_there(empty: QdrantClient) -> None:
    ensure_collection(empty, "docs", {"dense": Letters(), "bm25": Words()})

    done = ensure_collection(empty, "docs", {"dense": ServerInference("any"), "bm25": ServerInference("qdrant/bm25")})

    assert done[0].startswith("the collection 'docs' is there")


def test_a_collection_of_no_vectors_is_refused(empty: QdrantClient) -> None:
    with pytest.raises(StrategyError, match="a collection needs at least one vector"):
        ensure_collection(empty, "docs", {})


def test_what_is_no_encoder_is_refused(empty: QdrantClient) -> None:
    with pytest.raises(StrategyError, match="not an encoder: str"):
        ensure_collection(empty, "docs", {"dense": "bge"})  # type: ignore[dict-item]
