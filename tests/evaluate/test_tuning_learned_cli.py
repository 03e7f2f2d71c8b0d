"""`qdrant-rerank tune --learn --features`: a learned formula from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdrant_rerank import Formula, field, load, score
from qdrant_rerank.cli._internals import read_features
from qdrant_rerank.errors import FormatError
from qdrant_rerank.learn import Feature
from tests.cli.support import run, succeeds
from tests.support import refused

WORDS = ["ferry", "pier", "train", "night", "soup", "stove", "cheese", "bread", "hut", "snow", "boat", "lake", "road", "bike"]
LEARNED = "learned, pairwise"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 documents of six words, of which the even ones are rated well and are the answers to 52 questions."""
    made = tmp_path_factory.mktemp("learn")
    drawn = np.random.default_rng(0)
    documents: list[dict[str, Any]] = [
        {"_id": f"d{number}", "text": " ".join(drawn.choice(WORDS, 6, replace=False)), "rating": 5 - 4 * (number % 2)}
        for number in range(40)
    ]
    documents[0]["rating"] = 1  # nothing alone tells relevant from not
    (made / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents), "utf-8")
    for count in (52, 30):
        rows = []
        for number in range(count):
            document = documents[2 * number % 40]
            query = " ".join(drawn.choice(document["text"].split(), 3, replace=False))
            rows.append({"query_id": f"q{number}", "query": query, "doc_id": document["_id"], "grade": 1})
        (made / f"judged{count}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (made / "features.json").write_text(json.dumps({"rating": "field('rating', 3)"}), "utf-8")
    succeeds("index", made / "corpus.jsonl", "--path", made / "db", "--dense", "hash")
    return made


def tuned(folder: Path, *arguments: object, topics: int = 52) -> dict[str, Any]:
    """What `tune --json` says."""
    ran = run("tune", folder / f"judged{topics}.jsonl", "--path", folder / "db", "--depth", 40, "--json", *arguments)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def names(found: dict[str, Any]) -> set[str]:
    return {row["name"] for row in found["configurations"]}


def test_a_formula_with_the_features_of_a_file_is_learned_recommended_and_saved(folder: Path, tmp_path: Path) -> None:
    found = tuned(folder, "--features", folder / "features.json", "--output", tmp_path / "strategy.json")
    assert found["chosen"] == LEARNED
    assert found["recommended"]
    [row] = [row for row in found["configurations"] if row["name"] == LEARNED]
    assert row["parameters"]["weight of rating"] > 0.2
    assert "learned without it (5 folds)" in row["note"]
    assert found["spent"]["requests"] == 2 * 52
    strategy = load(tmp_path / "strategy.json")
    assert isinstance(strategy, Formula)
    assert "field('rating', default=3.0)" in repr(strategy)
    hits = succeeds("search", "ferry pier soup", "--path", folder / "db", "--strategy", tmp_path / "strategy.json", "--json")
    assert hits


def test_learn_learns_from_few_topics_too_and_no_learn_never(folder: Path) -> None:
    usual, few = tuned(folder), tuned(folder, topics=30)
    assert LEARNED in names(usual)
    assert LEARNED not in names(few)
    assert [each["name"] for each in few["left_out"]] == [LEARNED]
    assert LEARNED in names(tuned(folder, "--learn", topics=30))
    never = tuned(folder, "--no-learn")
    assert names(never) == names(usual) - {LEARNED}
    assert never["left_out"] == []


def test_features_for_a_formula_that_is_declined_are_refused(folder: Path) -> None:
    ran = run("tune", folder / "judged52.jsonl", "--path", folder / "db", "--no-learn", "--features", folder / "features.json")
    assert ran.code == 2
    assert "--features is for the formula that --no-learn declines" in ran.err


# Files of features


def written(folder: Path, value: Any) -> Path:
    path = folder / "some.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def test_a_file_of_features_holds_formulas_by_name_or_is_what_features_and_fit_wrote(folder: Path, tmp_path: Path) -> None:
    options = ["--hybrid", "-f", "dense=score('dense')", "-f", "rating=field('rating', 3)"]
    log = tmp_path / "log.csv"
    succeeds("features", folder / "judged52.jsonl", "--path", folder / "db", *options, "-o", log)
    succeeds("fit", log, "-o", tmp_path / "ranker.json")
    wanted = {"dense": Feature(score("dense")), "rating": Feature(field("rating", default=3.0))}
    assert read_features(tmp_path / "log.csv.meta.json") == wanted
    assert read_features(tmp_path / "ranker.json") == wanted
    assert read_features(written(tmp_path, {"dense": "score('dense')", "rating": "field('rating', 3)"})) == wanted
    node = json.loads((tmp_path / "ranker.json").read_text("utf-8"))["features"]["rating"]
    assert read_features(written(tmp_path, {"dense": "score('dense')", "rating": node})) == wanted
    assert read_features(written(tmp_path, {"features": "field('features', 0)"})) == {
        "features": Feature(field("features", default=0.0))
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "some.json:1: not JSON: "),
        ([], "a file of features is an object of name to formula"),
        ({}, "got {}"),
        ({"a": "field("}, "the feature 'a': "),
        ({"a": "field('a')"}, "the feature 'a': field('a') says nothing of points without 'a'"),
        ({"a": 3}, "the feature 'a': neither an expression nor a category"),
    ],
)
def test_a_file_that_holds_no_features_is_refused_with_what_is_wrong(value: Any, message: str, tmp_path: Path) -> None:
    with refused(FormatError, "some.json:", message):
        read_features(written(tmp_path, value))
