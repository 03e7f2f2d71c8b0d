"""100 trees of 8 leaves: as a formula in Qdrant, as it is computed by itself, and by fetching the candidates and `predict`.

Run: `python benchmarks/trees.py --url http://127.0.0.1:6333 [--candidates 100]`

A LightGBM classifier over the search's score and four payload numbers, with payload indexes; and one over a user's affinities
to categories as well, a map that comes with the query. Contenders take turns; medians in milliseconds, and by how much the
scores are apart at most.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from qdrant_client import QdrantClient, models

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.server_world import busy, median_times, parser
from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, affinity, field, score
from qdrant_rerank._internals import Inputs
from qdrant_rerank.expressions import Expression
from qdrant_rerank.learn import from_model

DIMENSIONS, FIELDS, GENRES = 64, 4, [f"g{number}" for number in range(19)]
LIMIT = 10
_random = np.random.default_rng(1)
WEIGHTS = {genre: float(_random.normal()) for genre in GENRES}
Found = list[tuple[Any, float]]


@contextmanager
def collection(client: QdrantClient, points: int) -> Any:
    name = f"bench_trees_{os.getpid()}"
    client.create_collection(name, {"dense": models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)})
    try:
        for key in range(FIELDS):
            client.create_payload_index(name, f"n{key}", models.PayloadSchemaType.FLOAT)
        client.create_payload_index(name, "genres", models.PayloadSchemaType.KEYWORD)
        vectors = np.random.default_rng(2).normal(size=(points, DIMENSIONS))
        for start in range(0, points, 500):
            batch = [
                models.PointStruct(id=number, vector={"dense": vectors[number].tolist()}, payload=_payload())
                for number in range(start, min(start + 500, points))
            ]
            client.upsert(name, batch)
        yield name
    finally:
        client.delete_collection(name)


def _payload() -> dict[str, Any]:
    numbers = {f"n{key}": float(_random.normal()) for key in range(FIELDS)}
    return {**numbers, "genres": [str(genre) for genre in _random.choice(GENRES, 3, replace=False)]}


def learned() -> tuple[Any, Any]:
    """A model of five columns, and one of six, whose last is the user's affinity to the point's genres."""
    columns = np.column_stack([_random.uniform(-1, 1, 4000), *[_random.normal(size=4000) for _ in range(FIELDS + 1)]])
    noise = _random.normal(size=4000)
    liked = (columns[:, 0] + columns[:, 1] * columns[:, 5] + 0.5 * columns[:, 2] + noise > 0).astype(int)
    settings: dict[str, Any] = {"verbose": -1, "n_jobs": 1, "n_estimators": 100, "num_leaves": 8, "random_state": 0}
    return (
        lightgbm.LGBMClassifier(**settings).fit(columns[:, :5], liked),
        lightgbm.LGBMClassifier(**settings).fit(columns, liked),
    )


def fetch_and_predict(client: QdrantClient, name: str, model: Any, candidates: int, mapped: bool) -> Callable[[Query], Found]:
    def call(query: Query) -> Found:
        points = client.query_points(
            name, query=query.vectors["dense"], using="dense", limit=candidates, with_payload=True
        ).points
        rows = []
        for point in points:
            payload: Any = point.payload
            row = [point.score, *[payload[f"n{key}"] for key in range(FIELDS)]]
            rows.append([*row, sum(WEIGHTS.get(genre, 0.0) for genre in payload["genres"])] if mapped else row)
        scores = model.predict_proba(np.array(rows))[:, 1]
        return [(points[row].id, float(scores[row])) for row in np.argsort(-scores)[:LIMIT]]

    return call


def request_bytes(executor: Executor, formula: Formula, query: Query) -> int:
    """How long the request would be, whether Qdrant took it or not."""
    inputs = Inputs(executor.target(), dict(query.vectors), query.params)
    return len(formula.request(inputs, SearchOptions(LIMIT)).model_dump_json(exclude_none=True))


def main() -> None:
    options = parser(__doc__ or "", points=5_000)
    options.add_argument("--candidates", type=int, default=100)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    client = QdrantClient(url=given.url, check_compatibility=False, headers={"accept-encoding": "identity"}, timeout=60)
    plain, mapped = learned()
    columns: list[Expression] = [score(), *[field(f"n{key}", default=0.0) for key in range(FIELDS)]]
    liked = affinity("genres", param="genres", default=0.0)
    over = Nearest("dense", limit=given.candidates)
    sent = Formula(from_model(plain, columns)).over(over)
    large = Formula(from_model(mapped, [*columns, liked], on_client=True)).over(over)
    queries = [
        Query(vectors={"dense": np.random.default_rng(number).normal(size=DIMENSIONS).tolist()}, params={"genres": WEIGHTS})
        for number in range(50)
    ]
    with collection(client, given.points) as name:
        executor = Executor(client, name)

        def by(strategy: Any) -> Callable[[Query], Found]:
            return lambda query: [(p.id, p.score) for p in executor.retrieve(strategy, query, SearchOptions(LIMIT))]

        tables: dict[str, dict[str, Callable[[Query], Found]]] = {
            "score and 4 fields": {
                "fetch and predict": fetch_and_predict(client, name, plain, given.candidates, False),
                "in Qdrant": by(sent.on_server()),
                "by itself": by(sent),
            },
            "and a map of 19 categories": {
                "fetch and predict": fetch_and_predict(client, name, mapped, given.candidates, True),
                "by itself": by(large),
            },
        }
        for title, formula in (("score and 4 fields", sent), ("with the map", large)):
            print(f"the request of the formula, {title}: {request_bytes(executor, formula, queries[0]):,} bytes")
            print(f"  it is computed {executor.plan(formula).describe(queries[0]).computed}")
        for title, calls in tables.items():
            print(f"100 trees of 8 leaves, {title}, {given.candidates} candidates, {busy()}")
            numbers = {contender: iter(range(10**9)) for contender in calls}

            def turn(contender: str, call: Callable[[Query], Found], numbers: Any = numbers) -> Callable[[], Found]:
                return lambda: call(queries[next(numbers[contender]) % 50])

            start = time.process_time()
            found = median_times({contender: turn(contender, call) for contender, call in calls.items()}, given.rounds)
            spent = time.process_time() - start
            for contender, seconds in found.items():
                apart = max(
                    abs(one[1] - other[1])
                    for query in queries[:5]
                    for one, other in zip(calls[contender](query), calls["fetch and predict"](query), strict=True)
                )
                ratio = seconds / found["fetch and predict"]
                print(f"  {contender:18} {seconds * 1e3:7.1f} ms  {ratio:5.2f} × fetch and predict, {apart:.0e} apart")
            print(f"  the client's processor: {spent:.1f} s for all")
    client.close()


if __name__ == "__main__":
    main()
