"""Collections that aren't there, that are empty, and how a collection's description is read."""

from __future__ import annotations

import warnings
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank import AsyncExecutor, Executor, Nearest, PlanError, PlanWarning, Query
from qdrant_rerank.planning import Schema, aread_schema, read_schema
from tests.engines import current, open_async_client, open_client
from tests.support import COLLECTION, QUERY, create_toy, encoders, refused, toy_points

COSINE = models.Distance.COSINE


def holding(*names: str) -> QdrantClient:
    client = open_client()
    for name in names:
        client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=COSINE))
    return client


def test_a_missing_collection_lists_those_that_there_are() -> None:
    executor = Executor(holding("notes", "books"), "book")
    with refused(PlanError, "no collection 'book'", "this Qdrant has 'books', 'notes'", "did you mean 'books'?") as caught:
        executor.retrieve(Nearest(), Query(QUERY))
    assert caught.value.__cause__ is not None
    with refused(PlanError, "this Qdrant has no collections"):
        read_schema(holding(), "book")


async def test_a_missing_collection_is_said_alike_when_awaited() -> None:
    executor = AsyncExecutor(holding("notes", "books"), "book")
    with refused(PlanError, "no collection 'book'", "this Qdrant has 'books', 'notes'", "did you mean 'books'?"):
        await executor.retrieve(Nearest(), Query(QUERY))
    with refused(PlanError, "this Qdrant has no collections"):
        await aread_schema(open_async_client(), "book")


class Failing:
    """A client whose collection can't be read."""

    def __init__(self, error: Exception, *names: str) -> None:
        self.error, self.names = error, names

    def get_collection(self, _: str) -> Any:
        raise self.error

    def get_collections(self) -> Any:
        return models.CollectionsResponse(collections=[models.CollectionDescription(name=name) for name in self.names])


class AsyncFailing(Failing):
    """The same, awaited."""

    async def get_collection(self, _: str) -> Any:
        raise self.error

    async def get_collections(self) -> Any:
        return super().get_collections()


def status(code: int) -> UnexpectedResponse:
    """An HTTP error as qdrant-client raises it."""
    return UnexpectedResponse(code, "", b"", httpx.Headers())


def rpc(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """A gRPC error as grpcio raises it."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


class Forbidden(Failing):
    """A client that may not list collections."""

    def get_collections(self) -> Any:
        raise status(403)


class AsyncForbidden(AsyncFailing):
    """The same, awaited."""

    async def get_collections(self) -> Any:
        raise status(403)


@pytest.mark.parametrize("error", [status(404), rpc(grpc.StatusCode.NOT_FOUND), ValueError("Collection x not found")])
async def test_each_way_of_saying_not_found_is_understood(error: Exception) -> None:
    with refused(PlanError, "no collection 'x'"):
        read_schema(Failing(error, "y"), "x")  # type: ignore[arg-type]
    with refused(PlanError, "no collection 'x'"):
        await aread_schema(AsyncFailing(error, "y"), "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [status(401), rpc(grpc.StatusCode.UNAVAILABLE), ConnectionError("refused")])
async def test_other_errors_pass_untouched(error: Exception) -> None:
    with pytest.raises(type(error)):
        read_schema(Failing(error, "y"), "x")  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        await aread_schema(AsyncFailing(error, "y"), "x")  # type: ignore[arg-type]


async def test_a_not_found_of_a_collection_that_is_there_passes_untouched() -> None:
    with pytest.raises(UnexpectedResponse):
        read_schema(Failing(status(404), "x"), "x")  # type: ignore[arg-type]
    with pytest.raises(UnexpectedResponse):
        await aread_schema(AsyncFailing(status(404), "x"), "x")  # type: ignore[arg-type]


async def test_a_missing_collection_is_named_though_the_others_may_not_be_listed() -> None:
    with refused(PlanError, "no collection 'x'"):
        read_schema(Forbidden(status(404)), "x")  # type: ignore[arg-type]
    with refused(PlanError, "no collection 'x'"):
        await aread_schema(AsyncForbidden(status(404)), "x")  # type: ignore[arg-type]


def test_an_empty_collection_is_warned_about_and_works_once_it_is_filled() -> None:
    client = open_client()
    create_toy(client)
    executor = Executor(client, COLLECTION, encoders=encoders())
    for _ in range(2):
        with pytest.warns(PlanWarning, match="the collection 'toy' is empty"):
            assert executor.retrieve(Nearest("dense"), Query(QUERY)) == []
    client.upsert(COLLECTION, toy_points())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(executor.retrieve(Nearest("dense"), Query(QUERY))) == 10


async def test_an_empty_collection_is_warned_about_when_awaited() -> None:
    client = open_client()
    create_toy(client)
    executor = AsyncExecutor(client, COLLECTION, encoders=encoders())
    with pytest.warns(PlanWarning, match="is empty"):
        assert await executor.retrieve(Nearest("dense"), Query(QUERY)) == []
    client.upsert(COLLECTION, toy_points())
    assert len(await executor.retrieve(Nearest("dense"), Query(QUERY))) == 10


def test_a_schema_has_every_kind_of_vector() -> None:
    client = open_client()
    create_toy(client)
    schema = read_schema(client, COLLECTION)
    assert schema.describe_vectors() == (
        "'dense' (dense 4-d, Cosine), 'colbert' (multivector of 3-d, Cosine), 'bm25' (sparse, IDF)"
    )
    assert (schema.names("dense"), schema.names("multi"), schema.names("sparse")) == (["dense"], ["colbert"], ["bm25"])
    assert (schema.only_dense(), schema.points, schema.shards) == ("dense", 0, current().shards)


def test_a_schema_of_one_unnamed_vector() -> None:
    schema = read_schema(holding("notes"), "notes")
    assert schema.describe_vectors() == "'' (dense 2-d, Cosine)"
    assert schema.only_dense() == ""


def test_a_schema_without_dense_vectors() -> None:
    client = open_client()
    client.create_collection("words", vectors_config={}, sparse_vectors_config={"words": models.SparseVectorParams()})
    schema = read_schema(client, "words")
    assert schema.describe_vectors() == "'words' (sparse)"
    assert schema.only_dense() is None


def test_a_schema_holds_the_payload_indexes_of_a_server() -> None:
    client = holding("notes")
    info = client.get_collection("notes")
    info.payload_schema = {"price": models.PayloadIndexInfo(data_type=models.PayloadSchemaType.FLOAT, points=3)}
    assert dict(Schema.of("notes", info).indexes) == {"price": models.PayloadSchemaType.FLOAT}


def test_a_schema_cannot_be_changed_by_accident() -> None:
    schema = read_schema(holding("notes"), "notes")
    with pytest.raises(TypeError):
        schema.vectors["x"] = schema.vectors[""]  # type: ignore[index]
