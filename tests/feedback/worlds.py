"""A world for the fit: 300 points, queries that don't quite say what they mean, and models that know it, or know nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor
from qdrant_rerank.models import Encoders

from .support import Numbers

POINTS, SIZE, QUERIES = 300, 16, 50
RANDOM = np.random.default_rng(11)
VECTORS = RANDOM.standard_normal((POINTS, SIZE))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
WISHES = RANDOM.standard_normal((QUERIES, SIZE))  # what is really meant
ASKED = WISHES + 1.6 * RANDOM.standard_normal((QUERIES, SIZE))  # what the embedding model makes of it
TEXTS = [f"query {number}" for number in range(QUERIES)]
BY_NAME = dict(zip(TEXTS, TEXTS, strict=True))
FEW = dict(list(BY_NAME.items())[:24])  # where it doesn't matter what comes out


def encode(text: str) -> list[float]:
    vector: list[float] = ASKED[int(text.split()[1]) % QUERIES].tolist()
    return vector


class Knowing(Numbers):
    """A model that knows what is meant."""

    fingerprint = "knowing"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.calls.append(list(texts))
        wish = WISHES[int(query.split()[1]) % QUERIES]
        return [float(VECTORS[int(text)] @ wish) * 4 for text in texts]


class Noise(Numbers):
    """A model that knows nothing."""

    fingerprint = "noise"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        random = np.random.default_rng([int(query.split()[1]), *map(int, texts[:3])])
        return [float(number) for number in random.standard_normal(len(texts))]


def fill(client: QdrantClient) -> QdrantClient:
    """The points, whose text is their number."""
    client.create_collection("c", vectors_config={"dense": models.VectorParams(size=SIZE, distance=models.Distance.COSINE)})
    points = [
        models.PointStruct(id=n, vector={"dense": VECTORS[n].tolist()}, payload={"text": str(n), "_id": f"d{n}"})
        for n in range(POINTS)
    ]
    client.upsert("c", points)
    return client


def executor(client: QdrantClient, model: Any) -> Executor:
    return Executor(client, "c", encoders=Encoders.of({"dense": encode}), reranker=model)


def async_executor(client: QdrantClient, model: Any) -> AsyncExecutor:
    return AsyncExecutor(client, "c", encoders=Encoders.of({"dense": encode}), reranker=model)


@cache
def qrels() -> dict[str, dict[str, int]]:
    """The 10 points that are nearest to what is really meant."""
    best = np.argsort(-(WISHES @ VECTORS.T), axis=1)[:, :10]
    return {text: {f"d{n}": 1 for n in row} for text, row in zip(TEXTS, best, strict=True)}
