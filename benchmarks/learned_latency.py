"""A trained model in the query against fetching the candidates and predicting in Python.

Run: `python benchmarks/learned_latency.py [--points 5000] [--repeat 40]`

Random points of a fixed seed, with a vector of 64 numbers and eight payload numbers with float indexes, in qdrant-edge.
A linear model, a small network and LightGBM ensembles read the score and the eight numbers. Each request ranks 100 candidates
and returns 10. Calls of all ways alternate, so that a busy machine slows them alike; medians and the fastest call are
printed. All ways must give the same scores. "On the client" is the formula computed with numpy (`Formula(…).on_client()`),
"fetch and predict" the model itself in Python. Of the trees, the query with `from_model(…, arrays=True)` takes its turns too:
how many times as long it takes is printed, by the medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import lightgbm
import numpy as np
from qdrant_client import models
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, Strategy, field, score
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.expressions import Expression
from qdrant_rerank.learn import formula_cost, from_model

NAME, KEYS, SIZE, CANDIDATES, K = "bench", list("abcdefgh"), 64, 100, 10
CHUNK = 256


def fill(client: EdgeClient, points: int, generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """Make the collection; returns the payload numbers, one row for each point."""
    client.create_collection(NAME, models.VectorParams(size=SIZE, distance=models.Distance.COSINE))
    payload = generator.normal(size=(points, len(KEYS)))
    for start in range(0, points, CHUNK):
        ids = range(start, min(start + CHUNK, points))
        vectors = generator.normal(size=(len(ids), SIZE)).tolist()
        rows = [dict(zip(KEYS, payload[number].tolist(), strict=True)) for number in ids]
        client.upsert(
            NAME,
            [models.PointStruct(id=i, vector=v, payload=row) for i, v, row in zip(ids, vectors, rows, strict=True)],
        )
    for key in KEYS:
        client.create_payload_index(NAME, key, models.PayloadSchemaType.FLOAT)
    return payload


def train(payload: np.ndarray[Any, Any], generator: np.random.Generator) -> dict[str, Any]:
    """Models of the score and the payload numbers."""
    x = np.column_stack([generator.uniform(-0.5, 0.5, len(payload)), payload])
    y = 4 * x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3:]).sum(axis=1)
    light: dict[str, Any] = {"num_leaves": 8, "verbose": -1, "n_jobs": 1}
    found: dict[str, Any] = {
        "linear": Ridge(),
        "network of 16 hidden units": MLPRegressor(hidden_layer_sizes=(16,), max_iter=1000, tol=1e-2, random_state=0),
        **{f"{trees} trees of 8 leaves": lightgbm.LGBMRegressor(n_estimators=trees, **light) for trees in (10, 50, 100)},
    }
    return {name: model.fit(x, y) for name, model in found.items()}


def contenders(
    executor: Executor, model: Any, expressions: dict[str, Expression], query: Query
) -> dict[str, Callable[[], list[float]]]:
    """The ways to the ten best of 100 candidates, as functions that return their scores; the last predicts here."""
    nearest = Nearest(limit=CANDIDATES)

    def in_the_query(strategy: Strategy) -> list[float]:
        return [point.score for point in executor.retrieve(strategy, query, SearchOptions(limit=K))]

    def on_the_client() -> list[float]:
        found = executor.retrieve(nearest, query, SearchOptions(limit=CANDIDATES))
        x = np.array([[point.score, *((point.payload or {}).get(key, 0.0) for key in KEYS)] for point in found])
        return np.sort(model.predict(x))[::-1][:K].tolist()  # type: ignore[no-any-return]

    strategies: dict[str, Strategy] = {name: Formula(made).over(nearest) for name, made in expressions.items()}
    strategies["on the client"] = Formula(expressions["in the query"]).over(nearest).on_client()
    return {name: partial(in_the_query, one) for name, one in strategies.items()} | {"fetch and predict": on_the_client}


def measure(ways: dict[str, Callable[[], list[float]]], repeat: int) -> dict[str, list[float]]:
    """Milliseconds of each call, by way, after a first one of each that is checked but not counted."""
    *there, here = (way() for way in ways.values())
    for found in there:
        np.testing.assert_allclose(found, here, rtol=1e-5, atol=1e-6)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append(1000 * (time.perf_counter() - start))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--repeat", type=int, default=40)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, EdgeClient(folder) as client:
        payload = fill(client, options.points, generator)
        executor = Executor(client, NAME)
        query = Query(vectors={"": generator.normal(size=SIZE).tolist()})
        print(f"{options.points:,} points, {CANDIDATES} candidates; milliseconds, median (fastest)\n")
        ways = "in the query | on the client | fetch and predict"
        print(f"| model | conditions | bytes | estimated | {ways} | arrays=True: times as long |")
        print("|---|---|---|---|---|---|---|---|")
        for name, model in train(payload, generator).items():
            made = expressions(name, model)
            size = formula_cost(made["in the query"])
            taken = measure(contenders(executor, model, made, query), options.repeat)
            shown = " | ".join(summed_up(taken[way]) for way in ("in the query", "on the client", "fetch and predict"))
            slower = times_as_long(taken) if "arrays" in taken else "–"
            print(f"| {name} | {size.conditions} | {size.bytes:,} | {size.milliseconds:.1f} | {shown} | {slower} |")


def expressions(name: str, model: Any) -> dict[str, Expression]:
    """The model as a formula; trees also for payload that may hold arrays."""
    columns = [score(), *(field(key, default=0.0) for key in KEYS)]
    found = {"in the query": from_model(model, columns)}
    if "trees" in name:
        found["arrays"] = from_model(model, columns, arrays=True, max_conditions=100_000, max_bytes=10_000_000)
    return found


def summed_up(milliseconds: list[float]) -> str:
    """The median, and the fastest."""
    return f"{statistics.median(milliseconds):.1f} ({min(milliseconds):.1f})"


def times_as_long(taken: dict[str, list[float]]) -> str:
    """The query for payload with arrays over the query for payload without."""
    return f"{statistics.median(taken['arrays']) / statistics.median(taken['in the query']):.1f}"


if __name__ == "__main__":
    main()
