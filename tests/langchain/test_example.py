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
