"""`qdrant-rerank calibrate`: the cost before, the verdict after, the file and its exit codes, and what it refuses."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from qdrant_client import models
from rich.console import Console
from typer.testing import CliRunner

from qdrant_rerank import (
    Coefficients,
    Executor,
    Fusion,
    Nearest,
    PayloadMapping,
    PlanWarning,
    RelevanceFeedback,
    Rerank,
    StrategyError,
    save,
)
from qdrant_rerank.cli._internals import describe_progress, show_scoring
from qdrant_rerank.cli._internals import run_calibrate as calibrate
from qdrant_rerank.cli._internals import run_index as index
from qdrant_rerank.cli._internals import run_search as search
from qdrant_rerank.errors import FitError
from qdrant_rerank.learn._internals import SYNTHETIC_WARNING, Progress, is_sampled, sample_queries
from tests.engines import open_client
from tests.models.stub_cohere import Alter, Refuse, StubCohere
from tests.models.tiny_cross_encoder import cross_encoder_folder, weight
from tests.support import refused

app = typer.Typer()
for command in (index, calibrate, search):
    app.command(command.__name__.removeprefix("run_"))(command)

FILLERS = ["lake", "night", "bike", "stove", "market", "cheese", "pier", "river", "bridge", "storm", "meadow", "lamp"]
TASTES = ["boat", "ferry", "train", "hut"]
QUERIES = {f"q{number}": " ".join(random.Random(number).sample(FILLERS, 3)) for number in range(30)}


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments: object) -> Ran:
    result = CliRunner(env={"COLUMNS": "120", "QDRANT_URL": None}).invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def measured(out: str) -> list[str]:
    """The measures in the table: each begins three rows, of plain search, reranking and feedback."""
    rows = [line.split() for line in out.splitlines() if line.startswith(("  ", "agreement  ", "unseen  ", "nDCG@", "R@"))]
    named = [row for row in rows if row[1:2] == ["plain"]]
    assert [row[0] for row in rows if row not in named] == ["rerank", "feedback"] * len(named)
    return [row[0] for row in named]


class World(NamedTuple):
    """A collection whose documents the tiny cross-encoder likes the better the more of its words they hold."""

    folder: Path

    def calibrate(self, *arguments: object, queries: str | None = "queries.tsv") -> Ran:
        given = [] if queries is None else [self.folder / queries]
        model = f"cross-encoder:{self.folder / 'reranker'}"
        named = () if "--rerank" in arguments else ("--rerank", model)
        return run("calibrate", *given, "--path", self.folder / "db", *named, *arguments)

    def search(self, strategy: Path, *arguments: object) -> Ran:
        model = f"cross-encoder:{self.folder / 'reranker'}"
        ran = run("search", "lake bike", "--path", self.folder / "db", "-s", strategy, "--rerank", model, *arguments)
        assert ran.code == 0, ran
        return ran


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("calibrate")
    drawn = random.Random(5)
    documents = {
        f"d{number}": " ".join(drawn.sample(FILLERS, 3) + [drawn.choice(TASTES)] * drawn.randint(0, 4)) for number in range(150)
    }
    lines = [json.dumps({"_id": id, "title": "", "text": text}) + "\n" for id, text in documents.items()]
    (folder / "corpus.jsonl").write_text("".join(lines), "utf-8")
    assert run("index", folder / "corpus.jsonl", "--path", folder / "db", "--dense", "hash").code == 0
    cross_encoder_folder(folder / "reranker")
    (folder / "queries.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in QUERIES.items()), "utf-8")
    best = sorted(documents, key=lambda id: -weight(documents[id]))[:15]
    (folder / "qrels.txt").write_text("".join(f"{query} 0 {id} 1\n" for query in QUERIES for id in best), "utf-8")
    plain = {query: max(documents, key=lambda id: overlap(documents[id], text)) for query, text in QUERIES.items()}
    (folder / "plain.txt").write_text("".join(f"{query} 0 {id} 1\n" for query, id in plain.items()), "utf-8")
    return World(folder)


def overlap(text: str, query: str) -> float:
    """What makes a document near a query: the share of its words that are the query's."""
    return sum(word in query.split() for word in text.split()) / len(text.split())


@pytest.fixture
def cohere(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubCohere]:
    with StubCohere() as stub:
        monkeypatch.setenv("CO_API_URL", stub.url)
        monkeypatch.setenv("CO_API_KEY", "key")
        yield stub


