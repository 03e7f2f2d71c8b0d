"""A formula in the engine against fetching the candidates and rescoring them here with numpy.

Run: `python benchmarks/formula.py [--points 20000 100000] [--repeat 15] [--engines "local mode" edge "edge, indexed"]
[--only rescoring|guards]`

Points, payload and formulas are those of `engines.py`, with the dense vector alone. Both ways return the ten best with their
whole payload. "Here" means: search the candidates with the payload keys that the formula reads, compute the scores with numpy,
take the ten best, retrieve them. Calls of all contenders alternate, so that a busy machine slows all alike, and medians are
compared: a ratio above 1 says that the formula in the engine is the faster. In process there is no network; over one,
fetching candidates costs more. qdrant-edge compares all vectors here, as local mode does.

A second table (`--only guards`, about a minute) shows what slows a formula down in qdrant-edge. The quick guard that payload
values are read behind asks whether there is a number; the thorough one also whether there is just one value, which no
index answers (`qdrant_rerank/careful.py`); and without payload indexes every condition reads the payload. Its times are of the
formula alone: of the whole query, less the same query with the formula `score()`. There are 2,000 points, so that the search
around the formula is short.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, Strategy, score
from qdrant_rerank._internals import Table, score_points
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.expressions import Expression

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.engines import (
    DIMENSIONS,
    EDGE,
    INDEXED,
    INDEXES,
    LOCAL,
    NAME,
    SIX,
    SURE,
    TWENTY,
    K,
    batches,
    medians,
    query_vectors,
    show,
)

KEYS = list(INDEXES)[:20]
FORMULAS: Mapping[str, tuple[Expression, list[str]]] = {
    "6 fields": (SIX, ["rating", "category", "published", "x0", "x1"]),
    "20 fields": (TWENTY, KEYS),
    "20 fields without defaults": (SURE, KEYS),
}
CANDIDATES = (50, 100, 500)
GUARDED_POINTS = 2_000


def main() -> None:
    """Fill, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--repeat", type=int, default=15, help="how often each call is timed")
    parser.add_argument("--engines", nargs="+", choices=[LOCAL, EDGE, INDEXED], default=[LOCAL, EDGE, INDEXED])
    parser.add_argument("--only", choices=["rescoring", "guards"], help="print one table alone")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # local mode's, above 20,000 points
    if chosen.only != "rescoring":
        guards(3 * chosen.repeat)
    for points in chosen.points if chosen.only != "guards" else ():
        with tempfile.TemporaryDirectory() as folder:
            clients = {engine: filled(engine, Path(folder), points) for engine in chosen.engines}
            compare(clients, chosen.repeat, points)
            for client in clients.values():
                client.close()


def compare(clients: Mapping[str, QdrantClient], repeat: int, points: int) -> None:
    """Time formulas in each engine, and the same scores computed here."""
    rows = []
    for what, (expression, keys) in FORMULAS.items():
        for candidates in CANDIDATES:
            calls: dict[str, Callable[[int], object]] = {}
            for engine, client in clients.items():
                strategy = Formula(expression).over(Nearest("dense", limit=candidates))
                calls[f"{engine}, in it"] = rescoring_there(Executor(client, NAME), strategy)
                calls[f"{engine}, here"] = rescoring_here(client, expression, keys, candidates)
            took = medians(calls, repeat)
            ratios = [f"{took[f'{engine}, here'] / took[f'{engine}, in it']:.2f}" for engine in clients]
            rows.append([f"{what}, {candidates} candidates", *ratios, *(f"{took[call]:.2f}" for call in calls)])
    show(
        f"Fetching candidates and rescoring them with numpy, over the formula in the engine, {points:,} points",
        ["formula", *(f"{engine}: times faster" for engine in clients), *(f"{call}, ms" for call in calls)],
        rows,
    )


def guards(repeat: int) -> None:
    """Time formulas behind the quick guard, behind the thorough one, and without payload indexes."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        clients = {engine: filled(engine, Path(folder), GUARDED_POINTS) for engine in (EDGE, INDEXED)}
        executors = {"quick": Executor(clients[INDEXED], NAME), "thorough": Executor(clients[INDEXED], NAME)}
        executors |= {"no indexes": Executor(clients[EDGE], NAME)}
        executors["thorough"].target().quirks.several_values = True  # as if a list of several values had been met
        for what in ("6 fields", "20 fields"):  # what has no default is read without a guard
            for candidates in CANDIDATES:
                took = alone(executors, FORMULAS[what][0], Nearest("dense", limit=candidates), repeat)
                slower = [f"{took[name] / took['quick']:.1f}" for name in ("thorough", "no indexes")]
                rows.append([f"{what}, {candidates} candidates", *slower, *(f"{each:.2f}" for each in took.values())])
        for client in clients.values():
            client.close()
    show(
        f"A formula behind a thorough guard, and without indexes, over the same behind a quick one, {GUARDED_POINTS:,} points",
        ["formula", "thorough: times slower", "no indexes: times slower", *(f"{name}, ms" for name in executors)],
        rows,
    )


def alone(executors: Mapping[str, Executor], expression: Expression, nearest: Nearest, repeat: int) -> dict[str, float]:
    """Milliseconds that a formula adds to the query, by executor."""
    formulas = {"with": expression, "without": score()}
    took = medians(
        {
            f"{name} {which}": rescoring_there(executor, Formula(formula).over(nearest))
            for name, executor in executors.items()
            for which, formula in formulas.items()
        },
        repeat,
    )
    return {name: took[f"{name} with"] - took[f"{name} without"] for name in executors}


def rescoring_there(executor: Executor, strategy: Strategy) -> Callable[[int], object]:
    """Have the engine do it, in one request."""
    return lambda seed: executor.retrieve(
        strategy, Query(vectors={"dense": query_vectors(seed)["dense"]}), SearchOptions(limit=K)
    )


def rescoring_here(client: QdrantClient, expression: Expression, keys: list[str], candidates: int) -> Callable[[int], object]:
    """Fetch the candidates with the payload that the formula reads, score them with numpy, take the best."""

    def call(seed: int) -> object:
        vector: Any = query_vectors(seed)["dense"]
        found = client.query_points(NAME, query=vector, using="dense", limit=candidates, with_payload=keys).points
        scores: dict[str | None, Any] = {None: np.array([point.score for point in found])}
        table = Table([point.payload or {} for point in found], [point.id for point in found], scores)
        order = np.argsort(-score_points(expression, table))[:K]
        ids = [found[place].id for place in order]
        return client.retrieve(NAME, ids)  # the other way returns the whole payload of the best, so must this

    return call


def filled(engine: str, folder: Path, points: int) -> QdrantClient:
    """A client of the engine with the points."""
    client: QdrantClient = QdrantClient(":memory:") if engine == LOCAL else EdgeClient(folder / engine)
    client.create_collection(NAME, {"dense": models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)})
    for batch in dense_alone(points):
        client.upsert(NAME, batch)
    for key, kind in INDEXES.items() if engine == INDEXED else ():
        client.create_payload_index(NAME, key, models.PayloadSchemaType(kind))
    return client


def dense_alone(points: int) -> Iterator[list[models.PointStruct]]:
    for batch in batches(points):
        for point in batch:
            vectors: Any = point.vector
            point.vector = {"dense": vectors["dense"]}
        yield batch


if __name__ == "__main__":
    main()
