"""A model in the user's own code: named by options, and run because of nothing else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import Nearest, load, save
from tests.cli.support import fails, run, succeeds, write_corpus

_CODE = """\
from pathlib import Path
from qdrant_rerank.models import HashedNgrams

Path("it-ran").touch()


def embed(text):
    return HashedNgrams(64).encode_query(text)


def broken(text):
    raise RuntimeError("no such weights")


def score(query, texts):
    return [float("soup" in text) for text in texts]


class Words(HashedNgrams):
    pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the current folder, which no path leads to yet."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(_CODE, "utf-8")
    write_corpus(tmp_path / "corpus.jsonl")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part not in ("", os.getcwd())])
    yield name
    sys.modules.pop(name, None)


def forget(own: str) -> None:
    """As a new process, in which it hasn't run."""
    sys.modules.pop(own, None)
    Path("it-ran").unlink()


def test_ones_own_encoder_and_reranker_are_named_like_others(own: str) -> None:
    out = succeeds("index", "corpus.jsonl", "--path", "db", "--dense", f"python:{own}:embed")
    assert f"--hybrid --dense python:{own}:embed" in " ".join(out.split())  # the next command has it
    asked = ("search", "night train", "--path", "db", "--hybrid", "--json", "-k", 1, "--dense", f"python:{own}:embed")
    assert '"_id": "train"' in succeeds(*asked)
    assert '"_id": "hut"' in succeeds(*asked, "--rerank", f"python:{own}:score")
    succeeds("index", "corpus.jsonl", "--path", "other", "--dense", f"python:{own}:Words")


def test_a_reranker_alone_is_found_in_the_current_folder(own: str, db: Path) -> None:
    asked = ("search", "night", "--path", db, "--using", "bm25", "--json", "-k", 1)
    assert '"_id": "hut"' in succeeds(*asked, "--rerank", f"python:{own}:score")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("python:OWN:embd", "has no 'embd': did you mean 'embed'?"),
        ("python:nowhere_at_all:embed", "there is no module 'nowhere_at_all'"),
        ("python:OWN", "write python:MODULE:NAME, e.g. python:my_models:embed"),
        ("python:OWN:__name__", "not an encoder: str has no encode_query"),
        ("python:OWN:broken", "can't be loaded: no such weights"),
        ("python:OWN:score", "can't be loaded: score() missing 1 required positional argument"),
    ],
)
def test_what_is_no_model_is_told_before_anything_is_made(own: str, name: str, says: str) -> None:
    message = fails("index", "corpus.jsonl", "--path", "db", "--dense", name.replace("OWN", own))
    assert says in " ".join(message.split())
    assert "@DIR" not in message
    assert not QdrantClient(path="db").collection_exists("docs")


def test_no_reranker_is_told(own: str, db: Path) -> None:
    asked = ("search", "night", "--path", db, "--using", "bm25", "--rerank")
    assert f"--rerank python:{own}:__name__: not a reranker: str" in fails(*asked, f"python:{own}:__name__")
    assert f"--rerank python:{own}:embed: the model can't be loaded: embed() takes 1" in fails(*asked, f"python:{own}:embed")


def test_a_collection_makes_no_code_run(own: str) -> None:
    succeeds("index", "corpus.jsonl", "--path", "db", "--dense", f"python:{own}:embed")
    forget(own)
    for line in (
        ("search", "night train", "--path", "db", "--using", "dense"),
        ("index", "corpus.jsonl", "--path", "db"),
        ("evaluate", "judged.csv", "--path", "db", "--using", "dense"),
    ):
        Path("judged.csv").write_text("query_id,query,doc_id,grade\nq1,night train,train,1\n", "utf-8")
        message = fails(*line)
        assert f"runs only where an option names it: --dense python:{own}:embed" in " ".join(message.split())
    assert own not in sys.modules
    assert not Path("it-ran").exists()


def test_a_saved_strategy_makes_no_code_run(own: str, db: Path) -> None:
    save(Nearest("dense"), "strategy.json")
    document = json.loads(Path("strategy.json").read_text("utf-8"))
    for change in ({"using": f"python:{own}:embed"}, {"model": f"python:{own}:embed"}, {"kind": f"python:{own}:Words"}):
        Path("hostile.json").write_text(json.dumps({**document, **change}), "utf-8")
        assert run("search", "night", "--path", db, "-s", "hostile.json").code == 2
    with pytest.raises(ValueError, match="kind"):
        load("hostile.json")
    assert own not in sys.modules
    assert not Path("it-ran").exists()
