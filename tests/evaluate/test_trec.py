"""Runs are read as trec_eval reads them, and written so that it reads what we meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qdrant_rerank.errors import FormatError
from qdrant_rerank.evaluate import Answer, Qrels, Ranked, Run, Topics, evaluate, read_run, write_run
from tests.evaluate.worlds import run_of
from tests.support import refused


def _answer(*results: tuple[str, float]) -> Answer:
    return Answer(tuple(Ranked(*result) for result in results))


def test_a_run_is_ordered_by_score_and_ties_by_id_as_trec_eval_does(tmp_path: Path) -> None:
    path = tmp_path / "bm25.run"
    path.write_text("q1 Q0 a 1 0.5 bm25\nq1 Q0 c 2 0.5 bm25\nq1 Q0 b 3 0.7 bm25\nq2 Q0 a 1 -1e3 bm25\n")
    run = read_run(path)
    assert run.name == "bm25"
    assert run["q1"].ranking == (Ranked("b", 0.7), Ranked("c", 0.5), Ranked("a", 0.5))
    assert run["q2"].doc_ids == ("a",)


def test_a_run_that_is_written_and_read_keeps_its_order_and_falling_scores(tmp_path: Path) -> None:
    run = Run("my run", {"q1": _answer(("a", 0.9), ("b", 0.25)), "q2": _answer(("z", 1.0))})
    write_run(run, tmp_path / "run")
    again = read_run(tmp_path / "run")
    assert again.name == "my_run"
    assert dict(again) == dict(run)


@pytest.mark.parametrize("scores", [(0.5, 0.5, 0.5), (0.1, 0.9, 0.3), (0.50000001, 0.5, 0.1)], ids=["ties", "rising", "32 bit"])
def test_a_ranking_whose_scores_do_not_fall_keeps_its_order(tmp_path: Path, scores: tuple[float, ...]) -> None:
    write_run(Run("r", {"q": _answer(*zip("abc", scores, strict=True))}), tmp_path / "run")
    written = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    assert [(line[2], line[3]) for line in written] == [("a", "1"), ("b", "2"), ("c", "3")]
    falling = [np.float32(line[4]) for line in written]
    assert falling == sorted(set(falling), reverse=True)
    assert read_run(tmp_path / "run")["q"].doc_ids == ("a", "b", "c")


def test_a_file_measures_as_the_run_it_was_written_from(tmp_path: Path) -> None:
    topics, qrels = Topics({"1": "x", "2": "y"}), Qrels({"1": {"a": 1}, "2": {"c": 2}})
    run = run_of({"1": ["b", "a"], "2": ["c"]})
    write_run(run, tmp_path / "run")
    assert evaluate(read_run(tmp_path / "run"), topics, qrels).values == evaluate(run, topics, qrels).values


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("q1 Q0 a 1 0.5", (":2: ", "6 columns", "has 5")),
        ("q1 Q0 a 1 high x", (":2: ", "score must be a finite number", "'high'")),
        ("q1 Q0 a 1 nan x", (":2: ", "score must be a finite number", "'nan'")),
        ("q1 Q0 a 1 inf x", (":2: ", "score must be a finite number", "'inf'")),
        ("q0 Q0 a 2 0.1 x", (":2: ", "'a' is there twice", "'q0'")),
    ],
)
def test_a_bad_line_is_told_with_its_line(tmp_path: Path, line: str, parts: tuple[str, ...]) -> None:
    path = tmp_path / "bad.run"
    path.write_text(f"q0 Q0 a 1 0.5 x\n{line}\n")
    with refused(FormatError, *parts):
        read_run(path)


def test_an_empty_run_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("\n")
    with refused(FormatError, "the run is empty"):
        read_run(tmp_path / "run")


def test_an_id_with_a_space_cannot_be_written(tmp_path: Path) -> None:
    with refused(FormatError, "'doc a'", "separated by spaces"):
        write_run(run_of({"q": ["doc a"]}), tmp_path / "run")
