"""Fixtures for the tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.local_server import LocalServer
from tests.cli.support import succeeds, write_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A file of five documents."""
    return write_corpus(tmp_path / "corpus.jsonl")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the collection `docs`: the five documents, dense and sparse vectors. Tests only read it."""
    folder = tmp_path_factory.mktemp("cli")
    succeeds("index", write_corpus(folder / "corpus.jsonl"), "--path", folder / "db", "--dense", "hash")
    return folder / "db"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A Qdrant over HTTP, empty."""
    with LocalServer() as running:
        yield running
