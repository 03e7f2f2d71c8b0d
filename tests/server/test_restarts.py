"""A server that is killed and comes back, while it is filled and searched."""

from __future__ import annotations

import threading

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import Executor, Nearest, Query, Retries
from qdrant_rerank._internals import read_failure
from qdrant_rerank.ingest import ensure_collection, ingest
from tests.ingest.tiny import Letters, documents
from tests.server.own_server import OwnServer
from tests.support import COLLECTION, QUERY, encoders, fill_toy, ids


@pytest.mark.parametrize("grpc", [False, True])
def test_what_was_written_is_there_after_a_crash_and_the_same_executor_goes_on(grpc: bool) -> None:
    with OwnServer() as server:
        executor = Executor(fill_toy(QdrantClient(**server.options(grpc))), COLLECTION, encoders=encoders())
        before = ids(executor.retrieve(Nearest("dense"), Query(QUERY)))
        server.kill()
        with pytest.raises(Exception) as caught:  # of qdrant-client or grpc
            executor.retrieve(Nearest("dense"), Query(QUERY))
        assert read_failure(caught.value).kind == "unreachable"
        server.start()
        again = Retries(9).run(lambda: executor.retrieve(Nearest("dense"), Query(QUERY)))  # gRPC waits before it connects anew
        assert ids(again) == before


@pytest.mark.parametrize("grpc", [False, True])
def test_filling_goes_on_after_a_restart_and_loses_nothing(grpc: bool) -> None:
    with OwnServer() as server:
        client = QdrantClient(**server.options(grpc))
        ensure_collection(client, "docs", {"dense": Letters()})
        count, again = 0, threading.Timer(1.0, server.start)

        def some() -> object:
            nonlocal count
            for document in documents(400):
                count += 1
                if count == 200:
                    server.kill()
                    again.start()
                yield document

        ingest(client, "docs", some(), {"dense": Letters()}, batch_size=20)  # type: ignore[arg-type]
        again.join()  # it may still wait for what the client already has
        assert client.count("docs").count == 400
