"""`encoders=Encoders.of(…)`: an executor's encoders serve the retriever as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Nearest, StrategyError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.models import Encoders
from tests.langchain.support import DOCS, QUERY, STRATEGIES, assert_same, fill_docs, make, shared_client
from tests.support import bm25, colbert, dense

ENCODERS = Encoders.of({"colbert": colbert}, dense=dense, sparse=bm25)


def made(**changes: Any) -> QdrantRerankRetriever:
    settings = {"client": shared_client(), "collection_name": DOCS, "encoders": ENCODERS, "score_key": "score"}
    return QdrantRerankRetriever(**{**settings, **changes})


@pytest.mark.parametrize("name", ["dense", "rrf", "colbert"])
async def test_encoders_of_an_executor_embed_for_all_vectors(name: str) -> None:
    expected = make(strategy=STRATEGIES[name]).invoke(QUERY)
    retriever = made(strategy=STRATEGIES[name])
    assert_same(retriever.invoke(QUERY), expected)
    assert_same(await retriever.ainvoke(QUERY), expected)


def test_from_edge_takes_them_too(tmp_path: Path) -> None:
    with EdgeClient(tmp_path / "qdrant") as client:
        fill_docs(client)
    retriever = QdrantRerankRetriever.from_edge(
        tmp_path / "qdrant", DOCS, encoders=ENCODERS, strategy=Nearest("dense"), score_key="score"
    )
    assert_same(retriever.invoke(QUERY), make(strategy=Nearest("dense")).invoke(QUERY))
    assert retriever.client is not None
    retriever.client.close()


def _fails(text: str) -> list[float]:
    raise AssertionError("the encoders come first")


class Silent:
    embed_query = embed_documents = staticmethod(_fails)


def test_they_come_before_the_embeddings_which_fill_in() -> None:
    own = Encoders.of(dense=dense)
    assert_same(
        made(sparse_embedding=Silent(), strategy=Nearest("dense")).invoke(QUERY), make(strategy=Nearest("dense")).invoke(QUERY)
    )
    assert_same(make(encoders=own, strategy=STRATEGIES["rrf"]).invoke(QUERY), make(strategy=STRATEGIES["rrf"]).invoke(QUERY))


def test_the_repr_and_traces_tell_their_classes() -> None:
    assert "encoders={'colbert': _FunctionEncoder, 'any dense vector': _FunctionEncoder, " in repr(made())
    assert made()._get_ls_params()["ls_embedding_provider"] == "_FunctionEncoder"


def test_retrievers_with_other_encoders_have_executors_of_their_own() -> None:
    retriever = made(strategy=Nearest("dense"))
    expected: Callable[[], Any] = lambda: retriever.invoke(QUERY)  # noqa: E731
    first = expected()
    other = retriever.model_copy(update={"encoders": Encoders.of(dense=lambda text: [-number for number in dense(text)])})
    assert [document.id for document in other.invoke(QUERY)] != [document.id for document in first]
    assert_same(expected(), first)


def test_a_file_s_name_is_no_strategy_and_what_loads_it_is_said() -> None:
    with pytest.raises(StrategyError, match=r"not a strategy: 'feedback.json'.*pass load\('feedback.json'\)"):
        made().invoke(QUERY, strategy="feedback.json")
    with pytest.raises(ValueError, match=r"not a strategy: 'feedback.json'; .* pass load\('feedback.json'\)"):
        made(strategy="feedback.json")
    with pytest.raises(ValueError) as caught:
        made(strategy="dense")
    assert "load(" not in str(caught.value)
