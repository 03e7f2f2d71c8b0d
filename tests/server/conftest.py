"""Tests that only a server can answer: keys, limits, restarts, consistency, shard keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.server.own_server import KEY, OwnServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if engines.current().kind != "server":
        needed = pytest.mark.skip(reason="needs a server: QDRANT_URL=… make test-server (CONTRIBUTING.md)")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(needed)


@pytest.fixture(scope="module")
def keyed() -> Iterator[OwnServer]:
    """A server that demands a key."""
    with OwnServer(KEY) as running:
        yield running
