"""Help: every command's is shown, its examples run, and docs/cli.md says the same."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qdrant_rerank import Coefficients, Fusion, Nearest, RelevanceFeedback, Rerank, __version__, field, save
from qdrant_rerank._internals import Reference
from qdrant_rerank.cli._internals import ABOUT, COMMANDS, TASKS, load_command, paragraphs
from qdrant_rerank.learn import Feature, FeatureLog, write_log
from scripts.cli_reference import reference
from tests.cli.local_server import LocalServer
from tests.cli.support import run, succeeds, write_corpus
from tests.learn.logs import planted
from tests.models.tiny_cross_encoder import cross_encoder_folder
from tests.models.tiny_models import onnx_folder

NAMES = list(COMMANDS)
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "cli.md"


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help_with_an_example(name: str) -> None:
    out = succeeds(name, "--help", columns=80)
    assert f"$ qdrant-rerank {name}" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_help_in_a_narrow_window_has_every_word_whole(name: str) -> None:
    out = succeeds(name, "--help", columns=40)
    assert max(map(len, out.splitlines())) <= 40
    wide = set(re.findall(r"--[a-z][a-z-]+[a-z]", succeeds(name, "--help", columns=200)))
    assert wide <= set(re.findall(r"--[a-z][a-z-]+[a-z]", out))
    assert not re.search(r"\w…", out)


def test_without_a_command_the_help_lists_them() -> None:
    ran = run(columns=80)
    assert all(f" {name} " in ran.all for name in NAMES)
    assert [line.split()[1] for line in ran.all.splitlines() if line.startswith("╭")] == ["Options", *TASKS]


def test_the_list_says_what_each_commands_help_begins_with() -> None:
    assert {name: paragraphs(load_command(name).__doc__)[0] for name in COMMANDS} == COMMANDS


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_no_client(argument: str) -> None:
    code = (
        "import sys\nfrom qdrant_rerank.cli import main\n"
        f"sys.argv = ['qdrant-rerank', '{argument}']\n"
        "try:\n    main()\nfinally:\n    print(sorted({'numpy', 'qdrant_client'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.stdout.endswith("\n[]\n"), ran.stderr


def test_the_version_is_the_packages() -> None:
    assert succeeds("--version") == f"qdrant-rerank {__version__}\n"


def test_the_reference_in_the_docs_is_up_to_date() -> None:
    assert DOCS.read_text("utf-8") == reference(), "run: python scripts/cli_reference.py > docs/cli.md"


def test_the_reference_is_written_as_the_docs_say() -> None:
    ran = subprocess.run([sys.executable, ROOT / "scripts/cli_reference.py"], capture_output=True, timeout=120, check=True)
    assert ran.stdout == DOCS.read_bytes()


def test_the_reference_has_every_option_with_its_default() -> None:
    text = reference()
    assert "| `-k` `N` | How many results. Default: 5. |" in text
    assert "`--fusion` `rrf\\|dbsf`" in text
    assert "Default: the only dense vector, or else the only sparse one." in text
    assert all(f"## {name}\n" in text for name in NAMES)


EXAMPLES = [
    paragraph.removeprefix("$ ")
    for docstring in (ABOUT, *(load_command(name).__doc__ for name in COMMANDS))
    for paragraph in paragraphs(docstring)
    if paragraph.startswith("$ ") and not paragraph.startswith("$ qdrant-rerank mcp ")  # these serve: test_mcp runs them
]


MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A Qdrant over HTTP with the collection `docs`."""
    with LocalServer() as running:
        corpus = write_corpus(tmp_path_factory.mktemp("server") / "corpus.jsonl")
        succeeds("index", corpus, "--url", running.url)
        yield running


_QUESTIONS = ("the last ferry", "ferry"), ("market day", "market"), ("a hut for the night", "hut")
TOPICS = {f"q{number}": _QUESTIONS[number % 3] for number in range(25)}  # the least to tune with
"""Questions by id, each with the document that answers it."""


