"""Commands over HTTP: what goes to the server, what is left there, and that the API key is shown nowhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models
from qdrant_client.models import Modifier

from qdrant_rerank import Formula, Nearest, save, score
from qdrant_rerank.cli._internals import Where, open_remote
from qdrant_rerank.expressions import when
from tests.cli.local_server import LocalServer
from tests.cli.support import fails, run, succeeds
from tests.slow_qdrant import SlowQdrant
from tests.stub_qdrant import Received

SECRET = "s3cret-key-of-the-server"


def test_a_corpus_is_indexed_and_searched_on_a_server(corpus: Path, server: LocalServer) -> None:
    out = succeeds("index", corpus, "--url", server.url, "--dense", "hash", "--collection", "trips")
    assert "5 documents written" in out
    assert f"--url {server.url} --collection trips --hybrid" in out
    found = succeeds("search", "last ferry", "--hybrid", "--json", "-k", 1, env={"QDRANT_URL": server.url})
    assert json.loads(found)["payload"]["_id"] == "ferry"
    assert "round trips: 1" in succeeds("plan", "--url", server.url, "--hybrid")


def test_a_search_is_one_request_beside_reading_the_schema(corpus: Path, server: LocalServer) -> None:
    succeeds("index", corpus, "--url", server.url, "--dense", "hash")
    before = len(server.paths)
    succeeds("search", "last ferry", "--url", server.url, "--hybrid")
    assert [path for path in server.paths[before:] if "/points/" in path] == ["POST /collections/docs/points/query"]


def test_a_large_formula_is_computed_here_and_its_plan_says_so(corpus: Path, server: LocalServer, tmp_path: Path) -> None:
    succeeds("index", corpus, "--url", server.url, "--dense", "hash")
    bounds = [models.FieldCondition(key="rating", range=models.Range(lte=number / 100)) for number in range(1000)]
    large = Formula(sum((when(each, 0.001) for each in bounds), score())).over(Nearest("bm25", limit=50))
    save(large, tmp_path / "large.json")
    save(large.on_server(), tmp_path / "pinned.json")
    given = "--url", server.url, "--strategy"
    assert "here by itself" in " ".join(succeeds("plan", *given, tmp_path / "large.json").split())
    assert "in Qdrant, as .on_server() says" in " ".join(succeeds("plan", *given, tmp_path / "pinned.json").split())
    assert "The last ferry" in succeeds("search", "last ferry", *given, tmp_path / "large.json", "-k", 1)
    [sent] = [request.body for request in server.received if request.path.endswith("/points/query")]
    assert "prefetch" not in sent


def test_a_strategy_has_its_payload_indexes_made(corpus: Path, server: LocalServer, tmp_path: Path) -> None:
    strategy = tmp_path / "s.json"
    nearest = {"kind": "nearest", "using": "bm25"}
    strategy.write_text(json.dumps({"kind": "formula", "expression": "field('rating', 3)", "candidates": [nearest]}))
    out = succeeds("index", corpus, "--url", server.url, "--strategy", strategy)
    assert "made the float index on 'rating'" in out
    [request] = [request for request in server.received if request.path.endswith("/index")]
    assert request.body == {"field_name": "rating", "field_schema": "float"}


def test_a_server_that_cannot_remember_models_is_said_to_be_old(corpus: Path, tmp_path: Path) -> None:
    with LocalServer(has_metadata=False) as server:
        out = succeeds("index", corpus, "--url", server.url)
        assert "this server is too old to remember the models" in out
        assert "give --sparse MODEL" in fails("search", "ferry", "--url", server.url)
        assert "The last ferry" in succeeds("search", "ferry", "--url", server.url, "--sparse", "bm25")


def test_the_api_key_goes_to_the_server_and_nowhere_else(corpus: Path) -> None:
    with LocalServer(key=SECRET) as server:
        commands = [
            ("index", corpus, "--url", server.url),
            ("search", "ferry", "--url", server.url, "--debug"),
            ("search", "ferry", "--url", server.url, "--collection", "nope", "--debug"),
            ("plan", "--url", server.url),
        ]
        for command in commands:
            ran = run(*command, env={"QDRANT_API_KEY": SECRET})
            assert ran.code == (2 if "nope" in command else 0), ran.all
            assert SECRET not in ran.all
        assert {request.headers["api-key"] for request in server.received} == {SECRET}


def test_a_wrong_api_key_is_said_without_showing_it() -> None:
    with LocalServer(key=SECRET) as server:
        for command in (("search", "ferry", "--debug"), ("search", "ferry")):
            ran = run(*command, "--url", server.url, env={"QDRANT_API_KEY": "wrong-key"})
            assert ran.code == 2
            assert "Qdrant refuses access: set the environment variable QDRANT_API_KEY to a key that it accepts" in ran.err
            assert "wrong-key" not in ran.all


def test_there_is_no_option_for_the_api_key() -> None:
    ran = run("search", "ferry", "--api-key", SECRET)
    assert ran.code == 2
    assert "No such option" in ran.err


def test_a_server_that_is_not_there_is_named() -> None:
    message = fails("search", "ferry", "--url", "http://127.0.0.1:1")
    assert "no answer from Qdrant at http://127.0.0.1:1" in message
    assert "is it running there? --edge DIR and --path DIR work without a server" in message
    assert "UNAVAILABLE" in fails("search", "ferry", "--url", "http://127.0.0.1:1", "--prefer-grpc", "--grpc-port", 1)


def test_a_password_in_the_address_is_not_shown() -> None:
    message = fails("search", "ferry", "--url", f"http://me:{SECRET}@127.0.0.1:1")
    assert "no answer from Qdrant at http://127.0.0.1:1" in message
    assert SECRET not in message


class Failing(LocalServer):
    """A server with an error of its own."""

    def answer(self, request: Received) -> tuple[int, Any]:
        return 500, {"status": {"error": "Service internal error: disk full"}, "time": 0.0}


def test_what_the_server_says_is_shown() -> None:
    with Failing() as server:
        message = fails("search", "ferry", "--url", server.url)
    assert message.startswith("error: Qdrant answers 500: ")
    assert "Service internal error: disk full" in message


def test_a_server_that_embeds_gets_the_texts(corpus: Path, server: LocalServer) -> None:
    models = ("--dense", "server:acme/dense:4", "--sparse", "server:qdrant/bm25")
    run("index", corpus, "--url", server.url, *models)  # the stand-in can't embed: what matters is what it was sent
    info = server.qdrant.get_collection("docs").config.params
    assert info.vectors["dense"].size == 4  # type: ignore[index]  # there are several vectors, by name
    assert info.sparse_vectors is not None
    assert info.sparse_vectors["sparse"].modifier == Modifier.IDF
    [written] = [request.body for request in server.received if request.method == "PUT" and request.path.endswith("/points")]
    vector = written["points"][0]["vector"]
    assert vector["dense"] == {"text": "The last ferry leaves the pier at ten", "model": "acme/dense"}
    assert vector["sparse"]["model"] == "qdrant/bm25"


class Busy(LocalServer):
    """A server that refuses the first searches, as one that starts does."""

    refusals = 2

    def answer(self, request: Received) -> tuple[int, Any]:
        if "/points/query" in request.path and self.refusals:
            self.refusals -= 1
            return 503, {"status": {"error": "Service is starting"}, "time": 0.0}
        return super().answer(request)


def test_retries_wait_for_a_server_that_starts(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("qdrant_rerank.calls.time.sleep", pauses.append)
    with Busy() as server:
        succeeds("index", corpus, "--url", server.url)
        assert "Qdrant answers 503: Service is starting" in fails("search", "ferry", "--url", server.url)
        server.refusals = 2
        assert "The last ferry" in succeeds("search", "ferry", "--url", server.url, "--retries", 2)
        assert "retries must be a whole number of at least 0" in fails("search", "ferry", "--url", server.url, "--retries", -1)
    assert len(pauses) == 2


class Odd(LocalServer):
    """Not Qdrant."""

    def answer(self, request: Received) -> tuple[int, Any]:
        return 200, {"hello": "world"}


def test_what_is_not_qdrant_is_said_to_be_so() -> None:
    with Odd() as server:
        message = fails("search", "ferry", "--url", server.url)
        assert f"listing the collections at {server.url} failed: qdrant-client can't read the answer" in message


class OddJson(LocalServer):
    """Not Qdrant either."""

    def answer(self, request: Received) -> tuple[int, Any]:
        return 200, ["hello", "world"]


def test_what_answers_in_another_shape_is_said_not_to_be_qdrant() -> None:
    with OddJson() as server:
        assert f"what answers at {server.url} isn't Qdrant" in fails("search", "ferry", "--url", server.url)


GRPC = [
    ("index", "CORPUS"),
    ("search", "ferry"),
    ("plan",),
    ("evaluate", "TOPICS", "--qrels", "QRELS"),
    ("drift", "RANKER"),
]


@pytest.mark.parametrize("command", GRPC, ids=lambda command: command[0])
def test_grpc_never_goes_to_another_server_than_the_url_names(command: tuple[str, ...], corpus: Path, tmp_path: Path) -> None:
    files = {
        "CORPUS": corpus,
        "TOPICS": tmp_path / "topics.tsv",
        "QRELS": tmp_path / "qrels.txt",
        "RANKER": tmp_path / "r.json",
    }
    files["TOPICS"].write_text("1\tferry\n")
    files["QRELS"].write_text("1 0 ferry 1\n")
    files["RANKER"].write_text(json.dumps({"kind": "ranker"}))
    given = [files.get(part, part) for part in command]
    said = fails(*given, "--url", "http://127.0.0.1:7000", "--prefer-grpc")
    if command[0] != "drift":  # which reads its file first
        assert "which port does gRPC have?" in said
        assert "--grpc-port PORT" in said


def test_where_grpc_is_can_be_said_and_is_6334_beside_6333() -> None:
    for url, port, expected in (("http://db:6333", None, 6334), ("http://db", None, 6334), ("http://db:7000", 7001, 7001)):
        where = Where(url=url, prefer_grpc=True, grpc_port=port).settle()
        client: Any = open_remote(where)
        assert (client._client._host, client._client._grpc_port) == ("db", expected)
        assert where.options() == ["--url", url, "--prefer-grpc", *([] if port is None else ["--grpc-port", str(port)])]
    assert "--grpc-port has no effect here: that is for servers" in fails("search", "x", "--path", "db", "--grpc-port", 6334)
    assert "--grpc-port has no effect without --prefer-grpc" in fails("search", "x", "--url", "http://db", "--grpc-port", 6334)


def test_a_search_ends_in_time_and_says_in_which_step() -> None:
    for how, step in (
        ("hangs", "while searching"),
        ("drips", "while searching"),
        ("hangs at first", "listing the collections"),
    ):
        with SlowQdrant(how, size=512) as server:  # type: ignore[arg-type]
            start = time.monotonic()
            said = fails("search", "ferry", "--url", server.url, "--dense", "hash", "--timeout", 1.5)
            assert time.monotonic() - start < 15
            assert "timeout of 1.5 s was over" in said
            assert step in said
    assert "--timeout must be a finite number of seconds above 0" in fails("search", "x", "--url", "http://db", "--timeout", 0)


def test_other_commands_time_each_request() -> None:
    client: Any = open_remote(Where(url="http://db", timeout=2.5).settle())
    assert client._client._timeout == 3
