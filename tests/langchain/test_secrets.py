"""No key or password leaves the retriever through its repr, LangChain's dumps, traces, errors or a pickle."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumps
from pydantic import ValidationError
from qdrant_client import AsyncQdrantClient, QdrantClient

from langchain_qdrant_rerank import QdrantRerankRetriever
from tests.langchain.support import WordSparse
from tests.stub_qdrant import StubQdrant

SECRET = "sk-very-secret"


class KeyedEmbeddings(Embeddings):
    """Embeddings that hold a key and show it in their repr, as careless ones do."""

    def __init__(self) -> None:
        self.api_key = SECRET

    def __repr__(self) -> str:
        return f"KeyedEmbeddings(api_key={self.api_key!r})"

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0, 0.0, 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError


class KeyedFunction:
    """A function that shows its key."""

    def __call__(self, text: str) -> list[float]:
        return [1.0, 0.0, 0.0, 0.0]

    def __repr__(self) -> str:
        return SECRET


@pytest.fixture
def retriever() -> Iterator[QdrantRerankRetriever]:
    """A retriever over a server, a key in each of its parts."""
    with StubQdrant([{"id": 1, "score": 0.5, "payload": {"page_content": "text"}}]) as stub, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        yield QdrantRerankRetriever.from_existing_collection(
            "docs",
            url=stub.url.replace("//", f"//user:{SECRET}@"),
            api_key=SECRET,
            async_client=AsyncQdrantClient(url=stub.url, api_key=SECRET, check_compatibility=False),
            embedding=KeyedEmbeddings(),
            sparse_embedding=WordSparse(),
            encoders={"": KeyedFunction()},
        )


def test_the_client_of_the_fixture_does_hold_the_key(retriever: QdrantRerankRetriever) -> None:
    assert SECRET in str(retriever.client and retriever.client.init_options)
    assert SECRET in repr(retriever.embedding)


def test_it_is_shown_without_secrets(retriever: QdrantRerankRetriever) -> None:
    for text in (
        repr(retriever),
        str(retriever),
        f"{retriever:}",
        dumps(retriever),
        repr(retriever.bind(k=2)),
        str([retriever]),
    ):
        assert SECRET not in text
        assert "embedding=KeyedEmbeddings" in text


def test_its_repr_says_what_it_is_made_of(retriever: QdrantRerankRetriever) -> None:
    assert repr(retriever) == (
        "QdrantRerankRetriever(client=QdrantClient, async_client=AsyncQdrantClient, collection_name='docs', "
        "embedding=KeyedEmbeddings, sparse_embedding=WordSparse, encoders={'': KeyedFunction})"
    )
    changed = retriever.model_copy(update={"k": 7, "score_key": None, "score_threshold": 0.5})
    assert "k=7" in repr(changed)
    assert "score_threshold=0.5" in repr(changed)


def test_its_dump_has_no_secrets(retriever: QdrantRerankRetriever) -> None:
    assert SECRET not in repr(retriever.model_dump())
    assert SECRET not in retriever.model_dump_json()


def test_it_is_traced_without_secrets(retriever: QdrantRerankRetriever) -> None:
    seen: list[Any] = []

    class Recorder(BaseCallbackHandler):
        def on_retriever_start(self, *args: Any, **kwargs: Any) -> None:
            seen.extend([args, kwargs])

        def on_retriever_end(self, *args: Any, **kwargs: Any) -> None:
            seen.extend([args, kwargs])

    retriever.invoke("query", {"callbacks": [Recorder()]})
    assert len(seen) == 4
    assert SECRET not in repr(seen)
    assert SECRET not in repr(retriever._get_ls_params(k=2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": SECRET},
        {"client": f"https://user:{SECRET}@host"},
        {"async_client": SECRET},
        {"embedding": KeyedFunction()},
        {"sparse_embedding": SECRET},
        {"encoders": {"dense": SECRET}},
        {"encoders": SECRET},
        {"k": 0, "client": QdrantClient(":memory:")},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_an_error_of_the_constructor_has_no_secrets(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        QdrantRerankRetriever(**{"collection_name": "docs", "metadata": {"key": SECRET}, **wrong})
    assert SECRET not in str(caught.value)


def test_a_pickle_has_no_secrets(retriever: QdrantRerankRetriever) -> None:
    with contextlib.suppress(Exception):  # a client can't be pickled
        assert SECRET.encode() not in pickle.dumps(retriever)


def test_clients_of_servers_can_not_be_pickled(retriever: QdrantRerankRetriever) -> None:
    with pytest.raises(Exception, match="pickle"):
        pickle.dumps(retriever.client)