def write_judgments(folder: Path) -> None:
    """Write the topics and their judgments in every form that commands read."""
    rows = [f"{topic},{text},{document},2" for topic, (text, document) in TOPICS.items()]
    (folder / "judged.csv").write_text("\n".join(["query_id,query,doc_id,grade", *rows]) + "\n", "utf-8")
    (folder / "topics.tsv").write_text("".join(f"{topic}\t{text}\n" for topic, (text, _) in TOPICS.items()), "utf-8")
    (folder / "qrels.txt").write_text("".join(f"{topic} 0 {document} 2\n" for topic, (_, document) in TOPICS.items()), "utf-8")
    run = [f"{topic} Q0 {document} 1 1.0 elsewhere\n" for topic, (_, document) in TOPICS.items()]
    (folder / "elsewhere.run").write_text("".join(run), "utf-8")
    beir = folder / "scifact"
    (beir / "qrels").mkdir(parents=True)
    queries = [json.dumps({"_id": topic, "text": text}) + "\n" for topic, (text, _) in TOPICS.items()]
    (beir / "queries.jsonl").write_text("".join(queries), "utf-8")
    judged = "".join(f"{topic}\t{document}\t2\n" for topic, (_, document) in TOPICS.items())
    for split in ("train", "test"):
        (beir / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", "utf-8")


def learned_from() -> FeatureLog:
    """Logged features that the documents have: plans refuse rankers that read what no document has."""
    log, rated = planted(topics=40, size=1600), Feature(field("rating", default=3.0))
    stored = Reference.of(np.array([4.5, 3.0, 5.0, 3.0, 2.5]), missing=0.2)
    features = {"dense": log.features["dense"], "year": rated, "popularity": rated}
    return replace(log, features=features, reference={"popularity": stored})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with all that the examples speak of."""
    folder = tmp_path_factory.mktemp("examples")
    corpus = write_corpus(folder / "corpus.jsonl")
    succeeds("index", corpus, "--edge", folder / "db", "--dense", "hash")
    for name in ("strategy.json", "rated.json", "old.json", "today.json"):
        save(Nearest("bm25"), folder / name)
    save(Nearest("dense"), folder / "dense.json")
    save(Nearest("dense"), folder / "plain.json")
    save(Rerank(reads=50).over(Nearest("dense")), folder / "rerank.json")
    trusted = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 0.5, 0.2), trust=True)
    save(trusted, folder / "feedback.json")
    for name in ("hybrid.json", "new.json"):
        save(Fusion.rrf().over(Nearest("dense", limit=100), Nearest("bm25", limit=100)), folder / name)
    (folder / "features.json").write_text(json.dumps({"rating": "field('rating', 3)"}), "utf-8")
    onnx_folder(folder / "models" / "minilm")
    cross_encoder_folder(folder / "models" / "reranker")
    write_judgments(folder)
    write_log(learned_from(), folder / "log.csv")
    succeeds("fit", folder / "log.csv", "-o", folder / "ranker.json")
    return folder


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_in_the_help_run(
    example: str, folder: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder)
    local = example.replace("http://localhost:6333", server.url).replace("--models fastembed", "")
    local = re.sub(f"{MODEL}(?!@)", f"{MODEL}@./models/minilm", local)  # tests download nothing
    program, command, *arguments = shlex.split(local)
    assert program == "qdrant-rerank"
    if command == "index" and "corpus.jsonl" in arguments:  # each example that stores documents starts from nothing
        arguments = [{"./db": f"{tmp_path}/db", "docs": "new"}.get(argument, argument) for argument in arguments]
    if command in ("features", "fit"):  # what others read stays as it is
        place = arguments.index("-o") + 1
        arguments[place] = str(tmp_path / arguments[place])
    if command == "calibrate" and "--dry-run" not in arguments:  # a fit needs more questions than there are here
        arguments += ["--dry-run"]
    if command == "demo" and "--query" not in arguments:  # the whole of it is run in its own tests
        arguments += ["--query", "market day"]
    ran = run(command, *arguments)
    assert ran.code == 0, ran.all
    assert ran.out
