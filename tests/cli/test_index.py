"""`qdrant-rerank index`: what it stores, goes on with, reports and refuses."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank.ingest import IngestReport
from qdrant_rerank.models import FastembedDense
from tests.cli.support import DOCUMENTS, fails, run, succeeds, write_corpus
from tests.models.tiny_models import onnx_folder


def payloads(path: Path, collection: str = "docs") -> dict[str, dict[str, Any]]:
    """The stored payloads by the document's id."""
    client = QdrantClient(path=str(path))
    points, _ = client.scroll(collection, limit=100)
    client.close()
    return {(point.payload or {})["_id"]: point.payload or {} for point in points}


def test_a_corpus_is_stored_whole_with_its_own_ids_and_keys(corpus: Path, tmp_path: Path) -> None:
    out = succeeds("index", corpus, "--path", tmp_path / "db")
    assert "5 documents written" in out
    assert "'docs' now has 5 documents" in out
    assert payloads(tmp_path / "db") == {document["_id"]: document for document in DOCUMENTS}


def test_a_second_run_goes_on_where_the_first_stopped(corpus: Path, tmp_path: Path) -> None:
    assert "2 documents written" in succeeds("index", corpus, "--path", tmp_path / "db", "--dense", "hash", "--limit", 2)
    out = succeeds("index", corpus, "--path", tmp_path / "db")
    assert "3 documents written" in out
    assert "2 were there already" in out
    assert "'dense' (dense 512-d, Cosine)" in out  # the models are remembered from the first run
    assert payloads(tmp_path / "db").keys() == {document["_id"] for document in DOCUMENTS}


def test_the_command_that_it_suggests_finds_something(corpus: Path, tmp_path: Path) -> None:
    out = succeeds("index", corpus, "--path", tmp_path / "db", "--dense", "hash")
    suggested = out.rpartition("search it: qdrant-rerank ")[2].split()
    assert "--hybrid" in suggested
    assert "The last ferry" in succeeds(*("ferry" if word == "..." else word for word in suggested))


def test_bad_lines_are_shown_with_file_and_line_and_counted(corpus: Path, tmp_path: Path) -> None:
    with corpus.open("a") as file:
        file.write('{"_id": "x"}\nnot json\n')
    ran = run("index", corpus, "--path", tmp_path / "db")
    assert ran.code == 0
    assert f"{corpus}:6: no text under 'title' or 'text'" in ran.err
    assert f"{corpus}:7: not JSON" in ran.err
    assert "5 documents written" in ran.out
    assert "2 bad lines skipped" in ran.out


def test_from_the_twenty_first_on_bad_lines_are_only_counted(corpus: Path, tmp_path: Path) -> None:
    with corpus.open("a") as file:
        file.write("?\n" * 30)
    ran = run("index", corpus, "--path", tmp_path / "db")
    assert ran.err.count("not JSON") == 20
    assert "… and 10 more bad lines" in ran.err
    assert "30 bad lines skipped" in ran.out


def test_strict_stops_at_the_first_bad_line(corpus: Path, tmp_path: Path) -> None:
    corpus.write_text("?\n" + corpus.read_text())
    message = fails("index", corpus, "--path", tmp_path / "db", "--strict")
    assert f"{corpus}:1: not JSON" in message


def test_a_file_without_any_document_is_an_error(tmp_path: Path) -> None:
    table = tmp_path / "corpus.csv"
    table.write_text("id,text\n1,ferry\n")
    ran = run("index", table, "--path", tmp_path / "db")
    assert ran.code == 2
    assert f'error: no line of {table} holds a document; a line looks like {{"_id": "d1", "text": "…"}}' in ran.err


