"""Formulas of many trees, on the command line: told in short, summed up, and whole where that is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qdrant_rerank import Formula, Nearest, field, load, max_, min_, save, score, sigmoid
from qdrant_rerank._internals import Sum
from qdrant_rerank.expressions import Expression, constant
from tests.cli.support import run, succeeds

QUESTION = "bikes on the night train"


def gate(name: str, at: float) -> Expression:
    """1 above the threshold, else 0, as trees are compiled."""
    return min_(1.0, max_(0.0, constant(1e38) * 1e38 * (score(name) - at)))


def tree(number: int) -> Expression:
    first, second = gate("dense", number / 40), gate("bm25", number / 10)
    return first * (number / 100 + second * field("rating", default=3) * 0.01) + (1.0 - first) * (0.01 + second * 0.02)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strategy of 20 trees over two searches."""
    file = tmp_path_factory.mktemp("large") / "trees.json"
    terms = Sum((constant(0.6300464741920014), *map(tree, range(1, 21))))
    save(Formula(sigmoid(terms)).over(Nearest("dense", limit=50), Nearest("bm25", limit=50)), file)
    return file


def test_explain_says_what_the_trees_read_and_cuts_the_request(db: Path, file: Path) -> None:
    out = succeeds("plan", "--path", db, "-s", file, columns=80)
    flat = " ".join(out.split())
    assert "Formula(sigmoid(0.63 + {20 trees over dense, bm25, rating})).over(Nearest('dense', limit=50)" in flat
    assert len(out.splitlines()) < 80
    assert max(map(len, out.splitlines())) <= 80
    body = out[out.index("\n{") : out.rindex("}") + 1]
    request = json.loads(body)
    assert [candidate["limit"] for candidate in request["prefetch"]] == [50, 50]
    assert request["limit"] == 5
    left = re.search(r"\n([\d,]+) values of the request are left out; --full prints them all\n$", out)
    assert left is not None
    whole = succeeds("plan", "--path", db, "-s", file, "--full", columns=80)
    assert "…" not in whole.replace("… 512 numbers", "")
    assert "1e+38" in whole
    assert "left out" not in whole
    assert len(whole.splitlines()) > 1000


def test_what_other_programs_read_is_whole(db: Path, file: Path) -> None:
    explanation = json.loads(succeeds("plan", "--path", db, "-s", file, "--json"))
    assert explanation["strategy"] == repr(load(file))
    assert "…" not in json.dumps(explanation["requests"][0]["query"], ensure_ascii=False)
    record = json.loads(succeeds("search", QUESTION, "--path", db, "-s", file, "--explain", "--json", "-k", 1))
    assert len(record["explanation"]["terms"]) == 41


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_results_are_explained_by_the_six_largest_terms_and_the_sum_of_the_others(db: Path, file: Path) -> None:
    out = succeeds("search", QUESTION, "--path", db, "-s", file, "--explain", "-k", 2, columns=80)
    assert len(out.splitlines()) < 30
    assert max(map(len, out.splitlines())) <= 80
    assert "… 35 other terms" in out
    legend = [line for line in out.splitlines() if line.startswith("[")]
    letters = [letter for line in legend for letter in re.findall(r"\[(\w)\]", line)]
    assert letters == list("abcde")  # the sixth, a number, is short
    assert all(line.endswith("branch of a tree over dense, bm25, rating") for line in legend)
    rows = [line for line in out.partition(" ms\n")[2].splitlines() if re.match(r"1 ", line)]
    added = [float(cell) for row in rows for cell in cells(row) if cell.startswith(("+", "-"))]
    total = float(cells(rows[-1])[-2])
    assert len(added) == 7
    assert sum(added) == pytest.approx(total, abs=5e-3)
    whole = json.loads(succeeds("search", QUESTION, "--path", db, "-s", file, "--explain", "--json", "-k", 1))
    largest = sorted(map(abs, whole["explanation"]["terms"].values()), reverse=True)[:6]
    assert sorted(map(abs, added[:6]), reverse=True) == pytest.approx(largest, abs=1e-3)


def test_why_tells_the_six_largest_differences_and_the_sum_of_the_others(db: Path, file: Path) -> None:
    out = succeeds("search", QUESTION, "--path", db, "-s", file, "--compare", "train", "hut", columns=80)
    head, _, _, *rows = out.partition(" ms\n")[2].strip().splitlines()
    assert len(rows) == 7
    assert cells(rows[-1])[0] == "… 35 other terms"
    lead = float(head.removesuffix(" in the sum:").rsplit(" ", 1)[1])
    assert sum(float(cells(row)[1]) for row in rows) == pytest.approx(lead, abs=5e-3)


def test_seven_terms_are_told_one_by_one(db: Path) -> None:
    terms = " + ".join(f"field('rating', {number})*{number}" for number in range(1, 7))
    out = succeeds("search", QUESTION, "--path", db, "--formula", f"score() + {terms}", "--explain", columns=80)
    assert "other terms" not in out
    assert len(re.findall(r"^\[\w\] ", out, re.M)) == 6


def test_a_picture_names_trees_in_short(db: Path, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ran = run("search", QUESTION, "--path", db, "-s", file, "--picture", tmp_path / "why.svg")
    assert ran.code == 0, ran.all
    text = (tmp_path / "why.svg").read_text("utf-8")
    assert "branch of a tree over dense, bm25, rating" in text
    assert "1e+38" not in text
