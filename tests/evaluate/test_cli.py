"""`qdrant-rerank evaluate` and `compare`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qdrant_rerank import Fusion, Nearest, Rerank, save
from qdrant_rerank.cli._internals import help_text
from qdrant_rerank.cli._internals import run_compare as compare
from qdrant_rerank.cli._internals import run_evaluate as evaluate
from qdrant_rerank.evaluate import Topics, read_run, write_run
from tests.cli.support import Ran, succeeds
from tests.evaluate.worlds import GRADES, NOTES, QUESTIONS, many, run_of, shuffled
from tests.models.tiny_cross_encoder import cross_encoder_folder

app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
for command in (evaluate, compare):
    app.command(command.__name__.removeprefix("run_"), help=help_text(command.__doc__))(command)


def run(*arguments: object) -> Ran:
    """Run one of the two commands in this process."""
    variables = {"COLUMNS": "100", "QDRANT_URL": None, "QDRANT_API_KEY": None}
    result = CliRunner(env=variables).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def done(*arguments: object) -> str:
    ran = run(*arguments)
    assert (ran.code, ran.err) == (0, ""), ran.all
    return ran.out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection, judged pairs, a BEIR folder, and two strategies. Tests only read it."""
    made = tmp_path_factory.mktemp("evaluate")
    corpus = made / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in NOTES.items()))
    succeeds("index", corpus, "--path", made / "db", "--dense", "hash")
    pairs = [(topic, document, grade) for topic, judged in GRADES.items() for document, grade in judged.items()]
    rows = [
        {"query_id": topic, "query": QUESTIONS[topic], "doc_id": document, "grade": grade} for topic, document, grade in pairs
    ]
    (made / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (made / "topics.tsv").write_text("".join(f"{topic}\t{text}\n" for topic, text in QUESTIONS.items()))
    (made / "qrels.txt").write_text("".join(f"{topic} 0 {document} {grade}\n" for topic, document, grade in pairs))
    (made / "beir" / "qrels").mkdir(parents=True)
    (made / "beir" / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": topic, "text": text}) + "\n" for topic, text in QUESTIONS.items())
    )
    (made / "beir" / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{topic}\t{document}\t{grade}\n" for topic, document, grade in pairs)
    )
    save(Nearest("dense"), made / "dense.json")
    save(Fusion.rrf().over(Nearest("dense", limit=6), Nearest("bm25", limit=6)), made / "hybrid.json")
    return made


def _plain(folder: Path, *arguments: object) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = json.loads(done("evaluate", *arguments, "--path", folder / "db", "--json"))["values"]
    return values


def test_the_same_data_in_each_layout_measures_the_same(folder: Path) -> None:
    pairs = _plain(folder, folder / "judged.jsonl", "--hybrid")
    assert list(pairs) == ["nDCG@10", "R@100", "RR"]
    assert pairs["R@100"] == dict.fromkeys(QUESTIONS, 1.0)
    assert _plain(folder, folder / "beir", "--hybrid") == pairs
    assert _plain(folder, folder / "topics.tsv", "--qrels", folder / "qrels.txt", "--hybrid") == pairs
    assert _plain(folder, folder / "judged.jsonl", "--strategy", folder / "hybrid.json", "--batch-size", 3) == pairs


def test_it_shows_means_intervals_costs_and_notes(folder: Path) -> None:
    out = done(
        "evaluate", folder / "judged.jsonl", "--path", folder / "db", "-s", folder / "dense.json", "-m", "RR", "-m", "P@1"
    )
    assert out.splitlines()[0] == "dense, 4 topics"
    assert [line.split()[0] for line in out.splitlines() if line[:2] in ("RR", "P@")] == ["RR", "P@1"]
    assert "one query: 1 round trip, 0 texts read by a model" in out
    assert "ms (median)" in " ".join(out.split())
    assert "The longest ranking has 6 results, and the measures look at 100." in out


def test_a_run_file_comes_out_and_an_evaluation_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    files = ["--output", tmp_path / "dense.run", "--resume", tmp_path / "answers.jsonl"]
    done("evaluate", folder / "judged.jsonl", "--path", folder / "db", *files)
    assert list(read_run(tmp_path / "dense.run")) == list(QUESTIONS)
    before = (tmp_path / "answers.jsonl").read_text()
    done("evaluate", folder / "judged.jsonl", "--path", folder / "db", *files)
    assert (tmp_path / "answers.jsonl").read_text() == before
    ran = run("evaluate", folder / "judged.jsonl", "--path", folder / "db", "--hybrid", *files)
    assert (ran.code, "another evaluation" in ran.err) == (2, True)


def test_a_build_fails_with_a_code_of_its_own(folder: Path) -> None:
    good = run("evaluate", folder / "judged.jsonl", "--path", folder / "db", "-m", "RR", "--fail-under", 0.01)
    assert good.code == 0
    bad = run("evaluate", folder / "judged.jsonl", "--path", folder / "db", "-m", "RR", "--fail-under", 1.01)
    assert bad.code == 3
    assert "which is under 1.01" in bad.err
    assert "RR" in bad.out  # the table is shown all the same


def test_judged_documents_that_are_not_there_are_warned_of(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text((folder / "qrels.txt").read_text() + "q1 0 zeppelin 1\n")
    arguments = [folder / "topics.tsv", "--qrels", tmp_path / "qrels", "--path", folder / "db", "--check-documents"]
    ran = run("evaluate", *arguments)
    assert ran.code == 0
    assert "warning: 1 of 6 judged documents are not in 'docs', nothing can find them: zeppelin" in ran.err
    assert done("evaluate", folder / "judged.jsonl", "--path", folder / "db", "--check-documents")


def test_strategies_are_compared_with_verdicts_and_changes(folder: Path) -> None:
    files = ["-s", folder / "dense.json", "-s", folder / "hybrid.json"]
    out = done("compare", folder / "judged.jsonl", "--path", folder / "db", *files, "-m", "nDCG@10")
    assert "dense (baseline)" in out
    assert "No claim about hybrid: 4 topics are too few; any claim needs at least 25." in " ".join(out.split())
    plain = json.loads(
        done("compare", folder / "judged.jsonl", "--path", folder / "db", *files, "--baseline", "hybrid", "--json")
    )
    assert (plain["baseline"], plain["measure"]) == ("hybrid", "nDCG@10")
    assert [one["finding"] for one in plain["differences"]] == ["too few topics"]


def test_changes_show_both_rankings_and_why_when_asked(folder: Path, tmp_path: Path) -> None:
    write_run(run_of({"q1": ["sleep", "hut", "train"], "q2": ["hut"], "q3": ["ferry"], "q4": ["loop"]}), tmp_path / "other.run")
    arguments = [
        folder / "judged.jsonl",
        "--path",
        folder / "db",
        "-s",
        folder / "hybrid.json",
        "--run",
        tmp_path / "other.run",
    ]
    out = done("compare", *arguments, "--explain")
    assert "largest changes from hybrid to other" in out
    assert "  other: sleep, hut, train" in out
    assert "dense: rank" in out
    assert "dense: rank" not in done("compare", *arguments)


def test_runs_are_compared_without_qdrant(tmp_path: Path) -> None:
    topics, qrels = many(60)
    rows = [
        {"query_id": topic.id, "query": topic.text, "doc_id": document, "grade": 1}
        for topic in Topics(topics.items)
        for document in qrels[topic.id]
    ]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, skill in (("old", 0.9), ("new", 0.1)):
        write_run(shuffled(topics, qrels, skill, 3, name), tmp_path / f"{name}.run")
    arguments = ["compare", tmp_path / "judged.jsonl", "--run", tmp_path / "old.run", "--run", tmp_path / "new.run"]
    assert "Keep old: new is worse" in done(*arguments)
    ran = run(*arguments, "--fail-worse")
    assert ran.code == 3
    assert "new is worse" in ran.err
    assert run(*arguments, "--fail-under", 0.0).code == 0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["evaluate", "nowhere", "--path", "DB"], "nowhere doesn't exist"),
        (["evaluate", "BEIR", "--qrels", "QRELS", "--path", "DB"], "--qrels goes with a file of topics"),
        (["evaluate", "BEIR", "--split", "dev", "--path", "DB"], "no judgments for the split 'dev'"),
        (["evaluate", "BEIR", "--path", "DB", "-m", "nDGC@10"], "did you mean 'nDCG'?"),
        (["evaluate", "BEIR"], "which Qdrant?"),
        (["evaluate", "BEIR", "--path", "DB", "--batch-size", "0"], "--batch-size must be a whole number"),
        (["compare", "BEIR", "--path", "DB", "-s", "DENSE"], "at least two of --strategy FILE and --run FILE, got 1"),
        (
            ["compare", "BEIR", "--run", "x.run", "--run", "y.run", "--check-documents"],
            "--check-documents has no effect here: runs are compared",
        ),
        (["compare", "BEIR", "--path", "DB", "-s", "DENSE", "-s", "DENSE"], "two evaluations have the name 'dense'"),
        (["compare", "BEIR", "--run", "x.run", "--run", "y.run"], "x.run: No such file"),
    ],
)
def test_bad_input_is_one_message(folder: Path, arguments: list[str], part: str) -> None:
    names = {"DB": "db", "BEIR": "beir", "QRELS": "qrels.txt", "DENSE": "dense.json"}
    ran = run(*(folder / names[argument] if argument in names else argument for argument in arguments))
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert part in ran.err


