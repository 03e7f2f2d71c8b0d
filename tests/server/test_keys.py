"""API keys: what a key for one collection can do, and what is said where it can't."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import AsyncExecutor, Executor, Formula, Nearest, Query, field, score
from qdrant_rerank._internals import read_failure
from qdrant_rerank.ingest import ingest
from qdrant_rerank.planning import read_schema
from tests.ingest.tiny import Letters, documents
from tests.server.own_server import KEY, OwnServer
from tests.support import COLLECTION, QUERY, encoders, fill_toy, ids

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
STRATEGY = Formula(score() + 0.01 * field("popularity", default=0)).over(Nearest("dense", limit=20))


def token(**claims: Any) -> str:
    """A JWT signed with the server's key."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = f"{head}.{encoded(json.dumps(claims).encode())}"
    return f"{body}.{encoded(hmac.digest(KEY.encode(), body.encode(), hashlib.sha256))}"


ONE = token(access=[{"collection": COLLECTION, "access": "r"}])


@pytest.fixture(scope="module")
def server(keyed: OwnServer) -> OwnServer:
    """A server that demands a key, with the toy collection and another one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = QdrantClient(**keyed.options(api_key=KEY))
        fill_toy(client)
        fill_toy(client, "other")
        client.close()
    return keyed


@pytest.mark.parametrize("grpc", [False, True])
async def test_a_key_for_one_collection_is_enough_to_search_it(server: OwnServer, grpc: bool) -> None:
    options = server.options(grpc, api_key=ONE)
    client = QdrantClient(**options)
    executor = Executor(client, COLLECTION, encoders=encoders())
    found = ids(executor.retrieve(STRATEGY, Query(QUERY)))
    assert len(found) == 10
    asynchronous = AsyncExecutor(async_client=AsyncQdrantClient(**options), collection=COLLECTION, encoders=encoders())
    assert ids(await asynchronous.retrieve(STRATEGY, Query(QUERY))) == found
    assert read_schema(client, COLLECTION).points == 24
    retriever = QdrantRerankRetriever(
        client=client, collection_name=COLLECTION, encoders=encoders(), strategy=STRATEGY, payload="flat", k=3
    )
    assert [document.id for document in retriever.invoke(QUERY)] == [str(id) for id in found[:3]]


@pytest.mark.parametrize("grpc", [False, True])
@pytest.mark.parametrize(("key", "kind"), [("wrong", "unauthorized"), (None, "unauthorized"), (ONE, "forbidden")])
def test_a_key_that_opens_nothing_keeps_its_error_and_is_not_shown(
    server: OwnServer, grpc: bool, key: str | None, kind: str
) -> None:
    executor = Executor(QdrantClient(**server.options(grpc, api_key=key)), "other", encoders=encoders())
    with pytest.raises(Exception) as caught:  # of qdrant-client or grpc
        executor.retrieve(STRATEGY, Query(QUERY))
    assert read_failure(caught.value).kind == kind
    if key is not None:
        notes = " ".join(getattr(caught.value, "__notes__", []))
        assert key not in f"{caught.value} {notes}"


def test_a_key_that_may_only_read_writes_nothing(server: OwnServer) -> None:
    with pytest.raises(Exception) as caught:
        ingest(QdrantClient(**server.options(api_key=ONE)), COLLECTION, documents(3), {"dense": Letters()})
    assert "orbidden" in str(caught.value) or read_failure(caught.value).kind == "forbidden"
