"""`search --explain`, `--compare` and `--picture`: why results are where they are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Fusion, Nearest, save
from qdrant_rerank._internals import Explained, ResultReason, Term
from qdrant_rerank.cli._internals import CommandError, compare_results
from tests.cli.support import fails, succeeds
from tests.support import near

FORMULA = "score('dense') + 0.05*score('bm25') - field('rating', 3)/10"
QUESTION = "bikes on the night train"


def explained(db: Path, *arguments: object, columns: int = 100) -> str:
    """What the command prints below the results."""
    out = succeeds("search", QUESTION, "--path", db, *arguments, columns=columns)
    return out.partition(" ms\n")[2]


def rows(table: str) -> list[list[str]]:
    """The cells of the lines that start with a rank."""
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines() if re.match(r" *\d+ ", line)]


def test_a_table_shows_what_each_candidate_found_and_each_term_adds(db: Path) -> None:
    table = explained(db, "--hybrid", "--explain", "-k", 2)
    assert table.splitlines()[1].split() == ["found", "by", "found", "by", "adds", "adds"]
    assert table.splitlines()[2].split() == ["#", "id", "dense", "bm25", "dense", "bm25", "score"]
    assert [row[-3:] for row in rows(table)] == [["+0.5", "+0.5", "1"], ["+0.3333", "+0.3333", "0.6667"]]
    assert "The terms of a result add up to its score." in table
    assert re.search(r"1 +train +#1 0\.\d+ +#1 \d", table)


def test_terms_that_are_long_get_letters_and_their_texts_stand_below(db: Path) -> None:
    table = explained(db, "--formula", FORMULA, "--explain", "-k", 2)
    assert "score('dense')" in table
    assert "[a] 0.05 * score('bm25')" in table
    assert "[b] -(field('rating', default=3) / 10.0)" in table
    for row in rows(table):
        *_, first, second, third, score = row
        assert float(first) + float(second) + float(third) == pytest.approx(float(score), abs=2e-3)
        assert third.startswith("-")


def test_a_table_that_is_too_wide_is_printed_as_several(db: Path) -> None:
    terms = " + ".join(f"field('rating', {number})*{number}" for number in range(1, 13))
    table = explained(db, "--formula", f"score() + {terms}", "--explain", "-k", 2, columns=60)
    assert max(map(len, table.splitlines())) <= 60
    assert len(rows(table)) == 4
    assert "12.0 * field('rating', default=12)" in table or "field('rating', default=12) * 12.0" in table


def test_a_candidate_that_did_not_find_a_result_has_a_dash(db: Path) -> None:
    table = explained(db, "--hybrid", "--explain", "-k", 5)
    [hut] = [line for line in table.splitlines() if " market " in line]
    assert " – " in hut


def test_a_sigmoid_shows_the_sum_and_what_it_makes_the_score_of(db: Path) -> None:
    table = explained(db, "--formula", f"sigmoid({FORMULA})", "--explain", "-k", 1)
    assert table.splitlines()[2].split()[-2:] == ["sum", "score"]
    [[*_, total, score]] = rows(table)
    assert float(score) == pytest.approx(1 / (1 + 2.718281828 ** -float(total)), abs=1e-3)
    assert "A score is the sigmoid of its sum" in table


def test_mmr_has_no_terms_and_says_so(db: Path) -> None:
    table = explained(db, "--hybrid", "--mmr", 0.3, "--explain", "-k", 2)
    assert "The scores of MMR have no terms" in table
    assert table.splitlines()[2].split() == ["#", "id", "rrf", "dense", "bm25", "score"]
    assert "--compare has nothing to compare. The scores of MMR have no terms" in fails(
        "search", QUESTION, "--path", db, "--hybrid", "--mmr", 0.3, "--compare", "train", "rules"
    )


def test_why_shows_what_put_one_result_above_another(db: Path) -> None:
    out = explained(db, "--formula", FORMULA, "--compare", "train", "rules")
    assert "adds" not in out
    head, _, _, *lines = out.strip().splitlines()
    lead = re.fullmatch(r"train \(#1\) is above rules \(#\d\) by (\S+):", head)
    assert lead is not None
    differences = [float(line.split()[-3]) for line in lines]
    assert sum(differences) == pytest.approx(float(lead[1]), abs=2e-3)
    assert [abs(each) for each in differences] == sorted(map(abs, differences), reverse=True)
    assert "is below train (#1)" in explained(db, "--formula", FORMULA, "--compare", "rules", "train")
    narrow = succeeds("search", QUESTION, "--path", db, "--formula", FORMULA, "--compare", "train", "rules", columns=40)
    below = narrow.partition(" ms\n")[2]
    assert "…" not in below
    assert max(map(len, below.splitlines())) <= 40


def test_why_takes_the_points_ids_as_well(db: Path) -> None:
    records = [json.loads(line) for line in succeeds("search", QUESTION, "--path", db, "-k", 2, "--json").splitlines()]
    out = explained(db, "-k", 2, "--compare", records[0]["id"], "rules")
    assert "is above rules (#2)" in out
    assert "similarity" in out


def test_an_id_that_is_not_among_the_results_is_an_error_that_lists_them(db: Path) -> None:
    message = fails("search", QUESTION, "--path", db, "-k", 2, "--compare", "train", "ferry")
    assert message == "error: --compare ferry: not among the results, which are train, rules; -k asks for more\n"
    assert "'train' and 'train' are the same one" in fails("search", QUESTION, "--path", db, "--compare", "train", "train")


def test_a_name_that_several_results_have_needs_their_ids() -> None:
    points = [models.ScoredPoint(id=number, version=0, score=1.0, payload={"_id": "same"}) for number in (7, 8)]
    reasons = tuple(ResultReason(point.id, 1, 1.0, (), (Term("a", 1.0),), 1.0) for point in points)
    with pytest.raises(CommandError, match="--compare same: several results are called that; use their ids: 7, 8"):
        compare_results(Explained(points, reasons), ("same", "7"))
    assert compare_results(Explained(points, reasons), ("8", "7")).reasons[0].id == 8


def test_json_lines_hold_the_explanation_and_a_last_line_the_comparison(db: Path) -> None:
    arguments = ("--path", db, "--formula", FORMULA, "-k", 3, "--json")
    out = succeeds("search", QUESTION, *arguments, "--show", "town", "--explain", "--compare", "train", "rules")
    *records, last = map(json.loads, out.splitlines())
    plain = [json.loads(line) for line in succeeds("search", QUESTION, *arguments, "--show", "town").splitlines()]
    assert near([{key: value for key, value in record.items() if key != "explanation"} for record in records]) == plain
    for record in records:
        told: dict[str, Any] = record["explanation"]
        assert sum(told["terms"].values()) == pytest.approx(record["score"], abs=1e-5)
        assert told["candidates"].keys() == {"dense", "bm25"}
    first = next(record for record in records if record["id"] == last["comparison"]["ids"][0])
    assert records.index(first) == 0
    assert sum(term["difference"] for term in last["comparison"]["terms"]) == pytest.approx(last["comparison"]["lead"])
    whole = json.loads(succeeds("search", QUESTION, "--path", db, "--json", "--explain", "-k", 1))
    assert whole["payload"]["rating"] == 3.0


def test_groups_are_not_explained(db: Path) -> None:
    for option in (("--explain",), ("--compare", "a", "b"), ("--picture", "x.png")):
        message = fails("search", "x", "--path", db, "--group-by", "town", *option)
        assert "--group-by excludes --explain, --compare and --picture" in message


def test_nothing_found_is_said_and_nothing_explained(db: Path) -> None:
    arguments = ("zzz", "--path", db, "--using", "bm25")
    assert succeeds("search", *arguments, "--explain") == "nothing found\n"
    assert "not among the results, which are none" in fails("search", *arguments, "--compare", "a", "b")
    assert "there are no results to draw" in fails("search", *arguments, "--picture", db.parent / "x.png")


def test_a_picture_is_drawn_with_the_documents_names(db: Path, tmp_path: Path) -> None:
    save(Fusion.rrf().over(Nearest("dense", limit=9), Nearest("bm25", limit=9)), tmp_path / "s.json")
    succeeds("search", QUESTION, "--path", db, "-s", tmp_path / "s.json", "--picture", tmp_path / "why.svg")
    text = (tmp_path / "why.svg").read_text("utf-8")
    for part in (QUESTION, "train Bikes on the night train", "dense", "bm25"):
        assert part in text


def test_a_picture_that_can_t_be_is_refused_before_the_search(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qdrant_rerank.cli.search.make_plan", lambda *_: pytest.fail("it searched"))
    arguments = ("search", "x", "--path", db, "--picture")
    assert "a picture is written as .svg or .png, not as '.pdf'" in fails(*arguments, tmp_path / "x.pdf")
    assert "a file without a suffix" in fails(*arguments, tmp_path / "x")
    assert f"there is no folder '{tmp_path / 'no'}'" in fails(*arguments, tmp_path / "no" / "x.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'qdrant-rerank[learn]'" in fails(*arguments, tmp_path / "x.png")


def test_mmr_has_nothing_to_draw(db: Path, tmp_path: Path) -> None:
    message = fails("search", QUESTION, "--path", db, "--mmr", 0.3, "--picture", tmp_path / "x.png")
    assert "there are no terms to draw: the scores of MMR don't come about by adding" in message
    assert list(tmp_path.iterdir()) == []
