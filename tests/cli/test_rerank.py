"""`qdrant-rerank search --rerank`: a model reads the candidates."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import Nearest, Rerank, save
from qdrant_rerank.expressions import rerank_score
from tests.cli.support import fails, run, succeeds, write_corpus
from tests.models.stub_cohere import Drop, Refuse, StubCohere
from tests.models.tiny_cross_encoder import cross_encoder_folder, weight

TEXTS = {"a": "boat", "b": "train hut", "c": "hut hut train", "d": "ferry", "e": "boat ferry"}
SECRET = "sk-SECRET-of-the-model"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five documents whose words the tiny cross-encoder knows. Tests only read it."""
    folder = tmp_path_factory.mktemp("rerank")
    documents = [{"_id": name, "title": "", "text": text, "rating": len(text)} for name, text in TEXTS.items()]
    succeeds("index", write_corpus(folder / "corpus.jsonl", documents), "--path", folder / "db", "--dense", "hash")
    return folder / "db"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder_folder(tmp_path_factory.mktemp("own") / "reranker")


@pytest.fixture
def cohere(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubCohere]:
    with StubCohere() as stub:
        monkeypatch.setenv("CO_API_URL", stub.url)
        monkeypatch.setenv("CO_API_KEY", SECRET)
        yield stub


def found(db: Path, *arguments: object) -> list[dict[str, Any]]:
    out = succeeds("search", "boat", "--path", db, "--json", *arguments)
    return [json.loads(line) for line in out.splitlines()]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["payload"]["_id"] for record in records]


@pytest.fixture(scope="module")
def by_weight() -> list[str]:
    return sorted(TEXTS, key=lambda name: -weight("boat", TEXTS[name]))


def test_a_cross_encoder_in_a_folder_reads_the_candidates(db: Path, folder: Path, by_weight: list[str]) -> None:
    plain = found(db)
    assert ids(plain) != by_weight
    ranked = found(db, "--rerank", f"cross-encoder:{folder}")
    assert ids(ranked) == by_weight
    scores = {record["payload"]["_id"]: record["score"] for record in plain}
    for record in ranked:
        name = record["payload"]["_id"]
        assert record["notes"] == {"relevance_score": record["score"], "retrieval_score": pytest.approx(scores[name])}
        assert record["score"] == pytest.approx(weight("boat", TEXTS[name]))


@pytest.mark.parametrize("prefix", ["", "fastembed:"])
def test_fastembeds_own_may_lie_in_a_folder(db: Path, folder: Path, prefix: str, by_weight: list[str], tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "copy")
    shutil.copytree(folder, copied / "onnx")  # where fastembed has this model's file
    assert ids(found(db, "--rerank", f"{prefix}Xenova/ms-marco-MiniLM-L-6-v2@{copied}")) == by_weight


def test_it_reads_so_many(db: Path, folder: Path) -> None:
    best = ids(found(db))[:2]
    ranked = ids(found(db, "--rerank", f"cross-encoder:{folder}", "--reads", 2, "-k", 2))
    assert set(ranked) == set(best)


def test_the_score_may_be_blended(db: Path, folder: Path) -> None:
    blend = "0.0*rerank_score() - field('rating', 0)"
    ranked = found(db, "--hybrid", "--rerank", f"cross-encoder:{folder}", "--blend", blend)
    assert ids(ranked) == sorted(TEXTS, key=lambda name: len(TEXTS[name]))


def test_the_table_has_a_column_for_the_models_score_and_for_the_searchs(db: Path, folder: Path) -> None:
    out = succeeds("search", "boat", "--path", db, "--rerank", f"cross-encoder:{folder}", "-k", 2, "--show", "rating")
    assert out.splitlines()[0].split() == ["#", "score", "model", "search", "id", "text", "rating"]
    assert "hut hut train" in out
    for columns in (60, 80):
        narrow = succeeds("search", "boat", "--path", db, "--rerank", f"cross-encoder:{folder}", columns=columns)
        assert max(map(len, narrow.splitlines())) <= columns


def test_reasons_name_the_model(db: Path, folder: Path) -> None:
    assert "rerank_score()" in succeeds("search", "boat", "--path", db, "--rerank", f"cross-encoder:{folder}", "--explain")


def test_the_keys_of_the_text_are_what_it_reads(db: Path, cohere: StubCohere) -> None:
    found(db, "--rerank", "cohere:rerank-v3.5", "--text-key", "_id,text", "-k", 1)
    assert sorted(cohere.requests[0].body["documents"]) == [f"{name}\n\n{text}" for name, text in TEXTS.items()]
    assert "no point" not in fails("search", "boat", "--path", db, "--rerank", "cohere:rerank-v3.5", "--text-key", "body")


