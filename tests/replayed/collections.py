"""The collections that a server holds while it is recorded, and the keys to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from qdrant_client import QdrantClient, models

__all__ = ["KEYS", "QUERY", "VALUES", "fill", "remove"]

QUERY = [1.0, 0.5]
_PREFIX = "recorded_"
_FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)
VALUES: Mapping[str, list[Any]] = {
    "numbers": [1.0, 2.5, -3.0, 4.0, 0.25, 16.0],
    "lists": [1.0, 2.5, [7.0, 8.0], 4.0, 0.25, 16.0],
    "texts": [1.0, 2.5, "seven", 4.0, 0.25, 16.0],
    "dates": ["2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z", ["2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z"], "yesterday"],
    "places": [{"lat": 52.5, "lon": 13.4}, {"lat": 48.9, "lon": 2.4}, [{"lat": 1.0, "lon": 2.0}, {"lat": 3.0, "lon": 4.0}]],
    "far_places": [{"lat": 52.5, "lon": 13.4}, {"lat": 48.9, "lon": 2.4}, {"lat": 123.0, "lon": 2.0}],
}
"""What the points of each collection have under the key `x`; a last point has nothing."""

STRICT = models.StrictModeConfig(
    enabled=True,
    max_query_limit=10,
    max_timeout=5,
    search_allow_exact=False,
    search_max_hnsw_ef=64,
    search_max_oversampling=2.0,
    search_max_batchsize=2,
    filter_max_conditions=2,
    condition_max_size=3,
    unindexed_filtering_retrieve=False,
)


def fill(client: QdrantClient) -> None:
    """Make the collections."""
    for name, values in VALUES.items():
        client.create_collection(_PREFIX + name, _FLAT)
        payloads = [{"x": value, "text": f"n{number}"} for number, value in enumerate(values, 1)] + [{"text": "nothing"}]
        points = [
            models.PointStruct(id=number, vector=[1.0, number / 8], payload=payload)
            for number, payload in enumerate(payloads, 1)
        ]
        client.upsert(_PREFIX + name, points)
    for name, strict in {
        "strict": STRICT,
        "limited_rest": models.StrictModeConfig(enabled=True, read_rate_limit=2),
        "limited_grpc": models.StrictModeConfig(enabled=True, read_rate_limit=2),
    }.items():
        client.create_collection(_PREFIX + name, _FLAT, strict_mode_config=strict)
        client.upsert(_PREFIX + name, [models.PointStruct(id=1, vector=[1.0, 0.0], payload={"x": 1.0, "text": "one"})])


def remove(client: QdrantClient) -> None:
    """Remove them."""
    for each in client.get_collections().collections:
        if each.name.startswith(_PREFIX):
            client.delete_collection(each.name)


def _token(**claims: Any) -> str:
    """A JWT, signed with the server's key."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = f"{head}.{encoded(json.dumps(claims).encode())}"
    return f"{body}.{encoded(hmac.digest(os.environ['QDRANT_API_KEY'].encode(), body.encode(), hashlib.sha256))}"


KEYS: Mapping[str, Callable[[], str]] = {
    "all": lambda: os.environ["QDRANT_API_KEY"],
    "wrong": lambda: "not the key",
    "one collection": lambda: _token(access=[{"collection": f"{_PREFIX}numbers", "access": "r"}]),
}
