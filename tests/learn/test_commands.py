"""`features` and `fit` on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from qdrant_rerank import field, load
from qdrant_rerank.cli._internals import read_features
from qdrant_rerank.cli._internals import run_features as features
from qdrant_rerank.cli._internals import run_fit as fit
from qdrant_rerank.errors import FormatError
from qdrant_rerank.learn import Feature, LearnedRanker, read_log
from tests.cli.support import succeeds
from tests.support import refused

app = typer.Typer()
app.command("features")(features)
app.command("fit")(fit)

WORDS = ["ferry", "pier", "train", "night", "soup", "stove", "cheese", "bread", "hut", "snow", "boat", "lake", "road", "bike"]


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "120", "QDRANT_URL": None}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 documents of a few words with ratings, and 15 queries whose relevant documents share words and are rated well."""
    folder = tmp_path_factory.mktemp("learn")
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, 5, replace=False)) for _ in range(80)]
    ratings = generator.integers(1, 6, 80)
    lines = [json.dumps({"_id": f"d{n}", "text": text, "rating": int(ratings[n])}) for n, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    with (folder / "judged.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query_id", "query", "doc_id", "grade"])
        for query in range(15):
            words = generator.choice(WORDS, 3, replace=False)
            for n in generator.choice(80, 40, replace=False):
                z = 2 * len(set(words) & set(texts[n].split())) + 0.8 * ratings[n] - 5
                writer.writerow([f"q{query}", " ".join(words), f"d{n}", int(generator.random() < 1 / (1 + np.exp(-z)))])
    succeeds("index", folder / "corpus.jsonl", "--path", folder / "db", "--dense", "hash")
    return folder


LOG = ["--hybrid", "-f", "dense=score('dense')", "-f", "bm25=score('bm25')", "-f", "rating=field('rating', 3)"]


def test_from_judgments_to_a_ranker_that_searches(folder: Path) -> None:
    code, out, err = run(
        "features", folder / "judged.csv", "--path", folder / "db", *LOG, "-o", folder / "log.csv", "--drop-unjudged"
    )
    assert (code, err) == (0, "")
    assert "rows of 15 topics" in out
    log = read_log(folder / "log.csv")
    assert log.names == ("dense", "bm25", "rating")
    ranker = folder / "ranker.json"
    code, out, err = run(
        "fit", folder / "log.csv", "-o", ranker, "--sign", "rating=+", "--calibration", "platt", "--precision", "0.5"
    )
    assert (code, err) == (0, "")
    assert "rating" in out
    assert "--score-threshold 0." in out
    assert LearnedRanker.load(ranker).calibration.method == "platt"
    found = succeeds("search", "ferry pier soup", "--path", folder / "db", "--strategy", ranker, "--json")
    scores = [json.loads(line)["score"] for line in found.splitlines()]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert load(ranker) == LearnedRanker.load(ranker).strategy


def test_without_features_the_candidates_scores_are_logged_and_a_jsonl_is_resumed(folder: Path) -> None:
    command = [
        "features",
        folder / "judged.csv",
        "--path",
        folder / "db",
        "--hybrid",
        "-o",
        folder / "log.jsonl",
        "--hard",
        "5",
    ]
    assert run(*command)[0] == 0
    assert read_log(folder / "log.jsonl").names == ("dense", "bm25")
    assert "15 topics" in run(*command)[1]
    code, _, err = run(*command, "--seed", "3")
    assert code == 2
    assert "this log is of other topics" in err