def test_feedback_that_helps_is_recommended_written_and_can_be_searched_with(world: World, tmp_path: Path) -> None:
    out = tmp_path / "feedback.json"
    ran = world.calibrate("--output", out)
    assert ran.code == 0, ran
    assert ran.out.startswith("Use relevance feedback: ")
    assert "There is signal." in ran.out
    assert "the reranker's own opinion" in ran.out
    assert measured(ran.out) == ["agreement", "unseen"]
    assert "30 queries: one search each, in 1 request to Qdrant; the model scores up to 1,500 texts" in ran.err
    assert f"the strategy is in {out}" in ran.err
    strategy = RelevanceFeedback.load(out)
    assert (strategy.mode, strategy.seed_count) == ("precision", 5)
    found = world.search(out, "--json", "-k", 3)
    notes = [json.loads(line)["notes"] for line in found.out.splitlines()]
    assert [each["documents_scored"] for each in notes] == [5, 5, 5]
    assert {each["surfaced_by_feedback"] for each in notes} <= {True, False}


def test_a_search_with_feedback_explains_seeds_pairs_and_the_shift(world: World, tmp_path: Path) -> None:
    save(
        RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 0.5, 0.3), trust=True),
        tmp_path / "s.json",
    )
    shown = world.search(tmp_path / "s.json", "--explain", "-k", 3).out
    assert re.findall(r"^ +#(\d)  d\d+ ", shown, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    assert shown.count("towards ") == 3
    assert " scores " in shown
    assert re.search(r"and \d more pairs?", shown)
    assert re.search(r"The shifted vector has a cosine of 0\.\d{3} with the query's", shown)
    assert "The terms of a result add up to its score." in shown


def test_an_unsteered_search_explains_why(world: World, tmp_path: Path) -> None:
    save(RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 0.0, 0.0)), tmp_path / "s.json")
    shown = run("search", "lake bike", "--path", world.folder / "db", "-s", tmp_path / "s.json", "--explain", "-k", 3).out
    assert "The second search wasn't steered: the coefficient c is 0." in shown
    assert "it is as the first search found it: the coefficient c is 0" in " ".join(shown.split())
    assert "MMR" not in shown
    assert "towards" not in shown


def test_recall_fits_the_budget_that_is_said(world: World, tmp_path: Path) -> None:
    out = tmp_path / "feedback.json"
    options = ("--mode", "recall", "--reads", 15, "--seeds", 4, "--candidates", 30, "--anyway")
    ran = world.calibrate(*options, "--qrels", world.folder / "qrels.txt", "--output", out)
    assert ran.code in (0, 3), ran
    assert "30 queries (30 with judgments)" in ran.err
    assert measured(ran.out) == ["agreement", "unseen", "nDCG@10", "R@10", "R@15"]
    strategy = RelevanceFeedback.load(out)
    assert (strategy.mode, strategy.seed_count, strategy.reads) == ("recall", 4, 15)


def test_the_comparison_that_decides_for_reranking_is_in_the_table(world: World) -> None:
    options = ("--mode", "recall", "--reads", 15, "--qrels", world.folder / "qrels.txt")
    [told] = [
        each for each in json.loads(world.calibrate(*options, "--json").out)["comparisons"] if each["measure"] == "nDCG@10"
    ]
    over, better = told["rerank_over_plain"], told["over_rerank"]
    lines = world.calibrate(*options).out.splitlines()
    [first] = [number for number, line in enumerate(lines) if line.startswith("nDCG@10") and " plain " in line]
    rerank, feedback = lines[first + 1], lines[first + 2]
    assert rerank.split() == ["rerank", f"{told['rerank']:.3f}", *interval(over)]
    assert feedback.split() == ["feedback", f"{told['feedback']:.3f}", *interval(told["over_plain"]), *interval(better)]


def interval(found: dict[str, float]) -> list[str]:
    return f"{found['estimate']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]".split()


