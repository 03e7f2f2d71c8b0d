"""The awkward collection in both embedded engines, made once for each module; tests that change it make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank.edge import EdgeClient
from tests.edge.support import edge_client, filled
from tests.engines import open_client


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeClient]:
    with edge_client(tmp_path_factory.mktemp("edge")) as client:
        yield client


@pytest.fixture(scope="module")
def local() -> Iterator[QdrantClient]:
    """Local mode whatever the run's engine is: the tests say "as in local mode", and servers before 1.20 differ from edge."""
    client = filled(open_client("local"))
    yield client
    client.close()
