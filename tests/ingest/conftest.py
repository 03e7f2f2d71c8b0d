"""What the tests of ingest share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank.ingest import ensure_collection
from tests.engines import open_client
from tests.ingest.stub import FillableStub
from tests.ingest.tiny import Letters
from tests.stub_qdrant import collection


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    """A client in local mode with an empty collection "docs" for `Letters`."""
    made = open_client()
    ensure_collection(made, "docs", {"dense": Letters()})
    yield made
    made.close()


@pytest.fixture
def empty() -> Iterator[QdrantClient]:
    """A client in local mode without collections."""
    made = open_client()
    yield made
    made.close()


@pytest.fixture
def stub() -> Iterator[FillableStub]:
    """A server with an empty collection "docs" for `Letters`."""
    with FillableStub(collections={"docs": collection(dense={"dense": 4})}) as running:
        yield running
