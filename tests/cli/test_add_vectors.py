"""`qdrant-rerank add-vectors`: keyword search and more for a collection that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank.models import HashedNgrams
from tests.cli.support import fails, run, succeeds
from tests.models.tiny_models import onnx_folder


def test_a_dense_collection_is_searched_by_words_afterwards(corpus: Path, tmp_path: Path) -> None:
    place = "--path", tmp_path / "db"
    succeeds("index", corpus, *place, "--dense", "hash", "--sparse", "none")

    out = succeeds("add-vectors", *place)
    assert "gave the collection 'docs' the vector 'bm25' (sparse, IDF)" in out
    assert "5 points got the vector 'bm25'" in out
    assert "The last ferry" in succeeds("search", "ferry", *place, "--hybrid")
    assert "no point lacks the vector 'bm25'" in succeeds("add-vectors", *place)  # which have it


def test_what_langchain_wrote_is_read_too_and_what_has_no_text_is_counted(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    client.create_collection("mine", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    payloads: list[dict[str, Any]] = [{"page_content": "a night train", "metadata": {}}, {"metadata": {}}]
    client.upsert("mine", [models.PointStruct(id=i, vector=[1.0, 0.0], payload=each) for i, each in enumerate(payloads)])
    client.close()

    out = succeeds("add-vectors", "--path", tmp_path / "db", "-c", "mine")
    assert "1 points got the vector 'bm25'" in out
    assert "1 points have no text, or only words that are dropped, e.g. 1" in out


def test_another_model_and_nothing_to_add_are_refused(corpus: Path, tmp_path: Path) -> None:
    place = "--path", tmp_path / "db"
    succeeds("index", corpus, *place, "--dense", "hash", "--sparse", "none")
    assert "nothing to add: give --dense, --sparse or --late a model" in fails("add-vectors", *place, "--sparse", "none")
    said = fails("add-vectors", *place, "--dense", "minilm")
    assert "the vector 'dense' of 'docs' is for hash; --dense" in said
    assert "would mix two models" in said


def test_a_run_that_broke_off_goes_on_with_its_model(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "--path", tmp_path / "db"
    succeeds("index", corpus, *place)

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(HashedNgrams, "encode_documents", fail)
        assert "out of memory" in run("add-vectors", *place, "--dense", "hash").err
    assert "the vector 'dense' of 'docs' is for hash; --dense" in fails("add-vectors", *place, "--dense", "minilm")
    assert "5 points got the vector 'dense'" in succeeds("add-vectors", *place, "--dense", "hash")


def test_points_that_get_none_are_not_said_to_have_it(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    client.create_collection("mine", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("mine", [models.PointStruct(id=1, vector=[1.0, 0.0], payload={"text": "the"})])
    client.close()
    out = succeeds("add-vectors", "--path", tmp_path / "db")
    assert "0 points got the vector 'bm25'" in out
    assert "1 points have no text, or only words that are dropped, e.g. 1" in out


def test_a_model_whose_vector_was_never_made_binds_nobody(corpus: Path, tmp_path: Path) -> None:
    place = "--path", tmp_path / "db"
    succeeds("index", corpus, *place)
    assert "has text under 'nowhere'" in run("add-vectors", *place, "--dense", "hash", "--text-key", "nowhere").err
    folder = onnx_folder(tmp_path / "tiny")
    assert "5 points got the vector 'dense'" in succeeds("add-vectors", *place, "--dense", f"tiny@{folder}")
