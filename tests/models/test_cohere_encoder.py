from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import AsyncEncoder
from qdrant_rerank.models import CohereEncoder, Encoder
from tests.models.stub_cohere import Alter, Refuse, StubCohere, letters


@pytest.fixture
def server() -> Iterator[StubCohere]:
    with StubCohere() as running:
        yield running


async def vectors(encoder: CohereEncoder, how: str) -> tuple[list[float], list[list[float]]]:
    """The vectors of a query and of three documents."""
    documents = ["boat", "ferry", "hut"]
    try:
        if how == "sync":
            return encoder.encode_query("train"), encoder.encode_documents(documents)
        return await encoder.aencode_query("train"), await encoder.aencode_documents(documents)
    finally:
        encoder.close()
        await encoder.aclose()


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_queries_and_documents_are_embedded_each_as_what_they_are(server: StubCohere, how: str) -> None:
    encoder = CohereEncoder("embed-english-v3.0", api_key="key", base_url=server.url, batch_size=2)

    assert await vectors(encoder, how) == (letters("train"), [letters("boat"), letters("ferry"), letters("hut")])
    assert [request.path for request in server.requests] == ["/v2/embed"] * 3
    sent = [(request.body["input_type"], request.body["texts"]) for request in server.requests]
    assert sent == [("search_query", ["train"]), ("search_document", ["boat", "ferry"]), ("search_document", ["hut"])]
    common = {"model": "embed-english-v3.0", "embedding_types": ["float"], "truncate": "END"}
    assert all(common.items() <= request.body.items() for request in server.requests)
    assert "output_dimension" not in server.requests[0].body


async def test_the_size_may_be_chosen(server: StubCohere) -> None:
    encoder = CohereEncoder(api_key="key", base_url=server.url, output_dimension=64)

    query, documents = await vectors(encoder, "sync")
    assert (encoder.size, len(query), len(documents[0])) == (64, 64, 64)
    assert server.requests[0].body["output_dimension"] == 64


def test_it_is_an_encoder_of_dense_vectors_that_knows_its_size_without_asking() -> None:
    encoder = CohereEncoder()

    assert isinstance(encoder, Encoder)
    assert isinstance(encoder, AsyncEncoder)
    assert (encoder.kind, encoder.size, CohereEncoder("embed-v9").size) == ("dense", 1536, None)
    assert encoder.fingerprint != CohereEncoder(output_dimension=256).fingerprint


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_passing_faults_are_repeated(server: StubCohere, how: str) -> None:
    server.script += [Refuse(429), Refuse(500)]

    query, _ = await vectors(CohereEncoder(api_key="key", base_url=server.url), how)
    assert query == letters("train")


def with_floats(change: Any) -> Alter:
    return Alter(lambda right: {**right, "embeddings": {"float": change(right["embeddings"]["float"])}})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (with_floats(lambda rows: rows + rows), "2 embeddings for 1 texts"),
        (with_floats(lambda rows: [[]]), "embeddings of 0 numbers"),
        (with_floats(lambda rows: [rows[0][:5]]), "embeddings of 5 numbers; asked for was 26"),
        (with_floats(lambda rows: [[float("nan"), *rows[0][1:]]]), "numbers that aren't finite, for text 0"),
        (with_floats(lambda rows: [[None, *rows[0][1:]]]), "numbers that aren't finite, for text 0"),
        (with_floats(lambda rows: [["a", *rows[0][1:]]]), "an embedding that isn't made of numbers"),
        (Alter(lambda right: {**right, "embeddings": {"int8": [[1]]}}), "no float embeddings"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unusable_answer_is_an_error_that_says_what_came(server: StubCohere, fault: Alter, message: str) -> None:
    server.script += [fault]
    encoder = CohereEncoder(api_key="key", base_url=server.url, output_dimension=26)

    with pytest.raises(ScoringError, match=message):
        encoder.encode_query("train")
    encoder.close()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(StrategyError, match="batch_size of CohereEncoder must be 1 to 96"):
        CohereEncoder(batch_size=97)
    with pytest.raises(
        StrategyError, match="the output_dimension of CohereEncoder must be a whole number of at least 1, got 0"
    ):
        CohereEncoder(output_dimension=0)
    with pytest.raises(StrategyError, match="truncate is one of END, START, NONE; got 'MIDDLE'"):
        CohereEncoder(truncate="MIDDLE")  # type: ignore[arg-type]
