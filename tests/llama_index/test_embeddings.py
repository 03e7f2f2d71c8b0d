"""LlamaIndex's embedding models and sparse functions embed queries; nothing is loaded before."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import MockEmbedding
from qdrant_client import models

from llama_index_qdrant_rerank._internals import EmbedModelEncoder, SparseEncoder, make_encoders
from qdrant_rerank import QueryError
from qdrant_rerank.models import Encoder
from tests.llama_index.stores import TinyEmbedding, sparse
from tests.support import bm25, dense


async def test_queries_get_query_embeddings_and_documents_text_embeddings() -> None:
    model = TinyEmbedding()
    encoder = EmbedModelEncoder(model)
    assert isinstance(encoder, Encoder)
    assert encoder.encode_query("fox") == await encoder.aencode_query("fox") == dense("fox")
    assert encoder.encode_documents(["fox"]) == [dense("passage: fox")]
    assert model.asked == ["query fox", "async query fox", "text fox"]


def test_a_name_that_llama_index_knows_is_resolved_at_the_first_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IS_TESTING", "1")  # LlamaIndex's own switch to a mock
    encoder = EmbedModelEncoder("default")
    monkeypatch.setenv("IS_TESTING", "2")
    assert encoder.encode_query("x") == MockEmbedding(embed_dim=8).get_query_embedding("x")


def vector(function: Any, text: str = "quick quick fox") -> Any:
    return SparseEncoder(lambda: function).encode_query(text)


def test_sparse_functions_may_take_a_list_of_texts_or_a_text() -> None:
    for function in (sparse, bm25, Tagged()):
        assert vector(function) == bm25("quick quick fox")
    assert SparseEncoder(lambda: sparse).encode_documents(["a b", "c"]) == [bm25("a b"), bm25("c")]


class Tagged:
    """An encoder."""

    def encode_query(self, text: str) -> models.SparseVector:
        return bm25(text)

    def encode_documents(self, texts: Any) -> list[models.SparseVector]:
        return [bm25(text) for text in texts]


def test_a_function_that_takes_a_text_and_also_survives_a_list_is_told_by_its_answer() -> None:
    calls: list[Any] = []

    def lengths(text: Any) -> models.SparseVector:
        calls.append(text)
        return models.SparseVector(indices=[len(text)], values=[1.0])

    encoder = SparseEncoder(lambda: lengths)
    assert [encoder.encode_query("abc"), encoder.encode_query("abcd")] == [lengths("abc"), lengths("abcd")]
    assert calls[:3] == [["abc"], "abc", "abcd"]  # tried with a list only once


def test_the_error_of_a_function_that_takes_lists_isnt_hidden() -> None:
    def failing(texts: list[str]) -> Any:
        if isinstance(texts, list):
            raise ValueError("the vocabulary is missing")
        return [], []

    with pytest.raises(ValueError, match="the vocabulary is missing"):
        vector(failing)


def test_numpy_answers_of_a_sparse_function_become_plain_numbers() -> None:
    import numpy as np

    found = vector(lambda texts: ([[np.int64(3)]], [[np.float32(0.5)]]))
    assert found == models.SparseVector(indices=[3], values=[0.5])


def test_without_a_sparse_function_the_message_says_what_to_pass() -> None:
    with pytest.raises(QueryError, match=r"nothing to embed the query with for sparse vectors: .* pass sparse_encoder=…"):
        vector(None)


def test_encoders_by_name_may_be_embedding_models() -> None:
    encoders = make_encoders(None, None, {"dense": TinyEmbedding(), "bm25": bm25})
    assert encoders.named["dense"].encode_query("fox") == dense("fox")
    assert encoders.named["bm25"].encode_query("fox") == bm25("fox")