def test_judgments_of_other_documents_end_before_the_model_is_asked(world: World, tmp_path: Path, cohere: StubCohere) -> None:
    (tmp_path / "foreign.txt").write_text("".join(f"{query} 0 other{query} 1\n" for query in QUERIES), "utf-8")
    given = ("--rerank", "cohere:rerank-v3.5", "--resume", tmp_path / "scores.jsonl")
    (tmp_path / "scores.jsonl").write_text("", "utf-8")
    for options, said in (
        (
            ("--qrels", tmp_path / "foreign.txt"),
            "documents found is in the judgments: the results' ids are 'd0', 'd1', 'd10', ",
        ),
        (("--qrels", world.folder / "qrels.txt", "--doc-id", "foo"), "doc_id='foo' gives no document id for the result point"),
    ):
        ran = world.calibrate(*given, *options)
        assert ran.code == 2, ran
        assert said in ran.err
        assert "--doc-id" in ran.err or "foo" in ran.err
        assert "goes on from there" not in ran.err
    assert not cohere.requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--most", 10), "there are 10 different queries; the fit needs at least 20"),
        (("--candidates", 9), "candidates=9 leaves too few points"),
        (("--seeds", 41), "candidates=50 leaves too few points to learn from beside those that are scored in use: at least 51"),
        (("--hybrid", "--limit", 20), "the call asks for 50 points, but the candidates of Fusion hand on 40"),
    ],
)
def test_what_is_refused_is_refused_before_its_cost_is_told(
    world: World, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    (tmp_path / "scores.jsonl").write_text("", "utf-8")
    ran = world.calibrate("--resume", tmp_path / "scores.jsonl", *options)
    assert ran.code == 2, ran
    assert message in ran.err
    assert "the model scores" not in ran.err
    assert "goes on from there" not in ran.err
    dry = world.calibrate("--dry-run", *options)
    assert dry.code == (0 if "--most" in options else 2), dry


def test_scores_that_are_there_already_are_told_with_the_cost(world: World, tmp_path: Path) -> None:
    cache = tmp_path / "scores.jsonl"
    world.calibrate("--candidates", 20, "--resume", cache)
    ran = world.calibrate("--candidates", 20, "--resume", cache, "--dry-run")
    said = (
        f"the model scores up to 600 texts; {cache} holds 600 scores, and none of those that this fit needs is asked for again"
    )
    assert said in ran.out
    cache.write_text("".join(cache.read_text("utf-8").splitlines(keepends=True)[:2]), "utf-8")  # the header and a score
    assert f"; {cache} holds 1 score, and none" in world.calibrate("--candidates", 20, "--resume", cache).err


@pytest.mark.parametrize("anyway", [False, True])
def test_feedback_that_does_not_help_ends_with_3_and_is_written_only_anyway(world: World, tmp_path: Path, anyway: bool) -> None:
    out = tmp_path / "feedback.json"
    given = ("--qrels", world.folder / "plain.txt", "--output", out, *(["--anyway"] if anyway else []))
    ran = world.calibrate(*given, "--json")
    assert ran.code == 3, ran
    found = json.loads(ran.out)
    assert found["recommends"] == "plain"
    assert (found["queries"], found["queries_with_judgments"], len(found["coefficients_by_fold"])) == (30, 30, 5)
    assert next(each for each in found["comparisons"] if each["measure"] == "nDCG@10")["over_plain"]["high"] < 0
    assert out.exists() == anyway
    if anyway:
        assert "when these coefficients were fitted, plain search did as well" in world.search(out).err
    else:
        assert f"{out} is not written, as feedback isn't what to use; --anyway writes it" in ran.err


def test_a_dry_run_says_the_cost_and_asks_for_a_handful(world: World, tmp_path: Path, cohere: StubCohere) -> None:
    ran = world.calibrate("--rerank", "cohere:rerank-v3.5", "--dry-run", "--qrels", world.folder / "qrels.txt")
    assert ran.code == 0, ran
    cost = "30 queries (30 with judgments): one search each, three more for each that is judged, in 7 requests to Qdrant; "
    assert ran.out.startswith(cost + "the model scores up to 1,500 texts, which takes it about ")
    assert [len(request.body["documents"]) for request in cohere.requests] == [8]
    (tmp_path / "few.tsv").write_text("1\ta\n2\tb\n3\tb\n", "utf-8")
    (tmp_path / "qrels.txt").write_text("2 0 d1 1\n3 0 d1 1\n", "utf-8")
    few = world.calibrate("--dry-run", "--qrels", tmp_path / "qrels.txt", queries=str(tmp_path / "few.tsv"))
    assert few.code == 0
    assert few.out.startswith("2 queries (1 with judgments): one search each, in 1 request to Qdrant; ")
    assert "warning: the judgments of 1 queries are too few and aren't used: it takes 20" in few.err
    assert "warning: 2 queries are too few: the fit needs at least 20" in few.err


def test_kept_scores_are_not_asked_for_again_and_a_failure_says_how_to_go_on(
    world: World, tmp_path: Path, cohere: StubCohere
) -> None:
    given = ("--rerank", "cohere:rerank-v3.5", "--candidates", 20, "--resume", tmp_path / "scores.jsonl")
    dry = world.calibrate(*given, "--dry-run")
    assert "which takes it about" in dry.out
    assert "which takes it" not in world.calibrate(*given, "--dry-run").out
    assert len(cohere.requests) == 1
    cohere.script += [Alter(lambda answer: answer)] * 9 + [Refuse(400, "no more")]
    ran = world.calibrate(*given)
    assert ran.code == 2
    assert "error: Cohere answers 400" in ran.err
    assert f"the scores so far are in {tmp_path / 'scores.jsonl'}: the same command goes on" in ran.err
    assert len(cohere.requests) == 11
    world.calibrate(*given)
    assert len(cohere.requests) == 11 + 30 - 9
    assert sum(len(request.body["documents"]) for request in cohere.requests) == 30 * 20 + 20  # the refused ones twice


def test_sampled_queries_are_written_down_and_warned_of_whenever_they_are_used(world: World, tmp_path: Path) -> None:
    made = tmp_path / "made.tsv"
    dry = world.calibrate("--sample", 25, "--dry-run", queries=str(made))
    assert SYNTHETIC_WARNING in dry.err
    assert not made.exists()
    ran = world.calibrate("--sample", 25, queries=str(made))
    assert ran.code in (0, 3), ran
    assert f"warning: {SYNTHETIC_WARNING}" in ran.err
    assert len(made.read_text("utf-8").splitlines()) == 25
    again = world.calibrate("--dry-run", queries=str(made))
    assert (again.code, again.out[:11]) == (0, "25 queries:")
    assert SYNTHETIC_WARNING in again.err
    assert f"would write its queries over {made}" in world.calibrate("--sample", 5, queries=str(made)).err
    unnamed = world.calibrate("--sample", 1000, "--dry-run", queries=None)
    assert "--sample 1000: only " in unnamed.err


def test_the_judgments_of_a_beir_folder_are_used(world: World, tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    rows = "".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in QUERIES.items())
    (tmp_path / "queries.jsonl").write_text(rows, "utf-8")
    judged = "".join(f"{query}\td{number}\t1\n" for number, query in enumerate(list(QUERIES)[:22]))
    (tmp_path / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", "utf-8")
    ran = world.calibrate("--dry-run", queries=str(tmp_path))
    assert ran.out.startswith("22 queries (22 with judgments): "), ran


def test_no_more_queries_are_taken_than_most_says(world: World) -> None:
    ran = world.calibrate("--dry-run", "--most", 21)
    assert ran.out.startswith("21 queries: ")
    assert "21 of the 30 queries are taken, at random; --most N takes more" in ran.err


def test_what_the_fit_does_not_use_of_a_query_is_said(world: World, tmp_path: Path) -> None:
    rows = "".join(json.dumps({"_id": id, "text": text, "params": {"x": 1}}) + "\n" for id, text in QUERIES.items())
    (tmp_path / "q.jsonl").write_text(rows, "utf-8")
    assert "30 of the queries come with filters, params" in world.calibrate("--dry-run", queries=str(tmp_path / "q.jsonl")).err


def test_the_first_search_may_be_hybrid_or_a_file(world: World, tmp_path: Path) -> None:
    save(Fusion.rrf().over(Nearest("dense", limit=60), Nearest("bm25", limit=60)), tmp_path / "hybrid.json")
    for number, given in enumerate(
        (("--hybrid", "--limit", 60), ("--strategy", tmp_path / "hybrid.json"), ("--using", "bm25"))
    ):
        out = tmp_path / f"feedback{number}.json"
        assert world.calibrate(*given, "--output", out, "--anyway").code in (0, 3)
        strategy = RelevanceFeedback.load(out)
        assert strategy.using == "dense"
        searched = [stage.vector for stage in strategy.seeds.stages() if stage.vector is not None]
        assert searched == (["bm25"] if "bm25" in given else ["dense", "bm25"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "both"], "--mode is precision or recall, got 'both'"),
        (["--reads", 30], "--reads is for --mode recall"),
        (["--seeds", 1], "needs at least 2"),
        (["--candidates", 9], "candidates=9 leaves too few points"),
        (["--output", "nowhere/feedback.json"], "--output nowhere/feedback.json: there is no folder 'nowhere'"),
        (["--resume", "."], "--resume .: this is a folder: name a file in it"),
        (["--anyway"], "add --output FILE"),
        (["--most", 0], "--most must be at least 1, got 0"),
        (["--sample", 0], "--sample must be at least 1, got 0"),
        (["--sample", 5, "--qrels", "qrels.txt"], "--qrels has no effect here: --sample makes"),
        (["--using", "dence"], "no vector named 'dence'"),
        (["--rerank", "reranker"], "--rerank reranker: no such model"),
        (["--most", 10], "there are 10 different queries; the fit needs at least 20"),
    ],
)
def test_what_can_not_be_is_one_message(world: World, arguments: list[object], message: str) -> None:
    ran = world.calibrate(*arguments)
    assert ran.code == 2, ran
    [error] = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert message in error


