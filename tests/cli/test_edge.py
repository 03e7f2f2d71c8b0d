"""`--edge DIR`: the Rust engine in this process, and what is said when the folder isn't one of its."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank.edge import EdgeClient
from tests.cli.support import fails, run, succeeds, write_corpus


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `db`, in a folder of the Rust engine. Tests only read it."""
    folder = tmp_path_factory.mktemp("edge")
    succeeds("index", write_corpus(folder / "corpus.jsonl"), "--edge", folder / "db", "--dense", "hash")
    return folder / "db"


def ids(where: str, folder: Path, *arguments: object) -> list[str]:
    out = succeeds("search", *arguments, where, folder, "--json")
    return [json.loads(line)["payload"]["_id"] for line in out.splitlines()]


@pytest.mark.parametrize("flags", [(), ("--hybrid",), ("--hybrid", "--mmr", 0.3)])
def test_searching_finds_what_local_mode_finds(edge: Path, db: Path, flags: tuple[object, ...]) -> None:
    question = "bikes on the night train"
    assert ids("--edge", edge, question, *flags) == ids("--path", db, question, *flags)


def test_indexing_goes_on_where_it_stopped_and_says_how_to_search(corpus: Path, tmp_path: Path) -> None:
    first = succeeds("index", corpus, "--edge", tmp_path / "db")
    assert f"search it: qdrant-rerank search ... --edge {tmp_path / 'db'} --collection docs" in first
    again = succeeds("index", corpus, "--edge", tmp_path / "db")
    assert "5 were there already" in " ".join(again.split())


def test_explaining_names_the_engine_s_version(edge: Path) -> None:
    assert "1.20.0" in succeeds("plan", "--edge", edge)


def test_a_missing_payload_index_is_made_by_the_command_that_the_warning_names(corpus: Path, tmp_path: Path) -> None:
    succeeds("index", corpus, "--edge", tmp_path / "db")
    asked = ("--edge", tmp_path / "db", "-s", tmp_path / "rated.json")
    (tmp_path / "rated.json").write_text(
        '{"kind": "formula", "expression": "score() + field(\'rating\', 3)", '
        '"candidates": [{"kind": "nearest", "using": "bm25", "limit": 9}]}'
    )
    told = "e.g. with qdrant-rerank index --strategy FILE, without a corpus"
    warning = " ".join(run("search", "night", *asked).err.split())
    assert warning.startswith("warning: 'rating' has no payload index")
    assert warning.endswith(told)
    assert told in " ".join(succeeds("plan", *asked).split())
    assert "made the float index on 'rating'" in succeeds("index", *asked)
    assert "no payload index" not in run("search", "night", *asked).all
    assert "there is nothing to do" in succeeds("index", *asked)
    assert "what is to be stored? Give CORPUS.jsonl, or --strategy FILE" in fails("index", "--edge", tmp_path / "db")


def test_one_collection_s_own_folder_will_do(edge: Path) -> None:
    assert "The last ferry" in succeeds("search", "last ferry", "--edge", edge / "docs", "--dense", "hash")


def test_a_folder_and_another_place_exclude_each_other(edge: Path, db: Path) -> None:
    message = "--edge is a folder of the Rust engine, --path one of qdrant-client's local mode, --url a server"
    assert message in fails("search", "x", "--edge", edge, "--path", db)
    assert message in fails("index", __file__, "--edge", edge, "--url", "http://localhost:1")
    assert "--prefer-grpc has no effect here: that is for servers" in fails("plan", "--edge", edge, "--prefer-grpc")


def test_a_folder_wins_over_the_environments_server(edge: Path) -> None:
    assert run("search", "ferry", "--edge", edge, env={"QDRANT_URL": "http://127.0.0.1:1"}).code == 0


def test_searching_makes_no_folder(tmp_path: Path) -> None:
    message = f"{tmp_path / 'db'} doesn't exist: give the folder that qdrant-rerank index CORPUS.jsonl --edge DIR filled"
    assert message in fails("search", "x", "--edge", tmp_path / "db")
    assert f"{tmp_path} holds no Qdrant collections" in fails("search", "x", "--edge", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_or_a_folder_of_other_things_is_refused(corpus: Path) -> None:
    assert f"{corpus} is a file; --edge takes a folder" in fails("index", corpus, "--edge", corpus)
    assert f"{corpus.parent} holds other files and no Qdrant" in fails("index", corpus, "--edge", corpus.parent)


def test_a_folder_of_the_other_engine_says_which_option_reads_it(edge: Path, db: Path, corpus: Path) -> None:
    message = fails("search", "x", "--path", edge)
    assert message == f"error: {edge} was written by qdrant-edge: read it with --edge {edge}, or index into another folder\n"
    assert f"{db} was written by qdrant-client's local mode: read it with --path {db}" in fails("search", "x", "--edge", db)
    assert "was written by qdrant-edge" in fails("index", corpus, "--path", edge)
    assert "was written by qdrant-client's local mode" in fails("index", corpus, "--edge", db)


def test_a_collection_that_another_has_open_says_so(edge: Path) -> None:
    with EdgeClient(edge) as client:
        client.count("docs")
        message = fails("search", "x", "--edge", edge)
    assert "another process or another EdgeClient has the collection open" in message
    assert run("search", "x", "--edge", edge).code == 0


def test_a_missing_collection_lists_those_there_are(edge: Path) -> None:
    message = fails("search", "x", "--edge", edge, "--collection", "dosc")
    assert message == "error: there is no collection 'dosc': did you mean 'docs'? (there are: docs)\n"


def test_there_is_no_server_that_embeds(edge: Path) -> None:
    message = "--dense server:acme/m:4: there is no server that could embed; that needs --url"
    assert message in fails("search", "ferry", "--edge", edge, "--dense", "server:acme/m:4")


def test_without_the_extra_the_message_says_what_to_install(edge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("qdrant_rerank.edge")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    message = fails("search", "x", "--edge", edge)
    assert message == "error: the embedded Rust engine needs an optional dependency: pip install 'qdrant-rerank[edge]'\n"


def test_an_empty_folder_of_local_mode_is_told_from_an_empty_folder(tmp_path: Path, corpus: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    client.create_collection("docs", models.VectorParams(size=1, distance=models.Distance.DOT))
    client.delete_collection("docs")
    client.close()
    assert "was written by qdrant-client's local mode" in fails("index", corpus, "--edge", tmp_path / "db")
