"""`timeout=` of the retriever and the compressor: a call ends in time, whatever hangs; and what is made is closed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from pydantic import ValidationError
from qdrant_client import QdrantClient

from langchain_qdrant_rerank import QdrantRerankCompressor, QdrantRerankRetriever
from qdrant_rerank import AsyncExecutor, Executor, PlanError, PlanWarning
from qdrant_rerank.errors import ClientError
from tests.langchain.support import WordEmbeddings
from tests.slow_qdrant import (
    LIMIT,
    LONGER,
    READ_BY_A_MODEL,
    STRATEGIES,
    AwaitedModel,
    HangingModel,
    How,
    SlowQdrant,
    all_at_once,
    all_awaited,
    check_ends,
)
from tests.stub_qdrant import StubQdrant, collection
from tests.support import refused

VECTORS = {"dense": [1.0, 0.0, 0.0, 0.0]}


def scores(query: str, texts: Any) -> list[float]:
    return [0.0 for _ in texts]


async def retrievers(server: SlowQdrant, **settings: Any) -> dict[str, QdrantRerankRetriever]:
    """One for each strategy, that know the collection already."""
    client = QdrantClient(url=server.url, check_compatibility=False, verify=False)  # reads no certificates: they take long
    used: dict[str, Any] = {"reranker": scores, "timeout": LIMIT, "k": 3, "payload": "flat"} | settings
    plain = {**used, "reranker": None}  # strategies that ask none refuse one
    made = {
        name: QdrantRerankRetriever(
            client=client, collection_name="docs", strategy=strategy, **(plain if strategy.model_use == "none" else used)
        )
        for name, strategy in STRATEGIES.items()
    }
    for retriever in made.values():
        retriever._executor(Executor).target()
        await retriever._executor(AsyncExecutor).target()
    return made


@pytest.mark.parametrize("how", ["hangs", "drips"])
async def test_a_call_ends_in_time_whatever_the_strategy_and_the_server_do(how: How) -> None:
    with SlowQdrant(how) as server:
        known = await retrievers(server)
        check_ends(all_at_once({n: partial(r.invoke, "fox", vectors=VECTORS) for n, r in known.items()}), "searching$")
        check_ends(await all_awaited({n: partial(r.ainvoke, "fox", vectors=VECTORS) for n, r in known.items()}), "searching$")
        patient = (await retrievers(server, timeout=60.0))["nearest"]
        call = {"nearest": partial(patient.invoke, "fox", vectors=VECTORS, timeout=LIMIT)}
        check_ends(all_at_once(call), "searching$")
        batch: Any = partial(patient.asearch_batch, ["fox"], timeout=LIMIT)
        with pytest.raises(Exception, match="nothing to embed"):  # the batch's queries bring no vectors
            await batch()


@pytest.mark.parametrize("model", [HangingModel, AwaitedModel])
async def test_a_call_ends_in_time_whatever_models_do(model: type[HangingModel]) -> None:
    hanging = model()
    with SlowQdrant("hangs", after=100) as server:
        known = await retrievers(server, reranker=hanging, timeout=LONGER)
        asked = {name: known[name] for name in READ_BY_A_MODEL}
        check_ends(
            all_at_once({n: partial(r.invoke, "fox", vectors=VECTORS) for n, r in asked.items()}), "scoring 5 texts$", LONGER
        )
        ended = await all_awaited({n: partial(r.ainvoke, "fox", vectors=VECTORS) for n, r in asked.items()})
        check_ends(ended, "scoring 5 texts$", LONGER)
        known = await retrievers(server, encoders={"dense": hanging})
        check_ends(all_at_once({n: partial(r.invoke, "fox") for n, r in known.items()}), "embedding the query for 'dense'$")
        ended = await all_awaited({n: partial(r.ainvoke, "fox") for n, r in known.items()})
        check_ends(ended, "embedding the query for 'dense'$")
    hanging.free.set()


@pytest.mark.parametrize("model", [HangingModel, AwaitedModel])
async def test_a_compressor_ends_in_time(model: type[HangingModel]) -> None:
    hanging, documents = model(), [Document("a"), Document("b")]
    compressor = QdrantRerankCompressor(reranker=hanging, timeout=LIMIT)
    check_ends(all_at_once({"sync": partial(compressor.compress_documents, documents, "fox")}), "scoring 2 texts$")
    check_ends(await all_awaited({"async": partial(compressor.acompress_documents, documents, "fox")}), "scoring 2 texts$")
    kept = QdrantRerankCompressor(reranker=hanging, timeout=LIMIT, on_error="keep_order")
    with pytest.warns(PlanWarning, match="TimeoutError"):
        assert [each.page_content for each in kept.compress_documents(documents, "fox")] == ["a", "b"]
    compressor.close()
    with refused(ClientError, "are closed"):
        compressor.compress_documents(documents, "fox")
    hanging.free.set()


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), "soon", True])
def test_a_timeout_is_a_finite_number_above_0(timeout: Any) -> None:
    message = "timeout must be a finite number of seconds above 0"
    with pytest.raises(ValidationError, match=message):
        QdrantRerankCompressor(reranker=scores, timeout=timeout)
    client = QdrantClient(":memory:")
    with pytest.raises(ValidationError, match=message):
        QdrantRerankRetriever(client=client, collection_name="docs", timeout=timeout)
    with pytest.raises(PlanError, match=message):
        QdrantRerankRetriever(client=client, collection_name="docs").invoke("fox", timeout=timeout)


def stub() -> StubQdrant:
    return StubQdrant([{"id": 1, "score": 0.5, "payload": {"page_content": "one"}}], {"docs": collection({"dense": 4})})


def is_closed(client: Any) -> bool:
    closed: bool = client._client.closed
    return closed


async def test_a_closed_retriever_answers_nothing_and_has_closed_what_it_made() -> None:
    with stub() as server:
        with QdrantRerankRetriever.from_existing_collection("docs", url=server.url, embedding=WordEmbeddings()) as retriever:
            assert retriever.invoke("fox")
            copy = retriever.model_copy(update={"k": 1})
        assert is_closed(retriever.client)
        for each in (retriever, copy):
            with refused(ClientError, "this is closed", "make another"):
                each.invoke("fox")
            with refused(ClientError, "this is closed: nothing can be asked after close() or aclose()"):
                await each.ainvoke("fox")
        retriever.close()
        async with QdrantRerankRetriever.from_existing_collection("docs", url=server.url, embedding=WordEmbeddings()) as other:
            assert await other.ainvoke("fox")
            made = other._executor(AsyncExecutor).clients.asynchronous()
        assert is_closed(made)
        assert is_closed(other.client)


def test_a_client_that_was_given_stays_open() -> None:
    with stub() as server:
        client = QdrantClient(url=server.url, check_compatibility=False)
        with QdrantRerankRetriever(client=client, collection_name="docs", embedding=WordEmbeddings()) as retriever:
            assert retriever.invoke("fox")
        assert not is_closed(client)
        client.close()


def made(**options: Any) -> Any:
    retriever = QdrantRerankRetriever.from_existing_collection("docs", prefer_grpc=True, **options)
    client: Any = retriever.client
    return client._client


@pytest.mark.parametrize(
    ("options", "port"),
    [
        ({}, 6334),
        ({"url": "http://qdrant.invalid"}, 6334),
        ({"url": "http://qdrant.invalid:6333"}, 6334),
        ({"url": "http://qdrant.invalid:7000", "grpc_port": 7001}, 7001),
        ({"url": "http://qdrant.invalid:7000", "client_options": {"grpc_port": 7001}}, 7001),
        ({"client_options": {"host": "qdrant.invalid", "port": 7000}, "grpc_port": 7001}, 7001),
        ({"client_options": {"host": "qdrant.invalid"}}, 6334),
    ],
)
def test_grpc_goes_to_the_server_that_the_url_names(options: Any, port: int) -> None:
    client = made(**options)
    assert client._grpc_port == port
    assert client._host in ("localhost", "qdrant.invalid")
    assert client._grpc_options["grpc.max_reconnect_backoff_ms"] == 2_000


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://qdrant.invalid:7000"},
        {"client_options": {"host": "qdrant.invalid", "port": 7000}},
        {"client_options": {"location": "qdrant.invalid:7000"}},
        {"url": "http://qdrant.invalid", "client_options": {"port": 80}},
    ],
)
def test_beside_another_port_than_6333_the_one_of_grpc_must_be_said(options: Any) -> None:
    with refused(ClientError, "which port does gRPC have?", "give it by grpc_port="):
        made(**options)


def test_a_folder_has_no_ports(tmp_path: Path) -> None:
    with QdrantRerankRetriever.from_existing_collection("docs", path=str(tmp_path), prefer_grpc=True) as retriever:
        assert retriever.client is not None
    made(client_options={"location": ":memory:"})
