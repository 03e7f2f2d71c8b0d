"""What the constructor refuses, and says about it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import ValidationError
from qdrant_client import AsyncQdrantClient

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Nearest, SearchOptions
from tests.langchain.support import DOCS, WordEmbeddings, make, shared_client
from tests.support import dense


def test_an_unknown_field_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValidationError) as caught:
        make(embeddings=WordEmbeddings())
    message = str(caught.value)
    assert (
        "the retriever has no field 'embeddings'; it has async_client, capabilities, client, coalesce, collection_name,"
        in message
    )
    assert "did you mean 'embedding'?" in message


def test_search_kwargs_of_other_retrievers_are_not_ignored() -> None:
    with pytest.raises(ValidationError, match=r"search_kwargs is of as_retriever\(\), not of this retriever: pass k=3 instead"):
        make(search_kwargs={"k": 3})


def test_what_belongs_to_the_client_is_pointed_to_from_existing_collection() -> None:
    with pytest.raises(ValidationError, match=r"no field 'api_key'; it has .*: from_existing_collection takes it"):
        QdrantRerankRetriever(collection_name=DOCS, api_key="secret")  # type: ignore[call-arg]


def test_no_client_at_all_is_refused_when_the_retriever_is_made() -> None:
    with pytest.raises(ValidationError, match=r"a Qdrant client is needed: pass client=QdrantClient\(…\), or async_client="):
        make(client=None)


def test_a_reranker_that_the_strategy_does_not_ask_is_refused() -> None:
    message = r"the reranker would read nothing: the strategy Nearest\(\) asks none\. Pass strategy=Rerank\(reads=50\)"
    with pytest.raises(ValidationError, match=message):
        make(reranker=lambda query, texts: [0.0 for _ in texts], strategy=Nearest())


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("client", AsyncQdrantClient(":memory:"), "this is an AsyncQdrantClient: pass it as async_client"),
        ("client", "http://localhost", "client takes a QdrantClient, got str; from_existing_collection makes one from a URL"),
        ("async_client", shared_client(), "this is a QdrantClient: pass it as client"),
        ("async_client", "http://localhost", "or a function that makes one, got str"),
        (
            "embedding",
            dense,
            "takes a LangChain Embeddings, got function; functions and encoders go,",
        ),
        ("sparse_embedding", dense, "takes langchain-qdrant's SparseEmbeddings, got function"),
        ("encoders", [dense], "encoders takes Encoders, or a mapping from vector names to encoders, got list"),
        ("encoders", {"dense": 3}, "int can't embed a query: encoders takes, for each vector's name, a LangChain Embeddings"),
        ("strategy", Nearest, r"not a strategy: .*Nearest.*; e.g. Nearest\(\)"),
        ("strategy", "dense", r"not a strategy: 'dense'; e.g. Nearest\(\)"),
        ("strategy", "best.json", r"for one that is in a file, pass load\('best.json'\)"),
        ("options", {"group_by": "x"}, "options must be a qdrant_rerank.SearchOptions, got dict"),
        ("options", SearchOptions(limit=3), r"limit has an argument of its own: pass k=… instead of options=Search"),
        ("options", SearchOptions(offset=3), "pass offset=… to the call instead"),
        ("options", SearchOptions(with_vectors=True), "with_vectors has no effect here"),
        ("options", SearchOptions(group_size=2), "group_size has no effect without group_by"),
        ("options", SearchOptions(stable_ties=cast("bool", "yes")), "stable_ties must be True or False, got 'yes'"),
        ("payload", "langchan", "no payload preset 'langchan'.*did you mean 'langchain'"),
        ("score_key", "_id", "score_key takes a metadata key other than '_id' and '_collection_name', or None"),
        ("score_key", "", "score_key takes a metadata key"),
        ("collection_name", "", "collection_name"),
        ("options", SearchOptions(group_size=0), "group_size"),
        ("timeout", "soon", "timeout"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused(setting: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(**{setting: value})
