"""Figures in the documentation that no benchmark prints, as they are the same on every machine."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from qdrant_client import models

from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.models import ScoreCache

from .blocks import ROOT


def says(document: str, text: str) -> bool:
    return text in " ".join((ROOT / document).read_text("utf-8").split())


def test_an_empty_collection_looks_large_and_is_small(tmp_path: Path) -> None:
    assert says("docs/engines.md", "An empty collection looks like 100 MB or more and takes less than 1 MB")
    with EdgeClient(tmp_path) as client:
        client.create_collection("empty", models.VectorParams(size=384, distance=models.Distance.COSINE))
        files = [path.stat() for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(file.st_size for file in files) > 100e6
    assert sum(512 * file.st_blocks for file in files) < 1e6


def test_a_full_cache_of_the_usual_size_takes_about_20_megabytes() -> None:
    assert says("docs/models.md", "ScoreCache(size=100_000) # about 20 MB")
    count, cache = 100_000, ScoreCache()
    tracemalloc.start()
    cache.keep({number.to_bytes(16): number + 0.5 for number in range(count)})
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 12e6 < used < 25e6
