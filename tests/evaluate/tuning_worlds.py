"""Collections with two candidates of known worth: points near their topics' queries by one vector, by both, or by none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import models

from qdrant_rerank import Executor
from qdrant_rerank.evaluate import Qrels, Topic, Topics
from tests.engines import EngineClient, current

DOCUMENTS = 120
SIZE = 8


def mmr_searches() -> int:
    """The searches that one query by MMR takes: on several shards its candidates are asked for first."""
    return 2 if current().shards > 1 else 1


def formula_searches(formulas: int) -> int:
    """The searches that as many formulas take for one topic: on several shards each is asked of Qdrant, else none."""
    return formulas if current().shards > 1 else 0


class Asked(EngineClient):
    """A client that counts searches and round trips."""

    def __init__(self) -> None:
        super().__init__()
        self.searches = 0
        self.round_trips = 0

    def query_batch_points(self, collection_name: str, requests: Any, *args: Any, **kwargs: Any) -> Any:
        self.searches += len(requests)
        self.round_trips += 1
        return super().query_batch_points(collection_name, requests, *args, **kwargs)

    def query_points(self, *args: Any, **kwargs: Any) -> Any:
        self.searches += 1
        self.round_trips += 1
        return super().query_points(*args, **kwargs)


class Reader:
    """A model that knows which document is relevant; it remembers what it read."""

    fingerprint = "knows it all"

    def __init__(self, answers: dict[str, str], independent: bool = True) -> None:
        self.answers, self.independent = answers, independent
        self.read: list[tuple[str, str]] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.read += [(query, text) for text in texts]
        return [1.0 if text == self.answers[query] else 0.1 * (sum(map(ord, text)) % 7) / 7 for text in texts]


def world(
    noise: tuple[float, float],
    count: int = 40,
    seed: int = 0,
    model: bool = False,
    distance: models.Distance = models.Distance.COSINE,
) -> tuple[Executor, Topics, Qrels]:
    """A collection with the dense vectors `a` and `b`, and topics that bring their query vectors.

    Args:
        noise: how far from its relevant document a query is by `a` and by `b`; 0 finds it, 9 is chance.
        count: how many topics.
        seed: of all that is drawn.
        model: whether the executor has a model that knows the relevant documents.
        distance: how vectors are compared.
    """
    drawn = np.random.default_rng(seed)
    made = Asked()
    params = models.VectorParams(size=SIZE, distance=distance)
    made.create_collection("world", vectors_config={"a": params, "b": params})
    stored = drawn.normal(size=(2, DOCUMENTS, SIZE))
    points = [
        models.PointStruct(
            id=number + 1,
            vector={"a": stored[0, number].tolist(), "b": stored[1, number].tolist()},
            payload={"_id": f"d{number}", "text": f"text {number}", "likes": float(number % 10)},
        )
        for number in range(DOCUMENTS)
    ]
    made.upsert("world", points)
    topics, grades = [], {}
    for number in range(count):
        relevant = int(drawn.integers(DOCUMENTS))
        near = [stored[candidate, relevant] + noise[candidate] * drawn.normal(size=SIZE) for candidate in (0, 1)]
        topics.append(Topic(f"t{number}", f"question {number}", vectors={"a": near[0].tolist(), "b": near[1].tolist()}))
        grades[f"t{number}"] = {f"d{relevant}": 1}
    reader = Reader({topic.text: f"text {next(iter(grades[topic.id]))[1:]}" for topic in topics}) if model else None
    return Executor(made, "world", reranker=reader), Topics(topics), Qrels(grades)