def test_other_keys_for_text_and_id(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", [{"key": 7, "head": "Ferry", "body": "leaves at ten"}])
    out = succeeds("index", corpus, "--path", tmp_path / "db", "--id-key", "key", "--text-key", "head, body", "-c", "other")
    assert "1 documents written" in out
    assert payloads(tmp_path / "db", "other")[7]["body"] == "leaves at ten"  # type: ignore[index]  # ids may be numbers
    assert "Ferry leaves at ten" in succeeds("search", "ferry", "--path", tmp_path / "db")


def test_a_gzipped_corpus_is_unpacked(corpus: Path, tmp_path: Path) -> None:
    packed = tmp_path / "corpus.jsonl.gz"
    packed.write_bytes(gzip.compress(corpus.read_bytes()))
    assert "5 documents written" in succeeds("index", packed, "--path", tmp_path / "db")


def test_models_from_folders_are_remembered_with_their_folders(corpus: Path, tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "tiny")
    write_corpus(corpus, [{"_id": "a", "text": "ferry"}, {"_id": "b", "text": "train"}])
    succeeds("index", corpus, "--path", tmp_path / "db", "--dense", f"tiny@{folder}", "--sparse", "none")
    found = json.loads(succeeds("search", "train", "--path", tmp_path / "db", "-k", 1, "--json"))
    assert found["payload"]["_id"] == "b"
    folder.rename(tmp_path / "moved")
    assert f"the model tiny was in {folder}, which isn't there now: give --dense tiny@DIR" in fails(
        "search", "train", "--path", tmp_path / "db"
    )
    moved = succeeds("search", "train", "--path", tmp_path / "db", "-k", 1, "--dense", f"tiny@{tmp_path / 'moved'}")
    assert "train" in moved
    other = run("search", "train", "--path", tmp_path / "db", "-k", 1, "--dense", f"other@{tmp_path / 'moved'}")
    said = " ".join(other.err.split())
    assert f"the vector 'dense' was filled by tiny@{folder}, and --dense embeds the query with other@" in said
    same = run("search", "train", "--path", tmp_path / "db", "-k", 1, "--dense", f"tiny@{tmp_path / 'moved'}")
    assert (same.code, same.err) == (0, "")


def test_documents_are_read_several_batches_at_a_time_and_queries_alone(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []

    def note(method: str) -> None:
        original = getattr(FastembedDense, method)

        def noting(self: FastembedDense, texts: Any) -> Any:
            read.append((method, self.parallel))
            return original(self, texts)

        monkeypatch.setattr(FastembedDense, method, noting)

    note("encode_documents")
    note("encode_query")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    where = ("--path", tmp_path / "db")
    succeeds("index", corpus, *where, "--dense", f"tiny@{onnx_folder(tmp_path / 'tiny')}", "--sparse", "none")
    assert {parallel for method, parallel in read if method == "encode_documents"} == {3}
    read.clear()
    succeeds("search", "train", *where)
    assert {parallel for _, parallel in read} == {1}


def test_a_late_interaction_vector_rescoring_candidates(corpus: Path, tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "tiny", "vespa_colbert.onnx")
    write_corpus(corpus, [{"_id": "a", "text": "boat ferry"}, {"_id": "b", "text": "train hut boat"}])
    model = f"answerdotai/answerai-colbert-small-v1@{folder}"
    succeeds("index", corpus, "--path", tmp_path / "db", "--late", model)
    out = succeeds("search", "boat hut", "--path", tmp_path / "db", "--rescore", "late", "--json", "-k", 1)
    assert json.loads(out)["payload"]["_id"] == "b"
    explained = succeeds("plan", "--path", tmp_path / "db", "--rescore", "late")
    assert "candidates without the vector 'late' vanish" in " ".join(explained.split())


def test_a_strategy_that_does_not_fit_is_refused_before_anything_is_made(corpus: Path, tmp_path: Path) -> None:
    strategy = tmp_path / "strategy.json"
    strategy.write_text('{"kind": "nearest", "using": "colbert"}')
    assert "no vector named 'colbert'" in fails("index", corpus, "--path", tmp_path / "db", "--strategy", strategy)
    assert "there is no collection 'docs'" in fails("search", "x", "--path", tmp_path / "db", "-c", "docs")


def test_mixing_two_models_in_one_vector_is_refused(corpus: Path, db: Path, tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "tiny")
    message = fails("index", corpus, "--path", db, "--dense", f"tiny@{folder}")
    assert f"the vector 'dense' of 'docs' is for hash; --dense tiny@{folder} would mix two models" in message


def test_a_model_that_cannot_be_loaded_leaves_nothing_behind(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = fails("index", corpus, "--path", tmp_path / "db", "--dense", f"tiny@{tmp_path / 'empty'}")
    assert f"the folder '{tmp_path / 'empty'}' has no model.onnx, the file of 'tiny'" in message
    assert "there is no collection 'docs'" in fails("search", "x", "--path", tmp_path / "db", "-c", "docs")


def test_nothing_to_embed_with_is_refused(corpus: Path, tmp_path: Path) -> None:
    message = fails("index", corpus, "--path", tmp_path / "db", "--sparse", "none")
    assert "nothing to embed the documents with: give --dense, --sparse or --late a model" in message


def test_a_misspelt_model_is_refused_with_what_there_is(corpus: Path, tmp_path: Path) -> None:
    message = fails("index", corpus, "--path", tmp_path / "db", "--sparse", "bm255")
    assert "--sparse bm255: no such model: did you mean 'bm25'? (there are bm25, bm42, fastembed's models" in message
    assert "; none is for no such vector" in message
    assert "there is no folder 'nowhere'" in fails("index", corpus, "--path", tmp_path / "db", "--dense", "a/b@nowhere")


def test_a_missing_corpus_and_a_folder_with_other_files_are_refused(corpus: Path, tmp_path: Path) -> None:
    assert f"there is no file {tmp_path / 'nothing'}" in fails("index", tmp_path / "nothing", "--path", tmp_path / "db")
    assert f"{tmp_path} holds other files and no Qdrant" in fails("index", corpus, "--path", tmp_path)
    assert f"{corpus} is a file; --path takes a folder" in fails("index", corpus, "--path", corpus)


def test_a_collection_that_others_made_needs_to_be_told_its_models(corpus: Path, tmp_path: Path) -> None:
    from tests.support import create_toy

    client = QdrantClient(path=str(tmp_path / "db"))
    create_toy(client, "docs")
    client.close()
    message = fails("index", corpus, "--path", tmp_path / "db")
    assert "the collection 'docs' doesn't say what filled its vectors ('dense' (dense 4-d, Cosine)" in message


def test_a_terminal_gets_a_progress_bar(corpus: Path, tmp_path: Path) -> None:
    ran = run("index", corpus, "--path", tmp_path / "db", env={"FORCE_COLOR": "1"})
    assert ran.code == 0
    assert "corpus.jsonl" in ran.err
    assert "/5" in ran.err


def test_none_leaves_a_vector_out(corpus: Path, tmp_path: Path) -> None:
    succeeds("index", corpus, "--path", tmp_path / "db", "--dense", "hash", "--limit", 1)
    succeeds("index", corpus, "--path", tmp_path / "db", "--sparse", "none")
    assert "The last ferry" in succeeds("search", "pier", "--path", tmp_path / "db", "--using", "bm25")
    assert "Market" not in succeeds("search", "pier", "--path", tmp_path / "db", "--using", "bm25")
    assert "Market" in succeeds("search", "pier", "--path", tmp_path / "db", "--using", "dense")


def test_documents_that_are_there_are_written_again_where_that_is_asked_for(corpus: Path, tmp_path: Path) -> None:
    succeeds("index", corpus, "--path", tmp_path / "db")
    changed = {"_id": DOCUMENTS[0]["_id"], "text": "another text"}
    corpus.write_text(json.dumps(changed) + "\n")
    assert "0 documents written" in succeeds("index", corpus, "--path", tmp_path / "db")
    assert "1 documents written" in succeeds("index", corpus, "--path", tmp_path / "db", "--overwrite")
    assert payloads(tmp_path / "db")[changed["_id"]]["text"] == "another text"


def test_slow_is_not_zero_and_an_interruption_says_how_to_go_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> IngestReport:
        return IngestReport(3, 0, (), 40.0)

    stored = 0

    def interrupted(*_: Any, on_progress: Callable[[int, int], None], **__: Any) -> IngestReport:
        if stored:
            on_progress(stored, 0)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["qdrant_rerank.cli.index"], "ingest", slow)
    assert "in 40.0 s, 0.075 a second;" in succeeds("index", corpus, "--path", tmp_path / "db")
    monkeypatch.setattr(sys.modules["qdrant_rerank.cli.index"], "ingest", interrupted)
    for stored in (0, 2):  # nothing was stored yet, or something
        ran = run("index", corpus, "--path", tmp_path / "db")
        assert ran.code == 130
        assert ("what is stored stays: the same command goes on from there" in ran.err) is (stored > 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_process_that_is_told_to_end_says_how_to_go_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    def ended(*_: Any, on_progress: Callable[[int, int], None], **__: Any) -> IngestReport:
        on_progress(2, 0)
        signal.raise_signal(number)
        raise AssertionError("it went on")

    monkeypatch.setattr(sys.modules["qdrant_rerank.cli.index"], "ingest", ended)
    before = signal.signal(number, signal.SIG_DFL)  # nohup has these tests ignore one of them
    try:
        ran = run("index", corpus, "--path", tmp_path / "db")
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert ran.code == code
    assert "what is stored stays: the same command goes on from there" in ran.err
