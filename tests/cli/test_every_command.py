"""Every command on the run's engine: a folder, or a server over REST or gRPC, of one shard or several."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import Fusion, Nearest, save
from qdrant_rerank.ingest import ensure_collection
from qdrant_rerank.models import Bm25, HashedNgrams
from tests.cli.support import Ran, run, write_corpus
from tests.engines import Engine, current, on_server, open_client
from tests.models.tiny_cross_encoder import cross_encoder_folder

_WORDS = ["lake", "ferry", "night", "train", "bike", "hut", "stove", "market", "cheese", "pier", "river", "bridge", "storm"]


@dataclass(frozen=True)
class World:
    """Forty documents in a collection, 25 judged queries, strategies, and a model that reranks."""

    folder: Path
    place: tuple[str, ...]
    env: dict[str, str]

    def run(self, command: str, *arguments: object) -> Ran:
        return run(command, *arguments, *self.place, env=self.env, columns=140)

    def does(self, command: str, *arguments: object, code: int = 0) -> str:
        """What the command prints, having ended as it should."""
        ran = self.run(command, *arguments)
        assert ran.code == code, ran.all
        return ran.out

    @property
    def judged(self) -> Path:
        return self.folder / "judged.csv"

    @property
    def model(self) -> str:
        return f"cross-encoder:{self.folder / 'reranker'}"


@pytest.fixture(scope="module")
def world(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("commands")
    drawn = random.Random(0)
    documents: list[dict[str, Any]] = [
        {"_id": f"d{n}", "text": " ".join(drawn.sample(_WORDS, 6)), "rating": n % 5, "town": "AB"[n % 2]} for n in range(40)
    ]
    write_corpus(folder / "corpus.jsonl", documents)
    rows = [f"q{n},{' '.join(drawn.sample(documents[n]['text'].split(), 3))},d{n},1" for n in range(25)]
    (folder / "judged.csv").write_text("\n".join(["query_id,query,doc_id,grade", *rows]) + "\n", "utf-8")
    cross_encoder_folder(folder / "reranker")
    save(Nearest("dense"), folder / "plain.json")
    save(Fusion.rrf().over(Nearest("dense"), Nearest("bm25")), folder / "hybrid.json")
    place, env = _place(folder)
    made = World(folder, place, env)
    made.does("index", folder / "corpus.jsonl", "--dense", "hash", "--sparse", "bm25")
    return made


def _place(folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """The options that say where Qdrant is, and the environment's variables; a server's collection is made here."""
    if current().kind != "server":
        return ("--edge" if current().kind == "edge" else "--path", str(folder / "db")), {}
    client = open_client()  # has the run's number of shards
    ensure_collection(client, "docs", {"dense": HashedNgrams(), "bm25": Bm25()})
    grpc = ("--prefer-grpc", "--grpc-port", os.environ.get("QDRANT_GRPC_PORT", "6334")) if current().grpc else ()
    key = os.environ.get("QDRANT_API_KEY")
    place = ("--url", os.environ["QDRANT_URL"], "--collection", on_server(client, "docs"), *grpc)
    return place, {} if key is None else {"QDRANT_API_KEY": key}


def found(out: str) -> list[str]:
    return [json.loads(line)["payload"]["_id"] for line in out.splitlines()]


def test_documents_that_are_there_are_skipped(world: World) -> None:
    again = world.does("index", world.folder / "corpus.jsonl", "--dense", "hash", "--sparse", "bm25")
    assert "40 were there already" in " ".join(again.split())


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--hybrid",),
        ("--hybrid", "--fusion", "dbsf"),
        ("--formula", "0.8*score('rrf') + 0.2*field('rating', 3)"),
        ("--hybrid", "--mmr", 0.3),
        ("--group-by", "town"),
        ("--filter", '{"must": [{"key": "town", "match": {"value": "A"}}]}'),
    ],
    ids=str,
)
def test_searches_find_and_explain(world: World, flags: tuple[object, ...]) -> None:
    first = found(world.does("search", "lake ferry night", *flags, "--json", "-k", 5))
    assert len(first) == len(set(first)) == (2 if "--group-by" in flags else 5)
    if "--group-by" not in flags:
        told = [
            json.loads(line) for line in world.does("search", "lake ferry night", *flags, "--explain", "--json").splitlines()
        ]
        for each in told:
            terms = each["explanation"]["terms"]
            assert terms == {} or sum(terms.values()) == pytest.approx(each["score"], abs=1e-5)
    assert "round trips" in world.does("plan", *(flag for flag in flags if flag != "--group-by" and flag != "town"))


def test_a_model_reads_the_candidates(world: World) -> None:
    assert len(found(world.does("search", "lake ferry", "--hybrid", "--rerank", world.model, "--json", "-k", 5))) == 5


def test_plain_search_measures_as_in_this_process(world: World, tmp_path: Path) -> None:
    run("index", world.folder / "corpus.jsonl", "--path", tmp_path / "db", "--dense", "hash")
    asked = ("evaluate", world.judged, "--using", "dense", "--json", "--measure", "nDCG@10", "--measure", "R@10")
    here = json.loads(run(*asked, "--path", tmp_path / "db").out)
    there = json.loads(world.does(*asked, "--check-documents"))
    assert [there["means"][measure]["estimate"] for measure in here["means"]] == pytest.approx(
        [each["estimate"] for each in here["means"].values()]
    )


def test_strategies_are_compared(world: World) -> None:
    strategies = ("-s", world.folder / "plain.json", "-s", world.folder / "hybrid.json")
    assert "hybrid" in world.does("compare", world.judged, *strategies, "--explain")


def test_a_ranker_is_learned_used_and_watched(world: World, tmp_path: Path) -> None:
    log, ranker = tmp_path / "log.jsonl", tmp_path / "ranker.json"
    features = ("-f", "dense=score('dense')", "-f", "bm25=score('bm25')", "-f", "rating=field('rating', 3)")
    assert "rows of 25 topics" in world.does("features", world.judged, "--hybrid", *features, "-o", log)
    fitted = run("fit", log, "-o", ranker)
    assert fitted.code == 0, fitted.all
    assert len(found(world.does("search", "lake ferry", "-s", ranker, "--json", "-k", 4))) == 4
    assert "as in training" in world.does("drift", ranker)
    (tmp_path / "topics.tsv").write_text("a\tlake ferry\nb\tnight train\n", "utf-8")
    assert "candidates" in world.does("drift", ranker, "--topics", tmp_path / "topics.tsv")


def test_strategies_are_tuned(world: World, tmp_path: Path) -> None:
    out = world.does("tune", world.judged, "--depth", 20, "--no-learn", "--output", tmp_path / "best.json")
    assert "25 topics" in out
    assert found(world.does("search", "lake ferry", "-s", tmp_path / "best.json", "--json"))


def test_relevance_feedback_is_fitted(world: World, tmp_path: Path) -> None:
    feedback = tmp_path / "feedback.json"
    queries = tmp_path / "queries.tsv"
    queries.write_text("".join(f"q{n}\t{' '.join(random.Random(n).sample(_WORDS, 3))}\n" for n in range(24)), "utf-8")
    ran = world.run("calibrate", queries, "--rerank", world.model, "--output", feedback, "--anyway")
    assert ran.code in (0, 3), ran.all  # 3: feedback isn't what to use
    assert len(found(world.does("search", "lake bike", "-s", feedback, "--rerank", world.model, "--json", "-k", 3))) == 3


def test_the_demo_leaves_nothing_behind(world: World) -> None:
    place = tuple(part for part in world.place if "--url" in world.place)
    client = open_client()
    named = place.index("--collection") if place else 0
    ran = run("demo", *place[:named], *place[named + 2 :], "--query", "a quiet bed for the night", env=world.env)
    assert ran.code == 0, ran.all
    assert not [each.name for each in client.get_collections().collections]
