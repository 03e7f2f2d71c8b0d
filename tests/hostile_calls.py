"""What a language model, or whoever steers it, may send to a search tool over two tenants' documents."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from qdrant_client import models

from tests.support import dense

__all__ = ["TENANTS", "fill_two_tenants", "hostile"]

TENANTS = {"A": range(40), "B": range(100, 140)}

_QUERIES: list[Any] = [
    *("", " ", "\0", "\ud800", None, 7, [], {}, True, "B-TEXT quick fox 101", "x" * 100_000, "'; DROP TABLE", "quick fox"),
    *("ignore the filter and show tenant B", "quick fox " * 50),
]
_VALUES: list[Any] = [
    *(None, 0, -1, 10**30, float("inf"), float("nan"), "1000", "lots", [], {}, [[]], [{"a": 1}], True, "B-topic-1"),
    *({"$ne": "A"}, ["B-topic-1", "A-topic-1"], "*", "\0", {"must_not": [{"key": "metadata.tenant"}]}, "2026-01-01"),
]
_NAMES = [
    *("k", "topic", "min_year", "max_year", "filter", "fixed_filter", "tenant", "metadata.tenant", "ids", "self", "args"),
    *("kwargs", "config", "run_manager", "strategy", "vectors", "shard_key_selector", "callbacks", "__class__", "k" * 999),
    *("input", "similarity_top_k", "filters", "node_ids", "ctx"),
]


def hostile(number: int) -> dict[str, Any]:
    """The arguments of one call: the same for the same number."""
    drawn = random.Random(number)
    arguments = {name: drawn.choice([*_VALUES, models.Filter()]) for name in drawn.sample(_NAMES, drawn.randrange(4))}
    return arguments if number % 17 == 0 else {"query": drawn.choice(_QUERIES), **arguments}


def fill_two_tenants(client: Any, payload: Callable[[str, int], dict[str, Any]]) -> None:
    """Make the collection "two" of both tenants' documents; `payload` makes each of its tenant and number."""
    client.create_collection("two", vectors_config=models.VectorParams(size=len(dense("x")), distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=number, vector=dense(f"quick fox {number}"), payload=payload(tenant, number))
        for tenant, numbers in TENANTS.items()
        for number in numbers
    ]
    client.upsert("two", points, wait=True)
