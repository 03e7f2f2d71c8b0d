"""The list of tests that play back recordings is fixed: each has its recording, and each recording its test."""

from __future__ import annotations

import pytest
from pytest_recording.plugin import get_default_cassette_name

from tests.replayed.conftest import FOLDER, LIST, recording, recordings


@pytest.fixture(autouse=True)
def _plays_back(request: pytest.FixtureRequest) -> None:
    if recording(request.config):
        pytest.skip("the list is written at the end of a run that records")


def test_each_recording_is_listed_and_there() -> None:
    assert recordings() == LIST.read_text("utf-8").splitlines()


def test_each_replayed_test_has_a_recording(request: pytest.FixtureRequest) -> None:
    """Of those that this run has collected."""
    asked = [item for item in request.session.items if item.get_closest_marker("vcr") is not None]
    listed = set(LIST.read_text("utf-8").splitlines())
    assert [item.nodeid for item in asked if _name(item) not in listed] == []


def test_recordings_are_small_and_hold_no_host_key_or_port() -> None:
    texts = {path: path.read_text("utf-8") for path in FOLDER.rglob("*") if path.suffix in (".yaml", ".json")}
    assert sum(map(len, texts.values())) < 300_000
    for path, text in texts.items():
        assert not [part for part in ("127.0.0.1", "localhost", "api-key", "eyJ", "for tests") if part in text], path


def _name(item: pytest.Item) -> str:
    return f"{item.path.stem}/{get_default_cassette_name(None, item.name)}"
