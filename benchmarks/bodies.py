"""What a server takes for a vector as it is, and for one in the query object around it.

Run: `python benchmarks/bodies.py [--url http://127.0.0.1:6333] [--rounds 300]`

The same search over REST, at the root and as a candidate of a formula, for 384 numbers and for a multivector of 32 times 128;
the bodies are written before, and sent in turn over one connection. Printed are median milliseconds, from sending to answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.server_world import busy, median_times, parser

__all__ = ["main"]

NAME = "bench_bodies"
SHAPES: dict[str, tuple[int, ...]] = {"384 numbers": (384,), "a multivector of 32 times 128": (32, 128)}


def fill(client: httpx.Client, shape: tuple[int, ...], points: int) -> None:
    """Make the collection anew, with vectors of this shape; multivectors of 8 token vectors."""
    client.delete(f"/collections/{NAME}")
    vectors: dict[str, Any] = {"size": shape[-1], "distance": "Cosine"}
    if len(shape) > 1:
        vectors["multivector_config"] = {"comparator": "max_sim"}
    client.put(f"/collections/{NAME}", json={"vectors": vectors}).raise_for_status()
    stored = np.random.default_rng(1).normal(size=(points, *([8] if len(shape) > 1 else []), shape[-1])).tolist()
    body = {"points": [{"id": number, "vector": vector} for number, vector in enumerate(stored)]}
    client.put(f"/collections/{NAME}/points?wait=true", json=body).raise_for_status()


def contenders(client: httpx.Client, vector: Any) -> dict[str, Callable[[], Any]]:
    """Searches that mean the same, by how they are written."""
    bodies: dict[str, Any] = {}
    for name, query in (("as it is", vector), ("in a query", {"nearest": vector})):
        bodies[f"at the root, {name}"] = {"query": query, "limit": 5}
        below = {"prefetch": [{"query": query, "limit": 20}], "query": {"formula": "$score"}, "limit": 5}
        bodies[f"below a formula, {name}"] = below

    def asking(body: str) -> Callable[[], Any]:
        return lambda: client.post(f"/collections/{NAME}/points/query", content=body).raise_for_status()

    return {name: asking(json.dumps(body)) for name, body in sorted(bodies.items())}


def main() -> None:
    options = parser(__doc__ or "", points=50)
    options.add_argument("--rounds", type=int, default=300)
    chosen = options.parse_args()
    headers = {"accept-encoding": "identity", "content-type": "application/json"}
    with httpx.Client(base_url=chosen.url, headers=headers, timeout=60) as client:
        for what, shape in SHAPES.items():
            fill(client, shape, chosen.points)
            vector = np.random.default_rng(2).normal(size=shape).tolist()
            print(f"{what}, {busy()}")
            for name, seconds in median_times(contenders(client, vector), chosen.rounds).items():
                print(f"  {name:28} {seconds * 1e3:6.2f} ms")
        client.delete(f"/collections/{NAME}")


if __name__ == "__main__":
    main()
