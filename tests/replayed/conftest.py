"""Plays back what a Qdrant server said, over REST and gRPC; `make record` records it anew.

REST is recorded by pytest-recording (`cassettes/`), gRPC by `grpc_tape` (`grpc/`). What is asked is compared whole, and a
request that isn't in the recording fails, as does a recorded one that isn't made. Hosts, ports, keys, times and what differs
from one process to the next are left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pytest_recording.plugin import get_default_cassette_name

from tests.replayed.collections import KEYS, fill, remove
from tests.replayed.connections import Connection
from tests.replayed.grpc_tape import GrpcTape

FOLDER = Path(__file__).parent
LIST = FOLDER / "LIST.txt"  # the tests that play back, which is all that were recorded
URL = "http://qdrant:6333"  # what stands in recordings


def recording(config: pytest.Config) -> bool:
    """Whether this run records instead of playing back."""
    return config.getoption("--record-mode") not in (None, "none")


def recordings() -> list[str]:
    """The tests of which there are recordings: `test_words/test_a_refusal…[rest-no key]`."""
    paths = [*(FOLDER / "cassettes").rglob("*.yaml"), *(FOLDER / "grpc").rglob("*.json")]
    return sorted(f"{path.parent.name}/{path.stem}" for path in paths)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if recording(session.config):
        LIST.write_text("".join(f"{name}\n" for name in recordings()), "utf-8")


@pytest.fixture(scope="session")
def filled(request: pytest.FixtureRequest) -> Iterator[None]:
    """On a run that records, the collections on the server; else nothing, as answers are recorded."""
    if not recording(request.config):
        yield
        return
    client = Connection(os.environ["QDRANT_URL"], {"all": os.environ["QDRANT_API_KEY"]}).client()
    remove(client)
    fill(client)
    yield
    remove(client)


@pytest.fixture
def vcr_config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {
        "match_on": ["method", "path", "query", "body"],
        "decode_compressed_response": True,
        "before_record_request": _scrub_request,
        "before_record_response": _scrub_response,
        "allow_playback_repeats": False,
    }


@pytest.fixture(params=["rest", "grpc"])
def server(request: pytest.FixtureRequest, filled: None, vcr: Any) -> Iterator[Connection]:
    """A way to a Qdrant server, which may be recorded."""
    live = recording(request.config)
    url = os.environ["QDRANT_URL"] if live else URL
    keys = {name: make() if live else "a key" for name, make in KEYS.items()}
    name = get_default_cassette_name(None, request.node.name)
    if request.param == "rest":
        yield Connection(url, keys)
    else:
        upstream = f"{urlsplit(url).hostname}:{os.environ.get('QDRANT_GRPC_PORT', '6334')}" if live else None
        path = FOLDER / "grpc" / request.node.path.stem / f"{name}.json"
        with GrpcTape(path, upstream) as tape:
            yield Connection("http://127.0.0.1:6333", keys, tape.port)
        assert not tape.refused
        assert not tape.unplayed
    if not live and vcr is not None:
        assert vcr.all_played


def _scrub_request(request: Any) -> Any:
    parts = urlsplit(request.uri)
    request.uri = urlunsplit(("http", "qdrant:6333", parts.path, parts.query, ""))
    request.headers = {}
    return request


def _scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    kept = ("content-type", "retry-after")
    response["headers"] = {key: value for key, value in response["headers"].items() if key.lower() in kept}
    body = response.get("body", {})
    content = body.get("string", response.get("content"))
    try:
        value = json.loads(content)
    except (TypeError, ValueError):
        return response
    if isinstance(value, dict):
        value = {key: 0.0 if key == "time" else each for key, each in value.items() if key not in ("usage", "commit")}
    body["string"] = json.dumps(value).encode()
    return response
