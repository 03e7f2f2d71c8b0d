"""The embedded engines side by side: qdrant-edge and qdrant-client's local mode, strategy by strategy.

Run: `python benchmarks/engines.py [--points 20000] [--repeat 9] [--only strategies|filling]`

Random points of a fixed seed: a dense vector of 384 numbers, a sparse one of 30 words, a multivector of 4 × 48, and payload
with numbers, a category, a time and 500 characters of text. Three collections of the same points: local mode, qdrant-edge,
and qdrant-edge with payload indexes. Calls of all contenders alternate, so that a busy machine slows all alike, and medians
are compared. qdrant-edge compares all vectors, as local mode does: no HNSW graph is built, so all results are exact.

Two tables: each strategy's time in local mode over its time in qdrant-edge; and what filling takes. What a formula in the
engine gains over fetching the candidates is in `formula.py`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    Query,
    SearchOptions,
    Strategy,
    datetime_field,
    decay_exp,
    field,
    score,
    sigmoid,
    when,
)
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.expressions import Expression, instant

DIMENSIONS, WORDS, TOKENS = 384, 30, (4, 48)
NAME, BATCH, K = "bench", 256, 10
START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
LOCAL, EDGE, INDEXED = "local mode", "edge", "edge, indexed"
INDEXES = {**{f"x{number}": "float" for number in range(20)}, "rating": "float", "category": "keyword", "published": "datetime"}

NEWS = models.FieldCondition(key="category", match=models.MatchValue(value="c3"))
SIX: Expression = (
    sigmoid(0.7 * score() + 0.2 * field("rating", default=3.0) + when(NEWS, 0.3))
    + decay_exp(instant(START) - datetime_field("published", default=START), scale=30 * 86_400)
    + 0.1 * field("x0", default=0.0)
    - 0.05 * field("x1", default=0.0)
)
TWENTY: Expression = 0.5 * score() + sum(
    ((-1) ** number * 0.1 * field(f"x{number}", default=0.0) for number in range(1, 20)), 0.1 * field("x0", default=0.0)
)
SURE: Expression = 0.5 * score() + sum(
    ((-1) ** number * 0.1 * field(f"x{number}") for number in range(1, 20)), 0.1 * field("x0")
)
DENSE, SPARSE = Nearest("dense", limit=100), Nearest("words", limit=100)
STRATEGIES: Mapping[str, Strategy] = {
    "Nearest, dense": Nearest("dense"),
    "Nearest, dense, filtered": Nearest("dense", filter=models.Filter(must=[NEWS])),
    "Nearest, sparse": Nearest("words"),
    "Fusion.rrf over both": Fusion.rrf().over(DENSE, SPARSE),
    "Fusion.dbsf over both": Fusion.dbsf().over(DENSE, SPARSE),
    "Nearest, multivector, over 100": Nearest("late").over(DENSE),
    "Formula of 6 fields over 100": Formula(SIX).over(DENSE),
    "Formula of 20 fields over 100": Formula(TWENTY).over(DENSE),
    "… without defaults": Formula(SURE).over(DENSE),
    "Mmr of 100": Mmr("dense", candidates_limit=100),
}


def main() -> None:
    """Fill, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=9, help="how often each call is timed")
    parser.add_argument("--only", choices=["strategies", "filling"])
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # local mode's, above 20,000 points
    with tempfile.TemporaryDirectory() as folder:
        clients: dict[str, QdrantClient] = {LOCAL: QdrantClient(":memory:"), EDGE: EdgeClient(Path(folder, "plain"))}
        clients[INDEXED] = EdgeClient(Path(folder, "indexed"))
        taken = {name: filled(client, chosen.points, name == INDEXED) for name, client in clients.items()}
        if chosen.only in (None, "strategies"):
            strategies(clients, chosen.repeat, chosen.points)
        if chosen.only in (None, "filling"):
            filling(taken, chosen.points)
        for client in clients.values():
            client.close()


def strategies(clients: Mapping[str, QdrantClient], repeat: int, points: int) -> None:
    """Time each strategy on each engine."""
    executors = {name: Executor(client, NAME) for name, client in clients.items()}
    rows = []
    for name, strategy in STRATEGIES.items():
        calls = {engine: retrieving(executor, strategy) for engine, executor in executors.items()}
        took = medians(calls, repeat)
        ratios = [f"{took[LOCAL] / took[engine]:.0f}" for engine in (EDGE, INDEXED)]
        rows.append([name, *ratios, *(f"{took[engine]:.2f}" for engine in clients)])
    show(
        f"Local mode's time over qdrant-edge's, {points:,} points, {K} results",
        ["strategy", "edge: times faster", "indexed: times faster", *(f"{engine}, ms" for engine in clients)],
        rows,
    )


def retrieving(executor: Executor, strategy: Strategy) -> Callable[[int], object]:
    return lambda seed: executor.retrieve(strategy, Query(vectors=query_vectors(seed)), SearchOptions(limit=K))


def filling(taken: Mapping[str, float], points: int) -> None:
    """What filling took."""
    rows = [[engine, f"{taken[LOCAL] / seconds:.1f}", f"{seconds:.1f}"] for engine, seconds in taken.items()]
    show(f"Filling {points:,} points, {BATCH} in a batch", ["engine", "times faster than local mode", "seconds"], rows)


def medians(calls: Mapping[str, Callable[[int], object]], repeat: int) -> dict[str, float]:
    """Median milliseconds of each call; they take turns, and each is called once more before, as others used the caches."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeat):
        for name, call in calls.items():
            call(turn + repeat)
            started = time.perf_counter()
            call(turn)
            took[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(times) for name, times in took.items()}


def filled(client: QdrantClient, points: int, indexed: bool) -> float:
    """Seconds to make and fill the collection, the points themselves not counted."""
    maximum = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    started = time.perf_counter()
    client.create_collection(
        NAME,
        vectors_config={
            "dense": models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE),
            "late": models.VectorParams(size=TOKENS[1], distance=models.Distance.COSINE, multivector_config=maximum),
        },
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    seconds = time.perf_counter() - started
    for batch in batches(points):
        started = time.perf_counter()
        client.upsert(NAME, batch)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    for key, kind in INDEXES.items() if indexed else ():
        client.create_payload_index(NAME, key, models.PayloadSchemaType(kind))
    return seconds + time.perf_counter() - started


def batches(points: int) -> Iterator[list[models.PointStruct]]:
    random = np.random.default_rng(0)
    for start in range(0, points, BATCH):
        yield [point(random, number) for number in range(start, min(points, start + BATCH))]


def point(random: np.random.Generator, number: int) -> models.PointStruct:
    vectors = query_vectors(number + 1_000_000)
    payload: dict[str, Any] = {f"x{key}": round(value, 4) for key, value in enumerate(random.standard_normal(20).tolist())}
    payload |= {
        "rating": 1 + number % 9 / 2,
        "category": f"c{number % 10}",
        "published": (START - dt.timedelta(hours=number % 9000)).isoformat(),
        "text": "lorem ipsum " * 40,
    }
    if number % 5 == 0:
        del payload["rating"]
    return models.PointStruct.model_construct(id=number, vector=vectors, payload=payload)


def query_vectors(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    indices = random.choice(5000, WORDS, replace=False)
    return {
        "dense": random.standard_normal(DIMENSIONS, dtype=np.float32).tolist(),
        "late": random.standard_normal(TOKENS, dtype=np.float32).tolist(),
        "words": models.SparseVector.model_construct(indices=indices.tolist(), values=random.uniform(0.1, 2, WORDS).tolist()),
    }


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n{title}\n")
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


if __name__ == "__main__":
    main()