def test_queries_that_are_not_there_are_told(world: World, tmp_path: Path) -> None:
    assert "which queries? give a file" in world.calibrate(queries=None).err
    assert "nowhere.tsv doesn't exist" in world.calibrate(queries="nowhere.tsv").err
    (tmp_path / "other.txt").write_text("x 0 d1 1\n", "utf-8")
    assert "has no judgments for the queries of" in world.calibrate("--qrels", tmp_path / "other.txt").err
    assert "a BEIR folder has its own" in world.calibrate("--qrels", tmp_path / "other.txt", queries="").err


def test_a_model_and_seeds_that_qdrant_finds_are_needed(world: World, tmp_path: Path) -> None:
    given = ("calibrate", world.folder / "queries.tsv", "--path", world.folder / "db")
    assert "which reranker? --rerank MODEL" in run(*given).err
    save(Rerank(reads=10).over(Nearest()), tmp_path / "s.json")
    assert "a search that Qdrant runs alone, which Rerank isn't" in world.calibrate("--strategy", tmp_path / "s.json").err


# The parts


def test_the_bar_tells_cost_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    watched = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr("qdrant_rerank.cli.output.errors_console", lambda: watched)
    with show_scoring() as tell:
        tell(Progress(done=500, total=2000, asked=400, seconds_left=250.0))
        tell(Progress(done=2000, total=2000, asked=1900, seconds_left=0.0))
    assert " 1,900 asked of the model, less than 1 s left" in shown.getvalue()
    assert "2000/2000" in shown.getvalue()
    assert describe_progress(Progress(1, 2, 0, None)) == "0 asked of the model"


