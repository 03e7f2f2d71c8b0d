"""The examples of learned ranking run as they stand."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples"


def output(name: str, *arguments: object, warnings: str = "error") -> str:
    command = [sys.executable, "-W", warnings, str(FOLDER / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hybrid_weights_are_learned_from_judgments() -> None:
    lines = output("learned_hybrid.py").splitlines()
    assert {line.split()[0] for line in lines[1:4]} == {"dense", "bm25", "rating"}
    assert all(float(line.split()[0]) > 0.5 for line in lines[-3:])


def test_what_clicks_teach_depends_on_how_attention_falls_with_the_position() -> None:
    biased, corrected, found = output("learned_clicks.py", warnings="default").split("\n\n")
    assert biased.startswith("attention ~ position**-0: 12000 lines")
    assert biased.splitlines()[2].startswith("similarity")  # what ranked the results is taken for what is good
    assert corrected.splitlines()[-3].startswith("rating") or corrected.splitlines()[-2].startswith("rating")
    assert len(found.splitlines()) == 3


def test_films_are_ranked_by_a_formula_learned_from_ratings(tmp_path: Path) -> None:
    """On ratings made up in MovieLens' format: which films are liked follows from their number of ratings."""
    dice = random.Random(1)
    with (tmp_path / "movies.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["movieId", "title", "genres"])
        for film in range(120):
            table.writerow([film, f"Film {film} ({1950 + film % 60})", dice.choice(["Drama", "Comedy|Drama", "War"])])
    with (tmp_path / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["userId", "movieId", "rating", "timestamp"])
        for user in range(30):
            seen = dict.fromkeys(int(120 * dice.random() ** 2) for _ in range(60))
            for moment, film in enumerate(seen):
                stars = min(5.0, max(0.5, round(2 * dice.gauss(4.6 - film / 40, 0.8)) / 2))
                table.writerow([user, film, stars, moment])
    lines = output("learned_movies.py", tmp_path, 30, warnings="default").splitlines()
    assert {line.split()[0] for line in lines[1:6]} == {"taste", "popularity", "mean", "year", "genres"}
    similarity, learned = (float(line.split()[1]) for line in lines if line.startswith(("similarity ", "learned ")))
    assert learned > similarity
    assert lines[-1].endswith(")")
