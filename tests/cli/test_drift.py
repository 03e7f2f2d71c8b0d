"""`drift`, and what `search` says of a ranker whose collection has changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qdrant_rerank import Nearest, field, save, score
from qdrant_rerank._internals import Reference
from qdrant_rerank.learn import Feature, LearnedRanker, Training
from tests.cli.support import fails, run, succeeds, write_corpus

WORDS = ["ferry", "pier", "train", "night", "soup", "stove", "cheese", "bread"]


def documents(ratings: list[float]) -> list[dict[str, object]]:
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, 4, replace=False)) for _ in ratings]
    return [
        {"_id": f"d{n}", "text": text, "rating": rating} for n, (text, rating) in enumerate(zip(texts, ratings, strict=True))
    ]


def learned(ratings: list[float]) -> LearnedRanker:
    """A ranker that was trained where the stored points had these ratings."""
    rating, dense = field("rating", default=3.0), score("dense")
    return LearnedRanker(
        margin=2.0 * dense + 0.5 * rating - 2.0,
        candidates=(Nearest("dense", limit=20),),
        features={"similarity": Feature(dense), "rating": Feature(rating)},
        training=Training("f", ("q",), 100, 10, "pointwise"),
        quantiles={"similarity": Reference.of(np.linspace(0.9, 1.0, 50)), "rating": Reference.of(np.array(ratings))},
        reference={"rating": Reference.of(np.array(ratings))},
    )


RATINGS = [float(number % 5) for number in range(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collections `now` (as in training), `moved`, `gone` (without ratings) and `text` (ratings in words), and a ranker."""
    folder = tmp_path_factory.mktemp("drift")
    high, none = [rating + 10 for rating in RATINGS], documents(RATINGS)
    for one in none:
        del one["rating"]
    words = [one | {"rating": "four"} for one in documents(RATINGS)]
    for name, corpus in (("now", documents(RATINGS)), ("moved", documents(high)), ("gone", none), ("text", words)):
        write_corpus(folder / f"{name}.jsonl", corpus)
        succeeds("index", folder / f"{name}.jsonl", "--path", folder / name, "--dense", "hash")
    learned(RATINGS).save(folder / "ranker.json")
    (folder / "topics.tsv").write_text("a\tferry pier\nb\tsoup stove\n", "utf-8")
    return folder


def test_a_table_says_how_far_each_feature_has_moved(folder: Path) -> None:
    out = succeeds("drift", folder / "ranker.json", "--path", folder / "now")
    assert "60 stored points" in out
    assert "rating 0.000" in " ".join(out.split())
    assert "as in training" in out
    assert "not compared: similarity (they read scores or request-time values: give --topics)" in out
    assert "is far from what was trained on: fit again" in succeeds("drift", folder / "ranker.json", "--path", folder / "moved")


def test_json_is_for_other_programs(folder: Path) -> None:
    found = json.loads(succeeds("drift", folder / "ranker.json", "--path", folder / "moved", "--json", "--sample", "40"))
    [rating] = found["features"]
    assert found["points"] == 40
    assert rating["verdict"] == "far"
    assert rating["psi"] > 1 > rating["by_chance"] > 0


def test_an_exit_code_says_that_a_feature_has_moved(folder: Path) -> None:
    ranker = folder / "ranker.json"
    assert run("drift", ranker, "--path", folder / "now", "--fail-over", "0.2").code == 0
    assert run("drift", ranker, "--path", folder / "moved", "--fail-over", "1000").code == 0
    moved = run("drift", ranker, "--path", folder / "moved", "--json", "--fail-over", "0.2")
    assert moved.code == 3
    assert json.loads(moved.out)
    assert "'rating' is far from what was trained on" in moved.err
    gone = run("drift", ranker, "--path", folder / "gone", "--fail-over", "1000")
    assert (gone.code, "no point has it" in gone.err) == (3, True)


def test_text_where_ratings_were_is_told_as_such(folder: Path) -> None:
    said = "no point has a number at 'rating' but text, e.g. 'four'"
    out = succeeds("drift", folder / "ranker.json", "--path", folder / "text", columns=200)
    assert said in out
    assert "100%" in out
    search = fails("search", "ferry pier", "--strategy", folder / "ranker.json", "--path", folder / "text")
    assert "no point of 'docs' has a number there but text, e.g. 'four'" in search
    assert "did you mean" not in search


def test_a_ranker_on_the_client_is_checked_and_runs_unchecked(folder: Path) -> None:
    replace(learned(RATINGS), on_client=True).save(folder / "client.json")
    search = ["search", "ferry pier", "--strategy", folder / "client.json", "--path"]
    assert run(*search, folder / "now").err == ""
    assert "--unchecked" in fails(*search, folder / "gone")
    assert succeeds(*search, folder / "gone", "--unchecked")
    assert "as in training" in succeeds("drift", folder / "client.json", "--path", folder / "now")
    assert "40 candidates" in succeeds(
        "drift", folder / "client.json", "--path", folder / "now", "--topics", folder / "topics.tsv"
    )


def test_candidates_of_recent_queries_tell_of_scores(folder: Path) -> None:
    out = succeeds("drift", folder / "ranker.json", "--path", folder / "now", "--topics", folder / "topics.tsv")
    assert "40 candidates" in out
    assert "similarity" in out
    assert "not compared" not in out


def test_candidates_are_looked_at_even_where_a_plan_would_refuse(folder: Path) -> None:
    out = succeeds("drift", folder / "ranker.json", "--path", folder / "gone", "--topics", folder / "topics.tsv")
    assert "rating" in out


def test_wrong_input_is_refused(folder: Path) -> None:
    ranker = folder / "ranker.json"
    assert "--fail-over is a PSI" in fails("drift", ranker, "--path", folder / "now", "--fail-over", "-1")
    assert "--fail-over is a PSI" in fails("drift", ranker, "--path", folder / "now", "--fail-over", "nan")
    assert "--sample must be a whole number of at least 1, got 0" in fails(
        "drift", ranker, "--path", folder / "now", "--sample", "0"
    )
    save(Nearest("dense"), folder / "nearest.json")
    assert "not a learned ranker" in fails("drift", folder / "nearest.json", "--path", folder / "now")
    assert "No such file" in fails("drift", folder / "none.json", "--path", folder / "now")


def test_search_refuses_and_warns_by_itself(folder: Path) -> None:
    search = ["search", "ferry pier", "--strategy", folder / "ranker.json", "--path"]
    assert run(*search, folder / "now").err == ""
    assert "reads 'rating', but no point of 'docs' has a number there" in fails(*search, folder / "gone")
    moved = run(*search, folder / "moved")
    assert moved.code == 0
    assert moved.err.count("feature 'rating' is far from what it was trained on") == 1, moved.err


def test_a_refused_ranker_runs_unchecked_if_one_says_so(folder: Path) -> None:
    search = ["search", "ferry pier", "--path", folder / "gone"]
    assert "on the command line: --unchecked" in fails(*search, "--strategy", folder / "ranker.json")
    assert succeeds(*search, "--strategy", folder / "ranker.json", "--unchecked")
    save(Nearest("dense"), folder / "nearest.json")
    assert "nearest.json holds none" in fails(*search, "--strategy", folder / "nearest.json", "--unchecked")
    assert "--unchecked is for the learned formula in a file" in fails(*search, "--unchecked")
