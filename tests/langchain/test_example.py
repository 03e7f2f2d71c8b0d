"""The example runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "langchain_quickstart.py"


def test_the_quickstart_ranks_by_similarity_and_rating() -> None:
    done = subprocess.run([sys.executable, "-W", "error", str(EXAMPLE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    similar, *loved, recipes, question = done.stdout.splitlines()
    assert similar.startswith("similar:   ['pea soup',")
    assert len(loved) == 3
    scores = [float(line.split()[-1]) for line in loved]
    assert scores == sorted(scores, reverse=True)
    assert recipes.startswith("Recipes: ")
    assert "pea soup" not in recipes
    assert question == "What goes with rye bread?"


def test_the_quickstart_is_short() -> None:
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 40


def test_the_example_of_reranking_ranks_by_the_model_and_by_the_blend() -> None:
    example = EXAMPLE.with_name("rerank_langchain.py")
    done = subprocess.run([sys.executable, "-W", "error", str(example)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1.00  the night train to Rome",
        "0.75  a bus to Rome by night",
        "0.25  the ferry to Oslo",
        "well rated: ['the night train to Rome', 'a day in Rome', 'a bus to Rome by night']",
        "compressed: the ferry to Oslo",
    ]
