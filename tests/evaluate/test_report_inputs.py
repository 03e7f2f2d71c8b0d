"""What a report can be made of beside a comparison, where it can be written, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import StrategyError
from qdrant_rerank.errors import FormatError, MissingExtra
from qdrant_rerank.evaluate import Interval, Qrels, Topics
from qdrant_rerank.report import Bin, Calibration, Coefficient, report
from qdrant_rerank.tune import tune
from tests.docs.blocks import blocks, untested

from . import reports, worlds
from .reports import text_of


@pytest.fixture(scope="module")
def tuning() -> Any:
    texts = list(worlds.QUESTIONS.items())
    topics = Topics({f"{id}-{number}": f"{text} {number}" for number in range(8) for id, text in texts})
    qrels = Qrels({topic: worlds.GRADES[topic.partition("-")[0]] for topic in topics.ids})
    return tune(worlds.executor(), topics, qrels)


def test_a_tuning_is_shown_beside_a_comparison(tuning: Any) -> None:
    made = report(reports.two(), tuning)
    html, markdown = text_of(made.html()), made.markdown()
    assert "## Tuning" in markdown
    for reason in tuning.reasons:
        assert " ".join(reason.split()) in html
    assert repr(tuning.strategy) in html
    assert f"{tuning.gain.estimate:+.4f} nDCG@10" in html
    assert f"{tuning[tuning.chosen].mean:.4f}" in html
    assert "; tuning " in made.as_dict()["summary"][2]
    assert made.as_dict()["tuning"]["chosen"] == tuning.chosen


def test_a_tuning_may_stand_alone(tuning: Any) -> None:
    made = report(tuning=tuning, title="Tuned")
    measured, found, then = made.as_dict()["summary"]
    assert measured.startswith(f"{len(tuning.configurations)} configurations were tried on 32 queries")
    assert found.startswith("Choosing by such queries is worth ")
    assert then == tuning.reasons[0]
    assert "<h2>Tuning</h2>" in made.html()
    assert "<h2>Quality</h2>" not in made.html()
    assert "## Quality" not in made.markdown()


def test_the_suffix_says_how_it_is_written(tmp_path: Path) -> None:
    made = report(reports.nothing())
    for name, text in (("a.html", made.html()), ("a.MD", made.markdown()), ("a.json", made.json())):
        assert made.save(tmp_path / name).read_text("utf-8") == text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("report.pdf", "is written as .html, .md or .json, not as '.pdf'"),
        ("report", "not as a file without a suffix"),
        ("nowhere/report.html", "there is no folder"),
        ("folder.html", "this is a folder"),
    ],
)
def test_a_path_that_can_not_be_written_to_is_refused(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(FormatError, match=re.escape(message)):
        report(reports.one()).save(tmp_path / path)


@pytest.mark.parametrize(
    ("result", "options", "message"),
    [
        (None, {}, "there is nothing to report: pass what"),
        ([], {}, "the list of evaluations is empty"),
        ("dense", {}, "got str"),
        ([0], {}, "got int"),
        (reports.one(), {"title": " "}, "title= must be text"),
        (reports.one(), {"tuning": 3}, "takes what tune() returned, got int, which has no 'topics'"),
        (reports.one(), {"calibration": {}}, "takes a Calibration, got dict"),
        (reports.one(), {"coefficients": [1.0]}, "takes Coefficient values"),
        (reports.one(), {"coefficients": {"a": float("nan")}}, "must be finite"),
    ],
)
def test_what_is_no_result_is_refused(result: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=re.escape(message)):
        report(result, **options)


def test_bins_that_can_not_be_are_refused() -> None:
    with pytest.raises(StrategyError, match="observed of a bin must be between 0 and 1"):
        Bin(0.5, 1.2, 3)
    with pytest.raises(StrategyError, match="at least one result"):
        Bin(0.5, 0.5, 0)
    with pytest.raises(StrategyError, match="at least one bin"):
        Calibration((), 0.0, 0.0)


@pytest.mark.parametrize("absent", ["jinja2", "matplotlib"])
def test_without_the_extra_it_says_what_to_install(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    made = report(reports.nothing())
    with pytest.raises(MissingExtra, match=re.escape("pip install 'qdrant-rerank[learn]'")):
        made.html()
    assert made.json()


def test_importing_the_report_loads_neither_jinja2_nor_matplotlib() -> None:
    code = "import sys, qdrant_rerank.report; sys.exit(bool({'jinja2', 'matplotlib', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_coefficients_may_be_a_mapping() -> None:
    learned: dict[str, float | Interval] = {"a": 1, "b": Interval(2.0, 1.0, 3.0)}
    made = report(reports.nothing(), coefficients=learned)
    assert made.coefficients == (Coefficient("a", 1.0), Coefficient("b", 2.0, 1.0, 3.0))


def test_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert untested("docs/report.md") == 0
    dense, fused = reports.two().evaluations
    options: dict[str, Any] = {"dense": dense, "fused": fused}
    exec(compile(blocks("docs/report.md")["report"], "docs/report.md", "exec"), options)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.md", "report.json"}
    assert "| constant | -2.2 | – |" in options["text"]
