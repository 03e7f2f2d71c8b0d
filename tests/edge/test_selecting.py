"""A part of a payload is what an engine returns of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank._internals import select_payload
from qdrant_rerank.edge import EdgeClient

PAYLOAD: dict[str, Any] = {
    "a": {"b": 1, "c": 2},
    "aa": {"b": 3},
    "a.b": 4,
    "l": [{"b": 5, "c": 6}, {"b": 7}, 3],
    "n": [1, 2, [3]],
    "s": "x",
    "z": None,
    "e": {},
    "el": [],
}
KEYS = [
    *(["a"], ["a.b"], ['"a.b"'], ["a", "a.b"], ["a.x"], ["q"], ["s.x"], ["z"], ["e"], ["el"], ["el[]"], []),
    *(["l"], ["l[]"], ["l[].c"], ["l[].q"], ["l.b"], ["l[0]"], ["l[0].b"], ["n[]"], ["n[1]"], ["n[2][0]"], ["n[][]"]),
]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeClient]:
    with EdgeClient(tmp_path_factory.mktemp("edge")) as client:
        client.create_collection("c", models.VectorParams(size=1, distance=models.Distance.DOT))
        client.upsert("c", [models.PointStruct(id=1, vector=[1.0], payload=PAYLOAD)])
        yield client


@pytest.mark.parametrize("keys", KEYS, ids=" ".join)
def test_what_is_selected_is_what_the_engine_selects(edge: EdgeClient, keys: list[str]) -> None:
    for selector in (models.PayloadSelectorInclude(include=keys), models.PayloadSelectorExclude(exclude=keys)):
        [point] = edge.query_points("c", query=[1.0], with_payload=selector).points
        assert select_payload(PAYLOAD, selector) == point.payload
    assert select_payload(PAYLOAD, keys) == select_payload(PAYLOAD, models.PayloadSelectorInclude(include=keys))


def test_all_is_a_copy_and_nothing_is_none() -> None:
    whole = select_payload(PAYLOAD, True)
    assert whole == PAYLOAD
    assert whole is not PAYLOAD
    assert [select_payload(PAYLOAD, False), select_payload(None, True), select_payload(None, ["a"])] == [None, None, None]
