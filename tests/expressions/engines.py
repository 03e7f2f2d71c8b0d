"""The engines that formulas are compared on, each filled with the same nasty points."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

from .worlds import INDEXES, points

ENGINES = ["local", "edge", "edge with payload indexes"]


@contextmanager
def opened(name: str, folder: Path, lists: bool = True) -> Iterator[Any]:
    """A client of the engine, with the points in the collection "nasty"; without lists of several values if so asked."""
    if name == "local":
        client: Any = QdrantClient(":memory:")
    else:
        from qdrant_rerank.edge import EdgeClient

        client = EdgeClient(str(folder))
    client.create_collection(
        "nasty",
        vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
        sparse_vectors_config={"sparse": models.SparseVectorParams()},
    )
    client.upsert("nasty", points(lists=lists))
    if name == "edge with payload indexes":
        for key, kind in INDEXES.items():
            client.create_payload_index("nasty", key, kind)
    try:
        yield client
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client.close()
