"""Relevance feedback on the command line: its requests, the model's scores among the results, seeds and pairs by name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import Coefficients, Nearest, RelevanceFeedback, Rerank, load, save
from qdrant_rerank.feedback import Provenance
from tests.cli.support import fails, run, succeeds, write_corpus
from tests.models.tiny_cross_encoder import cross_encoder_folder, weight

TEXTS = {"a": "boat", "b": "train hut", "c": "hut hut train", "d": "ferry", "e": "boat ferry", "f": "hut ferry train"}
QUESTION = "boat"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six documents whose words the tiny cross-encoder knows, one of them without text."""
    folder = tmp_path_factory.mktemp("feedback")
    documents: list[dict[str, Any]] = [{"_id": name, "title": "", "text": text} for name, text in TEXTS.items()]
    succeeds("index", write_corpus(folder / "corpus.jsonl", documents), "--path", folder / "db", "--dense", "hash")
    return folder / "db"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"cross-encoder:{cross_encoder_folder(tmp_path_factory.mktemp('own') / 'reranker')}"


@pytest.fixture(params=["precision", "recall"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A strategy of either mode, with what was measured when it was fitted."""
    return written(tmp_path, request.param)


def written(folder: Path, mode: Any) -> Path:
    metrics = {f"nDCG@10 of {number}": number / 100 for number in range(40)}
    fitted = Provenance(mode=mode, seeds=3, vector="dense", metrics=metrics)
    coefficients = Coefficients(1.0, 0.5, 0.25, fitted)
    limit = 5 if mode == "recall" else None
    strategy = RelevanceFeedback(seeds=Nearest("dense", limit=3), coefficients=coefficients, mode=mode, limit=limit, trust=True)
    save(strategy, folder / f"{mode}.json")
    return folder / f"{mode}.json"


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each line that starts with a rank, by the name in it."""
    found = [re.split(r" {2,}", line.strip()) for line in text.splitlines() if re.match(r" *#?\d+ ", line)]
    return {next(cell for cell in cells if cell in TEXTS): cells for cells in found}


def test_explain_shows_both_requests_and_no_metrics(db: Path, file: Path) -> None:
    out = succeeds("plan", "--path", db, "-s", file, columns=80)
    assert "nDCG" not in out
    assert "coefficients=Coefficients(a=1, b=0.5, c=0.25)" in " ".join(out.split())
    head, first, second = re.split(r"\n(?=\{)", out)
    assert json.loads(first[: first.rindex("}") + 1])["with_vector"] == ["dense"]
    assert "then, with a vector that the model's scores have shifted" in first
    request = json.loads(second)
    assert request["limit"] == (2 if "recall" in file.name else 5)
    assert ("… the 3 seeds" in second) == ("recall" in file.name)
    assert "round trips: 2" in head
    assert "nDCG@10 of 7" in " ".join(succeeds("plan", "--path", db, "-s", file, "--full").split())


def test_results_that_the_model_scored_have_its_score(db: Path, model: str, tmp_path: Path) -> None:
    asked = ("search", QUESTION, "--path", db, "--rerank", model, "-k", 5)
    out = succeeds(*asked, "-s", written(tmp_path, "precision"), columns=80)
    assert out.split("\n")[0].split() == ["#", "score", "model", "id", "text"]
    records = [json.loads(line) for line in succeeds(*asked, "-s", tmp_path / "precision.json", "--json").splitlines()]
    given = {record["payload"]["_id"]: record["notes"].get("feedback_score") for record in records}
    assert sorted(value is None for value in given.values()) == [False, False, False, True, True]
    assert {name: cells[2] for name, cells in rows(out).items()} == {
        name: "–" if value is None else f"{value:.4g}" for name, value in given.items()
    }
    out = succeeds(*asked, "-s", written(tmp_path, "recall"), columns=80)
    assert out.split("\n")[0].split() == ["#", "score", "model", "search", "id", "text"]
    assert all(float(cells[2]) == pytest.approx(weight(QUESTION, TEXTS[name]), rel=1e-3) for name, cells in rows(out).items())


def test_seeds_and_pairs_have_the_names_of_the_results_at_80_columns(db: Path, model: str, file: Path) -> None:
    out = succeeds("search", QUESTION, "--path", db, "--rerank", model, "-s", file, "-k", 2, "--explain", columns=80)
    assert max(map(len, out.splitlines())) <= 80
    seeds = out[out.index("\n first ") + 1 :]
    assert seeds.splitlines()[0].split() == ["first", "feedback"]
    assert seeds.splitlines()[1].split() == ["search", "seed", "score", "text"]
    found = rows(seeds)
    assert len(found) == 3
    for name, (_, _, score, text) in found.items():
        assert float(score) == pytest.approx(weight(QUESTION, TEXTS[name]), rel=1e-3)
        assert text == TEXTS[name]
    pairs = re.findall(r"^towards (\w+), away from (\w+): scores", seeds, re.M)
    assert pairs
    assert {name for pair in pairs for name in pair} <= set(found)


def test_long_texts_and_ids_leave_room_for_the_scores(tmp_path: Path, model: str) -> None:
    documents = [{"_id": f"{name}-" * 20, "title": "", "text": f"{text} " * 30} for name, text in TEXTS.items()]
    succeeds("index", write_corpus(tmp_path / "corpus.jsonl", documents), "--path", tmp_path / "db", "--dense", "hash")
    asked = ("search", QUESTION, "--path", tmp_path / "db", "--rerank", model, "-s", written(tmp_path, "precision"))
    for columns in (60, 80):
        out = succeeds(*asked, "--explain", columns=columns)
        seeds = out[out.index("\n first ") : out.index("towards")]
        assert max(map(len, seeds.splitlines())) <= columns
        assert len(re.findall(r"^ +#\d  (?:\w-){9}\w…  +-?\d+\.?\d*  .*…$", seeds, re.M)) == 3, seeds


def test_a_strategy_that_a_model_reranks_is_written_and_compared(db: Path, model: str, tmp_path: Path) -> None:
    asked = ("plan", "--path", db, "--output")
    succeeds(*asked, tmp_path / "plain.json", "--using", "dense")
    out = succeeds(*asked, tmp_path / "rerank.json", "--using", "dense", "--rerank", model, "--reads", 4, "-k", 2, columns=80)
    assert load(tmp_path / "rerank.json") == Rerank(reads=4).over(Nearest("dense"))
    assert "texts read: 4" in out
    files = [option for name in ("plain", "rerank", "precision") for option in ("-s", tmp_path / f"{name}.json")]
    written(tmp_path, "precision")
    judged = [f"q{number},{text},{name},1" for number, (name, text) in enumerate(TEXTS.items())]
    (tmp_path / "judged.csv").write_text("\n".join(["query_id,query,doc_id,grade", *judged]), "utf-8")
    ran = run("compare", tmp_path / "judged.csv", "--path", db, *files, "--rerank", model, "--measure", "RR@1", "--json")
    assert ran.code == 0, ran.all
    named = [each["name"] for each in json.loads(ran.out)["evaluations"]]
    assert named == ["plain", "rerank", "precision"]


def test_how_to_rerank_is_checked_before_it_is_written(db: Path, tmp_path: Path) -> None:
    asked = ("plan", "--path", db, "--output", tmp_path / "s.json")
    assert "--blend: nothing reranks, add --rerank MODEL" in fails(*asked, "--blend", "rerank_score()")
    assert "--on-error is raise or keep_order" in fails(*asked, "--rerank", "a/b", "--on-error", "never")
    assert "Rerank reads 2" in fails(*asked, "--rerank", "a/b", "--reads", 2)
    assert not (tmp_path / "s.json").exists()


def test_results_that_the_model_could_not_read_have_dashes(tmp_path: Path, model: str) -> None:
    documents = [{"_id": "mute", "text": "boat"}, {"_id": "read", "text": "hut", "body": "hut train"}]
    succeeds("index", write_corpus(tmp_path / "corpus.jsonl", documents), "--path", tmp_path / "db", "--dense", "hash")
    asked = ("search", "boat", "--path", tmp_path / "db", "--rerank", model, "--text-key", "body")
    out = succeeds(*asked, "--explain").partition(" ms\n")[2]
    read, mute = [line.split() for line in out.splitlines() if re.match("[12] ", line)]
    assert (read[1], mute[1]) == ("read", "mute")
    assert float(read[-2]) == pytest.approx(weight("boat", "hut train"), rel=1e-3)
    assert mute[-2] == "–"


def test_a_threshold_that_nothing_reaches_is_named(db: Path) -> None:
    assert succeeds("search", QUESTION, "--path", db, "--score-threshold", 1.5) == "nothing reaches 1.5 (--score-threshold)\n"
    only = '{"must": [{"key": "town", "match": {"value": "nowhere"}}]}'
    assert succeeds("search", QUESTION, "--path", db, "--filter", only) == "nothing found\n"
