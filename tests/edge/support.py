"""A collection of awkward points in both embedded engines, and what it means that they agree."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank._internals import Shard
from qdrant_rerank.edge import EdgeClient
from tests.waiting import let_turn

NAME = "awkward"
SIZE = 60
TOLERANCE = 1e-6

TEXTS = ["The quick brown fox", "a lazy dog, asleep", "quick-silver FOX!", "", "Brown dogs and foxes", "naïve café"]
TAGS: list[Any] = ["news", "blog", ["news", "old"], ["blog"], [], None, 7, "News", ["news", None], [7, "blog"]]
NUMBERS: list[Any] = [0, 1, -3, 2.5, 1e300, -0.0, True, False, "4", None, [], [1, 2.5], [None], [[1, 2]], {"a": 1}, 2**53 + 1]
FLAGS: list[Any] = [True, False, 1, 0, "true", None, [True, False], [False]]
TIMES: list[Any] = [
    "2025-01-01",
    "2025-01-01T00:00:00Z",
    "2025-06-01T12:30:00+02:00",
    "2024-02-29T23:59:59.999999Z",
    "2025-01-01T00:00:00",
    "2025-01-01 00:00:00",
    "yesterday",
    1735689600,
    None,
    ["2025-03-01T00:00:00Z", "bad"],
]
PLACES: list[Any] = [
    {"lon": 13.4, "lat": 52.5},
    {"lon": -0.1, "lat": 51.5},
    {"lon": 179.9, "lat": -10.0},
    [{"lon": 13.4, "lat": 52.5}, {"lon": 2.35, "lat": 48.85}],
    {"lon": 2.35},
    None,
    "13.4,52.5",
]
ITEMS: list[Any] = [
    [{"size": 1, "color": "red"}, {"size": 5, "color": "blue"}],
    [{"size": 5, "color": "red"}],
    {"size": 1, "color": "red"},
    [],
    [{"size": [1, 5]}, "stray", None],
    None,
]


def filled(client: QdrantClient, points: Sequence[models.PointStruct] | None = None) -> QdrantClient:
    """The client, with the collection made and filled."""
    client.create_collection(NAME, **config())
    client.upsert(NAME, list(points or awkward_points()))
    return client


def config() -> dict[str, Any]:
    """The collection's vectors: one of each kind, and of each way to compare."""
    maximum = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    return {
        "vectors_config": {
            "dense": models.VectorParams(size=8, distance=models.Distance.COSINE),
            "dot": models.VectorParams(size=8, distance=models.Distance.DOT),
            "euclid": models.VectorParams(size=8, distance=models.Distance.EUCLID),
            "manhattan": models.VectorParams(size=8, distance=models.Distance.MANHATTAN),
            "late": models.VectorParams(size=4, distance=models.Distance.COSINE, multivector_config=maximum),
        },
        "sparse_vectors_config": {
            "words": models.SparseVectorParams(),
            "idf": models.SparseVectorParams(modifier=models.Modifier.IDF),
        },
    }


def awkward_points() -> list[models.PointStruct]:
    """Points of which no two score alike; every seventh lacks its multivector, every ninth its sparse ones."""
    random = np.random.default_rng(7)
    return [
        models.PointStruct(id=point_id(number), vector=_vectors(random, number), payload=_payload(random, number))
        for number in range(SIZE)
    ]


def point_id(number: int) -> int | str:
    """Whole numbers and UUIDs in turn."""
    return number if number % 2 else str(uuid.UUID(int=number))


def query_vectors(seed: int = 1) -> dict[str, Any]:
    """A query for each vector."""
    random = np.random.default_rng(seed)
    return _vectors(random, 1) | {"late": random.standard_normal((3, 4)).tolist()}


def _vectors(random: np.random.Generator, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {name: random.standard_normal(8).tolist() for name in ("dense", "dot", "euclid", "manhattan")}
    if number % 7 or number == 0:
        found["late"] = random.standard_normal((1 + number % 4, 4)).tolist()
    if number % 9 or number == 0:
        for name in ("words", "idf"):
            indices = sorted(random.choice(12, 6, replace=False).tolist())
            found[name] = models.SparseVector(indices=indices, values=random.uniform(0.1, 2.0, 6).tolist())
    return found


def _payload(random: np.random.Generator, number: int) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "number": number + 0.5,
        "third": number % 3,
        "doc": f"d{number // 4}",
        "price": {"eur": number * 2},
    }
    for key, values in (
        ("text", TEXTS),
        ("tag", TAGS),
        ("n", NUMBERS),
        ("flag", FLAGS),
        ("time", TIMES),
        ("place", PLACES),
        ("items", ITEMS),
    ):
        pick = int(random.integers(len(values) + 1))
        if pick < len(values):
            payload[key] = values[pick]
    return payload


def pairs(points: Sequence[models.ScoredPoint]) -> list[tuple[Any, float]]:
    """Ids and scores, best first."""
    return [(point.id, point.score) for point in points]


def assert_agree(
    found: Sequence[models.ScoredPoint],
    expected: Sequence[models.ScoredPoint],
    limit: int = SIZE,
    offset: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """The same points in the same order but for ties, with the same scores but for rounding.

    Points at the ends may be tied with others beyond a limit or an offset.
    """
    assert len(found) == len(expected), (pairs(found), pairs(expected))
    scores, wanted = [point.score for point in found], [point.score for point in expected]
    np.testing.assert_allclose(scores, wanted, rtol=tolerance, atol=tolerance)
    start = 0
    while start < len(wanted):
        end = start + 1
        while end < len(wanted) and abs(wanted[end] - wanted[start]) <= 2 * tolerance * max(1.0, abs(wanted[start])):
            end += 1
        if (start or not offset) and (end < len(wanted) or end < limit):
            assert {p.id for p in found[start:end]} == {p.id for p in expected[start:end]}, (pairs(found), pairs(expected))
        start = end


def edge_client(folder: Path) -> EdgeClient:
    """A client of the embedded engine with the collection in it."""
    client = EdgeClient(folder)
    filled(client)
    return client


def patient_engine(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each query that the engine is asked from now on, noted; before each, the running event loop must have turned."""
    loop, asked = asyncio.get_running_loop(), list[Any]()
    original: Callable[..., Any] = Shard.query

    def patient(self: Shard, request: Any) -> Any:
        let_turn(loop)
        asked.append(request)
        return original(self, request)

    monkeypatch.setattr(Shard, "query", patient)
    return asked
