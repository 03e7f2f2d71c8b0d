"""The engines that formulas are compared on, each filled with the same nasty points."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qdrant_client import models

from tests.engines import add_indexes, open_client

from .worlds import INDEXES, points


@contextmanager
def opened(name: str, lists: bool = True) -> Iterator[Any]:
    """A client of the engine, with the points in the collection "nasty"; without lists of several values if so asked."""
    client = open_client(name)
    client.create_collection(
        "nasty",
        vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
        sparse_vectors_config={"sparse": models.SparseVectorParams()},
    )
    client.upsert("nasty", points(lists=lists, indexed=name.endswith("indexed")))
    add_indexes(client, "nasty", INDEXES, name)
    try:
        yield client
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client.close()
