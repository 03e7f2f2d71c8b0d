"""Pictures of explanations: what is drawn, what is written on them, and what can't be drawn."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest

from qdrant_rerank import (
    Executor,
    Formula,
    Nearest,
    PlanWarning,
    QueryError,
    SearchOptions,
    StrategyError,
    field,
    score,
)
from qdrant_rerank._internals import Explained, ResultReason, Term, draw
from qdrant_rerank.errors import FormatError, MissingExtra
from tests.support import question

PNG = b"\x89PNG\r\n\x1a\n"


def made(terms: Sequence[tuple[str, float]], count: int = 3, link: str = "identity") -> Explained:
    """So many results with these terms, each a little less than the one before."""
    reasons = []
    for number in range(count):
        own = tuple(Term(text, value * (1 - number / 100)) for text, value in terms)
        total = sum(term.value for term in own)
        reasons.append(ResultReason(number + 1, number + 1, total if link == "identity" else 0.75, (), own, total, link))
    return Explained([], tuple(reasons))


def texts(path: Path) -> list[str]:
    """What is written in an .svg."""
    return ["".join(element.itertext()) for element in ET.parse(path).iter() if element.tag.endswith("}text")]


def colours(path: Path) -> set[str]:
    """The colours of an .svg's areas."""
    return {
        part.partition(":")[2].strip()
        for element in ET.parse(path).iter()
        for part in element.get("style", "").split(";")
        if part.strip().startswith("fill:")
    }


def test_names_terms_scores_and_the_title_are_written(tmp_path: Path) -> None:
    draw(made([("near", 1.0), ("far", -0.25)]), tmp_path / "a.svg", ["x", "y", "z"], "a question")
    written = texts(tmp_path / "a.svg")
    assert {"near", "far", "score", "a question", "1  x", "2  y", "3  z", "0.75", "0.7425", "0.735"} <= set(written)


def test_a_real_explanation_is_drawn_with_the_ids_of_its_points(executor: Executor, tmp_path: Path) -> None:
    strategy = Formula(score() + field("popularity", default=0)).over(Nearest("dense"))
    found = executor.explain(strategy, question(), SearchOptions(3))
    draw(found, tmp_path / "a.svg")
    assert f"1  {found.points[0].id}" in texts(tmp_path / "a.svg")
    assert "field('popularity', default=0)" in texts(tmp_path / "a.svg")


def test_a_png_is_a_png(tmp_path: Path) -> None:
    draw(made([("a", 1.0)]), tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes().startswith(PNG)


def test_the_same_explanation_is_the_same_picture(tmp_path: Path) -> None:
    draw(made([("a", 1.0)]), tmp_path / "a.svg")
    draw(made([("a", 1.0)]), tmp_path / "b.svg")
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text("utf-8")
    assert texts(tmp_path / "a.svg") == texts(tmp_path / "b.svg")


def test_each_term_has_a_colour_of_its_own_and_of_many_the_smallest_share_one(tmp_path: Path) -> None:
    draw(made([(f"t{number}", 1.0 + number) for number in range(7)]), tmp_path / "seven.svg")
    draw(made([(f"t{number}", 1.0 + number) for number in range(12)]), tmp_path / "twelve.svg")
    seven, twelve = texts(tmp_path / "seven.svg"), texts(tmp_path / "twelve.svg")
    assert {f"t{number}" for number in range(7)} <= set(seven)
    assert "5 other terms" in twelve
    assert {f"t{number}" for number in range(5, 12)} == {text for text in twelve if text.startswith("t")}
    okabe_ito = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"}
    assert okabe_ito <= colours(tmp_path / "seven.svg")
    assert okabe_ito | {"#999999"} <= colours(tmp_path / "twelve.svg")


def test_a_sigmoid_shows_the_sum_and_the_score(tmp_path: Path) -> None:
    draw(made([("a", 1.0)], 1, "sigmoid"), tmp_path / "a.svg")
    assert {"sigmoid(1) = 0.75", "sum", "sum of the terms; the score is its sigmoid"} <= set(texts(tmp_path / "a.svg"))


def test_long_texts_are_shortened_and_dollars_stay_dollars(tmp_path: Path) -> None:
    draw(made([("$a$ + " + "b" * 200, 1.0)], 1), tmp_path / "a.svg", ["costs $5 or $6 " + "n" * 90], "from $1 to $2")
    written = texts(tmp_path / "a.svg")
    assert "from $1 to $2" in written
    [term] = [text for text in written if text.startswith("$a$ + bbb")]
    [name] = [text for text in written if text.startswith("1  costs $5 or $6 nnn")]
    assert term.endswith("…")
    assert name.endswith("…")
    assert len(term) == 110


def test_characters_that_the_font_lacks_are_warned_of_in_a_png_and_kept_in_an_svg(tmp_path: Path) -> None:
    with pytest.warns(PlanWarning, match=r"lacks some characters, which are boxes there: an \.svg shows them"):
        draw(made([("a", 1.0)], 1), tmp_path / "a.png", ["文書"])
    draw(made([("a", 1.0)], 1), tmp_path / "a.svg", ["文書"])
    assert "1  文書" in texts(tmp_path / "a.svg")


def test_what_can_t_be_drawn_is_refused_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = made([("a", 1.0)])
    for explained, error, says in (
        (Explained([], ()), QueryError, "there are no results to draw"),
        (made([]), StrategyError, "the scores of MMR don't come about by adding"),
        (made([("a", 1.0)], 201), QueryError, "a picture holds up to 200 results, and there are 201"),
    ):
        with pytest.raises(error, match=says):
            draw(explained, tmp_path / "a.png")
    with pytest.raises(QueryError, match="names must have a name for each of the 3 results, got 1"):
        draw(good, tmp_path / "a.png", ["x"])
    with pytest.raises(FormatError, match=r"written as \.svg or \.png, not as '\.pdf'"):
        draw(good, tmp_path / "a.pdf")
    with pytest.raises(FormatError, match="there is no folder"):
        draw(good, tmp_path / "no" / "a.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'qdrant-rerank\[learn\]'"):
        draw(good, tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []
