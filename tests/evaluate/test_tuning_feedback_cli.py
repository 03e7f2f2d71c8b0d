"""`qdrant-rerank tune --feedback`: what calibrate wrote, beside plain search and reranking; and what is refused."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qdrant_rerank import Coefficients, Fusion, Nearest, RelevanceFeedback, save
from qdrant_rerank._internals import hashes_of
from qdrant_rerank.cli._internals import run_index as index
from qdrant_rerank.cli._internals import run_tune as tune
from qdrant_rerank.feedback import Provenance
from tests.models.tiny_cross_encoder import cross_encoder_folder

app = typer.Typer()
app.command("index")(index)
app.command("tune")(tune)

_WORDS = ["lake", "ferry", "night", "train", "bike", "hut", "stove", "market", "cheese", "pier", "river", "bridge", "storm"]


def run(*arguments: object) -> tuple[int, str, str]:
    """The exit code, what was printed, and what was printed to standard error."""
    result = CliRunner(env={"COLUMNS": "120", "QDRANT_URL": None}).invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def fitted(path: Path, model: str | None = None) -> Path:
    """A file of coefficients as `calibrate` writes it."""
    provenance = Provenance(mode="recall", seeds=3, vector="dense", reranker=model)
    coefficients = Coefficients(1.0, 0.5, 0.2, provenance)
    strategy = RelevanceFeedback(seeds=Nearest("dense", limit=3), coefficients=coefficients, mode="recall", limit=12)
    save(strategy, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection under `db`, 25 judged queries, a model that reranks, and files of feedback."""
    made = tmp_path_factory.mktemp("feedback")
    drawn = random.Random(0)
    documents = [{"_id": f"d{number}", "text": " ".join(drawn.sample(_WORDS, 6))} for number in range(40)]
    (made / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
    rows = [f"q{n},{' '.join(drawn.sample(documents[n]['text'].split(), 3))},d{n},1" for n in range(25)]
    (made / "judged.csv").write_text("\n".join(["query_id,query,doc_id,grade", *rows]) + "\n", "utf-8")
    assert run("index", made / "corpus.jsonl", "--path", made / "db", "--dense", "hash")[0] == 0
    cross_encoder_folder(made / "reranker")
    fitted(made / "feedback.json")
    fitted(made / "elsewhere.json", model="another")
    save(Fusion.rrf().over(Nearest("dense"), Nearest("bm25")), made / "hybrid.json")
    return made


def given(folder: Path, *arguments: object, model: bool = True) -> tuple[int, str, str]:
    """What `tune` says of the judged queries."""
    rerank = ("--rerank", f"cross-encoder:{folder / 'reranker'}") if model else ()
    return run("tune", folder / "judged.csv", "--path", folder / "db", "--depth", 20, *rerank, *arguments)


def test_feedback_is_compared_at_the_numbers_of_documents_that_are_said(folder: Path) -> None:
    code, out, err = given(
        folder, "--candidate", "bm25", "--feedback", folder / "feedback.json", "--reads", 10, "--reads", 12, "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert [each["scored"] for each in found["at_budget"]] == [10, 12]
    assert {"feedback from dense, 10 scored", "feedback from dense, 12 scored"} <= set(found["values"])
    assert found["spent"]["model_texts"] > 0


def test_topics_that_the_file_was_fitted_to_are_warned_of(folder: Path) -> None:
    queries = [row.split(",")[1] for row in (folder / "judged.csv").read_text("utf-8").splitlines()[1:]]
    strategy = RelevanceFeedback.load(folder / "feedback.json")
    known = strategy.weights.with_provenance(queries=hashes_of(queries[:5]))
    save(replace(strategy, coefficients=known), folder / "known.json")
    code, _, err = given(folder, "--candidate", "dense", "--feedback", folder / "known.json", "--max-texts", 2000)
    assert code == 0, err
    assert err.count("warning: the coefficients of feedback were fitted to 5 of the 25 topics (20%)") == 1


def test_the_verdict_is_printed_within_the_budget_of_texts(folder: Path) -> None:
    code, out, err = given(folder, "--candidate", "dense", "--feedback", folder / "feedback.json", "--max-texts", 2000)
    assert code == 0, err
    assert "With 12 documents scored for a query, on topics held out: plain search 0." in out
    assert "feedback from dense, 12 scored" in out


@pytest.mark.parametrize(
    ("arguments", "model", "message"),
    [
        (
            ["--feedback", "feedback.json"],
            False,
            "--feedback needs --rerank MODEL: the model that the coefficients were fitted",
        ),
        (["--reads", "10"], True, "--reads is for --feedback FILE"),
        (["--feedback", "elsewhere.json"], True, "was 'another'"),
        (["--feedback", "hybrid.json"], True, "neither coefficients nor relevance feedback"),
        (["--feedback", "nowhere.json"], True, "nowhere.json"),
    ],
)
def test_what_can_not_be_is_one_message(folder: Path, arguments: list[str], model: bool, message: str) -> None:
    named = [str(folder / each) if each.endswith(".json") else each for each in arguments]
    code, _, err = given(folder, *named, model=model)
    assert code == 2
    assert err.startswith("error: ")
    assert message in " ".join(err.split())
