"""`qdrant-rerank tune`: the table, the advice, the strategy file, and what it refuses."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from qdrant_rerank import Fusion, Nearest, load, save
from qdrant_rerank.cli._internals import run_index as index
from qdrant_rerank.cli._internals import run_tune as tune

app = typer.Typer()
app.command("index")(index)
app.command("tune")(tune)

_WORDS = ["lake", "ferry", "night", "train", "bike", "hut", "stove", "market", "cheese", "pier", "river", "bridge", "storm"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments: object) -> Ran:
    result = CliRunner(env={"COLUMNS": "120", "QDRANT_URL": None}).invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def judged(folder: Path, count: int, documents: Sequence[dict[str, str]]) -> Path:
    """A file of judged pairs: each query is three words of its document."""
    drawn = random.Random(1)
    lines = []
    for number in range(count):
        document = documents[number % len(documents)]
        query = " ".join(drawn.sample(document["text"].split(), 3))
        lines.append({"query_id": f"q{number}", "query": query, "doc_id": document["_id"], "grade": 1})
    path = folder / f"judged{count}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the collection `docs` under `db`, and 30 judged queries."""
    made = tmp_path_factory.mktemp("tune")
    drawn = random.Random(0)
    documents = [{"_id": f"d{number}", "text": " ".join(drawn.sample(_WORDS, 6))} for number in range(40)]
    (made / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
    judged(made, 30, documents)
    judged(made, 10, documents)
    assert run("index", made / "corpus.jsonl", "--path", made / "db", "--dense", "hash").code == 0
    return made


def test_it_shows_the_best_configurations_says_what_to_do_and_writes_the_strategy(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "strategy.json"
    ran = run("tune", folder / "judged30.jsonl", "--path", folder / "db", "--depth", 20, "--output", out, "--rows", 4)
    assert ran.code == 0, ran
    heading, _, *lines = ran.out.splitlines()
    assert heading.split()[:3] == ["configuration", "nDCG@10", "to"]
    assert any(line.startswith("default ") for line in lines)
    assert "30 topics, 60 searches in 1 round trip, 0 texts read by a model" in ran.out
    assert "Keep the default" in ran.out or "choosing like this is worth +" in ran.out
    assert f"is in {out}" in ran.err
    load(out)


def test_json_holds_all_of_it(folder: Path) -> None:
    ran = run("tune", folder / "judged30.jsonl", "--path", folder / "db", "--depth", 20, "--json", "--candidate", "dense")
    found = json.loads(ran.out)
    assert found["spent"]["requests"] == 30
    assert [row["name"] for row in found["configurations"]] == ["default"]
    assert found["strategy"] == "Nearest('dense')"


def test_a_baseline_of_ones_own_is_what_there_is_to_beat(folder: Path, tmp_path: Path) -> None:
    save(Fusion.dbsf().over(Nearest("dense", limit=7), Nearest("bm25", limit=7)), tmp_path / "today.json")
    ran = run("tune", folder / "judged30.jsonl", "--path", folder / "db", "--baseline", tmp_path / "today.json", "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out)["baseline"].startswith("Fusion.dbsf().over(Nearest('dense', limit=7)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["judged10.jsonl"], "10 topics with judgments are too few"),
        (["judged10.jsonl"], "the command compare of two strategies says how many topics"),
        (["judged30.jsonl", "--candidate", "dence"], "--candidate dence: the collection 'docs' has"),
        (["judged30.jsonl", "--max-requests", "59"], "the budget's 59 requests are too few"),
        (["judged30.jsonl", "--splits", "3"], "splits must be an even number"),
        (["judged30.jsonl", "--rerank", "some/model@nowhere"], "there is no folder 'nowhere'"),
        (["judged30.jsonl", "--depth", "0"], "depths must be whole numbers"),
    ],
)
def test_what_can_not_be_is_one_message(folder: Path, arguments: list[str], message: str) -> None:
    ran = run("tune", folder / arguments[0], "--path", folder / "db", *arguments[1:])
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert message in ran.err
