"""Fixtures and options for all tests; helpers that are plain functions are in `tests.support`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from qdrant_client import QdrantClient

from qdrant_rerank import Executor
from tests.support import COLLECTION, encoders, fill_toy

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("quick", deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # doesn't shrink
settings.load_profile("ci" if os.environ.get("CI") else "local")

GOLDENS = Path(__file__).parent / "goldens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="write tests/goldens/ anew from what the code does now instead of comparing; read the diff before committing",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compares a JSON value with `tests/goldens/<name>.json`, or writes it there with `--update-goldens`."""
    update = request.config.getoption("--update-goldens")

    def check(name: str, value: Any) -> None:
        path = GOLDENS / f"{name}.json"
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
            return
        assert path.exists(), f"no golden {path}: run pytest with --update-goldens and read what it writes"
        assert value == json.loads(path.read_text("utf-8"))

    return check


@pytest.fixture(scope="module")
def toy() -> Iterator[QdrantClient]:
    """A local client with the toy collection. Tests that change it make their own with `fill_toy`."""
    client = fill_toy(QdrantClient(":memory:"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def executor(toy: QdrantClient) -> Executor:
    """An executor over the toy collection, with an encoder for each of its vectors."""
    return Executor(toy, COLLECTION, encoders=encoders())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, where the data and models are fetched, a test that needs them must not skip."""
    report = yield
    if os.environ.get("CI") and report.skipped and item.get_closest_marker("data") is not None:
        report.outcome = "failed"
        report.longrepr = f"a test marked data must not skip in CI: {call.excinfo.value if call.excinfo else report.longrepr}"
    return report
