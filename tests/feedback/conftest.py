"""Fixtures of the calibration's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import CountingClient

from .worlds import fill


@pytest.fixture(scope="module")
def client() -> Iterator[CountingClient]:
    """The points of `worlds`, behind a client that counts requests."""
    made = CountingClient()
    fill(made)
    yield made
    made.close()