PAYLOADS: list[dict[str, Any]] = [
    {"title": "A  title of its own", "text": "not this"},
    {"metadata": {"title": "Below metadata"}, "text": "not this"},
    {"text": "First sentence! Second one."},
    {"text": "First line\nsecond line"},
    {"text": "First line"},
    {"text": "  "},
    {"other": 1},
    {"text": "one two three four five six seven"},
]


@pytest.fixture
def stored() -> Iterator[Executor]:
    client = open_client()
    client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    points = [models.PointStruct(id=id, vector=[1.0, id], payload=payload) for id, payload in enumerate(PAYLOADS)]
    client.upsert("c", points)
    yield Executor(client, "c", payload=PayloadMapping("text"))
    client.close()


def test_a_sampled_query_is_a_title_or_a_first_sentence_and_none_is_there_twice(stored: Executor) -> None:
    with pytest.warns(PlanWarning, match="made of stored documents .titles, first sentences.: they mislead"):
        found = sample_queries(stored, 10, max_words=5)
    assert sorted(found.values()) == [
        "A title of its own",
        "Below metadata",
        "First line",
        "First sentence!",
        "one two three four five",
    ]
    assert is_sampled(found)
    assert found["sampled:0"] == "A title of its own"
    with pytest.warns(PlanWarning, match="they mislead"):
        assert len(sample_queries(stored, 2)) <= 2
    assert not is_sampled({"q1": "sampled:"})


def test_what_no_query_can_be_made_of_is_said(stored: Executor) -> None:
    empty = models.Filter(must=[models.HasIdCondition(has_id=[5, 6])])
    with refused(FitError, "none of the 2 points drawn from it has a title or a text"):
        sample_queries(stored, 3, filter=empty)
    with refused(StrategyError, "count must be a whole number of at least 1, got 0"):
        sample_queries(stored, 0)
