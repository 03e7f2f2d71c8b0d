"""Options that would have no effect are refused, or told where people give all their commands the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from qdrant_rerank import Formula, Nearest, Rerank, save
from qdrant_rerank.expressions import field, score
from tests.cli.support import fails, run, succeeds, write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries and judgments, runs, and strategies."""
    made = tmp_path_factory.mktemp("unused")
    (made / "topics.tsv").write_text("q1\tnight train\nq2\tmarket\n", "utf-8")
    (made / "judged.csv").write_text("query_id,query,doc_id,grade\nq1,night train,train,1\nq2,market,market,1\n", "utf-8")
    (made / "qrels.txt").write_text("q1 0 train 1\n", "utf-8")
    for name in ("a", "b"):
        (made / f"{name}.run").write_text(f"q1 Q0 train 1 1.0 {name}\n", "utf-8")
    save(Nearest("dense"), made / "plain.json")
    save(Nearest("bm25"), made / "words.json")
    save(Rerank().over(Nearest("bm25")), made / "read.json")
    save(Formula(score() + field("rating", 0)).over(Nearest("bm25")), made / "rated.json")
    return made


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("index -s rated.json DB --text-key text", "--text-key"),
        ("index -s rated.json DB --dense hash --overwrite --limit 5", "--dense and --limit and --overwrite"),
        ("index -s rated.json DB --shard-key a", "--shard-key"),
        ("schema DB --timeout 3", "--timeout has no effect here: that is for servers"),
        ("search train DB --retries 3", "--retries has no effect here: that is for servers"),
        ("search train DB --json --text-key text", "--text-key has no effect here: --json prints the whole payload"),
        ("evaluate judged.csv DB --split dev", "--split has no effect here: it is for a BEIR folder"),
        ("calibrate topics.tsv DB --split dev", "--split has no effect here: it is for a BEIR folder"),
        ("calibrate topics.tsv DB --doc-id key", "--doc-id has no effect here: there are no judgments"),
        ("calibrate DB --sample 5 --most 9 --doc-id key", "--doc-id and --most have no effect here: --sample makes"),
        ("calibrate topics.tsv DB --dry-run --json", "--json has no effect here: --dry-run"),
        (
            "compare judged.csv --run a.run --run b.run --explain --batch-size 4 --url http://x",
            "--explain and --batch-size and --url",
        ),
        ("compare judged.csv --run a.run --run b.run --rerank minilm --dense hash", "--rerank and --dense have no effect"),
        ("compare judged.csv DB -s plain.json -s words.json --rerank minilm", "--rerank has no effect here: none of the"),
        ("tune judged.csv DB --text-key text", "--text-key has no effect here: no model reads"),
        ("tune judged.csv DB --max-texts 9", "--max-texts has no effect here: no model reads"),
        ("features judged.csv DB -o log.csv --random 3", "--random has no effect here: it says what else --hard"),
        ("features judged.csv DB -o log.csv --hard 3 --drop-unjudged", "--hard has no effect here: --drop-unjudged"),
        ("drift ranker.json DB --dense hash", "--dense has no effect here: only --topics FILE are embedded"),
        ("drift ranker.json DB --topics topics.tsv --sample 9", "--sample has no effect here: the candidates of --topics"),
        ("demo --retries 3 --timeout 2", "--timeout and --retries have no effect here: that is for a server: add --url"),
    ],
)
def test_an_option_without_effect_is_refused(
    line: str, says: str, folder: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    arguments = [part for word in line.split() for part in (["--path", str(db)] if word == "DB" else [word])]
    assert says in " ".join(fails(*arguments).split())


def test_models_that_nothing_here_asks_are_told(folder: Path, db: Path) -> None:
    ran = run("search", "night train", "--path", db, "--using", "bm25", "--dense", "hash", "--late", "none", "--sparse", "bm25")
    assert (ran.code, ran.err) == (0, "warning: --dense: nothing here searches such a vector\n")
    ran = run("plan", "--path", db, "--using", "dense", "--dense", "hash")
    assert (ran.code, ran.err) == (0, "warning: --dense: nothing is embedded without --query TEXT\n")
    same = ("-s", folder / "plain.json", "-s", folder / "words.json", "--dense", "hash", "--sparse", "bm25")
    assert run("compare", folder / "judged.csv", "--path", db, *same).err == ""  # one of them searches each


def test_text_keys_of_json_are_for_a_model_or_a_picture(db: Path, tmp_path: Path) -> None:
    asked = ("search", "night", "--path", db, "--using", "bm25", "--json", "--text-key", "text")
    assert succeeds(*asked, "--picture", tmp_path / "why.svg")


def test_the_candidates_of_a_plain_search_are_what_it_finds(folder: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", [{"_id": f"d{n}", "text": f"night {n}"} for n in range(30)])
    succeeds("index", corpus, "--path", tmp_path / "db", "--dense", "hash")
    asked = ("features", folder / "judged.csv", "--path", tmp_path / "db", "--using", "dense", "-o")
    assert "60 rows of 2 topics" in run(*asked, tmp_path / "usual.csv").out
    assert "40 rows of 2 topics" in run(*asked, tmp_path / "more.csv", "--limit", 20).out