def test_fit_prints_json_for_other_programs(folder: Path) -> None:
    run("features", folder / "judged.csv", "--path", folder / "db", *LOG, "-o", folder / "other.csv", "--drop-unjudged")
    code, out, _ = run("fit", folder / "other.csv", "-o", folder / "other.json", "--json", "--c", "1.0")
    assert code == 0
    assert json.loads(out)["training"]["c"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-f", "rating"], "--feature rating: write NAME=FORMULA"),
        (["-f", "a=score('dense')", "-f", "a=score('bm25')"], "there are two features 'a'"),
        (
            ["-f", "r=field('rating')"],
            "--feature r=field('rating'): field('rating') says nothing of points without 'rating': write",
        ),
        (["-f", "r=rating"], "--feature r=rating: unknown name 'rating'"),
        (["-f", "d=score('densee')"], "no candidate is named 'densee'; there are 'dense', 'bm25': did you mean 'dense'?"),
        (
            ["-f", "b=param('budget')"],
            "which none of the 15 judged topics brings along: give it in Topic.params, in a file as",
        ),
    ],
)
def test_wrong_features_are_refused(folder: Path, arguments: list[str], says: str) -> None:
    code, _, err = run(
        "features", folder / "judged.csv", "--path", folder / "db", "--hybrid", "-o", folder / "no.csv", *arguments
    )
    assert code == 2
    assert says in err
    assert "missing='nan'" not in err  # which only Python has
    assert "--features" not in err  # which this command hasn't


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ("n=field('nosuch', 3)", "the feature 'n' reads 'nosuch', but no candidate has a number there; there are '"),
        ("t=field('text', 3)", "the feature 't' reads 'text', but no candidate has a number there but text, e.g. '"),
    ],
)
def test_a_feature_that_no_document_has_is_warned_of_and_fit_says_why_it_is_constant(
    folder: Path, tmp_path: Path, feature: str, says: str
) -> None:
    where = ["--path", folder / "db", "--hybrid", "-f", "dense=score('dense')", "-f", feature]
    code, _, err = run("features", folder / "judged.csv", *where, "-o", tmp_path / "log.csv")
    assert code == 0
    assert err.startswith("warning: ")
    assert says in " ".join(err.split())
    assert err.count("warning") == 1
    code, _, err = run("fit", tmp_path / "log.csv", "-o", tmp_path / "no.json")
    assert code == 2
    assert "(always 3: no stored point had what it reads when the log was made)" in err


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("nope.csv", None, "nope.csv: No such file or directory"),
        ("nope.svm", None, "nope.svm: No such file or directory"),
        (
            "judged.csv",
            "query_id,query,doc_id,grade\n",
            "is what log_features, or `qdrant-rerank features`, makes of judgments",
        ),
        ("judged.tsv", "q\td\t1\n", "got '.tsv': a log is what log_features, or `qdrant-rerank features`, makes of judgments"),
        ("judged.jsonl", '{"query": "x"}\n', "is what log_features, or `qdrant-rerank features`, makes of judgments"),
    ],
)
def test_fit_says_what_a_log_is_where_there_is_none(tmp_path: Path, name: str, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, "utf-8")
    code, _, err = run("fit", tmp_path / name, "-o", tmp_path / "no.json")
    assert (code, says in err) == (2, True), err


@pytest.mark.parametrize("precision", ["2", "0", "-1", "nan"])
def test_a_wrong_precision_is_refused_before_anything_is_fitted(tmp_path: Path, precision: str) -> None:
    code, _, err = run("fit", tmp_path / "nope.csv", "-o", tmp_path / "no.json", "--precision", precision)
    assert code == 2
    assert f"--precision is a share of results, above 0 and at most 1, got {precision}" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"kind": "relevance_feedback", "coefficients": {}}', "its kind is 'relevance_feedback', which holds no features"),
        ('{"kind": "client_formula"}', "its kind is 'client_formula'"),
        ('{"r": "field(\'rating\')"}', "the feature 'r': field('rating') says nothing of points without 'rating'"),
    ],
)
def test_a_file_that_holds_no_features_is_told_from_a_wrong_formula(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "features.json").write_text(text, "utf-8")
    with refused(FormatError, says):
        read_features(tmp_path / "features.json")
    (tmp_path / "fine.json").write_text('{"kind": "field(\'kind\', 0)"}', "utf-8")
    assert read_features(tmp_path / "fine.json") == {"kind": Feature(field("kind", default=0))}


def test_a_wrong_sign_is_refused(folder: Path) -> None:
    code, _, err = run("fit", folder / "log.csv", "-o", folder / "no.json", "--sign", "rating")
    assert code == 2
    assert "--sign rating: write NAME=+ or NAME=-" in err
