"""Logs of planted truth, and a small collection whose judgments follow from its payloads and scores."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Nearest, affinity, field, score
from qdrant_rerank.evaluate import Qrels, Topic, Topics
from qdrant_rerank.learn import Feature, FeatureLike, FeatureLog
from qdrant_rerank.stages import ClientFormula
from tests.engines import current, open_client

NAMES = ("dense", "year", "popularity")
PLANTED = {"dense": 4.0, "year": 0.03, "popularity": 0.8}
INTERCEPT = -5.0 - 0.03 * 2000
CANDIDATES = Nearest("dense", limit=40), Nearest("bm25", limit=20)
FEATURES: dict[str, FeatureLike] = {
    "dense": score("dense"),
    "bm25": score("bm25", default=-0.5),
    "popularity": field("popularity", default=1.0),
    "year": field("year", default=2000.0),
    "taste": affinity("genre", param="tastes"),
}
GENRES = ("drama", "comedy", "war")
POINTS = 150


def made(columns: Mapping[str, NDArray[np.float64]], y: NDArray[Any], topics: int) -> FeatureLog:
    """A log of these columns; rows are dealt out to the topics in turn."""
    size = len(y)
    features = {name: Feature(score("dense") if name == "dense" else field(name, default=0.0)) for name in columns}
    return FeatureLog(
        features=features,
        candidates=(Nearest("dense", limit=100),),
        topics=np.array([f"t{row % topics:03d}" for row in range(size)]),
        documents=np.array([f"d{row:05d}" for row in range(size)]),
        grades=np.asarray(y, dtype=np.int64),
        judged=np.ones(size, dtype=bool),
        weights=np.ones(size),
        values=np.column_stack(list(columns.values())).astype(np.float64),
    )


def planted(seed: int = 0, size: int = 4000, topics: int = 60, **more: float) -> FeatureLog:
    """Rows whose odds of relevance are `PLANTED` weights of the features, with features of noise or of `more` weights."""
    generator = np.random.default_rng(seed)
    columns = {
        "dense": generator.uniform(0.2, 0.9, size),
        "year": generator.integers(1950, 2020, size).astype(float),
        "popularity": generator.gamma(2.0, 1.0, size),
    } | {name: generator.normal(0, 1, size) for name in more}
    weights = PLANTED | more
    z = INTERCEPT + sum(weights[name] * column for name, column in columns.items())
    return made(columns, generator.random(size) < 1 / (1 + np.exp(-z)), topics)


@cache
def big() -> FeatureLog:
    """One planted log for the tests that only read it."""
    return planted()


def world(client: Any, name: str = "films") -> Executor:
    """A collection of 150 points, a few payload values missing, searched by vectors that topics bring along."""
    generator = np.random.default_rng(11)
    client.create_collection(
        name,
        vectors_config={"dense": models.VectorParams(size=8, distance=models.Distance.COSINE)},
        sparse_vectors_config={"bm25": models.SparseVectorParams()},
    )
    points = []
    for number in range(POINTS):
        words = generator.choice(30, 6, replace=False).tolist()
        payload = {
            "_id": f"film-{number}",
            "popularity": round(float(generator.gamma(2.0, 1.0)), 2),
            "year": int(generator.integers(1950, 2020)),
            "genre": GENRES[number % 3],
        }
        if number % 17 == 0:
            del payload["popularity"]
        dense = generator.normal(0, 1, 8).tolist()
        sparse = models.SparseVector(indices=words, values=generator.uniform(0.5, 2, 6).tolist())
        points.append(models.PointStruct(id=number, vector={"dense": dense, "bm25": sparse}, payload=payload))
    client.upsert(name, points)
    if current().kind == "server":  # where plans warn of keys without an index
        for key, kind in {"year": "float", "popularity": "float", "genre": "keyword"}.items():
            client.create_payload_index(name, key, models.PayloadSchemaType(kind))
    return Executor(client, name)


def asked(count: int = 30) -> Topics:
    """Topics with vectors and a user's tastes."""
    generator = np.random.default_rng(12)
    found = []
    for number in range(count):
        words = np.sort(generator.choice(30, 3, replace=False)).tolist()
        vectors: dict[str, Any] = {
            "dense": generator.normal(0, 1, 8).tolist(),
            "bm25": models.SparseVector(indices=words, values=[1.0, 1.0, 1.0]),
        }
        tastes = {genre: round(float(generator.uniform(-1, 1)), 2) for genre in GENRES}
        found.append(Topic(f"q{number}", f"query {number}", params={"tastes": tastes}, vectors=vectors))
    return Topics(found)


def judgments(topics: Topics, executor: Executor) -> Qrels:
    """Relevant is what is near, popular and to the user's taste; judged are the 25 nearest and some others."""
    from qdrant_rerank import SearchOptions

    generator = np.random.default_rng(13)
    grades: dict[str, dict[str, int]] = {}
    for topic in topics:
        found = executor.retrieve(Nearest("dense"), topic.query, SearchOptions(limit=POINTS))
        judged = {}
        for rank, point in enumerate(found):
            payload = point.payload or {}
            z = 3 * point.score + 0.5 * payload.get("popularity", 1.0) + 1.5 * topic.params["tastes"][payload["genre"]] - 2.5
            if rank < 25 or rank % 40 == 0:
                judged[str(payload["_id"])] = int(generator.random() < 1 / (1 + np.exp(-z)))
        grades[topic.id] = judged
    return Qrels(grades)


def over_logged(formula: Formula | ClientFormula, executor: Executor) -> Formula | ClientFormula:
    """The formula over the candidates that a log has: on several shards Qdrant hands it others, and the client the same."""
    return formula.on_client() if isinstance(formula, Formula) and executor.target().schema.shards > 1 else formula


@cache
def local() -> tuple[Executor, Topics, Qrels]:
    """The small collection in local mode, with topics and judgments; tests only read it."""
    executor = world(open_client(keep=True))
    topics = asked()
    return executor, topics, judgments(topics, executor)
