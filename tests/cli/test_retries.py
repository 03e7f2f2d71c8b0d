"""`--retries N`: every command that talks to a server has it, and has every one of its requests made again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from qdrant_rerank import Fusion, Nearest, Retries, StrategyError, save
from qdrant_rerank.cli._internals import COMMANDS, CommandRetries
from tests.cli.local_server import LocalServer
from tests.cli.support import fails, run, succeeds, write_corpus
from tests.models.tiny_cross_encoder import cross_encoder_folder
from tests.stub_qdrant import Received
from tests.support import refused

_WORDS = ["lake", "ferry", "night", "train", "bike", "hut", "stove", "market", "cheese", "pier", "river", "bridge", "storm"]


class Unsteady(LocalServer):
    """Refuses requests, as a server that is overloaded does: the first of each kind if `unsteady`, and `refusals` searches."""

    refusals = 0

    def __init__(self) -> None:
        super().__init__()
        self.unsteady, self.refused = False, set[str]()

    def answer(self, request: Received) -> tuple[int, Any]:
        kind = f"{request.method} {request.path}"
        if self.unsteady and kind not in self.refused:
            self.refused.add(kind)
            return 503, {"status": {"error": "Service is overloaded"}, "time": 0.0}
        if "/points/query" in request.path and self.refusals:
            self.refusals -= 1
            return 503, {"status": {"error": "Service is starting"}, "time": 0.0}
        return super().answer(request)


class World(NamedTuple):
    """A server with forty documents, and files for every command."""

    server: Unsteady
    commands: dict[str, list[object]]

    def line(self, command: str) -> list[object]:
        return [*self.commands[command], "--url", self.server.url]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, drawn = tmp_path_factory.mktemp("policy"), random.Random(0)
    documents: list[dict[str, Any]] = [{"_id": f"d{n}", "text": " ".join(drawn.sample(_WORDS, 6))} for n in range(40)]
    corpus, judged = write_corpus(folder / "corpus.jsonl", documents), folder / "judged.csv"
    rows = [f"q{n},{' '.join(drawn.sample(documents[n]['text'].split(), 3))},d{n},1" for n in range(25)]
    judged.write_text("\n".join(["query_id,query,doc_id,grade", *rows]) + "\n", "utf-8")
    queries = folder / "queries.tsv"
    queries.write_text("".join(f"q{n}\t{' '.join(random.Random(n).sample(_WORDS, 3))}\n" for n in range(24)), "utf-8")
    save(Nearest("dense"), folder / "plain.json")
    save(Fusion.rrf().over(Nearest("dense"), Nearest("bm25")), folder / "hybrid.json")
    cross_encoder_folder(folder / "reranker")
    with Unsteady() as server:
        succeeds("index", corpus, "--url", server.url, "--dense", "hash")
        log = ["features", judged, "--hybrid", "--collection", "docs"]
        run(*log, "-o", folder / "first.jsonl", "--url", server.url)
        run("fit", folder / "first.jsonl", "-o", folder / "ranker.json")
        model = f"cross-encoder:{folder / 'reranker'}"
        commands: dict[str, list[object]] = {
            "index": ["index", corpus, "--overwrite", "--dense", "hash"],
            "add-vectors": ["add-vectors"],
            "schema": ["schema"],
            "search": ["search", "lake ferry", "--hybrid"],
            "plan": ["plan", "--hybrid", "--query", "lake ferry"],
            "evaluate": ["evaluate", judged, "--hybrid", "--check-documents"],
            "compare": ["compare", judged, "-s", folder / "plain.json", "-s", folder / "hybrid.json", "--explain"],
            "tune": ["tune", judged, "--depth", 20, "--no-learn"],
            "features": [*log, "-o", folder / "log.csv"],
            "drift": ["drift", folder / "ranker.json", "--topics", queries],
            "calibrate": ["calibrate", queries, "--rerank", model],
            "demo": ["demo", "--query", "a quiet bed for the night"],
        }
        yield World(server, commands)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr("qdrant_rerank.calls.time.sleep", made.append)
    return made


def test_every_command_that_talks_to_a_server_is_tried(world: World) -> None:
    assert set(COMMANDS) - set(world.commands) == {"fit", "mcp"}  # mcp serves until it is ended: test_mcp.py


@pytest.mark.parametrize(
    "command",
    [
        "index",
        "add-vectors",
        "schema",
        "search",
        "plan",
        "evaluate",
        "compare",
        "tune",
        "features",
        "drift",
        "calibrate",
        "demo",
    ],
)
def test_each_request_is_made_again(world: World, command: str, pauses: list[float]) -> None:
    server = world.server
    server.unsteady = True
    try:
        ran = run(*world.line(command), "--retries", 6)
        assert ran.code in ((0, 3) if command == "calibrate" else (0,)), ran.all
        needed = server.refused - {"GET /telemetry"}  # a second way to read the schema
        assert len(pauses) == len(needed) > 1
        for told in ([], ["--retries", 0]):  # a server that isn't there is told at once
            server.refused.clear()
            assert "Service is overloaded" in fails(*world.line(command), *told)
            assert len(server.refused) == (2 if command == "demo" else 1)  # whose collection is to be removed all the same
    finally:
        server.unsteady = False
        server.refused.clear()
    assert "--retries must be a whole number of at least 0, got -1" in fails(*world.line(command), "--retries", -1)


MEASURING = ["evaluate", "compare", "tune", "features", "drift", "calibrate"]


@pytest.mark.parametrize("command", MEASURING)
def test_what_is_measured_is_waited_for_unless_told_otherwise(world: World, command: str, pauses: list[float]) -> None:
    world.server.refusals = 8
    ran = run(*world.line(command))
    assert ran.code in ((0, 3) if command == "calibrate" else (0,)), ran.all
    assert len(pauses) == 8
    world.server.refusals = 1
    ran = run(*world.line(command), "--retries", 0)
    assert ran.code == 2, ran.all
    assert "Service is starting" in ran.err
    assert len(pauses) == 8
    assert world.server.refusals == 0


def test_a_search_is_made_once_unless_told_otherwise(world: World, pauses: list[float]) -> None:
    world.server.refusals = 1
    told = fails(*world.line("search"))
    assert "Qdrant answers 503: Service is starting" in told
    assert "or let --retries N do so" in told
    assert (world.server.refusals, pauses) == (0, [])


def test_a_server_that_never_answers_is_told_with_what_was_tried(pauses: list[float]) -> None:
    told = fails("search", "ferry", "--url", "http://127.0.0.1:1", "--retries", 2)
    assert "gave up after 3 calls in" in told
    assert "is it running there? --edge DIR and --path DIR work without a server\n" in told
    assert len(pauses) == 2
    assert "--retries N waits for one that starts" in fails("search", "ferry", "--url", "http://127.0.0.1:1")


def test_the_number_keeps_the_pauses_of_the_command() -> None:
    own = Retries(12, longest_pause=15.0, seconds=300.0)
    assert CommandRetries.of(None, own).rest == own
    assert CommandRetries.of(None, own).first.most == 0
    assert CommandRetries.of(2, own) == CommandRetries(
        Retries(2, longest_pause=15.0, seconds=300.0), Retries(2, longest_pause=15.0, seconds=300.0)
    )
    with refused(StrategyError, "retries must be a whole number of at least 0, got -1"):
        CommandRetries.of(-1)