def test_help_has_examples_and_fits_the_screen() -> None:
    for name in ("evaluate", "compare"):
        out = CliRunner(env={"COLUMNS": "80"}).invoke(app, [name, "--help"]).stdout
        assert f"$ qdrant-rerank {name}" in out
        assert max(map(len, out.splitlines())) <= 80


# Reports


@pytest.mark.parametrize("suffix", ["html", "md", "json"])
def test_a_report_is_written_where_it_is_asked_for(folder: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"report.{suffix}"
    ran = run(
        "compare", folder / "judged.jsonl", "--path", folder / "db", "--report", file, "--measure", "nDCG@10",
        "--strategy", folder / "dense.json", "--strategy", folder / "hybrid.json",
    )  # fmt: skip
    assert ran.code == 0
    assert f"the report is in {file}" in " ".join(ran.err.split()).replace("\n", "")
    text = file.read_text("utf-8")
    assert "hybrid" in text
    assert "nDCG@10" in text


def test_one_evaluation_has_a_report_too(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "r.md"
    assert run("evaluate", folder / "judged.jsonl", "--path", folder / "db", "--report", file).code == 0
    assert "nDCG@10" in file.read_text("utf-8")


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_a_report_that_can_t_be_written_is_refused_before_anything_is_measured(folder: Path, command: str) -> None:
    ran = run(command, folder / "nothing.jsonl", "--report", folder / "report.pdf")
    assert ran.code == 2
    assert "a report is written as .html, .md or .json, not as '.pdf'" in " ".join(ran.err.split())


# Models that read the candidates


def test_a_strategy_that_reranks_needs_its_model_named(folder: Path, tmp_path: Path) -> None:
    save(Rerank(reads=5).over(Nearest("bm25")), tmp_path / "read.json")
    pair = ["--strategy", folder / "dense.json", "--strategy", tmp_path / "read.json"]
    ran = run("compare", folder / "judged.jsonl", "--path", folder / "db", *pair)
    assert ran.code == 2
    assert "name it, with --rerank MODEL" in " ".join(ran.err.split())
    model = cross_encoder_folder(tmp_path / "model")
    found = done(
        "compare", folder / "judged.jsonl", "--path", folder / "db", *pair, "--rerank", f"cross-encoder:{model}", "--json"
    )
    costs = {system["name"]: system["costs"]["model_texts"] for system in json.loads(found)["evaluations"]}
    assert costs["dense"] == 0
    assert 0 < costs["read"] <= 5


def test_a_reranked_strategy_is_evaluated_with_what_the_model_reads(folder: Path, tmp_path: Path) -> None:
    model = cross_encoder_folder(tmp_path / "model")
    reading = ["--rerank", f"cross-encoder:{model}", "--reads", "3", "--measure", "nDCG@3"]
    found = json.loads(done("evaluate", folder / "judged.jsonl", "--path", folder / "db", *reading, "--json"))
    assert 0 < found["costs"]["model_texts"] <= 3