def test_coheres_key_comes_from_the_environment_and_is_never_shown(db: Path, cohere: StubCohere) -> None:
    found(db, "--rerank", "cohere:rerank-v3.5")
    assert cohere.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert cohere.requests[0].body["model"] == "rerank-v3.5"
    cohere.script.append(Refuse(401, f"invalid key {SECRET}"))
    ran = run("search", "boat", "--path", db, "--rerank", "cohere:rerank-v3.5", "--debug")
    assert ran.code == 2
    assert "Cohere refuses access: set the environment variable CO_API_KEY" in ran.err
    assert SECRET not in ran.all


def test_coheres_errors_are_told(db: Path, cohere: StubCohere) -> None:
    cohere.script.append(Refuse(400, "no such model"))
    assert "Cohere answers 400:" in fails("search", "boat", "--path", db, "--rerank", "cohere:rerank-v0")


def test_a_failure_may_keep_the_order(db: Path, cohere: StubCohere) -> None:
    plain = ids(found(db))
    cohere.script += [Refuse(400), Drop()]
    ran = run("search", "boat", "--path", db, "--json", "--rerank", "cohere:rerank-v3.5", "--on-error", "keep_order")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ids(records) == plain
    assert ran.err.startswith("warning: the model failed (")
    assert {record["notes"]["not_reranked"] for record in records} == {"BadRequestError"}


def test_a_file_that_reranks_needs_a_model(db: Path, folder: Path, tmp_path: Path, by_weight: list[str]) -> None:
    file = tmp_path / "strategy.json"
    save(Rerank(reads=10, blend=-1 * rerank_score()).over(Nearest()), file)
    assert "name it, with --rerank MODEL" in fails("search", "boat", "--path", db, "-s", file)
    named = ("-s", file, "--rerank", f"cross-encoder:{folder}")
    assert ids(found(db, *named)) == by_weight[::-1]
    assert "excludes --blend" in fails("search", "boat", "--path", db, *named, "--blend", "2*rerank_score()")


def test_a_file_that_does_not_may_be_reranked(db: Path, folder: Path, tmp_path: Path, by_weight: list[str]) -> None:
    save(Nearest(), tmp_path / "strategy.json")
    assert ids(found(db, "-s", tmp_path / "strategy.json", "--rerank", f"cross-encoder:{folder}")) == by_weight


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rerank", "rerank-v3.5"), "no such model; there are cohere:rerank-v3.5, fastembed:"),
        (("--rerank", "coher:rerank-v3.5"), "no such model: did you mean 'cohere'?"),
        (("--rerank", "cohere:"), "no such model"),
        (("--rerank", "cross-encoder:nowhere"), "there is no folder 'nowhere'"),
        (("--rerank", "a/b@nowhere"), "there is no folder 'nowhere'"),
        (("--rerank", "no/such-model"), "no/such-model"),
        (("--reads", "3"), "--reads: nothing reranks, add --rerank MODEL"),
        (("--blend", "rerank_score()", "--on-error", "raise"), "--blend, --on-error: nothing reranks"),
        (("--rerank", "a/b", "--on-error", "ignore"), "--on-error is raise or keep_order, got 'ignore'"),
        (("--rerank", "a/b", "--blend", "score()"), "doesn't read rerank_score()"),
        (("--rerank", "a/b", "-k", "60"), "--reads N says how many the model reads"),
        (("--rerank", "a/b", "--reads", "0"), "reads of Rerank must be a whole number of at least 1"),
        (("--rerank", "a/b", "--group-by", "rating"), "group_by can't be combined with Rerank"),
    ],
)
def test_what_can_not_be_is_told(db: Path, options: tuple[str, ...], message: str) -> None:
    assert message in fails("search", "boat", "--path", db, *options)


def test_a_missing_key_is_told_before_the_search(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CO_API_KEY", "COHERE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    message = fails("search", "boat", "--path", db, "--rerank", "cohere:rerank-v3.5")
    assert "set the environment variable CO_API_KEY or COHERE_API_KEY" in message


def test_a_missing_package_is_told(db: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)
    assert "pip install 'qdrant-rerank[fastembed]'" in fails(
        "search", "boat", "--path", db, "--rerank", f"cross-encoder:{folder}"
    )


def test_an_empty_folder_is_told(db: Path, tmp_path: Path) -> None:
    assert "has no model.onnx" in fails("search", "boat", "--path", db, "--rerank", f"cross-encoder:{tmp_path}")
